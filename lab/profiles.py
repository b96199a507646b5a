# SPDX-License-Identifier: GPL-2.0
"""Device profiles: what a test asks for by name.

A profile is a set of properties of QEMU's virtio-net device, the back end
behind it and the machine around it. The feature bits that the profile is
about are named, so that a test can see that the device really offers (or
does not offer) them.
"""

from dataclasses import dataclass, field

from . import SetupError

# Feature bits by the specification's names.
BITS = {
    "CSUM": 0, "GUEST_CSUM": 1, "CTRL_GUEST_OFFLOADS": 2, "MTU": 3, "MAC": 5,
    "GUEST_TSO4": 7, "GUEST_TSO6": 8, "GUEST_ECN": 9, "GUEST_UFO": 10,
    "HOST_TSO4": 11, "HOST_TSO6": 12, "HOST_ECN": 13, "HOST_UFO": 14,
    "MRG_RXBUF": 15, "STATUS": 16, "CTRL_VQ": 17, "CTRL_RX": 18, "CTRL_VLAN": 19,
    "GUEST_ANNOUNCE": 21, "MQ": 22, "CTRL_MAC_ADDR": 23, "ANY_LAYOUT": 27,
    "INDIRECT_DESC": 28, "EVENT_IDX": 29, "VERSION_1": 32, "ACCESS_PLATFORM": 33,
    "RING_PACKED": 34, "IN_ORDER": 35, "RING_RESET": 40, "GUEST_USO4": 54,
    "GUEST_USO6": 55, "HOST_USO": 56, "HASH_REPORT": 57, "RSS": 60,
    "SPEED_DUPLEX": 63, "GUEST_UDP_TUNNEL_GSO": 65, "HOST_UDP_TUNNEL_GSO": 67,
}

GUEST_OFFLOADS = ("guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo",
                  "guest_uso4", "guest_uso6")
HOST_OFFLOADS = ("csum", "gso", "host_tso4", "host_tso6", "host_ecn", "host_ufo", "host_uso")


def off(*names):
    return {name: "off" for name in names}


@dataclass(frozen=True)
class Profile:
    """One named device.

    props      properties of the virtio-net device
    far_props  those of the second one, if they are not the same
    queues     queue pairs of the back end
    net        "tap", "user" (QEMU's user-mode network: no offloads), "device", or a
               host of lab/vhost_user.py
    nics       number of network devices of the guest
    wire       MTU of the taps and the bridge behind them, if the device tells none
    machine    "q35" or "microvm" (virtio over MMIO)
    iommu      the machine has one
    append     added to the kernel command line
    args       further arguments of QEMU
    device     options of the scripted device (selftests/device) that is there
               instead of QEMU's; None: QEMU's
    special    serves only the tests that name it
    debug      for debug kernels only
    on, off    feature bits that a driver should find, cannot find
    kernel_min oldest kernel that can drive it, and why
    drivers    the drivers that can drive it, all if empty
    says       what vnet warns of when it binds to such a device (globs)
    """

    name: str
    text: str
    props: dict = field(default_factory=dict)
    far_props: dict = field(default_factory=dict)
    queues: int = 1
    net: str = "tap"
    nics: int = 1
    wire: int = 0
    machine: str = "q35"
    iommu: bool = False
    append: str = ""
    args: tuple = ()
    device: dict | None = None
    special: bool = False
    debug: bool = False
    on: tuple = ()
    off: tuple = ()
    kernel_min: tuple = (0, 0)
    why_min: str = ""
    drivers: tuple = ()
    says: tuple = ()

    @property
    def pluggable(self):
        """Can a guest that runs be given this device in place of another one?"""
        return self.machine == "q35" and not (self.iommu or self.append or self.args) and \
            self.net in ("tap", "user", "device")


MODERN = {"disable-legacy": "on"}
MQ = {**MODERN, "mq": "on", "vectors": "10"}
NO_GUEST_GSO = off(*GUEST_OFFLOADS[1:])
# What the network developers' CI gives to the kernel's tests. The far NIC takes
# packets as a wire would carry them: what the device had to segment and sum is so.
KSELFTEST = {**MODERN, "mq": "on", "vectors": "18", "iommu_platform": "on",
             "rx_queue_size": "1024", "tx_queue_size": "256"}
KSELFTEST_FAR = {**KSELFTEST, **off(*GUEST_OFFLOADS)}
# QEMU still offers segmentation in tunnels where the offload below it was switched off.
CONTRADICTS = ("contradicts the others, not used",)
SCRIPTED = {"pairs": 4, "features": ["default", "MQ"]}

