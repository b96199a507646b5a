// SPDX-License-Identifier: GPL-2.0
/*
 * The user's surface: ethtool operations and feature switches. Each one
 * parses, checks, calls one function of the rooms below, and says why not.
 */
#include <linux/ethtool.h>
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_ethtool.h"
#include "vnet_policy.h"
#include "vnet_queue.h"
#include "vnet_size.h"
#include "vnet_vq.h"

/* Copying more than a frame of the usual MTU costs more than it saves. */
#define VNET_COPYBREAK_MAX	1536

static struct vnet_policy *vnet_policy(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	return vd->cfg.policy;
}

/* Identity, link */

static void vnet_ethtool_get_drvinfo(struct net_device *dev,
				     struct ethtool_drvinfo *info)
{
	struct vnet_dev *vd = netdev_priv(dev);

	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->bus_info, virtio_bus_name(vd->vdev),
		sizeof(info->bus_info));
	info->n_priv_flags = dev->ethtool_ops->get_sset_count(dev,
							      ETH_SS_PRIV_FLAGS);
}

/* What the user states counts until the user states something else. */
static int vnet_ethtool_get_link(struct net_device *dev,
				 struct ethtool_link_ksettings *cmd)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_policy *policy = vnet_policy(dev);

	cmd->base.speed = policy->speed ?: vd->speed;
	cmd->base.duplex = policy->speed ? policy->duplex : vd->duplex;
	cmd->base.port = PORT_OTHER;

	return 0;
}

static int vnet_ethtool_set_link(struct net_device *dev,
				 const struct ethtool_link_ksettings *cmd)
{
	struct vnet_policy *policy = vnet_policy(dev);
	u32 speed = SPEED_UNKNOWN;
	u8 duplex = DUPLEX_UNKNOWN;
	int err;

	err = ethtool_virtdev_set_link_ksettings(dev, cmd, &speed, &duplex);
	if (err)
		return err;

	policy->speed = speed == SPEED_UNKNOWN ? 0 : speed;
	policy->duplex = duplex;

	return 0;
}

static u32 vnet_ethtool_get_msglevel(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	return vd->msg_enable;
}

static void vnet_ethtool_set_msglevel(struct net_device *dev, u32 level)
{
	struct vnet_dev *vd = netdev_priv(dev);

	vd->msg_enable = level;
}

/* Queues and rings */

static void vnet_ethtool_get_channels(struct net_device *dev,
				      struct ethtool_channels *ch)
{
	struct vnet_dev *vd = netdev_priv(dev);

	ch->combined_count = vd->cfg.pairs;
	ch->max_combined = vd->caps.max_pairs;
}

static int vnet_ethtool_set_channels(struct net_device *dev,
				     struct ethtool_channels *ch)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_cfg new = vd->cfg;
	int err;

	err = vnet_dev_usable(vd, NULL);
	if (err)
		return err;

	new.pairs = ch->combined_count;

	return vnet_cfg_apply(vd, &new, NULL);
}

static void vnet_ethtool_get_ring(struct net_device *dev,
				  struct ethtool_ringparam *ring,
				  struct kernel_ethtool_ringparam *kring,
				  struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_cfg max = { };

	kring->rx_buf_len = vd->cfg.rx_buf_len;
	vnet_compat_hds_show(kring, vd->cfg.hds, VNET_SIZE_HDS_MAX);
	ring->rx_max_pending = vnet_rxq_ring(&vd->rxqs[0], &max);
	ring->tx_max_pending = vnet_txq_ring(&vd->txqs[0], &max);
	ring->rx_pending = vnet_rxq_ring(&vd->rxqs[0], &vd->cfg);
	ring->tx_pending = vnet_txq_ring(&vd->txqs[0], &vd->cfg);
}

