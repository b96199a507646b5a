/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Thin inlines over the two engines that drive a data virtqueue's ring, that of
 * the virtio core and our own: index maps, add, get, the one kick site, arm,
 * disarm and recheck. How the engines differ is known here and in data/vring.c;
 * no other file adds to, takes from or arms a data queue by virtqueue_*().
 */
#ifndef VNET_VQ_H
#define VNET_VQ_H

#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vnet_caps.h"
#include "vnet_compat.h"
#include "vnet_vring.h"

/* VIRTIO 5.1.2: receiveq1 is virtqueue 0, transmitq1 is 1, and so on. */
static inline unsigned int vnet_vq_rx_index(unsigned int pair)
{
	return pair * 2;
}

static inline unsigned int vnet_vq_tx_index(unsigned int pair)
{
	return pair * 2 + 1;
}

/* All virtqueues of the driver; an admin virtqueue is the core's. */
static inline unsigned int vnet_vqs_nr(const struct vnet_caps *caps)
{
	return caps->max_pairs * 2 + caps->ctrl_vq;
}

static inline unsigned int vnet_vq_pair(const struct virtqueue *vq)
{
	return vq->index / 2;
}

/* Prepare @sg as a table of exactly @nr entries. */
static inline void vnet_sg_init(struct scatterlist *sg, unsigned int nr)
{
	sg_init_table(sg, nr);
}

/* Describe @len bytes at bus address @dma for a premapped add. */
static inline void vnet_sg_set_dma(struct scatterlist *sg, dma_addr_t dma,
				   u32 len)
{
	sg_dma_address(sg) = dma;
	sg_dma_len(sg) = len;
	vnet_compat_sg_set_len(sg, len);
}

/**
 * struct vnet_vq - a data virtqueue and the engine that drives its ring
 * @vq: the core's virtqueue, NULL between a device reset and its re-creation
 * @ring: the ring, while our own engine drives it; else the core does
 *
 * Which engine it is changes only while the queue is off, see data/vring.c.
 */
struct vnet_vq {
	struct virtqueue *vq;
	struct vnet_vring ring;
};

/**
 * struct vnet_wrap - looks after a ring whose used index may come to rest on 0
 * @timer: looks, while it may
 * @q: the queue
 * @napi: its poll
 * @delay: until the next look, in nanoseconds
 * @found: polls that it has scheduled: interrupts that were lost
 *
 * The virtio core takes an interrupt for another's while the used index is what
 * it has itself, and with our own engine that is 0 for ever: the interrupt of a
 * queue that comes to rest there, once in 65536 buffers, is lost.
 */
struct vnet_wrap {
	struct hrtimer timer;
	struct vnet_vq *q;
	struct napi_struct *napi;
	u64 delay;
	u32 found;
};

/* data/vring.c: who is driven by our own engine */
void vnet_vring_take(struct vnet_vq *q, const struct vnet_caps *caps);
void vnet_vring_release(struct vnet_vq *q, void *slots, size_t size,
			void (*reclaim)(struct virtqueue *vq, void *token));
void vnet_wrap_init(struct vnet_wrap *wrap, struct vnet_vq *q,
		    struct napi_struct *napi);
void vnet_wrap_start(struct vnet_wrap *wrap);
void vnet_wrap_stop(struct vnet_wrap *wrap);

/* Does our own engine drive the ring? To be asked once per poll. */
static __always_inline bool vnet_vq_own(const struct vnet_vq *q)
{
	return vnet_vring_on(&q->ring);
}

/**
 * vnet_vq_post() - offer a device-writable buffer by the core's engine
 * @q: receive virtqueue
 * @sg: descriptors of the buffer, terminated
 * @nr: number of descriptors
 * @token: what vnet_vq_get() returns for this buffer
 * @premapped: @sg carries bus addresses; else the core maps the pages
 *
 * Context: the owner of @q (NAPI, or process while NAPI is off).
 * Return: 0, -ENOSPC when the ring is full, -ENOMEM, -EIO when it is broken.
 */
