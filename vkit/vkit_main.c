// SPDX-License-Identifier: GPL-2.0
/*
 * A pair of network devices for containers: module, link kinds, device operations.
 *
 * The first device of a pair is the host's end, the peer is the container's. The
 * attributes have the numbers and the meanings of those of the kind "netkit",
 * but for programs, which are those of tc and tcx here.
 */

#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/veth.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "vkit.h"
#include "vkit_compat.h"

#define VKIT_FEATURES_VLAN	(NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_CTAG_RX | \
				 NETIF_F_HW_VLAN_STAG_TX | NETIF_F_HW_VLAN_STAG_RX)
#define VKIT_FEATURES		(VKIT_FEATURES_VLAN | NETIF_F_SG | NETIF_F_FRAGLIST | \
				 NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_SCTP_CRC | \
				 NETIF_F_HIGHDMA | NETIF_F_GSO_SOFTWARE | \
				 NETIF_F_GSO_ENCAP_ALL)

static bool vkit_as_veth;
module_param_named(veth, vkit_as_veth, bool, 0444);
MODULE_PARM_DESC(veth, "Make the pairs of the kind veth, too (veth.ko must not be loaded)");

static struct rtnl_link_ops vkit_veth_ops;

static int vkit_init(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);
	int err;

	err = vkit_stats_init(vk);
	if (err)
		return err;
	err = gro_cells_init(&vk->cells, dev);
	if (err)
		goto err_free;
	vkit_handle(dev);

	return 0;

err_free:
	free_percpu(vk->stats);
	vk->stats = NULL;
	return err;
}

static void vkit_uninit(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);

	vkit_unhandle(dev);
	gro_cells_destroy(&vk->cells);
}

static void vkit_free(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);

	free_percpu(vk->stats);
}

/* The link of both is up when both ends are; a single device has none to wait for. */
static int vkit_open(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(vk->peer);

	if (vk->pairing == NETKIT_DEVICE_SINGLE) {
		netif_carrier_on(dev);
		return 0;
	}
	if (!peer)
		return -ENOTCONN;

	if (peer->flags & IFF_UP) {
		netif_carrier_on(dev);
		netif_carrier_on(peer);
	}

	return 0;
}

static int vkit_stop(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(vk->peer);

	netif_carrier_off(dev);
	if (peer)
		netif_carrier_off(peer);

	return 0;
}

static int vkit_get_iflink(const struct net_device *dev)
{
	const struct vkit *vk = netdev_priv(dev);
	const struct net_device *peer;
	int iflink;

	rcu_read_lock();
	peer = rcu_dereference(vk->peer);
	iflink = peer ? READ_ONCE(peer->ifindex) : 0;
	rcu_read_unlock();

	return iflink;
}

static struct net_device *vkit_get_peer_dev(struct net_device *dev)
{
	const struct vkit *vk = netdev_priv(dev);

	return rcu_dereference(vk->peer);
}

static int vkit_set_mac_address(struct net_device *dev, void *address)
{
	const struct vkit *vk = netdev_priv(dev);

	return vk->mode == NETKIT_L2 ? eth_mac_addr(dev, address) : -EOPNOTSUPP;
}

/* What either end needs is kept free by both, or packets are copied on the way. */
static void vkit_set_rx_headroom(struct net_device *dev, int headroom)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer;

	if (headroom < 0)
		headroom = NET_SKB_PAD;

	rcu_read_lock();
	WRITE_ONCE(vk->headroom, headroom);
	peer = rcu_dereference(vk->peer);
	if (peer) {
		const struct vkit *other = netdev_priv(peer);

		headroom = max(headroom, READ_ONCE(other->headroom));
		peer->needed_headroom = headroom;
	}
	dev->needed_headroom = headroom;
	rcu_read_unlock();
}

