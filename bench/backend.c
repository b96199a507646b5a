// SPDX-License-Identifier: GPL-2.0
/*
 * A vhost-user network back end for measuring: sink of what the guest sends,
 * source of what it receives.
 *
 * It polls, asks for no notification, and delivers received packets in bursts
 * of a fixed size: a burst is published in one piece, after the driver has
 * taken the one before and waits for an interrupt.  So the work of the guest
 * per packet does not depend on how fast the two sides happen to run.
 *
 *	backend SOCKET
 *
 * Commands on standard input, one per line, one line of answer each:
 *
 *	send FIRST NR COUNT BURST GAP FRAME
 *		send COUNT copies of FRAME (hexadecimal, without virtio header),
 *		round robin by burst over NR queue pairs from pair FIRST, GAP
 *		microseconds between the driver's being ready and the next burst;
 *		answer "sent COUNT US": US is the time until the driver has taken
 *		the last packet and waits for an interrupt
 *	stat	answer "stat TX_PACKETS TX_BYTES CALLS", CALLS counts interrupts
 *	hold	touch no queue until the device is started again, or until
 *	rewind	the driver has reset the queues of the first pair, which QEMU does
 *		not tell a vhost-user back end; both answer "held"
 *	quit
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define MAX_QUEUES 128		/* 64 pairs */
#define MAX_REGIONS 16
#define MAX_IOV 64
#define MAX_FRAME 65536
#define MAX_BURST 256
#define MAX_DONE 4096
#define READY_US 5000000	/* patience with the driver */

/* ---- the vhost-user protocol (QEMU's docs/interop/vhost-user.rst) ---- */

enum {
	VU_GET_FEATURES = 1, VU_SET_FEATURES, VU_SET_OWNER, VU_RESET_OWNER,
	VU_SET_MEM_TABLE, VU_SET_LOG_BASE, VU_SET_LOG_FD, VU_SET_VRING_NUM,
	VU_SET_VRING_ADDR, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
	VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR,
	VU_GET_PROTOCOL_FEATURES, VU_SET_PROTOCOL_FEATURES, VU_GET_QUEUE_NUM,
	VU_SET_VRING_ENABLE, VU_SET_BACKEND_REQ_FD = 21,
};

enum { VU_VERSION = 1, VU_REPLY = 1 << 2, VU_NEED_REPLY = 1 << 3 };
enum { VU_PROTO_MQ = 0, VU_PROTO_REPLY_ACK = 3, VU_PROTO_BACKEND_REQ = 5 };
#define VU_F_PROTOCOL_FEATURES 30

struct vu_region {
	uint64_t gpa, size, uva, offset;
};

struct vu_msg {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t nr, pad;
			struct vu_region regions[MAX_REGIONS];
		} __attribute__((packed)) mem;
	};
} __attribute__((packed));

#define VU_HDR_SIZE offsetof(struct vu_msg, u64)

static const uint64_t our_features =
	1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED |
	1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
	1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_CSUM |
	1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 |
	1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN |
	1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
	1ull << VIRTIO_NET_F_GUEST_ECN | 1ull << VIRTIO_NET_F_GUEST_ANNOUNCE |
	1ull << VIRTIO_NET_F_MQ | 1ull << VIRTIO_NET_F_CTRL_VQ |
	1ull << VIRTIO_NET_F_MTU | 1ull << VHOST_F_LOG_ALL |
	1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VIRTIO_F_RING_RESET |
	1ull << VU_F_PROTOCOL_FEATURES;

/* ---- state ---- */

struct region {
	uint64_t gpa, size, uva;
	uint8_t *base;		/* host address of gpa */
	void *map;
	size_t map_len;
};

struct queue {
	uint32_t num;
	bool enabled, started, packed, event_idx;
	int call, kick;
	void *desc, *avail, *used;	/* packed: descriptors, driver, device area */
	uint64_t desc_uva, avail_uva, used_uva;
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	uint64_t given;		/* entries since the start */
	uint64_t packets, bytes, calls;
};

