// SPDX-License-Identifier: GPL-2.0
/*
 * The bench's program in the guest: init, and the hand of bench/inside.py.
 *
 * It reads one command per line from the second serial port and answers each
 * with "ok", "ok TEXT", "data LENGTH" followed by so many bytes, or "error TEXT".
 * It opens and closes the measuring windows of bench/plugin.c.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest_zc.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_WORDS 16

static FILE *port;		/* answers */
static int inet_fd = -1;
static int xdp_fd = -1;
static int target_fd = -1;	/* the program of the device redirected to */

/* ---- answers ---- */

static void ok(void)
{
	fprintf(port, "ok\n");
}

static void fail(const char *what)
{
	fprintf(port, "error %s: %s\n", what, strerror(errno));
}

static void result(bool good, const char *what)
{
	if (good)
		ok();
	else
		fail(what);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Commands with a window in them answer with the nanoseconds that it took. */
static void timed_result(bool good, uint64_t ns, const char *what)
{
	if (good)
		fprintf(port, "ok %llu\n", (unsigned long long)ns);
	else
		fail(what);
}

static void answer_data(const char *buf, size_t len)
{
	fprintf(port, "data %zu\n", len);
	fwrite(buf, 1, len, port);
}

/* ---- windows: see plugin.c ---- */

static void window_open(void)
{
	asm volatile(".byte 0x0f,0x1f,0x84,0x00,0x01,0x6f,0x6e,0x76" ::: "memory");
}

static void window_close(void)
{
	asm volatile(".byte 0x0f,0x1f,0x84,0x00,0x02,0x6f,0x6e,0x76" ::: "memory");
}

/* ---- files and modules ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text), n;

	if (fd < 0)
		return false;
	n = write(fd, text, len);
	close(fd);

	return n == len;
}

static void cmd_write(char **arg)
{
	result(write_file(arg[1], arg[2]), arg[1]);
}

/* The same with a window around it: pktgen's start returns at the end. */
static void cmd_window_write(char **arg)
{
	uint64_t ns = now_ns();
	bool good;

	window_open();
	good = write_file(arg[1], arg[2]);
	ns = now_ns() - ns;
	window_close();
	timed_result(good, ns, arg[1]);
}

static char *slurp(const char *path, size_t *len)
{
	size_t room = 65536;
	char *buf = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	*len = 0;
	if (fd < 0 || !buf) {
		free(buf);
		return NULL;
	}
	while ((n = read(fd, buf + *len, room - *len - 1)) > 0) {
		*len += n;
		if (room - *len < 4096)
			buf = realloc(buf, room *= 2);
		if (!buf)
			abort();
	}
	close(fd);
	buf[*len] = 0;

	return buf;
}

static void cmd_cat(char **arg)
{
	size_t len;
	char *buf = slurp(arg[1], &len);

	if (!buf) {
		fail(arg[1]);
		return;
	}
	answer_data(buf, len);
	free(buf);
}

/*
 * symbols kernel|module: the code of the kernel proper, or that of modules and
 * BPF programs (the lines with a "[").
 */
static void cmd_symbols(char **arg)
{
	bool module = !strcmp(arg[1], "module");
	size_t len, out = 0;
	char *buf = slurp("/proc/kallsyms", &len), *line, *next;

	if (!buf) {
		fail("kallsyms");
		return;
	}
	for (line = buf; *line; line = next) {
		size_t n;

		next = strchrnul(line, '\n');
		next += *next == '\n';
		n = next - line;
		if (n > 20 && strchr("tTwW", line[17]) &&
		    !!memchr(line, '[', n) == module) {
			memmove(buf + out, line, n);
			out += n;
		}
	}
	answer_data(buf, out);
	free(buf);
}

static void cmd_ls(char **arg)
{
	DIR *dir = opendir(arg[1]);
	struct dirent *e;

	if (!dir) {
		fail(arg[1]);
		return;
	}
	fprintf(port, "ok");
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			fprintf(port, " %s", e->d_name);
	fprintf(port, "\n");
	closedir(dir);
}

static void cmd_insmod(char **arg)
{
	int fd = open(arg[1], O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, arg[2] ? arg[2] : "", 0))
		fail(arg[1]);
	else
		ok();
	if (fd >= 0)
		close(fd);
}

