# SPDX-License-Identifier: GPL-2.0
"""Programs of users on the interface: they work, and the counters add up.

The far end is the guest's second NIC in a name space of its own, so that both
ends have the same kernel; what lies between is the bridge of the host's side.
"""

import contextlib
import json
import re

from lab.api import test

from ._data import counters

ON = ["two-nics"]
NEAR, FAR = "10.98.0.1", "10.98.0.2"
# frames that only one end sees: address resolution of IPv6, multicast reports
STRAY = 40


def links(run, nic):
    return json.loads(run(f"ip -j -s link show {nic}").out)[0]["stats64"]


class Ledger:
    """What one end has sent, the other has received, or the tap between them has dropped."""

    def __init__(self, env):
        self.env = env
        self.before = self.read()

    def read(self):
        env = self.env
        near, far = links(env.guest.run, env.nic), links(env.peer.run, env.peer.nic)
        lost = [links(env.host_ns.run, tap) for tap in env.host_ns.taps]
        return {
            "near sent": near["tx"]["packets"], "far got": far["rx"]["packets"],
            "far sent": far["tx"]["packets"], "near got": near["rx"]["packets"],
            "near lost": sum(near[way]["dropped"] for way in ("rx", "tx")),
            "far lost": sum(far[way]["dropped"] for way in ("rx", "tx")),
            "between": sum(tap[way]["dropped"] for tap in lost for way in ("rx", "tx")),
            "errors": near["rx"]["errors"] + near["tx"]["errors"],
        }

    def check(self, least=100):
        """Compare; at least so many packets must have passed."""
        self.env.guest.run("sleep 0.5")
        now = self.read()
        moved = {name: now[name] - value for name, value in self.before.items()}
        lost = moved["near lost"] + moved["far lost"] + moved["between"]
        assert moved["errors"] == 0, moved
        assert moved["near sent"] + moved["far sent"] >= least, moved
        for sent, got in (("near sent", "far got"), ("far sent", "near got")):
            gap = moved[sent] - moved[got]
            assert -STRAY <= gap <= lost + STRAY, f"{sent} {gap} packets more than {got}: {moved}"
        self.queues()

    def queues(self):
        """The counters of the queues and the total are the same."""
        if self.env.driver != "vnet":
            return
        found = counters(self.env)
        for way in ("rx", "tx"):
            parts = sum(value for key, value in found.items()
                        if re.fullmatch(way + r"\d+_packets", key))
            assert parts == found[f"{way}_packets"], (way, parts, found[f"{way}_packets"])


def modules(env, *names):
    """Load modules, or say that this kernel has none of the name."""
    for name in names:
        if env.guest.run(f"modprobe {name}", check=False).status:
            env.skip(f"Linux {env.kernel.release} has no module {name}")


def programs(env, *names, layer="programs"):
    for name in names:
        if env.guest.run(f"command -v {name}", check=False).status:
            env.skip(f"the guest root has no {name}: lab/layers/{layer} could not be installed")


def far_server(env, command, port):
    job = env.peer.start(command)
    env.wait(lambda: env.peer.run(f"ss -H -n -l -t sport = :{port}").out.strip(),
             f"'{command}' does not listen")
    return job


def traffic(env, address, seconds=1):
    """TCP both ways, UDP one, and a few pings."""
    env.ping(address)
    server = far_server(env, "iperf3 -s", 5201)
    try:
        for options in ("", "-R", "-u -b 4M -l 1100"):
            out = env.guest.run(f"iperf3 -J -t {seconds} -c {address} {options}", timeout=60).out
            end = json.loads(out)["end"]
            total = end.get("sum_received") or end["sum"]
            assert total["bytes"] > 50000, f"iperf3 {options}: {total}"
    finally:
        server.kill()


