# SPDX-License-Identifier: GPL-2.0
"""Bad input of users and of devices: refused or counted, and packets go on."""

import struct

from lab.api import test

from ._data import counters, refused
from .device import packet

FAR = "10.0.2.2"
OWN = "10.0.2.15"
PEER_MAC = bytes.fromhex("525400766efe")
NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4
TCPV4, UFO, TCPV6, UDP_L4, ECN, TUNNEL4, TUNNEL6 = 1, 3, 4, 5, 0x80, 0x20, 0x40


def ping(env, count=3):
    env.ping(count=count)


# ---- users -------------------------------------------------------------------


@test(profiles=["modern-split", "packed", "mq", "small", "legacy", "big"], drivers=["vnet"])
def user(env):
    "MTU, rings and channels out of range: an errno and a sentence, the old state stands."
    nic = env.nic
    rings, channels = f"ethtool -g {nic}", f"ethtool -l {nic}"
    before = (env.guest.run(rings).out, env.guest.run(channels).out,
              env.guest.run(f"cat /sys/class/net/{nic}/mtu").out)
    most = env.profile.queues
    refused(env, f"ip link set {nic} mtu 67", "mtu")
    refused(env, f"ip link set {nic} mtu 65536", "mtu")
    refused(env, f"ip link set {nic} mtu 0", "mtu")
    refused(env, f"ethtool -L {nic} combined 0")
    refused(env, f"ethtool -L {nic} combined {most + 1}")
    refused(env, f"ethtool -L {nic} rx 1")
    refused(env, f"ethtool -G {nic} rx 65536", "exceeds maximum")
    refused(env, f"ethtool -G {nic} tx 65536", "exceeds maximum")
    refused(env, f"ethtool -G {nic} rx 0", "at least one entry")
    refused(env, f"ethtool -G {nic} tx 0", "at least one entry")
    if env.profile.name != "packed":
        refused(env, f"ethtool -G {nic} rx 200", "power of two")
        refused(env, f"ethtool -G {nic} tx 3", "power of two")
    if env.profile.name in ("modern-split", "packed", "mq"):
        refused(env, f"ethtool -G {nic} rx 1", "one packet may take")
    for length in (0, 1024, 3000, 65536):
        refused(env, f"ethtool -G {nic} rx-buf-len {length}")
    refused(env, f"ethtool --set-tunable {nic} rx-copybreak 100000")
    refused(env, f"ip link set {nic} xdp obj /nothing")
    after = (env.guest.run(rings).out, env.guest.run(channels).out,
             env.guest.run(f"cat /sys/class/net/{nic}/mtu").out)
    assert before == after, f"{before} became {after}"
    ping(env)


# ---- devices -----------------------------------------------------------------


def frame(env, size=200, port=9):
    return packet.udp_frame(bytes.fromhex(env.mac.replace(":", "")), PEER_MAC, OWN, FAR, port, 7,
                            b"y" * (size - 42))


def wait_alive(env, timeout=30):
    """The interface works: perhaps after recovery."""
    env.wait(lambda: not env.guest.run(f"ping -q -c 1 -W 5 {FAR}", check=False).status,
             "no packet comes through any more", timeout)


def outcome(env, before):
    """Packets received and dropped since, by reason; names without rx_drop_."""
    now = counters(env)
    return {name.removeprefix("rx_drop_"): now[name] - before[name] for name in now
            if name in before and now[name] != before[name]
            and name.startswith(("rx_drop_", "rx_packets"))}


def tell(env, cases, what):
    """Tell the driver lies and see what became of each: cases are (text, reasons, lie).

    All at once, because every look at the counters costs; one by one when the
    sum is wrong. Without reasons a packet may be received or dropped.
    """
    def run(some):
        before = counters(env)
        for _, _, lie in some:
            lie()
        try:
            env.wait(lambda: sum(outcome(env, before).values()) >= len(some), "", 5)
        except AssertionError:
            return f"only {outcome(env, before)} of {len(some)} are accounted"
        have = outcome(env, before)
        if sum(have.values()) != len(some):
            return f"{len(some)} given, {have} accounted"
        sure = [reasons for _, reasons, _ in some if reasons]
        seen = sum(have.get(name, 0) for name in set().union(*sure))
        return f"{have}" if seen < len(sure) else None

    wrong = run(cases)
    if wrong:
        single = [f"{text}: {bad}" for text, reasons, lie in cases
                  if (bad := run([(text, reasons, lie)]))]
        raise AssertionError(f"{what}: {wrong}; " + "; ".join(single))


