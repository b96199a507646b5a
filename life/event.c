// SPDX-License-Identifier: GPL-2.0
/*
 * Events: whoever notices something sets a bit and queues a work, in any context,
 * and calls nobody. The work belongs to rooms above: the ladder, the detectors.
 * Tracepoints are events for those who watch.
 */
#include "heal.h"
#include "vnet_event.h"

#define CREATE_TRACE_POINTS
#include "vnet_trace.h"

/* Swap may lie behind a device that is to be healed. */
static struct workqueue_struct *vnet_recovery_wq;

/* Module load; 0 or -ENOMEM. */
int vnet_event_setup(void)
{
	vnet_recovery_wq = alloc_workqueue("vnet_recovery",
					   WQ_MEM_RECLAIM | WQ_UNBOUND, 0);

	return vnet_recovery_wq ? 0 : -ENOMEM;
}

void vnet_event_cleanup(void)
{
	destroy_workqueue(vnet_recovery_wq);
}

/* Have the detectors look after @delay, if they are not to look before. */
void vnet_recovery_look(struct vnet_dev *vd, struct delayed_work *work,
			unsigned long delay)
{
	queue_delayed_work(vnet_recovery_wq, work, delay);
}

/* Have the ladder run after @delay, whatever was said before. */
void vnet_recovery_queue(struct vnet_dev *vd, unsigned long delay)
{
	if (!vnet_leaving(vd))
		mod_delayed_work(vnet_recovery_wq, &vd->recovery->work, delay);
}

/**
 * vnet_recovery_request() - ask for a reset of the device
 * @vd: device
 * @reason: why
 *
 * Requests that come while one waits are answered by the same reset.
 *
 * Context: any.
 */
void vnet_recovery_request(struct vnet_dev *vd, enum vnet_reset_reason reason)
{
	if (!test_and_set_bit(reason, &vd->recovery->reasons))
		vnet_recovery_queue(vd, 0);
}

/**
 * vnet_recovery_request_vq() - ask for help for one virtqueue
 * @vd: device
 * @reason: why
 * @vq: number of a data virtqueue
 *
 * The ladder decides what is tried.
 *
 * Context: any.
 */
void vnet_recovery_request_vq(struct vnet_dev *vd,
			      enum vnet_reset_reason reason, u16 vq)
{
	if (!test_and_set_bit(reason, &vd->recovery->watch[vq].reasons))
		vnet_recovery_queue(vd, 0);
}

/**
 * vnet_recovery_forget() - what was asked for is not needed any more
 * @vd: device
 * @reason: why it was asked for
 *
 * Context: any.
 */
void vnet_recovery_forget(struct vnet_dev *vd, enum vnet_reset_reason reason)
{
	clear_bit(reason, &vd->recovery->reasons);
}

/**
 * vnet_recovery_forget_vq() - a virtqueue was reset: that is the answer
 * @vd: device
 * @vq: number of a data virtqueue that nobody uses at this moment
 *
 * Whoever has seen it broken may have said so again while the answer was on its
 * way; asked once more, the ladder would take the next rung.
 *
 * Context: any.
 */
void vnet_recovery_forget_vq(struct vnet_dev *vd, u16 vq)
{
	xchg(&vd->recovery->watch[vq].reasons, 0);
}

/**
 * vnet_watch_wake() - something goes on again
 * @vd: device
 *
 * The detectors, which doze, look at it within a second.
 *
 * Context: any.
 */
void vnet_watch_wake(struct vnet_dev *vd)
{
	vnet_recovery_look(vd, &vd->recovery->look, HZ);
}
