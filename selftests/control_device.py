# SPDX-License-Identifier: GPL-2.0
"""Control commands as the scripted device receives them, refuses them or never answers."""

import json
import re
import struct
import time

from lab.api import test

from ._data import qstats
from ._scripted import MAC, OTHER, Scripted

EVERYTHING = ["default", "MQ", "CTRL_RX_EXTRA", "GUEST_ANNOUNCE", "NOTF_COAL", "VQ_NOTF_COAL",
              "RSS", "HASH_REPORT", "GUEST_TSO4", "GUEST_TSO6"]
ONE = {"profiles": ["modern-split"], "up": False, "timeout": 240, "drivers": ["vnet"]}
KEY = ":".join(["6d", "5a"] * 20)


def change_everything(nut):
    """Set everything that can be set, and see each command arrive."""
    nut.run("ip link set NIC address 52:54:00:aa:bb:cc")
    assert nut.sent("mac.addr")["decoded"]["mac"] == "52:54:00:aa:bb:cc"
    # The stack makes a link-local address of it when the interface comes up.
    nut.run("ip link set NIC down; ip link set NIC up")
    nut.run("ip link set NIC promisc on")
    assert nut.sent("rx.promisc")["data"] == "01"
    nut.run("ip link set NIC allmulticast on")
    assert nut.sent("rx.allmulti")["data"] == "01"
    nut.run("bridge fdb add 52:54:00:11:22:33 dev NIC self; "
            "ip maddr add 01:00:5e:01:02:03 dev NIC")
    table = nut.sent("mac.table")["decoded"]
    assert table["unicast"] == ["52:54:00:11:22:33"], table
    assert "01:00:5e:01:02:03" in table["multicast"], table
    nut.run("ip link add link NIC name v5 type vlan id 5")
    assert nut.sent("vlan.add")["decoded"]["vid"] == 5
    nut.run("ethtool -C NIC rx-usecs 16 rx-frames 8 tx-usecs 20 tx-frames 4")
    assert nut.sent("coal.rx")["data"] == "0800000010000000"
    assert nut.sent("coal.tx")["data"] == "0400000014000000"
    nut.run("ethtool -Q NIC queue_mask 2 --coalesce rx-usecs 5")
    assert nut.sent("coal.vq_set")["decoded"] == {"vq": 2, "max_packets": 8, "max_usecs": 5}
    nut.run(f"ethtool -X NIC hkey {KEY} weight 3 1")
    rss = nut.sent("mq.rss")["decoded"]
    assert rss["key"] == KEY.replace(":", "") and rss["max_tx_vq"] == 2, rss
    assert rss["table"].count(0) == 3 * len(rss["table"]) // 4, rss["table"]
    types = rss["hash_types"]
    nut.run("ethtool -N NIC rx-flow-hash udp4 sd")
    assert nut.sent("mq.rss")["decoded"]["hash_types"] == types & ~4
    nut.run("ethtool -K NIC rx-gro-hw off")
    assert nut.sent("offloads.set")["decoded"]["offloads"] == ["GUEST_CSUM"]
    nut.run("ethtool -G NIC rx 128 tx 64")
    nut.run("ethtool -s NIC speed 10000 duplex full msglvl 7")
    nut.run("ethtool --set-tunable NIC rx-copybreak 200")


def function_reset(nut):
    """A function level reset: the driver's two halves of suspend, where the kernel has it."""
    if nut.env.kernel.version >= (7, 0):
        nut.run("echo 1 > $(readlink -f /sys/class/net/NIC/device/..)/reset", timeout=60)


@test(**ONE, quick=True)
def survive(env):
    "Every setting reaches the device, reads back, and survives a reset, down/up and an FLR."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        change_everything(nut)
        nut.ping()
        control, settings = nut.control(), nut.settings()
        assert control["rx"]["promisc"] == 1 and control["vlans"] == [0, 5], control
        assert "symmetric-rss: on" in str(settings["ethtool --show-priv-flags"])
        nut.reset()
        nut.same(control, settings, "after a reset")
        nut.ping()
        nut.run("ip link set NIC down; ip link set NIC up; ip link set v5 up")
        nut.same(control, settings, "after down/up")
        nut.ping()
        function_reset(nut)
        nut.same(control, settings, "after suspend and resume")
        nut.ping()


@test(**ONE)
def set_while_down(env):
    "What is set while the interface is down is in force when it comes up."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("ip link set NIC down")
        nut.run("ip link set NIC address 52:54:00:aa:bb:cc; ethtool -L NIC combined 1; "
                "ethtool -C NIC rx-usecs 9; ethtool -K NIC rx-gro-hw off; "
                "ethtool -Q NIC queue_mask 1 --coalesce tx-usecs 7; ip link set NIC promisc on; "
                "ip link set NIC up")
        nut.ping()
        control = nut.control()
        assert control["mac"] == "52:54:00:aa:bb:cc"
        assert control["rss"]["max_tx_vq"] == 1 and not any(control["rss"]["table"])
        assert control["coalesce"]["rx"] == [0, 9] and control["vq_coalesce"] == {"1": [1, 7]}
        assert control["offload_names"] == ["GUEST_CSUM"]
        assert control["rx"]["promisc"] == 1


@test(**ONE)
def refused(env):
    "A command that the device refuses gives an error, and the old state stands on both sides."
    commands = {
        "mac.addr": "ip link set NIC address 52:54:00:aa:bb:cc",
        "vlan.add": "ip link add link NIC name v9 type vlan id 9",
        "coal.rx": "ethtool -C NIC rx-usecs 3 tx-usecs 9",
        "coal.tx": "ethtool -C NIC rx-usecs 3 tx-usecs 9",
        "coal.vq_set": "ethtool -Q NIC queue_mask 1 --coalesce rx-usecs 5",
        "offloads.set": "ethtool -K NIC rx-gro-hw off",
        "mq.rss": "ethtool -X NIC equal 1",
    }
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("ip link add link NIC name v5 type vlan id 5")
        control, settings = nut.control(), nut.settings()
        for name, command in commands.items():
            nut.device.fault(cmd=name, action="refuse", count=1)
            nut.refused(command)
            nut.device.clear()
            nut.same(control, settings, f"after '{command}' was refused")
        for command in (f"ethtool -X NIC hkey {KEY}", "ethtool -N NIC rx-flow-hash udp4 sd",
                        "ethtool --set-priv-flags NIC symmetric-rss on",
                        "ethtool -L NIC combined 1"):
            nut.device.fault(cmd="mq.rss", action="refuse", count=1, apply=True)
            nut.refused(command)
            nut.device.clear()
            nut.same(control, settings, f"after '{command}' was refused")
        nut.ping()