static void cmd_rmmod(char **arg)
{
	result(!syscall(SYS_delete_module, arg[1], 0), arg[1]);
}

/* ---- network devices ---- */

static struct ifreq ifr_named(const char *name)
{
	struct ifreq ifr = { 0 };

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	return ifr;
}

static void cmd_link(char **arg)
{
	struct ifreq ifr = ifr_named(arg[1]);

	if (ioctl(inet_fd, SIOCGIFFLAGS, &ifr)) {
		fail(arg[1]);
		return;
	}
	if (!strcmp(arg[2], "up"))
		ifr.ifr_flags |= IFF_UP;
	else
		ifr.ifr_flags &= ~IFF_UP;
	result(!ioctl(inet_fd, SIOCSIFFLAGS, &ifr), arg[1]);
}

static struct sockaddr_in inet_addr_of(const char *text, int port_nr)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(port_nr),
	};

	inet_aton(text, &sin.sin_addr);
	return sin;
}

/* addr IF ADDRESS: with the class's own mask, 10.x: /8, 192.168.x: /24 */
static void cmd_addr(char **arg)
{
	struct ifreq ifr = ifr_named(arg[1]);
	struct sockaddr_in sin = inet_addr_of(arg[2], 0);

	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	result(!ioctl(inet_fd, SIOCSIFADDR, &ifr), arg[1]);
}

static void cmd_mtu(char **arg)
{
	struct ifreq ifr = ifr_named(arg[1]);

	ifr.ifr_mtu = atoi(arg[2]);
	result(!ioctl(inet_fd, SIOCSIFMTU, &ifr), arg[1]);
}

/* arp IF ADDRESS: a permanent neighbour, MAC 02:00:00:00:00:01 */
static void cmd_arp(char **arg)
{
	struct sockaddr_in sin = inet_addr_of(arg[2], 0);
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct arpreq req = { .arp_flags = ATF_COM | ATF_PERM };

	memcpy(&req.arp_pa, &sin, sizeof(sin));
	req.arp_ha.sa_family = ARPHRD_ETHER;
	memcpy(req.arp_ha.sa_data, mac, sizeof(mac));
	strncpy(req.arp_dev, arg[1], sizeof(req.arp_dev) - 1);
	result(!ioctl(inet_fd, SIOCSARP, &req), arg[2]);
}

static void cmd_channels(char **arg)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = ifr_named(arg[1]);

	ifr.ifr_data = (void *)&ch;
	if (ioctl(inet_fd, SIOCETHTOOL, &ifr)) {
		fail(arg[1]);
		return;
	}
	ch.cmd = ETHTOOL_SCHANNELS;
	ch.combined_count = atoi(arg[2]);
	result(!ioctl(inet_fd, SIOCETHTOOL, &ifr), arg[1]);
}

/* ---- XDP ---- */

static int xdp_load(const struct bpf_insn *insns, size_t nr, const char *name)
{
	static const char license[] = "GPL";
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = nr,
		.insns = (uintptr_t)insns,
		.license = (uintptr_t)license,
	};

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Attach a program in native mode and close it; the link keeps it. */
static int xdp_attach(const char *name, int prog)
{
	union bpf_attr attr = {
		.link_create.prog_fd = prog,
		.link_create.target_ifindex = if_nametoindex(name),
		.link_create.attach_type = BPF_XDP,
		.link_create.flags = XDP_FLAGS_DRV_MODE,
	};
	int link = -1;

	if (prog >= 0) {
		link = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
		close(prog);
	}

	return link;
}