MODES = {
    "mergeable": ["default", "MQ", "GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO"],
    "small": ["default", "MQ", "-MRG_RXBUF"],
    "big": ["default", "MQ", "-MRG_RXBUF", "GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO"],
    "packed": ["default", "MQ", "GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO", "RING_PACKED"],
}


def renegotiate(env, mode):
    """Bind the driver again, to a device with the features of a mode."""
    env.device.call("offer", features=MODES[mode])
    env.unbind()
    env.bind()
    env.configure()
    # no ARP while packets are counted
    env.guest.run(f"ip neigh replace {FAR} lladdr 52:54:00:76:6e:fe dev {env.nic} nud permanent")
    wait_alive(env)


@test(profiles=["scripted"], drivers=["vnet"], timeout=300)
def used_lengths(env):
    "Impossible used lengths of a first and of a second buffer, in every receive mode."
    data = frame(env)

    def lie(length, **more):
        return lambda: env.device.inject(data, used_len=length, **more)

    for mode in MODES:
        renegotiate(env, mode)
        # what of a frame that is too long fits; all buffers of a queue have one size here
        room = env.device.call("inject", queue="rx0", buffers=1, frame="55" * 90000)["used"][0][0]
        cases = [(f"used length {n}", ("runt",), lie(n)) for n in (0, 1, 11, 12, 25)]
        cases += [(f"used length {n}", ("overrun",), lie(n)) for n in
                  (room + 1, 1 << 20, 0xffffffff)]
        cases += [("exactly the buffer", ("rx_packets",), lie(room))]
        if mode in ("mergeable", "packed"):
            cases += [(f"used length {n} of a follower", ("overrun",),
                       lie([None, n], buffers=2)) for n in (room + 1, 1 << 20, 0xffffffff)]
            cases += [(f"used length {n} of a follower", None, lie([None, n], buffers=2))
                      for n in (0, 1)]
        tell(env, cases, f"{mode}, buffers of {room} bytes")
        finish(env, mode)


def finish(env, mode):
    """Packets flow, and the driver has broken no rule."""
    wait_alive(env)
    found = env.device.violations()
    assert not found, f"{mode}: {found[:3]}"


@test(profiles=["scripted"], drivers=["vnet"], timeout=300)
def buffer_counts(env):
    "Impossible numbers of buffers: counted, and recovered from."
    data = frame(env)

    def lie(number):
        return lambda: env.device.inject(data, hdr={"num_buffers": number})

    for mode in ("mergeable", "packed"):
        renegotiate(env, mode)
        for number in (2, 18, 64):
            tell(env, [("one buffer used", ("missing",), lie(number))], f"{mode}: {number} claimed")
        wait_alive(env)
        for number in (0, 65, 65535):
            before = counters(env)["reset_bad_chain"]
            tell(env, [("one buffer used", ("bad_chain",), lie(number))],
                 f"{mode}: {number} claimed")
            env.wait(lambda b=before: counters(env)["reset_bad_chain"] > b,
                     f"{mode}: num_buffers {number}: no recovery")
            wait_alive(env)
        finish(env, mode)


def header_cases():
    """(what, reasons or None when the packet may live, header fields)"""
    for start, offset in ((0, 0), (13, 6), (14, 0), (33, 6), (199, 6), (200, 0), (65535, 6),
                          (34, 65535), (65535, 65535), (34, 200)):
        yield (f"NEEDS_CSUM at {start}+{offset}", ("bad_csum",),
               {"flags": NEEDS_CSUM, "csum_start": start, "csum_offset": offset})
    yield "NEEDS_CSUM where it is", None, {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 6}
    yield "both flags", None, {"flags": 3, "csum_start": 34, "csum_offset": 6}
    for flags in (4, 8, 16, 0xf0):
        yield f"flags {flags}", None, {"flags": flags}
    good = {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 16, "gso_size": 100}
    for gso in (2, 6, 7, 16, ECN, UDP_L4 | ECN, UFO | ECN, UDP_L4):
        yield f"gso type {gso:#x}", ("bad_gso", "bad_csum"), {**good, "gso_type": gso}
    for gso in (TUNNEL4, TUNNEL6, TUNNEL4 | TCPV4, TUNNEL6 | TCPV6 | ECN, 0xff):
        yield f"gso type {gso:#x}", ("bad_tunnel", "bad_gso"), {**good, "gso_type": gso}
    for size in (0, 1, 7):
        yield f"gso size {size}", ("bad_gso",), {**good, "gso_type": TCPV4, "gso_size": size}
    yield "gso size 65535", ("bad_gso",), {**good, "gso_type": TCPV4, "gso_size": 65535}
    yield ("GSO without a checksum", ("bad_gso",),
           {"gso_type": TCPV4, "gso_size": 100})
    yield ("GSO with the checksum of UDP", ("bad_gso",),
           {**good, "gso_type": TCPV4, "csum_offset": 6})
    yield ("GSO whose transport header is outside", ("bad_csum", "bad_gso"),
           {**good, "gso_type": TCPV4, "csum_start": 190})