@test(**ONE)
def bad_answers(env):
    "An answer that makes no sense is an error and nothing else."
    faults = [{"status": 255}, {"status": 2}, {"used_len": 0}, {"status": 254, "apply": False}]
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        for fault in faults:
            nut.device.fault(cmd="mac.addr", action="answer", count=1, **fault)
            nut.refused("ip link set NIC address 52:54:00:aa:bb:cc")
            assert MAC in nut.out("ip link show NIC"), f"{fault}: the address has changed"
            assert nut.control()["mac"] == MAC, f"{fault}: the device has another address"
        nut.device.fault(cmd="coal.vq_get", action="answer", used_len=3)
        nut.run("ethtool -C NIC rx-usecs 4")
        # taken for an answer, three bytes would say that there are none
        assert "rx-usecs: 4" in nut.out("ethtool -Q NIC queue_mask 1 --show-coalesce")
        nut.sent("coal.vq_get")
        nut.ping()


@test(**ONE)
def receive_modes(env):
    "The finer receive modes follow the flags and lists of the interface."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        rx = nut.control()["rx"]
        assert not any(rx.values()), rx
        nut.run("ip link set NIC promisc on; ip link set NIC promisc off")
        assert not any(nut.control()["rx"].values())
        nut.run("sysctl -qw net.ipv6.conf.NIC.disable_ipv6=1; ip addr flush dev NIC; "
                "ip link set NIC multicast off; ip maddr del 01:00:5e:00:00:01 dev NIC; "
                "ip link set NIC down; ip link set NIC up; sleep 0.5", check=False)
        multicast = nut.control()["multicast"]
        assert bool(nut.control()["rx"]["nomulti"]) == (not multicast), multicast


@test(**ONE, quick=True)
def unanswered(env):
    "A command that is never answered ends in time, and the device is reset."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("echo 1000 > /sys/module/vnet/parameters/ctrl_timeout_ms")
        for command in ("ethtool -C NIC rx-usecs 5", "ip link set NIC address 52:54:00:aa:bb:cc",
                        f"ethtool -X NIC hkey {KEY}"):
            control, settings = nut.control(), nut.settings()
            before = nut.counters()
            nut.device.fault(cmd="*", action="never", count=1)
            job = nut.guest.start("sleep 0.3; bash -c 'time -p ip link add type dummy'")
            text = nut.run(f"bash -c 'time -p {command}'", check=False).err
            other = job.wait(30).err
            assert "timed out" in text, text
            seconds = float(re.search(r"real ([\d.]+)", text)[1])
            assert 0.9 <= seconds < 4, f"'{command}' took {seconds} s"
            seconds = float(re.search(r"real ([\d.]+)", other)[1])
            assert seconds < 4, f"beside '{command}', another interface took {seconds} s"
            env.wait(lambda count=before["reset_ctrl_timeout"]:
                     nut.counters()["reset_ctrl_timeout"] > count, "the device was not reset")
            nut.same(control, settings, f"after '{command}' was not answered")
            assert nut.counters()["ctrl_timeouts"] == before["ctrl_timeouts"] + 1
            nut.ping()


@test(**ONE)
def answered_late(env):
    "A command that is answered after its caller gave up changes nothing."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("echo 300 > /sys/module/vnet/parameters/ctrl_timeout_ms")
        control, settings = nut.control(), nut.settings()
        before = nut.counters()
        for _ in range(5):
            nut.device.fault(cmd="coal.rx", action="delay", seconds=0.31, count=1)
            nut.run("ethtool -C NIC rx-usecs 5", check=False)
            nut.run("ethtool -C NIC rx-usecs 0; sleep 0.5", check=False)
        now = nut.counters()
        assert now["ctrl_timeouts"] > before["ctrl_timeouts"], "no command was late"
        assert now["ctrl_late"] > before["ctrl_late"], "a late answer was not counted as one"
        nut.run("ethtool -C NIC rx-usecs 0")
        nut.same(control, settings, "after late answers")
        nut.ping()


@test(**ONE)
def unload_while_unanswered(env):
    "The module unloads while a command hangs, and while the device answers nothing."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("echo 3000 > /sys/module/vnet/parameters/ctrl_timeout_ms")
        nut.device.fault(cmd="*", action="never")
        job = nut.guest.start(f"ethtool -C {nut.nic} rx-usecs 5")
        text = nut.run("sleep 0.3; bash -c 'time -p rmmod vnet'", timeout=60).err
        seconds = float(re.search(r"real ([\d.]+)", text)[1])
        assert seconds < 15, f"rmmod took {seconds} s"
        job.wait(30)
        nut.device.clear()


@test(**ONE)
def bind_unanswered(env):
    "A device that answers no command is used without, and told everything when the user asks."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("echo 500 > /sys/module/vnet/parameters/ctrl_timeout_ms")
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        bus = "/sys/bus/virtio/drivers/vnet"
        nut.run(f"echo {name} > {bus}/unbind", timeout=60)
        nut.device.fault(cmd="*", action="never")
        nut.run(f"bash -c 'time -p echo {name} > {bus}/bind'", timeout=60)
        nut.up()
        nut.ping()
        spent = env.stopwatch()
        text = nut.refused("ethtool -C NIC rx-usecs 5")
        assert spent() < 3, f"it took long to say: {text}"
        assert nut.counters()["ctrl_skipped"], "nothing was left out"
        ctrl = f"virtio/{name} reporter ctrl"
        assert "unanswered" in nut.out(f"devlink health diagnose {ctrl}")
        assert "state error" in nut.out(f"devlink health show {ctrl}")
        nut.device.clear()
        nut.run(f"devlink health recover {ctrl}", timeout=60)
        nut.run("ethtool -C NIC rx-usecs 5")
        nut.sent("coal.rx")
        nut.ping()