/* A program that is one verdict; the counted one is named vnet_bench. */
static int xdp_verdict(const char *dev, int verdict, const char *name)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return xdp_attach(dev, xdp_load(insns, ARRAY_SIZE(insns), name));
}

/* A program that redirects all packets to the one entry of a map of @type */
static int xdp_redirect(const char *dev, unsigned int type, uint32_t value)
{
	union bpf_attr create = {
		.map_type = type,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};
	int map = syscall(SYS_bpf, BPF_MAP_CREATE, &create, sizeof(create));
	uint32_t key = 0;
	union bpf_attr update = {
		.map_fd = map,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)&value,
	};
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog = -1;

	if (map < 0)
		return -1;
	if (!syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &update, sizeof(update)))
		prog = xdp_load(insns, ARRAY_SIZE(insns), "vnet_bench");
	close(map);

	return xdp_attach(dev, prog);
}

static void xdp_off(void)
{
	if (xdp_fd >= 0)
		close(xdp_fd);
	if (target_fd >= 0)
		close(target_fd);
	xdp_fd = -1;
	target_fd = -1;
}

/* xdp IF drop|tx|pass|off: native mode */
static void cmd_xdp(char **arg)
{
	xdp_off();
	if (!strcmp(arg[2], "off")) {
		ok();
		return;
	}

	xdp_fd = xdp_verdict(arg[1], !strcmp(arg[2], "drop") ? XDP_DROP :
			     !strcmp(arg[2], "tx") ? XDP_TX : XDP_PASS,
			     "vnet_bench");
	result(xdp_fd >= 0, "XDP program");
}

/*
 * xdp-redirect IF TARGET: virtio_net takes redirected frames only while a
 * program is on the target, so there is one.
 */
static void cmd_xdp_redirect(char **arg)
{
	xdp_off();
	target_fd = xdp_verdict(arg[2], XDP_PASS, "target");
	if (target_fd >= 0)
		xdp_fd = xdp_redirect(arg[1], BPF_MAP_TYPE_DEVMAP,
				      if_nametoindex(arg[2]));
	result(xdp_fd >= 0, "XDP program");
}

/* ---- AF_XDP: one zero-copy socket on queue 0 ---- */

#define XSK_RING 512		/* entries of each ring; as many frames rx and tx */
#define XSK_FRAME 2048
#define XSK_BATCH 64

struct xsk_ring {
	uint32_t *prod, *cons, *flags;
	void *desc;
	void *map;
	size_t len;
};

static struct {
	int fd;
	uint8_t *frames;
	struct xsk_ring fill, comp, rx, tx;
} xsk = { .fd = -1 };

static bool xsk_ring_map(struct xsk_ring *r, int option, size_t entry,
			 const struct xdp_ring_offset *off, uint64_t at)
{
	int size = XSK_RING;

	if (setsockopt(xsk.fd, SOL_XDP, option, &size, sizeof(size)))
		return false;
	r->len = off->desc + size * entry;
	r->map = mmap(NULL, r->len, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, xsk.fd, at);
	if (r->map == MAP_FAILED)
		return false;
	r->prod = r->map + off->producer;
	r->cons = r->map + off->consumer;
	r->flags = r->map + off->flags;
	r->desc = r->map + off->desc;

	return true;
}

static uint32_t xsk_ready(const struct xsk_ring *r)
{
	return __atomic_load_n(r->prod, __ATOMIC_ACQUIRE) - *r->cons;
}

static void xsk_advance(uint32_t *index, uint32_t nr)
{
	__atomic_store_n(index, *index + nr, __ATOMIC_RELEASE);
}

static void xsk_fill(uint64_t addr)
{
	((uint64_t *)xsk.fill.desc)[*xsk.fill.prod % XSK_RING] = addr;
	xsk_advance(xsk.fill.prod, 1);
}

