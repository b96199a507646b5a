# SPDX-License-Identifier: GPL-2.0
"""Settings as QEMU's device receives them, counters, and the rest of ethtool."""

from lab import profiles
from lab.api import test

from ._data import counters, qstats

FILTERS = ["modern-split", "packed", "legacy", "mmio"]
TOTALS = ("rx_packets", "rx_bytes", "rx_drops", "rx_xdp_packets", "rx_xdp_tx", "rx_xdp_redirects",
          "rx_xdp_drops", "rx_kicks", "tx_packets", "tx_bytes", "tx_xdp_tx", "tx_xdp_tx_drops",
          "tx_kicks", "tx_tx_timeouts")
OURS = {"drivers": ["vnet"]}


def rx_filter(env):
    return env.qmp("query-rx-filter", name="nic0")[0]


@test(profiles=FILTERS, **OURS)
def filter_state(env):
    "Address, modes, tables and VLANs are what QEMU's device was told, also after down/up."
    nic = env.nic
    env.guest.run(f"ip link set {nic} down; ip link set {nic} address 52:54:00:aa:bb:cc; "
                  f"ip link set {nic} up; ip link add link {nic} name v5 type vlan id 5; "
                  f"bridge fdb add 52:54:00:11:22:33 dev {nic} self; "
                  f"ip maddr add 01:00:5e:01:02:03 dev {nic}")
    try:
        for when in ("set", "after down/up"):
            state = rx_filter(env)
            assert state["main-mac"] == "52:54:00:aa:bb:cc", f"{when}: {state}"
            assert not state["promiscuous"], f"{when}: promiscuous"
            assert state["unicast-table"] == ["52:54:00:11:22:33"], f"{when}: {state}"
            assert "01:00:5e:01:02:03" in state["multicast-table"], f"{when}: {state}"
            assert 5 in state["vlan-table"], f"{when}: {state}"
            env.guest.run(f"ip link set {nic} promisc on allmulticast on")
            state = rx_filter(env)
            assert state["promiscuous"] and state["multicast"] == "all", f"{when}: {state}"
            env.guest.run(f"ip link set {nic} promisc off allmulticast off; "
                          f"ip link set {nic} down; ip link set {nic} up; ip link set v5 up")
    finally:
        env.guest.run("ip link del v5", check=False)


@test(profiles=["modern-split"], **OURS)
def many_addresses(env):
    "With more addresses than the device's table holds, all unicast frames are received."
    lines = "".join(f"fdb add 52:54:01:00:00:{i:02x} dev {env.nic} self\n" for i in range(70))
    env.guest.put(lines.encode(), "/tmp/fdb")
    env.guest.run("bridge -batch /tmp/fdb")
    state = rx_filter(env)
    assert state["unicast-overflow"] or state["promiscuous"] or state["unicast"] == "all", state
    env.ping(count=1)


@test(profiles=["modern-split", "packed"], **OURS)
def announce_self(env):
    "QEMU's announce-self is answered on the network and acknowledged."
    before = counters(env)
    env.qmp("announce-self", initial=50, max=550, rounds=3, step=100)
    env.wait(lambda: counters(env)["tx_packets"] >= before["tx_packets"] + 3,
             "fewer than 3 packets were sent")
    assert counters(env)["ctrl_refused"] == before["ctrl_refused"]


@test(profiles=profiles.CORE, **OURS)
def tools(env):
    "ethtool -i -k -l -g -c -T -d -t -S and ip -d work, with the in-tree driver's counters."
    nic = env.nic
    assert "driver: vnet" in env.guest.run(f"ethtool -i {nic}").out
    env.guest.run(f"for o in -k -l -g -c -T -d -S; do ethtool $o {nic} >/dev/null || exit; done; "
                  f"ip -d link show {nic}")
    assert "The test result is PASS" in env.guest.run(f"ethtool -t {nic}").out
    assert "software-transmit" in env.guest.run(f"ethtool -T {nic}").out
    words = int(env.guest.run(f"ethtool -d {nic} | grep -c 0x").out)
    assert words >= (40 + 16) * 4 // 16, f"a dump of {words} lines"
    now = counters(env)
    if env.kernel.version >= (7, 0):   # Debian's 6.12 is built without PAGE_POOL_STATS
        assert now["rx_pp_alloc_slow_ho"] + now["rx_pp_alloc_slow"] > 0, "no pages of the pools"
    for name in TOTALS:
        assert name in now, f"ethtool -S lacks {name}"
        direction, _, rest = name.partition("_")
        assert f"{direction}0_{rest}" in now, f"ethtool -S lacks {direction}0_{rest}"