@test(**ONE)
def hash_switch(env):
    "RXHASH off and on leaves steering alone; hash fields of one flow type leave the others alone."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("ethtool -K NIC rxhash off; ethtool -K NIC rxhash on")
        nut.not_sent("mq.rss")
        types = nut.control()["rss"]["hash_types"]
        for flow, fields, off in (("udp6", "sd", 0x120), ("tcp4", "sd", 0x122),
                                  ("udp6", "sdfn", 2), ("tcp4", "sdfn", 0)):
            nut.run(f"ethtool -N NIC rx-flow-hash {flow} {fields}")
            now = nut.control()["rss"]["hash_types"]
            assert now == types & ~off, f"{flow} {fields}: hash types {now:#x} of {types:#x}"
        # Addresses of TCP packets are hashed as long as those of IP packets are.
        nut.refused("ethtool -N NIC rx-flow-hash tcp4 r")


@test(**ONE, quick=True)
def bad_input(env):
    "What is out of range is refused, and the message names the limit."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        control, settings = nut.control(), nut.settings()
        nut.refused("ethtool -L NIC combined 3")
        nut.refused("ethtool -L NIC combined 0")
        nut.refused("ethtool -G NIC rx 100000")
        nut.refused("ethtool -G NIC rx 100", "power of two")
        nut.refused("ethtool -G NIC rx 0", "at least one entry")
        nut.refused("ethtool -G NIC rx-buf-len 5000", "2048", "32768")
        nut.refused("ethtool -X NIC hfunc xor")
        nut.refused("ethtool -X NIC weight 0 0 1")
        nut.refused("ethtool -N NIC rx-flow-hash tcp4 v")
        nut.refused("ethtool -C NIC adaptive-rx on rx-usecs 7", "adaptive")
        nut.refused("ethtool -C NIC rx-usecs-irq 7")
        nut.refused("ethtool -Q NIC queue_mask 8 --coalesce rx-usecs 5")
        nut.refused("ethtool --set-tunable NIC rx-copybreak 99999")
        nut.refused("ethtool --set-priv-flags NIC hash-inner on")
        nut.refused("ethtool -s NIC speed 10000 duplex full autoneg on")
        nut.refused("ip link set NIC address 01:00:5e:00:00:01")
        nut.refused("ip link set NIC mtu 9000")
        nut.same(control, settings, "after bad input")


@test(**ONE)
def announce(env):
    "An announcement is acknowledged and repeated; a reset announces, too."
    def arps():
        return len([f for f in nut.device.sent() if f["frame"][12:14] == b"\x08\x06"
                    and f["frame"][:6] == b"\xff" * 6])
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.ping()
        before, mark = arps(), nut.device.mark()
        nut.device.announce()
        nut.device.wait_command("announce.ack", mark)
        env.wait(lambda: arps() >= before + 3, "fewer than 3 announcements")
        before = arps()
        nut.reset()
        env.wait(lambda: arps() > before, "no announcement after a reset")


@test(**ONE)
def adaptive(env):
    "Adaptive moderation tells the device what it chose; switching it off gives the values back."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("ethtool -L NIC combined 1; ethtool -C NIC rx-usecs 3 rx-frames 1")
        nut.run("ethtool -C NIC adaptive-rx on")
        assert "Adaptive RX: on" in nut.out("ethtool -c NIC")
        mark = nut.device.mark()
        job = nut.guest.start(f"ping -q -f -c 200000 {OTHER}")
        nut.device.wait_command("coal.vq_set", mark, timeout=60)
        job.kill("INT")
        nut.run("ethtool -C NIC adaptive-rx off")
        assert nut.sent("coal.rx")["data"] == "0100000003000000"
        control = nut.control()
        assert control["vq_coalesce"].get("0", [1, 3]) == [1, 3], control["vq_coalesce"]


@test(**ONE)
def queue_reset(env):
    "A queue that is reset by itself, because it stands still, is told its own coalescing again."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.run("ethtool -L NIC combined 1; ethtool -C NIC rx-usecs 3 rx-frames 1")
        nut.run("ethtool -Q NIC queue_mask 1 --coalesce tx-usecs 7 tx-frames 1")
        nut.ping()
        control, mark = nut.control(), nut.device.mark()
        assert control["vq_coalesce"] == {"1": [1, 7]}, control["vq_coalesce"]
        for kind in ("queue-reset", "reset"):
            nut.device.when({"kind": kind}, {"op": "clear"})
        nut.device.fault(queue="tx0", action="hold")
        job = nut.guest.start(f"ping -q -i 0.2 {OTHER}")
        nut.device.wait(lambda: nut.device.log("queue-reset", mark), 30, "a reset of the queue")
        env.wait(lambda: nut.control() == control, f"{control} became {nut.control()}")
        job.kill("INT")
        nut.ping()
        assert not nut.device.log("reset", mark), "the whole device was reset"


def record(kind, vq, size, values=b""):
    """One record of a reply to a question for counters."""
    return (struct.pack("<BBHHH", kind, 0, vq, 0, size) + values).hex()


@test(**ONE)
def statistics(env):
    "The device's counters are shown; replies that make no sense are refused and counted."
    with Scripted(env, pairs=2, features=EVERYTHING + ["DEVICE_STATS"]) as nut:
        nut.ping()
        now = nut.counters()
        assert now["rx0_hw_packets"] + now["rx1_hw_packets"] >= 3, now
        assert now["tx0_hw_packets"] + now["tx1_hw_packets"] >= 3, now
        assert now["cq_hw_command_num"] > 0 and now["hw_stats_errors"] == 0, now
        device = qstats(nut)["device"]
        assert "rx-hw-drops" in device and "tx-hw-drop-errors" in device, device
        big = struct.pack("<6Q", *[1 << 60] * 6)
        for reply in ("", "00", record(0, 0, 0) * 20, record(0, 0, 7), record(0, 0, 0xffff),
                      record(0, 0, 56), record(0, 0xffff, 56, big), record(99, 0, 56, big),
                      record(16, 0, 56, big), record(0, 0, 55, big), "ff" * 300):
            nut.device.fault(cmd="stats.get", action="answer", reply=reply)
            shown = nut.counters()
            assert list(shown) == list(now), f"reply {reply}: other counters than before"
            assert all(value < 1 << 60 for value in shown.values()), f"reply {reply}: {shown}"
            qstats(nut)
            nut.device.clear()
        assert nut.counters()["hw_stats_errors"] > 0
        nut.device.fault(cmd="stats.get", action="refuse")
        errors = nut.counters()["hw_stats_errors"]
        assert nut.counters()["hw_stats_errors"] > errors
        nut.device.clear()
        assert nut.counters()["rx0_hw_packets"] >= now["rx0_hw_packets"]
        nut.ping()