static const struct net_device_ops vkit_netdev_ops = {
	.ndo_init = vkit_init,
	.ndo_uninit = vkit_uninit,
	.ndo_open = vkit_open,
	.ndo_stop = vkit_stop,
	.ndo_start_xmit = vkit_xmit,
	.ndo_set_rx_headroom = vkit_set_rx_headroom,
	.ndo_set_mac_address = vkit_set_mac_address,
	.ndo_get_iflink = vkit_get_iflink,
	.ndo_get_peer_dev = vkit_get_peer_dev,
	.ndo_features_check = passthru_features_check,
};

static void vkit_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->max_mtu = ETH_MAX_MTU;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;

	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_PHONY_HEADROOM |
			   IFF_NO_QUEUE | IFF_DISABLE_NETPOLL | IFF_UNICAST_FLT;
	dev->lltx = true;

	dev->features |= VKIT_FEATURES;
	dev->hw_features = VKIT_FEATURES;
	dev->hw_enc_features = VKIT_FEATURES;
	dev->mpls_features = NETIF_F_HW_CSUM | NETIF_F_GSO_SOFTWARE;
	dev->vlan_features = dev->features & ~VKIT_FEATURES_VLAN;
	netif_set_tso_max_size(dev, GSO_MAX_SIZE);

	dev->netdev_ops = &vkit_netdev_ops;
	dev->ethtool_ops = &vkit_ethtool_ops;
	dev->needs_free_netdev = true;
	dev->priv_destructor = vkit_free;
}

/* ---- links ---------------------------------------------------------------------- */

static const struct nla_policy vkit_policy[IFLA_NETKIT_PAIRING + 1] = {
	[IFLA_NETKIT_PEER_INFO] = { .len = sizeof(struct ifinfomsg) },
	[IFLA_NETKIT_PRIMARY] = {
		.type = NLA_REJECT, .reject_message = "which end is the host's cannot be set",
	},
	[IFLA_NETKIT_POLICY] = { .type = NLA_U32 },
	[IFLA_NETKIT_PEER_POLICY] = { .type = NLA_U32 },
	[IFLA_NETKIT_MODE] = NLA_POLICY_MAX(NLA_U32, NETKIT_L3),
	[IFLA_NETKIT_SCRUB] = NLA_POLICY_MAX(NLA_U32, NETKIT_SCRUB_DEFAULT),
	[IFLA_NETKIT_PEER_SCRUB] = NLA_POLICY_MAX(NLA_U32, NETKIT_SCRUB_DEFAULT),
	[IFLA_NETKIT_HEADROOM] = { .type = NLA_U16 },
	[IFLA_NETKIT_TAILROOM] = { .type = NLA_U16 },
	[IFLA_NETKIT_PAIRING] = NLA_POLICY_MAX(NLA_U32, NETKIT_DEVICE_SINGLE),
};

/**
 * struct vkit_wish - what was asked for
 * @mode: of both ends
 * @pairing: a pair or a single device
 * @headroom: of both ends
 * @tailroom: of both ends
 * @policy: by end, the host's first
 * @scrub: by end
 * @peer_tb: attributes of the peer
 * @peer_head: index and flags of the peer, if they were given
 */
struct vkit_wish {
	u32 mode;
	u32 pairing;
	u16 headroom;
	u16 tailroom;
	u32 policy[2];
	u32 scrub[2];
	struct nlattr *peer_tb[IFLA_MAX + 1];
	struct ifinfomsg *peer_head;
};

static int vkit_check_policy(const struct nlattr *attr,
			     struct netlink_ext_ack *extack)
{
	u32 policy = nla_get_u32(attr);

	if (policy == NETKIT_PASS || policy == NETKIT_DROP)
		return 0;

	NL_SET_ERR_MSG_ATTR(extack, attr,
			    "a policy is to pass (0) or to drop (2) what no program decides about");
	return -EINVAL;
}

static int vkit_validate(struct nlattr *tb[], struct nlattr *data[],
			 struct netlink_ext_ack *extack)
{
	const struct nlattr *attr = tb[IFLA_ADDRESS];

