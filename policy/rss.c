// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs, hashing and steering.
 *
 * A device with RSS learns the number of queue pairs from the same command as
 * the indirection table; one without learns it from a command of its own. A
 * device that only reports hashes is told the hash types and the key.
 */
#include <linux/ethtool.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_policy.h"

/* Which hash types a flow type stands for */
struct vnet_flow_row {
	u32 flow;
	u32 l4;
	u32 l3;
};

#define VNET_HASH_L3_V4		VNET_HASH_IPV4
#define VNET_HASH_L3_V6		(VNET_HASH_IPV6 | VNET_HASH_IP_EX)

static const struct vnet_flow_row vnet_flow_rows[] = {
	{ TCP_V4_FLOW, VNET_HASH_TCPV4, VNET_HASH_L3_V4 },
	{ UDP_V4_FLOW, VNET_HASH_UDPV4, VNET_HASH_L3_V4 },
	{ IPV4_FLOW, 0, VNET_HASH_L3_V4 },
	{ TCP_V6_FLOW, VNET_HASH_TCPV6 | VNET_HASH_TCP_EX, VNET_HASH_L3_V6 },
	{ UDP_V6_FLOW, VNET_HASH_UDPV6 | VNET_HASH_UDP_EX, VNET_HASH_L3_V6 },
	{ IPV6_FLOW, 0, VNET_HASH_L3_V6 },
};

#define VNET_FIELDS_L3		(RXH_IP_SRC | RXH_IP_DST)
#define VNET_FIELDS_L4		(VNET_FIELDS_L3 | RXH_L4_B_0_1 | RXH_L4_B_2_3)

static const struct vnet_flow_row *vnet_flow_find(u32 flow)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vnet_flow_rows); i++)
		if (vnet_flow_rows[i].flow == flow)
			return &vnet_flow_rows[i];

	return NULL;
}

/**
 * vnet_rss_flow_set() - choose what is hashed of one kind of packets
 * @caps: capabilities
 * @flow: TCP_V4_FLOW and the like
 * @fields: RXH_* wanted: none, addresses, or addresses and ports
 * @types: VNET_HASH_*, changed for this kind only
 *
 * The device hashes the addresses of a TCP or UDP packet exactly when it does
 * so for other IP packets, so "addresses only" needs that and "none" its
 * absence.
 *
 * Return: 0; -EINVAL for a flow type or fields that no virtio device knows,
 * -EOPNOTSUPP when this one cannot, -EBUSY when the setting for plain IP
 * packets has to be changed first.
 */
int vnet_rss_flow_set(const struct vnet_caps *caps, u32 flow, u32 fields,
		      u32 *types)
{
	const struct vnet_flow_row *row = vnet_flow_find(flow);
	u32 l3, l4;

	if (!row)
		return -EINVAL;

	l3 = row->l3 & caps->hash_types;
	l4 = row->l4 & caps->hash_types;

	if (fields == VNET_FIELDS_L4 && row->l4) {
		if (!l4)
			return -EOPNOTSUPP;
		*types |= l4;
		return 0;
	}

	if (fields && fields != VNET_FIELDS_L3)
		return -EINVAL;
	if (fields && !l3)
		return -EOPNOTSUPP;

	if (!row->l4) {
		*types = (*types & ~row->l3) | (fields ? l3 : 0);
		return 0;
	}

	if (!!(*types & row->l3) != !!fields)
		return -EBUSY;
	*types &= ~row->l4;

	return 0;
}

/**
 * vnet_rss_flow_get() - what is hashed of one kind of packets
 * @types: VNET_HASH_*
 * @flow: TCP_V4_FLOW and the like
 * @fields: set to RXH_*
 *
 * Return: 0, or -EINVAL for an unknown flow type.
 */
int vnet_rss_flow_get(u32 types, u32 flow, u32 *fields)
{
	const struct vnet_flow_row *row = vnet_flow_find(flow);

	if (!row)
		return -EINVAL;

	if (types & row->l4)
		*fields = VNET_FIELDS_L4;
	else
		*fields = types & row->l3 ? VNET_FIELDS_L3 : 0;

	return 0;
}

static size_t vnet_rss_size(const struct vnet_dev *vd)
{
	return struct_size_t(struct vnet_rss_cfg, table,
			     vd->caps.rss_indir_len);
}

