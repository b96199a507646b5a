// SPDX-License-Identifier: GPL-2.0
/*
 * The queues: their memory, and what it takes to start and to stop one. When
 * that is to be done is decided in life/life.c.
 *
 * Queue objects live as long as the device. Their memory lives while the
 * interface is up; their virtqueues from one device reset to the next.
 */
#include <linux/netdevice.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_device.h"
#include "vnet_event.h"
#include "vnet_niov.h"
#include "vnet_policy.h"
#include "vnet_queue.h"
#include "vnet_rx.h"
#include "vnet_rxbuf.h"
#include "vnet_tx.h"
#include "vnet_vq.h"
#include "vnet_xsk.h"

/* How long ndo_stop waits for packets in flight before it takes them back. */
#define VNET_DRAIN_TRIES	20
#define VNET_DRAIN_USECS	1000

/* The ring entries that @cfg asks for, within what the ring can have. */
u32 vnet_rxq_ring(const struct vnet_rxq *rxq, const struct vnet_cfg *cfg)
{
	return min_not_zero((u32)cfg->rx_ring, rxq->ring_max);
}

u32 vnet_txq_ring(const struct vnet_txq *txq, const struct vnet_cfg *cfg)
{
	return min_not_zero((u32)cfg->tx_ring, txq->ring_max);
}

/* Copy into the queue what the poll reads of caps and configuration. */
void vnet_rxq_setup(struct vnet_rxq *rxq)
{
	const struct vnet_caps *caps = &rxq->vd->caps;
	const struct vnet_cfg *cfg = &rxq->vd->cfg;

	vnet_hdr_rx_init(&rxq->hdr_ctx, caps, cfg->rx_csum);
	rxq->hdr_len = caps->hdr_len;
	rxq->counts = caps->rx_mode == VNET_RX_MERGEABLE;
	rxq->mergeable = rxq->counts && rxq->mem.stride == 1;
	rxq->rx_hash = caps->hash_report && cfg->rx_hash;
	rxq->copybreak = cfg->rx_copybreak;
	rxq->coal = vnet_coalesce_of(rxq->vd, vnet_vq_rx_index(rxq->index));
	rcu_assign_pointer(rxq->xdp_prog, cfg->xdp);
	rxq->refill_at = clamp(rxq->mem.slots.nr / 8, 1, 64);
	rxq->avg_low = 0;
	rxq->avg_high = U32_MAX;
	if (rxq->mergeable && !rxq->mem.xsk)
		vnet_rxbuf_adapt(rxq);
}

static void vnet_txq_setup(struct vnet_txq *txq)
{
	const struct vnet_caps *caps = &txq->vd->caps;
	bool own = vnet_vq_own(&txq->q);
	u32 size = own ? txq->mem.slots.nr :
			 virtqueue_get_vring_size(txq->q.vq);

	vnet_hdr_tx_init(&txq->hdr_ctx, caps);
	txq->push_hdr = caps->any_layout;
	txq->straight = txq->push_hdr && !(own && txq->mem.maps) &&
			caps->hdr_len == VNET_HDR_LEN_V1;
	txq->orphan = vnet_coalesce_tx_orphan(txq->vd, txq->index);
	txq->coal = vnet_coalesce_of(txq->vd, vnet_vq_tx_index(txq->index));
	txq->dma_dev = txq->vd->dma_dev;
	txq->premapped = (own || VNET_COMPAT_TX_PREMAPPED) && txq->push_hdr &&
			 txq->vd->rxqs[txq->index].premapped;
	txq->physical = txq->premapped && !txq->dma_dev;
	txq->max_sg = min_t(u32, virtqueue_get_vring_size(txq->q.vq),
			    ARRAY_SIZE(txq->sg));
	/* passt, which has no CSUM, ends connections whose packets are split. */
	txq->max_skb_sg = caps->csum ? txq->max_sg : 1;
	txq->max_len = caps->mtu ? caps->max_mtu + ETH_HLEN : U32_MAX;
	txq->stop_at = clamp_t(u32, size / 2, own, VNET_TX_RESERVE);
}