@test(**ONE)
def statistics_unknown(env):
    "A device that names counters nobody knows, or does not say, shows what is known."
    with Scripted(env, pairs=2, features=EVERYTHING + ["DEVICE_STATS"]) as nut:
        for fault in ({"action": "answer", "reply": "ff" * 8}, {"action": "answer", "reply": "ff"},
                      {"action": "refuse"}):
            nut.rebind()
            nut.device.fault(cmd="stats.query", **fault)
            assert "rx_packets" in nut.counters()
            nut.device.clear()
        nut.device.violations(clear=True)


@test(**ONE, kernel_min=(6, 17))
def contexts(env):
    "RSS contexts are created, changed, told again after a reset, and removed."
    features = EVERYTHING + ["RSS_CONTEXT"]
    with Scripted(env, pairs=2, features=features) as nut:
        assert "New RSS context is 1" in nut.out("ethtool -X NIC context new equal 1")
        assert not any(nut.control()["rss_contexts"]["1"]["table"])
        nut.run(f"ethtool -X NIC context 1 hkey {KEY}")
        context = nut.control()["rss_contexts"]["1"]
        assert context["key"] == KEY.replace(":", "") and not any(context["table"]), context
        nut.run("ethtool -N NIC rx-flow-hash udp4 sd")
        types = nut.control()["rss"]["hash_types"]
        assert nut.control()["rss_contexts"]["1"]["hash_types"] == types
        control, settings = nut.control(), nut.settings()
        nut.reset()
        nut.same(control, settings, "after a reset")
        nut.device.fault(cmd="rss_ctx.add", action="refuse", count=1)
        nut.refused("ethtool -X NIC context new equal 1")
        nut.run("ethtool -X NIC context 1 delete")
        assert not nut.control()["rss_contexts"]
        for number in range(8):
            nut.run(f"ethtool -X NIC context new equal {number % 2 + 1}")
        nut.refused("ethtool -X NIC context new equal 1")


@test(**ONE)
def self_test(env):
    "ethtool -t passes, and says so when the control queue does not answer."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        text = nut.out("ethtool -t NIC")
        assert "The test result is PASS" in text, text
        nut.run("echo 500 > /sys/module/vnet/parameters/ctrl_timeout_ms")
        nut.device.fault(cmd=[0, "*"], action="never", count=1)
        text = nut.run("ethtool -t NIC", check=False).out
        assert "FAIL" in text, text
        assert "0x" in nut.out("ethtool -d NIC")


@test(**ONE)
def table_refused(env):
    "An address table that the device refuses is replaced by receiving all of that kind."
    for features, mode in ((EVERYTHING, "alluni"), (EVERYTHING + ["-CTRL_RX_EXTRA"], "promisc")):
        with Scripted(env, pairs=2, features=features) as nut:
            nut.device.fault(cmd="mac.table", action="refuse")
            nut.run("bridge fdb add 52:54:00:11:22:33 dev NIC self; sleep 0.5")
            rx = nut.control()["rx"]
            assert rx[mode] == 1 and rx["allmulti"] == 1, rx
            nut.device.clear()
            nut.run("bridge fdb del 52:54:00:11:22:33 dev NIC self; sleep 0.5")
            rx = nut.control()["rx"]
            assert rx[mode] == 0 and rx["allmulti"] == 0, rx
            nut.ping()


@test(**ONE)
def hash_only(env):
    "A device that reports hashes and does not steer gets HASH_CONFIG; RXHASH switches it."
    features = ["default", "HASH_REPORT"]
    with Scripted(env, pairs=2, features=features) as nut:
        config = nut.device.commands("mq.hash")[-1]["decoded"]
        assert config["hash_types"], config
        assert "receive-hashing: on" in nut.out("ethtool -k NIC")
        nut.run("ethtool -K NIC rxhash off")
        assert nut.sent("mq.hash")["decoded"]["hash_types"] == 0
        nut.run("ethtool -K NIC rxhash on")
        assert nut.sent("mq.hash")["decoded"]["hash_types"] == config["hash_types"]
        nut.run("ethtool -N NIC rx-flow-hash tcp4 sd")
        assert nut.sent("mq.hash")["decoded"]["hash_types"] == config["hash_types"] & ~2
        nut.refused("ethtool -X NIC equal 1")


@test(**ONE)
def hash_after_pairs(env):
    "HASH_CONFIG follows every number of queue pairs: QEMU's device forgets the one by the other."
    def order(since=0):
        return [entry["name"] for entry in nut.device.commands(since=since)
                if entry["name"] in ("mq.pairs", "mq.hash")]

    with Scripted(env, pairs=4, features=["default", "MQ", "HASH_REPORT"]) as nut:
        assert order()[-2:] == ["mq.pairs", "mq.hash"], order()
        nut.run("ethtool -L NIC combined 2")
        # at once, and not when the device is reset for something else
        assert order(nut.since)[:2] == ["mq.pairs", "mq.hash"], order(nut.since)


@test(**ONE)
def user_table(env):
    "The user's table survives a change of the channels; without one it follows them."
    with Scripted(env, pairs=4, features=EVERYTHING) as nut:
        nut.run("ethtool -L NIC combined 2")
        assert set(nut.control()["rss"]["table"]) == {0, 1}
        nut.run("ethtool -L NIC combined 4")
        assert set(nut.control()["rss"]["table"]) == {0, 1, 2, 3}
        nut.run("ethtool -X NIC equal 2")
        table = nut.control()["rss"]["table"]
        nut.run("ethtool -L NIC combined 3")
        assert nut.control()["rss"]["table"] == table
        nut.refused("ethtool -L NIC combined 1")
        nut.run("ethtool -X NIC default")
        assert set(nut.control()["rss"]["table"]) == {0, 1, 2}


@test(**ONE)
def without_features(env):
    "Without the features, the settings are refused, or the driver's, and the device is not asked."
    with Scripted(env, pairs=2, features=["default"]) as nut:
        nut.refused("ethtool -X NIC context new")
        mark = nut.device.mark()
        nut.run("ethtool -C NIC rx-usecs 5; ethtool -Q NIC queue_mask 1 --coalesce rx-usecs 6")
        assert not [e for e in nut.device.log("command", mark) if "coal" in str(e)]
        nut.refused("ethtool -X NIC equal 1")
        nut.refused("ethtool -N NIC rx-flow-hash tcp4 sdfn")
        nut.refused("ethtool -L NIC combined 2")
        nut.ping()


