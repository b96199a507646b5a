// SPDX-License-Identifier: GPL-2.0
/*
 * The one door for change: vnet_cfg_apply().
 */
#include <linux/cpumask.h>
#include <linux/ethtool.h>
#include <linux/log2.h>

#include "vnet.h"
#include "vnet_niov.h"
#include "vnet_policy.h"
#include "vnet_queue.h"
#include "vnet_rxbuf.h"
#include "vnet_tx.h"
#include "vnet_xdp.h"
#include "vnet_xsk.h"

/*
 * Largest receive buffer unless the user wants another one: two pages carry
 * a 64 KiB packet in nine buffers, and an idle ring costs no more for it.
 */
#define VNET_RX_BUF_LEN_DEFAULT	SZ_8K

/**
 * struct vnet_pair_mem - new memory of one queue pair
 * @rx: of the receive queue
 * @tx: of the transmit queue
 */
struct vnet_pair_mem {
	struct vnet_rx_mem rx;
	struct vnet_tx_mem tx;
};

/**
 * struct vnet_plan - a change that has been thought through
 * @cfg: the new configuration
 * @caps: what the device can do under it
 * @renegotiate: @caps takes other features than the device has now
 * @from: first of the queue pairs in use that need other memory
 * @to: the pair behind the last one, @from if there is none
 */
struct vnet_plan {
	const struct vnet_cfg *cfg;
	struct vnet_caps caps;
	bool renegotiate;
	u16 from;
	u16 to;
};

/**
 * vnet_cfg_init() - what a user gets who has not asked for anything
 * @vd: device with caps, policy and net device features set
 *
 * Context: process, at probe.
 */
void vnet_cfg_init(struct vnet_dev *vd)
{
	struct vnet_cfg *cfg = &vd->cfg;

	cfg->pairs = min_t(u32, vd->caps.max_pairs, num_online_cpus());
	cfg->mtu = vd->dev->mtu;
	cfg->rx_buf_len = VNET_RX_BUF_LEN_DEFAULT;
	cfg->rx_csum = vd->dev->features & NETIF_F_RXCSUM;
	cfg->rx_hash = vd->dev->features & NETIF_F_RXHASH;
	cfg->rx_gso = vd->dev->features & NETIF_F_GRO_HW;
}

static int vnet_cfg_check_rings(const struct vnet_caps *caps,
				const struct vnet_cfg *new,
				struct netlink_ext_ack *extack)
{
	if (caps->packed)
		return 0;

	if ((new->rx_ring && !is_power_of_2(new->rx_ring)) ||
	    (new->tx_ring && !is_power_of_2(new->tx_ring))) {
		NL_SET_ERR_MSG(extack,
			       "rings of this device have a power of two entries");
		return -EINVAL;
	}

	return 0;
}

/*
 * Receive offloads are switched by a command. A device without it is asked for
 * other features instead, which takes a reset.
 */
static void vnet_cfg_plan(struct vnet_dev *vd, const struct vnet_cfg *new,
			  struct vnet_plan *plan)
{
	struct vnet_features f = vd->offered, cleared;

	if (!vd->caps.ctrl_guest_offloads) {
		if (vnet_cfg_raw(new) || !new->rx_csum)
			vnet_caps_drop_offloads(&f, true);
		else if (!new->rx_gso)
			vnet_caps_drop_offloads(&f, false);
	}
	vnet_caps_check(&f, &vd->devcfg, &cleared);
	vnet_caps_resolve(&plan->caps, &f, &vd->devcfg);
	plan->cfg = new;
	plan->renegotiate = memcmp(&f, &vd->caps.features, sizeof(f));
}

/* Can queue pair @i work on the frames of its AF_XDP pool? */
static int vnet_cfg_check_pool(struct vnet_dev *vd, const struct vnet_plan *plan,
			       const struct vnet_size_in *in, u16 i,
			       struct netlink_ext_ack *extack)
{
	const struct vnet_cfg *new = plan->cfg;
	struct vnet_rx_layout l;
	u32 room, need;

