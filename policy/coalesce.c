// SPDX-License-Identifier: GPL-2.0
/*
 * Notification coalescing: one pair of values for each direction, other values
 * for single virtqueues, and dynamic moderation, which chooses them.
 *
 * A virtqueue that was reset falls back to the global values; those that
 * belong to it alone are told again by vnet_coalesce_queue_replay().
 *
 * Where the device coalesces nothing, the queue is told instead, which then
 * moderates its interrupts itself (vnet_moder.h).
 */
#include <linux/dim.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_policy.h"
#include "vnet_tx.h"

/* One look in fifty of those that are taken once a second falls into it. */
#define VNET_COAL_LONG_US	20000

static struct vnet_coal_queue *vnet_coal_queue(struct vnet_dev *vd, u16 vq)
{
	struct vnet_coal_cfg *coal = &vd->cfg.policy->coal;

	return vq & 1 ? &coal->txqs[vq / 2] : &coal->rxqs[vq / 2];
}

static bool vnet_coal_equal(const struct vnet_coal *a,
			    const struct vnet_coal *b)
{
	return a->packets == b->packets && a->usecs == b->usecs;
}

/* As good as no coalescing, which is what a reset device has */
static bool vnet_coal_idle(const struct vnet_coal *coal)
{
	return coal->packets <= 1 && !coal->usecs;
}

static struct vnet_wire_coal vnet_coal_to_wire(const struct vnet_coal *coal)
{
	struct vnet_wire_coal wire = {};

	if (!vnet_coal_idle(coal)) {
		wire.max_packets = coal->packets;
		wire.max_usecs = coal->usecs;
	}

	return wire;
}

/* Commands */

static int vnet_coal_exec(struct vnet_dev *vd, struct vnet_cmd *cmd, int err)
{
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	vnet_cmd_put(cmd);

	return err;
}

/* Have the queue itself moderate; it may be running. */
static void vnet_coal_moderate(struct vnet_dev *vd, u16 vq,
			       const struct vnet_coal *coal)
{
	struct vnet_rxq *rxq = &vd->rxqs[vq / 2];
	struct vnet_txq *txq = &vd->txqs[vq / 2];

	if (vq & 1)
		WRITE_ONCE(txq->waits, coal->packets &&
			   vnet_moder_set(&txq->moder, coal->usecs,
					  coal->packets));
	else
		WRITE_ONCE(rxq->waits,
			   vnet_moder_set(&rxq->moder, coal->usecs,
					  coal->packets));
}

static int vnet_coal_tell_vq(struct vnet_dev *vd, u16 vq,
			     const struct vnet_coal *coal)
{
	struct vnet_wire_coal wire = vnet_coal_to_wire(coal);
	struct vnet_cmd *cmd;

	if (vnet_coalesce_by_driver(&vd->caps)) {
		vnet_coal_moderate(vd, vq, coal);
		return 0;
	}

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_coal_exec(vd, cmd,
			      vnet_wire_coal_vq_set(&cmd->w, vq, &wire));
}

/* One direction; where only single virtqueues are told, all of them are. */
static int vnet_coal_tell(struct vnet_dev *vd, bool tx,
			  const struct vnet_coal *coal)
{
	struct vnet_wire_coal wire = vnet_coal_to_wire(coal);
	struct vnet_cmd *cmd;
	int err = 0;
	u16 pair;

	if (!vd->caps.notf_coal) {
		for (pair = 0; !err && pair < vd->cfg.pairs; pair++)
			err = vnet_coal_tell_vq(vd, 2 * pair + tx, coal);
		return err;
	}

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	err = tx ? vnet_wire_coal_tx(&cmd->w, &wire) :
		   vnet_wire_coal_rx(&cmd->w, &wire);

	return vnet_coal_exec(vd, cmd, err);
}

/* Dynamic moderation */

/* @coal.lock is held. */
static void vnet_dim_tell(struct vnet_coal_queue *cq,
			  const struct vnet_coal *coal)
{
	struct vnet_dev *vd = cq->vd;
	int err;

	/* The queue may have gone out of use since the sample was taken. */
	if (!cq->adaptive || cq->vq / 2 >= vd->cfg.policy->coal.pairs ||
	    vnet_coal_equal(coal, &cq->coal))
		return;

	err = vnet_coal_tell_vq(vd, cq->vq, coal);
	if (!err)
		cq->coal = *coal;
	if (!vnet_cvq_refused(err))
		return;

	/* It would refuse the next one, too. */
	WRITE_ONCE(cq->adaptive, false);
	vnet_warn(vd, drv,
		  "the device does not take the coalescing of virtqueue %u: error %d, moderation is off\n",
		  cq->vq, err);
}