def over(env, make, near="v0", far="v0"):
    """Put the same device on both ends, give it addresses, and use it."""
    for run, nic, mine, his in ((env.guest.run, env.nic, env.ip, env.peer.ip),
                                (env.peer.run, env.peer.nic, env.peer.ip, env.ip)):
        run(make.format(nic=nic, mine=mine, his=his), timeout=60)
    env.guest.run(f"ip addr add {NEAR}/24 dev {near}; ip link set {near} up")
    env.peer.run(f"ip addr add {FAR}/24 dev {far}; ip link set {far} up")
    # the first packets of a new link may go while the far end is not up yet
    env.wait(lambda: not env.guest.run(f"ping -q -c 1 -W 1 {FAR}", check=False).status,
             f"no answer over {near}")
    ledger = Ledger(env)
    traffic(env, FAR)
    ledger.check()
    env.guest.run(f"ip link del {near}; true")


@test(profiles=ON)
def iperf3(env):
    "TCP both ways with one and with four streams, and UDP; no packet is lost from the books."
    ledger = Ledger(env)
    traffic(env, env.peer.ip, 2)
    server = far_server(env, "iperf3 -s", 5201)
    for options in ("-P 4", "-P 4 -R", "--bidir"):
        env.guest.run(f"iperf3 -J -t 2 -c {env.peer.ip} {options}", timeout=60)
    server.kill()
    ledger.check(1000)


@test(profiles=ON)
def web(env):
    "nginx at the far end serves wrk with eight connections; no request fails."
    programs(env, "nginx", "wrk")
    env.guest.run("mkdir -p /tmp/web && head -c 20000 /dev/zero > /tmp/web/page")
    env.guest.put(b"daemon off; error_log /tmp/web/error; pid /tmp/web/pid; user root;\n"
                  b"events {} http { access_log off; server { listen 8080; root /tmp/web; } }\n",
                  "/tmp/nginx.conf")
    ledger = Ledger(env)
    env.guest.run("mkdir -p /var/lib/nginx /var/log/nginx")
    server = far_server(env, "exec nginx -c /tmp/nginx.conf", 8080)
    out = env.guest.run(f"wrk -t 2 -c 8 -d 5 http://{env.peer.ip}:8080/page", timeout=60).out
    server.kill("TERM")
    served = re.search(r"(\d+) requests in", out)
    assert served and int(served[1]) > 50, out
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    ledger.check(500)


@test(profiles=ON)
def sockperf(env):
    "sockperf measures round trips over UDP and TCP; no message is lost, doubled or late."
    programs(env, "sockperf")
    ledger = Ledger(env)
    for kind, options in (("u", ""), ("t", "--tcp")):
        server = env.peer.start(f"exec sockperf server -i {env.peer.ip} -p 11111 {options}")
        env.wait(lambda kind=kind: env.peer.run(f"ss -H -n -l -{kind} sport = :11111").out.strip(),
                 "sockperf does not listen")
        out = env.guest.run(f"sockperf ping-pong -i {env.peer.ip} -p 11111 -t 3 {options}",
                            timeout=60).out
        server.kill()
        done = re.search(r"Valid Duration.*SentMessages=(\d+); ReceivedMessages=(\d+)", out)
        assert done and done[1] == done[2] and int(done[1]) > 50, out
        assert re.search(r"# dropped messages = 0; # duplicated messages = 0; "
                         "# out-of-order messages = 0", out), out
    ledger.check(200)


def promiscuity(env):
    return json.loads(env.guest.run(f"ip -d -j link show {env.nic}").out)[0]["promiscuity"]


@test(profiles=ON)
def tcpdump(env):
    "tcpdump sees every ping in both directions and turns promiscuous mode off again."
    job = env.guest.start(f"exec timeout -s INT 20 tcpdump -n -i {env.nic} -w /tmp/t.pcap icmp")
    env.wait(lambda: promiscuity(env), "tcpdump does not listen")
    env.ping(env.peer.ip, count=50)
    env.guest.run("sleep 1; pkill -INT tcpdump; sleep 1")
    job.wait(30)
    seen = env.guest.run("tcpdump -n -r /tmp/t.pcap 2>/dev/null").out
    assert seen.count("echo request") == 50 and seen.count("echo reply") == 50, seen[-400:]
    assert promiscuity(env) == 0, "the interface is still promiscuous"