	if (vnet_xsk_layout(&l, in, new->xsk[i])) {
		NL_SET_ERR_MSG_FMT(extack,
				   "a packet of MTU %u does not fit the AF_XDP frames of queue %u",
				   new->mtu, i);
		return -EINVAL;
	}

	room = vnet_size_capacity(&l, in->hdr_len);
	if (new->xdp && !new->xdp->aux->xdp_has_frags &&
	    new->mtu + VNET_SIZE_L2 > room) {
		NL_SET_ERR_MSG_FMT(extack,
				   "MTU %u takes several AF_XDP frames of queue %u: load a program with frags support",
				   new->mtu, i);
		return -EOPNOTSUPP;
	}

	need = DIV_ROUND_UP(new->mtu + VNET_SIZE_L2, room) + !in->any_layout;
	if (vnet_rxq_ring(&vd->rxqs[i], new) < need ||
	    !vnet_xsk_tx_fits(vnet_txq_ring(&vd->txqs[i], new), in->indirect,
			      new->xsk[i])) {
		NL_SET_ERR_MSG_FMT(extack,
				   "the rings are too small for the AF_XDP frames of queue %u",
				   i);
		return -EINVAL;
	}

	return 0;
}

static int vnet_cfg_check_pools(struct vnet_dev *vd,
				const struct vnet_plan *plan,
				const struct vnet_size_in *in,
				struct netlink_ext_ack *extack)
{
	int err = 0;
	u16 i;

	if (!plan->cfg->nr_xsk)
		return 0;

	for (i = 0; i < vd->caps.max_pairs && !err; i++)
		if (plan->cfg->xsk[i])
			err = vnet_cfg_check_pool(vd, plan, in, i, extack);

	return err;
}

/*
 * Can the queues that are bound to memory providers go on? Their memory is not
 * readable here, and comes in pieces of one size.
 */
static int vnet_cfg_check_niovs(struct vnet_dev *vd,
				const struct vnet_plan *plan,
				const struct vnet_size_in *base,
				struct netlink_ext_ack *extack)
{
	struct vnet_size_in in = *base;
	struct vnet_rx_layout layout;
	u16 i;

	for (i = 0; i < vd->cfg.pairs; i++) {
		in.piece = vnet_niov_size(vd, i);
		if (!in.piece)
			continue;

		if (!plan->cfg->rx_csum || !plan->caps.guest_csum) {
			NL_SET_ERR_MSG_FMT(extack,
					   "memory provider on queue %u: only the device can verify checksums",
					   i);
			return -EBUSY;
		}
		in.ring = vnet_rxq_ring(&vd->rxqs[i], plan->cfg);
		if (vnet_size_rx_layout(&layout, &in)) {
			NL_SET_ERR_MSG_FMT(extack,
					   "memory provider on queue %u: its pages could not hold a packet",
					   i);
			return -EBUSY;
		}
	}

	return 0;
}

/* Can a queue with this configuration receive at all? */
static int vnet_cfg_check(struct vnet_dev *vd, const struct vnet_plan *plan,
			  struct netlink_ext_ack *extack)
{
	const struct vnet_caps *caps = &plan->caps;
	const struct vnet_cfg *new = plan->cfg;
	struct vnet_rx_layout layout;
	struct vnet_size_in in;
	int err;

	if (!new->pairs || new->pairs > caps->max_pairs) {
		NL_SET_ERR_MSG_FMT(extack, "this device has %u queue pairs",
				   caps->max_pairs);
		return -EINVAL;
	}

	vnet_rxmem_size_in(caps, new, &in);
	err = vnet_size_rx_layout(&layout, &in);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "no receive buffer can hold a packet of this MTU");
		return err;
	}

	if (new->xdp) {
		err = vnet_xdp_check(new, &layout, caps->hdr_len, extack);
		if (err)
			return err;
	}

	err = vnet_cfg_check_pools(vd, plan, &in, extack);
	if (!err)
		err = vnet_cfg_check_niovs(vd, plan, &in, extack);
	if (err)
		return err;

	if (new->rx_ring &&
	    new->rx_ring < vnet_size_rx_ring_min(&layout, &in)) {
		NL_SET_ERR_MSG_FMT(extack,
				   "one packet may take %u entries of the rx ring",
				   vnet_size_rx_ring_min(&layout, &in));
		return -EINVAL;
	}

	if (new->tx_ring &&
	    new->tx_ring < vnet_size_tx_ring_min(caps->indirect)) {
		NL_SET_ERR_MSG_FMT(extack,
				   "one packet may take %u entries of the tx ring",
				   vnet_size_tx_ring_min(caps->indirect));
		return -EINVAL;
	}

	return vnet_cfg_check_rings(caps, new, extack);
}