/* Carry out what the poll's samples have led to. */
static void vnet_dim_work(struct work_struct *work)
{
	struct dim *dim = container_of(work, struct dim, work);
	struct vnet_coal_queue *cq = container_of(dim, struct vnet_coal_queue,
						  dim);
	struct net_device *dev = cq->vd->dev;
	struct dim_cq_moder moder;
	struct vnet_coal coal;

	if (cq->vq & 1)
		moder = net_dim_get_tx_irq_moder(dev, dim);
	else
		moder = net_dim_get_rx_irq_moder(dev, dim);
	coal.usecs = moder.usec;
	coal.packets = moder.pkts;

	mutex_lock(&cq->vd->cfg.policy->coal.lock);
	vnet_dim_tell(cq, &coal);
	mutex_unlock(&cq->vd->cfg.policy->coal.lock);

	dim->state = DIM_START_MEASURE;
}

static void vnet_coal_init_queue(struct vnet_dev *vd,
				 struct vnet_coal_queue *cq, u16 vq)
{
	cq->vd = vd;
	cq->vq = vq;
	INIT_WORK(&cq->dim.work, vnet_dim_work);
	net_dim_setting(vd->dev, &cq->dim, vq & 1);
}

/* Setting */

/**
 * vnet_coalesce_limit() - which queues may be told anything from now on
 * @vd: device
 * @pairs: queue pairs in use, or that are in use before and after a change
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_coalesce_limit(struct vnet_dev *vd, u16 pairs)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;

	mutex_lock(&cfg->lock);
	cfg->pairs = pairs;
	mutex_unlock(&cfg->lock);
}

/**
 * vnet_coalesce_holds_back() - may the device hold a notification back for long
 * @vd: device
 * @vq: virtqueue
 *
 * Context: any; a value that is about to change is as good as the next one.
 * Return: true if for so long that one which is due looks like a lost one.
 */
bool vnet_coalesce_holds_back(struct vnet_dev *vd, u16 vq)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	struct vnet_coal *coal = vq & 1 ? &cfg->global.tx : &cfg->global.rx;

	if (cfg->rxqs)
		coal = &vnet_coal_queue(vd, vq)->coal;

	return READ_ONCE(coal->usecs) >= VNET_COAL_LONG_US;
}

/**
 * vnet_coalesce_tx_orphan() - are packets orphaned when they are sent
 * @vd: device
 * @pair: queue pair
 *
 * Return: true when tx-frames is 0, for the queue or for all.
 */
bool vnet_coalesce_tx_orphan(struct vnet_dev *vd, u16 pair)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;

	if (!cfg->txqs)
		return !cfg->global.tx.packets;

	return !cfg->txqs[pair].coal.packets && !cfg->txqs[pair].adaptive;
}

static void vnet_coal_apply_orphan(struct vnet_dev *vd)
{
	u16 pair;

	for (pair = 0; pair < vd->caps.max_pairs; pair++)
		vnet_txq_set_orphan(&vd->txqs[pair],
				    vnet_coalesce_tx_orphan(vd, pair));
}

/* Tell a virtqueue that was reset what it has of its own. */
static int vnet_coal_replay_vq(struct vnet_dev *vd, u16 vq)
{
	const struct vnet_coal_global *global = &vd->cfg.policy->coal.global;
	struct vnet_coal_queue *cq = vnet_coal_queue(vd, vq);
	struct vnet_coal has = {};
	int err;

	if (vd->caps.notf_coal)
		has = vq & 1 ? global->tx : global->rx;
	/* A queue of ours has what it had before its reset. */
	if (!vnet_coalesce_by_driver(&vd->caps) &&
	    (vnet_coal_equal(&cq->coal, &has) ||
	     (vnet_coal_idle(&cq->coal) && vnet_coal_idle(&has))))
		return 0;

	err = vnet_coal_tell_vq(vd, vq, &cq->coal);
	if (!vnet_cvq_refused(err))
		return err;

	vnet_warn(vd, drv,
		  "the device does not take the coalescing of virtqueue %u: error %d\n",
		  vq, err);

	return 0;
}

