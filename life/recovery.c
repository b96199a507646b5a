// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery: what was asked for, counted; the ladder that answers it: harvest
 * and notify, reset of the one virtqueue, reset of the device with a replay of
 * everything, giving up. A rung is only climbed when the one below did not
 * help, and resets that follow one another come ever later.
 */
#include <linux/netdevice.h>
#include <linux/slab.h>

#include "heal.h"
#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_device.h"
#include "vnet_event.h"
#include "vnet_queue.h"
#include "vnet_recovery.h"
#include "vnet_trace.h"
#include "vnet_vq.h"

/* After so long a rung that was tried counts as one that has helped. */
#define VNET_RESET_FORGET	(30 * HZ)

/* Reasons that one virtqueue can have, and those that a kick may cure. */
#define VNET_KICK_REASONS	(BIT(VNET_RESET_TX_TIMEOUT) | \
				 BIT(VNET_RESET_TX_STALL) | \
				 BIT(VNET_RESET_LOST_IRQ) | \
				 BIT(VNET_RESET_RX_STARVED))

/* Reasons to start a device that does not run */
#define VNET_START_REASONS	(BIT(VNET_RESET_RESTART) | \
				 BIT(VNET_RESET_LATE) | \
				 BIT(VNET_RESET_BACK))

/* Reasons to try at once, whatever was before */
#define VNET_REVIVE_REASONS	(BIT(VNET_RESET_LATE) | \
				 BIT(VNET_RESET_BACK) | \
				 BIT(VNET_RESET_USER))

static const char * const vnet_reset_texts[VNET_RESET_NR] = {
	[VNET_RESET_TX_TIMEOUT]		= "transmit timeout",
	[VNET_RESET_NEEDS_RESET]	= "the device needs a reset",
	[VNET_RESET_BAD_CHAIN]		= "impossible receive chain",
	[VNET_RESET_BROKEN_RING]	= "broken ring",
	[VNET_RESET_CTRL_TIMEOUT]	= "control command not answered",
	[VNET_RESET_RESTART]		= "restart failed",
	[VNET_RESET_TX_STALL]		= "packets are not completed",
	[VNET_RESET_LOST_IRQ]		= "lost interrupt",
	[VNET_RESET_LOST_KICK]		= "lost notification",
	[VNET_RESET_RX_STARVED]		= "no memory for receive buffers",
	[VNET_RESET_CPU_STARVED]	= "NAPI gets no CPU",
	[VNET_RESET_LOST_STATE]		= "the device forgot that it was started",
	[VNET_RESET_GONE]		= "the device does not answer",
	[VNET_RESET_LATE]		= "a reset ended after all",
	[VNET_RESET_BACK]		= "the device answers again",
	[VNET_RESET_USER]		= "asked for by the user",
};

static const char * const vnet_heal_texts[VNET_HEAL_NR] = {
	[VNET_HEAL_KICK]	= "notifying",
	[VNET_HEAL_QUEUE]	= "resetting the queue",
	[VNET_HEAL_DEVICE]	= "resetting the device",
	[VNET_HEAL_GIVE_UP]	= "giving up",
};

/**
 * vnet_recovery_thaw() - the device may be touched (again)
 * @vd: device, frozen since its allocation or by vnet_virtio_freeze()
 *
 * What was asked for in the meantime is done now.
 *
 * Context: process; instance lock held, or the net device not registered.
 */
void vnet_recovery_thaw(struct vnet_dev *vd)
{
	if (vd->life.want.power == VNET_POWER_FROZEN)
		vd->life.want.power = VNET_POWER_ON;
	vnet_recovery_queue(vd, 0);
}

/**
 * vnet_recovery_create() - set up self-healing
 * @vd: device, caps resolved
 * @ladder: work that heals what waits: vnet_recovery_next(), vnet_recovery_heal()
 *
 * Context: process, at probe, before anything can ask for recovery.
 * Return: 0 or -ENOMEM.
 */