static inline int vnet_vq_post(struct vnet_vq *q, struct scatterlist *sg,
			       unsigned int nr, void *token, bool premapped)
{
	if (likely(premapped))
		return vnet_compat_add_inbuf_premapped(q->vq, sg, nr, token);

	return virtqueue_add_inbuf(q->vq, sg, nr, token, GFP_ATOMIC);
}

/* As vnet_vq_post(), a slot of one descriptor by our own engine */
static __always_inline void vnet_vq_post_own(struct vnet_vq *q, u16 slot,
					     dma_addr_t addr, u32 len)
{
	vnet_vring_describe(&q->ring, slot, addr, len, VRING_DESC_F_WRITE);
	vnet_vring_offer(&q->ring, slot);
}

/**
 * vnet_vq_send() - offer a device-readable buffer by the core's engine
 * @q: transmit virtqueue
 * @sg: descriptors of the buffer, terminated
 * @nr: number of descriptors
 * @token: what vnet_vq_get() returns for this buffer
 *
 * Context: xmit lock of the queue, softirqs off.
 * Return: 0, -ENOSPC when the ring is full, -ENOMEM, -EIO when it is broken.
 */
static inline int vnet_vq_send(struct vnet_vq *q, struct scatterlist *sg,
			       unsigned int nr, void *token)
{
	return virtqueue_add_outbuf(q->vq, sg, nr, token, GFP_ATOMIC);
}

/* As vnet_vq_send(); @sg carries bus addresses if the core can take them. */
static inline int vnet_vq_send_premapped(struct vnet_vq *q,
					 struct scatterlist *sg,
					 unsigned int nr, void *token)
{
	return vnet_compat_add_outbuf_premapped(q->vq, sg, nr, token);
}

/* As vnet_vq_send(), a slot of one descriptor by our own engine */
static __always_inline void vnet_vq_send_own(struct vnet_vq *q, u16 slot,
					     dma_addr_t addr, u32 len)
{
	vnet_vring_describe(&q->ring, slot, addr, len, 0);
	vnet_vring_offer(&q->ring, slot);
}

/* Entries that the ring has room for, for tools */
static inline u32 vnet_vq_free(const struct vnet_vq *q)
{
	return vnet_vq_own(q) ? q->ring.mask + 1 - vnet_vring_out(&q->ring) :
				q->vq->num_free;
}

/* Entries that were offered and that the device does not know of yet */
static __always_inline u16 vnet_vq_unshown(const struct vnet_vq *q)
{
	return q->ring.offered - q->ring.shown;
}

/* Has the device broken the rules? The core breaks its virtqueue then. */
static inline bool vnet_vq_broken(const struct vnet_vq *q)
{
	return vnet_vq_own(q) ? q->ring.bad : virtqueue_is_broken(q->vq);
}

/* Take one used buffer by the core's engine; @len is the device's claim. */
static inline void *vnet_vq_get(struct vnet_vq *q, unsigned int *len)
{
	return virtqueue_get_buf(q->vq, len);
}

/*
 * Take one used buffer by our own engine: its slot, or %VNET_VRING_EMPTY. A ring
 * in which the device lies is broken, as the core's are.
 */
static __always_inline int vnet_vq_get_own(struct vnet_vq *q, u32 *len)
{
	int slot = vnet_vring_get(&q->ring, len);

	if (unlikely(slot < 0) && unlikely(q->ring.bad))
		__virtqueue_break(q->vq);

	return slot;
}

/* Notify the device whatever it asked for: what it asked for may be stale. */
static inline bool vnet_vq_notify(struct vnet_vq *q)
{
	return virtqueue_notify(q->vq);
}

/* The kick site. Returns true when the device was really notified. */
static inline bool vnet_vq_kick(struct vnet_vq *q)
{
	if (vnet_vq_own(q))
		return vnet_vring_show(&q->ring) && vnet_vq_notify(q);

	return virtqueue_kick_prepare(q->vq) && vnet_vq_notify(q);
}