static int vnet_ethtool_set_ring(struct net_device *dev,
				 struct ethtool_ringparam *ring,
				 struct kernel_ethtool_ringparam *kring,
				 struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_cfg new = vd->cfg;
	int err;

	err = vnet_dev_usable(vd, extack);
	if (err)
		return err;
	if (!vnet_live(vd)) {
		NL_SET_ERR_MSG(extack, "the device is being reset, try again");
		return -EAGAIN;
	}
	if (!ring->rx_pending || !ring->tx_pending) {
		NL_SET_ERR_MSG(extack, "a ring has at least one entry");
		return -EINVAL;
	}
	if (kring->rx_buf_len && (kring->rx_buf_len < VNET_SIZE_BUF_MIN ||
				  kring->rx_buf_len > VNET_SIZE_BUF_MAX ||
				  !is_power_of_2(kring->rx_buf_len))) {
		NL_SET_ERR_MSG_FMT(extack,
				   "rx-buf-len is a power of two from %u to %u",
				   VNET_SIZE_BUF_MIN, VNET_SIZE_BUF_MAX);
		return -EINVAL;
	}

	if (kring->rx_buf_len && kring->rx_buf_len != vd->cfg.rx_buf_len &&
	    vd->caps.rx_mode == VNET_RX_SMALL) {
		NL_SET_ERR_MSG(extack,
			       "this device puts each packet into one buffer, whose length follows from the MTU");
		return -EOPNOTSUPP;
	}

	new.rx_ring = ring->rx_pending;
	new.tx_ring = ring->tx_pending;
	if (kring->rx_buf_len)
		new.rx_buf_len = kring->rx_buf_len;
	new.hds = vnet_compat_hds(kring) ? max(vnet_compat_hds_thresh(kring),
					       VNET_SIZE_HDS_MIN) : 0;

	return vnet_cfg_apply(vd, &new, extack);
}

static int vnet_ethtool_get_tunable(struct net_device *dev,
				    const struct ethtool_tunable *tuna,
				    void *data)
{
	struct vnet_dev *vd = netdev_priv(dev);

	if (tuna->id != ETHTOOL_RX_COPYBREAK)
		return -EOPNOTSUPP;

	*(u32 *)data = vd->cfg.rx_copybreak;

	return 0;
}

static int vnet_ethtool_set_tunable(struct net_device *dev,
				    const struct ethtool_tunable *tuna,
				    const void *data)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_cfg new = vd->cfg;
	int err;

	if (tuna->id != ETHTOOL_RX_COPYBREAK)
		return -EOPNOTSUPP;
	err = vnet_dev_usable(vd, NULL);
	if (err)
		return err;

	new.rx_copybreak = *(const u32 *)data;
	if (new.rx_copybreak > VNET_COPYBREAK_MAX)
		return -ERANGE;

	return vnet_cfg_apply(vd, &new, NULL);
}

/* Coalescing */

static void vnet_coal_to_ethtool(struct ethtool_coalesce *ec,
				 const struct vnet_coal_global *coal)
{
	ec->rx_coalesce_usecs = coal->rx.usecs;
	ec->rx_max_coalesced_frames = coal->rx.packets;
	ec->tx_coalesce_usecs = coal->tx.usecs;
	ec->tx_max_coalesced_frames = coal->tx.packets;
	ec->use_adaptive_rx_coalesce = coal->rx_adaptive;
	ec->use_adaptive_tx_coalesce = coal->tx_adaptive;
}

static void vnet_coal_from_ethtool(struct vnet_coal_global *coal,
				   const struct ethtool_coalesce *ec)
{
	coal->rx.usecs = ec->rx_coalesce_usecs;
	coal->rx.packets = ec->rx_max_coalesced_frames;
	coal->tx.usecs = ec->tx_coalesce_usecs;
	coal->tx.packets = ec->tx_max_coalesced_frames;
	coal->rx_adaptive = ec->use_adaptive_rx_coalesce;
	coal->tx_adaptive = ec->use_adaptive_tx_coalesce;
}