/* Attach @mem to a queue that is not running, and announce it to XDP. */
static int vnet_rxq_attach(struct vnet_rxq *rxq, struct vnet_rx_mem *mem)
{
	int err;

	/* No frag size: frags differ in size, so their tails cannot grow. */
	err = __xdp_rxq_info_reg(&rxq->xdp_rxq, rxq->vd->dev, rxq->index,
				 rxq->napi.napi_id, mem->xsk ?
				 xsk_pool_get_rx_frag_step(mem->xsk) : 0);
	if (err)
		return err;

	err = xdp_rxq_info_reg_mem_model(&rxq->xdp_rxq,
					 mem->xsk ? MEM_TYPE_XSK_BUFF_POOL :
					 MEM_TYPE_PAGE_POOL, mem->pool);
	if (err) {
		xdp_rxq_info_unreg(&rxq->xdp_rxq);
		return err;
	}

	if (mem->xsk)
		xsk_pool_set_rxq_info(mem->xsk, &rxq->xdp_rxq);
	rxq->mem = *mem;
	vnet_rxmem_serve(rxq);

	return 0;
}

/**
 * vnet_rxq_give() - put memory into a receive queue that has none
 * @rxq: queue that does not run
 * @mem: made by vnet_rxmem_create() for its present ring; consumed on success
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0, or -errno from the XDP core.
 */
int vnet_rxq_give(struct vnet_rxq *rxq, struct vnet_rx_mem *mem)
{
	rxq->ring = vnet_rxq_ring(rxq, &rxq->vd->cfg);

	return vnet_rxq_attach(rxq, mem);
}

/**
 * vnet_rxq_take() - take the memory out of a receive queue
 * @rxq: queue that does not run, its slots home
 * @mem: where to put it; nothing where the queue has none
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_rxq_take(struct vnet_rxq *rxq, struct vnet_rx_mem *mem)
{
	memset(mem, 0, sizeof(*mem));
	if (!rxq->mem.bufs)
		return;

	xdp_rxq_info_unreg(&rxq->xdp_rxq);
	vnet_rxmem_retire(&rxq->mem);
	*mem = rxq->mem;
	memset(&rxq->mem, 0, sizeof(rxq->mem));
}

/* Detach the memory of a queue whose slots are all home, and free it. */
static void vnet_rxq_detach(struct vnet_rxq *rxq)
{
	if (!rxq->mem.bufs)
		return;

	xdp_rxq_info_unreg(&rxq->xdp_rxq);
	vnet_rxmem_destroy(&rxq->mem);
}

/*
 * The core must not know of a NAPI instance that is off while the instance lock
 * is free: whoever switches "threaded" would wait for its poll to end, for ever.
 * So an instance is added when its queue starts, and vnet_pair_forget() deletes
 * it before the lock is released if the queue is off by then. A queue that stops
 * and starts under one lock keeps its instance, and with it the thread and what
 * the user has set of that.
 *
 * Readers may still walk over an instance that was deleted: before it is added
 * again the grace period @gone must have ended. The first of many queues waits
 * for that, the others find that it has.
 */
static void vnet_napi_add_begin(struct napi_struct *napi, unsigned long gone)
{
	if (napi->dev)
		cond_synchronize_rcu_expedited(gone);
}

/* Start polling; what arrived before is found without an interrupt. */
static void vnet_napi_on(struct napi_struct *napi, int irq)
{
	netif_napi_set_irq_locked(napi, irq);
	napi_enable_locked(napi);
	local_bh_disable();
	napi_schedule(napi);
	local_bh_enable();
}

/* Until it is on again, scheduling it does nothing. */
static unsigned long vnet_napi_off(struct napi_struct *napi)
{
	__netif_napi_del_locked(napi);

	return get_state_synchronize_rcu();
}

