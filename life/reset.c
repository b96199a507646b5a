// SPDX-License-Identifier: GPL-2.0
/*
 * Resets of the device and of a virtqueue. The virtio core waits for the end
 * of both without bound, so each is done in a work that is waited for with one.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

#include "vnet.h"
#include "vnet_device.h"
#include "vnet_event.h"
#include "vnet_rx.h"
#include "vnet_rxbuf.h"
#include "vnet_tx.h"
#include "vnet_vq.h"

/* How long the device may take to reset itself or a virtqueue. */
#define VNET_CORE_TIMEOUT	(2 * HZ)

/*
 * Of its own, and beside that of the ladder, which waits for what is done here:
 * swap may lie behind this device.
 */
static struct workqueue_struct *vnet_reset_wq;

/*
 * States of a call into the core: nothing asked, waited for, given up; and for
 * the device: given up and over since, so the device is in reset.
 */
#define VNET_CALL_IDLE		0
#define VNET_CALL_WAITED	1
#define VNET_CALL_LATE		2
#define VNET_CALL_ENDED		3

/**
 * struct vnet_core_call - a call into the virtio core that may never return
 * @work: does it
 * @done: completed when it has returned
 * @state: one of VNET_CALL_*
 * @vd: device
 * @vq: virtqueue to reset, or NULL to reset the device
 * @num: new size of the virtqueue, or 0
 * @err: what it returned
 *
 * The core waits without bound for a device that resets itself or a virtqueue.
 * We wait for the core with a bound; memory stays where it is until it is back.
 */
struct vnet_core_call {
	struct work_struct work;
	struct completion done;
	atomic_t state;
	struct vnet_dev *vd;
	struct virtqueue *vq;
	u32 num;
	int err;
};

/**
 * struct vnet_resets - resets of one device
 * @device: of the device
 * @ring: of a virtqueue
 * @no_ring: the device has failed to reset a virtqueue
 */
struct vnet_resets {
	struct vnet_core_call device;
	struct vnet_core_call ring;
	bool no_ring;
};

/*
 * A virtqueue is in reset, and has nothing left that the core knows of. In a ring
 * of our own engine lies what the device has put there since the last look: it
 * counts as discarded. A virtqueue that comes out of a reset that was given up:
 * the device was reset in the meantime, and the core leaves one alone that it
 * does not believe in reset.
 */
static void vnet_ring_recycled(struct virtqueue *vq)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_rxq *rxq = &vd->rxqs[vnet_vq_pair(vq)];
	struct vnet_txq *txq = &vd->txqs[vnet_vq_pair(vq)];

	if (vq->index & 1) {
		vnet_vring_release(&txq->q, txq->mem.bufs,
				   sizeof(*txq->mem.bufs), vnet_txq_reclaim);
	} else {
		if (vnet_vq_own(&rxq->q))
			vnet_rxq_purge(rxq);
		vnet_vring_release(&rxq->q, rxq->mem.bufs,
				   sizeof(*rxq->mem.bufs), vnet_rxbuf_reclaim);
	}
	if (atomic_read(&vd->resets->ring.state) == VNET_CALL_LATE)
		vq->reset = false;
}

/* Work: the part of the reset that the device may keep us in. */
static void vnet_core_call_work(struct work_struct *work)
{
	struct vnet_core_call *call = container_of(work, struct vnet_core_call,
						   work);
	void (*reclaim)(struct virtqueue *vq, void *token);
	unsigned int noio = memalloc_noio_save();
	struct virtqueue *vq = call->vq;
	struct vnet_dev *vd = call->vd;

	reclaim = vq && vq->index & 1 ? vnet_txq_reclaim : vnet_rxbuf_reclaim;
	if (!vq) {
		virtio_reset_device(vd->vdev);
	} else if (call->num) {
		call->err = virtqueue_resize(vq, call->num, reclaim,
					     vnet_ring_recycled);
	} else {
		call->err = virtqueue_reset(vq, reclaim, vnet_ring_recycled);
	}
	memalloc_noio_restore(noio);

	if (atomic_cmpxchg(&call->state, VNET_CALL_WAITED, VNET_CALL_IDLE) ==
	    VNET_CALL_LATE) {
		atomic_set(&call->state, vq ? VNET_CALL_IDLE : VNET_CALL_ENDED);
		/* News only to a device that waits for it */
		if (!vnet_live(vd))
			vnet_recovery_request(vd, VNET_RESET_LATE);
	}
	complete(&call->done);
}

