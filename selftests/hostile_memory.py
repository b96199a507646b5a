# SPDX-License-Identifier: GPL-2.0
"""Memory that the device must not see, that is not there, and that does not come back."""

from pathlib import Path

from lab.api import test

from ._data import Change
from ._hostile import FAR, OWN, PEER_MAC
from ._invariants import at_rest
from ._data import qstats
from .device import packet

TOOLS = Path(__file__).parent / "tools"
SECRET = "not for the host"
REFUSED = 40


def given(env, queue):
    """What the device can read in the buffers that it was given to write to."""
    for buffer in env.device.call("ring_state", queue=queue, waiting=True)["waiting"]:
        for addr, length in buffer["in"]:
            yield bytes.fromhex(env.device.call("memory", addr=addr, length=length)["data"])


def leaked(env):
    """(buffers with the secret, buffers) of all receive queues"""
    seen = [data for pair in range(2) for data in given(env, f"rx{pair}")]
    return sum(SECRET.encode() in data for data in seen), len(seen)


@test(profiles=["scripted"], drivers=["vnet"], timeout=240)
def secrets(env):
    "Nothing that programs had in memory is in the buffers that the device is given."
    spread = f"import os; text = {SECRET!r}.encode() * 65536; keep = [bytearray(text) for _ in " \
             "range(200)]; open('/dev/shm/secret', 'wb').write(b''.join(keep)); " \
             "os.remove('/dev/shm/secret')"
    env.guest.run(f"ethtool -L {env.nic} combined 2")
    for ring in (256, 128):
        env.guest.run(f"ip link set {env.nic} down")
        env.guest.run(f"python3 -c \"{spread}\"", timeout=60)
        env.guest.run(f"ethtool -G {env.nic} rx {ring}; ip link set {env.nic} up; "
                      f"ping -q -c 3 -i 0.2 -W 5 {FAR}")
        bad, all_of_them = leaked(env)
        assert all_of_them > ring and not bad, f"{bad} of {all_of_them} buffers"
    # What a packet has brought is found: the search works.
    mac = bytes.fromhex(env.mac.replace(":", ""))
    frame = packet.udp_frame(mac, PEER_MAC, OWN, FAR, 9, 7, SECRET.encode())
    for _ in range(600):
        env.device.inject(frame)
    env.wait(lambda: leaked(env)[0], "the search finds nothing", 20)


@test(profiles=["leaks"], drivers=["vnet"], timeout=2400, moves=["*"], says=["*"],
      changes=["-L", "-X", "xps", "affinity"])
def fail_nth(env):
    "Every single allocation of bind, up, resize, channels, MTU, XDP, AF_XDP, dma-buf fails once."
    if env.guest.run("test -e /proc/self/fail-nth", check=False).status:
        env.skip("this debug kernel has no fault injection")
    for name in ("fail_nth.py", "xsk.py", "devmem.py", "netdev.py"):
        env.guest.put(TOOLS / name, f"/tmp/{name}")
    limit = env.rounds(full=2000, quick=30)
    done = env.guest.run(f"python3 /tmp/fail_nth.py {env.virtio} {env.driver} {limit}",
                         timeout=2200)
    print("  hostile_memory.fail_nth (allocations, failures):",
          done.out.strip().replace("\n", ", "), flush=True)
    env.configure()
    env.guest.run(f"ping -q -c 3 -i 0.2 -W 5 {FAR}")
    env.guest.run(f"ip link set {env.nic} down")
    at_rest(env)


def refuse_pages(env, require=""):
    """Refuse pages of page pools under a flood of pings; (alloc_fail, starved) that this adds."""
    fault = "/sys/kernel/debug/fail_function"
    change = Change(env)
    env.guest.run(f"cd {fault} && echo page_pool_alloc_netmems > inject && echo N > task-filter && "
                  f"echo 0 > verbose && echo 1 > interval && echo {REFUSED} > times && {require} "
                  "echo 100 > probability")
    try:
        env.guest.run(f"ping -q -f -c 500 -s 1400 -w 60 {FAR}", timeout=90)
        left = int(env.guest.run(f"cat {fault}/times").out)
    finally:
        env.guest.run(f"cd {fault}; echo 0 > probability; echo 0 > times; echo > inject; "
                      "echo 0 > require-start")
    assert left == 0, f"{left} of {REFUSED} pages were not refused"
    added = change()
    return added["rx_alloc_fail"], added["rx_starved"]


@test(profiles=["leaks"], drivers=["vnet"], timeout=240, moves=["rx_alloc_fail", "*starved"])
def alloc_fail(env):
    "Pages for receive buffers are refused: small ones serve, or a timer; each buffer is counted."
    if env.guest.run("test -e /sys/kernel/debug/fail_function/inject", check=False).status:
        env.skip("this debug kernel has no fault injection in functions")
    lines = env.guest.run("sort /proc/kallsyms | grep -w -A1 'vnet_rxmem_cut_begin\\s'").out
    start, end = (int(line.split()[0], 16) for line in lines.splitlines())
    reported = qstats(env)["device"]["rx-alloc-fail"]
    large = refuse_pages(env, f"echo {start} > require-start && echo {end} > require-end && "
                         "echo 8 > stacktrace-depth &&")
    assert large == (REFUSED, 0), f"large pages: {large[0]} counted, starved {large[1]} times"
    both = refuse_pages(env)
    assert REFUSED / 2 <= both[0] < REFUSED and both[1], \
        f"large and small pages: {both[0]} buffers counted, starved {both[1]} times"
    reported = qstats(env)["device"]["rx-alloc-fail"] - reported
    assert reported == large[0] + both[0], f"rx-alloc-fail of qstats: {reported}"
    env.guest.run(f"ip link set {env.nic} down")
    at_rest(env)


@test(profiles=["leaks"], drivers=["vnet"], timeout=400)
def leaks(env):
    "After all of that nothing is left behind (kmemleak)."
    file = "/sys/kernel/debug/kmemleak"
    if env.guest.run(f"test -e {file}", check=False).status:
        env.skip("this debug kernel has no kmemleak")
    env.unbind()
    env.guest.run(f"rmmod {env.driver}", timeout=60)
    found = env.guest.run(f"sleep 5; echo scan > {file} && sleep 5 && "
                          f"echo scan > {file} && cat {file}", timeout=100).out
    env.guest.insmod(env.driver)
    assert not found.strip(), found[:2000]