@test(profiles=ON)
def vlan(env):
    "VLAN."
    modules(env, "8021q")
    over(env, "ip link add link {nic} name v0 type vlan id 5")


@test(profiles=ON)
def qinq(env):
    "A VLAN in a service VLAN (QinQ)."
    modules(env, "8021q")
    over(env, "ip link add link {nic} name q0 type vlan id 9 proto 802.1ad; ip link set q0 up; "
              "ip link add link q0 name v0 type vlan id 5")


@test(profiles=ON)
def macvlan(env):
    "macvlan: a second unicast address on the NIC."
    modules(env, "macvlan")
    over(env, "ip link add link {nic} name v0 type macvlan mode bridge")


@test(profiles=ON)
def ipvlan(env):
    "ipvlan: a second host behind the same address."
    modules(env, "ipvlan")
    over(env, "ip link add link {nic} name v0 type ipvlan mode l2")


@test(profiles=ON)
def bridge(env):
    "The NIC as the port of a bridge, promiscuous."
    modules(env, "bridge")
    over(env, "ip link add v0 type bridge; ip link set {nic} master v0")


@test(profiles=ON)
def bonding(env):
    "The NIC as the slave of a bond, which finds it up by the link state."
    modules(env, "bonding")
    over(env, "ip link add v0 type bond mode active-backup miimon 100; "
              "ip addr flush dev {nic}; ip link set {nic} down; ip link set {nic} master v0")
    env.guest.run(f"ip link set {env.nic} up")


@test(profiles=ON)
def vxlan(env):
    "VXLAN."
    modules(env, "vxlan")
    over(env, "ip link add v0 type vxlan id 7 local {mine} remote {his} dstport 4789 dev {nic}")


@test(profiles=ON)
def geneve(env):
    "Geneve."
    modules(env, "geneve")
    over(env, "ip link add v0 type geneve id 7 remote {his}")


@test(profiles=ON)
def wireguard(env):
    "WireGuard."
    modules(env, "wireguard")
    programs(env, "wg")
    keys = [env.guest.run("wg genkey").out.strip() for _ in range(2)]
    public = [env.guest.run(f"echo {key} | wg pubkey").out.strip() for key in keys]
    for run, mine, his, address in ((env.guest.run, 0, 1, env.peer.ip),
                                    (env.peer.run, 1, 0, env.ip)):
        run(f"ip link add v0 type wireguard; echo {keys[mine]} > /tmp/key{mine}; wg set v0 "
            f"listen-port 51820 private-key /tmp/key{mine} peer {public[his]} "
            f"allowed-ips 10.98.0.0/24 endpoint {address}:51820")
    over(env, "true")


@test(profiles=ON)
def ipsec(env):
    "IPsec: ESP in transport mode between the two ends."
    modules(env, "esp4", "xfrm_user")
    key = "0x" + "5a" * 20
    for run, mine, his in ((env.guest.run, env.ip, env.peer.ip),
                           (env.peer.run, env.peer.ip, env.ip)):
        lines = [f"ip xfrm state add src {a} dst {b} proto esp spi {spi} reqid 1 mode transport "
                 f"aead 'rfc4106(gcm(aes))' {key} 128"
                 for a, b, spi in ((env.ip, env.peer.ip, "0x100"), (env.peer.ip, env.ip, "0x101"))]
        lines += [f"ip xfrm policy add src {a} dst {b} dir {way} tmpl src {a} dst {b} proto esp "
                  "reqid 1 mode transport" for a, b, way in ((mine, his, "out"), (his, mine, "in"))]
        done = run(" && ".join(lines), check=False)
        if "rfc4106" in done.err or "Protocol not supported" in done.err:
            env.skip("the kernel has no AES-GCM for IPsec: " + done.err.strip())
        assert not done.status, str(done)
    try:
        ledger = Ledger(env)
        traffic(env, env.peer.ip)
        ledger.check()
        count = env.guest.run("ip -s xfrm state").out
        assert re.search(r"\b[1-9]\d*\(bytes\), [1-9]\d*\(packets\)", count), count
    finally:
        env.guest.run("ip xfrm state flush; ip xfrm policy flush")