static void vnet_cfg_free_mem(struct vnet_pair_mem *mem, u16 nr)
{
	while (nr--) {
		vnet_rxmem_destroy(&mem[nr].rx);
		vnet_txmem_destroy(&mem[nr].tx);
	}
	kfree(mem);
}

/* All memory that @plan needs for its queue pairs, or an error and nothing. */
static struct vnet_pair_mem *vnet_cfg_alloc_mem(struct vnet_dev *vd,
						const struct vnet_plan *plan)
{
	u16 nr = plan->to - plan->from;
	const struct vnet_cfg *new = plan->cfg;
	struct vnet_pair_mem *mem;
	int err = 0;
	u16 i;

	mem = kcalloc(nr, sizeof(*mem), GFP_KERNEL);
	if (!mem)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < nr && !err; i++) {
		struct vnet_rxq *rxq = &vd->rxqs[plan->from + i];
		struct vnet_txq *txq = &vd->txqs[plan->from + i];

		err = vnet_rxmem_create(rxq, &plan->caps, new,
					vnet_rxq_ring(rxq, new), &mem[i].rx);
		if (!err)
			err = vnet_txmem_create(txq, &plan->caps, new,
						vnet_txq_ring(txq, new),
						&mem[i].tx);
	}
	if (err) {
		vnet_cfg_free_mem(mem, nr);
		return ERR_PTR(err);
	}

	return mem;
}

/* Replace the memory of queue pairs; they stay as many. */
static int vnet_cfg_apply_mem(struct vnet_dev *vd, const struct vnet_plan *plan)
{
	u16 pairs = vd->cfg.pairs, i;
	struct vnet_pair_mem *mem;

	mem = vnet_cfg_alloc_mem(vd, plan);
	if (IS_ERR(mem))
		return PTR_ERR(mem);

	/* Nothing can fail past this point; what does is for recovery. */
	netif_tx_disable(vd->dev);
	vnet_life_pause(vd, plan->from, plan->to, plan->renegotiate);
	vd->cfg = *plan->cfg;
	vd->cfg.pairs = pairs;
	vd->caps = plan->caps;
	for (i = plan->from; i < plan->to; i++)
		if (vnet_pair_replace(vd, i, &mem[i - plan->from].rx,
				      &mem[i - plan->from].tx))
			vnet_life_later(vd);
	kfree(mem);
	if (vnet_life_settle(vd))
		vnet_life_later(vd);

	return 0;
}

/* No queue runs, so there is no memory to replace. */
static int vnet_cfg_renegotiate(struct vnet_dev *vd,
				const struct vnet_plan *plan)
{
	struct vnet_cfg old = vd->cfg;
	struct vnet_caps caps = vd->caps;
	int err;

	vnet_life_pause(vd, 0, 0, true);
	vd->caps = plan->caps;
	vd->cfg = *plan->cfg;
	vd->cfg.pairs = old.pairs;
	err = vnet_life_settle(vd);
	if (!err)
		return 0;

	vd->caps = caps;
	vd->cfg = old;
	vnet_life_retry(vd);

	return err;
}

/*
 * A queue that is bound to a memory provider stays the stack's also when the
 * device has taken it away: the core can part only queues that there are.
 */
static u16 vnet_cfg_stack_rxqs(const struct vnet_dev *vd, u16 pairs)
{
	u16 i = vd->dev->real_num_rx_queues;

	while (i > pairs && !vnet_niov_size(vd, i - 1))
		i--;

	return max(i, pairs);
}

/* What a user has set of queues that are no more comes back with them. */
static int vnet_cfg_tell_stack(struct vnet_dev *vd, u16 pairs)
{
	vnet_queues_remember(vd, pairs);

	return netif_set_real_num_queues(vd->dev, pairs,
					 vnet_cfg_stack_rxqs(vd, pairs));
}

