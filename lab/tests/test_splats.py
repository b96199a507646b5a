# SPDX-License-Identifier: GPL-2.0
"""Complaints of the kernel, as they stand on a console: found, named, decoded."""

import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from lab import splats
from lab.guest import Guest

WARNING = """[   41.201] vnet virtio1 eth0: something ordinary
[   41.217] ------------[ cut here ]------------
[   41.217] WARNING: CPU: {cpu} PID: {pid} at net/core/page_pool.c:1099 page_pool_release+0x1b/0x40
[   41.218] Modules linked in: vnet(O) virtiofs
[   41.218] CPU: {cpu} UID: 0 PID: {pid} Comm: kworker/{cpu}:2 Tainted: G           O       7.3
[   41.219] RIP: 0010:page_pool_release+0x1b/0x40
[   41.219] Code: 48 89 e5 41 57
[   41.220] RSP: 0018:ffffc900001{pid}e10 EFLAGS: 00010246
[   41.221] Call Trace:
[   41.221]  <TASK>
[   41.221]  vnet_rxmem_destroy+0x6c/0x120 [vnet]
[   41.222]  ? __pfx_worker_thread+0x10/0x10
[   41.222]  vnet_pair_free+0x33/0x80 [vnet]
[   41.222]  vnet_life_settle+0x12/0x90 [vnet]
[   41.223]  worker_thread+0x5a/0x3b0
[   41.224]  </TASK>
[   41.225] ---[ end trace 0000000000000000 ]---
"""
OOPS = """[   60.001] BUG: kernel NULL pointer dereference, address: 00000000000000{low}
[   60.001] #PF: supervisor read access in kernel mode
[   60.002] Oops: Oops: 0000 [#1] SMP PTI
[   60.002] CPU: 0 UID: 0 PID: 312 Comm: ping Tainted: G           O       7.3
[   60.003] RIP: 0010:vnet_txq_reap+0x4{low}/0x2f0 [vnet]
[   60.004] Call Trace:
[   60.004]  <IRQ>
[   60.004]  vnet_txq_poll+0x55/0x140 [vnet]
[   60.005]  __napi_poll+0x2c/0x1c0
[   60.006]  </IRQ>
[   60.006]  <TASK>
[   60.007]  asm_common_interrupt+0x26/0x40
[   60.008]  </TASK>
[   60.009] ---[ end trace 0000000000000000 ]---
[   60.010] Kernel panic - not syncing: Fatal exception in interrupt
"""
KASAN = """[    9.100] ==================================================================
[    9.100] BUG: KASAN: slab-use-after-free in vnet_watch_work+0x93/0x3a0 [vnet]
[    9.101] Read of size 8 at addr ffff888011c0{low}40 by task kworker/1:1/4{low}
[    9.102] Call Trace:
[    9.102]  <TASK>
[    9.103]  dump_stack_lvl+0x5d/0x80
[    9.103]  print_report+0x171/0x4c8
[    9.104]  kasan_report+0xda/0x110
[    9.104]  vnet_watch_work+0x93/0x3a0 [vnet]
[    9.105]  process_one_work+0x1a0/0x380
[    9.106]  </TASK>
[    9.107] Allocated by task 100:
[    9.107]  kasan_save_stack+0x33/0x60
[    9.108] ==================================================================
"""
LEAK = """[  100.000] ref_tracker: eth%d@ffff888007a1d5d0 has 1/2 users at
[  100.001]      vnet_cfg_xsk+0x31/0x80
[  100.002]      xsk_bind+0x1/0x2
[  110.000] unregister_netdevice: waiting for eth0 to become free. Usage count = 2
[  120.000] page_pool_release_retry() stalled pool shutdown: id 1, 2 inflight 60 sec
"""
FAILOVER = """[    1.0] INFO: trying to register non-static key.
[    1.0]  <TASK>
[    1.0]  net_failover_get_stats+0x6c/0x120
[    1.0]  </TASK>
"""


