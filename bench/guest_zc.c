// SPDX-License-Identifier: GPL-2.0
/*
 * Zero-copy receive for guest.c: headers and data split, a receive queue bound
 * to memory of this program by io_uring, and a TCP stream read from there.
 *
 * The structs are those of the newest kernel's io_uring/zcrx.h, which the C
 * library's headers may not have yet.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest_zc.h"

#define ENTRIES		1024u
#define REFILL		8192u
#define AREA		(16u << 20)
#define PAGE		4096u

enum {
	REGISTER_ZCRX = 32, REGISTER_ZCRX_CTRL = 36, RECV_ZC = 58,
	REGION_USER = 1, AREA_SHIFT = 48,
};

struct zc_rqe {
	uint64_t off;
	uint32_t len, pad;
};

struct zc_cqe {
	struct io_uring_cqe cqe;
	uint64_t off, pad;
};

struct zc_area {
	uint64_t addr, len, token;
	uint32_t flags, dmabuf;
	uint64_t rest[2];
};

struct zc_region {
	uint64_t addr, size;
	uint32_t flags, id;
	uint64_t offset, rest[4];
};

struct zc_reg {
	uint32_t ifindex, queue, entries, flags;
	uint64_t area, region;
	uint32_t head, tail, rqes, pad;
	uint64_t pad2[2];
	uint32_t id, page;
	uint64_t event, rest[2];
};

struct zc_ctrl {
	uint32_t id, op;
	uint64_t rest[8];
};

struct zc {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	char *rq;
	struct zc_area area;
	struct zc_reg reg;
	uint32_t tail;
	unsigned int empty;	/* answers in a row without a byte */
};

static uint32_t *word(char *ring, uint32_t at)
{
	return (uint32_t *)(ring + at);
}

/* ---- netlink: ethtool -G tcp-data-split ---- */

static size_t put_attr(char *at, uint16_t type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = NLA_HDRLEN + len, .nla_type = type };

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + NLA_HDRLEN, data, len);

	return NLA_ALIGN(attr.nla_len);
}

/* Send one message and wait for its end; the first attribute @want, or an error */
static int ask(int fd, uint16_t family, uint8_t cmd, const char *attrs,
	       size_t len, uint16_t want)
{
	char buf[8192] = { 0 };
	struct nlmsghdr *h = (void *)buf;
	struct genlmsghdr *g = NLMSG_DATA(h);
	int found = 0;
	ssize_t n;

	h->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN + len);
	h->nlmsg_type = family;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g->cmd = cmd;
	g->version = 1;
	memcpy((char *)g + GENL_HDRLEN, attrs, len);
	if (send(fd, buf, h->nlmsg_len, 0) < 0)
		return -errno;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0)
			return -errno;
		for (h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			char *at = (char *)NLMSG_DATA(h) + GENL_HDRLEN;
			char *end = (char *)h + h->nlmsg_len;
			struct nlattr *a;

			if (h->nlmsg_type == NLMSG_ERROR) {
				int err = *(int *)NLMSG_DATA(h);

				return err ? err : found;
			}
			for (; at < end; at += NLA_ALIGN(a->nla_len)) {
				a = (void *)at;
				if (a->nla_type == want)
					found = *(uint16_t *)(at + NLA_HDRLEN);
			}
		}
	}
}

static int split(const char *ifname, bool on)
{
	uint8_t mode = on ? 2 : 1;	/* enabled, disabled */
	char attrs[128], nest[64];
	size_t len;
	int fd, family, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return -errno;

	len = put_attr(attrs, CTRL_ATTR_FAMILY_NAME, "ethtool", 8);
	family = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attrs, len,
		     CTRL_ATTR_FAMILY_ID);
	err = family;
	if (family > 0) {
		len = put_attr(nest, ETHTOOL_A_HEADER_DEV_NAME, ifname,
			       strlen(ifname) + 1);
		len = put_attr(attrs, ETHTOOL_A_RINGS_HEADER | NLA_F_NESTED,
			       nest, len);
		len += put_attr(attrs + len, ETHTOOL_A_RINGS_TCP_DATA_SPLIT,
				&mode, 1);
		err = ask(fd, family, ETHTOOL_MSG_RINGS_SET, attrs, len, 0);
	}
	close(fd);

	return err;
}

/* ---- io_uring ---- */

static bool ring_open(struct zc *zc)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;

	zc->p.flags = IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |
		      IORING_SETUP_DEFER_TASKRUN;
	zc->fd = syscall(__NR_io_uring_setup, ENTRIES, &zc->p);
	if (zc->fd < 0)
		return false;

	zc->sq = mmap(NULL, zc->p.sq_off.array + zc->p.sq_entries * 4, prot,
		      flags, zc->fd, IORING_OFF_SQ_RING);
	zc->cq = mmap(NULL, zc->p.cq_off.cqes +
		      zc->p.cq_entries * sizeof(struct zc_cqe), prot, flags,
		      zc->fd, IORING_OFF_CQ_RING);
	zc->sqes = mmap(NULL, zc->p.sq_entries * sizeof(*zc->sqes), prot,
			flags, zc->fd, IORING_OFF_SQES);

	return zc->sq != MAP_FAILED && zc->cq != MAP_FAILED &&
	       (void *)zc->sqes != MAP_FAILED;
}