	if (!attr)
		return 0;
	if (nla_len(attr) != ETH_ALEN) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "an address has six bytes");
		return -EINVAL;
	}
	if (!is_valid_ether_addr(nla_data(attr))) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "no address of a device");
		return -EADDRNOTAVAIL;
	}

	return 0;
}

static int vkit_read_policies(struct vkit_wish *wish, struct nlattr *data[],
			      struct netlink_ext_ack *extack)
{
	static const u8 types[] = { IFLA_NETKIT_POLICY, IFLA_NETKIT_PEER_POLICY };
	int err, i;

	for (i = 0; i < 2; i++) {
		const struct nlattr *attr = data[types[i]];

		if (!attr)
			continue;
		err = vkit_check_policy(attr, extack);
		if (err)
			return err;
		wish->policy[i] = nla_get_u32(attr);
	}

	return 0;
}

/* A single device has no peer, so nothing may be said about one. */
static int vkit_check_single(struct nlattr *data[],
			     struct netlink_ext_ack *extack)
{
	static const u8 types[] = {
		IFLA_NETKIT_PEER_INFO, IFLA_NETKIT_PEER_POLICY,
		IFLA_NETKIT_PEER_SCRUB, IFLA_NETKIT_SCRUB, IFLA_NETKIT_POLICY,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (data[types[i]]) {
			NL_SET_ERR_MSG_ATTR(extack, data[types[i]],
					    "a single device has no peer, no policy and no scrubbing");
			return -EOPNOTSUPP;
		}
	}

	return 0;
}

static int vkit_read(struct vkit_wish *wish, struct nlattr *data[],
		     struct netlink_ext_ack *extack)
{
	struct nlattr *attr = data[IFLA_NETKIT_PEER_INFO];
	int err;

	err = vkit_read_policies(wish, data, extack);
	if (err)
		return err;

	if (attr) {
		wish->peer_head = nla_data(attr);
		err = rtnl_nla_parse_ifinfomsg(wish->peer_tb, attr, extack);
		if (err)
			return err;
		err = vkit_validate(wish->peer_tb, NULL, extack);
		if (err)
			return err;
	}
	if (data[IFLA_NETKIT_MODE])
		wish->mode = nla_get_u32(data[IFLA_NETKIT_MODE]);
	if (data[IFLA_NETKIT_SCRUB])
		wish->scrub[0] = nla_get_u32(data[IFLA_NETKIT_SCRUB]);
	if (data[IFLA_NETKIT_PEER_SCRUB])
		wish->scrub[1] = nla_get_u32(data[IFLA_NETKIT_PEER_SCRUB]);
	if (data[IFLA_NETKIT_HEADROOM])
		wish->headroom = nla_get_u16(data[IFLA_NETKIT_HEADROOM]);
	if (data[IFLA_NETKIT_TAILROOM])
		wish->tailroom = nla_get_u16(data[IFLA_NETKIT_TAILROOM]);
	if (data[IFLA_NETKIT_PAIRING])
		wish->pairing = nla_get_u32(data[IFLA_NETKIT_PAIRING]);

	return wish->pairing == NETKIT_DEVICE_SINGLE ?
	       vkit_check_single(data, extack) : 0;
}

static int vkit_check_address(const struct vkit_wish *wish,
			      const struct nlattr *attr,
			      struct netlink_ext_ack *extack)
{
	if (!attr || wish->mode == NETKIT_L2)
		return 0;

	NL_SET_ERR_MSG_ATTR(extack, attr, "an end in L3 mode has no address");
	return -EOPNOTSUPP;
}

/* Before it is registered. */
static void vkit_make_end(struct net_device *dev, const struct vkit_wish *wish,
			  int end, bool has_address)
{
	struct vkit *vk = netdev_priv(dev);

	if (wish->mode == NETKIT_L3)
		dev->flags |= IFF_NOARP;
	else if (!has_address)
		eth_hw_addr_random(dev);
	if (wish->headroom)
		dev->needed_headroom = wish->headroom;
	if (wish->tailroom)
		dev->needed_tailroom = wish->tailroom;

	vk->primary = !end;
	vk->policy = wish->policy[end];
	vk->scrub = wish->scrub[end];
	vk->mode = wish->mode;
	vk->pairing = wish->pairing;
	vk->headroom = wish->headroom;
}