static void vnet_coal_publish(struct vnet_dev *vd, bool tx,
			      const struct vnet_coal *coal, bool adaptive)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	struct vnet_coal_queue *cq = tx ? cfg->txqs : cfg->rxqs;
	u16 pair;

	for (pair = 0; cq && pair < vd->caps.max_pairs; pair++) {
		cq[pair].coal = *coal;
		cq[pair].own = false;
		WRITE_ONCE(cq[pair].adaptive, adaptive);
	}
}

/**
 * vnet_coalesce_of() - the coalescing of one virtqueue, for its samples
 * @vd: device
 * @vq: number of a data virtqueue
 *
 * Return: where it is until vnet_policy_destroy(); NULL without.
 */
struct vnet_coal_queue *vnet_coalesce_of(struct vnet_dev *vd, u16 vq)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	struct vnet_coal_queue *cq = vq & 1 ? cfg->txqs : cfg->rxqs;

	return cq ? &cq[vq / 2] : NULL;
}

static bool vnet_coal_any_own(struct vnet_dev *vd, bool tx)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	struct vnet_coal_queue *cq = tx ? cfg->txqs : cfg->rxqs;
	u16 pair;

	for (pair = 0; cq && pair < vd->caps.max_pairs; pair++)
		if (cq[pair].own || cq[pair].adaptive)
			return true;

	return false;
}

/* Would @coal change anything for this direction, also for single queues? */
static bool vnet_coal_changes(struct vnet_dev *vd, bool tx,
			      const struct vnet_coal_global *new)
{
	const struct vnet_coal_global *old = &vd->cfg.policy->coal.global;

	if (vnet_coal_any_own(vd, tx))
		return true;

	return tx ? new->tx_adaptive != old->tx_adaptive ||
		    !vnet_coal_equal(&new->tx, &old->tx) :
		    new->rx_adaptive != old->rx_adaptive ||
		    !vnet_coal_equal(&new->rx, &old->rx);
}

/* The values that queues have of their own end with this command. */
static int vnet_coal_set_dir(struct vnet_dev *vd, bool tx,
			     const struct vnet_coal_global *new)
{
	bool adaptive = tx ? new->tx_adaptive : new->rx_adaptive;

	if (!vnet_live(vd) || adaptive || !vnet_coal_changes(vd, tx, new))
		return 0;

	return vnet_coal_tell(vd, tx, tx ? &new->tx : &new->rx);
}

/* Have the device go back to what it had, single queues included. */
static void vnet_coal_restore_dir(struct vnet_dev *vd, bool tx)
{
	const struct vnet_coal_global *old = &vd->cfg.policy->coal.global;
	u16 pair;

	if (vnet_coal_tell(vd, tx, tx ? &old->tx : &old->rx))
		return;

	for (pair = 0; vd->caps.vq_notf_coal && pair < vd->cfg.pairs; pair++)
		vnet_coal_replay_vq(vd, 2 * pair + tx);
}

/**
 * vnet_coalesce_set() - coalescing of all queues, also of those set one by one
 * @vd: device
 * @new: values; those of an adaptive direction only hold once it is not
 *
 * Return: 0, or what the device said; then the old values stand.
 */
int vnet_coalesce_set(struct vnet_dev *vd, const struct vnet_coal_global *new)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	int err;

	vnet_compat_assert_locked(vd->dev);

	mutex_lock(&cfg->lock);
	err = vnet_coal_set_dir(vd, false, new);
	if (!err)
		err = vnet_coal_set_dir(vd, true, new);
	if (!err) {
		if (vnet_coal_changes(vd, false, new))
			vnet_coal_publish(vd, false, &new->rx,
					  new->rx_adaptive);
		if (vnet_coal_changes(vd, true, new))
			vnet_coal_publish(vd, true, &new->tx,
					  new->tx_adaptive);
		cfg->global = *new;
		vnet_coal_apply_orphan(vd);
	} else if (vnet_cvq_refused(err)) {
		vnet_coal_restore_dir(vd, false);
		vnet_coal_restore_dir(vd, true);
	}
	mutex_unlock(&cfg->lock);

	return err;
}

/**
 * vnet_coalesce_queue_set() - coalescing of one virtqueue
 * @vd: device whose queues are coalesced one by one
 * @vq: virtqueue
 * @coal: values, for when it is not adaptive
 * @adaptive: dynamic moderation decides
 *
 * Return: 0, or what the device said; then the old values stand.
 */
