/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VKIT_H
#define VKIT_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/u64_stats_sync.h>
#include <net/gro_cells.h>

/**
 * enum vkit_count - what an end of a pair counts, of the packets that it sends
 * @VKIT_RUNS: packets for which the programs of the other end ran at once
 * @VKIT_QUEUED: packets that wait for the other end's NAPI or backlog
 * @VKIT_DROP_DOWN: dropped, the other end is down or away
 * @VKIT_DROP_SHORT: dropped, too short for an Ethernet header
 * @VKIT_DROP_MEMORY: dropped, no memory for a copy of foreign pages
 * @VKIT_DROP_POLICY: dropped, no program is attached and the policy is to drop
 * @VKIT_DROP_LOOP: dropped, programs led it through pairs again and again
 * @VKIT_DROP_FULL: dropped, the queue of the other end was full
 * @VKIT_COUNTS: how many there are
 */
enum vkit_count {
	VKIT_RUNS,
	VKIT_QUEUED,
	VKIT_DROP_DOWN,
	VKIT_DROP_SHORT,
	VKIT_DROP_MEMORY,
	VKIT_DROP_POLICY,
	VKIT_DROP_LOOP,
	VKIT_DROP_FULL,
	VKIT_COUNTS,
};

/**
 * struct vkit_stats - counters of one CPU
 * @n: by &enum vkit_count
 * @syncp: for readers of 32 bit
 */
struct vkit_stats {
	u64_stats_t n[VKIT_COUNTS];
	struct u64_stats_sync syncp;
};

/**
 * struct vkit - an end of a pair
 * @peer: the other end; rtnl, RCU
 * @stats: counters, one struct for each CPU
 * @cells: where packets for this end wait for their NAPI
 * @policy: what becomes of packets that this end sends when the host's end has
 *	no program for them: NETKIT_PASS or NETKIT_DROP
 * @scrub: priority and mark do not leave the name space (NETKIT_SCRUB_DEFAULT)
 * @handles: the receive handler is ours; changed under rtnl
 * @primary: this is the host's end
 * @mode: NETKIT_L2 or NETKIT_L3
 * @pairing: NETKIT_DEVICE_PAIR, or _SINGLE: there is no other end
 * @headroom: what was asked for at this end
 */
struct vkit {
	struct net_device __rcu *peer;
	struct vkit_stats __percpu *stats;
	struct gro_cells cells;
	u32 policy;
	u32 scrub;
	bool handles;
	bool primary;
	u32 mode;
	u32 pairing;
	int headroom;
};

/* vkit_stats: callers of vkit_add() have softirqs off */
int vkit_stats_init(struct vkit *vk);
void vkit_add(struct vkit *vk, enum vkit_count which);
extern const struct ethtool_ops vkit_ethtool_ops;

/* vkit_path */
netdev_tx_t vkit_xmit(struct sk_buff *skb, struct net_device *dev);
void vkit_handle(struct net_device *dev);
void vkit_unhandle(struct net_device *dev);

#endif /* VKIT_H */