static void vnet_rxq_on(struct vnet_rxq *rxq)
{
	if (!rxq->known) {
		vnet_napi_add_begin(&rxq->napi, rxq->napi_gone);
		netif_napi_add_config_locked(rxq->vd->dev, &rxq->napi,
					     vnet_rxq_poll, rxq->index);
		rxq->known = true;
	}
	/* Only one descriptor for a slot, whose bus address is known */
	if (rxq->premapped && rxq->mem.nr_sg == 1)
		vnet_vring_take(&rxq->q, &rxq->vd->caps);
	vnet_rxq_setup(rxq);
	rxq->starved = false;
	vnet_rxbuf_refill(rxq, GFP_KERNEL);
	rxq->up = true;
	netif_queue_set_napi(rxq->vd->dev, rxq->index, NETDEV_QUEUE_TYPE_RX,
			     &rxq->napi);
	vnet_napi_on(&rxq->napi, vnet_vq_irq(rxq->vd, rxq->q.vq->index));
}

static void vnet_rxq_off(struct vnet_rxq *rxq)
{
	if (!rxq->up)
		return;

	rxq->up = false;
	napi_disable_locked(&rxq->napi);
	timer_delete_sync(&rxq->starve_timer);
	vnet_wrap_stop(&rxq->wrap);
	vnet_moder_stop(&rxq->moder);
}

/* May packets be sent? Under the xmit lock. */
static void vnet_txq_set_up(struct vnet_txq *txq, bool up)
{
	txq->up = up;
	txq->closed = !up;
}

static void vnet_txq_on(struct vnet_txq *txq)
{
	netdev_tx_reset_queue(txq->nq);
	if (txq->mem.tables)
		vnet_vring_take(&txq->q, &txq->vd->caps);
	vnet_txq_setup(txq);
	__netif_tx_lock_bh(txq->nq);
	vnet_txq_set_up(txq, true);
	__netif_tx_unlock_bh(txq->nq);
	txq->polled = true;
	if (!txq->known) {
		vnet_napi_add_begin(&txq->napi, txq->napi_gone);
		netif_napi_add_locked(txq->vd->dev, &txq->napi, vnet_txq_poll);
		txq->known = true;
	}
	netif_queue_set_napi(txq->vd->dev, txq->index, NETDEV_QUEUE_TYPE_TX,
			     &txq->napi);
	vnet_napi_on(&txq->napi, vnet_vq_irq(txq->vd, txq->q.vq->index));
}

/* No packet more from anyone, and no wake-up; completion goes on. */
static void vnet_txq_close(struct vnet_txq *txq)
{
	__netif_tx_lock_bh(txq->nq);
	vnet_txq_set_up(txq, false);
	netif_tx_stop_queue(txq->nq);
	__netif_tx_unlock_bh(txq->nq);
}

static void vnet_txq_open(struct vnet_txq *txq)
{
	__netif_tx_lock_bh(txq->nq);
	vnet_txq_set_up(txq, true);
	netif_tx_wake_queue(txq->nq);
	__netif_tx_unlock_bh(txq->nq);
}

/**
 * vnet_pairs_send() - let running queue pairs send, or send nothing more
 * @vd: device
 * @from: first queue pair
 * @to: the one behind the last
 * @on: they may send
 *
 * Nobody sends any more when this returns: neither the stack, which is not to
 * use the queues, nor XDP and AF_XDP. They receive, and complete what was sent.
 *
 * Context: process; instance lock held.
 */
void vnet_pairs_send(struct vnet_dev *vd, u16 from, u16 to, bool on)
{
	for (; from < to; from++) {
		if (!vd->txqs[from].polled)
			continue;
		if (on)
			vnet_txq_open(&vd->txqs[from]);
		else
			vnet_txq_close(&vd->txqs[from]);
	}
}

static void vnet_txq_off(struct vnet_txq *txq)
{
	if (!txq->polled)
		return;

	vnet_txq_close(txq);
	txq->polled = false;
	napi_disable_locked(&txq->napi);
	vnet_wrap_stop(&txq->wrap);
	vnet_moder_stop(&txq->moder);
}

/*
 * Make the ring what its slots were made for. A ring that cannot be resized
 * is used in part: the slots are the limit.
 */