static void xsk_off(void)
{
	struct xsk_ring *rings[] = { &xsk.fill, &xsk.comp, &xsk.rx, &xsk.tx };

	xdp_off();
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		if (rings[i]->map && rings[i]->map != MAP_FAILED)
			munmap(rings[i]->map, rings[i]->len);
		rings[i]->map = NULL;
	}
	if (xsk.fd >= 0)
		close(xsk.fd);
	xsk.fd = -1;
	if (xsk.frames)
		munmap(xsk.frames, 2 * XSK_RING * XSK_FRAME);
	xsk.frames = NULL;
}

static bool xsk_open(const char *dev)
{
	struct xdp_umem_reg reg = {
		.len = 2 * XSK_RING * XSK_FRAME, .chunk_size = XSK_FRAME,
	};
	struct sockaddr_xdp sxdp = {
		.sxdp_family = AF_XDP,
		.sxdp_ifindex = if_nametoindex(dev),
		.sxdp_flags = XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP,
	};
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	xsk.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	xsk.frames = mmap(NULL, reg.len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	reg.addr = (uintptr_t)xsk.frames;
	if (xsk.fd < 0 || xsk.frames == MAP_FAILED ||
	    setsockopt(xsk.fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ||
	    getsockopt(xsk.fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return false;
	memset(xsk.frames, 'v', reg.len);
	if (!xsk_ring_map(&xsk.fill, XDP_UMEM_FILL_RING, sizeof(uint64_t), &off.fr,
			  XDP_UMEM_PGOFF_FILL_RING) ||
	    !xsk_ring_map(&xsk.comp, XDP_UMEM_COMPLETION_RING, sizeof(uint64_t),
			  &off.cr, XDP_UMEM_PGOFF_COMPLETION_RING) ||
	    !xsk_ring_map(&xsk.rx, XDP_RX_RING, sizeof(struct xdp_desc), &off.rx,
			  XDP_PGOFF_RX_RING) ||
	    !xsk_ring_map(&xsk.tx, XDP_TX_RING, sizeof(struct xdp_desc), &off.tx,
			  XDP_PGOFF_TX_RING))
		return false;
	for (uint64_t i = 0; i < XSK_RING; i++)
		xsk_fill(i * XSK_FRAME);
	if (bind(xsk.fd, (void *)&sxdp, sizeof(sxdp)))
		return false;
	xdp_fd = xdp_redirect(dev, BPF_MAP_TYPE_XSKMAP, xsk.fd);

	return xdp_fd >= 0;
}

static void cmd_xsk(char **arg)
{
	xsk_off();
	result(xsk_open(arg[1]), "AF_XDP socket");
}

/* xsk-rx COUNT: take so many packets and give their frames back */
static void cmd_xsk_rx(char **arg)
{
	struct pollfd p = { .fd = xsk.fd, .events = POLLIN };
	const struct xdp_desc *desc = xsk.rx.desc;
	uint64_t left = strtoull(arg[1], NULL, 0);
	bool good = true;

	while (left && good) {
		uint32_t nr = xsk_ready(&xsk.rx);

		if (!nr) {
			good = poll(&p, 1, 5000) > 0;
			continue;
		}
		for (uint32_t i = 0; i < nr; i++)
			xsk_fill(desc[(*xsk.rx.cons + i) % XSK_RING].addr /
				 XSK_FRAME * XSK_FRAME);
		xsk_advance(xsk.rx.cons, nr);
		left -= nr < left ? nr : left;
	}
	result(good, arg[0]);
}

/* xsk-tx COUNT SIZE: send so many packets, until the last one is completed */
static void cmd_xsk_tx(char **arg)
{
	uint64_t count = strtoull(arg[1], NULL, 0), sent = 0, done = 0;
	uint64_t ns = now_ns(), patience = ns + 30000000000ull;
	struct xdp_desc *desc = xsk.tx.desc;
	uint32_t size = atoi(arg[2]);
	bool good = true;

	window_open();
	while (done < count && good) {
		uint64_t room = XSK_RING - (sent - done), nr = count - sent;
		uint32_t completed = xsk_ready(&xsk.comp);

		if (nr > XSK_BATCH)
			nr = XSK_BATCH;
		if (nr > room)
			nr = 0;		/* a whole batch or none */
		for (uint64_t i = 0; i < nr; i++)
			desc[(*xsk.tx.prod + i) % XSK_RING] = (struct xdp_desc){
				.addr = (XSK_RING + (sent + i) % XSK_RING) *
					XSK_FRAME,
				.len = size,
			};
		xsk_advance(xsk.tx.prod, nr);
		sent += nr;
		xsk_advance(xsk.comp.cons, completed);
		done += completed;
		if (nr && *xsk.tx.flags & XDP_RING_NEED_WAKEUP)
			good = sendto(xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 ||
			       errno == EAGAIN || errno == EBUSY;
		else if (!nr && !completed)
			good = now_ns() < patience;
	}
	ns = now_ns() - ns;
	window_close();
	timed_result(good, ns, arg[0]);
}

/* ---- traffic ---- */

static char chunk[131072];

static bool tcp_move(int fd, bool send_it, uint64_t bytes)
{
	while (bytes) {
		size_t want = bytes < sizeof(chunk) ? bytes : sizeof(chunk);
		ssize_t n = send_it ? send(fd, chunk, want, 0) :
				      recv(fd, chunk, want, 0);

		if (n <= 0)
			return false;
		bytes -= n;
	}

	return true;
}

/* tcp-send|tcp-recv ADDRESS PORT WARMUP BYTES: one stream, window over BYTES */
static void cmd_tcp(char **arg)
{
	struct sockaddr_in sin = inet_addr_of(arg[1], atoi(arg[2]));
	bool send_it = !strcmp(arg[0], "tcp-send"), good;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 60 };
	uint64_t ns = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	good = fd >= 0 && !connect(fd, (void *)&sin, sizeof(sin)) &&
	       tcp_move(fd, send_it, strtoull(arg[3], NULL, 0));
	if (good) {
		ns = now_ns();
		window_open();
		good = tcp_move(fd, send_it, strtoull(arg[4], NULL, 0));
		ns = now_ns() - ns;
		window_close();
	}
	timed_result(good, ns, arg[0]);
	close(fd);
}

/* zc-recv INTERFACE PAGE ADDRESS PORT WARMUP BYTES: as tcp-recv, by zero copy */
static void cmd_zc(char **arg)
{
	struct sockaddr_in sin = inet_addr_of(arg[3], atoi(arg[4]));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int room = 2 << 20;
	uint64_t ns = 0;
	bool good;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	good = fd >= 0 && zc_bind(arg[1], atoi(arg[2])) &&
	       !connect(fd, (void *)&sin, sizeof(sin)) &&
	       zc_begin(fd, strtoull(arg[5], NULL, 0));
	if (good) {
		ns = now_ns();
		window_open();
		good = zc_receive(fd, strtoull(arg[6], NULL, 0));
		ns = now_ns() - ns;
		window_close();
	}
	zc_leave(arg[1]);
	timed_result(good, ns, arg[0]);
	close(fd);
}

/* udp-send ADDRESS PORT COUNT SIZE, window around it */
static void cmd_udp(char **arg)
{
	struct sockaddr_in sin = inet_addr_of(arg[1], atoi(arg[2]));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned long count = strtoul(arg[3], NULL, 0);
	bool good = fd >= 0 && !connect(fd, (void *)&sin, sizeof(sin));
	size_t size = strtoul(arg[4], NULL, 0);
	uint64_t ns = now_ns();

	window_open();
	for (unsigned long i = 0; good && i < count; i++)
		good = send(fd, chunk, size, 0) == (ssize_t)size;
	ns = now_ns() - ns;
	window_close();
	timed_result(good, ns, arg[0]);
	close(fd);
}

static void cmd_open(char **arg)
{
	(void)arg;
	window_open();
	ok();
}

static void cmd_close(char **arg)
{
	(void)arg;
	window_close();
	ok();
}

static void cmd_sleep(char **arg)
{
	usleep(atoi(arg[1]) * 1000);
	ok();
}

static void cmd_poweroff(char **arg)
{
	(void)arg;
	ok();
	fflush(port);
	reboot(RB_POWER_OFF);
}

/* ---- the loop ---- */

static const struct {
	const char *name;
	int args;
	bool rest;	/* the last argument is the rest of the line */
	void (*run)(char **arg);
} commands[] = {
	{ "write", 2, true, cmd_write },
	{ "window-write", 2, true, cmd_window_write },
	{ "cat", 1, false, cmd_cat },
	{ "symbols", 1, false, cmd_symbols },
	{ "ls", 1, false, cmd_ls },
	{ "insmod", 1, false, cmd_insmod },
	{ "rmmod", 1, false, cmd_rmmod },
	{ "link", 2, false, cmd_link },
	{ "addr", 2, false, cmd_addr },
	{ "mtu", 2, false, cmd_mtu },
	{ "arp", 2, false, cmd_arp },
	{ "channels", 2, false, cmd_channels },
	{ "xdp", 2, false, cmd_xdp },
	{ "xdp-redirect", 2, false, cmd_xdp_redirect },
	{ "xsk", 1, false, cmd_xsk },
	{ "xsk-rx", 1, false, cmd_xsk_rx },
	{ "xsk-tx", 2, false, cmd_xsk_tx },
	{ "tcp-send", 4, false, cmd_tcp },
	{ "tcp-recv", 4, false, cmd_tcp },
	{ "zc-recv", 6, false, cmd_zc },
	{ "udp-send", 4, false, cmd_udp },
	{ "open", 0, false, cmd_open },
	{ "close", 0, false, cmd_close },
	{ "sleep", 1, false, cmd_sleep },
	{ "poweroff", 0, false, cmd_poweroff },
};

static void run_line(char *line)
{
	char *arg[MAX_WORDS] = { 0 };

	line[strcspn(line, "\n")] = 0;
	arg[0] = strsep(&line, " ");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int nr = commands[i].args;

		if (strcmp(commands[i].name, arg[0]))
			continue;
		for (int k = 1; k <= nr; k++) {
			if (!line) {
				fprintf(port, "error %s: too few arguments\n", arg[0]);
				return;
			}
			if (k == nr && commands[i].rest)
				arg[k] = line;
			else
				arg[k] = strsep(&line, " ");
		}
		commands[i].run(arg);
		return;
	}
	fprintf(port, "error unknown command %s\n", arg[0]);
}

static int open_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios tio;

	if (fd < 0 || tcgetattr(fd, &tio))
		return -1;
	cfmakeraw(&tio);
	cfsetspeed(&tio, B115200);
	tcsetattr(fd, TCSANOW, &tio);

	return fd;
}

int main(void)
{
	static char line[4096];
	FILE *in;
	int fd;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);

	fd = open_port("/dev/ttyS1");
	in = fd < 0 ? NULL : fdopen(fd, "r");
	port = fd < 0 ? NULL : fdopen(dup(fd), "w");
	inet_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!in || !port || inet_fd < 0) {
		perror("bench: guest: second serial port or socket");
		reboot(RB_POWER_OFF);
	}
	memset(chunk, 'v', sizeof(chunk));
	mlockall(MCL_CURRENT | MCL_FUTURE);

	fprintf(port, "ready\n");
	fflush(port);
	for (;;) {
		if (!fgets(line, sizeof(line), in)) {
			clearerr(in);
			continue;
		}
		run_line(line);
		fflush(port);
	}
}