@test(profiles=["modern-split", "mq", "small", "big"], **OURS)
def sums(env):
    "rtnl, netlink and ethtool count alike; queues that go out of use keep their share."
    def check(when):
        queues, strings = qstats(env), counters(env)
        base = f"/sys/class/net/{env.nic}/statistics"
        for key in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"):
            name = key.replace("_", "-")
            total = queues["device"][name]
            rtnl = int(env.guest.run(f"cat {base}/{key}").out)
            each = sum(q[name] for q in queues[key[:2]].values())
            # A few packets may come in between.
            room = 3000 if "bytes" in key else 20
            assert abs(rtnl - total) <= room, f"{when}: {key}: rtnl {rtnl}, netlink {total}"
            assert abs(strings[key] - total) <= room, f"{when}: {key}: ethtool {strings[key]}"
            assert each <= total + room, f"{when}: {key}: queues {each}, device {total}"
        return queues["device"]
    env.ping(count=50, sizes=[800])
    before = check("after a ping")
    if env.profile.name == "mq":
        env.guest.run(f"ethtool -L {env.nic} combined 1")
        less = check("with one queue")
        for key, value in before.items():
            assert less[key] >= value, f"{key} fell from {value} to {less[key]}"
        env.guest.run(f"ethtool -L {env.nic} combined 4")
    env.guest.run(f"ip link set {env.nic} down; ip link set {env.nic} up")
    after = check("after down/up")
    for key, value in before.items():
        assert after[key] >= value, f"{key} fell from {value} to {after[key]}"


@test(profiles=["rss"], **OURS)
def rss(env):
    "Table and key are read back; QEMU takes them; the table follows the channels."
    nic = env.nic
    key = ":".join(f"{i:02x}" for i in range(40))
    env.guest.run(f"ethtool -X {nic} hkey {key} equal 2")
    text = env.guest.run(f"ethtool -x {nic}").out
    assert key in text, text
    table = {n for line in text.splitlines() if line.strip()[:1].isdigit() and ": " in line
             for n in line.split(":")[1].split() if n.isdigit()}
    assert table == {"0", "1"}, text
    env.guest.run(f"ethtool -X {nic} default; ethtool -L {nic} combined 3")
    assert " 2 " in env.guest.run(f"ethtool -x {nic}").out
    env.ping()
    assert counters(env)["ctrl_refused"] == 0


@test(profiles=["modern-split", "legacy", "no-ctrl-vq"], **OURS)
def offload_switches(env):
    "RXCSUM and GRO_HW can be switched off and on where the device offers them."
    nic = env.nic
    for name, flag in (("rx", "rx-checksumming"), ("rx-gro-hw", "rx-gro-hw")):
        text = env.guest.run(f"ethtool -k {nic}").out
        if f"{flag}: on" not in text or f"{flag}: on [fixed]" in text:
            continue
        for state in ("off", "on"):
            env.guest.run(f"ethtool -K {nic} {name} {state}")
            assert f"{flag}: {state}" in env.guest.run(f"ethtool -k {nic}").out
            env.ping(count=2)


@test(profiles=["legacy"], **OURS)
def legacy_mac(env):
    "A legacy device without MAC_ADDR_SET has its address written to the configuration space."
    knob = "/sys/module/vnet/parameters/deny"
    try:
        env.unbind()
        env.guest.run(f"echo CTRL_MAC_ADDR > {knob}")
        env.bind()
        env.find()
        env.guest.run(f"ip link set {env.nic} address 52:54:00:aa:bb:cc")
        assert rx_filter(env)["main-mac"] == "52:54:00:aa:bb:cc", rx_filter(env)
    finally:
        env.guest.run(f"ip link set {env.nic} address {env.mac}; echo > {knob}")