/* Reset the device (@vq NULL) or a virtqueue, which gets @num entries if not 0. */
static int vnet_core_call(struct vnet_core_call *call, struct virtqueue *vq,
			  u32 num)
{
	if (atomic_read(&call->state) == VNET_CALL_LATE)
		return -ETIMEDOUT;

	flush_work(&call->work);
	call->vq = vq;
	call->num = num;
	call->err = 0;
	reinit_completion(&call->done);
	atomic_set(&call->state, VNET_CALL_WAITED);
	queue_work(vnet_reset_wq, &call->work);
	if (!wait_for_completion_timeout(&call->done, VNET_CORE_TIMEOUT) &&
	    atomic_cmpxchg(&call->state, VNET_CALL_WAITED, VNET_CALL_LATE) ==
	    VNET_CALL_WAITED)
		return -ETIMEDOUT;

	return call->err;
}

static void vnet_core_call_init(struct vnet_dev *vd,
				struct vnet_core_call *call)
{
	INIT_WORK(&call->work, vnet_core_call_work);
	init_completion(&call->done);
	call->vd = vd;
}

/* Module load; 0 or -ENOMEM. */
int vnet_reset_setup(void)
{
	vnet_reset_wq = alloc_workqueue("vnet_reset",
					WQ_MEM_RECLAIM | WQ_UNBOUND, 0);

	return vnet_reset_wq ? 0 : -ENOMEM;
}

void vnet_reset_cleanup(void)
{
	destroy_workqueue(vnet_reset_wq);
}

/**
 * vnet_reset_create() - get ready to reset
 * @vd: device
 *
 * Context: process, at probe.
 * Return: 0 or -ENOMEM.
 */
int vnet_reset_create(struct vnet_dev *vd)
{
	vd->resets = kzalloc_obj(*vd->resets);
	if (!vd->resets)
		return -ENOMEM;

	vnet_core_call_init(vd, &vd->resets->device);
	vnet_core_call_init(vd, &vd->resets->ring);

	return 0;
}

/* No call is out: vnet_life_release() has waited for it. */
void vnet_reset_destroy(struct vnet_dev *vd)
{
	kfree(vd->resets);
	vd->resets = NULL;
}

/**
 * vnet_reset_flush() - wait for the end of all resets, however long it takes
 * @vd: device
 *
 * Context: process, sleeps.
 */
void vnet_reset_flush(struct vnet_dev *vd)
{
	flush_work(&vd->resets->device.work);
	flush_work(&vd->resets->ring.work);
}

/**
 * vnet_device_gone() - whether the device was pulled out
 * @vd: device
 *
 * A device that was pulled out reads all ones, and would do so for ever.
 *
 * Context: any that may access the device's registers.
 * Return: true if it is gone.
 */
bool vnet_device_gone(struct vnet_dev *vd)
{
	return !vnet_status_waits(vd) &&
	       vnet_status_gone(vd->vdev->config->get_status(vd->vdev));
}

/**
 * vnet_vq_lent() - whether a virtqueue is in a reset that was given up
 * @vd: device
 * @vq: virtqueue
 *
 * The core may look at such a virtqueue at any moment: nobody else may.
 *
 * Context: process; instance lock held.
 * Return: true until the reset has ended.
 */
bool vnet_vq_lent(const struct vnet_dev *vd, const struct virtqueue *vq)
{
	return atomic_read(&vd->resets->ring.state) == VNET_CALL_LATE &&
	       vd->resets->ring.vq == vq;
}

