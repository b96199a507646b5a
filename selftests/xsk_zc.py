# SPDX-License-Identifier: GPL-2.0
"""AF_XDP zero copy: every frame is accounted, on every device, whatever happens to the queues."""

import errno
import importlib.util
import json
import re
import socket
import subprocess
import sys
import sysconfig

from lab.api import test
from lab.oracle import differences, settings

from ._data import TOOLS, Change, Ends, result
from ._xdp import (ABORTED, DROP, EVERY, LOSSES, PASS, REDIRECT, SINK, TX, UNKNOWN, Program, back,
                   host_mac, tap_drops)
from ._xdp import PORT as PLANNED
from .recovery_suspend import END, START, Inside, suspended
from .xdp_actions import account

PORT = 7000
READY = "/tmp/xsk.ready"
MODES = ["modern-split", "packed", "in-order", "legacy", "legacy-small", "small", "big", "hash",
         "iommu", "access-platform", "no-ctrl-vq", "no-event-idx", "no-indirect", "mmio",
         "mmio-legacy"]
EXTREMES = ["modern-split", "packed", "legacy-small", "big", "iommu", "no-ctrl-vq", "mmio"]


def tools(env):
    for name in ("xsk.py", "flow.py"):
        env.guest.put(TOOLS / name, f"/tmp/{name}")


class Client:
    """tools/xsk.py in the guest, sending back what comes."""

    def __init__(self, env, options="", queues="0"):
        self.env = env
        tools(env)
        env.guest.run(f"rm -f {READY}")
        self.job = env.guest.start(f"exec python3 /tmp/xsk.py echo {env.nic} {queues} "
                                   f"--ready {READY} {options}")
        try:
            env.wait(lambda: not env.guest.run(f"test -e {READY}", check=False).status,
                     "the client is not ready", 30)
        except AssertionError as error:
            env.guest.run("pkill -TERM -f xsk.py", check=False)
            raise AssertionError(f"{error}: {self.job.wait(20)}") from None

    def stop(self):
        """What it counted; no frame may be missing or have come twice."""
        self.env.guest.run("pkill -TERM -f xsk.py")
        done = result(self.job)
        for one in done:
            assert not one["wrong"], one
            assert one["zerocopy"], one
            assert not one["sending"] and not one["dropped"] and not one["tx_invalid"], one
        return done


def traffic(env, sizes="64-163", port=PORT):
    """Datagrams of these sizes come back as they were; how many were there."""
    end = Ends(env).host(f"sizes {env.ip} {port} {sizes} --retries 3", timeout=90)
    first, _, last = sizes.partition("-")
    return int(last or first) - int(first) + 1 + end["retries"]


def total(done, name):
    return sum(one[name] for one in done)


@test(profiles=MODES, drivers=["vnet"], timeout=150)
def echo(env):
    "Datagrams go to the socket and back in the frames they came in; the stack gets the rest."
    env.need_tap()
    client = Client(env)
    change = Change(env)
    count = traffic(env)
    env.ping()
    seen = change()
    done = client.stop()
    assert total(done, "rx") == total(done, "tx") == total(done, "done") == count, (count, done)
    assert seen["tx_xsk_packets"] == count and not seen["tx_xsk_drops"], seen
    assert seen["rx_xdp_redirects"] == count and seen["rx_xsk_copies"] >= 3, seen
    traffic_stack(env)


def traffic_stack(env):
    """After the pool is gone the stack has its own buffers again."""
    env.ping(sizes=[1400])


def every_action(env, program, count, **how):
    """Packets, each action by turns: (sent, by action, at the stack, counters, lost by the tap)."""
    ends = Ends(env)
    program.veth()
    program.plan(*EVERY)
    program.attach()
    job = ends.guest_sink(PLANNED, 4)
    change, lost = Change(env), tap_drops(env)
    sent = back(env, count, **how)
    return sent, program.counts(), result(job), change.total(), tap_drops(env) - lost


@test(profiles=["modern-split", "packed", "legacy", "small", "big", "iommu", "mmio"],
      drivers=["vnet"], timeout=150, full=True, moves=LOSSES)