class Lines(unittest.TestCase):
    BAD = ("[    1.0] BUG: kernel NULL pointer dereference, address: 0",
           "[    1.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 x+0x1/0x2",
           "[    1.0] BUG: KASAN: slab-use-after-free in x",
           "[    1.0] page_pool_release_retry() stalled pool shutdown: id 1, 2 inflight 60 sec",
           "[    1.0] INFO: task ip:1 blocked for more than 60 seconds.",
           "[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
           "[    1.0] WARNING: possible circular locking dependency detected",
           "[    1.0] WARNING: suspicious RCU usage",
           "[    1.0] ref_tracker: eth0@ffff888007a1d5d0 has 1/2 users at",
           "[    1.0] unregister_netdevice: waiting for eth0 to become free. Usage count = 2",
           "[    1.0] virtio_net virtio1 eth0: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out")
    GOOD = ("[    1.0] virtio_net virtio1 eth0: renamed", "[    1.0] vnet: 4 queue pairs",
            "[    1.0] vnet: loading out-of-tree module taints kernel.")

    def test_lines(self):
        for line in self.BAD:
            self.assertTrue(splats.lines(line), line)
            self.assertEqual(len(splats.find(line)), 1, line)
        for line in self.GOOD:
            self.assertFalse(splats.lines(line), line)

    def test_what_is_the_kernels_own_has_a_reason(self):
        self.assertEqual(splats.find(FAILOVER), [])
        for _, why in splats.IGNORED:
            self.assertTrue(why)

    RACE = """==================================================================
BUG: KCSAN: data-race in {0} / {1}

write to 0xffff88800510c0d8 of 8 bytes by task 300 on cpu 0:
 {0}+0x1a/0x40{2}
 two+0x1a/0x40
 three+0x1a/0x40
 vnet_start_xmit+0x300/0x900 [vnet]

read to 0xffff88800510c0d8 of 8 bytes by interrupt on cpu 1:
 {1}+0x30/0x120{3}
 two+0x1a/0x40
 three+0x1a/0x40

value changed: 0x0000000000000001 -> 0x0000000000000002

Reported by Kernel Concurrency Sanitizer on:
CPU: 1 UID: 0 PID: 0 Comm: swapper/1 Not tainted 7.3.4
==================================================================
"""

    def test_races(self):
        for write, read, count in (("", "", 0), (" [vnet]", "", 1), ("", " [virtio_net]", 1)):
            text = self.RACE.format("a", "b", write, read) + "BUG: other\n"
            guest = SimpleNamespace(console_text=lambda start, text=text: text)
            guest.whole_console = lambda start, guest=guest: Guest.whole_console(guest, start)
            self.assertEqual(len(Guest.splats(guest)), count + 1, text)
            self.assertEqual(len(Guest.complaints(guest)), count + 1, text)


class Recorded(unittest.TestCase):
    def test_a_warning(self):
        found = splats.find(WARNING.format(cpu=0, pid=12))
        self.assertEqual(len(found), 1)
        self.assertIn("page_pool.c:1099", found[0].line)
        self.assertEqual(found[0].functions, ["page_pool_release", "vnet_rxmem_destroy",
                                              "vnet_pair_free", "vnet_life_settle",
                                              "worker_thread"])

    def test_the_same_defect_has_one_fingerprint(self):
        for text, one, other in ((WARNING, {"cpu": 0, "pid": 12}, {"cpu": 1, "pid": 345}),
                                 (OOPS, {"low": "8"}, {"low": "9"}),
                                 (KASAN, {"low": "8"}, {"low": "9"})):
            prints = {splats.find(text.format(**values))[0].fingerprint for values in (one, other)}
            self.assertEqual(len(prints), 1, text)
        every = {splats.find(text)[0].fingerprint for text in (
            WARNING.format(cpu=0, pid=1), OOPS.format(low=8), KASAN.format(low=8), LEAK)}
        self.assertEqual(len(every), 4)

    def test_an_oops_is_one_until_its_end(self):
        found = splats.find(OOPS.format(low="8"))
        self.assertEqual([splat.line.split(",")[0] for splat in found],
                         ["BUG: kernel NULL pointer dereference",
                          "Kernel panic - not syncing: Fatal exception in interrupt"])
        self.assertEqual(found[0].functions[:2], ["vnet_txq_reap", "vnet_txq_poll"])

    def test_the_detector_is_not_the_place(self):
        self.assertEqual(splats.find(KASAN.format(low="8"))[0].functions[0], "vnet_watch_work")

    def test_lines_without_a_stack_are_one_each(self):
        self.assertEqual([splat.line.split(":")[0].split("(")[0] for splat in splats.find(LEAK)],
                         ["ref_tracker", "unregister_netdevice", "page_pool_release_retry"])

    def test_several(self):
        text = WARNING.format(cpu=0, pid=1) + KASAN.format(low="8") + WARNING.format(cpu=1, pid=2)
        prints = [splat.fingerprint for splat in splats.find(text)]
        self.assertEqual(len(prints), 3)
        self.assertEqual(prints[0], prints[2])


class Decoded(unittest.TestCase):
    CODE = ("int one(int a)\n{\n\treturn a + 1;\n}\n\n"
            "int two(int a)\n{\n\ta = one(a);\n\treturn a * 3;\n}\n")

    def test_lines_of_the_code(self):
        with tempfile.TemporaryDirectory() as directory:
            source, target = Path(directory) / "code.c", Path(directory) / "code.o"
            source.write_text(self.CODE)
            subprocess.run(["gcc", "-g", "-O0", "-c", "-o", str(target), str(source)], check=True)
            places = splats.decode([("two", "0x16", "0x30", "vnet"), ("other", "0x1", "0x2", None)],
                                   target)
        self.assertEqual(list(places), [("two", "0x16")])
        self.assertRegex(places["two", "0x16"], r"^code\.c:[89]$")

    def test_text(self):
        splat = splats.find(WARNING.format(cpu=0, pid=12))[0]
        text = splat.text()
        self.assertTrue(text.startswith(f"splat {splat.fingerprint}: WARNING: CPU: 0"))
        self.assertIn("\n  vnet_rxmem_destroy+0x6c [vnet]\n", text)


if __name__ == "__main__":
    unittest.main()