/* The registered peer of @dev, or an error. */
static struct net_device *vkit_make_peer(struct net_device *dev,
					 struct vkit_wish *wish,
					 struct rtnl_newlink_params *params,
					 struct netlink_ext_ack *extack)
{
	struct nlattr **tb = wish->peer_tb;
	const struct rtnl_link_ops *ops = dev->rtnl_link_ops;
	unsigned char assigned = NET_NAME_ENUM;
	struct net_device *peer;
	char name[IFNAMSIZ];
	struct net *net;
	int err;

	snprintf(name, sizeof(name), "%s%%d", ops->kind);
	if (tb[IFLA_IFNAME]) {
		nla_strscpy(name, tb[IFLA_IFNAME], IFNAMSIZ);
		assigned = NET_NAME_USER;
	}

	net = vkit_compat_peer_net(params, tb);
	if (IS_ERR(net))
		return ERR_CAST(net);
	peer = rtnl_create_link(net, name, assigned, ops, tb, extack);
	if (IS_ERR(peer))
		goto out;

	netif_inherit_tso_max(peer, dev);
	if (wish->peer_head && dev->ifindex)
		peer->ifindex = wish->peer_head->ifi_index;
	vkit_make_end(peer, wish, 1, tb[IFLA_ADDRESS]);

	err = register_netdevice(peer);
	if (err) {
		free_netdev(peer);
		peer = ERR_PTR(err);
		goto out;
	}
	netif_carrier_off(peer);

	err = rtnl_configure_link(peer, wish->peer_head, 0, NULL);
	if (err) {
		unregister_netdevice(peer);
		peer = ERR_PTR(err);
	}
out:
	put_net(net);
	return peer;
}

/* A peer about which nothing is said has the MTU and the name space of the host's end. */
static void vkit_share(struct vkit_wish *wish, struct nlattr *tb[])
{
	static const u8 types[] = {
		IFLA_MTU, IFLA_NET_NS_PID, IFLA_NET_NS_FD, IFLA_TARGET_NETNSID,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		wish->peer_tb[types[i]] = tb[types[i]];
}

/* Not static: an older kernel comes by vkit_compat.h. */
int vkit_newlink(struct net_device *dev, struct rtnl_newlink_params *params,
		 struct netlink_ext_ack *extack)
{
	struct vkit_wish wish = {
		.mode = dev->rtnl_link_ops == &vkit_veth_ops ? NETKIT_L2 : NETKIT_L3,
		.scrub = { NETKIT_SCRUB_DEFAULT, NETKIT_SCRUB_DEFAULT },
	};
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer = NULL;
	int err;

	if (!params->data || !params->data[IFLA_NETKIT_PEER_INFO])
		vkit_share(&wish, params->tb);
	err = params->data ? vkit_read(&wish, params->data, extack) : 0;
	if (!err)
		err = vkit_check_address(&wish, params->tb[IFLA_ADDRESS], extack);
	if (!err)
		err = vkit_check_address(&wish, wish.peer_tb[IFLA_ADDRESS], extack);
	if (err)
		return err;

	if (wish.pairing == NETKIT_DEVICE_PAIR) {
		peer = vkit_make_peer(dev, &wish, params, extack);
		if (IS_ERR(peer))
			return PTR_ERR(peer);
	}

	if (params->tb[IFLA_IFNAME])
		nla_strscpy(dev->name, params->tb[IFLA_IFNAME], IFNAMSIZ);
	else
		snprintf(dev->name, IFNAMSIZ, "%s%%d", dev->rtnl_link_ops->kind);
	vkit_make_end(dev, &wish, 0, params->tb[IFLA_ADDRESS]);
	err = register_netdevice(dev);
	if (err) {
		if (peer)
			unregister_netdevice(peer);
		return err;
	}
	netif_carrier_off(dev);

	rcu_assign_pointer(vk->peer, peer);
	if (peer) {
		vk = netdev_priv(peer);
		rcu_assign_pointer(vk->peer, dev);
	}

	return 0;
}

static void vkit_dellink(struct net_device *dev, struct list_head *head)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(vk->peer);

	RCU_INIT_POINTER(vk->peer, NULL);
	unregister_netdevice_queue(dev, head);
	if (peer) {
		vk = netdev_priv(peer);
		RCU_INIT_POINTER(vk->peer, NULL);
		unregister_netdevice_queue(peer, head);
	}
}