static int vnet_cfg_more_pairs(struct vnet_dev *vd, u16 pairs)
{
	u16 old = vd->cfg.pairs;
	int err;

	/* They run before the device is told of them, if it runs at all. */
	vnet_life_set_pairs(vd, pairs);
	err = vnet_life_settle(vd);
	/* The device was reset on the way, and is back with the old ones. */
	if (!err && vd->life.want.pairs != pairs)
		err = -EAGAIN;
	if (!err)
		err = vnet_pairs_set(vd, pairs);
	if (err)
		goto err_down;

	err = vnet_cfg_tell_stack(vd, pairs);
	if (err)
		goto err_pairs;

	vd->cfg.pairs = pairs;

	return 0;

err_pairs:
	vnet_pairs_send(vd, old, pairs, false);
	vnet_pairs_set(vd, old);
err_down:
	vnet_life_set_pairs(vd, old);
	if (vnet_life_settle(vd))
		vnet_life_later(vd);
	return err;
}

/*
 * Nothing is sent on the upper queues once the device has been told (VIRTIO
 * 1.4, 5.1.9.5.6.1); packets may come on them until it has taken the command.
 */
static int vnet_cfg_fewer_pairs(struct vnet_dev *vd, u16 pairs)
{
	u16 old = vd->cfg.pairs;
	int err;

	err = vnet_cfg_tell_stack(vd, pairs);
	if (err)
		return err;

	vnet_pairs_send(vd, pairs, old, false);
	synchronize_net();
	err = vnet_pairs_set(vd, pairs);
	if (err) {
		vnet_pairs_send(vd, pairs, old, true);
		/* What there is no memory for now is done when there is. */
		if (vnet_cfg_tell_stack(vd, old))
			queue_work(system_long_wq, &vd->pairs_work);
		else
			vnet_queues_spread(vd);
		return err;
	}

	vd->cfg.pairs = pairs;
	vnet_life_set_pairs(vd, pairs);
	if (vnet_life_settle(vd))
		vnet_life_later(vd);

	return 0;
}

static int vnet_cfg_apply_pairs(struct vnet_dev *vd, u16 pairs)
{
	int err;

	if (pairs == vd->cfg.pairs)
		return 0;

	if (!vd->life.want.up) {
		err = vnet_pairs_set(vd, pairs);
		if (!err)
			err = vnet_cfg_tell_stack(vd, pairs);
		if (!err)
			vd->cfg.pairs = pairs;
		vnet_life_set_pairs(vd, vd->cfg.pairs);
	} else if (pairs > vd->cfg.pairs) {
		err = vnet_cfg_more_pairs(vd, pairs);
	} else {
		err = vnet_cfg_fewer_pairs(vd, pairs);
	}
	if (!vnet_live(vd))
		return err;

	if (!err)
		vnet_queues_spread(vd);
	/* Also those that started in vain: a stopped queue looks stalled. */
	if (vd->life.want.up)
		netif_tx_wake_all_queues(vd->dev);

	return err;
}

/* Has the stack the queues that it is to have? */
static bool vnet_cfg_stack_knows(const struct vnet_dev *vd)
{
	const struct net_device *dev = vd->dev;
	u16 pairs = vd->cfg.pairs;

	return dev->real_num_tx_queues == pairs &&
	       dev->real_num_rx_queues == vnet_cfg_stack_rxqs(vd, pairs);
}

/**
 * vnet_cfg_pairs_work() - have the net device follow vd->cfg.pairs
 * @work: pairs_work of a device
 *
 * For a change that came from the device, where rtnl was not to be had, or
 * from a memory provider who has left a queue that the device took away.
 */
void vnet_cfg_pairs_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(work, struct vnet_dev, pairs_work);

	vnet_compat_lock_rtnl(vd->dev);
	if (!vnet_leaving(vd) && !vnet_cfg_stack_knows(vd) &&
	    !vnet_cfg_tell_stack(vd, vd->cfg.pairs) && vnet_live(vd))
		vnet_queues_spread(vd);
	vnet_compat_unlock_rtnl(vd->dev);
}

