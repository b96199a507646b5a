// SPDX-License-Identifier: GPL-2.0
/*
 * The detectors: once a second, while packets come and go, every queue is
 * looked at for progress that was due. Nothing here costs anything per packet:
 * progress is read off the counters that are kept anyway.
 *
 * Where nothing goes on the detectors doze: no CPU is woken up for them, and
 * they only read memory, until the stack sends a packet or they find that
 * something has moved.
 */
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/netdevice.h>

#include "heal.h"
#include "vnet.h"
#include "vnet_device.h"
#include "vnet_event.h"
#include "vnet_policy.h"
#include "vnet_rxbuf.h"
#include "vnet_tx.h"
#include "vnet_vq.h"
#include "vnet_watch.h"

#define VNET_LOOK_PERIOD	HZ
#define VNET_LOOK_AGAIN		(HZ / 10)

/* Looks without progress until a notification is tried; until a reset, below */
#define VNET_STILL_KICK		1

/* Looks in which nothing goes on until the detectors doze */
#define VNET_LOOK_QUIET		3

/* Every so many looks of theirs one is at the device, too */
#define VNET_DOZE_STATUS	16

/* Looks until want of memory or of CPU time is worth a word */
#define VNET_STILL_STARVED	3

/*
 * An interrupt may be under way while we look, so a receive queue has lost one
 * only if it seems so twice in a short time; more of them need a reset.
 */
#define VNET_LOST_ONE		8
#define VNET_LOST_TWO		12
#define VNET_LOST_MANY		48

static unsigned int stall_seconds = 4;
module_param(stall_seconds, uint, 0644);
MODULE_PARM_DESC(stall_seconds,
		 "seconds without any progress until a transmit queue is reset; 0: never, as for hosts that stop for long");

/* Is it time to reset a queue on which nothing moves? */
static bool vnet_look_patience_ends(const struct vnet_watch *w)
{
	unsigned int limit = READ_ONCE(stall_seconds);

	return limit && w->still >= min_t(unsigned int, limit, U8_MAX);
}

/* NAPI was to run a look ago and has still not done it: the guest is to blame. */
static void vnet_look_starved(struct vnet_dev *vd, struct vnet_watch *w,
			      const char *what, u16 index)
{
	if (++w->starved != VNET_STILL_STARVED)
		return;

	vd->heal.count[VNET_RESET_CPU_STARVED]++;
	if (net_ratelimit())
		vnet_warn(vd, timer, "%s queue %u: NAPI is scheduled but gets no CPU; the device is not to blame\n",
			  what, index);
}

/* There was progress: the ladder starts anew. */
static void vnet_look_alive(struct vnet_dev *vd, struct vnet_watch *w)
{
	if (w->kicked)
		vd->heal.count[VNET_RESET_LOST_KICK]++;
	w->kicked = false;
	w->step = VNET_HEAL_KICK;
	w->still = 0;
	w->starved = 0;
}

static void vnet_look_tx_stalled(struct vnet_dev *vd, struct vnet_txq *txq,
				 struct vnet_watch *w, bool used)
{
	u16 vq = vnet_vq_tx_index(txq->index);

	/* Nobody has sent since, and the device was told not to interrupt. */
	if (used && txq->orphan) {
		local_bh_disable();
		napi_schedule(&txq->napi);
		local_bh_enable();
		return;
	}

	if (used && test_bit(NAPI_STATE_SCHED, &txq->napi.state)) {
		vnet_look_starved(vd, w, "tx", txq->index);
		return;
	}

	if (w->still < U8_MAX)
		w->still++;
	if (used)
		vnet_recovery_request_vq(vd, VNET_RESET_LOST_IRQ, vq);
	else if ((w->still >= VNET_STILL_KICK && w->step == VNET_HEAL_KICK) ||
		 vnet_look_patience_ends(w))
		vnet_recovery_request_vq(vd, VNET_RESET_TX_STALL, vq);
}

