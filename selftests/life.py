# SPDX-License-Identifier: GPL-2.0
"""The driver comes and goes under traffic: no complaint, no growth."""

from lab import profiles
from lab.api import test

# Memory of the kernel that nobody gives back, in KiB: unreclaimable slab,
# per-CPU memory, stacks, page tables, and pages that nothing accounts for.
MEMORY = """
echo 3 > /proc/sys/vm/drop_caches
awk '
    { m[$1] = $2 }
    END {
        used = m["MemTotal:"] - m["MemFree:"] - m["Buffers:"] - m["Cached:"] -
            m["SReclaimable:"] - m["AnonPages:"]
        print used, m["SUnreclaim:"], m["Percpu:"]
    }' /proc/meminfo
"""
ALLOWED = (3072, 768, 256)  # KiB of growth that is noise


def memory(env):
    """The least of three readings: deferred freeing needs a moment."""
    readings = [[int(n) for n in env.guest.run(MEMORY + "sleep 0.5").out.split()]
                for _ in range(3)]
    return [min(column) for column in zip(*readings)]


def flood(env):
    """Traffic in both directions that survives the interface going away."""
    env.host_ns.start(f"while :; do ping -q -i 0.003 -w 5 {env.ip}; sleep 0.1; done", quiet=True)
    return env.guest.start(f"while :; do ping -q -i 0.01 -w 5 {env.gateway}; sleep 0.1; done "
                           ">/dev/null 2>&1")


def rounds(env, step, count, warm=3):
    """Run a shell step many times in the guest under traffic; no growth after the warm-up."""
    job = flood(env)

    def turn(times):
        env.guest.run(f"for i in $(seq {times}); do {step} || exit; done",
                      timeout=30 + 10 * times)
    turn(warm)
    before = memory(env)
    turn(count)
    job.kill()
    env.host_ns.stop_daemons()
    growth = [after - b for after, b in zip(memory(env), before)]
    assert all(g < a for g, a in zip(growth, ALLOWED)), \
        f"memory grew by {growth} KiB (used, slab, per CPU) in {count} rounds"
    env.find()
    env.ping()


def up(env):
    """Shell text: bring the interface of the MAC up and let packets flow."""
    return (f"nic=$(grep -l {env.mac} /sys/class/net/*/address | cut -d/ -f5); "
            f"ip addr add {env.ip}/24 dev $nic; ip link set $nic up; sleep 0.05")


@test(profiles=profiles.CORE, timeout=240)
def rebind(env):
    "unbind and bind in a circle under traffic."
    env.need_tap()
    where = env.drivers_dir()
    rounds(env, f"echo {env.virtio} > {where}/unbind; echo {env.virtio} > {where}/bind; {up(env)}",
           env.rounds(full=40, quick=8))


@test(profiles=["modern-split", "packed"], timeout=900, full=True)
def rebind_200(env):
    "200 rounds of unbind and bind under traffic."
    where = env.drivers_dir()
    rounds(env, f"echo {env.virtio} > {where}/unbind; echo {env.virtio} > {where}/bind; {up(env)}",
           200, warm=20)


@test(profiles=["modern-split"], timeout=1800, full=True)
def rebind_1000(env):
    "1000 rounds of unbind and bind, the interface up in every tenth."
    where = env.drivers_dir()
    rounds(env, f"echo {env.virtio} > {where}/unbind; echo {env.virtio} > {where}/bind; "
                f"[ $((i % 10)) != 0 ] || {{ {up(env)}; }}", 1000, warm=30)


def insmod_step(env):
    load = f"if [ -e /lab/{env.driver}.ko ]; then insmod /lab/{env.driver}.ko; " \
           f"else modprobe {env.driver}; fi"
    return f"rmmod {env.driver} && {load}; {up(env)}"


@test(profiles=["modern-split", "legacy", "mmio"], timeout=240)
def reload(env):
    "rmmod and insmod in a circle under traffic."
    rounds(env, insmod_step(env), env.rounds(full=40, quick=8))


@test(profiles=["modern-split", "packed"], timeout=900, full=True)
def reload_200(env):
    "200 rounds of rmmod and insmod under traffic."
    rounds(env, insmod_step(env), 200, warm=20)


@test(profiles=profiles.CORE, timeout=240, moves=["*_purged"])
def down_up(env):
    "The interface goes down and up in a circle under traffic."
    rounds(env, f"ip link set {env.nic} down; ip link set {env.nic} up; sleep 0.05",
           env.rounds(full=200, quick=10))


@test(profiles=["modern-split", "packed"], timeout=120)
def unplug(env):
    "The device is unplugged under traffic and plugged in again."
    for _ in range(env.rounds(full=10, quick=2)):
        job = flood(env)
        env.guest.unplug()
        job.kill()
        env.host_ns.stop_daemons()
        assert env.guest.interface(env.mac) is None, "the interface is still there"
        env.guest.plug()
        env.wait(lambda: env.guest.interface(env.mac), "no interface after plugging in", 30)
        env.configure()
        env.ping()


@test(profiles=["two-nics"], timeout=120)
def one_of_two(env):
    "One NIC goes while the other one works."
    second = env.guest.virtio_nics()[1]
    for _ in range(3):
        env.unbind(second)
        env.ping(count=2)
        env.bind(second)


@test(profiles=["modern-split"], up=False, drivers=["vnet"])
def beside_virtio_net(env):
    "vnet and virtio_net load together, in either order; sysfs moves the NIC between them."
    virtio = env.virtio
    env.guest.run("modprobe virtio_net")
    for driver in ("virtio_net", "vnet"):
        other = {"vnet": "virtio_net", "virtio_net": "vnet"}[driver]
        env.guest.run(f"echo {virtio} > /sys/bus/virtio/drivers/{other}/unbind")
        env.guest.run(f"echo {virtio} > /sys/bus/virtio/drivers/{driver}/bind")
        env.find()
        assert f"driver: {driver}\n" in env.guest.run(f"ethtool -i {env.nic}").out
        env.configure()
        env.ping(count=2)
    env.guest.rmmod("vnet")
    env.guest.run(f"echo {virtio} > /sys/bus/virtio/drivers/virtio_net/bind; true")
    env.guest.insmod("vnet")
    env.guest.rmmod("virtio_net")
    env.guest.run(f"echo {virtio} > /sys/bus/virtio/drivers/vnet/bind; true", check=False)
    env.find()