/* Spread the table over @pairs, unless the user has made it. */
static void vnet_rss_spread(struct vnet_dev *vd, struct vnet_rss_cfg *rss,
			    u16 pairs)
{
	unsigned int i;

	if (netif_is_rxfh_configured(vd->dev) && !rss->lost)
		return;

	for (i = 0; i < rss->table_len; i++)
		rss->table[i] = ethtool_rxfh_indir_default(i, pairs);
}

/* The system's key, as far as it goes. */
static void vnet_rss_default_key(struct vnet_rss_cfg *rss)
{
	get_random_bytes(rss->key, sizeof(rss->key));
	netdev_rss_key_fill(rss->key, min_t(size_t, rss->key_len,
					    NETDEV_RSS_KEY_LEN));
}

/* Commands */

static int vnet_rss_exec(struct vnet_dev *vd, struct vnet_cmd *cmd, int err)
{
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	vnet_cmd_put(cmd);

	return err;
}

static void vnet_rss_to_wire(struct vnet_wire_rss *wire,
			     const struct vnet_rss_cfg *rss, u16 pairs)
{
	wire->types = rss->types;
	wire->table = rss->table;
	wire->nr_table = rss->table_len;
	wire->unclassified = rss->unclassified;
	wire->max_tx_vq = pairs;
	wire->key = rss->key;
	wire->key_len = rss->key_len;
}

static int vnet_rss_tell(struct vnet_dev *vd, const struct vnet_rss_cfg *rss,
			 u16 pairs)
{
	struct vnet_wire_rss wire;
	struct vnet_cmd *cmd;

	vnet_rss_to_wire(&wire, rss, pairs);
	cmd = vnet_cmd_alloc(vnet_wire_rss_size(wire.nr_table, wire.key_len),
			     0);
	if (!cmd)
		return -ENOMEM;

	return vnet_rss_exec(vd, cmd, vnet_wire_rss(&cmd->w, &wire));
}