/* Returns whether something goes on. */
static bool vnet_look_tx(struct vnet_dev *vd, struct vnet_txq *txq)
{
	struct vnet_watch *w = &vd->recovery->watch[vnet_vq_tx_index(txq->index)];
	bool used = false, stalled, busy;
	unsigned int seen;
	u32 held;
	u64 done;

	if (!txq->up)
		return false;

	__netif_tx_lock_bh(txq->nq);
	held = vnet_txq_held(txq);
	done = u64_stats_read(&txq->stats.v[VNET_TXS_PACKETS]);
	stalled = held && w->held && done == w->done;
	if (stalled)
		used = vnet_vq_pending(&txq->q, &seen);
	__netif_tx_unlock_bh(txq->nq);

	if (virtqueue_is_broken(txq->q.vq))
		vnet_recovery_request_vq(vd, VNET_RESET_BROKEN_RING,
					 vnet_vq_tx_index(txq->index));
	else if (stalled)
		vnet_look_tx_stalled(vd, txq, w, used);
	else if (done != w->done)
		vnet_look_alive(vd, w);
	else
		w->still = 0;
	busy = held || done != w->done;
	w->held = held;
	w->done = done;

	return busy;
}

static u64 vnet_look_rx_done(const struct vnet_rxq *rxq)
{
	u64 done = 0;
	unsigned int i;

	for (i = VNET_RX_FAULT_FIRST; i < VNET_RX_NR_FAULTS; i++)
		done += u64_stats_read(&rxq->stats.v[VNET_RXS_FAULT + i]);

	return done + u64_stats_read(&rxq->stats.v[VNET_RXS_PACKETS]) +
	       u64_stats_read(&rxq->stats.v[VNET_RXS_XDP_PACKETS]);
}

/* Used buffers in the ring of a queue whose NAPI sleeps: was there no interrupt? */
static void vnet_look_rx_lost(struct vnet_dev *vd, struct vnet_rxq *rxq,
			      struct vnet_watch *w)
{
	if (vnet_coalesce_holds_back(vd, vnet_vq_rx_index(rxq->index)))
		return;

	w->lost += VNET_LOST_ONE;
	if (w->lost < VNET_LOST_TWO)
		return;

	if (w->lost >= VNET_LOST_MANY) {
		w->lost = 0;
		w->step = VNET_HEAL_DEVICE;
		w->step_time = jiffies;
	}
	vnet_recovery_request_vq(vd, VNET_RESET_LOST_IRQ,
				 vnet_vq_rx_index(rxq->index));
}

/*
 * Nothing came for a second. Its NAPI is ours while we hold it scheduled, and
 * runs then, so a packet without an interrupt waits for a second at most. The
 * notification heals a device that was restored from a snapshot and believes
 * that the ring has no buffers; it is repeated, ever less often.
 */
static void vnet_look_rx_idle(struct vnet_dev *vd, struct vnet_rxq *rxq,
			      struct vnet_watch *w)
{
	bool used;

	if (is_power_of_2(++w->idle))
		vnet_vq_notify(&rxq->q);

	local_bh_disable();
	if (napi_schedule_prep(&rxq->napi)) {
		used = vnet_vq_pending(&rxq->q, &w->seen);
		vnet_vq_disarm(&rxq->q);
		__napi_schedule(&rxq->napi);
		w->starved = 0;
		if (used)
			vnet_look_rx_lost(vd, rxq, w);
	} else if (!test_bit(NAPI_STATE_IN_BUSY_POLL, &rxq->napi.state)) {
		vnet_look_starved(vd, w, "rx", rxq->index);
	}
	local_bh_enable();
}

/* Returns whether something goes on. */
static bool vnet_look_rx(struct vnet_dev *vd, struct vnet_rxq *rxq)
{
	u16 vq = vnet_vq_rx_index(rxq->index);
	struct vnet_watch *w = &vd->recovery->watch[vq];
	bool busy;
	u64 done;

	if (!rxq->up)
		return false;

	done = vnet_look_rx_done(rxq);
	if (w->lost)
		w->lost--;
	if (virtqueue_is_broken(rxq->q.vq)) {
		vnet_recovery_request_vq(vd, VNET_RESET_BROKEN_RING, vq);
	} else if (done != w->done) {
		w->idle = 0;
		w->starved = 0;
		w->step = VNET_HEAL_KICK;
	} else {
		vnet_look_rx_idle(vd, rxq, w);
	}
	busy = done != w->done || w->lost || w->starved;
	w->done = done;

	if (!vnet_rxq_starved(rxq)) {
		w->still = 0;
		return busy;
	}

	if (w->still < U8_MAX && ++w->still == VNET_STILL_STARVED)
		vnet_recovery_request_vq(vd, VNET_RESET_RX_STARVED, vq);

	return true;
}

