// SPDX-License-Identifier: GPL-2.0
/*
 * Which rings our own engine drives (vnet_vring.h), and what it needs beside the
 * ring: the virtio core keeps the virtqueue, finds it, resets and deletes it and
 * takes its interrupts, and believes that it is empty.
 */
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vnet_vq.h"

/* The first look at a ring whose index may rest on 0, and the last ones */
#define VNET_WRAP_NSECS		(50 * NSEC_PER_USEC)
#define VNET_WRAP_NSECS_MAX	(20 * NSEC_PER_MSEC)

static bool core_ring;
module_param(core_ring, bool, 0644);
MODULE_PARM_DESC(core_ring,
		 "leave all rings to the engine of the virtio core; for queues that start from now on");

/* Can the rings of this device be driven by anyone but the core? */
static bool vnet_vring_may(const struct virtio_device *vdev,
			   const struct vnet_caps *caps)
{
	return !READ_ONCE(core_ring) && !caps->packed && !caps->in_order &&
	       !caps->notification_data && !vnet_compat_own_map(vdev) &&
	       (caps->le || virtio_legacy_is_little_endian());
}

/**
 * vnet_vring_take() - drive a ring by our own engine from now on
 * @q: queue that is off; one that is ours already stays as it is
 * @caps: capabilities of the device
 *
 * A ring that the core has driven since its last reset, that of a device that
 * wants another engine, and one that there is no memory for stay with the core.
 *
 * Context: process, may sleep; instance lock held.
 */
void vnet_vring_take(struct vnet_vq *q, const struct vnet_caps *caps)
{
	struct virtqueue *vq = q->vq;
	u32 num = virtqueue_get_vring_size(vq);
	const struct vring *ring;
	struct vnet_vring *r = &q->ring;

	if (vnet_vq_own(q) || !vnet_vring_may(vq->vdev, caps) ||
	    !is_power_of_2(num))
		return;

	ring = virtqueue_get_vring(vq);
	if (READ_ONCE(ring->avail->idx))
		return;

	r->posted = kvcalloc(num, sizeof(*r->posted), GFP_KERNEL);
	if (!r->posted)
		return;

	r->avail = ring->avail;
	r->used = ring->used;
	r->mask = num - 1;
	r->event = caps->event_idx;
	r->weak = !caps->order_platform;
	vnet_vring_init(r);
	r->desc = ring->desc;
}

/**
 * vnet_vring_release() - leave a ring to the core again
 * @q: queue that is off, its virtqueue or the device in reset
 * @slots: slots of the queue
 * @size: bytes of one
 * @reclaim: takes back a slot that the device has, or NULL: all are free
 *
 * Context: process; instance lock held, or the reset of the virtqueue.
 */
void vnet_vring_release(struct vnet_vq *q, void *slots, size_t size,
			void (*reclaim)(struct virtqueue *vq, void *token))
{
	struct vnet_vring *r = &q->ring;
	u32 i;

	if (!vnet_vq_own(q))
		return;

	for (i = 0; reclaim && i <= r->mask; i++) {
		if (!r->posted[i])
			continue;
		r->posted[i] = false;
		reclaim(q->vq, slots + i * size);
	}
	kvfree(r->posted);
	memset(r, 0, sizeof(*r));
}

static enum hrtimer_restart vnet_wrap_look(struct hrtimer *timer)
{
	struct vnet_wrap *wrap = container_of(timer, struct vnet_wrap, timer);
	const struct vnet_vring *r = &wrap->q->ring;

	if (!vnet_vring_wraps(r))
		return HRTIMER_NORESTART;

	if (vnet_vring_used_idx(r) != READ_ONCE(r->taken)) {
		wrap->found += napi_schedule(wrap->napi);
		return HRTIMER_NORESTART;
	}

	wrap->delay = min_t(u64, wrap->delay * 2, VNET_WRAP_NSECS_MAX);
	hrtimer_forward_now(timer, ns_to_ktime(wrap->delay));

	return HRTIMER_RESTART;
}

/* Context: process, before anybody uses the queue. */
void vnet_wrap_init(struct vnet_wrap *wrap, struct vnet_vq *q,
		    struct napi_struct *napi)
{
	wrap->q = q;
	wrap->napi = napi;
	vnet_compat_hrtimer_setup(&wrap->timer, vnet_wrap_look,
				  HRTIMER_MODE_REL_SOFT);
}

/**
 * vnet_wrap_start() - the used index may come to rest on 0: look soon
 * @wrap: of a queue whose poll has just asked for an interrupt
 *
 * Context: the owner of the queue.
 */
void vnet_wrap_start(struct vnet_wrap *wrap)
{
	wrap->delay = VNET_WRAP_NSECS;
	hrtimer_start(&wrap->timer, ns_to_ktime(wrap->delay),
		      HRTIMER_MODE_REL_SOFT);
}

/* Context: process; the queue is off. */
void vnet_wrap_stop(struct vnet_wrap *wrap)
{
	hrtimer_cancel(&wrap->timer);
}