@test(profiles=ON)
def flowtable(env):
    "nftables forwards established flows by a flow table between the NIC and a veth."
    modules(env, "nf_flow_table", "nf_flow_table_inet", "nft_flow_offload", "veth")
    env.guest.put(f"""
table inet fast {{
    flowtable f {{ hook ingress priority 0; devices = {{ {env.nic}, out0 }}; }}
    chain forward {{
        type filter hook forward priority 0;
        ct state established flow add @f; counter
    }}
}}
""".encode(), "/tmp/fast.nft")
    env.guest.run("ip netns add inner; ip link add out0 type veth peer name in0 netns inner; "
                  "ip addr add 10.97.0.1/24 dev out0; ip link set out0 up; "
                  "ip -n inner addr add 10.97.0.2/24 dev in0; ip -n inner link set in0 up; "
                  "ip -n inner route add default via 10.97.0.1")
    env.sysctl(net__ipv4__ip_forward=1)
    try:
        env.guest.run("nft -f /tmp/fast.nft")
        env.peer.run(f"ip route add 10.97.0.0/24 via {env.ip}")
        ledger = Ledger(env)
        server = far_server(env, "iperf3 -s", 5201)
        for options in ("", "-R"):
            out = env.guest.run("ip netns exec inner iperf3 -J -t 2 -c "
                                f"{env.peer.ip} {options}", timeout=60).out
            assert json.loads(out)["end"]["sum_received"]["bytes"] > 100000, out[-300:]
        server.kill()
        slow = re.search(r"counter packets (\d+)", env.guest.run("nft list ruleset").out)
        ledger.check(200)
        near = links(env.guest.run, env.nic)
        assert slow and int(slow[1]) * 4 < near["rx"]["packets"] + near["tx"]["packets"], \
            f"{slow and slow[1]} packets went the slow way of {near}"
    finally:
        env.guest.run("nft delete table inet fast; ip netns del inner", check=False)


@test(profiles=ON)
def tc(env):
    "fq as the root of the NIC, clsact with a BPF program at both hooks; tc counts what passes."
    modules(env, "sch_fq", "cls_bpf", "sch_ingress")
    env.guest.run(f"tc qdisc replace dev {env.nic} root fq && tc qdisc add dev {env.nic} clsact")
    for way in ("ingress", "egress"):
        env.guest.run(f"tc filter add dev {env.nic} {way} bpf bytecode '1,6 0 0 4294967295' "
                      "action ok")
    ledger = Ledger(env)
    traffic(env, env.peer.ip)
    ledger.check()
    for way in ("ingress", "egress"):
        out = env.guest.run(f"tc -s filter show dev {env.nic} {way}").out
        assert re.search(r"Sent [1-9]\d{4,} bytes", out), out
    out = env.guest.run(f"tc -s qdisc show dev {env.nic}").out
    assert re.search(r"qdisc fq .*\n Sent [1-9]\d{4,} bytes", out), out
    env.guest.run(f"tc qdisc del dev {env.nic} clsact; tc qdisc del dev {env.nic} root")


@test(profiles=ON, timeout=150)
def link_storm(env):
    "The link goes down and up, and MTU and receive modes change, all under traffic."
    env.sysctl(net__ipv6__conf__all__keep_addr_on_down=1)
    flood = env.peer.start(f"exec ping -q -f -w 90 {env.ip}")
    nic = env.nic
    env.guest.run(f"for i in $(seq 30); do ip link set {nic} down; ip link set {nic} up; done",
                  timeout=80)
    env.guest.run(f"for i in $(seq 20); do ip link set {nic} mtu $((1400 + i)); "
                  f"ip link set {nic} promisc on; ip link set {nic} allmulticast on; "
                  f"ip link set {nic} promisc off; ip link set {nic} allmulticast off; "
                  f"done; ip link set {nic} mtu 1500", timeout=80)
    flood.kill()
    env.wait_carrier()
    ledger = Ledger(env)
    traffic(env, env.peer.ip)
    ledger.check()


