# SPDX-License-Identifier: GPL-2.0
"""The device under a real driver: virtio_net of a Debian kernel in a guest.

    python3 -m lab exec python3 -m selftests.device.tests.e2e [-v] [TEST...]

VNET_KERNEL chooses the guest's kernel (the newest by default).
"""

import os
import re
import subprocess
import tempfile
import time
import unittest

from lab import kernels
from lab.guest import Guest
from lab.profiles import Profile

from ..client import Device
from ..packet import Packet, udp_frame

KERNEL = os.environ.get("VNET_KERNEL")
NO_NIC = Profile("test-device", "no NIC of QEMU's own", nics=0)
MAC, PEER = "52:54:00:76:6e:01", "52:54:00:76:6e:fe"
OWN, OTHER = "192.0.2.1", "192.0.2.2"


class Case(unittest.TestCase):
    """One guest and one device per class."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.device = Device(**cls.options).start()
        cls.addClassCleanup(cls.device.stop)
        kernel = kernels.select([KERNEL])[0] if KERNEL else kernels.default()
        cls.guest = Guest(kernel, NO_NIC,
                          f"/cache/logs/device-e2e/{cls.__name__}",
                          extra=cls.device.qemu_args(), memory=512)
        cls.guest.__enter__()
        cls.addClassCleanup(cls.guest.close)
        cls.guest.load("virtio_net")
        cls.nic = cls.guest.interface(MAC)
        cls.up()

    @classmethod
    def up(cls):
        cls.guest.run(f"ip addr replace {OWN}/24 dev {cls.nic}; "
                      f"ip -6 addr replace 2001:db8::1/64 dev {cls.nic} nodad;"
                      f"ip link set {cls.nic} up")

    def setUp(self):
        self.mark = self.device.mark()

    def run_(self, command, **more):
        return self.guest.run(command.replace("NIC", self.nic), **more)

    def ping(self, count=3, to=OTHER):
        """Every request is answered; -w, for without it ping waits for two
        round trips only, too little on a busy machine."""
        out = self.run_(f"ping -c{count} -i0.05 -w20 {to}", check=False).out
        seen = {int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", out)}
        self.assertLessEqual(set(range(1, count + 1)), seen, out)

    def command(self, name):
        """The last command of that name since the test began."""
        return self.device.wait_command(name, self.mark)

    def no_violations(self):
        self.assertEqual(self.device.violations(), [])


class Basics:
    """What works on every kind of ring."""

    def test_ping(self):
        self.ping(20)
        self.ping(5, "2001:db8::2")
        self.no_violations()

    def test_large_and_flood(self):
        self.run_("ping -c20 -i0.02 -s 1400 -w20 " + OTHER)
        self.run_("ping -f -c 2000 -w60 " + OTHER, timeout=70)
        self.no_violations()

    def test_transmit_header(self):
        self.device.call("tx", clear=True)
        self.run_(f"bash -c 'echo hello > /dev/udp/{OTHER}/9'")
        frames = self.device.wait(lambda: [
            f for f in self.device.sent() if Packet(f["frame"]).dport == 9])
        self.assertEqual(frames[0]["hdr"]["flags"], 1)      # NEEDS_CSUM
        self.assertTrue(frames[0]["frame"].endswith(b"hello\n"))

    def test_inject(self):
        frame = udp_frame(bytes.fromhex(MAC.replace(":", "")),
                          bytes.fromhex(PEER.replace(":", "")),
                          OWN, OTHER, 5000, 5001, b"x" * 100)
        before = self.rx_packets()
        self.assertEqual(self.device.inject(frame, count=10), 10)
        self.device.wait(lambda: self.rx_packets() >= before + 10)

    def test_merged_buffers(self):
        before = self.rx_packets()
        frame = udp_frame(bytes.fromhex(MAC.replace(":", "")),
                          bytes.fromhex(PEER.replace(":", "")),
                          OWN, OTHER, 5000, 5001, b"x" * 1400)
        self.assertEqual(self.device.inject(frame, buffers=3), 1)
        self.device.wait(lambda: self.rx_packets() > before)

    def rx_packets(self):
        return int(self.run_(
            "cat /sys/class/net/NIC/statistics/rx_packets").out)

    def test_ring_reset(self):
        self.run_("ethtool -G NIC rx 128 tx 128")
        log = self.device.log("queue-reset", self.mark)
        self.assertEqual({e["queue"] for e in log}, {"rx0", "tx0"})
        self.assertEqual(self.device.queue("rx0")["size"], 128)
        self.ping()
        self.run_("ethtool -G NIC rx 256 tx 256")
        self.ping()
        self.no_violations()

    def test_down_up_and_rebind(self):
        self.run_("ip link set NIC down; ip link set NIC up; sleep 0.2")
        self.ping()
        self.run_("d=$(basename $(readlink -f /sys/class/net/NIC/device)); "
                  "cd /sys/bus/virtio/drivers/virtio_net; "
                  "echo $d > unbind; echo $d > bind")
        type(self).nic = self.guest.interface(MAC)
        self.up()
        self.ping()

    def test_source(self):
        before = self.rx_packets()
        self.device.call("source", count=5000, burst=64, interval=0.001)
        self.device.wait(lambda: self.rx_packets() >= before + 4000, 30)


class Split(Basics, Case):
    pass


class SplitPlain(Basics, Case):
    options = {"features": ["default", "-EVENT_IDX", "-INDIRECT_DESC"]}


class Packed(Basics, Case):
    options = {"features": ["default", "RING_PACKED"]}


class PackedPlain(Basics, Case):
    options = {"features": ["default", "RING_PACKED", "-EVENT_IDX",
                            "-INDIRECT_DESC"]}


class Small(Case):
    """One buffer per packet, no control queue."""

    options = {"features": ["VERSION_1", "MAC", "EVENT_IDX"]}

    def test_ping(self):
        self.ping(20)
        self.no_violations()


class Control(Case):
    """Every command with its bytes."""

    options = {"pairs": 2, "net": "reflect", "features": [
        "default", "MQ", "NOTF_COAL", "VQ_NOTF_COAL", "DEVICE_STATS", "RSS",
        "HASH_REPORT", "GUEST_TSO4", "GUEST_TSO6", "HOST_TSO4", "HOST_TSO6"]}

    def test_mac(self):
        self.run_("ip link set NIC address 52:54:00:00:00:99")
        self.assertEqual(self.command("mac.addr")["data"], "525400000099")
        self.assertEqual(self.device.control()["mac"], "52:54:00:00:00:99")
        self.ping()
        self.run_(f"ip link set NIC address {MAC}")

    def test_rx_mode(self):
        self.run_("ip link set NIC promisc on")
        self.device.wait(lambda: self.device.control()["rx"]["promisc"])
        self.run_("ip link set NIC promisc off")
        self.run_("bridge fdb add 52:54:00:00:00:77 dev NIC")
        self.device.wait(lambda: "52:54:00:00:00:77" in
                         self.device.control()["unicast"])
        self.run_("bridge fdb del 52:54:00:00:00:77 dev NIC")

    def test_vlan(self):
        self.run_("ip link add link NIC name v5 type vlan id 5")
        self.assertEqual(self.command("vlan.add")["data"], "0500")
        self.run_("ip addr add 198.51.100.1/24 dev v5; ip link set v5 up")
        self.ping(3, "198.51.100.2")
        self.run_("ip link del v5")
        self.assertEqual(self.command("vlan.del")["data"], "0500")

    def test_coalesce(self):
        self.run_("ethtool -C NIC rx-usecs 16 rx-frames 8")
        self.assertEqual(self.command("coal.rx")["data"], "0800000010000000")
        self.run_("ethtool -Q NIC queue_mask 2 --coalesce rx-usecs 33")
        self.assertEqual(
            [c["data"] for c in self.device.commands("coal.vq_set", self.mark)
             if c["decoded"]["vq"] == 2], ["020000000800000021000000"])
        self.assertEqual(self.device.control()["vq_coalesce"]["2"], [8, 33])
        self.ping()

    def test_statistics(self):
        self.ping()
        out = self.run_("ethtool -S NIC").out
        values = dict(line.strip().split(": ") for line in out.splitlines()
                      if ": " in line)
        self.assertGreater(int(values["rx_hw_packets"]), 0)
        self.assertGreater(int(values["cq_hw_command_num"]), 0)
        self.assertTrue(self.command("stats.get")["reply"])

    def test_rss_with_hash(self):
        self.run_("ethtool -X NIC weight 1 0")
        self.assertEqual(set(self.command("mq.rss")["decoded"]["table"]), {0})
        self.run_("ethtool -X NIC equal 2")
        self.run_("ethtool -K NIC rxhash on")
        self.device.wait(lambda: (self.device.control()["rss"] or {}).get(
            "hash_types"))
        before = [self.device.queue(q)["counters"].get("rx_packets", 0)
                  for q in ("rx0", "rx1")]
        self.run_("for p in $(seq 2000 2040); do "
                  f"bash -c \"echo x > /dev/udp/{OTHER}/$p\"; done")
        after = [self.device.queue(q)["counters"].get("rx_packets", 0)
                 for q in ("rx0", "rx1")]
        for was, now in zip(before, after):
            self.assertGreater(now, was + 3)

    def test_pairs(self):
        self.run_("ethtool -L NIC combined 1")
        self.device.wait(lambda: self.device.control()["pairs"] == 1)
        self.ping()
        self.run_("ethtool -L NIC combined 2")
        self.device.wait(lambda: self.device.control()["pairs"] == 2)
        self.ping()

    def test_offloads(self):
        self.run_("ethtool -K NIC rx-gro-hw off")
        self.command("offloads.set")
        names = self.device.control()["offload_names"]
        self.assertNotIn("GUEST_TSO4", names)
        self.run_("ethtool -K NIC rx-gro-hw on")
        self.assertIn("GUEST_TSO4", self.device.control()["offload_names"])

    def test_announce(self):
        self.device.announce()
        self.command("announce.ack")

    def test_link(self):
        self.device.link(False)
        self.device.wait(lambda: "NO-CARRIER" in
                         self.run_("ip link show NIC").out)
        self.device.link(True)
        self.device.wait(lambda: "NO-CARRIER" not in
                         self.run_("ip link show NIC").out)
        self.ping()

    def test_refused_command(self):
        rule = self.device.fault(cmd="mac.addr", action="refuse")
        done = self.run_("ip link set NIC address 52:54:00:00:00:98",
                         check=False)
        self.assertNotEqual(done.status, 0)
        self.assertEqual(self.command("mac.addr")["status"], 1)
        self.device.clear(rule)
        self.assertEqual(self.device.control()["mac"], MAC)

    def test_never_answered_command(self):
        """virtio_net waits for ever; it goes on when the answer comes."""
        rule = self.device.fault(cmd="coal.rx", action="never", count=1)
        job = self.guest.start(f"ethtool -C {self.nic} rx-usecs 40")
        self.command("coal.rx")
        self.assertEqual(self.device.queue("cvq")["held"], 1)
        self.assertIsNone(job.poll())
        self.assertEqual(self.device.release("cvq"), 1)
        self.assertEqual(job.wait(20).status, 0)
        self.device.clear(rule)
        self.ping()

    def test_delayed_command(self):
        self.device.fault(cmd="coal.tx", action="delay", seconds=0.5, count=1)
        self.run_("ethtool -C NIC tx-frames 1 rx-usecs 50", timeout=20)
        self.ping()


class Faults(Case):
    """Misbehaviour that virtio_net survives (or that is undone in time)."""

    def test_held_transmit(self):
        rule = self.device.fault(queue="tx*", action="hold")
        self.run_(f"ping -c5 -i0.05 -W1 {OTHER}", check=False)
        self.assertGreater(self.device.queue("tx0")["held"], 0)
        self.device.clear(rule)
        self.device.release("tx0")
        self.ping()

    def test_no_interrupt(self):
        rule = self.device.fault(queue="rx0", action="no-interrupt")
        done = self.run_(f"ping -c2 -i0.1 -W1 {OTHER}", check=False)
        self.assertIn("100% packet loss", done.out)
        self.device.clear(rule)
        self.device.call("interrupt", queue="rx0")
        self.ping()

    def test_ignored_kick(self):
        self.device.fault(queue="tx0", action="ignore-kick", count=1)
        self.run_(f"ping -c1 -W1 {OTHER}", check=False)
        self.device.call("poll", queue="tx0")
        self.device.clear()
        self.ping()

    def test_bad_lengths(self):
        """Lengths below the header are dropped and counted."""
        for length in (0, 1, 11, 12, 25):
            self.device.inject(b"\xff" * 60, used_len=length)
        self.ping()

    def test_needs_reset(self):
        self.device.needs_reset()
        self.assertEqual(self.device.state()["status"] & 0x40, 0x40)
        self.run_("d=$(basename $(readlink -f /sys/class/net/NIC/device)); "
                  "cd /sys/bus/virtio/drivers/virtio_net; "
                  "echo $d > unbind; echo $d > bind")
        type(self).nic = self.guest.interface(MAC)
        self.up()
        self.ping()
        self.assertEqual(self.device.state()["status"] & 0x40, 0)

    def test_stuck_resets(self):
        self.device.fault(device="reset", action="stuck", seconds=1, count=1)
        self.run_("d=$(basename $(readlink -f /sys/class/net/NIC/device)); "
                  "cd /sys/bus/virtio/drivers/virtio_net; "
                  "echo $d > unbind; echo $d > bind")
        self.assertTrue(self.device.log("reset-stuck", self.mark))
        type(self).nic = self.guest.interface(MAC)
        self.up()
        self.ping()
        for action in ("hang", "refuse"):
            rule = self.device.fault(device="queue-reset", action=action)
            job = self.guest.start(f"ethtool -G {self.nic} rx 64")
            self.device.wait(lambda: self.device.log("queue-reset-stuck",
                                                     self.mark))
            self.assertIsNone(job.poll())
            self.device.clear(rule)
            job.wait(20)
            self.run_("ethtool -G NIC rx 256")
            self.ping()

    def test_config_storm(self):
        storm = self.device.call("storm", what={"op": "interrupt",
                                                "config": True},
                                 rate=2000, seconds=1)["id"]
        self.ping(10)
        self.device.call("stop", id=storm)

    def test_flr(self):
        self.run_("ip link set NIC down; "
                  "d=$(readlink -f /sys/class/net/NIC/device/..); "
                  "echo 1 > $d/reset", check=False)
        self.assertTrue(self.device.log("flr", self.mark))
        self.run_("d=$(basename $(readlink -f /sys/class/net/NIC/device)); "
                  "cd /sys/bus/virtio/drivers/virtio_net; "
                  "echo $d > unbind; echo $d > bind", check=False)
        type(self).nic = self.guest.interface(MAC)
        self.up()
        self.ping()

    def test_offered_features_change(self):
        self.device.call("offer", features=["default", "-MRG_RXBUF"])
        self.run_("p=$(readlink -f /sys/class/net/NIC/device/..); "
                  "echo 1 > $p/remove; sleep 0.2; "
                  "echo 1 > /sys/bus/pci/rescan; sleep 1")
        type(self).nic = self.guest.interface(MAC)
        self.up()
        self.assertNotIn("MRG_RXBUF", self.device.state()["acked_names"])
        self.ping()
        self.device.call("offer", features=["default"])


class Tunnel(Case):
    """Feature bits above 63: a header of 24 bytes."""

    options = {"features": ["default", "HOST_TSO4", "HOST_TSO6", "GUEST_TSO4",
                            "GUEST_TSO6", "65", "66", "67", "68"]}

    def test_ping(self):
        if KERNEL.startswith("6."):
            self.skipTest("feature bits above 63 came with Linux 6.17")
        self.assertIn("HOST_UDP_TUNNEL_GSO",
                      self.device.state()["acked_names"])
        self.ping(10)
        self.no_violations()


class BackToBack(unittest.TestCase):
    """Two devices of one guest, joined; TCP with RSS and hash reports."""

    FEATURES = ["default", "MQ", "RSS", "HASH_REPORT", "HOST_TSO4",
                "GUEST_TSO4", "HOST_TSO6", "GUEST_TSO6", "RING_PACKED"]

    def test_tcp(self):
        with tempfile.TemporaryDirectory() as directory:
            ends = [f"{directory}/one", f"{directory}/two"]
            macs = ["52:54:00:76:6e:01", "52:54:00:76:6e:02"]
            one = Device(name="one", pairs=2, features=self.FEATURES,
                         net=f"unix:{ends[0]}:{ends[1]}",
                         config={"mac": macs[0]})
            two = Device(name="two", pairs=2, features=self.FEATURES,
                         net=f"unix:{ends[1]}:{ends[0]}",
                         config={"mac": macs[1]})
            with one, two, Guest(
                    kernels.select([KERNEL])[0], NO_NIC,
                    "/cache/logs/device-e2e/BackToBack",
                    extra=one.qemu_args() + two.qemu_args(),
                    memory=512) as guest:
                guest.load("virtio_net")
                nics = [guest.interface(mac) for mac in macs]
                guest.run("ip netns add far; "
                          f"ip link set {nics[1]} netns far; "
                          f"ip addr add {OWN}/24 dev {nics[0]}; "
                          f"ip link set {nics[0]} up; "
                          f"ip -n far addr add {OTHER}/24 dev {nics[1]}; "
                          f"ip -n far link set {nics[1]} up; "
                          f"ethtool -K {nics[0]} rxhash on; sleep 1")
                guest.run(f"ping -c5 -i0.1 {OTHER}")
                server = guest.start("ip netns exec far iperf3 -s -1")
                time.sleep(1)
                out = guest.run(f"iperf3 -c {OTHER} -t 3 -P 2 -f m",
                                timeout=60).out
                server.wait(10)
                self.assertIn("receiver", out)
                print([line for line in out.splitlines()
                       if "SUM" in line and "receiver" in line])
                for device in (one, two):
                    self.assertIn("HASH_REPORT",
                                  device.state()["acked_names"])
                    self.assertEqual([v["what"] for v in device.violations()
                                      if v["what"] != "trailing-bytes"], [])
                gso = sum(q["counters"].get("tx_gso_packets", 0)
                          for q in one.state()["queues"])
                self.assertGreater(gso, 0)


class Tap(unittest.TestCase):
    """Frames over a tap of the lab's name space."""

    def test_ping(self):
        subprocess.run("ip tuntap add vnetdev mode tap vnet_hdr && "
                       "ip addr add 192.0.2.2/24 dev vnetdev && "
                       "ip link set vnetdev up", shell=True, check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "del", "vnetdev"],
                        check=False)
        with Device(net="tap:vnetdev") as device, Guest(
                kernels.select([KERNEL])[0], NO_NIC,
                "/cache/logs/device-e2e/Tap", extra=device.qemu_args(),
                memory=512) as guest:
            guest.load("virtio_net")
            nic = guest.interface(MAC)
            guest.run(f"ip addr add {OWN}/24 dev {nic}; "
                      f"ip link set {nic} up; ping -c5 -i0.1 {OTHER}")


class Dead(Case):
    """Last, for the guest does not live on."""

    def test_surprise_removal(self):
        self.device.fault(device="bus", action="dead")
        out = self.run_("p=$(readlink -f /sys/class/net/NIC/device/..); "
                        "od -An -tx4 -N4 $p/config").out
        self.assertEqual(out.strip(), "ffffffff")


class Again(Case):
    """One device process serves one guest after the other."""

    def test_second_guest(self):
        self.ping()
        self.guest.close()
        self.device.wait(lambda: not self.device.state()["connected"])
        with Guest(kernels.select([KERNEL])[0], NO_NIC,
                   "/cache/logs/device-e2e/Again-2",
                   extra=self.device.qemu_args(), memory=512) as guest:
            guest.load("virtio_net")
            nic = guest.interface(MAC)
            guest.run(f"ip addr add {OWN}/24 dev {nic}; ip link set {nic} up; "
                      f"ping -c3 -i0.1 {OTHER}")


if __name__ == "__main__":
    unittest.main()