@test(**ONE)
def queue_coalescing_only(env):
    "A device that coalesces per virtqueue only gets the global values queue by queue."
    features = ["default", "MQ", "VQ_NOTF_COAL"]
    with Scripted(env, pairs=2, features=features) as nut:
        nut.run("ethtool -C NIC rx-usecs 5 rx-frames 2")
        assert nut.control()["vq_coalesce"] == {"0": [2, 5], "2": [2, 5]}
        nut.run("ethtool -L NIC combined 1; ethtool -C NIC rx-usecs 6; ethtool -L NIC combined 2")
        assert nut.control()["vq_coalesce"]["2"] == [2, 6]


def interrupts(nut, name):
    """Interrupts of a virtqueue so far."""
    return sum(int(n) for line in nut.guest.run("cat /proc/interrupts").out.splitlines()
               if line.endswith(name) for n in line.split()[1:] if n.isdigit())


@test(**ONE)
def tx_frames_zero(env):
    "With tx-frames 0 packets are orphaned: sent and completed without interrupts, on any device."
    for features in (EVERYTHING, ["default"]):
        with Scripted(env, pairs=2, features=features) as nut:
            nut.run("ethtool -L NIC combined 1", check=False)
            assert "tx-frames:\t1" in nut.out("ethtool -c NIC")
            nut.ping()
            assert interrupts(nut, "output.0"), "no interrupts of completions before"
            nut.run("ethtool -C NIC tx-frames 0")
            assert "tx-frames:\t0" in nut.out("ethtool -c NIC")
            nut.ping()
            before, counters = interrupts(nut, "output.0"), nut.counters()
            nut.guest.run(f"ping -q -i 0.01 -c 200 -W 5 {OTHER}")
            count = interrupts(nut, "output.0") - before
            assert count <= 2, f"{count} interrupts for 200 packets"
            # A ring that is full stops and wakes the queue.
            nut.run("ethtool -G NIC tx 32")
            nut.guest.run(f"ping -q -f -l 100 -c 2000 -s 1000 {OTHER}", timeout=60)
            nut.run("ip link set NIC down; ip link set NIC up")
            nut.ping()
            nut.reset()
            nut.ping()
            assert "tx-frames:\t0" in nut.out("ethtool -c NIC")
            nut.run("sleep 3")
            now = nut.counters()
            for name in ("lost_interrupts", "stalls", "heal_queue_resets"):
                assert now[name] == counters[name], f"{name} rose to {now[name]}"
            nut.run("ethtool -C NIC tx-frames 1")
            before = interrupts(nut, "output.0")
            nut.ping()
            assert interrupts(nut, "output.0") > before, "no interrupts of completions after"


def lost_table(nut):
    """A table of the user's that went with its queues does not keep all packets on the first."""
    nut.run("ethtool -X NIC weight 1 3")
    nut.device.fault(cmd="mq.rss", action="refuse")
    nut.reset()
    nut.env.wait(lambda: len(nut.guest.run(f"ls -d /sys/class/net/{nut.nic}/queues/tx-*"
                                           ).out.split()) == 1, "two queues are left")
    nut.device.clear()
    nut.run("ethtool -L NIC combined 2")
    table = nut.control()["rss"]["table"]
    assert table.count(1) == len(table) // 2, table
    nut.run("ethtool -X NIC weight 1 3")
    nut.reset()
    assert nut.control()["rss"]["table"].count(1) == 3 * len(table) // 4


@test(**ONE)
def one_pair(env):
    "A device that refuses several queue pairs is used with one, and takes more when it can."
    mq = [name for name in EVERYTHING if name not in ("RSS", "HASH_REPORT")]
    for features, command in ((EVERYTHING, "mq.rss"), (mq, "mq.pairs")):
        with Scripted(env, pairs=2, features=features) as nut:
            nut.device.fault(cmd=command, action="refuse")
            nut.reset()
            env.wait(lambda: len(nut.guest.run(f"ls -d /sys/class/net/{nut.nic}/queues/tx-*"
                                               ).out.split()) == 1, "two queues are left")
            assert re.findall(r"Combined:\s+(\d)", nut.out("ethtool -l NIC")) == ["2", "1"]
            nut.ping()
            nut.refused("ethtool -L NIC combined 2")
            nut.rebind()
            assert re.findall(r"Combined:\s+(\d)", nut.out("ethtool -l NIC")) == ["2", "1"]
            nut.ping()
            nut.device.clear()
            nut.run("ethtool -L NIC combined 2")
            assert nut.control()["pairs"] == 2
            nut.ping()
            if command == "mq.rss":
                lost_table(nut)
            assert "refuses 2 queue pairs" in nut.guest.run("dmesg").out


@test(**ONE)
def messages(env):
    "ethtool -s msglvl chooses what is logged."
    def lines():
        return nut.guest.run("dmesg").out.count("the device needs a reset")
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        before = lines()
        nut.run("ethtool -s NIC msglvl hw off")
        nut.reset()
        assert lines() == before, "logged, although it is switched off"
        nut.run("ethtool -s NIC msglvl hw on; sleep 2")
        nut.reset()
        assert lines() == before + 1, "not logged, although it is switched on"


@test(**ONE)
def given_up(env):
    "A device that was given up refuses settings; the old ones are in force when it is revived."
    commands = ("ip link set NIC address 52:54:00:aa:bb:cc", "ip link set NIC mtu 1300",
                "ip link add link NIC name v9 type vlan id 9", "ethtool -L NIC combined 1",
                "ethtool -G NIC rx 64", "ethtool -C NIC rx-usecs 3",
                "ethtool -Q NIC queue_mask 1 --coalesce rx-usecs 5", "ethtool -X NIC equal 1",
                "ethtool -N NIC rx-flow-hash udp4 sd", "ethtool -K NIC rx-gro-hw off",
                "ethtool -K NIC rxhash off", "ethtool --set-tunable NIC rx-copybreak 99",
                "ethtool --set-priv-flags NIC symmetric-rss on")
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        control, settings = nut.control(), nut.settings()
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        nut.device.fault(device="features-ok", action="refuse")
        nut.device.needs_reset()
        env.wait(lambda: nut.counters()["heal_given_up"], "it was not given up", 40)
        for command in commands:
            nut.refused(command)
        nut.run("ethtool -k NIC; ethtool -c NIC; ethtool -S NIC; ethtool -t NIC", check=False)
        nut.device.clear()
        nut.run(f"devlink health recover virtio/{name} reporter device")
        nut.same(control, settings, "after it was revived")
        nut.ping()


