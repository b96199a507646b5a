/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An engine for split rings (VIRTIO 1.4, 2.7): pure, no virtqueue is known here.
 *
 * Descriptor i is slot i of the queue, so a buffer that stays in its slot is
 * offered again by one store. Nothing that the device can write is read but the
 * used ring, its index and flags, and where the device wants to be notified; all
 * of it is checked: whatever the device writes, only slots come back that it has
 * been given, and each once.
 *
 * One owner: nobody calls two functions on one ring at a time, but for those
 * that say so. docs/ring.rst has the reasons for the barriers.
 */
#ifndef VNET_VRING_H
#define VNET_VRING_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <linux/virtio_ring.h>

/* What vnet_vring_get() returns when there is no slot to return */
#define VNET_VRING_EMPTY	(-1)

/**
 * struct vnet_vring - a split ring, as its driver sees it
 * @desc: descriptor table, NULL while the ring is not ours
 * @avail: available ring
 * @used: used ring, written by the device
 * @posted: for each descriptor, whether the device has it
 * @mask: entries of the ring - 1; a power of two
 * @taken: used entries that were taken, counted modulo 2^16
 * @seen: used entries that the device has shown when it was last asked
 * @offered: available entries that were written, counted modulo 2^16
 * @shown: those that the device has been shown
 * @event: notifications by index (VIRTIO_F_EVENT_IDX)
 * @weak: the device takes part in the coherency of CPUs, as software does
 * @bad: the device has returned what it had not, or shown more than it had
 */
struct vnet_vring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool *posted;
	u16 mask;
	u16 taken;
	u16 seen;
	u16 offered;
	u16 shown;
	bool event;
	bool weak;
	bool bad;
};

static inline __virtio16 vnet_vring_put16(u16 v)
{
	return (__force __virtio16)cpu_to_le16(v);
}

static inline u16 vnet_vring_get16(__virtio16 v)
{
	return le16_to_cpu((__force __le16)v);
}

/* Whether the ring is driven by this engine */
static inline bool vnet_vring_on(const struct vnet_vring *r)
{
	return r->desc;
}

/* Entries of the ring that the device has, or will have been shown */
static inline u16 vnet_vring_out(const struct vnet_vring *r)
{
	return r->offered - r->taken;
}

/* The driver's word to the device: after which used entry to interrupt */
static inline __virtio16 *vnet_vring_used_event(const struct vnet_vring *r)
{
	return &r->avail->ring[r->mask + 1];
}

/* The device's word to the driver: after which available entry to notify */
static inline const __virtio16 *
vnet_vring_avail_event(const struct vnet_vring *r)
{
	return (const __virtio16 *)&r->used->ring[r->mask + 1];
}

/* What the device says how far it is; safe for any reader at any time. */
static inline u16 vnet_vring_used_idx(const struct vnet_vring *r)
{
	return vnet_vring_get16(READ_ONCE(r->used->idx));
}

/**
 * vnet_vring_init() - begin with an empty ring
 * @r: ring, with @desc, @avail, @used, @posted, @mask, @event and @weak set
 *
 * The ring was reset: both indices of it are 0.
 */
static inline void vnet_vring_init(struct vnet_vring *r)
{
	memset(r->posted, 0, (r->mask + 1) * sizeof(*r->posted));
	r->taken = 0;
	r->seen = 0;
	r->offered = 0;
	r->shown = 0;
	r->bad = false;
}

/* Ask the device how far it is. Returns whether there is something to take. */
static inline bool vnet_vring_look(struct vnet_vring *r)
{
	u16 seen = vnet_vring_used_idx(r);

	if (seen == r->taken || unlikely(r->bad))
		return false;
	/* More than it was shown cannot have come back. */
	if (unlikely((u16)(seen - r->taken) > (u16)(r->shown - r->taken))) {
		r->bad = true;
		return false;
	}

	r->seen = seen;
	/* The index before the entries and before what the buffers hold */
	virtio_rmb(r->weak);

	return true;
}

/**
 * vnet_vring_get() - take the next used buffer
 * @r: ring
 * @len: where to put the bytes that the device says it has written
 *
 * Return: the slot, or %VNET_VRING_EMPTY; then @r->bad tells whether the device
 * has broken the rules: nothing more is taken until the ring was reset.
 */