def actions(env):
    "A program that keeps packets from the socket: every action, each packet goes its way."
    program = Program(env)
    client = Client(env, "--no-prog")
    try:
        sent, seen, passed, moved, lost = every_action(env, program, 600)
        account(env, sent, seen, moved, lost)
        assert passed["distinct"] == seen[PASS] and not passed["damaged"], (passed, seen)
        assert moved["rx_xsk_copies"] >= seen[PASS], (moved, seen)
        assert seen[SINK] == seen[REDIRECT], seen
        program.detach()
    finally:
        program.close()
    done = client.stop()
    assert not total(done, "rx"), done
    traffic_stack(env)


@test(profiles=["modern-split", "big"], drivers=["vnet"], timeout=150, full=True, moves=LOSSES)
def actions_of_several(env):
    "The same with packets of two frames: what the core would cut is dropped and counted."
    program = Program(env)
    client = Client(env, "--no-prog --sg")
    try:
        sent, seen, passed, moved, lost = every_action(env, program, 300, size=1460)
        assert sum(seen[:6]) == sent["sent"] - sent["refused"] - lost, seen
        assert passed["distinct"] == seen[PASS] and not passed["damaged"], (passed, seen)
        assert moved["rx_xdp_drops"] == seen[ABORTED] + seen[DROP] + seen[UNKNOWN], (moved, seen)
        assert moved["rx_drop_xdp_tx_err"] == seen[TX] and not sent["back"], (moved, seen)
        assert moved["rx_drop_xdp_redirect_err"] == seen[REDIRECT], (moved, seen)
        assert not seen[SINK], seen
        program.detach()
    finally:
        program.close()
    client.stop()
    client = Client(env, "--sg")
    traffic(env, "1400-1459")
    client.stop()


@test(profiles=["mq"], drivers=["vnet"], timeout=300, full=True,
      moves=[*LOSSES, "reset_user", "heal_device_resets"])
def life(env):
    "Channels, rings, MTU, down and up, and a reset of the device with the sockets open."
    client = Client(env, queues="0,1")
    nic = env.nic
    for step in ("true", f"ethtool -L {nic} combined 2", f"ethtool -G {nic} rx 128 tx 128",
                 f"ethtool -L {nic} combined 4; ethtool -L {nic} combined 2",
                 f"ip link set {nic} mtu 1400; ip link set {nic} mtu 1500",
                 f"ip link set {nic} down; ip link set {nic} up",
                 f"devlink health recover virtio/{env.virtio} reporter device"):
        env.guest.run(step, timeout=60)
        if step == "true":
            env.guest.run(f"ethtool -L {nic} combined 2")
        env.wait_carrier()
        traffic(env, "64-103")
    client.stop()
    traffic_stack(env)


# A guest in memory, see recovery_suspend.py, that echoes 20 datagrams in each stage.
SLEEPER = START + """
ip addr add 10.0.2.15/24 dev $nic
ip link set $nic up
flows || echo "RESULT no packet before"
python3 /xsk.py echo $nic 0 --ready /tmp/ready > /tmp/out 2>&1 &
client=$!
while [ ! -e /tmp/ready ] && kill -0 $client; do sleep 0.2; done
stage=1
while :; do
    flows || echo "RESULT no packet in stage $stage"
    echo "STAGE $stage"
    for try in $(seq 60); do
        seen=$(ethtool -S $nic | sed -n 's/ *tx_xsk_packets: //p')
        [ $seen -ge $((stage * 20)) ] && break
        sleep 0.5
    done
    [ $seen -ge $((stage * 20)) ] || echo "RESULT $seen packets from the socket in stage $stage"
    sleep 1
    [ $stage -gt %(rounds)s ] && break
    stage=$((stage + 1))
    %(suspend)s || echo "RESULT suspend failed"
done
kill -TERM $client
wait $client
echo "CLIENT $(cat /tmp/out)"
""" + END


