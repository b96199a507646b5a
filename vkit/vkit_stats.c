// SPDX-License-Identifier: GPL-2.0
/* Counters, and the ethtool operations: what an end of a pair tells of itself. */

#include <net/rtnetlink.h>

#include "vkit.h"

static const char vkit_count_names[VKIT_COUNTS][ETH_GSTRING_LEN] = {
	[VKIT_RUNS] = "runs",
	[VKIT_QUEUED] = "queued",
	[VKIT_DROP_DOWN] = "drop_down",
	[VKIT_DROP_SHORT] = "drop_short",
	[VKIT_DROP_MEMORY] = "drop_memory",
	[VKIT_DROP_POLICY] = "drop_policy",
	[VKIT_DROP_LOOP] = "drop_loop",
	[VKIT_DROP_FULL] = "drop_full",
};

static const char vkit_peer_name[ETH_GSTRING_LEN] = "peer_ifindex";

/**
 * vkit_stats_init() - memory for the counters of an end
 * @vk: the end
 *
 * Return: 0 or -ENOMEM.
 */
int vkit_stats_init(struct vkit *vk)
{
	vk->stats = netdev_alloc_pcpu_stats(struct vkit_stats);
	return vk->stats ? 0 : -ENOMEM;
}

/**
 * vkit_add() - count a packet
 * @vk: the end that sends it
 * @which: the counter
 *
 * Context: softirqs off.
 */
void vkit_add(struct vkit *vk, enum vkit_count which)
{
	struct vkit_stats *stats = this_cpu_ptr(vk->stats);

	u64_stats_update_begin(&stats->syncp);
	u64_stats_inc(&stats->n[which]);
	u64_stats_update_end(&stats->syncp);
}

static int vkit_get_sset_count(struct net_device *dev, int sset)
{
	return sset == ETH_SS_STATS ? VKIT_COUNTS + 1 : -EOPNOTSUPP;
}

static void vkit_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	if (sset != ETH_SS_STATS)
		return;

	memcpy(data, vkit_peer_name, sizeof(vkit_peer_name));
	memcpy(data + sizeof(vkit_peer_name), vkit_count_names,
	       sizeof(vkit_count_names));
}

static void vkit_get_ethtool_stats(struct net_device *dev,
				   struct ethtool_stats *stats, u64 *data)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer;
	unsigned int start;
	int cpu, i;
	u64 one;

	rcu_read_lock();
	peer = rcu_dereference(vk->peer);
	*data++ = peer ? READ_ONCE(peer->ifindex) : 0;
	rcu_read_unlock();

	memset(data, 0, VKIT_COUNTS * sizeof(*data));
	for_each_possible_cpu(cpu) {
		const struct vkit_stats *from = per_cpu_ptr(vk->stats, cpu);

		for (i = 0; i < VKIT_COUNTS; i++) {
			do {
				start = u64_stats_fetch_begin(&from->syncp);
				one = u64_stats_read(&from->n[i]);
			} while (u64_stats_fetch_retry(&from->syncp, start));
			data[i] += one;
		}
	}
}

static void vkit_get_drvinfo(struct net_device *dev,
			     struct ethtool_drvinfo *info)
{
	strscpy(info->driver, "vkit", sizeof(info->driver));
}

static int vkit_get_link_ksettings(struct net_device *dev,
				   struct ethtool_link_ksettings *link)
{
	link->base.speed = SPEED_10000;
	link->base.duplex = DUPLEX_FULL;
	link->base.port = PORT_TP;
	link->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

const struct ethtool_ops vkit_ethtool_ops = {
	.get_drvinfo = vkit_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = vkit_get_link_ksettings,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_sset_count = vkit_get_sset_count,
	.get_strings = vkit_get_strings,
	.get_ethtool_stats = vkit_get_ethtool_stats,
};