class Udev:
    """udev, without which network managers wait for ever; it renames nothing here."""

    def __init__(self, env):
        env.guest.run("mkdir -p /run/udev")
        self.job = env.guest.start("exec /usr/lib/systemd/systemd-udevd")
        env.wait(lambda: not env.guest.run("udevadm control --ping", check=False).status,
                 "udev does not start")
        env.guest.run("udevadm trigger -s net --action=add; udevadm settle -t 30", timeout=60)

    def close(self):
        self.job.kill()


def managed(env, address, mtu=1500):
    """What a network manager has done: an address, an MTU, and traffic."""
    def done():
        return address in env.guest.run(f"ip addr show {env.nic}").out and \
            f"mtu {mtu} " in env.guest.run(f"ip link show {env.nic}").out

    env.wait(done, f"{env.nic} has not got {address} and MTU {mtu}", 60)
    env.wait_carrier()
    ledger = Ledger(env)
    traffic(env, env.peer.ip)
    ledger.check()


@test(profiles=ON, timeout=240)
def network_manager(env):
    "NetworkManager brings the interface up with an address and an MTU, and takes it down."
    programs(env, "NetworkManager", "nmcli", "dbus-daemon", layer="managers")
    env.guest.put(b"[main]\nplugins=keyfile\ndns=none\n[logging]\nlevel=INFO\n",
                  "/etc/NetworkManager/NetworkManager.conf")
    nic = env.nic
    env.guest.run(f"ip addr flush dev {nic}; ip link set {nic} down; mkdir -p /run/dbus; "
                  "pgrep -x dbus-daemon || dbus-daemon --system --fork")
    with contextlib.closing(Udev(env)):
        daemon = env.guest.start("exec NetworkManager --no-daemon > /tmp/nm.log 2>&1")
        try:
            env.wait(lambda: nic in env.guest.run("nmcli -t device", check=False).out,
                     "NetworkManager does not see the interface", 60)
            env.guest.run(f"nmcli device set {nic} managed yes; nmcli connection add type ethernet "
                          f"ifname {nic} con-name test 802-3-ethernet.mtu 1400 ipv4.method manual "
                          f"ipv4.addresses {env.ip}/24 ipv6.method disabled && "
                          "nmcli -w 60 connection up test", timeout=90)
            managed(env, env.ip, 1400)
            env.guest.run("nmcli -w 30 connection down test; nmcli connection delete test",
                          timeout=60)
            env.wait(lambda: env.ip not in env.guest.run(f"ip addr show {nic}").out,
                     "NetworkManager leaves the address")
        finally:
            daemon.kill("TERM")
            env.guest.run("sleep 1; pkill -x dbus-daemon; rm -f /run/dbus/pid", check=False)


@test(profiles=ON, timeout=180)
def networkd(env):
    "systemd-networkd configures the interface from a file."
    daemon = "/usr/lib/systemd/systemd-networkd"
    programs(env, daemon)
    env.guest.put(f"[Match]\nName={env.nic}\n[Link]\nMTUBytes=1450\n[Network]\n"
                  f"Address={env.ip}/24\nLinkLocalAddressing=no\n".encode(),
                  "/etc/systemd/network/10-test.network")
    env.guest.run(f"chmod 644 /etc/systemd/network/10-test.network; ip addr flush dev {env.nic}; "
                  f"ip link set {env.nic} down; mkdir -p /run/systemd/netif/{{links,leases,lldp}}; "
                  "chown -R systemd-network: /run/systemd/netif")
    with contextlib.closing(Udev(env)):
        job = env.guest.start(f"exec {daemon} > /tmp/networkd.log 2>&1")
        try:
            managed(env, env.ip, 1450)
            assert job.poll() is None, str(job.poll())
        finally:
            job.kill("TERM")
            env.guest.run("rm /etc/systemd/network/10-test.network")