/* Only policies can be changed, and by the host's end, for a container must not choose its own. */
static int vkit_changelink(struct net_device *dev, struct nlattr *tb[],
			   struct nlattr *data[], struct netlink_ext_ack *extack)
{
	struct vkit *vk = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(vk->peer);
	struct vkit_wish wish = {};
	int err, i;

	if (!data)
		return 0;
	for (i = 1; i <= IFLA_NETKIT_PAIRING; i++) {
		if (!data[i])
			continue;
		if (!vk->primary) {
			NL_SET_ERR_MSG_ATTR(extack, data[i],
					    "a pair is changed by its host's end");
			return -EACCES;
		}
		if (i != IFLA_NETKIT_POLICY && i != IFLA_NETKIT_PEER_POLICY) {
			NL_SET_ERR_MSG_ATTR(extack, data[i],
					    "of a pair that exists only the policies can be changed");
			return -EACCES;
		}
		if (!peer) {
			NL_SET_ERR_MSG_ATTR(extack, data[i],
					    "a single device has no peer, no policy and no scrubbing");
			return -EOPNOTSUPP;
		}
	}

	err = vkit_read_policies(&wish, data, extack);
	if (err)
		return err;
	if (data[IFLA_NETKIT_POLICY])
		WRITE_ONCE(vk->policy, wish.policy[0]);
	if (data[IFLA_NETKIT_PEER_POLICY]) {
		vk = netdev_priv(peer);
		WRITE_ONCE(vk->policy, wish.policy[1]);
	}

	return 0;
}

static size_t vkit_get_size(const struct net_device *dev)
{
	return 6 * nla_total_size(sizeof(u32)) + 2 * nla_total_size(sizeof(u16)) +
	       nla_total_size(sizeof(u8));
}

static int vkit_fill_info(struct sk_buff *skb, const struct net_device *dev)
{
	const struct vkit *vk = netdev_priv(dev);
	const struct net_device *peer = rtnl_dereference(vk->peer);
	const struct vkit *other = peer ? netdev_priv(peer) : NULL;

	if (dev->rtnl_link_ops == &vkit_veth_ops)
		return 0;

	if (nla_put_u8(skb, IFLA_NETKIT_PRIMARY, vk->primary) ||
	    nla_put_u32(skb, IFLA_NETKIT_POLICY, vk->policy) ||
	    nla_put_u32(skb, IFLA_NETKIT_MODE, vk->mode) ||
	    nla_put_u32(skb, IFLA_NETKIT_SCRUB, vk->scrub) ||
	    nla_put_u32(skb, IFLA_NETKIT_PAIRING, vk->pairing) ||
	    nla_put_u16(skb, IFLA_NETKIT_HEADROOM, dev->needed_headroom) ||
	    nla_put_u16(skb, IFLA_NETKIT_TAILROOM, dev->needed_tailroom))
		return -EMSGSIZE;
	if (other &&
	    (nla_put_u32(skb, IFLA_NETKIT_PEER_POLICY, other->policy) ||
	     nla_put_u32(skb, IFLA_NETKIT_PEER_SCRUB, other->scrub)))
		return -EMSGSIZE;

	return 0;
}