/* One descriptor chain taken from a queue. */
struct chain {
	struct iovec iov[MAX_IOV];
	unsigned int nr;
	uint16_t id;
	uint16_t slots;		/* ring entries (packed ring) */
	bool lengths;		/* lengths alone, no addresses */
};

/* One entry given back. */
struct done {
	uint16_t id, slots;
	uint32_t len;
};

static struct region regions[MAX_REGIONS];
static unsigned int nr_regions;
static struct queue queues[MAX_QUEUES];
static uint64_t features;
static int vu_fd = -1;
static bool held;

static void die(const char *what)
{
	fprintf(stderr, "backend: %s: %s\n", what, strerror(errno));
	exit(2);
}

static unsigned int hdr_len(void)
{
	return features & (1ull << VIRTIO_F_VERSION_1 |
			   1ull << VIRTIO_NET_F_MRG_RXBUF) ? 12 : 10;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void sleep_us(unsigned int us)
{
	struct timespec ts = { .tv_nsec = us * 1000l };

	nanosleep(&ts, NULL);
}

/* ---- guest memory ---- */

static void *from_gpa(uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < nr_regions; i++) {
		struct region *r = &regions[i];

		if (gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return r->base + (gpa - r->gpa);
	}

	fprintf(stderr, "backend: the guest gave a bad address %#" PRIx64 "\n",
		gpa);
	exit(1);
}

static void *from_uva(uint64_t uva)
{
	for (unsigned int i = 0; i < nr_regions; i++)
		if (uva - regions[i].uva < regions[i].size)
			return regions[i].base + (uva - regions[i].uva);

	return NULL;
}

/* ---- rings ---- */

static struct vring_avail *split_avail(struct queue *q)
{
	return q->avail;
}

static struct vring_used *split_used(struct queue *q)
{
	return q->used;
}

static volatile uint16_t *split_avail_event(struct queue *q)
{
	return (uint16_t *)&split_used(q)->ring[q->num];
}

static volatile uint16_t *split_used_event(struct queue *q)
{
	return &split_avail(q)->ring[q->num];
}

/* No notifications: an event index that lies in the past, and the flag. */
static void queue_ask_no_kick(struct queue *q)
{
	if (q->packed) {
		struct vring_packed_desc_event *e = q->used;

		WRITE_ONCE(e->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	} else {
		WRITE_ONCE(split_used(q)->flags, VRING_USED_F_NO_NOTIFY);
		if (q->event_idx)
			*split_avail_event(q) = q->next_avail + 0x8000;
	}
}

static void queue_try_start(struct queue *q)
{
	if (q->started || !q->enabled || q->kick < 0 || !q->desc_uva)
		return;

	q->desc = from_uva(q->desc_uva);
	q->avail = from_uva(q->avail_uva);
	q->used = from_uva(q->used_uva);
	if (!q->desc || !q->avail || !q->used)
		return;

	q->packed = features & 1ull << VIRTIO_F_RING_PACKED;
	q->event_idx = features & 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (!q->packed)
		q->next_used = READ_ONCE(split_used(q)->idx);
	q->given = 0;
	q->started = true;
	held = false;
	queue_ask_no_kick(q);
}

static void chain_add(struct chain *c, uint64_t addr, uint32_t len)
{
	if (c->nr == MAX_IOV) {
		fprintf(stderr, "backend: a descriptor chain is too long\n");
		exit(1);
	}
	c->iov[c->nr].iov_base = c->lengths ? NULL : from_gpa(addr, len);
	c->iov[c->nr++].iov_len = len;
}

static bool split_take(struct queue *q, struct chain *c)
{
	uint16_t avail = READ_ONCE(split_avail(q)->idx), i;
	struct vring_desc *desc = q->desc;
	unsigned int num = q->num;

	if (avail == q->next_avail)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);

	i = READ_ONCE(split_avail(q)->ring[q->next_avail % q->num]);
	c->id = i;
	c->nr = 0;
	c->slots = 1;
	if (desc[i].flags & VRING_DESC_F_INDIRECT) {
		num = desc[i].len / sizeof(*desc);
		desc = from_gpa(desc[i].addr, desc[i].len);
		i = 0;
	}
	for (;;) {
		if (i >= num) {
			fprintf(stderr, "backend: bad descriptor index\n");
			exit(1);
		}
		chain_add(c, desc[i].addr, desc[i].len);
		if (!(desc[i].flags & VRING_DESC_F_NEXT))
			break;
		i = desc[i].next;
	}
	q->next_avail++;
	if (q->event_idx)
		*split_avail_event(q) = q->next_avail + 0x8000;

	return true;
}

static bool packed_take(struct queue *q, struct chain *c)
{
	struct vring_packed_desc *ring = q->desc;
	uint16_t flags = READ_ONCE(ring[q->next_avail].flags);

	if (!!(flags & 1 << VRING_PACKED_DESC_F_AVAIL) != q->avail_wrap ||
	    !!(flags & 1 << VRING_PACKED_DESC_F_USED) == q->avail_wrap)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);

	c->nr = 0;
	c->slots = 0;
	do {
		struct vring_packed_desc *d = &ring[q->next_avail];

		flags = d->flags;
		c->id = d->id;
		if (flags & VRING_DESC_F_INDIRECT) {
			struct vring_packed_desc *t = from_gpa(d->addr, d->len);

			for (unsigned int i = 0; i < d->len / sizeof(*t); i++)
				chain_add(c, t[i].addr, t[i].len);
		} else {
			chain_add(c, d->addr, d->len);
		}
		c->slots++;
		if (++q->next_avail == q->num) {
			q->next_avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	} while (flags & VRING_DESC_F_NEXT);

	return true;
}

static bool queue_take(struct queue *q, struct chain *c)
{
	return q->packed ? packed_take(q, c) : split_take(q, c);
}

static void split_give(struct queue *q, const struct done *d, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct vring_used_elem *e;

		e = &split_used(q)->ring[(uint16_t)(q->next_used + i) % q->num];
		e->id = d[i].id;
		e->len = d[i].len;
	}
	q->next_used += nr;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	WRITE_ONCE(split_used(q)->idx, q->next_used);
}