static bool vnet_cfg_mem_differs(const struct vnet_cfg *a,
				 const struct vnet_cfg *b)
{
	return a->rx_ring != b->rx_ring || a->tx_ring != b->tx_ring ||
	       a->mtu != b->mtu || a->rx_buf_len != b->rx_buf_len ||
	       a->hds != b->hds ||
	       !a->xdp != !b->xdp;
}

/* An AF_XDP pool concerns one queue pair, all else that needs memory all. */
static bool vnet_cfg_plan_mem(struct vnet_dev *vd, struct vnet_plan *plan)
{
	bool all = plan->renegotiate ||
		   vnet_cfg_mem_differs(&vd->cfg, plan->cfg);
	u16 i;

	plan->from = 0;
	plan->to = 0;
	if (!vd->life.want.up)
		return false;

	for (i = 0; i < vd->cfg.pairs; i++) {
		if (!all && vd->rxqs[i].mem.xsk == plan->cfg->xsk[i])
			continue;
		if (!plan->to)
			plan->from = i;
		plan->to = i + 1;
	}

	return plan->to;
}

/* What the polls read of @new without any change of memory */
static void vnet_cfg_apply_rest(struct vnet_dev *vd, const struct vnet_cfg *new)
{
	u16 pairs = vd->cfg.pairs, i;

	vd->cfg = *new;
	vd->cfg.pairs = pairs;
	for (i = 0; vd->life.want.up && i < pairs; i++) {
		struct vnet_rxq *rxq = &vd->rxqs[i];

		rcu_assign_pointer(rxq->xdp_prog, new->xdp);
		WRITE_ONCE(rxq->copybreak, new->rx_copybreak);
		WRITE_ONCE(rxq->hdr_ctx.rxcsum, new->rx_csum);
		WRITE_ONCE(rxq->rx_hash, vd->caps.hash_report && new->rx_hash);
	}
}

/* Everything of @plan that has to do with queues */
static int vnet_cfg_apply_queues(struct vnet_dev *vd,
				 struct vnet_plan *plan,
				 struct netlink_ext_ack *extack)
{
	int err = 0;

	if (vnet_cfg_plan_mem(vd, plan)) {
		err = vnet_cfg_apply_mem(vd, plan);
		if (err)
			NL_SET_ERR_MSG(extack, "no memory for the new queues");
	} else if (vnet_live(vd) && plan->renegotiate) {
		err = vnet_cfg_renegotiate(vd, plan);
		if (err)
			NL_SET_ERR_MSG(extack,
				       "the device refused other features");
	} else if (plan->renegotiate) {
		/* When the device comes back */
		vd->caps = plan->caps;
	}
	if (err)
		return err;

	err = vnet_cfg_apply_pairs(vd, plan->cfg->pairs);
	if (err)
		NL_SET_ERR_MSG(extack, "the queue pairs could not be changed");

	return err;
}

/*
 * Without a program packets may be merged, and take more of a ring than it has.
 * The user who has made it so small cannot be asked when a program goes because
 * its owner or the driver does: the rings grow to what the device gives.
 */
static int vnet_cfg_check_detach(struct vnet_dev *vd, struct vnet_plan *plan,
				 struct vnet_cfg *grown)
{
	int err = vnet_cfg_check(vd, plan, NULL);

	if (!err)
		return 0;

	*grown = *plan->cfg;
	grown->rx_ring = 0;
	grown->tx_ring = 0;
	plan->cfg = grown;
	err = vnet_cfg_check(vd, plan, NULL);
	if (!err)
		netdev_info(vd->dev, "without the program packets take larger rings\n");

	return err;
}

/**
 * vnet_cfg_apply() - make @new the configuration in force
 * @vd: device
 * @new: an edited copy of vd->cfg
 * @extack: where a refusal is explained, or NULL
 *
 * Allocate, stop, swap, start, free: a change that fails leaves the old
 * configuration in force, with traffic flowing. A device that does not come
 * back is left to recovery. A program can always be detached: where there is
 * no memory for the layout without one, no room for it in the rings, or the
 * device does not answer, less changes than could, or the rings grow.
 *
 * Context: process, sleeps; instance lock held, rtnl too if @new->pairs differs.
 * Return: 0, -EINVAL or -E2BIG for a value out of range, -EOPNOTSUPP for a
 * program that cannot run, -ENOMEM, or the error of the device.
 */
