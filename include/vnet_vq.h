/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Thin inlines over the virtqueue interface: index maps, add, get, the one
 * kick site, arm, disarm and recheck. No other file calls virtqueue_*() on a
 * data queue, so that the engine below can be exchanged.
 */
#ifndef VNET_VQ_H
#define VNET_VQ_H

#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vnet_compat.h"

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
 * vnet_vq_post() - offer a device-writable buffer to the device
 * @vq: receive virtqueue
 * @sg: descriptors of the buffer, terminated
 * @nr: number of descriptors
 * @token: what vnet_vq_get() returns for this buffer
 * @premapped: @sg carries bus addresses; else the core maps the pages
 *
 * Context: the owner of @vq (NAPI, or process while NAPI is off).
 * Return: 0, -ENOSPC when the ring is full, -ENOMEM, -EIO when it is broken.
 */
static inline int vnet_vq_post(struct virtqueue *vq, struct scatterlist *sg,
			       unsigned int nr, void *token, bool premapped)
{
	if (likely(premapped))
		return vnet_compat_add_inbuf_premapped(vq, sg, nr, token);

	return virtqueue_add_inbuf(vq, sg, nr, token, GFP_ATOMIC);
}

/**
 * vnet_vq_send() - offer a device-readable buffer to the device
 * @vq: transmit virtqueue
 * @sg: descriptors of the buffer, terminated
 * @nr: number of descriptors
 * @token: what vnet_vq_get() returns for this buffer
 *
 * Context: xmit lock of the queue, softirqs off.
 * Return: 0, -ENOSPC when the ring is full, -ENOMEM, -EIO when it is broken.
 */
static inline int vnet_vq_send(struct virtqueue *vq, struct scatterlist *sg,
			       unsigned int nr, void *token)
{
	return virtqueue_add_outbuf(vq, sg, nr, token, GFP_ATOMIC);
}

/* As vnet_vq_send(); @sg carries bus addresses if the core can take them. */
static inline int vnet_vq_send_premapped(struct virtqueue *vq,
					 struct scatterlist *sg,
					 unsigned int nr, void *token)
{
	return vnet_compat_add_outbuf_premapped(vq, sg, nr, token);
}

/* Take one used buffer; @len is the used length, the device's claim. */
static inline void *vnet_vq_get(struct virtqueue *vq, unsigned int *len)
{
	return virtqueue_get_buf(vq, len);
}

/* Notify the device whatever it asked for: what it asked for may be stale. */
static inline bool vnet_vq_notify(struct virtqueue *vq)
{
	return virtqueue_notify(vq);
}

/* The kick site. Returns true when the device was really notified. */
static inline bool vnet_vq_kick(struct virtqueue *vq)
{
	return virtqueue_kick_prepare(vq) && vnet_vq_notify(vq);
}

/*
 * Are there used buffers that nobody has taken? Arms the notification, so the
 * caller must own the virtqueue. @seen is what has been seen of the ring.
 */
static inline bool vnet_vq_pending(struct virtqueue *vq, unsigned int *seen)
{
	*seen = virtqueue_enable_cb_prepare(vq);

	return virtqueue_poll(vq, *seen);
}

/* Has the device used a buffer since @seen? Only reads memory; any context. */
static inline bool vnet_vq_moved(struct virtqueue *vq, unsigned int seen)
{
	return virtqueue_poll(vq, seen);
}

/* Ask for no more used buffer notifications. */
static inline void vnet_vq_disarm(struct virtqueue *vq)
{
	virtqueue_disable_cb(vq);
}

/*
 * Ask for a notification of the next used buffer. Returns true when one came
 * in the meantime: the caller must poll again, the notification may be lost.
 */
static inline bool vnet_vq_arm(struct virtqueue *vq)
{
	return unlikely(!virtqueue_enable_cb(vq));
}

/* As vnet_vq_arm(), but only after most of the pending buffers are used. */
static inline bool vnet_vq_arm_delayed(struct virtqueue *vq)
{
	return unlikely(!virtqueue_enable_cb_delayed(vq));
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