int vnet_coalesce_queue_set(struct vnet_dev *vd, u16 vq,
			    const struct vnet_coal *coal, bool adaptive)
{
	struct vnet_coal_queue *cq = vnet_coal_queue(vd, vq);
	int err = 0;

	vnet_compat_assert_locked(vd->dev);

	mutex_lock(&vd->cfg.policy->coal.lock);
	if (vnet_live(vd) && !adaptive && vq / 2 < vd->cfg.pairs)
		err = vnet_coal_tell_vq(vd, vq, coal);
	if (vnet_cvq_refused(err))
		vnet_coal_tell_vq(vd, vq, &cq->coal);
	if (!err) {
		cq->own = true;
		if (!adaptive)
			cq->coal = *coal;
		WRITE_ONCE(cq->adaptive, adaptive);
		vnet_coal_apply_orphan(vd);
	}
	mutex_unlock(&vd->cfg.policy->coal.lock);

	return err;
}

static int vnet_coal_ask(struct vnet_dev *vd, u16 vq, struct vnet_coal *coal)
{
	struct vnet_wire_coal wire = {};
	struct vnet_cmd *cmd;
	int err;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, VNET_WIRE_COAL_REPLY);
	if (!cmd)
		return -ENOMEM;

	err = vnet_wire_coal_vq_get(&cmd->w, vq);
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	if (!err)
		err = vnet_wire_coal_reply(cmd->reply, cmd->reply_len, &wire);
	vnet_cmd_put(cmd);
	if (err)
		return err;

	coal->packets = wire.max_packets;
	coal->usecs = wire.max_usecs;

	return 0;
}

/**
 * vnet_coalesce_queue_get() - what a virtqueue really has
 * @vd: device whose queues are coalesced one by one
 * @vq: virtqueue
 * @coal: set to what the device says, or to what it was told last when it
 *	does not say
 * @adaptive: set when dynamic moderation decides
 *
 * Return: 0, or -ETIMEDOUT and the like for a device in trouble.
 */
int vnet_coalesce_queue_get(struct vnet_dev *vd, u16 vq,
			    struct vnet_coal *coal, bool *adaptive)
{
	struct vnet_coal_queue *cq = vnet_coal_queue(vd, vq);
	struct vnet_coal has;
	int err = 0;

	vnet_compat_assert_locked(vd->dev);

	mutex_lock(&vd->cfg.policy->coal.lock);
	*coal = cq->coal;
	*adaptive = cq->adaptive;
	mutex_unlock(&vd->cfg.policy->coal.lock);

	if (vnet_live(vd) && vq / 2 < vd->cfg.pairs && vd->caps.vq_notf_coal) {
		err = vnet_coal_ask(vd, vq, &has);
		/* The device does not know what zero packets stand for. */
		if (!err && !(vnet_coal_idle(&has) && vnet_coal_idle(coal)))
			*coal = has;
	}

	return vnet_cvq_refused(err) ? 0 : err;
}

/* Replay */

/* @coal.lock is held. */
static int __vnet_coalesce_queue_replay(struct vnet_dev *vd, u16 pair)
{
	int err;

	err = vnet_coal_replay_vq(vd, 2 * pair);
	if (!err)
		err = vnet_coal_replay_vq(vd, 2 * pair + 1);

	return err;
}

/**
 * vnet_coalesce_queue_replay() - tell the device about one queue pair again
 * @vd: device
 * @pair: queue pair whose virtqueues were reset or come into use
 *
 * Return: 0, also when the device refuses (that is logged); -ETIMEDOUT and the
 * like when it is in trouble.
 */
int vnet_coalesce_queue_replay(struct vnet_dev *vd, u16 pair)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	int err;

	vnet_compat_assert_locked(vd->dev);

	if (!cfg->rxqs || !vnet_live(vd))
		return 0;

	mutex_lock(&cfg->lock);
	err = __vnet_coalesce_queue_replay(vd, pair);
	mutex_unlock(&cfg->lock);

	return err;
}

