/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policy: what the user can set and the device must be told. Every setter
 * edits a copy, asks the device and publishes on success; while the device is
 * not live it publishes at once and a replay tells the device later.
 *
 * Everything here wants the netdev instance lock (rtnl on kernels without it)
 * unless it says otherwise.
 */
#ifndef VNET_POLICY_H
#define VNET_POLICY_H

#include <linux/netdevice.h>
#include <linux/types.h>

struct ethtool_rxfh_param;
struct netlink_ext_ack;
struct vnet_caps;
struct vnet_cfg;
struct vnet_coal;
struct vnet_coal_global;
struct vnet_coal_queue;
struct vnet_dev;
struct vnet_rss_cfg;

/*
 * policy/filter.c: MAC, receive mode, VLAN, announce, guest offloads.
 *
 * vnet_policy_create() is for probe, once vd->caps and vd->devcfg are resolved
 * and before vnet_cfg_init(); it allocates vd->cfg.policy of all rooms.
 * vnet_policy_destroy() is for remove, after unregister_netdev().
 */
int vnet_policy_create(struct vnet_dev *vd);
void vnet_policy_destroy(struct vnet_dev *vd);

int vnet_filter_replay(struct vnet_dev *vd);
void vnet_filter_announce(struct vnet_dev *vd);
u64 vnet_offloads_wanted(const struct vnet_caps *caps,
			 const struct vnet_cfg *cfg);
int vnet_offloads_set(struct vnet_dev *vd, u64 mask);
int vnet_offloads_replay(struct vnet_dev *vd);
int vnet_filter_ping(struct vnet_dev *vd, bool patient);

int vnet_ndo_set_mac(struct net_device *dev, void *addr);
void vnet_ndo_set_rx_mode(struct net_device *dev);
int vnet_ndo_set_rx_mode_async(struct net_device *dev,
			       struct netdev_hw_addr_list *uc,
			       struct netdev_hw_addr_list *mc);
int vnet_ndo_vlan_add(struct net_device *dev, __be16 proto, u16 vid);
int vnet_ndo_vlan_kill(struct net_device *dev, __be16 proto, u16 vid);

/* policy/rss.c: queue pairs, RSS, hash reports */
int vnet_rss_create(struct vnet_dev *vd);
void vnet_rss_destroy(struct vnet_dev *vd);

int vnet_rss_replay(struct vnet_dev *vd);
void vnet_rss_one_pair(struct vnet_dev *vd);
int vnet_pairs_set(struct vnet_dev *vd, u16 pairs);
struct vnet_rss_cfg *vnet_rss_edit(struct vnet_dev *vd);
int vnet_rss_commit(struct vnet_dev *vd, struct vnet_rss_cfg *new);
int vnet_rss_ctx_set(struct vnet_dev *vd, u32 id, bool add,
		     const struct ethtool_rxfh_param *rxfh);
int vnet_rss_ctx_del(struct vnet_dev *vd, u32 id);
bool vnet_rss_key_symmetric(const struct vnet_rss_cfg *rss);
void vnet_rss_key_set_symmetric(struct vnet_rss_cfg *rss, bool on);
int vnet_hash_report_set(struct vnet_dev *vd, bool on);
int vnet_rss_flow_set(const struct vnet_caps *caps, u32 flow, u32 fields,
		      u32 *types);
int vnet_rss_flow_get(u32 types, u32 flow, u32 *fields);

/* policy/coalesce.c: notification coalescing, adaptive moderation */
int vnet_coalesce_create(struct vnet_dev *vd);
void vnet_coalesce_destroy(struct vnet_dev *vd);
int vnet_coalesce_replay(struct vnet_dev *vd);
int vnet_coalesce_queue_replay(struct vnet_dev *vd, u16 pair);
void vnet_coalesce_limit(struct vnet_dev *vd, u16 pairs);
struct vnet_coal_queue *vnet_coalesce_of(struct vnet_dev *vd, u16 vq);
bool vnet_coalesce_tx_orphan(struct vnet_dev *vd, u16 pair);
bool vnet_coalesce_holds_back(struct vnet_dev *vd, u16 vq);
int vnet_coalesce_set(struct vnet_dev *vd, const struct vnet_coal_global *new);
int vnet_coalesce_queue_set(struct vnet_dev *vd, u16 vq,
			    const struct vnet_coal *coal, bool adaptive);
int vnet_coalesce_queue_get(struct vnet_dev *vd, u16 vq,
			    struct vnet_coal *coal, bool *adaptive);

#endif /* VNET_POLICY_H */
