# SPDX-License-Identifier: GPL-2.0
"""Packets of every size in every receive mode: MTU edges, buffer edges, 64 KiB."""

from lab.api import test

from ._data import PORT, Change, Ends, feature, refused

MODES = ("modern-split", "packed", "small", "big", "legacy", "legacy-small", "iommu",
         "no-indirect")
TAP_MAX = 65521  # the largest MTU of a tap
UDP = 28  # IPv4 and UDP headers
BIG = (1 << 20) * 2


def set_mtu(env, mtu):
    """Both ends; the host's side keeps enough for IPv6."""
    env.host_ns.run(f"ip link set {env.host_ns.device} mtu {min(max(mtu, 1500), TAP_MAX)}")
    env.guest.run(f"ip link set {env.nic} mtu {mtu}", timeout=60)


def edges(most):
    """Datagram sizes around everything that a buffer may hold, up to an MTU."""
    frames = set(range(50, 66)) | set(range(120, 136)) | {1514, 1515, 1518, 1519}
    for count in (1, 2, 3):
        for region in (2048, 4096, 8192, 16384):
            for overhead in (468, 472, 522, 524):  # with virtio headers of 20, 24, 10, 12 bytes
                at = count * (region - overhead)
                frames.update(range(at - 1, at + 2))
    for followers in range(1, 8):  # of a chain, behind a head
        at = 1524 + followers * 8192
        frames.update(range(at - 1, at + 4))
    top = most - UDP
    chosen = {frame - 42 for frame in frames if 8 <= frame - 42 <= top}
    return ",".join(map(str, sorted(chosen | {top - 1, top})))


@test(profiles=MODES, drivers=["vnet"], timeout=180)
def edges_of_mtu(env):
    "MTU 68 to the most: packets of exactly it cross both ways, larger ones are refused."
    env.need_tap()
    try:
        for mtu in (68, 576, 1280, 1500, 9000, 65521, 65535):
            if mtu > 32000 and "small" in env.profile.name:
                refused(env, f"ip link set {env.nic} mtu {mtu}")
                continue
            set_mtu(env, mtu)
            size = min(mtu, TAP_MAX) - UDP
            env.ping(count=2, sizes=[size], options="-M do")
            env.ping(env.ip, count=2, sizes=[size], options="-M do", run=env.host_ns.run)
            if mtu < 65535:
                refused(env, f"ping -q -c 1 -W 1 -M do -s {mtu - UDP + 1} {env.host_ns.ip}")
    finally:
        env.host_ns.run(f"ip link set {env.host_ns.device} mtu 1500")


@test(profiles=(*MODES, "swiotlb"), drivers=["vnet"], timeout=180)
def edges_of_buffers(env):
    "Datagrams around the size of every buffer go there and back unchanged, nothing is dropped."
    ends = Ends(env)
    ends.serve()
    change = Change(env)
    most = 30000 if "small" in env.profile.name else TAP_MAX
    try:
        set_mtu(env, most)
        ends.guest(f"sizes {env.host_ns.ip} {PORT} {edges(most)}", timeout=120)
        set_mtu(env, 1500)
        ends.guest(f"sizes {env.host_ns.ip} {PORT} {edges(1500)}", timeout=60)
    finally:
        env.host_ns.run(f"ip link set {env.host_ns.device} mtu 1500")
    bad = {name: n for name, n in change.total().items() if "drop" in name}
    assert not bad, f"{bad}"


def large(ends, env):
    """Packets of 64 KiB in, one by one and as a stream; what the counters say of it."""
    change = Change(env)
    ends.guest(f"sizes {env.host_ns.ip} {PORT} 60000-60004,65470-65493 ; "
               f"get {env.host_ns.ip} {PORT} {BIG}", timeout=90)
    moved = change.total()
    bad = {name: n for name, n in moved.items() if "drop" in name}
    assert not bad, f"{bad}"
    return moved


@test(profiles=["modern-split", "packed", "big", "legacy", "iommu", "hash"], drivers=["vnet"],
      timeout=240)
def large_receive(env):
    "64 KiB packets with every buffer length, in rings that hold few and many of them."
    ends = Ends(env)
    ends.serve()
    ring = 256
    lengths = ("2048", "4096", "8192", "32768")
    if env.profile.name == "legacy":
        lengths = ("2048", "32768")
    try:
        set_mtu(env, TAP_MAX)
        for length in lengths:
            env.guest.run(f"ethtool -G {env.nic} rx-buf-len {length}", timeout=60)
            moved = large(ends, env)
            if length == "2048" and env.profile.name != "big":
                assert moved.get("rx_large", 0) >= 29, f"{moved}"
            if length == "32768":
                assert not moved.get("rx_large"), f"{moved}"
        if env.profile.name in ("modern-split", "packed", "iommu", "hash"):
            ring = 64
            env.guest.run(f"ethtool -G {env.nic} rx {ring} rx-buf-len 2048", timeout=60)
            assert large(ends, env).get("rx_large"), "no packet of many buffers"
    finally:
        env.host_ns.run(f"ip link set {env.host_ns.device} mtu 1500")


@test(profiles=["modern-split", "legacy"], drivers=["vnet"])
def buffers_adapt(env):
    "Buffers become larger under large packets and smaller under small ones; users see it."
    ends = Ends(env)
    ends.serve()
    path = f"/sys/class/net/{env.nic}/queues/rx-0/virtio_net/mergeable_rx_buffer_size"

    def size():
        return int(env.guest.run(f"cat {path}").out)

    assert feature(env, "rx-gro-hw")
    ends.guest(f"get {env.host_ns.ip} {PORT} {8 << 20}")
    large_size = size()
    env.host_ns.run(f"ping -q -f -c 1500 -w 20 {env.ip}")
    small_size = size()
    assert small_size < 2048 < large_size, f"{large_size} with large packets, {small_size} after"
