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

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "vnet_dim.h"

struct ethtool_rxfh_param;
struct netlink_ext_ack;

/**
 * struct vnet_filter_cfg - what the device is to receive
 * @vlans: VLAN identifiers to receive; changed under rtnl, read anywhere
 * @modes: receive modes that the device has taken, enum vnet_wire_rx by bit
 * @known: receive modes of which the device was told since its reset; what it
 *	does about the others is its own choice
 * @table_refused: the device refused or cannot hold the address table, so it
 *	receives all unicast or multicast addresses instead
 * @replayed: the device was told before, so the next time is after a reset
 * @announces: announcements that are still to be sent
 * @ack: the device asked for them and waits for an acknowledgment
 * @vd: device
 * @mode_work: sets the receive mode from process context (kernels without
 *	ndo_set_rx_mode_async)
 * @announce_work: sends an announcement
 *
 * The MAC address, the address lists and promiscuity that the user wants live
 * in the net device (dev_addr, uc, mc, flags) and survive there.
 */
struct vnet_filter_cfg {
	unsigned long vlans[BITS_TO_LONGS(VLAN_N_VID)];
	u32 modes;
	u32 known;
	bool table_refused;
	bool replayed;
	u32 ack;
	atomic_t announces;
	struct vnet_dev *vd;
	struct work_struct mode_work;
	struct delayed_work announce_work;
};

/**
 * struct vnet_rss_cfg - how received packets are hashed and steered
 * @types: VNET_HASH_* that select the queue
 * @tunnel_types: tunnel types whose inner header is hashed
 * @report: packets carry their hash (NETIF_F_RXHASH)
 * @unclassified: queue pair of packets that have no hash
 * @lost: the table that the user made is gone; it follows the queue pairs again
 * @table_len: entries of @table, a power of two
 * @key_len: bytes of @key
 * @key: hash key
 * @table: indirection table, queue pair numbers; follows the number of queue
 *	pairs until the user sets it
 */
struct vnet_rss_cfg {
	u32 types;
	u32 tunnel_types;
	bool report;
	bool lost;
	u16 unclassified;
	u16 table_len;
	u8 key_len;
	u8 key[U8_MAX];
	u16 table[];
};

/**
 * struct vnet_coal_global - coalescing of all queues
 * @rx: of the receive queues
 * @tx: of the transmit queues
 * @rx_adaptive: dynamic moderation decides for the receive queues
 * @tx_adaptive: and for the transmit queues
 */
struct vnet_coal_global {
	struct vnet_coal rx;
	struct vnet_coal tx;
	bool rx_adaptive;
	bool tx_adaptive;
};

/**
 * struct vnet_coal_cfg - notification coalescing
 * @lock: protects all of this against the moderation works; taken with the
 *	netdev instance lock held or without any lock, sleeps
 * @pairs: queue pairs whose queues may be told anything; others are not in use
 * @global: what holds for queues without values of their own
 * @rxqs: per receive queue, or NULL when the device cannot do it per queue
 * @txqs: per transmit queue, as many
 */
struct vnet_coal_cfg {
	/* serializes setters and moderation works */
	struct mutex lock;
	u16 pairs;
	struct vnet_coal_global global;
	struct vnet_coal_queue *rxqs;
	struct vnet_coal_queue *txqs;
};

/**
 * struct vnet_policy - the part of the configuration that L3 owns
 * @filter: MAC, receive mode, VLAN
 * @rss: hashing and steering, NULL without RSS and hash reports
 * @coal: notification coalescing
 * @offloads: VNET_OFFLOAD_* that the device was asked to use
 * @stats_caps: counters that the device keeps, one bit per reply type
 * @stats_asked: the device has been asked for them
 * @stats_errors: queries of them that failed
 * @speed: link speed that the user states, or 0
 * @duplex: duplex that goes with it
 *
 * Allocated once by vnet_policy_create(), shared by copies of struct vnet_cfg
 * and changed in place after the device has agreed.
 */
struct vnet_policy {
	struct vnet_filter_cfg filter;
	struct vnet_rss_cfg *rss;
	struct vnet_coal_cfg coal;
	u64 offloads;
	u64 stats_caps;
	bool stats_asked;
	u32 stats_errors;
	u32 speed;
	u8 duplex;
};

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
/* Does the driver moderate the interrupts, because the device does not? */
static inline bool vnet_coalesce_by_driver(const struct vnet_caps *caps)
{
	return !caps->notf_coal && !caps->vq_notf_coal;
}

/* Can queues have values of their own, and adaptive ones? */
static inline bool vnet_coalesce_per_queue(const struct vnet_caps *caps)
{
	return caps->vq_notf_coal || vnet_coalesce_by_driver(caps);
}

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