static int vnet_vq_fit(struct vnet_dev *vd, struct virtqueue *vq, u32 ring)
{
	u32 size = virtqueue_get_vring_size(vq);
	int err;

	if (!vnet_can_reset_rings(vd) || size == ring)
		return 0;

	err = vnet_ring_reset(vd, vq, ring);

	return err == -ENOMEM && ring < size ? 0 : err;
}

/*
 * Its queues that do not run are empty; the transmit queue may run. An error
 * leaves virtqueues of no use.
 */
static int vnet_pair_fit(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];
	int err;

	err = vnet_vq_fit(vd, rxq->q.vq, rxq->ring);
	if (!err && rxq->premapped)
		err = vnet_compat_set_premapped(rxq->q.vq);
	if (!err && !txq->polled)
		err = vnet_vq_fit(vd, txq->q.vq, txq->ring);

	return err;
}

/**
 * vnet_pair_forget() - the core need not know of the NAPI instances of a pair
 * @vd: device
 * @i: queue pair; its queues may be on
 *
 * To be called for all pairs before the instance lock is released.
 *
 * Context: process; instance lock held, or the net device unregistered.
 */
void vnet_pair_forget(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];

	if (rxq->known && !rxq->up) {
		rxq->known = false;
		netif_queue_set_napi(vd->dev, i, NETDEV_QUEUE_TYPE_RX, NULL);
		rxq->napi_gone = vnet_napi_off(&rxq->napi);
	}
	if (txq->known && !txq->polled) {
		txq->known = false;
		netif_queue_set_napi(vd->dev, i, NETDEV_QUEUE_TYPE_TX, NULL);
		txq->napi_gone = vnet_napi_off(&txq->napi);
	}
}

static int vnet_rxq_alloc(struct vnet_rxq *rxq)
{
	struct vnet_dev *vd = rxq->vd;
	struct vnet_rx_mem mem;
	int err;

	err = vnet_rxmem_create(rxq, &vd->caps, &vd->cfg,
				vnet_rxq_ring(rxq, &vd->cfg), &mem);
	/* Whatever a memory provider has, it is not the device. */
	if (err && vnet_niov_size(vd, rxq->index))
		return -ENOMEM;
	if (err)
		return err;

	err = vnet_rxq_give(rxq, &mem);
	if (err)
		vnet_rxmem_destroy(&mem);

	return err;
}

/* Memory for the queues of a pair that have none */
static int vnet_pair_alloc(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];
	bool had = txq->mem.bufs;
	int err = 0;

	if (!had) {
		txq->ring = vnet_txq_ring(txq, &vd->cfg);
		err = vnet_txmem_create(txq, &vd->caps, &vd->cfg, txq->ring,
					&txq->mem);
	}
	if (!err && !rxq->mem.bufs)
		err = vnet_rxq_alloc(rxq);
	if (err && !had)
		vnet_txmem_destroy(&txq->mem);

	return err;
}

/**
 * vnet_pair_start() - start a queue pair that does not run
 * @vd: device, live
 * @i: queue pair, with memory or without; its transmit queue may run
 *
 * A virtqueue that was reset has forgotten its coalescing; of a pair that the
 * device does not use yet it is told later.
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0; -ENOMEM with the virtqueues as they were; or an errno that leaves
 * them of no use until the device was reset.
 */
int vnet_pair_start(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];
	int err = 0;

	if (rxq->up)
		return 0;

	if (!rxq->mem.bufs)
		err = vnet_pair_alloc(vd, i);
	if (!err)
		err = vnet_pair_fit(vd, i);
	if (!err && i < vd->cfg.pairs)
		err = vnet_coalesce_queue_replay(vd, i);
	if (err)
		return err;

	vnet_rxq_on(rxq);
	if (!txq->polled)
		vnet_txq_on(txq);

	return 0;
}

/* No packet more, in or out; what is in the rings stays there. */
void vnet_pair_off(struct vnet_dev *vd, u16 i)
{
	vnet_txq_off(&vd->txqs[i]);
	vnet_rxq_off(&vd->rxqs[i]);
}