@test(profiles=["scripted"], drivers=["vnet"], timeout=300)
def headers(env):
    "Header fields that lie: counted under the right reason, once for each packet."
    data = frame(env)
    for mode in ("mergeable", "small", "big"):
        renegotiate(env, mode)
        groups = {}
        for what, reasons, hdr in header_cases():
            if mode == "small" and reasons and "gso_type" in hdr:
                reasons = ("bad_gso", "bad_csum", "bad_tunnel")
            groups.setdefault(reasons, []).append(
                (what, reasons, lambda h=hdr: env.device.inject(data, hdr=h)))
        for reasons, cases in groups.items():
            tell(env, cases, f"{mode}: {reasons}")
        finish(env, mode)


@test(profiles=["scripted"], drivers=["vnet"], timeout=300)
def header_flood(env):
    "A thousand headers, every type and flag with edge values: the stack takes or drops them."
    edge = (0, 1, 13, 14, 34, 54, 199, 200, 65535)
    tcp = frame(env)[:23] + b"\x06" + frame(env)[24:]
    tcp = tcp[:46] + b"\x50" + tcp[47:]
    for mode in ("mergeable", "big"):
        renegotiate(env, mode)
        before = counters(env)
        given = state = 0
        for number in range(env.rounds(full=4000, quick=512)):
            state = (state * 1103515245 + 12345) & 0x7fffffff
            pick = [edge[state >> shift & 7] for shift in (4, 8, 12, 16)]
            raw = struct.pack("<BBHHHHH", state >> 20 & 15, number & 255, pick[0], pick[1],
                              pick[2] if state & 1 else 34, pick[3] if state & 2 else 16, 1)
            given += env.device.inject((frame(env), tcp)[number % 2], raw_hdr=raw,
                                       interrupt=number % 8 == 7)
            if number % 128 == 127:
                wait_alive(env)
        wait_alive(env)

        def gone(b=before):
            now = counters(env)
            return now["rx_packets"] + now["rx_drops"] - b["rx_packets"] - b["rx_drops"]
        env.wait(lambda g=given: gone() >= g, f"{mode}: {given} given, {gone()} seen")


@test(profiles=["scripted"], drivers=["vnet"], timeout=300)
def used_ids(env):
    "Completions for buffers that the device does not have: the device is reset, packets flow."
    for mode in ("mergeable", "packed"):
        renegotiate(env, mode)
        for what, lie in (
                ("an id out of range", lambda: env.device.call(
                    "ring", queue="rx0", action="used", id=60000, len=100, slots=1)),
                ("an id never given", lambda: env.device.inject(frame(env), ids=[60001])),
                ("a good packet and a bad id", lambda: (
                    env.device.inject(frame(env), interrupt=False, count=3),
                    env.device.inject(frame(env), ids=[60002])))):
            before = counters(env)["reset_broken_ring"]
            lie()
            env.device.call("interrupt", queue="rx0")
            env.wait(lambda b=before: counters(env)["reset_broken_ring"] > b,
                     f"{mode}: {what}: no recovery, {counters(env)['reset_broken_ring']}")
            wait_alive(env)
        finish(env, mode)


@test(profiles=["scripted"], drivers=["vnet"], timeout=120)
def changed_after(env):
    "A device that rewrites headers, before and after the driver has read them."
    renegotiate(env, "mergeable")
    before = counters(env)
    for number in range(200):
        env.device.inject(frame(env, 1000), rewrite={"seconds": 0, "hdr": {
            "num_buffers": number % 4, "gso_type": number & 255, "flags": number & 15}})
    wait_alive(env)
    # a number of buffers that was read after it grew takes up to two packets along
    seen = sum(outcome(env, before).values())
    assert seen >= 200 // 3, f"{outcome(env, before)} of 200 packets"
