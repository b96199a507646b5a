// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupt moderation by the driver, see vnet_moder.h.
 */
#include "vnet_moder.h"

static enum hrtimer_restart vnet_moder_poll(struct hrtimer *timer)
{
	napi_schedule(container_of(timer, struct vnet_moder, timer)->napi);

	return HRTIMER_NORESTART;
}

/* Context: process, before anybody uses the queue. */
void vnet_moder_init(struct vnet_moder *moder, struct napi_struct *napi)
{
	moder->napi = napi;
	vnet_compat_hrtimer_setup(&moder->timer, vnet_moder_poll,
				  HRTIMER_MODE_REL_SOFT);
}

/**
 * vnet_moder_set() - change when a queue is polled again
 * @moder: of the queue, which may be running
 * @usecs: wait, in microseconds; 0: by interrupts alone
 * @frames: buffers of which the last interrupts all the same; none does for 0
 *	and 1, which is what a queue has by itself
 *
 * Context: any.
 * Return: whether the queue waits now.
 */
bool vnet_moder_set(struct vnet_moder *moder, u32 usecs, u32 frames)
{
	WRITE_ONCE(moder->after,
		   frames > 1 ? min_t(u32, frames - 1, U16_MAX) : U16_MAX);
	WRITE_ONCE(moder->wait, (u64)usecs * NSEC_PER_USEC);

	return usecs;
}

/**
 * vnet_moder_hold() - a poll found something: let the timer poll again
 * @moder: of the queue
 * @q: its virtqueue, whose interrupt nobody has asked for
 *
 * Context: the owner of the queue, before it gives NAPI up.
 * Return: true when more than what may wait has come already: poll again.
 */
bool vnet_moder_hold(struct vnet_moder *moder, struct vnet_vq *q)
{
	if (vnet_vq_arm_after(q, READ_ONCE(moder->after)))
		return true;

	hrtimer_start(&moder->timer, ns_to_ktime(READ_ONCE(moder->wait)),
		      HRTIMER_MODE_REL_SOFT);

	return false;
}

/* Context: process; the queue is off. */
void vnet_moder_stop(struct vnet_moder *moder)
{
	hrtimer_cancel(&moder->timer);
}