int vnet_recovery_create(struct vnet_dev *vd, work_func_t ladder)
{
	struct vnet_recovery *rec;

	rec = kzalloc_obj(*rec);
	if (!rec)
		return -ENOMEM;

	rec->nr_watch = vd->caps.max_pairs * 2;
	rec->watch = kvcalloc(rec->nr_watch, sizeof(*rec->watch), GFP_KERNEL);
	if (!rec->watch) {
		kfree(rec);
		return -ENOMEM;
	}

	rec->vd = vd;
	INIT_DELAYED_WORK(&rec->work, ladder);
	vd->recovery = rec;

	return 0;
}

/* No ladder and no detectors from now on. */
void vnet_recovery_stop(struct vnet_dev *vd)
{
	disable_delayed_work_sync(&vd->recovery->look);
	disable_delayed_work_sync(&vd->recovery->doze);
	disable_delayed_work_sync(&vd->recovery->work);
	disable_delayed_work_sync(&vd->thaw_work);
}

void vnet_recovery_destroy(struct vnet_dev *vd)
{
	kvfree(vd->recovery->watch);
	kfree(vd->recovery);
	vd->recovery = NULL;
}

/* The device of the ladder that is to run */
struct vnet_dev *vnet_recovery_dev(struct work_struct *work)
{
	return container_of(to_delayed_work(work), struct vnet_recovery,
			    work)->vd;
}

/* The rung on which help for a virtqueue starts. */
static enum vnet_heal_step vnet_heal_step(struct vnet_dev *vd,
					  struct vnet_watch *w)
{
	enum vnet_heal_step step = VNET_HEAL_QUEUE;

	if (time_after(jiffies, w->step_time + VNET_RESET_FORGET))
		w->step = VNET_HEAL_KICK;
	if (!(READ_ONCE(w->reasons) & ~VNET_KICK_REASONS))
		step = VNET_HEAL_KICK;
	step = max_t(enum vnet_heal_step, step, w->step);
	if (step == VNET_HEAL_QUEUE && !vnet_can_reset_rings(vd))
		step = VNET_HEAL_DEVICE;

	return min_t(enum vnet_heal_step, step, VNET_HEAL_DEVICE);
}

/* A virtqueue of its own trouble, or the device as a whole. */
static void vnet_heal_fill(struct vnet_heal *heal, unsigned long reasons,
			   enum vnet_heal_step step, u16 vq)
{
	static const char * const dirs[] = { "rx", "tx" };
	const char *text;

	*heal = (struct vnet_heal) { .reasons = reasons, .step = step, .vq = vq };
	text = vnet_reset_texts[reasons ? __ffs(reasons) : 0];
	if (vq != VNET_HEAL_NO_VQ) {
		heal->reporter = vq & 1 ? VNET_REPORTER_TX : VNET_REPORTER_RX;
		snprintf(heal->text, sizeof(heal->text), "%s queue %u: %s, %s",
			 dirs[vq & 1], vq / 2, text, vnet_heal_texts[step]);
		return;
	}

	heal->reporter = VNET_REPORTER_DEVICE;
	if (reasons == BIT(VNET_RESET_CTRL_TIMEOUT))
		heal->reporter = VNET_REPORTER_CTRL;
	else if (!(reasons & ~(BIT(VNET_RESET_TX_TIMEOUT) |
			       BIT(VNET_RESET_TX_STALL))))
		heal->reporter = VNET_REPORTER_TX;
	else if (reasons == BIT(VNET_RESET_BAD_CHAIN))
		heal->reporter = VNET_REPORTER_RX;
	snprintf(heal->text, sizeof(heal->text), "%s, %s", text,
		 vnet_heal_texts[step]);
}

/* What waits: the first virtqueue that a kick may help, else the resets. */
static bool vnet_heal_kick(struct vnet_dev *vd, struct vnet_heal *heal)
{
	struct vnet_recovery *rec = vd->recovery;
	u16 i;

	for (i = 0; i < rec->nr_watch; i++) {
		struct vnet_watch *w = &rec->watch[i];

		if (READ_ONCE(w->reasons) &&
		    vnet_heal_step(vd, w) == VNET_HEAL_KICK) {
			vnet_heal_fill(heal, xchg(&w->reasons, 0),
				       VNET_HEAL_KICK, i);
			return true;
		}
	}

	return false;
}