@test(**ONE)
def deny(env):
    "Features that the module parameter denies are not used, of one device or of all."
    def taken():
        bits = nut.out("cat /sys/class/net/NIC/device/features").strip()
        return {name for name, bit in (("MQ", 22), ("CTRL_VLAN", 19), ("VERSION_1", 32),
                                       ("RSS", 60)) if bits[bit] == "1"}
    knob = "/sys/module/vnet/parameters/deny"
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        bus = nut.out("basename $(readlink -f /sys/class/net/NIC/device/..)").strip()
        every = {"MQ", "CTRL_VLAN", "VERSION_1", "RSS"}
        try:
            for text, without in (("CTRL_VLAN", {"CTRL_VLAN"}),
                                  (f"{name}/RSS,virtio99/MQ", {"RSS"}),
                                  (f"{bus}/MQ,CTRL_VLAN", {"MQ", "CTRL_VLAN"}),
                                  ("VERSION_1,NONSENSE,/,", set())):
                nut.run(f"echo {text} > {knob}")
                nut.rebind()
                assert taken() == every - without, f"deny={text}: {taken()}"
                nut.ping()
            assert "not all of this can be denied" in nut.guest.run("dmesg").out
        finally:
            nut.run(f"echo > {knob}")


@test(**ONE)
def hash_tunnel(env):
    "Inner headers of tunnels are hashed when the user asks; it survives a reset."
    with Scripted(env, pairs=2, features=EVERYTHING + ["HASH_TUNNEL"]) as nut:
        assert not nut.control()["tunnel_types"]
        nut.device.fault(cmd="hash.tunnel", action="refuse", count=1)
        nut.refused("ethtool --set-priv-flags NIC hash-inner on")
        nut.device.clear()
        nut.run("ethtool --set-priv-flags NIC hash-inner on")
        types = nut.sent("hash.tunnel")["decoded"]["tunnel_types"]
        assert types and nut.control()["tunnel_types"] == types
        control, settings = nut.control(), nut.settings()
        nut.reset()
        nut.same(control, settings, "after a reset")
        nut.run("ethtool --set-priv-flags NIC hash-inner off")
        assert not nut.control()["tunnel_types"]


@test(**ONE)
def bad_configuration(env):
    "Fields of the configuration space that make no sense cost their feature, and no more."
    cases = (({"rss_max_table": 0}, "RSS"), ({"rss_max_key_size": 20}, "RSS"),
             ({"hash_types": 0}, "HASH_REPORT"), ({"max_virtqueue_pairs": 0}, "MQ"),
             ({"mtu": 40}, "MTU"), ({"mac": "01:00:5e:00:00:01"}, "MAC"))
    features = EVERYTHING + ["MTU"]
    good = {"rss_max_table": 128, "rss_max_key_size": 40, "hash_types": 0x1ff,
            "max_virtqueue_pairs": 2, "mtu": 1500, "mac": MAC}
    with Scripted(env, pairs=2, features=features) as nut:
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        bus = "/sys/bus/virtio/drivers/vnet"
        try:
            for values, feature in cases:
                nut.guest.run(f"echo {name} > {bus}/unbind; dmesg -c >/dev/null")
                nut.device.config(interrupt=False, **{**good, **values})
                nut.guest.run(f"echo {name} > {bus}/bind", timeout=60)
                text = nut.guest.run("dmesg").out
                assert text.count(f"feature {feature} (") == 1, f"{values}: {text}"
                nut.nic = nut.out("ls /sys/bus/virtio/devices/" + name + "/net").strip()
                nut.run("ip addr add 192.0.2.1/24 dev NIC; ip link set NIC up")
                nut.ping()
        finally:
            nut.device.config(interrupt=False, **good)


@test(**ONE)
def standby(env):
    "A standby device gets a failover master, through which packets flow; its MAC is not its own."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        bus = "/sys/bus/virtio/drivers/vnet"
        nut.guest.run(f"echo {name} > {bus}/unbind")
        nut.device.call("offer", features=EVERYTHING + ["STANDBY"])
        nut.guest.run(f"echo {name} > {bus}/bind", timeout=60)
        links = json.loads(nut.guest.run("ip -d -j link show").out)
        ours = [link for link in links if link.get("address") == MAC]
        slave = [link for link in ours if "master" in link]
        assert len(ours) == 2 and len(slave) == 1, ours
        master, nut.nic = slave[0]["master"], slave[0]["ifname"]
        assert nut.out("cat /sys/class/net/NIC/phys_port_name").strip() == "sby"
        nut.refused("ip link set NIC address 52:54:00:aa:bb:cc")
        nut.guest.run(f"ip addr add 192.0.2.1/24 dev {master}; ip link set {master} up")
        env.wait(lambda: nut.guest.run(f"cat /sys/class/net/{master}/carrier").out.strip() == "1",
                 "the master has no carrier")
        nut.ping()
        nut.reset()
        nut.ping()
        nut.guest.run(f"echo {name} > {bus}/unbind", timeout=60)
        assert not nut.guest.interface(MAC), "the master is left"
        nut.device.call("offer", features=EVERYTHING)
        nut.guest.run(f"echo {name} > {bus}/bind", timeout=60)
        nut.up()


@test(**ONE)
def mac_without_command(env):
    "Without MAC_ADDR_SET another address is an entry of the table; a random one is told."
    with Scripted(env, pairs=2, features=EVERYTHING + ["-CTRL_MAC_ADDR"]) as nut:
        assert not nut.control()["unicast"]
        nut.run("ip link set NIC address 52:54:00:aa:bb:cc")
        assert nut.control()["unicast"] == ["52:54:00:aa:bb:cc"]
        nut.ping()
        nut.reset()
        assert nut.control()["unicast"] == ["52:54:00:aa:bb:cc"]
        nut.ping()
        nut.run(f"ip link set NIC address {MAC}")
        assert not nut.control()["unicast"]
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        name = nut.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        bus = "/sys/bus/virtio/drivers/vnet"
        nut.guest.run(f"echo {name} > {bus}/unbind")
        nut.device.call("offer", features=EVERYTHING + ["-MAC"])
        nut.guest.run(f"echo {name} > {bus}/bind", timeout=60)
        nut.nic = nut.guest.run(f"ls /sys/bus/virtio/devices/{name}/net").out.strip()
        address = nut.out("cat /sys/class/net/NIC/address").strip()
        assert address != MAC and nut.control()["mac"] == address, address
        nut.run("ip addr add 192.0.2.1/24 dev NIC; ip link set NIC up")
        nut.ping()