static int vnet_coal_replay_dir(struct vnet_dev *vd, bool tx,
				const struct vnet_coal *coal)
{
	int err;

	if (!vd->caps.notf_coal || vnet_coal_idle(coal))
		return 0;

	err = vnet_coal_tell(vd, tx, coal);
	if (!vnet_cvq_refused(err))
		return err;

	vnet_warn(vd, drv, "the device does not take %s coalescing: error %d\n",
		  tx ? "tx" : "rx", err);

	return 0;
}

/**
 * vnet_coalesce_replay() - tell a reset device all of this again
 * @vd: device, live
 *
 * Return: 0, also when the device refuses (that is logged); -ETIMEDOUT and the
 * like when it is in trouble.
 */
int vnet_coalesce_replay(struct vnet_dev *vd)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	u16 pair;
	int err;

	vnet_compat_assert_locked(vd->dev);

	mutex_lock(&cfg->lock);
	cfg->pairs = vd->cfg.pairs;
	err = vnet_coal_replay_dir(vd, false, &cfg->global.rx);
	if (!err)
		err = vnet_coal_replay_dir(vd, true, &cfg->global.tx);
	for (pair = 0; !err && cfg->rxqs && pair < vd->cfg.pairs; pair++)
		err = __vnet_coalesce_queue_replay(vd, pair);
	mutex_unlock(&cfg->lock);

	return err;
}

/* Life */

static int vnet_coal_create_queues(struct vnet_dev *vd)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	u16 nr = vd->caps.max_pairs, pair;

	cfg->rxqs = kvcalloc(nr, sizeof(*cfg->rxqs), GFP_KERNEL);
	cfg->txqs = kvcalloc(nr, sizeof(*cfg->txqs), GFP_KERNEL);
	if (!cfg->rxqs || !cfg->txqs) {
		kvfree(cfg->rxqs);
		kvfree(cfg->txqs);
		cfg->rxqs = NULL;
		cfg->txqs = NULL;
		return -ENOMEM;
	}

	for (pair = 0; pair < nr; pair++) {
		vnet_coal_init_queue(vd, &cfg->rxqs[pair], 2 * pair);
		vnet_coal_init_queue(vd, &cfg->txqs[pair], 2 * pair + 1);
		cfg->rxqs[pair].coal = cfg->global.rx;
		cfg->txqs[pair].coal = cfg->global.tx;
	}

	return 0;
}

/* The core's profiles are RTNL's. Context: process; not under RTNL. */
static void vnet_coal_free_profiles(struct vnet_dev *vd)
{
	rtnl_lock();
	net_dim_free_irq_moder(vd->dev);
	rtnl_unlock();
}

/**
 * vnet_coalesce_create() - allocate the state
 * @vd: device
 *
 * Context: process; not under RTNL.
 * Return: 0 or -ENOMEM.
 */
int vnet_coalesce_create(struct vnet_dev *vd)
{
	int err;

	mutex_init(&vd->cfg.policy->coal.lock);
	vd->cfg.policy->coal.global.tx.packets = 1;
	if (vnet_coalesce_by_driver(&vd->caps))
		vd->cfg.policy->coal.global.rx.packets = 1;
	if (!vnet_coalesce_per_queue(&vd->caps))
		return 0;

	err = net_dim_init_irq_moder(vd->dev, DIM_PROFILE_RX | DIM_PROFILE_TX,
				     DIM_COALESCE_USEC | DIM_COALESCE_PKTS,
				     DIM_CQ_PERIOD_MODE_START_FROM_EQE,
				     DIM_CQ_PERIOD_MODE_START_FROM_EQE,
				     vnet_dim_work, vnet_dim_work);
	if (err)
		return err;

	err = vnet_coal_create_queues(vd);
	if (err)
		vnet_coal_free_profiles(vd);

	return err;
}

/**
 * vnet_coalesce_destroy() - free the state
 * @vd: device; no poll runs any more
 *
 * Context: process; may sleep; not under RTNL.
 */
void vnet_coalesce_destroy(struct vnet_dev *vd)
{
	struct vnet_coal_cfg *cfg = &vd->cfg.policy->coal;
	u16 pair;

	if (cfg->rxqs) {
		for (pair = 0; pair < vd->caps.max_pairs; pair++) {
			cancel_work_sync(&cfg->rxqs[pair].dim.work);
			cancel_work_sync(&cfg->txqs[pair].dim.work);
		}
		kvfree(cfg->rxqs);
		kvfree(cfg->txqs);
		vnet_coal_free_profiles(vd);
	}
	mutex_destroy(&cfg->lock);
}