static bool vnet_coal_differs(const struct vnet_coal *a,
			      const struct vnet_coal *b)
{
	return a->packets != b->packets || a->usecs != b->usecs;
}

/* Values and adaptive mode exclude each other, for each direction. */
static int vnet_coal_check(const struct vnet_caps *caps,
			   const struct vnet_coal_global *old,
			   const struct vnet_coal_global *new,
			   struct netlink_ext_ack *extack)
{
	if (vnet_coalesce_by_driver(caps) &&
	    max(new->rx.usecs, new->tx.usecs) > VNET_MODER_MAX_US) {
		NL_SET_ERR_MSG_FMT(extack, "usecs can be up to %u",
				   VNET_MODER_MAX_US);
		return -ERANGE;
	}

	if (!vnet_coalesce_per_queue(caps) &&
	    (new->rx_adaptive || new->tx_adaptive)) {
		NL_SET_ERR_MSG(extack,
			       "adaptive coalescing needs a device with VIRTIO_NET_F_VQ_NOTF_COAL");
		return -EOPNOTSUPP;
	}

	if ((new->rx_adaptive && vnet_coal_differs(&old->rx, &new->rx)) ||
	    (new->tx_adaptive && vnet_coal_differs(&old->tx, &new->tx))) {
		NL_SET_ERR_MSG(extack,
			       "usecs and frames are chosen by the adaptive mode, switch it off to set them");
		return -EINVAL;
	}

	return 0;
}

static int vnet_ethtool_get_coalesce(struct net_device *dev,
				     struct ethtool_coalesce *ec,
				     struct kernel_ethtool_coalesce *kec,
				     struct netlink_ext_ack *extack)
{
	vnet_coal_to_ethtool(ec, &vnet_policy(dev)->coal.global);

	return 0;
}

static int vnet_ethtool_set_coalesce(struct net_device *dev,
				     struct ethtool_coalesce *ec,
				     struct kernel_ethtool_coalesce *kec,
				     struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_coal_global new;
	int err;

	err = vnet_dev_usable(vd, extack);
	if (err)
		return err;

	vnet_coal_from_ethtool(&new, ec);
	err = vnet_coal_check(&vd->caps, &vnet_policy(dev)->coal.global, &new,
			      extack);
	if (err)
		return err;

	return vnet_coalesce_set(vd, &new);
}

static int vnet_coal_read_queue(struct vnet_dev *vd, u32 queue,
				struct vnet_coal_global *coal)
{
	int err;

	if (!vnet_coalesce_per_queue(&vd->caps))
		return -EOPNOTSUPP;
	if (queue >= vd->cfg.pairs)
		return -EINVAL;

	err = vnet_coalesce_queue_get(vd, vnet_vq_rx_index(queue), &coal->rx,
				      &coal->rx_adaptive);
	if (err)
		return err;

	return vnet_coalesce_queue_get(vd, vnet_vq_tx_index(queue), &coal->tx,
				       &coal->tx_adaptive);
}

static int vnet_ethtool_get_queue_coalesce(struct net_device *dev, u32 queue,
					   struct ethtool_coalesce *ec)
{
	struct vnet_coal_global coal = {};
	int err;

	err = vnet_coal_read_queue(netdev_priv(dev), queue, &coal);
	if (err)
		return err;

	vnet_coal_to_ethtool(ec, &coal);

	return 0;
}

static int vnet_ethtool_set_queue_coalesce(struct net_device *dev, u32 queue,
					   struct ethtool_coalesce *ec)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_coal_global old = {}, new;
	u16 rxq = vnet_vq_rx_index(queue);
	u16 txq = vnet_vq_tx_index(queue);
	int err;

	err = vnet_dev_usable(vd, NULL) ? :
	      vnet_coal_read_queue(vd, queue, &old);
	if (err)
		return err;

	vnet_coal_from_ethtool(&new, ec);
	err = vnet_coal_check(&vd->caps, &old, &new, NULL);
	if (err)
		return err;

	if (vnet_coal_differs(&old.rx, &new.rx) ||
	    old.rx_adaptive != new.rx_adaptive) {
		err = vnet_coalesce_queue_set(vd, rxq, &new.rx,
					      new.rx_adaptive);
		if (err)
			return err;
	}

	if (!vnet_coal_differs(&old.tx, &new.tx) &&
	    old.tx_adaptive == new.tx_adaptive)
		return 0;

	err = vnet_coalesce_queue_set(vd, txq, &new.tx, new.tx_adaptive);
	if (err)
		vnet_coalesce_queue_set(vd, rxq, &old.rx, old.rx_adaptive);

	return err;
}