/* The flags of the first entry are written last: one piece for the driver. */
static void packed_give(struct queue *q, const struct done *d, unsigned int nr)
{
	struct vring_packed_desc *ring = q->desc;
	uint16_t first = q->next_used, first_flags = 0;

	for (unsigned int i = 0; i < nr; i++) {
		struct vring_packed_desc *e = &ring[q->next_used];
		uint16_t flags = 0;

		if (q->used_wrap)
			flags = 1 << VRING_PACKED_DESC_F_AVAIL |
				1 << VRING_PACKED_DESC_F_USED;
		if (d[i].len)
			flags |= VRING_DESC_F_WRITE;
		e->id = d[i].id;
		e->len = d[i].len;
		if (i) {
			__atomic_thread_fence(__ATOMIC_RELEASE);
			WRITE_ONCE(e->flags, flags);
		} else {
			first_flags = flags;
		}
		q->next_used += d[i].slots;
		if (q->next_used >= q->num) {
			q->next_used -= q->num;
			q->used_wrap = !q->used_wrap;
		}
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	WRITE_ONCE(ring[first].flags, first_flags);
}

static bool split_wants_call(struct queue *q, uint16_t old)
{
	if (q->event_idx)
		return vring_need_event(*split_used_event(q), q->next_used, old);
	return !(READ_ONCE(split_avail(q)->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

static bool packed_wants_call(struct queue *q, uint16_t old, bool old_wrap)
{
	struct vring_packed_desc_event *e = q->avail;
	uint16_t flags = READ_ONCE(e->flags), off = READ_ONCE(e->off_wrap);
	uint16_t new = q->next_used;
	bool wrap;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;

	wrap = off >> VRING_PACKED_EVENT_F_WRAP_CTR;
	off &= ~(1 << VRING_PACKED_EVENT_F_WRAP_CTR);
	if (wrap != q->used_wrap)
		off -= q->num;
	if (old_wrap != q->used_wrap)
		old -= q->num;

	return vring_need_event(off, new, old);
}

/* Give entries back in one piece and interrupt if the driver asked for it. */
static void queue_give(struct queue *q, const struct done *d, unsigned int nr)
{
	bool old_wrap = q->used_wrap, call;
	uint16_t old = q->next_used;

	if (q->packed)
		packed_give(q, d, nr);
	else
		split_give(q, d, nr);
	q->given += nr;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	call = q->packed ? packed_wants_call(q, old, old_wrap) :
			   split_wants_call(q, old);
	if (call && q->call >= 0) {
		uint64_t one = 1;

		q->calls++;
		if (write(q->call, &one, sizeof(one)) < 0 && errno != EAGAIN)
			die("interrupt");
	}
}

/*
 * Has the driver taken everything, and does it wait for an interrupt?  Only an
 * event index tells: flags stay as they are until the driver gets round to them.
 */
static bool queue_is_armed(struct queue *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->packed) {
		struct vring_packed_desc_event *e = q->avail;
		uint16_t here = q->next_used |
				q->used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR;

		if (READ_ONCE(e->flags) == VRING_PACKED_EVENT_FLAG_DESC)
			return READ_ONCE(e->off_wrap) == here;
		/* a new queue: every notification is wanted */
		return !q->given;
	}

	return *split_used_event(q) == q->next_used;
}

/* ---- transmit: the sink ---- */

/*
 * It looks at no address: virtio_net, built as a module, gives a wrong one for
 * the header of AF_XDP packets, and is to be measured all the same.
 */
static bool queue_sink(struct queue *q)
{
	struct chain c = { .lengths = true };
	struct done done[64];
	unsigned int nr = 0;

	while (nr < ARRAY_SIZE(done) && queue_take(q, &c)) {
		for (unsigned int i = 0; i < c.nr; i++)
			q->bytes += c.iov[i].iov_len;
		q->bytes -= hdr_len();
		q->packets++;
		done[nr++] = (struct done){ .id = c.id, .slots = c.slots };
	}
	if (nr)
		queue_give(q, done, nr);

	return nr;
}

static bool sink_all(void)
{
	bool busy = false;

	if (held)
		return false;
	for (unsigned int i = 1; i < MAX_QUEUES; i += 2)
		if (queues[i].started)
			busy |= queue_sink(&queues[i]);

	return busy;
}

/* ---- receive: the source ---- */

struct job {
	unsigned int first, nr, burst, gap;
	uint64_t count;
	unsigned int frame_len;
	uint8_t frame[MAX_FRAME + 12];	/* virtio header in front */
};

static struct job job;

/* Take a receive buffer; the driver may be about to post some. */
static bool take_wait(struct queue *q, struct chain *c)
{
	uint64_t deadline;

	if (queue_take(q, c))
		return true;

	deadline = now_us() + READY_US;
	while (!queue_take(q, c)) {
		if (now_us() > deadline)
			return false;
		if (!sink_all())
			sleep_us(5);
	}

	return true;
}

/* Copy one packet into as many buffers as it takes. */
static bool put_packet(struct queue *q, struct done *done, unsigned int *nr)
{
	unsigned int first = *nr, vlen = hdr_len() + job.frame_len, off = 0;
	bool mergeable = features & 1ull << VIRTIO_NET_F_MRG_RXBUF;
	struct virtio_net_hdr_v1 *hdr = NULL;
	const uint8_t *src = job.frame + 12 - hdr_len();
	struct chain c = { 0 };

	while (off < vlen) {
		unsigned int start = off;

		if ((off && !mergeable) || *nr == MAX_DONE || !take_wait(q, &c))
			return false;
		for (unsigned int i = 0; i < c.nr && off < vlen; i++) {
			unsigned int n = c.iov[i].iov_len;

			if (n > vlen - off)
				n = vlen - off;
			if (!off)
				hdr = c.iov[i].iov_base;
			memcpy(c.iov[i].iov_base, src + off, n);
			off += n;
		}
		done[(*nr)++] = (struct done){
			.id = c.id, .slots = c.slots, .len = off - start,
		};
	}
	if (hdr_len() == 12)
		hdr->num_buffers = *nr - first;

	return true;
}

/* Wait until the driver is ready; keep the sink running meanwhile. */
static bool wait_armed(struct queue *q)
{
	uint64_t deadline = now_us() + READY_US;

	while (!queue_is_armed(q)) {
		if (sink_all())
			continue;
		if (now_us() > deadline)
			return false;
		sleep_us(5);
	}

	return true;
}

static void run_job(void)
{
	struct done done[MAX_DONE];
	uint64_t sent = 0, bursts = 0, start = now_us();

	for (; sent < job.count; bursts++) {
		unsigned int pair = job.first + bursts % job.nr, nr = 0;
		struct queue *q = &queues[pair * 2];
		uint64_t want = job.burst, end;

		if (!q->started || !q->event_idx) {
			printf("error queue %u is not started with EVENT_IDX\n",
			       pair);
			return;
		}
		if (!wait_armed(q)) {
			printf("error queue %u asks for no interrupt\n", pair);
			return;
		}
		for (end = now_us() + job.gap; now_us() < end; )
			if (!sink_all())
				sleep_us(5);

		if (want > job.count - sent)
			want = job.count - sent;
		for (uint64_t i = 0; i < want; i++) {
			if (!put_packet(q, done, &nr)) {
				printf("error queue %u has too few buffers\n", pair);
				return;
			}
		}
		queue_give(q, done, nr);
		sent += want;
	}
	for (unsigned int i = 0; i < job.nr; i++) {
		if (!wait_armed(&queues[(job.first + i) * 2])) {
			printf("error queue %u does not come to rest\n",
			       job.first + i);
			return;
		}
	}
	start = now_us() - start;
	for (uint64_t end = now_us() + 2000; now_us() < end; )
		if (!sink_all())
			sleep_us(50);
	printf("sent %" PRIu64 " %" PRIu64 "\n", sent, start);
}

/* ---- vhost-user messages ---- */

static void map_regions(struct vu_msg *m, const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_regions; i++)
		munmap(regions[i].map, regions[i].map_len);
	nr_regions = 0;

	for (unsigned int i = 0; i < m->mem.nr && i < nr_fds; i++) {
		struct vu_region v = m->mem.regions[i];
		struct region *r = &regions[i];

		r->gpa = v.gpa;
		r->size = v.size;
		r->uva = v.uva;
		r->map_len = v.size + v.offset;
		r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE,
			      MAP_SHARED, fds[i], 0);
		if (r->map == MAP_FAILED)
			die("guest memory");
		r->base = (uint8_t *)r->map + v.offset;
		close(fds[i]);
		nr_regions++;
	}

	for (unsigned int i = 0; i < MAX_QUEUES; i++)
		if (queues[i].started) {
			queues[i].desc = from_uva(queues[i].desc_uva);
			queues[i].avail = from_uva(queues[i].avail_uva);
			queues[i].used = from_uva(queues[i].used_uva);
		}
}

static void set_fd(int *slot, uint64_t v, const int *fds, unsigned int nr_fds)
{
	if (*slot >= 0)
		close(*slot);
	*slot = nr_fds && !(v & 0x100) ? fds[0] : -1;
}

static void get_base(struct queue *q, struct vu_msg *m)
{
	/* The queue starts again when it has been set up anew. */
	q->started = false;
	q->desc_uva = 0;
	m->state.num = q->next_avail;
	if (q->packed)
		m->state.num |= q->avail_wrap << 15 | q->next_used << 16 |
				(uint32_t)q->used_wrap << 31;
}

static void set_base(struct queue *q, uint32_t num)
{
	if (features & 1ull << VIRTIO_F_RING_PACKED) {
		q->next_avail = num & 0x7fff;
		q->avail_wrap = num >> 15 & 1;
		q->next_used = num >> 16 & 0x7fff;
		q->used_wrap = num >> 31;
	} else {
		q->next_avail = num;
	}
}

/* Returns whether the message has an answer of its own (filled in). */
static bool vu_handle(struct vu_msg *m, const int *fds, unsigned int nr_fds)
{
	uint32_t index = m->request == VU_SET_VRING_KICK ||
			 m->request == VU_SET_VRING_CALL ||
			 m->request == VU_SET_VRING_ERR ? m->u64 & 0xff :
			 m->state.index;
	struct queue *q = &queues[index % MAX_QUEUES];

	switch (m->request) {
	case VU_GET_FEATURES:
		m->u64 = our_features;
		return true;
	case VU_SET_FEATURES:
		features = m->u64;
		break;
	case VU_SET_MEM_TABLE:
		map_regions(m, fds, nr_fds);
		break;
	case VU_SET_VRING_NUM:
		q->num = m->state.num;
		break;
	case VU_SET_VRING_ADDR:
		q = &queues[m->addr.index % MAX_QUEUES];
		q->desc_uva = m->addr.desc_user_addr;
		q->avail_uva = m->addr.avail_user_addr;
		q->used_uva = m->addr.used_user_addr;
		break;
	case VU_SET_VRING_BASE:
		set_base(q, m->state.num);
		break;
	case VU_GET_VRING_BASE:
		get_base(q, m);
		return true;
	case VU_SET_VRING_KICK:
		set_fd(&q->kick, m->u64, fds, nr_fds);
		queue_try_start(q);
		break;
	case VU_SET_VRING_CALL:
		set_fd(&q->call, m->u64, fds, nr_fds);
		break;
	case VU_SET_VRING_ERR:
	case VU_SET_BACKEND_REQ_FD:
		if (nr_fds)
			close(fds[0]);
		break;
	case VU_GET_PROTOCOL_FEATURES:
		/* the last one QEMU demands for ACCESS_PLATFORM */
		m->u64 = 1ull << VU_PROTO_MQ | 1ull << VU_PROTO_REPLY_ACK |
			 1ull << VU_PROTO_BACKEND_REQ;
		return true;
	case VU_GET_QUEUE_NUM:
		m->u64 = MAX_QUEUES / 2;
		return true;
	case VU_SET_VRING_ENABLE:
		q->enabled = m->state.num;
		queue_try_start(q);
		break;
	}

	return false;
}

static bool vu_recv(struct vu_msg *m, int *fds, unsigned int *nr_fds)
{
	char control[CMSG_SPACE(MAX_REGIONS * sizeof(int))];
	struct iovec iov = { .iov_base = m, .iov_len = VU_HDR_SIZE };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	*nr_fds = 0;
	if (recvmsg(vu_fd, &msg, MSG_WAITALL) != (ssize_t)VU_HDR_SIZE)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			*nr_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), *nr_fds * sizeof(int));
		}
	if (m->size > sizeof(*m) - VU_HDR_SIZE)
		return false;

	return !m->size ||
	       recv(vu_fd, &m->u64, m->size, MSG_WAITALL) == (ssize_t)m->size;
}