int vnet_cfg_apply(struct vnet_dev *vd, const struct vnet_cfg *new,
		   struct netlink_ext_ack *extack)
{
	bool detach = vd->cfg.xdp && !new->xdp;
	struct vnet_plan plan = {};
	struct vnet_cfg grown;
	int err;

	vnet_compat_assert_locked(vd->dev);
	vnet_cfg_plan(vd, new, &plan);
	if (detach)
		err = vnet_cfg_check_detach(vd, &plan, &grown);
	else
		err = vnet_cfg_check(vd, &plan, extack);
	if (err && !detach)
		return err;

	/* The last packet that a program sees must not be a merged one. */
	if (!detach)
		err = vnet_offloads_set(vd, vnet_offloads_wanted(&vd->caps,
								 new));
	if (err && !detach) {
		NL_SET_ERR_MSG(extack,
			       "the device refused to change its offloads");
		return err;
	}

	if (!err)
		err = vnet_cfg_apply_queues(vd, &plan, detach ? NULL : extack);
	if (err && !detach) {
		vnet_offloads_set(vd, vnet_offloads_wanted(&vd->caps, &vd->cfg));
		return err;
	}

	vnet_cfg_apply_rest(vd, plan.cfg);
	if (detach)
		vnet_offloads_set(vd, vnet_offloads_wanted(&vd->caps, new));

	return 0;
}

/* The pool must go although its queue pair got no other memory. */
static void vnet_cfg_evict(struct vnet_dev *vd, u16 queue,
			   struct xsk_buff_pool *pool)
{
	if (vd->rxqs[queue].mem.xsk != pool)
		return;

	vnet_life_pause(vd, queue, queue + 1, false);
	vnet_pair_free(vd, queue);
	if (vnet_life_settle(vd))
		vnet_life_later(vd);
	if (vd->rxqs[queue].mem.xsk == pool)
		vnet_xsk_abandon(&vd->rxqs[queue], &vd->txqs[queue]);
}

/**
 * vnet_cfg_xsk() - bind an AF_XDP pool to a queue pair, or take it away
 * @vd: device
 * @queue: queue pair
 * @pool: pool to bind, or NULL
 * @extack: where a refusal is explained, or NULL
 *
 * Taking away never fails: AF_XDP frees the pool when this returns.
 *
 * Context: process, sleeps; instance lock and rtnl held.
 * Return: 0; -EINVAL for a queue that does not exist or frames that are too
 * small, -EBUSY for a second pool, -EOPNOTSUPP for a pool that cannot be
 * mapped, -ENOMEM, or the error of the device.
 */
int vnet_cfg_xsk(struct vnet_dev *vd, u16 queue, struct xsk_buff_pool *pool,
		 struct netlink_ext_ack *extack)
{
	struct vnet_cfg new = vd->cfg;
	struct xsk_buff_pool *old;
	int err;

	if (queue >= vd->caps.max_pairs || (pool && queue >= vd->cfg.pairs)) {
		NL_SET_ERR_MSG(extack, "no such queue");
		return -EINVAL;
	}

	old = new.xsk[queue];
	if (pool && old) {
		NL_SET_ERR_MSG(extack, "the queue has a pool already");
		return -EBUSY;
	}
	if (pool == old)
		return 0;

	err = pool ? vnet_xsk_map(vd, pool, extack) : 0;
	if (err)
		return err;

	new.nr_xsk += pool ? 1 : -1;
	new.xsk[queue] = pool;
	err = vnet_cfg_apply(vd, &new, extack);
	if (err && pool)
		new.xsk[queue] = NULL;
	else
		vd->cfg.nr_xsk = new.nr_xsk;
	if (!pool)
		vnet_cfg_evict(vd, queue, old);
	if (err || !pool)
		xsk_pool_dma_unmap(pool ? : old, 0);

	return pool ? err : 0;
}