/* RSS and hashes */

static u32 vnet_ethtool_get_key_size(struct net_device *dev)
{
	struct vnet_rss_cfg *rss = vnet_policy(dev)->rss;

	return rss ? rss->key_len : 0;
}

static u32 vnet_ethtool_get_table_size(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	return vd->caps.rss ? vnet_policy(dev)->rss->table_len : 0;
}

static int vnet_ethtool_get_rxfh(struct net_device *dev,
				 struct ethtool_rxfh_param *rxfh)
{
	struct vnet_rss_cfg *rss = vnet_policy(dev)->rss;
	u32 i;

	if (!rss)
		return -EOPNOTSUPP;

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	if (rxfh->key)
		memcpy(rxfh->key, rss->key, rss->key_len);
	for (i = 0; rxfh->indir && i < rss->table_len; i++)
		rxfh->indir[i] = rss->table[i];

	return 0;
}

static int vnet_rxfh_check(const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack)
{
	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE &&
	    rxfh->hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG(extack, "the hash function is toeplitz");
		return -EOPNOTSUPP;
	}
	if (rxfh->input_xfrm && rxfh->input_xfrm != RXH_XFRM_NO_CHANGE) {
		NL_SET_ERR_MSG(extack,
			       "the device hashes its input as it is; see the private flag symmetric-rss");
		return -EOPNOTSUPP;
	}

	return 0;
}

static int vnet_ethtool_set_rxfh(struct net_device *dev,
				 struct ethtool_rxfh_param *rxfh,
				 struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rss_cfg *new;
	u32 i;
	int err;

	if (!vnet_policy(dev)->rss) {
		NL_SET_ERR_MSG(extack, "the device does not hash");
		return -EOPNOTSUPP;
	}
	if (rxfh->indir && !vd->caps.rss) {
		NL_SET_ERR_MSG(extack, "the device does not steer by hash");
		return -EOPNOTSUPP;
	}
	err = vnet_dev_usable(vd, extack) ? : vnet_rxfh_check(rxfh, extack);
	if (err)
		return err;

	new = vnet_rss_edit(vd);
	if (!new)
		return -ENOMEM;

	/* The core has checked the sizes, and the queues against real_num. */
	if (rxfh->key)
		memcpy(new->key, rxfh->key, new->key_len);
	for (i = 0; rxfh->indir && i < new->table_len; i++)
		new->table[i] = rxfh->indir[i];
	if (rxfh->indir)
		new->lost = false;

	err = vnet_rss_commit(vd, new);
	if (err)
		NL_SET_ERR_MSG_FMT(extack,
				   "the device does not take it: error %d",
				   err);

	return err;
}

/* RSS contexts beside the default one */

static int vnet_ethtool_ctx_set(struct net_device *dev, bool add,
				const struct ethtool_rxfh_param *rxfh,
				struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	int err;

	if (!vd->caps.rss_context) {
		NL_SET_ERR_MSG(extack, "this device has one RSS context");
		return -EOPNOTSUPP;
	}
	err = vnet_dev_usable(vd, extack) ? : vnet_rxfh_check(rxfh, extack);
	if (err)
		return err;

	err = vnet_rss_ctx_set(vd, rxfh->rss_context, add, rxfh);
	if (err == -ERANGE)
		NL_SET_ERR_MSG_FMT(extack, "the device has no RSS context %u",
				   rxfh->rss_context);

	return err;
}