/*
 * Are there used buffers that nobody has taken? Arms the notification, so the
 * caller must own the virtqueue. @seen is what has been seen of the ring.
 */
static inline bool vnet_vq_pending(struct vnet_vq *q, unsigned int *seen)
{
	if (vnet_vq_own(q)) {
		*seen = q->ring.taken;
		return vnet_vring_arm(&q->ring, 0);
	}

	*seen = virtqueue_enable_cb_prepare(q->vq);

	return virtqueue_poll(q->vq, *seen);
}

/* Has the device used a buffer since @seen? Only reads memory; any context. */
static inline bool vnet_vq_moved(struct vnet_vq *q, unsigned int seen)
{
	if (vnet_vq_own(q))
		return vnet_vring_used_idx(&q->ring) != (u16)seen;

	return virtqueue_poll(q->vq, seen);
}

/* Ask for no more used buffer notifications. */
static inline void vnet_vq_disarm(struct vnet_vq *q)
{
	if (vnet_vq_own(q))
		vnet_vring_disarm(&q->ring);
	else
		virtqueue_disable_cb(q->vq);
}

/*
 * Ask for a notification of the next used buffer. Returns true when one came
 * in the meantime: the caller must poll again, the notification may be lost.
 */
static inline bool vnet_vq_arm(struct vnet_vq *q)
{
	if (vnet_vq_own(q))
		return unlikely(vnet_vring_arm(&q->ring, 0));

	return unlikely(!virtqueue_enable_cb(q->vq));
}

/* As vnet_vq_arm(), but only after most of the pending buffers are used. */
static inline bool vnet_vq_arm_delayed(struct vnet_vq *q)
{
	if (vnet_vq_own(q))
		return unlikely(vnet_vring_arm(&q->ring,
					       vnet_vring_late(&q->ring)));

	return unlikely(!virtqueue_enable_cb_delayed(q->vq));
}

/*
 * As vnet_vq_arm(), but after @after more: only where the ring can say so, and
 * has as many out; elsewhere nothing is asked for.
 */
static inline bool vnet_vq_arm_after(struct vnet_vq *q, u16 after)
{
	if (!vnet_vq_own(q) || !q->ring.event ||
	    after >= vnet_vring_out(&q->ring))
		return false;

	return vnet_vring_arm(&q->ring, after);
}

/* The poll sleeps and waits for an interrupt: see to it that it wakes up. */
static inline void vnet_vq_sleeps(const struct vnet_vq *q,
				  struct vnet_wrap *wrap)
{
	if (vnet_vq_own(q) && unlikely(vnet_vring_wraps(&q->ring)))
		vnet_wrap_start(wrap);
}

/**
 * struct vnet_vq_indices - what the two sides of a split ring say
 * @avail: next entry that the driver offers
 * @used: next entry that the device gives back
 * @used_event: after which entry the driver wants an interrupt
 * @avail_event: after which entry the device wants a notification
 */
struct vnet_vq_indices {
	u16 avail;
	u16 used;
	u16 used_event;
	u16 avail_event;
};

/* Read the index words of a split ring, for a dump: they may be changing. */
static inline void vnet_vq_read_indices(struct virtqueue *vq,
					struct vnet_vq_indices *idx)
{
	const struct vring *ring = virtqueue_get_vring(vq);
	const __virtio16 *event = (__virtio16 *)&ring->used->ring[ring->num];

	idx->avail = virtio16_to_cpu(vq->vdev, READ_ONCE(ring->avail->idx));
	idx->used = virtio16_to_cpu(vq->vdev, READ_ONCE(ring->used->idx));
	idx->used_event = virtio16_to_cpu(vq->vdev,
					  READ_ONCE(vring_used_event(ring)));
	idx->avail_event = virtio16_to_cpu(vq->vdev, READ_ONCE(*event));
}

#endif /* VNET_VQ_H */