/* All that a reset of the device answers. */
static unsigned long vnet_heal_take(struct vnet_recovery *rec)
{
	unsigned long reasons = xchg(&rec->reasons, 0);
	u16 i;

	for (i = 0; i < rec->nr_watch; i++)
		reasons |= xchg(&rec->watch[i].reasons, 0);

	return reasons;
}

/* More than one virtqueue in trouble is trouble of the device. */
static bool vnet_heal_reset(struct vnet_dev *vd, struct vnet_heal *heal)
{
	struct vnet_recovery *rec = vd->recovery;
	unsigned long reasons = READ_ONCE(rec->reasons);
	enum vnet_heal_step step = VNET_HEAL_DEVICE;
	u16 vq = VNET_HEAL_NO_VQ, nr = 0, i;
	unsigned long wait;

	for (i = 0; i < rec->nr_watch; i++) {
		if (READ_ONCE(rec->watch[i].reasons)) {
			vq = i;
			nr++;
		}
	}
	if (!reasons && !nr)
		return false;

	wait = reasons & VNET_REVIVE_REASONS ? 0 : vnet_life_wait_left(&vd->life);
	if (wait) {
		vnet_recovery_queue(vd, wait);
		return false;
	}

	if (!reasons && nr == 1)
		step = vnet_heal_step(vd, &rec->watch[vq]);
	/* What comes now waits for its turn; it may be more than one queue's. */
	if (step == VNET_HEAL_QUEUE)
		reasons = xchg(&rec->watch[vq].reasons, 0);
	else
		reasons = vnet_heal_take(rec);
	vnet_heal_fill(heal, reasons, step, nr == 1 ? vq : VNET_HEAL_NO_VQ);

	return true;
}

/**
 * vnet_recovery_next() - what is to be healed next
 * @vd: device
 * @heal: filled
 *
 * Context: process, sleeps; takes the instance lock.
 * Return: false when there is nothing, or nothing yet: then the work comes
 * again when the time has come.
 */
bool vnet_recovery_next(struct vnet_dev *vd, struct vnet_heal *heal)
{
	struct vnet_recovery *rec = vd->recovery;
	bool found = false;
	unsigned int i;

	vnet_compat_lock(vd->dev);
	if (vd->life.want.power != VNET_POWER_ON)
		goto out_unlock;

	/* It has come back in the meantime. */
	if (vnet_life_arrived(&vd->life)) {
		clear_bit(VNET_RESET_RESTART, &rec->reasons);
		clear_bit(VNET_RESET_LATE, &rec->reasons);
		clear_bit(VNET_RESET_BACK, &rec->reasons);
	}

	found = vnet_heal_kick(vd, heal) || vnet_heal_reset(vd, heal);
	for_each_set_bit(i, &heal->reasons, found ? VNET_RESET_NR : 0)
		vd->heal.count[i]++;

out_unlock:
	vnet_compat_unlock(vd->dev);
	return found;
}

/**
 * vnet_recovery_refused() - the user does not want this to be healed
 * @vd: device
 * @heal: what was reported
 *
 * What goes on being wrong is reported again, but less and less often.
 *
 * Context: process, sleeps; takes the instance lock.
 */
void vnet_recovery_refused(struct vnet_dev *vd, const struct vnet_heal *heal)
{
	vnet_compat_lock(vd->dev);
	vnet_life_pace(vd);
	if (heal->vq != VNET_HEAL_NO_VQ) {
		vd->recovery->watch[heal->vq].step = VNET_HEAL_QUEUE;
		vd->recovery->watch[heal->vq].step_time = jiffies;
	}
	vnet_compat_unlock(vd->dev);
}