static int vnet_ethtool_create_ctx(struct net_device *dev,
				   struct ethtool_rxfh_context *ctx,
				   const struct ethtool_rxfh_param *rxfh,
				   struct netlink_ext_ack *extack)
{
	const struct vnet_rss_cfg *rss = vnet_policy(dev)->rss;
	u32 *indir = ethtool_rxfh_context_indir(ctx);
	u32 i;
	int err;

	err = vnet_ethtool_ctx_set(dev, true, rxfh, extack);
	if (err)
		return err;

	/* What the user gives comes over these. */
	ctx->hfunc = ETH_RSS_HASH_TOP;
	memcpy(ethtool_rxfh_context_key(ctx), rss->key, rss->key_len);
	for (i = 0; i < rss->table_len; i++)
		indir[i] = rss->table[i];

	return 0;
}

static int vnet_ethtool_modify_ctx(struct net_device *dev,
				   struct ethtool_rxfh_context *ctx,
				   const struct ethtool_rxfh_param *rxfh,
				   struct netlink_ext_ack *extack)
{
	struct ethtool_rxfh_param all = *rxfh;

	if (!all.indir)
		all.indir = ethtool_rxfh_context_indir(ctx);
	if (!all.key)
		all.key = ethtool_rxfh_context_key(ctx);

	return vnet_ethtool_ctx_set(dev, false, &all, extack);
}

static int vnet_ethtool_remove_ctx(struct net_device *dev,
				   struct ethtool_rxfh_context *ctx, u32 id,
				   struct netlink_ext_ack *extack)
{
	return vnet_rss_ctx_del(netdev_priv(dev), id);
}

static int vnet_ethtool_get_fields(struct net_device *dev,
				   struct ethtool_rxfh_fields *fields)
{
	struct vnet_rss_cfg *rss = vnet_policy(dev)->rss;

	if (!rss)
		return -EOPNOTSUPP;

	return vnet_rss_flow_get(rss->types, fields->flow_type, &fields->data);
}

static int vnet_ethtool_set_fields(struct net_device *dev,
				   const struct ethtool_rxfh_fields *fields,
				   struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rss_cfg *new;
	int err;

	if (!vnet_policy(dev)->rss) {
		NL_SET_ERR_MSG(extack, "the device does not hash");
		return -EOPNOTSUPP;
	}
	err = vnet_dev_usable(vd, extack);
	if (err)
		return err;

	new = vnet_rss_edit(vd);
	if (!new)
		return -ENOMEM;

	err = vnet_rss_flow_set(&vd->caps, fields->flow_type, fields->data,
				&new->types);
	if (err == -EBUSY)
		NL_SET_ERR_MSG(extack,
			       "addresses are hashed as for ip4/ip6 packets, set those first");
	else if (err)
		NL_SET_ERR_MSG(extack,
			       "a device hashes nothing, addresses (sd), or addresses and ports (sdfn) of tcp4 tcp6 udp4 udp6 ip4 ip6");
	if (err) {
		kfree(new);
		return err;
	}

	return vnet_rss_commit(vd, new);
}

static u32 vnet_ethtool_get_ring_count(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	return vd->cfg.pairs;
}

/*
 * Number of rings; on older kernels the hash fields come this way, too. There
 * are no rules: the core asks for them before it removes an RSS context.
 */
static int vnet_ethtool_get_rxnfc(struct net_device *dev,
				  struct ethtool_rxnfc *info, u32 *rules)
{
	struct ethtool_rxfh_fields fields = { .flow_type = info->flow_type };
	int err;