static bool ring_bind(struct zc *zc, const char *ifname, uint32_t page)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, prot = PROT_READ | PROT_WRITE;
	size_t rq = PAGE + REFILL * sizeof(struct zc_rqe);
	struct zc_region region = { .size = rq, .flags = REGION_USER };
	void *area;

	/* Huge pages of a ring before this one come back a little later. */
	for (int i = 0; i < 100; i++) {
		area = mmap(NULL, AREA, prot,
			    flags | (page > PAGE ? MAP_HUGETLB : 0), -1, 0);
		if (area != MAP_FAILED)
			break;
		usleep(20000);
	}
	zc->rq = mmap(NULL, rq, prot, flags, -1, 0);
	if (area == MAP_FAILED || zc->rq == MAP_FAILED)
		return false;

	region.addr = (uintptr_t)zc->rq;
	zc->area = (struct zc_area){ .addr = (uintptr_t)area, .len = AREA };
	zc->reg = (struct zc_reg){
		.ifindex = if_nametoindex(ifname),
		.entries = REFILL,
		.area = (uintptr_t)&zc->area,
		.region = (uintptr_t)&region,
		.page = page > PAGE ? page : 0,
	};

	return !syscall(__NR_io_uring_register, zc->fd, REGISTER_ZCRX,
			&zc->reg, 1);
}

/* Ask for the stream on @fd, as long as it lasts. */
static bool ring_ask(struct zc *zc, int fd)
{
	uint32_t tail = *word(zc->sq, zc->p.sq_off.tail);
	uint32_t slot = tail & *word(zc->sq, zc->p.sq_off.ring_mask);
	struct io_uring_sqe *sqe = &zc->sqes[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = RECV_ZC;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->fd = fd;
	sqe->file_index = zc->reg.id;
	word(zc->sq, zc->p.sq_off.array)[slot] = slot;
	__atomic_store_n(word(zc->sq, zc->p.sq_off.tail), tail + 1,
			 __ATOMIC_RELEASE);

	return syscall(__NR_io_uring_enter, zc->fd, 1, 0, 0, NULL, 0) == 1;
}

static void give_back(struct zc *zc, uint64_t off, uint32_t len)
{
	struct zc_rqe *rqes = (void *)(zc->rq + zc->reg.rqes);

	rqes[zc->tail++ % REFILL] = (struct zc_rqe){
		.off = (off & ((1ull << AREA_SHIFT) - 1)) | zc->area.token,
		.len = len,
	};
}

/*
 * What has come, given back at once: its bytes, or -errno. The kernel has to be
 * asked again when it found no memory to copy to, or no room for completions.
 */
static int64_t ring_take(struct zc *zc, int fd)
{
	struct zc_ctrl flush = { .id = zc->reg.id };
	uint32_t *head = word(zc->cq, zc->p.cq_off.head);
	uint32_t mask = *word(zc->cq, zc->p.cq_off.ring_mask);
	struct zc_cqe *cqes = (void *)(zc->cq + zc->p.cq_off.cqes);
	bool asked = true;
	int64_t bytes = 0, last = 0;
	uint32_t at, end;

	if (syscall(__NR_io_uring_enter, zc->fd, 0, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) < 0)
		return -errno;

	end = __atomic_load_n(word(zc->cq, zc->p.cq_off.tail), __ATOMIC_ACQUIRE);
	for (at = *head; at != end; at++) {
		struct zc_cqe *c = &cqes[at & mask];

		asked = c->cqe.flags & IORING_CQE_F_MORE;
		last = c->cqe.res;
		if (c->cqe.res < 0 && c->cqe.res != -ENOMEM &&
		    c->cqe.res != -ENOSPC)
			return c->cqe.res;
		if (c->cqe.res > 0) {
			give_back(zc, c->off, c->cqe.res);
			bytes += c->cqe.res;
		}
	}
	zc->empty = bytes ? 0 : zc->empty + 1;
	if (zc->empty > 1000)
		return last < 0 ? last : -ENODATA;

	__atomic_store_n(head, at, __ATOMIC_RELEASE);
	__atomic_store_n(word(zc->rq, zc->reg.tail), zc->tail, __ATOMIC_RELEASE);
	if (!asked) {
		syscall(__NR_io_uring_register, zc->fd, REGISTER_ZCRX_CTRL,
			&flush, 0);
		if (!ring_ask(zc, fd))
			return -errno;
	}

	return bytes;
}

static bool take(struct zc *zc, int fd, uint64_t bytes)
{
	int64_t n;

	while (bytes) {
		n = ring_take(zc, fd);
		if (n < 0) {
			errno = -n;
			return false;
		}
		bytes -= (uint64_t)n < bytes ? (uint64_t)n : bytes;
	}

	return true;
}

static struct zc *current;

bool zc_bind(const char *ifname, uint32_t page)
{
	int err = split(ifname, true);

	if (err < 0) {
		errno = -err;
		return false;
	}
	current = calloc(1, sizeof(*current));

	return current && ring_open(current) &&
	       ring_bind(current, ifname, page);
}

void zc_leave(const char *ifname)
{
	int saved = errno;

	if (current && current->fd > 0)
		close(current->fd);
	if (current && current->area.addr)
		munmap((void *)(uintptr_t)current->area.addr, AREA);
	free(current);
	current = NULL;
	/* The ring is taken apart behind the program's back. */
	for (int i = 0; i < 100 && split(ifname, false) < 0; i++)
		usleep(20000);
	errno = saved;
}

bool zc_begin(int fd, uint64_t warm)
{
	return ring_ask(current, fd) && take(current, fd, warm);
}

bool zc_receive(int fd, uint64_t bytes)
{
	return take(current, fd, bytes);
}