/* The device status register; an interrupt that told of it may be lost. */
static bool vnet_look_status(struct vnet_dev *vd)
{
	u8 status;

	if (vnet_status_waits(vd))
		return true;

	status = vd->vdev->config->get_status(vd->vdev);
	if (vnet_status_gone(status))
		vnet_recovery_request(vd, VNET_RESET_GONE);
	else if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		vnet_recovery_request(vd, VNET_RESET_NEEDS_RESET);
	else if (!(status & VIRTIO_CONFIG_S_DRIVER_OK))
		vnet_recovery_request(vd, VNET_RESET_LOST_STATE);
	else
		return true;

	return false;
}

/*
 * A reset that waits for its time is no news to the stack's watchdog, which
 * would tell of the stopped queues every ten seconds. Nor does the waiting cure
 * a queue, so it stays on its rung of the ladder.
 */
static void vnet_look_patience(struct vnet_dev *vd)
{
	bool all = READ_ONCE(vd->recovery->reasons);
	u16 i;

	for (i = 0; i < vd->recovery->nr_watch; i++) {
		struct vnet_watch *w = &vd->recovery->watch[i];
		bool waits = READ_ONCE(w->reasons);

		if (waits)
			w->step_time = jiffies;
		if ((waits || all) && i & 1)
			txq_trans_cond_update(vd->txqs[i / 2].nq);
	}
}

/* Returns whether something goes on. */
static bool vnet_look(struct vnet_dev *vd)
{
	bool busy = false;
	u16 i;

	if (!vnet_live(vd) && vnet_life_missed(&vd->life) &&
	    !vnet_device_gone(vd)) {
		vnet_life_found(&vd->life);
		vnet_recovery_request(vd, VNET_RESET_BACK);
	}
	if (!vnet_live(vd))
		return true;

	vnet_look_patience(vd);
	if (!vnet_look_status(vd))
		return true;

	if (vd->cvq && virtqueue_is_broken(vd->cvq))
		vnet_recovery_request(vd, VNET_RESET_BROKEN_RING);
	for (i = 0; i < vd->cfg.pairs; i++) {
		busy |= vnet_look_tx(vd, &vd->txqs[i]);
		busy |= vnet_look_rx(vd, &vd->rxqs[i]);
	}

	return busy;
}

/* Returns whether packets are in flight, which have been sent before. */
static bool vnet_doze_set(struct vnet_dev *vd, bool quiet)
{
	bool held = false;
	u16 i;

	vd->recovery->quiet = 0;
	vd->recovery->dozes = quiet;
	for (i = 0; i < vd->caps.max_pairs; i++) {
		struct vnet_txq *txq = &vd->txqs[i];

		__netif_tx_lock_bh(txq->nq);
		txq->quiet = quiet;
		held |= vnet_txq_held(txq);
		__netif_tx_unlock_bh(txq->nq);
	}

	return held;
}

static void vnet_watch_next(struct vnet_dev *vd, bool busy)
{
	struct vnet_recovery *rec = vd->recovery;

	if (busy)
		rec->quiet = 0;
	else if (++rec->quiet >= VNET_LOOK_QUIET && vnet_doze_set(vd, true))
		vnet_doze_set(vd, false);
	vnet_recovery_look(vd, rec->dozes ? &rec->doze : &rec->look,
			   VNET_LOOK_PERIOD);
}

/*
 * Work: look at everything. The lock is only tried: whoever holds it may be
 * waiting for this work to end, and what goes on then is no stall.
 */
static void vnet_watch_work(struct work_struct *work)
{
	struct vnet_recovery *rec = container_of(to_delayed_work(work),
						 struct vnet_recovery, look);
	struct vnet_dev *vd = rec->vd;
	bool busy = true;

	if (!vnet_compat_trylock(vd->dev)) {
		vnet_recovery_look(vd, &vd->recovery->look, VNET_LOOK_AGAIN);
		return;
	}

	if (vd->life.want.up) {
		if (vd->recovery->dozes)
			vnet_doze_set(vd, false);
		if (vd->life.want.power == VNET_POWER_ON)
			busy = vnet_look(vd);
		vnet_watch_next(vd, busy);
	}
	vnet_compat_unlock(vd->dev);
}