/* The first rung: harvest, and notify even if the device asked not to. */
static void vnet_heal_notify(struct vnet_dev *vd, u16 vq)
{
	struct napi_struct *napi;

	if (vq & 1) {
		struct vnet_txq *txq = &vd->txqs[vq / 2];

		__netif_tx_lock_bh(txq->nq);
		if (txq->up)
			vnet_vq_notify(&txq->q);
		__netif_tx_unlock_bh(txq->nq);
		napi = &txq->napi;
	} else {
		struct vnet_rxq *rxq = &vd->rxqs[vq / 2];

		if (rxq->up)
			vnet_vq_notify(&rxq->q);
		napi = &rxq->napi;
	}

	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

/*
 * What has to do with a device that does not run is answered by starting it;
 * anything else by a reset.
 */
static int vnet_heal_device(struct vnet_dev *vd, struct vnet_heal *heal)
{
	int err;

	if (heal->reasons & BIT(VNET_RESET_USER))
		vnet_life_believe(vd);
	if (heal->reasons & BIT(VNET_RESET_BACK))
		vnet_life_hurry(vd);

	if (heal->reasons & ~VNET_START_REASONS)
		err = vnet_life_renew(vd);
	else
		err = vnet_life_retry(vd);
	if (err)
		vnet_life_later(vd);

	return err;
}

static int vnet_heal_run(struct vnet_dev *vd, struct vnet_heal *heal)
{
	struct vnet_watch *w = NULL;
	int err = 0;

	if (heal->vq != VNET_HEAL_NO_VQ) {
		w = &vd->recovery->watch[heal->vq];
		w->step = heal->step + 1;
		w->step_time = jiffies;
		w->kicked = heal->step == VNET_HEAL_KICK &&
			    !(heal->reasons & BIT(VNET_RESET_LOST_IRQ));
	}
	vd->heal.steps[heal->step]++;

	if (heal->step == VNET_HEAL_KICK) {
		vnet_heal_notify(vd, heal->vq);
		return 0;
	}

	vnet_life_pace(vd);
	if (heal->step == VNET_HEAL_QUEUE) {
		err = vnet_vq_restart(vd, heal->vq);
		if (!err)
			return 0;
		vd->heal.steps[VNET_HEAL_DEVICE]++;
	}

	return vnet_heal_device(vd, heal);
}

/**
 * vnet_recovery_heal() - do what @heal says
 * @vd: device
 * @heal: from vnet_recovery_next(), or what the user asked for
 *
 * A device that does not come back is tried again by itself, with back-off,
 * before it is given up.
 *
 * Context: process, sleeps; takes the instance lock.
 * Return: 0, -EBUSY while the device is suspended or removed, or why the
 * device did not come back.
 */
int vnet_recovery_heal(struct vnet_dev *vd, struct vnet_heal *heal)
{
	int err = -EBUSY;

	heal->tried = true;
	vnet_compat_lock(vd->dev);
	if (vd->life.want.power == VNET_POWER_ON) {
		if (heal->reasons == BIT(VNET_RESET_USER))
			vd->heal.count[VNET_RESET_USER]++;
		err = vnet_heal_run(vd, heal);
		trace_vnet_reset(vd->dev, heal->reasons, heal->step,
				 heal->vq == VNET_HEAL_NO_VQ ? -1 : heal->vq,
				 err);
	}
	vnet_compat_unlock(vd->dev);

	return err;
}

/**
 * vnet_recovery_open() - the interface goes up: see to it that the device runs
 * @vd: device that is to be up
 *
 * One that is away, given up or between two tries, is tried now: who wants to
 * use it may know that it is back. Not while a reset hangs: its end is noticed.
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0, -EIO for a device that does not come back, or -errno.
 */
int vnet_recovery_open(struct vnet_dev *vd)
{
	struct vnet_recovery *rec = vd->recovery;
	int err;

	if (vd->life.want.power != VNET_POWER_ON)
		return -EIO;
	if (vnet_live(vd))
		return vnet_life_settle(vd);

	vd->heal.count[VNET_RESET_USER]++;
	vd->heal.steps[VNET_HEAL_DEVICE]++;
	err = vnet_life_retry(vd);
	trace_vnet_reset(vd->dev, BIT(VNET_RESET_USER), VNET_HEAL_DEVICE, -1,
			 err);
	if (err)
		return err == -ENOMEM ? err : -EIO;

	vnet_heal_take(rec);
	rec->opened = 1;
	vnet_recovery_queue(vd, 0);

	return 0;
}

/* Whether it has come back in that way since this was last asked; any context */
bool vnet_recovery_opened(struct vnet_dev *vd)
{
	return xchg(&vd->recovery->opened, 0);
}