static __always_inline int vnet_vring_get(struct vnet_vring *r, u32 *len)
{
	const struct vring_used_elem *e;
	u32 id;

	if (r->taken == r->seen && !vnet_vring_look(r))
		return VNET_VRING_EMPTY;

	e = &r->used->ring[r->taken & r->mask];
	id = le32_to_cpu((__force __le32)READ_ONCE(e->id));
	*len = le32_to_cpu((__force __le32)READ_ONCE(e->len));
	if (unlikely(id > r->mask || !r->posted[id])) {
		r->bad = true;
		r->seen = r->taken;
		return VNET_VRING_EMPTY;
	}

	r->posted[id] = false;
	r->taken++;

	return id;
}

/* Describe the buffer of @slot, which the device does not have. */
static __always_inline void vnet_vring_describe(struct vnet_vring *r, u16 slot,
						u64 addr, u32 len, u16 flags)
{
	struct vring_desc *d = &r->desc[slot];

	d->addr = (__force __virtio64)cpu_to_le64(addr);
	d->len = (__force __virtio32)cpu_to_le32(len);
	d->flags = vnet_vring_put16(flags);
}

/* Offer @slot as it was described last; vnet_vring_show() tells the device. */
static __always_inline void vnet_vring_offer(struct vnet_vring *r, u16 slot)
{
	r->avail->ring[r->offered & r->mask] = vnet_vring_put16(slot);
	r->posted[slot] = true;
	r->offered++;
}

/*
 * Descriptors and entries are seen before the index; and what was read out of a
 * buffer that is offered again was read before the device can write to it.
 */
static inline void vnet_vring_publish(struct vnet_vring *r)
{
	__virtio16 idx = vnet_vring_put16(r->offered);

	if (r->weak) {
		/* loads and stores before this store */
		virt_store_release(&r->avail->idx, idx);
	} else {
		/* the same for devices that are no CPUs */
		mb();
		WRITE_ONCE(r->avail->idx, idx);
	}
}

/**
 * vnet_vring_show() - let the device see what was offered
 * @r: ring
 *
 * Return: whether the device wants to be notified.
 */
static inline bool vnet_vring_show(struct vnet_vring *r)
{
	u16 old = r->shown, event;

	vnet_vring_publish(r);
	r->shown = r->offered;
	/* The index before the look at whether the device sleeps */
	virtio_mb(r->weak);
	if (!r->event)
		return !(READ_ONCE(r->used->flags) &
			 vnet_vring_put16(VRING_USED_F_NO_NOTIFY));

	event = vnet_vring_get16(READ_ONCE(*vnet_vring_avail_event(r)));

	return vring_need_event(event, r->shown, old);
}

/* Ask for no interrupts. With indices none comes anyway until asked for again. */
static inline void vnet_vring_disarm(struct vnet_vring *r)
{
	if (!r->event)
		WRITE_ONCE(r->avail->flags,
			   vnet_vring_put16(VRING_AVAIL_F_NO_INTERRUPT));
}

/**
 * vnet_vring_arm() - ask for an interrupt
 * @r: ring
 * @after: used entries that may come without one, fewer than are out
 *
 * Return: true if more than that have come already: there may be no interrupt.
 */
static inline bool vnet_vring_arm(struct vnet_vring *r, u16 after)
{
	if (r->event)
		WRITE_ONCE(*vnet_vring_used_event(r),
			   vnet_vring_put16(r->taken + after));
	else
		WRITE_ONCE(r->avail->flags, 0);
	/* The wish before the look at what has come meanwhile */
	virtio_mb(r->weak);

	return (u16)(vnet_vring_used_idx(r) - r->taken) > after && !r->bad;
}

/* How many may be used before an interrupt that is to come late: three of four */
static inline u16 vnet_vring_late(const struct vnet_vring *r)
{
	return vnet_vring_out(r) * 3u / 4;
}

/**
 * vnet_vring_wraps() - whether the used index may come to rest on 0 now
 * @r: ring; any reader at any time
 *
 * Between two looks of the driver no more is used than a ring has entries.
 *
 * Return: true if that could bring the index to 0.
 */
static inline bool vnet_vring_wraps(const struct vnet_vring *r)
{
	u16 left = -READ_ONCE(r->taken);

	return left && left <= r->mask + 1u;
}

#endif /* VNET_VRING_H */
