# SPDX-License-Identifier: GPL-2.0
"""What the device offers and what the driver takes."""

from lab.api import test
from lab.profiles import BITS, PROFILES

# (feature, what it depends on): none of the left without the right
DEPENDS = (
    ("GUEST_TSO4", "GUEST_CSUM"), ("GUEST_TSO6", "GUEST_CSUM"), ("GUEST_UFO", "GUEST_CSUM"),
    ("GUEST_USO4", "GUEST_CSUM"), ("GUEST_USO6", "GUEST_CSUM"), ("HOST_TSO4", "CSUM"),
    ("HOST_TSO6", "CSUM"), ("HOST_UFO", "CSUM"), ("HOST_USO", "CSUM"), ("CTRL_RX", "CTRL_VQ"),
    ("CTRL_VLAN", "CTRL_VQ"), ("CTRL_MAC_ADDR", "CTRL_VQ"), ("GUEST_ANNOUNCE", "CTRL_VQ"),
    ("MQ", "CTRL_VQ"), ("RSS", "CTRL_VQ"), ("HASH_REPORT", "CTRL_VQ"),
)
ALL = tuple(p.name for p in PROFILES.values())


# features that a driver can take only from this kernel on
SINCE = {"IN_ORDER": (7, 0), "HOST_UDP_TUNNEL_GSO": (6, 17), "GUEST_UDP_TUNNEL_GSO": (6, 17)}


def negotiated(env):
    """Names of the feature bits that driver and device agreed on."""
    bits = env.guest.run(f"cat /sys/bus/virtio/devices/{env.virtio}/features").out.strip()
    return {name for name, bit in BITS.items() if bit < len(bits) and bits[bit] == "1"}


@test(profiles=ALL)
def profile_is_real(env):
    "The driver takes the features that the profile is about, and none that it lacks."
    taken = negotiated(env)
    present = [name for name in env.profile.off if name in taken]
    assert not present, f"{present} should not be there"
    missing = [name for name in env.profile.on if name not in taken
               and env.kernel.version >= SINCE.get(name, (0, 0))]
    assert not missing, f"{missing} are offered and not taken"


@test(profiles=ALL)
def dependencies(env):
    "No feature is left negotiated without the one that it depends on."
    taken = negotiated(env)
    wrong = [f"{a} without {b}" for a, b in DEPENDS if a in taken and b not in taken]
    if env.driver != "vnet" and wrong:
        env.skip(f"{env.driver} takes {', '.join(wrong)}")
    assert not wrong, ", ".join(wrong)


@test(profiles=["mtu", "mtu-jumbo"])
def mtu(env):
    "The MTU that the device tells is the interface's and its maximum, and packets of it cross."
    want = int(env.profile.props["host_mtu"])
    have = int(env.guest.run(f"cat /sys/class/net/{env.nic}/mtu").out)
    assert have == want, f"the MTU is {have} and the device says {want}"
    refused = env.guest.run(f"ip link set {env.nic} mtu {want + 1}", check=False)
    assert refused.status, f"an MTU of {want + 1} was accepted"
    env.ping(sizes=[want - 28], options="-M do")


@test(profiles=["modern-split", "legacy", "mmio"])
def identity(env):
    "The MAC is the device's, ethtool -i names the driver and the bus, devlink the interface."
    mac = env.guest.run(f"cat /sys/class/net/{env.nic}/address").out.strip()
    assert mac == env.mac, f"{mac} is not {env.mac}"
    out = env.guest.run(f"ethtool -i {env.nic}").out
    assert f"driver: {env.driver}\n" in out, out
    parent = env.guest.run(f"basename $(readlink -f /sys/bus/virtio/devices/{env.virtio}/..)"
                           ).out.strip()
    bus = [line.split(": ", 1)[1] for line in out.splitlines() if line.startswith("bus-info")]
    assert bus and bus[0] in (parent, parent.split(".")[0], env.virtio), out
    if env.driver == "vnet":
        out = env.guest.run(f"devlink dev info virtio/{env.virtio}").out
        kind = "legacy" if env.profile.name == "legacy" else "modern"
        assert f"virtio.interface {kind}" in out and "virtio.id " in out, out