def sleeps(env, how, swap=0):
    """A socket that is open goes on after the guest has slept twice, and no frame is missing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    echoed, done = [], set()

    def beside(text):
        for stage in set(re.findall(r"^STAGE (\d+)", text, re.M)) - done:
            done.add(stage)
            out = subprocess.run(["python3", str(TOOLS / "flow.py"), "sizes", "127.0.0.1",
                                  str(port), "64-83"], capture_output=True, text=True, check=True,
                                 timeout=60).stdout
            echoed.append(20 + json.loads(out)["retries"])

    text = suspended(env, how, rounds=2, limit=220, inside=Inside(
        init=SLEEPER, swap=swap, trees=(sysconfig.get_path("stdlib"),), files=(TOOLS / "xsk.py",),
        programs=(sys.executable, importlib.util.find_spec("_ctypes").origin),
        forward=f",hostfwd=udp:127.0.0.1:{port}-10.0.2.15:{PORT}", beside=beside))
    one, = json.loads(re.search(r"^CLIENT (.*)", text, re.M)[1])
    assert len(echoed) == 3, echoed
    assert one["rx"] == one["tx"] == one["done"] == sum(echoed), (echoed, one)
    assert one["zerocopy"] and not one["wrong"] and not one["sending"], one


SLEEPS = {"profiles": ["modern-split"], "drivers": ["vnet"], "timeout": 240, "up": False,
          "full": True}


@test(**SLEEPS)
def suspend(env):
    "A socket open while the machine is suspended to RAM, twice."
    sleeps(env, "mem")


@test(**SLEEPS)
def hibernate(env):
    "A socket open while the machine is off, its memory on a disk, twice."
    sleeps(env, "swap", 768)


@test(profiles=EXTREMES, drivers=["vnet"], timeout=200, full=True,
      moves=[*LOSSES, "reset_user", "heal_device_resets"])
def reset(env):
    "Rings of another size and a link that goes down and up, with the socket open."
    client = Client(env)
    traffic(env, "64-83")
    for step in (f"ethtool -G {env.nic} rx 128",
                 f"ip link set {env.nic} down; ip link set {env.nic} up"):
        env.guest.run(step, timeout=60)
        env.wait_carrier()
        traffic(env, "64-83")
    client.stop()
    client = Client(env)
    traffic(env, "64-83")
    client.stop()
    traffic_stack(env)


@test(profiles=["modern-split", "packed", "no-indirect", "legacy", "iommu"], drivers=["vnet"],
      timeout=150, full=True)
def send(env):
    "Numbered datagrams from one socket: all arrive, and all frames come back."
    ends = Ends(env)
    tools(env)
    mac = host_mac(env)
    job = ends.host_sink(PORT, 3)
    change = Change(env)
    out = env.guest.run(f"python3 /tmp/xsk.py send {env.nic} 0 1000 200 --frames 64 "
                        f"--to {mac},{env.ip},{env.host_ns.ip}", timeout=90).out
    done, = json.loads(out.strip().splitlines()[-1])
    assert done["done"] == done["tx"] == 1000 and not done["wrong"], done
    have = result(job)
    assert have["distinct"] == 1000 and not have["damaged"], have
    assert change()["tx_xsk_packets"] == 1000


@test(profiles=["modern-split", "packed", "small"], drivers=["vnet"], timeout=150, full=True)
def burst(env):
    "More datagrams at once than there are frames: the fill ring runs dry and comes back."
    ends = Ends(env)
    for option in ("", "--no-wakeup"):
        client = Client(env, f"--frames 16 --ring 64 {option}")
        change = Change(env)
        env.host_ns.run(f"ping -q -c 1 -W 5 {env.ip}")
        ends.host(f"send {env.ip} {PORT} 400 100")
        env.wait(lambda c=change: c()["rx_xdp_redirects"] >= 400, "not all came", 30)
        assert change()["rx_starved"], "the ring was never empty"
        done = client.stop()
        assert total(done, "rx") == total(done, "done") == 400, done


def hold(env):
    """The device of one queue pair keeps what is transmitted."""
    env.guest.run(f"ethtool -L {env.nic} combined 1")
    env.device.fault(queue="tx0", action="hold")


@test(profiles=["scripted"], drivers=["vnet"], timeout=150, full=True)
def order(env):
    "A device that is done with the youngest packets first: no frame comes back too early."
    tools(env)
    hold(env)
    change = Change(env)
    job = env.guest.start(f"exec python3 /tmp/xsk.py send {env.nic} 0 40 100 --frames 64 "
                          "--to 52:54:00:76:6e:fe,10.0.2.15,10.0.2.2")
    env.wait(lambda: change()["tx_xsk_packets"] == 40, "the packets are not sent")
    released = env.device.release("tx0", limit=20, order="reverse")
    env.wait(lambda: change()["tx_packets"] >= 20, "the device's completions are not seen")
    env.guest.run("pkill -USR1 -f xsk.py")
    env.device.clear()
    env.device.release("tx0")
    done = job.wait(60)
    early, late = [json.loads(line)[0] for line in done.out.strip().splitlines()]
    assert early["done"] == 0 and early["sending"] == 40, (released, early)
    assert late["done"] == 40 and not late["wrong"] and not late["sending"], late


@test(profiles=["scripted"], drivers=["vnet"], timeout=200, full=True)
def held(env):
    "Packets that the device keeps over a reset, and over the end of the socket, come back once."
    tools(env)
    hold(env)
    for step in (f"ethtool -G {env.nic} tx 128",
                 f"ip link set {env.nic} down; ip link set {env.nic} up"):
        change = Change(env)
        job = env.guest.start(f"exec python3 /tmp/xsk.py send {env.nic} 0 40 100 --frames 64 "
                              "--to 52:54:00:76:6e:fe,10.0.2.15,10.0.2.2")
        env.wait(lambda c=change: c()["tx_xsk_packets"] == 40, "the packets are not sent")
        env.guest.run(step, timeout=60)
        one, = result(job)
        assert one["done"] == 40 and not one["wrong"] and not one["sending"], (step, one)
        assert change()["tx_purged"] >= 40, change()
    job = env.guest.start(f"exec python3 /tmp/xsk.py send {env.nic} 0 40 100 --frames 64 "
                          "--to 52:54:00:76:6e:fe,10.0.2.15,10.0.2.2")
    env.wait(lambda: change()["tx_xsk_packets"] == 80, "the packets are not sent")
    env.guest.run("pkill -KILL -f xsk.py", check=False)
    env.wait(lambda: change()["tx_purged"] >= 80, "the frames are not taken back", 30)
    env.device.clear()
    env.device.release("tx0")
    env.wait(lambda: not env.guest.run("ping -q -c 1 -W 1 10.0.2.2", check=False).status,
             "no packet comes through any more", 30)
    assert not env.device.violations(), env.device.violations()[:3]


@test(profiles=["scripted"], drivers=["vnet"], timeout=200, full=True)
def hanging(env):
    "The socket ends while the device hangs in a reset with its frames: nobody waits for it."
    tools(env)
    hold(env)
    env.guest.run(f"devlink health set virtio/{env.virtio} reporter tx auto_recover false")
    change = Change(env)
    job = env.guest.start(f"exec python3 /tmp/xsk.py send {env.nic} 0 40 100 --frames 64 "
                          "--to 52:54:00:76:6e:fe,10.0.2.15,10.0.2.2")
    env.wait(lambda: change()["tx_xsk_packets"] == 40, "the packets are not sent")
    env.device.fault(device="queue-reset", action="hang")
    env.device.fault(device="reset", action="stuck", seconds=15)
    env.guest.run("pkill -KILL -f xsk.py")
    job.wait(20)
    env.wait(lambda: "taken from a device that hangs" in env.guest.run("dmesg").out,
             "the pool is not given up", 30)
    env.guest.run(f"timeout 2 ip link show {env.nic}")
    env.device.clear()
    env.guest.run(f"devlink health set virtio/{env.virtio} reporter tx auto_recover true")
    env.wait(lambda: not env.guest.run("ping -q -c 1 -W 1 10.0.2.2", check=False).status,
             "the device does not come back", 60)
    client = Client(env)
    client.stop()


@test(profiles=["modern-split", "big", "no-indirect", "iommu"], drivers=["vnet"], timeout=150,
      full=True)
def several_frames(env):
    "XDP_USE_SG: packets of several frames, both ways; and programs that need one."
    client = Client(env, "--sg --frames 512")
    count = traffic(env, "1400-1459")
    done = client.stop()
    assert total(done, "rx") == count == total(done, "tx"), done
    assert total(done, "done") > count, done


@test(profiles=["mtu-jumbo"], drivers=["vnet"], timeout=150, full=True)
def jumbo(env):
    "9000 bytes in frames of 4096."
    client = Client(env, "--sg --chunk 4096")
    count = traffic(env, "8900-8939")
    done = client.stop()
    assert total(done, "rx") == count and total(done, "done") == 3 * count, done


@test(profiles=["modern-split", "iommu"], drivers=["vnet"], timeout=200, full=True)
def options(env):
    "Without need_wakeup, with busy polling, unaligned frames, headroom, and shared memory."
    for option in ("--no-wakeup", "--busy", "--unaligned --headroom 64", "--frames 32 --ring 64"):
        client = Client(env, option)
        traffic(env, "64-103")
        client.stop()


@test(profiles=["mq"], drivers=["vnet"], timeout=150, full=True)
def shared(env):
    "One memory for the sockets of several queues."
    env.guest.run(f"ethtool -L {env.nic} combined 4")
    client = Client(env, "--shared --frames 256", queues="0,1,2,3")
    count = traffic(env)
    done = client.stop()
    assert total(done, "rx") == total(done, "done") == count, done


@test(profiles=["modern-split"], drivers=["vnet"], kernel_min=(6, 18), full=True)
def checksum(env):
    "Transmit metadata: the device completes the checksum."
    ends = Ends(env)
    tools(env)
    mac = host_mac(env)
    job = ends.host_sink(PORT, 3)
    out = env.guest.run(f"python3 /tmp/xsk.py send {env.nic} 0 50 100 --csum --frames 64 "
                        f"--to {mac},{env.ip},{env.host_ns.ip}", timeout=60).out
    done, = json.loads(out.strip().splitlines()[-1])
    assert done["done"] == 50 and not done["wrong"], done
    have = result(job)
    assert have["distinct"] == 50 and not have["damaged"], have


def bind(env, queues, options=""):
    """What became of binds to these queues, one after the other."""
    tools(env)
    out = env.guest.run(f"python3 /tmp/xsk.py bind {env.nic} {queues} {options}").out
    return json.loads(out.strip().splitlines()[-1])


@test(profiles=["mq", "small", "legacy"], drivers=["vnet"], timeout=120, full=True)
def refused(env):
    "Binds that cannot be: an errno, and nothing has changed."
    if env.profile.name == "mq":    # what is sent back is on the queue of the socket
        env.guest.run(f"ethtool -L {env.nic} combined 1")
    features = env.guest.run(f"ethtool -k {env.nic}").out
    assert bind(env, "0,0") == ["ok", "EBUSY"]
    assert bind(env, "9") == ["EINVAL"]
    assert bind(env, "0", "--headroom 512") == ["EINVAL"], "1280 bytes hold no packet"
    if env.profile.name == "small":
        assert bind(env, "0", "--headroom 512 --sg") == ["EINVAL"], "one buffer holds one packet"
    client = Client(env)
    done = env.guest.run(f"ip link set {env.nic} mtu 3000 2>&1", check=False)
    assert done.status, "an MTU that does not fit the frames was accepted"
    traffic(env, "64-83")
    client.stop()
    assert env.guest.run(f"ethtool -k {env.nic}").out == features
    traffic_stack(env)


@test(profiles=["bounce"], drivers=["vnet"], timeout=120, full=True)
def unmappable(env):
    "Physical addresses are wanted, the bus has others: EOPNOTSUPP with a reason, nothing changed."
    before = settings(env)
    change = Change(env)
    assert bind(env, "0") == [errno.errorcode[errno.EOPNOTSUPP]]
    assert "no ACCESS_PLATFORM" in env.guest.run("dmesg").out
    assert settings(env) == before, differences(before, settings(env))
    traffic_stack(env)
    assert not change()["rx_xsk_copies"], change()