static struct net *vkit_get_link_net(const struct net_device *dev)
{
	const struct vkit *vk = netdev_priv(dev);
	const struct net_device *peer = rtnl_dereference(vk->peer);

	return dev_net(peer ?: dev);
}

static struct rtnl_link_ops vkit_link_ops __read_mostly = {
	.kind = "vkit",
	.priv_size = sizeof(struct vkit),
	.setup = vkit_setup,
	.newlink = VKIT_COMPAT_NEWLINK,
	.dellink = vkit_dellink,
	.changelink = vkit_changelink,
	.get_link_net = vkit_get_link_net,
	.get_size = vkit_get_size,
	.fill_info = vkit_fill_info,
	.policy = vkit_policy,
	.validate = vkit_validate,
	VKIT_COMPAT_PEER_TYPE(IFLA_NETKIT_PEER_INFO)
	.maxtype = IFLA_NETKIT_PAIRING,
};

/* The kind "veth" has one attribute, with the number of ours; here it has all of ours. */
static_assert((int)VETH_INFO_PEER == (int)IFLA_NETKIT_PEER_INFO);

static struct rtnl_link_ops vkit_veth_ops __read_mostly = {
	.kind = "veth",
	.priv_size = sizeof(struct vkit),
	.setup = vkit_setup,
	.newlink = VKIT_COMPAT_NEWLINK,
	.dellink = vkit_dellink,
	.get_link_net = vkit_get_link_net,
	.policy = vkit_policy,
	.validate = vkit_validate,
	VKIT_COMPAT_PEER_TYPE(VETH_INFO_PEER)
	.maxtype = IFLA_NETKIT_PAIRING,
};

/*
 * Bridges, bonds and Open vSwitch want the receive handler of their ports, and
 * have it: a bridge asks before it is announced as the upper device, the others
 * after. Programs of such an end run when its packets are taken out of the queue.
 */
static int vkit_notify(struct notifier_block *nb, unsigned long event, void *ptr)
{
	const struct netdev_notifier_changeupper_info *upper = ptr;
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if (dev->netdev_ops != &vkit_netdev_ops)
		return NOTIFY_DONE;

	switch (event) {
	case NETDEV_JOIN:
		vkit_unhandle(dev);
		break;
	case NETDEV_PRECHANGEUPPER:
		if (upper->master && upper->linking)
			vkit_unhandle(dev);
		break;
	case NETDEV_UP:
		if (!netdev_master_upper_dev_get(dev))
			vkit_handle(dev);
		break;
	}

	return NOTIFY_DONE;
}

static struct notifier_block vkit_notifier = {
	.notifier_call = vkit_notify,
};

static int __init vkit_module_init(void)
{
	int err;

	err = register_netdevice_notifier(&vkit_notifier);
	if (err)
		return err;
	err = rtnl_link_register(&vkit_link_ops);
	if (err) {
		if (err == -EEXIST)
			pr_err("vkit: another module has the kind vkit\n");
		goto err_notifier;
	}
	if (vkit_as_veth) {
		err = rtnl_link_register(&vkit_veth_ops);
		if (err) {
			if (err == -EEXIST)
				pr_err("vkit: another module has the kind veth: remove it first ('rmmod veth')\n");
			goto err_link;
		}
	}

	return 0;

err_link:
	rtnl_link_unregister(&vkit_link_ops);
err_notifier:
	unregister_netdevice_notifier(&vkit_notifier);
	return err;
}
module_init(vkit_module_init);

static void __exit vkit_module_exit(void)
{
	if (vkit_as_veth)
		rtnl_link_unregister(&vkit_veth_ops);
	rtnl_link_unregister(&vkit_link_ops);
	unregister_netdevice_notifier(&vkit_notifier);
}
module_exit(vkit_module_exit);

MODULE_DESCRIPTION("Pair of network devices for containers, with programs of tc");
MODULE_LICENSE("GPL");
MODULE_ALIAS_RTNL_LINK("vkit");