/* For devices that report hashes and do not steer by them */
static int vnet_hash_tell(struct vnet_dev *vd, const struct vnet_rss_cfg *rss)
{
	u32 types = rss->report ? rss->types : 0;
	struct vnet_cmd *cmd;

	cmd = vnet_cmd_alloc(vnet_wire_hash_size(rss->key_len), 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_rss_exec(vd, cmd, vnet_wire_hash(&cmd->w, types, rss->key,
						     rss->key_len));
}

static int vnet_tunnel_tell(struct vnet_dev *vd, u32 types)
{
	struct vnet_cmd *cmd;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_rss_exec(vd, cmd, vnet_wire_hash_tunnel(&cmd->w, types));
}

static int vnet_vq_pairs_tell(struct vnet_dev *vd, u16 pairs)
{
	struct vnet_cmd *cmd;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_rss_exec(vd, cmd,
			     vnet_wire_vq_pairs(&cmd->w, vd->caps.le, pairs));
}

/*
 * For devices that do not steer by the hash. QEMU's forgets the hash
 * configuration when it is told a number of pairs, so that has to follow.
 */
static int vnet_mq_tell(struct vnet_dev *vd, u16 pairs)
{
	int err = vnet_vq_pairs_tell(vd, pairs);

	if (!err && vd->caps.hash_report)
		err = vnet_hash_tell(vd, vd->cfg.policy->rss);

	return err;
}

static int vnet_rss_tell_steering(struct vnet_dev *vd,
				  const struct vnet_rss_cfg *rss, u16 pairs)
{
	return vd->caps.rss ? vnet_rss_tell(vd, rss, pairs) :
			      vnet_hash_tell(vd, rss);
}

/**
 * vnet_rss_edit() - get a copy of the state in force, to be edited
 * @vd: device
 *
 * Return: the copy, for vnet_rss_commit() or kfree(); NULL without memory.
 */
struct vnet_rss_cfg *vnet_rss_edit(struct vnet_dev *vd)
{
	vnet_compat_assert_locked(vd->dev);

	return kmemdup(vd->cfg.policy->rss, vnet_rss_size(vd), GFP_KERNEL);
}

/* RSS contexts beside the default one; the core keeps what they are */

static int vnet_rss_ctx_max(struct vnet_dev *vd, u16 *max)
{
	struct vnet_cmd *cmd;
	int err;

	cmd = vnet_cmd_alloc(0, VNET_WIRE_RSS_CTX_CAP_REPLY);
	if (!cmd)
		return -ENOMEM;

	err = vnet_wire_rss_ctx_cap(&cmd->w);
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	if (!err)
		err = vnet_wire_rss_ctx_cap_reply(cmd->reply, cmd->reply_len,
						  max);
	vnet_cmd_put(cmd);

	return err;
}

static int vnet_rss_ctx_tell(struct vnet_dev *vd, u16 id, bool add,
			     const struct vnet_rss_cfg *rss)
{
	struct vnet_wire_rss wire;
	struct vnet_cmd *cmd;
	int err;

	vnet_rss_to_wire(&wire, rss, vd->cfg.pairs);
	cmd = vnet_cmd_alloc(vnet_wire_rss_ctx_size(wire.nr_table,
						    wire.key_len), 0);
	if (!cmd)
		return -ENOMEM;

	err = add ? vnet_wire_rss_ctx_add(&cmd->w, id, &wire) :
		    vnet_wire_rss_ctx_mod(&cmd->w, id, &wire);

	return vnet_rss_exec(vd, cmd, err);
}

/* What a context has that its owner did not say, it has from the default. */
static int vnet_rss_ctx_send(struct vnet_dev *vd, u16 id, bool add,
			     const struct ethtool_rxfh_param *rxfh)
{
	struct vnet_rss_cfg *rss;
	u32 i;
	int err;

	rss = vnet_rss_edit(vd);
	if (!rss)
		return -ENOMEM;

	for (i = 0; rxfh->indir && i < rss->table_len; i++)
		rss->table[i] = rxfh->indir[i];
	if (rxfh->key)
		memcpy(rss->key, rxfh->key, rss->key_len);
	err = vnet_rss_ctx_tell(vd, id, add, rss);
	kfree(rss);

	return err;
}

/**
 * vnet_rss_ctx_set() - create or change an RSS context
 * @vd: device
 * @id: number of the context
 * @add: create it
 * @rxfh: table and key, complete for a context that exists
 *
 * Return: 0; -ERANGE when the device has no context of that number; or what
 * the device said.
 */
int vnet_rss_ctx_set(struct vnet_dev *vd, u32 id, bool add,
		     const struct ethtool_rxfh_param *rxfh)
{
	u16 max = 0;
	int err;

	vnet_compat_assert_locked(vd->dev);

	if (!vd->caps.rss_context)
		return -EOPNOTSUPP;
	if (!vnet_live(vd))
		return -ENODEV;

	err = vnet_rss_ctx_max(vd, &max);
	if (err)
		return err;
	if (!id || id > max)
		return -ERANGE;

	return vnet_rss_ctx_send(vd, id, add, rxfh);
}

/**
 * vnet_rss_ctx_del() - remove an RSS context
 * @vd: device
 * @id: number of the context
 *
 * Return: 0, or what the device said; then the context stands.
 */
int vnet_rss_ctx_del(struct vnet_dev *vd, u32 id)
{
	struct vnet_cmd *cmd;

	vnet_compat_assert_locked(vd->dev);

	if (!vnet_live(vd))
		return 0;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_rss_exec(vd, cmd, vnet_wire_rss_ctx_del(&cmd->w, id));
}

/* Tell all contexts again: after a reset, or because the hash types changed. */
static int vnet_rss_ctx_replay(struct vnet_dev *vd, bool add)
{
	struct ethtool_rxfh_context *ctx;
	unsigned long id;
	int err;

	if (!vd->caps.rss_context)
		return 0;

	xa_for_each(&vd->dev->ethtool->rss_ctx, id, ctx) {
		struct ethtool_rxfh_param rxfh = {
			.indir = ethtool_rxfh_context_indir(ctx),
			.key = ethtool_rxfh_context_key(ctx),
		};

		err = vnet_rss_ctx_send(vd, id, add, &rxfh);
		if (err && !vnet_cvq_refused(err))
			return err;
		if (err)
			vnet_warn(vd, drv,
				  "the device does not take RSS context %lu: error %d\n",
				  id, err);
	}

	return 0;
}

/* Everything in @rss that differs from what is in force */
static int vnet_rss_send(struct vnet_dev *vd, const struct vnet_rss_cfg *rss,
			 u16 pairs)
{
	const struct vnet_rss_cfg *old = vd->cfg.policy->rss;
	int err;

	if (vd->caps.hash_tunnel && rss->tunnel_types != old->tunnel_types) {
		err = vnet_tunnel_tell(vd, rss->tunnel_types);
		if (err)
			return err;
	}

	err = vnet_rss_tell_steering(vd, rss, pairs);
	if (!vnet_cvq_refused(err))
		return err;

	/* All or nothing: what was taken, also in spite of a refusal. */
	vnet_rss_tell_steering(vd, old, vd->cfg.pairs);
	if (vd->caps.hash_tunnel && rss->tunnel_types != old->tunnel_types)
		vnet_tunnel_tell(vd, old->tunnel_types);

	return err;
}

static int vnet_rss_commit_pairs(struct vnet_dev *vd, struct vnet_rss_cfg *new,
				 u16 pairs)
{
	struct vnet_rss_cfg *rss = vd->cfg.policy->rss;
	bool types_differ = new->types != rss->types;
	int err = 0;

	if (vnet_live(vd))
		err = vnet_rss_send(vd, new, pairs);
	if (!err)
		memcpy(rss, new, vnet_rss_size(vd));
	kfree(new);

	if (!err && types_differ && vnet_live(vd))
		err = vnet_rss_ctx_replay(vd, false);

	return err;
}

/**
 * vnet_rss_key_symmetric() - does a key hash both directions of a flow alike
 * @rss: state with the key
 *
 * It does when it repeats every 16 bits: exchanging addresses and ports, which
 * lie multiples of 16 bits apart, changes nothing then.
 *
 * Return: true when it does.
 */
bool vnet_rss_key_symmetric(const struct vnet_rss_cfg *rss)
{
	return rss->key_len > 2 &&
	       !memcmp(rss->key, rss->key + 2, rss->key_len - 2);
}

/**
 * vnet_rss_key_set_symmetric() - choose a key
 * @rss: state to edit
 * @on: a symmetric one; else the system's
 */
void vnet_rss_key_set_symmetric(struct vnet_rss_cfg *rss, bool on)
{
	unsigned int i;

	if (!on) {
		vnet_rss_default_key(rss);
		return;
	}

	for (i = 0; i < rss->key_len; i++)
		rss->key[i] = i & 1 ? 0x5a : 0x6d;
}

/**
 * vnet_rss_commit() - have the device take an edited state
 * @vd: device
 * @new: from vnet_rss_edit(); consumed
 *
 * Return: 0, or what the device said; then the old state stands.
 */
int vnet_rss_commit(struct vnet_dev *vd, struct vnet_rss_cfg *new)
{
	vnet_compat_assert_locked(vd->dev);

	return vnet_rss_commit_pairs(vd, new, vd->cfg.pairs);
}

/**
 * vnet_hash_report_set() - switch the hash in received packets
 * @vd: device
 * @on: packets are to carry their hash
 *
 * Steering needs the hash anyway, so a device with RSS is told nothing.
 *
 * Return: 0, or what the device said; then the old state stands.
 */
int vnet_hash_report_set(struct vnet_dev *vd, bool on)
{
	struct vnet_rss_cfg *rss = vd->cfg.policy->rss;
	struct vnet_rss_cfg *new;

	if (!rss || rss->report == on)
		return 0;
	if (vd->caps.rss) {
		rss->report = on;
		return 0;
	}

	new = vnet_rss_edit(vd);
	if (!new)
		return -ENOMEM;
	new->report = on;

	return vnet_rss_commit(vd, new);
}

static int vnet_pairs_tell(struct vnet_dev *vd, u16 pairs)
{
	struct vnet_rss_cfg *new;
	int err;

	if (vd->caps.rss) {
		new = vnet_rss_edit(vd);
		if (!new)
			return -ENOMEM;
		vnet_rss_spread(vd, new, pairs);
		return vnet_rss_commit_pairs(vd, new, pairs);
	}

	if (!vd->caps.mq)
		return pairs == 1 ? 0 : -EOPNOTSUPP;
	if (!vnet_live(vd))
		return 0;

	err = vnet_mq_tell(vd, pairs);
	if (vnet_cvq_refused(err))
		vnet_mq_tell(vd, vd->cfg.pairs);

	return err;
}

/**
 * vnet_pairs_set() - tell the device how many queue pairs are used
 * @vd: device; the pairs that are to be added are running
 * @pairs: queue pairs, 1..caps.max_pairs
 *
 * vd->cfg.pairs is the caller's to publish.
 *
 * Return: 0, or what the device said; then the old number stands.
 */
int vnet_pairs_set(struct vnet_dev *vd, u16 pairs)
{
	u16 pair;
	int err;

	vnet_compat_assert_locked(vd->dev);

	vnet_coalesce_limit(vd, min(pairs, vd->cfg.pairs));
	err = vnet_pairs_tell(vd, pairs);
	vnet_coalesce_limit(vd, err ? vd->cfg.pairs : pairs);
	for (pair = vd->cfg.pairs; !err && pair < pairs; pair++)
		err = vnet_coalesce_queue_replay(vd, pair);

	return err;
}

/**
 * vnet_rss_one_pair() - the device uses one queue pair: there is nothing to spread
 * @vd: device
 *
 * A table of the user's is gone with the queues that it named. The stack cannot
 * be told, as it can when it asks for that itself.
 */
void vnet_rss_one_pair(struct vnet_dev *vd)
{
	struct vnet_rss_cfg *rss = vd->cfg.policy->rss;

	if (!rss)
		return;

	memset(rss->table, 0, rss->table_len * sizeof(rss->table[0]));
	rss->unclassified = 0;
	rss->lost = true;
}

/**
 * vnet_rss_replay() - tell a reset device all of this again
 * @vd: device, live
 *
 * Return: 0; -EIO when the device refuses to use several queue pairs, or
 * -ETIMEDOUT and the like when it is in trouble.
 */
int vnet_rss_replay(struct vnet_dev *vd)
{
	struct vnet_rss_cfg *rss = vd->cfg.policy->rss;
	u16 pairs = vd->cfg.pairs;
	int err;

	vnet_compat_assert_locked(vd->dev);

	if (rss && vd->caps.hash_tunnel && rss->tunnel_types) {
		err = vnet_tunnel_tell(vd, rss->tunnel_types);
		if (err && !vnet_cvq_refused(err))
			return err;
	}

	/* A reset device uses one pair; the hash follows, see vnet_mq_tell(). */
	if (!vd->caps.rss && vd->caps.mq && pairs > 1) {
		err = vnet_vq_pairs_tell(vd, pairs);
		if (err)
			return err;
	}

	err = 0;
	if (vd->caps.rss) {
		vnet_rss_spread(vd, rss, pairs);
		err = vnet_rss_tell(vd, rss, pairs);
	} else if (vd->caps.hash_report) {
		err = vnet_hash_tell(vd, rss);
	}
	if (err)
		vnet_warn(vd, drv,
			  "the device does not take the hash configuration: error %d\n",
			  err);

	/* It can be done without, but for steering to several queues. */
	if (err && (!vnet_cvq_refused(err) || (vd->caps.rss && pairs > 1)))
		return err;
	return vd->caps.rss ? vnet_rss_ctx_replay(vd, true) : 0;
}

/**
 * vnet_rss_create() - allocate the state, with what a user gets who asks not
 * @vd: device
 *
 * Return: 0, also when the device does not hash at all; -ENOMEM.
 */
int vnet_rss_create(struct vnet_dev *vd)
{
	const struct vnet_caps *caps = &vd->caps;
	struct vnet_rss_cfg *rss;

	if (!caps->rss && !caps->hash_report)
		return 0;

	rss = kzalloc(vnet_rss_size(vd), GFP_KERNEL);
	if (!rss)
		return -ENOMEM;

	rss->types = caps->hash_types;
	rss->report = caps->hash_report;
	rss->table_len = caps->rss_indir_len;
	rss->key_len = caps->rss_key_len;
	vnet_rss_default_key(rss);
	vnet_rss_spread(vd, rss, 1);
	vd->cfg.policy->rss = rss;

	return 0;
}

/**
 * vnet_rss_destroy() - free the state
 * @vd: device
 */
void vnet_rss_destroy(struct vnet_dev *vd)
{
	kfree(vd->cfg.policy->rss);
	vd->cfg.policy->rss = NULL;
}