static void vu_process(void)
{
	struct vu_msg m = { 0 };
	int fds[MAX_REGIONS];
	unsigned int nr_fds;
	bool answer, ack;

	if (!vu_recv(&m, fds, &nr_fds))
		exit(0);	/* QEMU has gone */

	ack = m.flags & VU_NEED_REPLY;
	answer = vu_handle(&m, fds, nr_fds);
	if (!answer && !ack)
		return;
	if (answer) {
		m.size = m.request == VU_GET_VRING_BASE ? sizeof(m.state) :
							  sizeof(m.u64);
	} else {
		m.u64 = 0;
		m.size = sizeof(m.u64);
	}
	m.flags = VU_VERSION | VU_REPLY;
	if (write(vu_fd, &m, VU_HDR_SIZE + m.size) < 0)
		die("vhost-user answer");
}

/* ---- commands ---- */

static bool parse_send(const char *line)
{
	int pos = 0;

	if (sscanf(line, "send %u %u %" SCNu64 " %u %u %n", &job.first, &job.nr,
		   &job.count, &job.burst, &job.gap, &pos) < 5 || !pos)
		return false;
	if (!job.nr || job.first + job.nr > MAX_QUEUES / 2 || !job.burst ||
	    job.burst > MAX_BURST)
		return false;

	job.frame_len = 0;
	memset(job.frame, 0, 12);
	for (const char *p = line + pos; p[0] > ' ' && p[1] > ' '; p += 2) {
		char hex[3] = { p[0], p[1] };

		if (job.frame_len == MAX_FRAME)
			return false;
		job.frame[12 + job.frame_len++] = strtoul(hex, NULL, 16);
	}

	return job.frame_len >= 14;
}

