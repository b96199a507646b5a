# SPDX-License-Identifier: GPL-2.0
"""The link state follows the device."""

from lab import profiles
from lab.api import test


@test(profiles=["modern-split", "packed", "legacy", "mmio", "no-ctrl-vq"])
def down_up(env):
    "set_link off and on is seen by ip link; traffic stops and comes back."
    if env.profile.name == "packed":
        # QEMU miscounts what it drops of a packed ring while the link is down, says 'Virtqueue
        # size exceeded' and wants a reset.
        env.may_move("tx_purged", "reset_needs_reset", "stalls", "lost_notifications", "heal_*")
        env.may_say("packets are not completed", "resetting")
    for _ in range(3):
        env.set_link(False)
        env.wait(lambda: "NO-CARRIER" in env.guest.run(f"ip link show {env.nic}").out,
                 "ip link shows a carrier while the link is down")
        env.set_link(True)
        env.wait(lambda: "LOWER_UP" in env.guest.run(f"ip link show {env.nic}").out,
                 "ip link shows no carrier while the link is up")
        env.ping(count=1)


@test(profiles=["modern-split"], up=False)
def down_at_probe(env):
    "A link that is down when the driver binds is down, and comes up later."
    env.unbind()
    env.set_link(False)
    env.bind()
    env.find()
    env.guest.run(f"ip link set {env.nic} up")
    assert not env.carrier(), "there is a carrier while the link is down"
    env.set_link(True)
    env.wait_carrier()


@test(profiles=["modern-split", "packed"])
def change_while_down(env):
    "A link change while the interface is down is seen when it goes up."
    env.guest.run(f"ip link set {env.nic} down")
    env.set_link(False)
    env.guest.run(f"ip link set {env.nic} up; sleep 0.5")
    assert not env.carrier(), "there is a carrier while the link is down"
    env.set_link(True)
    env.wait_carrier()


@test(profiles=["no-status"])
def without_status(env):
    "Without STATUS the link is always up."
    assert env.carrier(), "no carrier"
    env.ping(count=1)


@test(profiles=profiles.CORE)
def counters(env):
    "rx and tx counters of ip -s link count the packets of a ping."
    def read():
        base = f"/sys/class/net/{env.nic}/statistics"
        return [int(n) for n in env.guest.run(
            f"cat {base}/rx_packets {base}/tx_packets {base}/rx_bytes {base}/tx_bytes "
            f"{base}/rx_errors {base}/tx_errors {base}/tx_dropped").out.split()]
    # nobody else has anything to say: no router solicitation, no multicast report
    env.guest.run(f"sysctl -q -w net.ipv6.conf.{env.nic}.disable_ipv6=1")
    env.ping(count=1)
    before = read()
    env.ping(count=20, sizes=[500])
    change = [b - a for a, b in zip(before, read())]
    # a round of ARP each way, and the host's side may ask for neighbours
    assert 20 <= change[1] <= 22, f"{change[1]} packets sent"
    assert 20 <= change[0] <= 26, f"{change[0]} packets received"
    for way, packets, size in (("received", change[0], change[2]), ("sent", change[1], change[3])):
        most = 20 * 542 + (packets - 20) * 110
        assert 20 * 542 <= size <= most, f"{size} bytes {way} in {packets} packets"
    assert not any(change[4:]), f"errors and drops: {change[4:]}"
