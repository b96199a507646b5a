# SPDX-License-Identifier: GPL-2.0
"""Which hosts XDP and AF_XDP run on, vnet beside virtio_net, as a table.

    python3 -m lab exec python3 -m lab.hosts [-k KERNEL] [-o NAME] > docs/hosts-table.rst

A host is the set of features that its device offers; QEMU's device offers the
same ones. 'attach': a program is taken in native mode. 'runs': what it sees of
the packets that are sent. 'zero copy': an AF_XDP socket with frames of 4096 bytes
can be bound with XDP_ZEROCOPY, without and with a program on the device.
"""

import argparse
import importlib
import json
import sys

from . import build, kernels
from .api import Env
from .guest import Guest
from .profiles import GUEST_OFFLOADS, MODERN, MQ, Profile, off
from .profiles import get as known

SENT = 50
NO_CONTROL = off("ctrl_vq", "ctrl_rx", "ctrl_vlan", "ctrl_rx_extra", "ctrl_mac_addr",
                 "ctrl_guest_offloads", "guest_announce", "mq")
NO_USO = off("guest_uso4", "guest_uso6", "host_uso")
LEGACY = {"disable-legacy": "off", "disable-modern": "on"}

HOSTS = (
    Profile("QEMU", "VIRTIO 1.x over PCI, QEMU's defaults", MODERN),
    Profile("fixed offloads", "guest offloads that no command switches (no CTRL_GUEST_OFFLOADS)",
            {**MODERN, "ctrl_guest_offloads": "off"}),
    Profile("QEMU, jumbo", "no MRG_RXBUF, an MTU of 9000 in the configuration space",
            {**MODERN, "mrg_rxbuf": "off", "host_mtu": "9000"}),
    Profile("Cloud Hypervisor", "no MRG_RXBUF, no STATUS; control queue with guest offloads, "
            "no receive modes, no RING_RESET",
            {**MODERN, **NO_USO, "mrg_rxbuf": "off", "status": "off", "ctrl_rx": "off",
             "ctrl_vlan": "off", "ctrl_rx_extra": "off", "ctrl_mac_addr": "off",
             "guest_announce": "off", "indirect_desc": "off", "queue_reset": "off"}),
    Profile("Firecracker", "MMIO, MRG_RXBUF, no control queue, no STATUS, no indirect descriptors",
            {**NO_CONTROL, **NO_USO, "guest_ecn": "off", "host_ecn": "off", "status": "off",
             "indirect_desc": "off", "queue_reset": "off"}, machine="microvm",
            args=("-global", "virtio-mmio.force-legacy=false")),
    Profile("Google Cloud", "legacy, MRG_RXBUF, no ANY_LAYOUT", {**LEGACY, "any_layout": "off"}),
    Profile("QEMU, IOMMU", "ACCESS_PLATFORM, behind an IOMMU", known("iommu").props,
            args=known("iommu").args, append=known("iommu").append),
    Profile("old legacy", "legacy, no MRG_RXBUF, no ANY_LAYOUT, no guest offloads",
            {**LEGACY, **off(*GUEST_OFFLOADS), "any_layout": "off", "mrg_rxbuf": "off"}),
    Profile("QEMU, one buffer", "no MRG_RXBUF, guest segmentation offloads",
            {**MODERN, "mrg_rxbuf": "off"}),
    Profile("QEMU, queues", "four queue pairs, two CPUs", MQ, queues=4),
    Profile("QEMU, packed", "packed rings", {**MODERN, "packed": "on"}),
)


def reason(result):
    """The last thing that a refused command said, shortened."""
    lines = [line.strip() for line in (result.out + result.err).splitlines() if line.strip()]
    text = next((line for line in lines if line.startswith("Error:")), lines[-1] if lines else "")
    return text.removeprefix("Error:").removeprefix("RTNETLINK answers:").strip(" .")


def bind(guest, nic):
    """Can an AF_XDP socket with frames of 4096 bytes be bound for zero copy?"""
    answers = []
    for options in ("", "--sg"):
        out = guest.run(f"python3 /tmp/xsk.py bind {nic} 0 --chunk 4096 {options}").out
        answers += json.loads(out.strip().splitlines()[-1])
    if answers[0] == "ok":
        return "yes"
    return "yes, with XDP_USE_SG" if answers[1] == "ok" else f"no: {answers[0]}"


def look(guest, driver, module):
    """(attach, runs, zero copy, zero copy under a program) of one driver."""
    xdp = importlib.import_module("selftests._xdp")
    guest.load(driver, module)
    env = Env(guest, driver)
    env.find()
    env.configure()
    guest.put(xdp.TOOLS / "xsk.py", "/tmp/xsk.py")
    bare = bind(guest, env.nic)
    program = xdp.Program(env)
    program.plan(xdp.DROP)
    done = program.attach(check=False)
    if done.status:
        attach, runs, under = "no: " + reason(done), "", ""
    else:
        xdp.back(env, SENT, quiet=2)
        attach, runs = "yes", f"{program.counts()[xdp.DROP]} of {SENT}"
        under = bind(guest, env.nic)
        program.detach()
    program.close()
    guest.run(f"rmmod {driver}", timeout=60)
    return attach, runs, bare, under


def table(rows, head):
    """A list table of reStructuredText."""
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        out += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(prog="lab.hosts")
    parser.add_argument("-k", "--kernel", default="")
    parser.add_argument("-o", "--only", default="", help="hosts whose name begins so")
    options = parser.parse_args()
    kernel = kernels.select([options.kernel])[0] if options.kernel else kernels.default()
    module = build.build(kernel, quiet=True)
    rows = []
    for number, profile in enumerate(HOSTS):
        if not profile.name.startswith(options.only):
            continue
        with Guest(kernel, profile, f"/cache/logs/hosts-{number}") as guest:
            for driver, file in (("vnet", module), ("virtio_net", None)):
                cells = look(guest, driver, file)
                print(f"hosts: {profile.name}, {driver}: {cells}", file=sys.stderr, flush=True)
                rows.append((profile.name if driver == "vnet" else "", driver, *cells))
    print(".. SPDX-License-Identifier: GPL-2.0\n\n.. Written by lab.hosts; do not edit.\n")
    print(f"Linux {kernel.release}\n")
    print(table(rows, ("host", "driver", "attach", "runs", "zero copy",
                       "zero copy with the program")))
    print()
    print(table([(p.name, p.text) for p in HOSTS], ("host", "its device")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