/* Take another look at those that wait; are there any? */
static bool vnet_pairs_busy(struct vnet_dev *vd, u16 from, u16 to)
{
	bool busy = false;
	u16 i;

	for (i = from; i < to; i++) {
		struct vnet_txq *txq = &vd->txqs[i];

		if (!txq->polled ||
		    !vnet_txq_held(txq))
			continue;
		busy = true;
		local_bh_disable();
		napi_schedule(&txq->napi);
		local_bh_enable();
	}

	return busy;
}

/**
 * vnet_pairs_drain() - let the device finish what it has
 * @vd: device, live
 * @from: first pair
 * @to: the pair behind the last one
 *
 * All at a time, and not for long: a stopped interface owes nobody time.
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_pairs_drain(struct vnet_dev *vd, u16 from, u16 to)
{
	unsigned int tries = VNET_DRAIN_TRIES;
	u16 i;

	for (i = from; i < to; i++)
		if (vd->txqs[i].polled)
			vnet_txq_close(&vd->txqs[i]);
	while (vnet_pairs_busy(vd, from, to) && tries--)
		usleep_range(VNET_DRAIN_USECS, 2 * VNET_DRAIN_USECS);
}

/*
 * The slots of a virtqueue that will not be used any more come home. The core
 * is not asked for more than there are (@elsewhere: slots that are taken, but
 * not there): what it counts in a ring that a device
 * has lied in is wrong, and it stops the kernel when the end does not add up.
 */
static void vnet_vq_reclaim(struct virtqueue *vq,
			    const struct vnet_slots *slots, u32 elsewhere,
			    void (*reclaim)(struct virtqueue *vq, void *token))
{
	void *token;

	while (slots->nr_free + elsewhere < slots->nr) {
		token = virtqueue_detach_unused_buf(vq);
		if (!token)
			break;
		reclaim(vq, token);
	}
}

/*
 * For each buffer the core looks through the ring from its beginning: half a
 * billion looks where there are 32768. It is not asked where it has nothing to
 * undo, for one descriptor that it has not mapped.
 */
static void vnet_rxq_reclaim(struct vnet_rxq *rxq)
{
	vnet_vring_release(&rxq->q, NULL, 0, NULL);
	if (!rxq->premapped || rxq->mem.nr_sg > 1) {
		vnet_vq_reclaim(rxq->q.vq, &rxq->mem.slots, rxq->mem.away,
				vnet_rxbuf_reclaim);
		return;
	}

	/* Those that the transmit queue had are home, too. */
	vnet_slots_free_all(&rxq->mem.slots);
	rxq->mem.away = 0;
	rxq->vd->txqs[rxq->index].mem.nr_home = 0;
}

/* Take everything of a receive queue that is off back; as vnet_pair_reset() */
static int vnet_rxq_reset(struct vnet_dev *vd, struct vnet_rxq *rxq)
{
	int err;

	vnet_rxq_purge(rxq);
	err = vnet_ring_reset(vd, rxq->q.vq, 0);
	if (!err && rxq->premapped)
		err = vnet_compat_set_premapped(rxq->q.vq);

	return err;
}

/**
 * vnet_rxq_halt() - stop a receive queue and take everything back
 * @vd: device that resets single virtqueues
 * @i: queue pair, whose transmit queue goes on
 *
 * Context: process, sleeps; instance lock held.
 * Return: false when it is done, true when the device has to be reset for it.
 */
bool vnet_rxq_halt(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];

	vnet_rxq_off(rxq);

	return rxq->mem.bufs && vnet_rxq_reset(vd, rxq);
}

/**
 * vnet_pair_reset() - take everything of a queue pair back from the device
 * @vd: device that resets single virtqueues
 * @i: queue pair, off
 *
 * Context: process, sleeps; instance lock held.
 * Return: false when it is done, true when the device has to be reset for it.
 */
bool vnet_pair_reset(struct vnet_dev *vd, u16 i)
{
	int err = 0;

	if (vd->rxqs[i].mem.bufs)
		err = vnet_rxq_reset(vd, &vd->rxqs[i]);
	if (!err && vd->txqs[i].mem.bufs)
		err = vnet_ring_reset(vd, vd->txqs[i].q.vq, 0);

	return err;
}