@test(**ONE)
def speed(env):
    "Speed and duplex are the device's, also when they change, until the user says otherwise."
    def shown():
        text = nut.out("ethtool NIC")
        return [re.search(f"{word}: (.*)", text)[1] for word in ("Speed", "Duplex")]
    with Scripted(env, pairs=2, features=EVERYTHING + ["SPEED_DUPLEX"]) as nut:
        for values, want in (({"speed": 25000, "duplex": 1}, ["25000Mb/s", "Full"]),
                             ({"speed": 100, "duplex": 0}, ["100Mb/s", "Half"]),
                             ({"speed": 0x80000000, "duplex": 7},
                              ["Unknown!", "Unknown! (255)"])):
            nut.device.config(**values)
            env.wait(lambda want=want: shown() == want, f"{values}: {shown()}")
        nut.run("ethtool -s NIC speed 40000 duplex full")
        nut.device.config(speed=1000, duplex=1)
        nut.run("ip link set NIC down; ip link set NIC up")
        assert shown() == ["40000Mb/s", "Full"], shown()
        nut.device.config(speed=10000, duplex=1)


@test(**ONE)
def admin_queue(env):
    "The driver declines an admin virtqueue: the core would wait for one that does not answer."
    with Scripted(env, features=["default", "ADMIN_VQ"]) as nut:
        assert "ADMIN_VQ" not in nut.device.state()["acked_names"]
        nut.ping()
        nut.reset()
        assert "ADMIN_VQ" not in nut.device.state()["acked_names"]
        nut.ping()


@test(**ONE)
def table_size(env):
    "Of a largest RSS table of 200 entries 128 are used."
    with Scripted(env, pairs=2, features=EVERYTHING, config={"rss_max_table": 200}) as nut:
        assert len(nut.control()["rss"]["table"]) == 128
        nut.run("ethtool -X NIC weight 3 1")
        assert nut.sent("mq.rss")["decoded"]["table"].count(0) == 96


@test(**ONE)
def statistics_renegotiated(env):
    "Counters that go with a feature are asked for while it is negotiated, and only then."
    features = EVERYTHING + ["DEVICE_STATS", "-CTRL_GUEST_OFFLOADS"]
    with Scripted(env, pairs=2, features=features) as nut:
        for switch in ("on", "off", "on"):
            nut.run(f"ethtool -K NIC rx {switch}")
            nut.ping()
            mark = nut.device.mark()
            now = nut.counters()
            asked = nut.device.commands("stats.get", mark)[0]["decoded"]["wanted"]
            assert bool(asked[0][1] & 2) == (switch == "on"), f"rx {switch}: {asked}"
            assert now["rx0_hw_packets"] + now["rx1_hw_packets"] >= 3, now
            assert now["hw_stats_errors"] == 0, now


@test(**ONE)
def statistics_longer(env):
    "Of a device with more counters in each record than are known, those known are shown."
    with Scripted(env, pairs=2, features=EVERYTHING + ["DEVICE_STATS"], stats_extra=2) as nut:
        nut.ping()
        now = nut.counters()
        assert now["rx0_hw_packets"] + now["rx1_hw_packets"] >= 3, now
        assert now["cq_hw_command_num"] > 0 and now["hw_stats_errors"] == 0, now


@test(**ONE)
def adaptive_refused(env):
    "A device that refuses what moderation chose is not asked over and over."
    with Scripted(env, pairs=2, features=EVERYTHING) as nut:
        nut.device.fault(cmd="coal.vq_set", action="refuse")
        nut.run("ethtool -L NIC combined 1; ethtool -C NIC adaptive-rx on")
        mark = nut.device.mark()
        job = nut.guest.start(f"ping -q -f -c 200000 {OTHER}")
        nut.device.wait_command("coal.vq_set", mark, timeout=60)
        time.sleep(10)
        job.kill("INT")
        assert len(nut.device.commands("coal.vq_set", mark)) == 1
        assert "Adaptive RX: off" in nut.out("ethtool -Q NIC queue_mask 1 --show-coalesce")
        nut.ping()


@test(**ONE)
def small_buffers(env):
    "Where the MTU decides how long a buffer is, rx-buf-len cannot be chosen."
    with Scripted(env, features=["default", "-MRG_RXBUF"]) as nut:
        nut.refused("ethtool -G NIC rx-buf-len 4096", "one buffer")
        nut.run("ethtool -G NIC rx 128")
        nut.ping()


@test(**ONE)
def held_back(env):
    "Notifications that a device was asked to hold back for long do not look like lost ones."
    with Scripted(env, pairs=1, features=EVERYTHING) as nut:
        nut.run("ethtool -C NIC rx-usecs 900000 rx-frames 100")
        before = nut.counters()
        nut.run(f"ping -q -c 60 -i 0.31 -W 3 {OTHER}", check=False, timeout=60)
        now = nut.counters()
        for name in now:
            if name.startswith(("heal_", "reset_")):
                assert now[name] == before[name], f"{name}: {before[name]} to {now[name]}"


@test(**ONE)
def small_control_ring(env):
    "A command never has more parts than the control ring entries; a ring of one takes none."
    for size in (4, 2, 1):
        with Scripted(env, features=["default"], queue_sizes={"2": size}) as nut:
            command = "ip link set NIC address 52:54:00:aa:bb:cc"
            if size == 1:
                nut.refused(command)
            else:
                nut.run(command)
                assert nut.sent("mac.addr")["decoded"]["mac"] == "52:54:00:aa:bb:cc"
                nut.run("ip maddr add 01:00:5e:01:02:03 dev NIC")
                assert "01:00:5e:01:02:03" in nut.sent("mac.table")["decoded"]["multicast"]
            nut.ping()