@test(profiles=ON)
def netconsole(env):
    "netconsole sends the kernel's messages by the interface, by polling; none is missing."
    mac = env.peer.run(f"cat /sys/class/net/{env.peer.nic}/address").out.strip()
    job = env.peer.start("exec socat -u UDP-RECV:6666 OPEN:/tmp/messages,creat,trunc")
    env.wait(lambda: env.peer.run("ss -H -n -l -u sport = :6666").out.strip(), "socat is not up")
    done = env.guest.run("modprobe configfs; modprobe netconsole "
                         f"netconsole=@{env.ip}/{env.nic},6666@{env.peer.ip}/{mac}",
                         check=False, timeout=60)
    if "not found" in done.err:
        env.skip(f"Linux {env.kernel.release} has no netconsole")
    assert not done.status, str(done)
    try:
        env.guest.run("for i in $(seq 50); do echo \"<4>vnet message $i.\" > /dev/kmsg; done; "
                      "sleep 2")
        text = env.guest.run("cat /tmp/messages").out
        missing = [i for i in range(1, 51) if f"vnet message {i}.\n" not in text]
        assert not missing, f"messages {missing} did not arrive"
    finally:
        env.guest.run("rmmod netconsole", timeout=60)
        job.kill()


STAMPS = """
import select, socket, struct, sys
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, TIMESTAMPING = 2, 8, 16, 37
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, TIMESTAMPING, TX_SOFTWARE | RX_SOFTWARE | SOFTWARE)
s.connect((sys.argv[1], 7))
poll = select.poll()
poll.register(s, select.POLLERR)

def stamp(control):
    for level, kind, body in control:
        if level == socket.SOL_SOCKET and kind == TIMESTAMPING:
            seconds, nanoseconds = struct.unpack("=2q", body[:16])
            return seconds + nanoseconds / 1e9
    return 0

good = 0
for i in range(20):
    s.send(b"stamp")
    sent = stamp(s.recvmsg(2000, 2000, socket.MSG_ERRQUEUE)[1]) if poll.poll(5000) else 0
    s.settimeout(5)
    back = stamp(s.recvmsg(2000, 2000)[1])
    good += 0 < sent < back < sent + 5
print(good)
"""


@test(profiles=ON)
def time_stamps(env):
    "Software time stamps: ethtool tells them, and a socket gets one for each datagram, both ways."
    out = env.guest.run(f"ethtool -T {env.nic}").out
    assert "software-transmit" in out and "software-receive" in out, out
    env.guest.put(STAMPS.encode(), "/tmp/stamps.py")
    echo = env.peer.start("exec socat UDP-LISTEN:7,fork PIPE")
    env.wait(lambda: env.peer.run("ss -H -n -l -u sport = :7").out.strip(), "socat is not up")
    found = env.guest.run(f"python3 /tmp/stamps.py {env.peer.ip}", timeout=60).out.strip()
    echo.kill()
    assert found == "20", f"{found} of 20 datagrams have both time stamps"


@test(profiles=ON, timeout=120)
def ptp(env):
    "PTP with software time stamps: ptp4l at one end follows ptp4l at the other."
    programs(env, "ptp4l", "hwstamp_ctl", layer="managers")
    refused = env.guest.run(f"hwstamp_ctl -i {env.nic} -t 1 -r 1", check=False)
    assert refused.status, "the device stamps no packets, and hwstamp_ctl was told that it does"
    options = "-S -m --free_running 1 --summary_interval 0 --logAnnounceInterval 0"
    master = env.peer.start(f"exec ptp4l {options} --serverOnly 1 -i {env.peer.nic}")
    slave = env.guest.start(f"exec timeout -s INT 30 ptp4l {options} --clientOnly 1 -i {env.nic}")
    out = slave.wait(60).out
    master.kill("TERM")
    # both ends read the same clock
    offsets = [abs(int(value)) for value in re.findall(r"(?:rms|offset) +(-?\d+)", out)]
    assert len(offsets) >= 5, out[-1500:]
    assert sorted(offsets)[len(offsets) // 2] < 20_000_000, offsets
