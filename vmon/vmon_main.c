// SPDX-License-Identifier: GPL-2.0
/*
 * A monitor of vsock traffic: module, link kind "vsockmon", device operations.
 *
 * Packets come by the transmit function, from the core of vsock for a monitor
 * of the initial name space (which sees everything), through the door for all
 * others. Whoever captures has had a copy by then, so they are counted and freed.
 */

#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/virtio_vsock.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "vmon.h"

#define VMON_HDR_LEN	(sizeof(struct af_vsockmon_hdr) + sizeof(struct virtio_vsock_hdr))
#define VMON_MAX_LEN	(VMON_HDR_LEN + VIRTIO_VSOCK_MAX_PKT_BUF_SIZE)

static const char vmon_count_names[VMON_BYTES][ETH_GSTRING_LEN] = {
	[VMON_UNKNOWN] = "unknown",
	[VMON_CONNECT] = "connect",
	[VMON_DISCONNECT] = "disconnect",
	[VMON_CONTROL] = "control",
	[VMON_PAYLOAD] = "payload",
	[VMON_SHORT] = "short",
	[VMON_HIDDEN] = "hidden",
	[VMON_LOST] = "lost",
};

static void vmon_sum(const struct vmon *vm, u64 sum[VMON_COUNTS])
{
	u64 one[VMON_COUNTS];
	unsigned int start;
	int cpu, i;

	memset(sum, 0, sizeof(one));
	for_each_possible_cpu(cpu) {
		const struct vmon_stats *stats = per_cpu_ptr(vm->stats, cpu);

		do {
			start = u64_stats_fetch_begin(&stats->syncp);
			for (i = 0; i < VMON_COUNTS; i++)
				one[i] = u64_stats_read(&stats->n[i]);
		} while (u64_stats_fetch_retry(&stats->syncp, start));

		for (i = 0; i < VMON_COUNTS; i++)
			sum[i] += one[i];
	}
}

static enum vmon_count vmon_kind_of(const struct sk_buff *skb)
{
	struct af_vsockmon_hdr copy, *hdr;
	u16 op;

	hdr = skb_header_pointer(skb, 0, sizeof(copy), &copy);
	if (!hdr || skb->len - sizeof(copy) < le16_to_cpu(hdr->len))
		return VMON_SHORT;

	op = le16_to_cpu(hdr->op);
	return op <= AF_VSOCK_OP_PAYLOAD ? op : VMON_UNKNOWN;
}

static netdev_tx_t vmon_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct vmon *vm = netdev_priv(dev);

	vmon_add(vm, vmon_kind_of(skb), 1);
	vmon_add(vm, VMON_BYTES, skb->len);
	skb_tx_timestamp(skb);
	consume_skb(skb);

	return NETDEV_TX_OK;
}

static int vmon_open(struct net_device *dev)
{
	struct vmon *vm = netdev_priv(dev);

	vm->behind_door = !net_eq(dev_net(dev), &init_net);
	if (vm->behind_door)
		return vmon_door_enter(vm);

	/*
	 * No module: the tap does not outlive the device, and the device not
	 * the module. So it can be unloaded while monitors are up.
	 */
	vm->tap = (struct vsock_tap){ .dev = dev };
	return vsock_add_tap(&vm->tap);
}

static int vmon_stop(struct net_device *dev)
{
	struct vmon *vm = netdev_priv(dev);

	if (!vm->behind_door)
		return vsock_remove_tap(&vm->tap);

	vmon_door_leave(vm);
	return 0;
}

static int vmon_init(struct net_device *dev)
{
	struct vmon *vm = netdev_priv(dev);

	vm->dev = dev;
	vm->stats = netdev_alloc_pcpu_stats(struct vmon_stats);
	return vm->stats ? 0 : -ENOMEM;
}

static void vmon_free(struct net_device *dev)
{
	struct vmon *vm = netdev_priv(dev);

	free_percpu(vm->stats);
}

/* What passes is what is received, as the monitor of the kernel has it. */
static void vmon_get_stats64(struct net_device *dev,
			     struct rtnl_link_stats64 *stats)
{
	u64 sum[VMON_COUNTS];
	int i;

	vmon_sum(netdev_priv(dev), sum);
	for (i = VMON_UNKNOWN; i <= VMON_SHORT; i++)
		stats->rx_packets += sum[i];
	stats->rx_bytes = sum[VMON_BYTES];
}

static const struct net_device_ops vmon_netdev_ops = {
	.ndo_init = vmon_init,
	.ndo_open = vmon_open,
	.ndo_stop = vmon_stop,
	.ndo_start_xmit = vmon_xmit,
	.ndo_get_stats64 = vmon_get_stats64,
};

static int vmon_get_sset_count(struct net_device *dev, int sset)
{
	return sset == ETH_SS_STATS ? VMON_BYTES : -EOPNOTSUPP;
}

static void vmon_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	if (sset == ETH_SS_STATS)
		memcpy(data, vmon_count_names, sizeof(vmon_count_names));
}

static void vmon_get_ethtool_stats(struct net_device *dev,
				   struct ethtool_stats *stats, u64 *data)
{
	u64 sum[VMON_COUNTS];

	vmon_sum(netdev_priv(dev), sum);
	memcpy(data, sum, VMON_BYTES * sizeof(*data));
}

static void vmon_get_drvinfo(struct net_device *dev,
			     struct ethtool_drvinfo *info)
{
	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
}

static const struct ethtool_ops vmon_ethtool_ops = {
	.get_drvinfo = vmon_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_sset_count = vmon_get_sset_count,
	.get_strings = vmon_get_strings,
	.get_ethtool_stats = vmon_get_ethtool_stats,
};

static void vmon_setup(struct net_device *dev)
{
	dev->type = ARPHRD_VSOCKMON;
	dev->flags = IFF_NOARP;
	dev->priv_flags |= IFF_NO_QUEUE;
	dev->lltx = true;
	dev->features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA;

	dev->min_mtu = VMON_HDR_LEN;
	dev->max_mtu = VMON_MAX_LEN;
	dev->mtu = VMON_MAX_LEN;

	dev->netdev_ops = &vmon_netdev_ops;
	dev->ethtool_ops = &vmon_ethtool_ops;
	dev->needs_free_netdev = true;
	dev->priv_destructor = vmon_free;
}

static int vmon_validate(struct nlattr *tb[], struct nlattr *data[],
			 struct netlink_ext_ack *extack)
{
	if (tb[IFLA_ADDRESS]) {
		NL_SET_ERR_MSG_ATTR(extack, tb[IFLA_ADDRESS],
				    "a vsock monitor has no address");
		return -EOPNOTSUPP;
	}

	return 0;
}

static struct rtnl_link_ops vmon_link_ops __read_mostly = {
	.kind = "vsockmon",
	.priv_size = sizeof(struct vmon),
	.setup = vmon_setup,
	.validate = vmon_validate,
};

static int __init vmon_module_init(void)
{
	int err;

	err = rtnl_link_register(&vmon_link_ops);
	if (err == -EEXIST)
		pr_err("vmon: another module has the kind vsockmon: remove it first ('rmmod vsockmon')\n");
	return err;
}
module_init(vmon_module_init);

static void __exit vmon_module_exit(void)
{
	rtnl_link_unregister(&vmon_link_ops);
}
module_exit(vmon_module_exit);

MODULE_DESCRIPTION("Monitor of vsock traffic that shows a name space its own");
MODULE_LICENSE("GPL");