/* Free the memory of a pair that is off, unless the device has it. */
void vnet_pair_free(struct vnet_dev *vd, u16 i)
{
	if (vd->life.have == VNET_LIFE_STUCK)
		return;

	if (vd->txqs[i].mem.bufs)
		vnet_txmem_destroy(&vd->txqs[i].mem);
	/* The bytes of purged packets are not in flight any more. */
	netdev_tx_reset_queue(vd->txqs[i].nq);
	vnet_rxq_detach(&vd->rxqs[i]);
}

/**
 * vnet_pair_replace() - give a stopped queue pair other memory
 * @vd: device
 * @i: queue pair, off, its slots home
 * @rx: new receive memory, consumed
 * @tx: new transmit memory, consumed
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0; -ENOMEM when XDP could not be told: the pair has no memory;
 * -ETIMEDOUT when the device keeps the old memory in a reset that hangs.
 */
int vnet_pair_replace(struct vnet_dev *vd, u16 i, struct vnet_rx_mem *rx,
		      struct vnet_tx_mem *tx)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];
	int err;

	if (vd->life.have == VNET_LIFE_STUCK) {
		vnet_rxmem_destroy(rx);
		vnet_txmem_destroy(tx);
		return -ETIMEDOUT;
	}

	vnet_pair_free(vd, i);
	rxq->ring = vnet_rxq_ring(rxq, &vd->cfg);
	txq->ring = vnet_txq_ring(txq, &vd->cfg);
	txq->mem = *tx;
	err = vnet_rxq_attach(rxq, rx);
	if (err) {
		vnet_rxmem_destroy(rx);
		vnet_txmem_destroy(&txq->mem);
	}

	return err;
}

static void vnet_queue_init(struct vnet_dev *vd, u16 i)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct vnet_txq *txq = &vd->txqs[i];

	rxq->vd = vd;
	rxq->index = i;
	u64_stats_init(&rxq->stats.syncp);
	timer_setup(&rxq->starve_timer, vnet_rxbuf_starved, 0);
	vnet_wrap_init(&rxq->wrap, &rxq->q, &rxq->napi);
	vnet_moder_init(&rxq->moder, &rxq->napi);
	snprintf(rxq->name, sizeof(rxq->name), "input.%u", i);
	set_bit(NAPI_STATE_SCHED, &rxq->napi.state);

	txq->vd = vd;
	txq->index = i;
	vnet_txq_set_up(txq, false);
	txq->nq = netdev_get_tx_queue(vd->dev, i);
	u64_stats_init(&txq->stats.syncp);
	vnet_wrap_init(&txq->wrap, &txq->q, &txq->napi);
	vnet_moder_init(&txq->moder, &txq->napi);
	vnet_sg_init(&txq->sg1, 1);
	vnet_sg_init(txq->sg, ARRAY_SIZE(txq->sg));
	sg_unmark_end(&txq->sg[ARRAY_SIZE(txq->sg) - 1]);
	snprintf(txq->name, sizeof(txq->name), "output.%u", i);
	/* Has no settings that outlive it, so no ID by which to set them */
	set_bit(NAPI_STATE_NO_BUSY_POLL, &txq->napi.state);
	set_bit(NAPI_STATE_SCHED, &txq->napi.state);
}

/**
 * vnet_queues_create() - create the queue objects
 * @vd: device with caps resolved, net device not registered
 *
 * Context: process, at probe.
 * Return: 0 or -ENOMEM.
 */
int vnet_queues_create(struct vnet_dev *vd)
{
	u16 i;

	vd->rxqs = kvcalloc(vd->caps.max_pairs, sizeof(*vd->rxqs), GFP_KERNEL);
	vd->txqs = kvcalloc(vd->caps.max_pairs, sizeof(*vd->txqs), GFP_KERNEL);
	vd->cfg.xsk = kcalloc(vd->caps.max_pairs, sizeof(*vd->cfg.xsk),
			      GFP_KERNEL);
	if (!vd->rxqs || !vd->txqs || !vd->cfg.xsk || vnet_reset_create(vd)) {
		kvfree(vd->rxqs);
		kvfree(vd->txqs);
		kfree(vd->cfg.xsk);
		return -ENOMEM;
	}

	for (i = 0; i < vd->caps.max_pairs; i++)
		vnet_queue_init(vd, i);

	return 0;
}