@test(**ONE)
def command_parts(env):
    """What legacy devices ask for is done on all: 2 bytes, the data, 1 byte (VIRTIO 1.4, 5.1.9.8).

    A MAC table is in two parts; a reply has one of its own.
    """
    with Scripted(env, pairs=2, features=EVERYTHING + ["DEVICE_STATS"]) as nut:
        mark = nut.device.mark()
        nut.run("ip link set NIC promisc on; ip link set NIC promisc off; "
                "ip link set NIC address 52:54:00:aa:bb:cc; "
                "ip maddr add 01:00:5e:01:02:03 dev NIC; "
                "ip link add link NIC name v9 type vlan id 9; ip link del v9; "
                "ethtool -L NIC combined 1; ethtool -C NIC rx-usecs 30; ethtool -S NIC")
        commands = nut.device.commands(since=mark)
        names = {entry["name"] for entry in commands}
        assert {"rx.promisc", "mac.addr", "mac.table", "vlan.add", "vlan.del", "stats.get"} <= names
        for entry in commands:
            parts, replies = entry["out"], entry["in"]
            assert parts[0] == 2 and sum(parts[1:]) == len(entry["data"]) // 2, entry
            assert len(parts) - 1 == (2 if entry["name"] == "mac.table" else sum(parts) > 2), entry
            assert replies[0] == 1 and len(replies) == (2 if sum(replies) > 1 else 1), entry


@test(**ONE)
def mac_without_receive_modes(env):
    "Where only the address can be set by command, it is: docs/conformance, mac-without-ctrl-rx."
    features = ["default", "-CTRL_RX", "-CTRL_RX_EXTRA", "-CTRL_VLAN"]
    with Scripted(env, features=features) as nut:
        nut.run("ip link set NIC address 52:54:00:aa:bb:cc")
        assert nut.control()["mac"] == "52:54:00:aa:bb:cc"
        broken = {entry["what"] for entry in nut.device.violations(clear=True)}
        assert broken == {"mac-command-without-ctrl-rx"}, broken
        mark = nut.device.mark()
        nut.run("ip link set NIC promisc on; ip maddr add 01:00:5e:01:02:03 dev NIC; "
                "ip link set NIC promisc off")
        assert not nut.device.commands(since=mark)


@test(**ONE, kernel_min=(6, 17))
def outer_network_header(env):
    "The device is told where the network header of each packet is; the header has 32 bytes."
    for more in ([], ["-MRG_RXBUF"], ["RING_PACKED", "GUEST_TSO4", "HOST_TSO4", "HOST_TSO6"]):
        with Scripted(env, features=["default", "OUT_NET_HEADER", *more]) as nut:
            nut.ping()
            nut.run("ip link add link NIC name v5 type vlan id 5; ip link set v5 up; sleep 3")
            sent = nut.device.sent()
            assert all(len(entry["raw_hdr"]) == 32 for entry in sent)
            kinds = {}
            for entry in sent:
                frame = entry["frame"]
                kind = frame[12:14].hex()
                kind += frame[16:18].hex() if kind == "8100" else ""
                kinds.setdefault(kind, set()).add(entry["hdr"]["outer_nh_offset"])
            assert kinds["0800"] == {14} and kinds["86dd"] == {14}, kinds
            assert kinds.get("0806", {0}) == {0} and kinds["810086dd"] == {18}, kinds
            nut.reset()
            nut.ping()


@test(**ONE)
def fewer_channels(env):
    "Nothing is sent on a queue that goes out of use once the device has been told; or it stays."
    mq = [name for name in EVERYTHING if name not in ("RSS", "HASH_REPORT")]
    for features, command in ((mq, "mq.pairs"), (EVERYTHING, "mq.rss")):
        with Scripted(env, pairs=2, features=features) as nut:
            jobs = [nut.guest.start(f"taskset -c {cpu} ping -q -i 0.005 -s {64 + cpu} {OTHER}")
                    for cpu in (0, 1)]
            env.wait(lambda: nut.device.sent("tx1") and nut.device.sent("tx0"),
                     "not both queues are used")
            nut.device.fault(cmd=command, action="refuse", count=1)
            nut.refused("ethtool -L NIC combined 1")
            nut.device.sent(clear=True)
            env.wait(lambda: nut.device.sent("tx1"), "the queue stays out of use")
            nut.device.fault(cmd=command, action="delay", seconds=2, count=1)
            nut.run("ethtool -L NIC combined 1")
            time.sleep(0.5)
            for job in jobs:
                job.kill()
            assert nut.control()["pairs"] == 1
            nut.run("ethtool -L NIC combined 2")
            nut.ping()


@test(**ONE)
def mtu_of_the_device(env):
    "Buffers hold, and frames have, what the MTU of the device allows, not of the interface."
    with Scripted(env, features=["default", "-MRG_RXBUF"], config={"mtu": 3000}) as nut:
        nut.run("ip link set NIC mtu 1400")
        before = nut.counters()["rx_packets"]
        assert nut.device.inject(b"\xff" * 12 + b"\x08\0" + bytes(3000)) == 1
        env.wait(lambda: nut.counters()["rx_packets"] > before, "the frame did not come")
        nut.run("ip link set NIC mtu 3000; ip link add d0 type dummy; ip link set d0 mtu 9000 up; "
                "ip addr add 198.51.100.1/24 dev d0; "
                "ip neigh add 198.51.100.2 lladdr 52:54:00:76:6e:fe dev d0; "
                "tc qdisc add dev d0 clsact; "
                "tc filter add dev d0 egress matchall action mirred egress redirect dev NIC; "
                "ping -q -c 3 -i 0.2 -W 1 -s 2000 198.51.100.2; "
                "ping -q -c 3 -i 0.2 -W 1 -s 5000 198.51.100.2", check=False, timeout=60)
        lengths = [len(entry["frame"]) for entry in nut.device.sent()]
        assert 2042 in lengths and max(lengths) <= 3014, sorted(set(lengths))


@test(**ONE)
def small_rings(env):
    "No chain has more parts than its ring has entries, however small the user makes it."
    features = ["default", "-MRG_RXBUF", "GUEST_TSO4", "GUEST_TSO6"]
    with Scripted(env, features=features) as nut:
        for size in (16, 8, 4, 2):
            nut.run(f"ethtool -G NIC rx {size}", check=False)
            nut.ping()
