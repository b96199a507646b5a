// SPDX-License-Identifier: GPL-2.0
/*
 * The detectors: once a second, while the interface is up, every queue is
 * looked at for progress that was due. Nothing here costs anything per packet:
 * progress is read off the counters that are kept anyway.
 */
#include <linux/log2.h>
#include <linux/netdevice.h>

#include "vnet.h"
#include "vnet_policy.h"
#include "vnet_vq.h"

#define VNET_LOOK_PERIOD	HZ
#define VNET_LOOK_AGAIN		(HZ / 10)

/* Looks without progress until a notification, and until a reset, is tried */
#define VNET_STILL_KICK		1
#define VNET_STILL_RESET	4

/* Looks until want of memory or of CPU time is worth a word */
#define VNET_STILL_STARVED	3

/*
 * An interrupt may be under way while we look, so a receive queue has lost one
 * only if it seems so twice in a short time; more of them need a reset.
 */
#define VNET_LOST_ONE		8
#define VNET_LOST_TWO		12
#define VNET_LOST_MANY		48

/* NAPI was to run a look ago and has still not done it: the guest is to blame. */
static void vnet_look_starved(struct vnet_dev *vd, struct vnet_watch *w,
			      const char *what, u16 index)
{
	if (++w->starved != VNET_STILL_STARVED)
		return;

	vd->recovery.count[VNET_RESET_CPU_STARVED]++;
	if (net_ratelimit())
		vnet_warn(vd, timer, "%s queue %u: NAPI is scheduled but gets no CPU; the device is not to blame\n",
			  what, index);
}

/* There was progress: the ladder starts anew. */
static void vnet_look_alive(struct vnet_dev *vd, struct vnet_watch *w)
{
	if (w->kicked)
		vd->recovery.count[VNET_RESET_LOST_KICK]++;
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
		 w->still >= VNET_STILL_RESET)
		vnet_recovery_request_vq(vd, VNET_RESET_TX_STALL, vq);
}

static void vnet_look_tx(struct vnet_dev *vd, struct vnet_txq *txq)
{
	struct vnet_watch *w = &vd->recovery.watch[vnet_vq_tx_index(txq->index)];
	bool used = false, stalled;
	u32 held;
	u64 done;

	if (!txq->up)
		return;

	__netif_tx_lock_bh(txq->nq);
	held = txq->mem.slots.nr - txq->mem.slots.nr_free;
	done = u64_stats_read(&txq->stats.v[VNET_TXS_PACKETS]);
	stalled = held && w->held && done == w->done;
	if (stalled)
		used = vnet_vq_pending(txq->vq);
	__netif_tx_unlock_bh(txq->nq);

	if (virtqueue_is_broken(txq->vq))
		vnet_recovery_request_vq(vd, VNET_RESET_BROKEN_RING,
					 vnet_vq_tx_index(txq->index));
	else if (stalled)
		vnet_look_tx_stalled(vd, txq, w, used);
	else if (done != w->done)
		vnet_look_alive(vd, w);
	else
		w->still = 0;
	w->held = held;
	w->done = done;
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
		vnet_vq_notify(rxq->vq);

	local_bh_disable();
	if (napi_schedule_prep(&rxq->napi)) {
		used = vnet_vq_pending(rxq->vq);
		vnet_vq_disarm(rxq->vq);
		__napi_schedule(&rxq->napi);
		w->starved = 0;
		if (used)
			vnet_look_rx_lost(vd, rxq, w);
	} else if (!test_bit(NAPI_STATE_IN_BUSY_POLL, &rxq->napi.state)) {
		vnet_look_starved(vd, w, "rx", rxq->index);
	}
	local_bh_enable();
}

static void vnet_look_rx(struct vnet_dev *vd, struct vnet_rxq *rxq)
{
	u16 vq = vnet_vq_rx_index(rxq->index);
	struct vnet_watch *w = &vd->recovery.watch[vq];
	u64 done;

	if (!rxq->up)
		return;

	done = vnet_look_rx_done(rxq);
	if (w->lost)
		w->lost--;
	if (virtqueue_is_broken(rxq->vq)) {
		vnet_recovery_request_vq(vd, VNET_RESET_BROKEN_RING, vq);
	} else if (done != w->done) {
		w->idle = 0;
		w->starved = 0;
		w->step = VNET_HEAL_KICK;
	} else {
		vnet_look_rx_idle(vd, rxq, w);
	}
	w->done = done;

	if (!READ_ONCE(rxq->starved))
		w->still = 0;
	else if (w->still < U8_MAX && ++w->still == VNET_STILL_STARVED)
		vnet_recovery_request_vq(vd, VNET_RESET_RX_STARVED, vq);
}

/* The device status register; an interrupt that told of it may be lost. */
static bool vnet_look_status(struct vnet_dev *vd)
{
	u8 status = vd->vdev->config->get_status(vd->vdev);

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
	bool all = READ_ONCE(vd->recovery.reasons);
	u16 i;

	for (i = 0; i < vd->recovery.nr_watch; i++) {
		struct vnet_watch *w = &vd->recovery.watch[i];
		bool waits = READ_ONCE(w->reasons);

		if (waits)
			w->step_time = jiffies;
		if ((waits || all) && i & 1)
			txq_trans_cond_update(vd->txqs[i / 2].nq);
	}
}

static void vnet_look(struct vnet_dev *vd)
{
	u16 i;

	if (vd->life.want.power != VNET_POWER_ON)
		return;
	if (!vnet_live(vd) && vd->recovery.gone && !vnet_device_gone(vd)) {
		vd->recovery.gone = false;
		vnet_recovery_request(vd, VNET_RESET_BACK);
	}
	if (!vnet_live(vd))
		return;

	vnet_look_patience(vd);
	if (!vnet_look_status(vd))
		return;

	if (vd->cvq && virtqueue_is_broken(vd->cvq))
		vnet_recovery_request(vd, VNET_RESET_BROKEN_RING);
	for (i = 0; i < vd->cfg.pairs; i++) {
		vnet_look_tx(vd, &vd->txqs[i]);
		vnet_look_rx(vd, &vd->rxqs[i]);
	}
}

/*
 * Work: look at everything. The lock is only tried: whoever holds it may be
 * waiting for this work to end, and what goes on then is no stall.
 */
void vnet_watch_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(to_delayed_work(work),
					   struct vnet_dev, recovery.look);
	unsigned long delay = VNET_LOOK_AGAIN;

	if (vnet_compat_trylock(vd->dev)) {
		vnet_look(vd);
		vnet_compat_unlock(vd->dev);
		delay = VNET_LOOK_PERIOD;
	}
	queue_delayed_work(system_long_wq, &vd->recovery.look, delay);
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
			vnet_vq_notify(vd->rxqs[i].vq);
		__netif_tx_lock_bh(txq->nq);
		if (txq->up)
			vnet_vq_notify(txq->vq);
		__netif_tx_unlock_bh(txq->nq);
	}
}

/* The interface is up: look after its queues. Instance lock held. */
void vnet_watch_start(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->recovery.nr_watch; i++) {
		struct vnet_watch *w = &vd->recovery.watch[i];

		w->held = 0;
		w->still = 0;
		w->idle = 0;
		w->lost = 0;
		w->starved = 0;
	}
	queue_delayed_work(system_long_wq, &vd->recovery.look,
			   VNET_LOOK_PERIOD);
}

/* The interface goes down. Instance lock held: the work only tries it. */
void vnet_watch_stop(struct vnet_dev *vd)
{
	cancel_delayed_work_sync(&vd->recovery.look);
}