/* The net device is unregistered, or never was; all queues are down. */
void vnet_queues_destroy(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->caps.max_pairs; i++) {
		kfree(vd->rxqs[i].user);
		vnet_compat_napi_free(&vd->rxqs[i].napi);
		vnet_compat_napi_free(&vd->txqs[i].napi);
	}
	synchronize_net();
	kvfree(vd->rxqs);
	kvfree(vd->txqs);
	kfree(vd->cfg.xsk);
	vd->rxqs = NULL;
	vd->txqs = NULL;
	vnet_reset_destroy(vd);
}

/**
 * vnet_queues_off() - stop all queues, for a reset of the device
 * @vd: device with virtqueues
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 */
void vnet_queues_off(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->caps.max_pairs; i++) {
		vnet_pair_off(vd, i);
		if (vd->rxqs[i].mem.bufs && !vnet_vq_lent(vd, vd->rxqs[i].q.vq))
			vnet_rxq_purge(&vd->rxqs[i]);
	}
}

/**
 * vnet_queues_reclaim() - all slots come home
 * @vd: device in reset, with virtqueues, all queues off
 *
 * Context: process; instance lock held, or the net device unregistered.
 */
void vnet_queues_reclaim(struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->caps.max_pairs; i++) {
		/* What arrived until the reset; afterwards it looks unused. */
		if (vd->rxqs[i].mem.bufs)
			vnet_rxq_purge(&vd->rxqs[i]);
		vnet_txmem_put_aside(&vd->txqs[i].mem);
		vnet_vring_release(&vd->txqs[i].q, vd->txqs[i].mem.bufs,
				   sizeof(*vd->txqs[i].mem.bufs),
				   vnet_txq_reclaim);
		vnet_vq_reclaim(vd->txqs[i].q.vq, &vd->txqs[i].mem.slots, 0,
				vnet_txq_reclaim);
		vnet_rxq_reclaim(&vd->rxqs[i]);
		vnet_recovery_forget_vq(vd, vnet_vq_rx_index(i));
		vnet_recovery_forget_vq(vd, vnet_vq_tx_index(i));
	}
}

/**
 * vnet_vq_restart() - reset one data virtqueue and start it again
 * @vd: device with ring reset
 * @index: virtqueue number
 *
 * What is in flight is purged and counted. All other queues run on.
 *
 * Context: process, sleeps; instance lock held.
 * Return: 0, -EOPNOTSUPP for a queue that does not run, or -errno when the
 * device has to be reset.
 */
int vnet_vq_restart(struct vnet_dev *vd, u16 index)
{
	struct vnet_rxq *rxq = &vd->rxqs[index / 2];
	struct vnet_txq *txq = &vd->txqs[index / 2];
	bool tx = index & 1;
	struct virtqueue *vq = tx ? txq->q.vq : rxq->q.vq;
	int err;

	vnet_compat_assert_locked(vd->dev);
	if (!vnet_live(vd) || !vnet_can_reset_rings(vd) || !(tx ? txq->up : rxq->up))
		return -EOPNOTSUPP;

	if (tx) {
		vnet_txq_off(txq);
		err = vnet_ring_reset(vd, vq, 0);
	} else {
		vnet_rxq_off(rxq);
		err = vnet_rxq_reset(vd, rxq);
	}
	if (err)
		return err;

	/* What broke it is gone with the reset, and so is its coalescing. */
	__virtqueue_unbreak(vq);
	vnet_recovery_forget_vq(vd, index);
	err = vnet_coalesce_queue_replay(vd, index / 2);
	if (err)
		return err;

	if (tx) {
		vnet_txq_on(txq);
		netif_tx_wake_queue(txq->nq);
	} else {
		vnet_rxq_on(rxq);
	}

	return 0;
}