PROFILES = {p.name: p for p in (
    Profile("modern-split", "VIRTIO 1.x over PCI, split rings, one queue pair", MODERN,
            on=("VERSION_1", "MRG_RXBUF", "EVENT_IDX", "CTRL_VQ", "CSUM", "HOST_TSO4"),
            off=("RING_PACKED", "MQ")),
    Profile("packed", "packed rings", {**MODERN, "packed": "on"}, on=("RING_PACKED",)),
    Profile("in-order", "split rings used in order", {**MODERN, "in_order": "on"},
            on=("IN_ORDER",)),
    Profile("packed-in-order", "packed rings used in order",
            {**MODERN, "packed": "on", "in_order": "on"}, on=("RING_PACKED", "IN_ORDER")),
    Profile("transitional", "a device that is legacy and modern at once",
            {"disable-legacy": "off", "disable-modern": "off"}, on=("VERSION_1",)),
    Profile("legacy", "a device from before VIRTIO 1.0",
            {"disable-legacy": "off", "disable-modern": "on"}, off=("VERSION_1",)),
    Profile("legacy-small", "legacy without MRG_RXBUF and ANY_LAYOUT: a 10 byte header of its own",
            {"disable-legacy": "off", "disable-modern": "on", "any_layout": "off",
             "mrg_rxbuf": "off", **NO_GUEST_GSO}, off=("VERSION_1", "MRG_RXBUF", "ANY_LAYOUT")),
    Profile("small", "no MRG_RXBUF and no guest GSO: one buffer per packet",
            {**MODERN, "mrg_rxbuf": "off", **NO_GUEST_GSO}, off=("MRG_RXBUF", "GUEST_TSO4"),
            says=CONTRADICTS),
    Profile("big", "guest GSO without MRG_RXBUF: a chain of pages per packet",
            {**MODERN, "mrg_rxbuf": "off"}, on=("GUEST_TSO4",), off=("MRG_RXBUF",)),
    Profile("mq", "four queue pairs", MQ, queues=4, on=("MQ",)),
    Profile("rss", "four queue pairs with RSS", {**MQ, "rss": "on"}, queues=4, on=("RSS",)),
    Profile("hash", "hash reports in the header (20 bytes)", {**MODERN, "hash": "on"},
            on=("HASH_REPORT",)),
    Profile("iommu", "behind an IOMMU, DMA API in strict mode",
            {**MODERN, "iommu_platform": "on", "ats": "on"},
            iommu=True, on=("ACCESS_PLATFORM",)),
    Profile("access-platform", "DMA API without an IOMMU", {**MODERN, "iommu_platform": "on"},
            on=("ACCESS_PLATFORM",)),
    Profile("no-ctrl-vq", "no control queue", {**MODERN, **off(
        "ctrl_vq", "ctrl_rx", "ctrl_vlan", "ctrl_rx_extra", "ctrl_mac_addr",
        "ctrl_guest_offloads", "guest_announce", "mq")}, off=("CTRL_VQ", "CTRL_MAC_ADDR")),
    Profile("no-event-idx", "no event index", {**MODERN, "event_idx": "off"}, off=("EVENT_IDX",)),
    Profile("no-indirect", "no indirect descriptors", {**MODERN, "indirect_desc": "off"},
            off=("INDIRECT_DESC",)),
    Profile("no-offloads", "no checksum and no segmentation offload in either direction",
            {**MODERN, **off(*GUEST_OFFLOADS, *HOST_OFFLOADS)},
            off=("CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4"), says=CONTRADICTS),
    Profile("no-status", "no STATUS: the link is always up", {**MODERN, "status": "off"},
            off=("STATUS",)),
    Profile("mtu", "the device tells the MTU", {**MODERN, "host_mtu": "1400"}, on=("MTU",)),
    Profile("mtu-jumbo", "an MTU of 9000", {**MODERN, "host_mtu": "9000"}, on=("MTU",)),
    Profile("tunnel", "UDP tunnel segmentation", {**MODERN, "host_tunnel": "on",
            "guest_tunnel": "on"}, on=("HOST_UDP_TUNNEL_GSO", "GUEST_UDP_TUNNEL_GSO"),
            kernel_min=(6, 17), why_min="feature bits above 63 came with Linux 6.17"),
    Profile("mmio", "virtio over MMIO", {}, machine="microvm",
            args=("-global", "virtio-mmio.force-legacy=false"), on=("VERSION_1",)),
    Profile("mmio-legacy", "virtio over MMIO, version 1 of the transport", {}, machine="microvm",
            args=("-global", "virtio-mmio.force-legacy=true"), off=("VERSION_1",)),
    Profile("contradictory", "offers features without the ones that they depend on",
            {**MODERN, "guest_csum": "off", "csum": "off", "ctrl_vq": "off", "mq": "on"},
            off=("GUEST_CSUM", "CSUM", "CTRL_VQ"), drivers=("vnet",),
            says=CONTRADICTS),
    Profile("user", "QEMU's user-mode network: a back end without virtio_net_hdr", MODERN,
            net="user"),
    Profile("passt", "passt (vhost-user): the host is a program without privileges", MODERN,
            net="passt", special=True, on=("VERSION_1", "MRG_RXBUF")),
    Profile("testpmd", "DPDK's vhost (testpmd)", MODERN, net="testpmd", special=True,
            on=("VERSION_1", "MRG_RXBUF")),
    Profile("testpmd-packed", "DPDK's vhost (testpmd), packed rings",
            {**MODERN, "packed": "on"}, net="testpmd", special=True, on=("RING_PACKED",)),
    Profile("ovs-dpdk", "Open vSwitch with DPDK, user-space segmentation on", MODERN, net="ovs",
            special=True, on=("VERSION_1", "MRG_RXBUF")),
    Profile("swiotlb", "every transfer through bounce buffers, as in confidential guests",
            {**MODERN, "iommu_platform": "on"}, append="swiotlb=force", special=True,
            on=("ACCESS_PLATFORM",)),
    Profile("vduse", "a vDPA device of the guest's own, which a program serves (VDUSE)", MODERN,
            special=True),
    Profile("vduse-packed", "VDUSE, packed rings", MODERN, special=True),
    Profile("two-nics", "two devices of one guest, back to back", MODERN, nics=2),
    Profile("two-tunnels", "two devices with UDP tunnel segmentation, back to back",
            {**MODERN, "host_tunnel": "on", "guest_tunnel": "on"}, nics=2, special=True,
            on=("HOST_UDP_TUNNEL_GSO",), kernel_min=(6, 17),
            why_min="feature bits above 63 came with Linux 6.17"),
    Profile("kselftest", "eight queue pairs with RSS, and a far NIC (make kselftest)",
            {**KSELFTEST, "rss": "on"}, KSELFTEST_FAR, queues=8, nics=2, wire=65521, special=True,
            on=("MQ", "RSS", "ACCESS_PLATFORM"), says=CONTRADICTS),
    Profile("kselftest-hash", "eight queue pairs with hash reports, and a far NIC",
            {**KSELFTEST, "hash": "on"}, KSELFTEST_FAR, queues=8, nics=2, wire=65521, special=True,
            on=("MQ", "HASH_REPORT", "ACCESS_PLATFORM"), says=CONTRADICTS),
    Profile("queues-64", "64 queue pairs", {**MODERN, "mq": "on", "vectors": "130"}, queues=64,
            special=True, on=("MQ",)),
    Profile("bounce", "all memory for devices is bounced, this one reads past that", MODERN,
            append="swiotlb=force", special=True, off=("ACCESS_PLATFORM",)),
    Profile("scripted", "the scripted device with four queue pairs: says what a test wants",
            net="device", nics=0, special=True,
            device=SCRIPTED, on=("MQ", "RING_RESET")),
    Profile("leaks", "the scripted device, and the kernel keeps track of all memory",
            net="device", nics=0, append="kmemleak=on", special=True, debug=True,
            device=SCRIPTED, on=("MQ", "RING_RESET")),
)}

# The profiles that one queue pair can serve, traffic tests run on each.
SINGLE_PAIR = tuple(p.name for p in PROFILES.values() if p.nics == 1 and not p.special)
# What a guest may find as its host; see docs/peers.rst.
PEERS = ("modern-split", "packed-in-order", "user", "passt", "testpmd", "testpmd-packed",
         "ovs-dpdk", "mmio", "iommu", "swiotlb", "legacy")
# The same, of the guest's own kernel.
INNER_PEERS = ("vduse", "vduse-packed")
# A change of the life of the driver is tested on the extremes only.
CORE = ("modern-split", "packed", "legacy", "small", "big", "no-ctrl-vq", "mmio")


def get(name):
    try:
        return PROFILES[name]
    except KeyError:
        raise SetupError(f"there is no device profile {name!r}; there are: "
                         f"{' '.join(PROFILES)}") from None


def kernel_tuple(release):
    major, minor = release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))