	switch (info->cmd) {
	case ETHTOOL_GRXRINGS:
		info->data = vnet_ethtool_get_ring_count(dev);
		return 0;
	case ETHTOOL_GRXFH:
		err = vnet_ethtool_get_fields(dev, &fields);
		info->data = fields.data;
		return err;
	case ETHTOOL_GRXCLSRLCNT:
	case ETHTOOL_GRXCLSRLALL:
		info->rule_cnt = 0;
		info->data = 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int vnet_ethtool_set_rxnfc(struct net_device *dev,
				  struct ethtool_rxnfc *info)
{
	struct ethtool_rxfh_fields fields = {
		.flow_type = info->flow_type,
		.data = info->data,
	};

	if (info->cmd != ETHTOOL_SRXFH)
		return -EOPNOTSUPP;

	return vnet_ethtool_set_fields(dev, &fields, NULL);
}

/* Private flags */

enum vnet_priv_flag {
	VNET_PRIV_SYMMETRIC,
	VNET_PRIV_INNER,
	VNET_PRIV_NR,
};

static const char vnet_priv_names[VNET_PRIV_NR][ETH_GSTRING_LEN] = {
	[VNET_PRIV_SYMMETRIC]	= "symmetric-rss",
	[VNET_PRIV_INNER]	= "hash-inner",
};

static u32 vnet_ethtool_get_priv_flags(struct net_device *dev)
{
	struct vnet_rss_cfg *rss = vnet_policy(dev)->rss;
	u32 flags = 0;

	if (rss && vnet_rss_key_symmetric(rss))
		flags |= BIT(VNET_PRIV_SYMMETRIC);
	if (rss && rss->tunnel_types)
		flags |= BIT(VNET_PRIV_INNER);

	return flags;
}

static int vnet_ethtool_set_priv_flags(struct net_device *dev, u32 flags)
{
	u32 changed = flags ^ vnet_ethtool_get_priv_flags(dev);
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rss_cfg *new;
	int err;

	if (!changed)
		return 0;
	err = vnet_dev_usable(vd, NULL);
	if (err)
		return err;
	if (!vnet_policy(dev)->rss)
		return -EOPNOTSUPP;
	if ((changed & BIT(VNET_PRIV_INNER)) && !vd->caps.hash_tunnel)
		return -EOPNOTSUPP;

	new = vnet_rss_edit(vd);
	if (!new)
		return -ENOMEM;

	if (changed & BIT(VNET_PRIV_SYMMETRIC))
		vnet_rss_key_set_symmetric(new,
					   flags & BIT(VNET_PRIV_SYMMETRIC));
	new->tunnel_types = flags & BIT(VNET_PRIV_INNER) ?
			    vd->caps.tunnel_types : 0;

	return vnet_rss_commit(vd, new);
}

/* String sets, counters */

static int vnet_ethtool_get_sset_count(struct net_device *dev, int set)
{
	switch (set) {
	case ETH_SS_STATS:
		return vnet_stats_count(netdev_priv(dev));
	case ETH_SS_TEST:
		return VNET_TEST_NR;
	case ETH_SS_PRIV_FLAGS:
		return VNET_PRIV_NR;
	default:
		return -EOPNOTSUPP;
	}
}

static void vnet_ethtool_get_strings(struct net_device *dev, u32 set, u8 *data)
{
	switch (set) {
	case ETH_SS_STATS:
		vnet_stats_strings(netdev_priv(dev), data);
		break;
	case ETH_SS_TEST:
		memcpy(data, vnet_diag_tests, sizeof(vnet_diag_tests));
		break;
	case ETH_SS_PRIV_FLAGS:
		memcpy(data, vnet_priv_names, sizeof(vnet_priv_names));
		break;
	}
}

static void vnet_ethtool_get_stats(struct net_device *dev,
				   struct ethtool_stats *stats, u64 *data)
{
	vnet_stats_values(netdev_priv(dev), data);
}

/* Features */

/**
 * vnet_ndo_set_features() - switch receive offloads and hash reports
 * @dev: net device
 * @features: wanted
 *
 * Return: 0, or what the device said; then the old features stand.
 */
int vnet_ndo_set_features(struct net_device *dev, netdev_features_t features)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_cfg new = vd->cfg;
	int err;

	err = vnet_dev_usable(vd, NULL);
	if (err)
		return err;

	new.rx_csum = features & NETIF_F_RXCSUM;
	new.rx_gso = features & NETIF_F_GRO_HW;
	new.rx_hash = features & NETIF_F_RXHASH;

	err = vnet_hash_report_set(vd, new.rx_hash);
	if (err)
		return err;

	err = vnet_cfg_apply(vd, &new, NULL);
	if (err)
		vnet_hash_report_set(vd, vd->cfg.rx_hash);

	return err;
}

static const struct ethtool_ops vnet_ethtool_ops = {
	.rxfh_per_ctx_key	= 1,
	.supported_coalesce_params = ETHTOOL_COALESCE_USECS |
				     ETHTOOL_COALESCE_MAX_FRAMES |
				     ETHTOOL_COALESCE_USE_ADAPTIVE,
	.supported_ring_params	= ETHTOOL_RING_USE_RX_BUF_LEN |
				  VNET_COMPAT_RING_HDS,
	VNET_COMPAT_ETHTOOL_NEEDS_RTNL
	VNET_COMPAT_RXFH_FIELDS_OPS(vnet_ethtool_get_fields,
				    vnet_ethtool_set_fields)
	VNET_COMPAT_RX_RING_COUNT_OP(vnet_ethtool_get_ring_count)
	.get_drvinfo		= vnet_ethtool_get_drvinfo,
	.get_regs_len		= vnet_diag_get_regs_len,
	.get_regs		= vnet_diag_get_regs,
	.get_msglevel		= vnet_ethtool_get_msglevel,
	.set_msglevel		= vnet_ethtool_set_msglevel,
	.get_link		= ethtool_op_get_link,
	.get_coalesce		= vnet_ethtool_get_coalesce,
	.set_coalesce		= vnet_ethtool_set_coalesce,
	.get_ringparam		= vnet_ethtool_get_ring,
	.set_ringparam		= vnet_ethtool_set_ring,
	.self_test		= vnet_diag_self_test,
	.get_strings		= vnet_ethtool_get_strings,
	.get_ethtool_stats	= vnet_ethtool_get_stats,
	.get_priv_flags		= vnet_ethtool_get_priv_flags,
	.set_priv_flags		= vnet_ethtool_set_priv_flags,
	.get_sset_count		= vnet_ethtool_get_sset_count,
	.get_rxnfc		= vnet_ethtool_get_rxnfc,
	.set_rxnfc		= vnet_ethtool_set_rxnfc,
	.get_rxfh_key_size	= vnet_ethtool_get_key_size,
	.get_rxfh_indir_size	= vnet_ethtool_get_table_size,
	.get_rxfh		= vnet_ethtool_get_rxfh,
	.set_rxfh		= vnet_ethtool_set_rxfh,
	.create_rxfh_context	= vnet_ethtool_create_ctx,
	.modify_rxfh_context	= vnet_ethtool_modify_ctx,
	.remove_rxfh_context	= vnet_ethtool_remove_ctx,
	.get_channels		= vnet_ethtool_get_channels,
	.set_channels		= vnet_ethtool_set_channels,
	.get_ts_info		= ethtool_op_get_ts_info,
	.get_tunable		= vnet_ethtool_get_tunable,
	.set_tunable		= vnet_ethtool_set_tunable,
	.get_per_queue_coalesce	= vnet_ethtool_get_queue_coalesce,
	.set_per_queue_coalesce	= vnet_ethtool_set_queue_coalesce,
	.get_link_ksettings	= vnet_ethtool_get_link,
	.set_link_ksettings	= vnet_ethtool_set_link,
};

/**
 * vnet_ethtool_set_ops() - offer all of this to ethtool
 * @dev: net device, not registered yet
 */
void vnet_ethtool_set_ops(struct net_device *dev)
{
	dev->ethtool_ops = &vnet_ethtool_ops;
}