/* A call that was given up still has the virtqueues. */
static bool vnet_calls_out(const struct vnet_dev *vd)
{
	return atomic_read(&vd->resets->ring.state) == VNET_CALL_LATE ||
	       atomic_read(&vd->resets->device.state) == VNET_CALL_LATE;
}

/**
 * vnet_can_reset_rings() - whether single virtqueues can be reset
 * @vd: device
 *
 * A device that has once failed to do so is believed again after a resume, a
 * function level reset, or when the user asks for its recovery.
 *
 * Context: process; instance lock held.
 * Return: true if vnet_ring_reset() is worth a try.
 */
bool vnet_can_reset_rings(const struct vnet_dev *vd)
{
	return vd->caps.ring_reset && !vd->resets->no_ring;
}

/* What the device has failed to do before it may do now; instance lock held. */
void vnet_reset_believe(struct vnet_dev *vd)
{
	vd->resets->no_ring = false;
}

/**
 * vnet_ring_reset() - reset a virtqueue, within a bounded time
 * @vd: device, vnet_can_reset_rings()
 * @vq: virtqueue that nobody uses meanwhile; its buffers go back to their queue
 * @num: entries that it is to have from then on, 0 for as many as it has
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0, -ENODEV for a device that is gone, -ETIMEDOUT, or the core's errno.
 * After any but -ENOMEM the virtqueue is of no use until the device was reset.
 */
int vnet_ring_reset(struct vnet_dev *vd, struct virtqueue *vq, u32 num)
{
	int err;

	if (vnet_device_gone(vd))
		return -ENODEV;

	err = vnet_core_call(&vd->resets->ring, vq, num);
	if (err && err != -ENOMEM && !vd->resets->no_ring) {
		vd->resets->no_ring = true;
		netdev_warn(vd->dev, "the device does not reset queues (%d), resetting it as a whole from now on\n",
			    err);
	}

	return err;
}

/**
 * vnet_device_reset() - reset the device, within a bounded time
 * @vd: device
 *
 * A reset of the device releases one who waits for the reset of a virtqueue.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 * Return: 0, also for a device that is gone unless a call into the core is still
 * out; -ETIMEDOUT.
 */
int vnet_device_reset(struct vnet_dev *vd)
{
	struct vnet_core_call *ring = &vd->resets->ring;
	int err = 0;

	if (vnet_device_gone(vd)) {
		if (vnet_calls_out(vd))
			return -ETIMEDOUT;
		virtio_break_device(vd->vdev);
		virtio_synchronize_cbs(vd->vdev);
		return 0;
	}

	if (atomic_cmpxchg(&vd->resets->device.state, VNET_CALL_ENDED,
			   VNET_CALL_IDLE) != VNET_CALL_ENDED)
		err = vnet_core_call(&vd->resets->device, NULL, 0);
	if (err || atomic_read(&ring->state) != VNET_CALL_LATE)
		return err;

	if (!wait_for_completion_timeout(&ring->done, VNET_CORE_TIMEOUT))
		return -ETIMEDOUT;

	return vnet_core_call(&vd->resets->device, NULL, 0);
}

/**
 * vnet_device_begin() - see to it that the device is in reset
 * @vd: device, without virtqueues, to be started next
 *
 * One that was gone when it was to be reset has not been. And a reset that was
 * given up and has ended counts for this start, not for the end of it.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 * Return: 0, -ENODEV for a device that is gone, -ETIMEDOUT.
 */
int vnet_device_begin(struct vnet_dev *vd)
{
	u8 status = vd->vdev->config->get_status(vd->vdev);

	if (vnet_status_gone(status))
		return -ENODEV;
	atomic_cmpxchg(&vd->resets->device.state, VNET_CALL_ENDED, VNET_CALL_IDLE);
	if (!status && atomic_read(&vd->resets->device.state) == VNET_CALL_IDLE)
		return 0;

	return vnet_device_reset(vd);
}