/* Has anything moved since the last look? Reads memory only. */
static bool vnet_doze_moved(struct vnet_dev *vd, u16 i)
{
	struct vnet_watch *w = &vd->recovery->watch[vnet_vq_rx_index(i)];
	struct vnet_rxq *rxq = &vd->rxqs[i];

	if (!rxq->up)
		return false;
	if (vnet_txq_held(&vd->txqs[i]) || vnet_look_rx_done(rxq) != w->done)
		return true;
	if (virtqueue_is_broken(rxq->q.vq) ||
	    virtqueue_is_broken(vd->txqs[i].q.vq) ||
	    vnet_vq_moved(&rxq->q, w->seen))
		return true;

	/* As vnet_look_rx_idle() does. */
	if (is_power_of_2(++w->idle))
		vnet_vq_notify(&rxq->q);

	return false;
}

/* The look of a doze; returns whether it is over. */
static bool vnet_doze(struct vnet_dev *vd)
{
	struct vnet_recovery *rec = vd->recovery;
	u16 i;

	if (!vnet_live(vd))
		return true;
	if (++rec->dozes > VNET_DOZE_STATUS) {
		rec->dozes = 1;
		if (!vnet_look_status(vd))
			return true;
	}
	for (i = 0; i < vd->cfg.pairs; i++)
		if (vnet_doze_moved(vd, i))
			return true;

	return vd->cvq && virtqueue_is_broken(vd->cvq);
}

/* Work: nothing goes on, and no CPU is to be woken up to find that out. */
static void vnet_watch_doze_work(struct work_struct *work)
{
	struct vnet_recovery *rec = container_of(to_delayed_work(work),
						 struct vnet_recovery, doze);
	struct vnet_dev *vd = rec->vd;

	if (!vnet_compat_trylock(vd->dev)) {
		vnet_recovery_look(vd, &rec->doze, VNET_LOOK_AGAIN);
		return;
	}

	if (vd->life.want.up && rec->dozes) {
		if (vd->life.want.power != VNET_POWER_ON || vnet_doze(vd))
			vnet_recovery_look(vd, &rec->look, 0);
		else
			vnet_recovery_look(vd, &rec->doze, VNET_LOOK_PERIOD);
	}
	vnet_compat_unlock(vd->dev);
}

/**
 * vnet_watch_init() - set up the detectors
 * @vd: device, after vnet_recovery_create()
 *
 * Context: process, at probe.
 */
void vnet_watch_init(struct vnet_dev *vd)
{
	INIT_DELAYED_WORK(&vd->recovery->look, vnet_watch_work);
	INIT_DEFERRABLE_WORK(&vd->recovery->doze, vnet_watch_doze_work);
}

/**
 * vnet_watch_get() - what is known of a virtqueue, for a dump
 * @vd: device
 * @vq: number of a data virtqueue
 * @info: filled
 *
 * Context: instance lock held.
 */
void vnet_watch_get(const struct vnet_dev *vd, u16 vq,
		    struct vnet_watch_info *info)
{
	const struct vnet_watch *w = &vd->recovery->watch[vq];

	info->done = w->done;
	info->still = w->still;
	info->step = w->step;
}

/**
 * vnet_watch_link_up() - the link came up: notify all queues
 * @vd: device, live
 *
 * A back end that was restarted may have missed what was said before.
 *
 * Context: process; instance lock held.
 */
void vnet_watch_link_up(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->cfg.pairs; i++) {
		struct vnet_txq *txq = &vd->txqs[i];

		if (vd->rxqs[i].up)
			vnet_vq_notify(&vd->rxqs[i].q);
		__netif_tx_lock_bh(txq->nq);
		if (txq->up)
			vnet_vq_notify(&txq->q);
		__netif_tx_unlock_bh(txq->nq);
	}
}

/* The interface is up: look after its queues. Instance lock held. */
void vnet_watch_start(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->recovery->nr_watch; i++) {
		struct vnet_watch *w = &vd->recovery->watch[i];

		w->held = 0;
		w->still = 0;
		w->idle = 0;
		w->lost = 0;
		w->starved = 0;
	}
	vnet_doze_set(vd, false);
	vnet_recovery_look(vd, &vd->recovery->look, VNET_LOOK_PERIOD);
}

/* The interface goes down. Instance lock held: the work only tries it. */
void vnet_watch_stop(struct vnet_dev *vd)
{
	cancel_delayed_work_sync(&vd->recovery->look);
	cancel_delayed_work_sync(&vd->recovery->doze);
}