/* The queues of the first pair begin anew where they are. */
static void rewind_queues(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct queue *q = &queues[i];

		q->next_avail = 0;
		q->next_used = 0;
		q->avail_wrap = true;
		q->used_wrap = true;
		q->given = 0;
		queue_ask_no_kick(q);
	}
	held = false;
}

static void command(void)
{
	static char line[2 * MAX_FRAME + 256];
	uint64_t packets = 0, bytes = 0, calls = 0;

	if (!fgets(line, sizeof(line), stdin) || !strncmp(line, "quit", 4))
		exit(0);

	if (!strncmp(line, "send ", 5)) {
		if (parse_send(line))
			run_job();
		else
			printf("error bad send command\n");
	} else if (!strncmp(line, "hold", 4) || !strncmp(line, "rewind", 6)) {
		if (line[0] == 'h')
			held = true;
		else
			rewind_queues();
		printf("held\n");
	} else if (!strncmp(line, "stat", 4)) {
		for (unsigned int i = 0; i < MAX_QUEUES; i++) {
			calls += queues[i].calls;
			if (i % 2) {
				packets += queues[i].packets;
				bytes += queues[i].bytes;
			}
		}
		printf("stat %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", packets,
		       bytes, calls);
	} else {
		printf("error unknown command\n");
	}
}

static int wait_for_qemu(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), conn;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(addr.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, 1))
		die(path);
	printf("listening\n");
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		die(path);
	close(fd);

	return conn;
}

int main(int argc, char **argv)
{
	unsigned int idle = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: backend SOCKET\n");
		return 2;
	}
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_TIMERSLACK, 1);
	for (unsigned int i = 0; i < MAX_QUEUES; i++) {
		queues[i].call = -1;
		queues[i].kick = -1;
	}
	vu_fd = wait_for_qemu(argv[1]);

	for (;;) {
		struct pollfd p[] = {
			{ .fd = vu_fd, .events = POLLIN },
			{ .fd = STDIN_FILENO, .events = POLLIN },
		};

		/* A quiet sink sleeps longer and longer, up to 2 ms. */
		if (sink_all()) {
			idle = 0;
			if (poll(p, 2, 0) <= 0)
				continue;
		} else if (++idle < 1000) {
			sleep_us(20);
			if (idle % 16 || poll(p, 2, 0) <= 0)
				continue;
		} else if (poll(p, 2, 2) <= 0) {
			continue;
		}
		if (p[0].revents)
			vu_process();
		if (p[1].revents)
			command();
	}
}
