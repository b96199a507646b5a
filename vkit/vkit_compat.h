/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vkit is written for the newest kernel. What an older one does not have is put
 * in its place here, by what its headers have (see Kbuild).
 */
#ifndef VKIT_COMPAT_H
#define VKIT_COMPAT_H

#include <linux/if_link.h>
#include <net/dropreason.h>
#include <net/rtnetlink.h>

/*
 * 6.15, all of one time: more attributes, the parameters of a new link in a struct, and the
 * name space of the peer among them
 */
struct rtnl_newlink_params;

int vkit_newlink(struct net_device *dev, struct rtnl_newlink_params *params,
		 struct netlink_ext_ack *extack);

#ifdef VKIT_HAVE_NEWLINK_PARAMS
#define VKIT_COMPAT_PEER_TYPE(type)	.peer_type = (type),
#define VKIT_COMPAT_NEWLINK		vkit_newlink

static inline struct net *
vkit_compat_peer_net(struct rtnl_newlink_params *params,
		     struct nlattr *peer_tb[])
{
	return get_net(rtnl_newlink_peer_net(params));
}
#else
#define IFLA_NETKIT_HEADROOM	(IFLA_NETKIT_PEER_SCRUB + 1)
#define IFLA_NETKIT_TAILROOM	(IFLA_NETKIT_PEER_SCRUB + 2)
#define IFLA_NETKIT_PAIRING	(IFLA_NETKIT_PEER_SCRUB + 3)
#define NETKIT_DEVICE_PAIR	0
#define NETKIT_DEVICE_SINGLE	1
#define VKIT_COMPAT_PEER_TYPE(type)
#define VKIT_COMPAT_NEWLINK		vkit_compat_newlink

struct rtnl_newlink_params {
	struct net *src_net;
	struct nlattr **tb;
	struct nlattr **data;
};

static inline struct net *
vkit_compat_peer_net(struct rtnl_newlink_params *params,
		     struct nlattr *peer_tb[])
{
	return rtnl_link_get_net(params->src_net, peer_tb);
}

static inline int vkit_compat_newlink(struct net *src_net,
				      struct net_device *dev,
				      struct nlattr *tb[],
				      struct nlattr *data[],
				      struct netlink_ext_ack *extack)
{
	struct rtnl_newlink_params params = {
		.src_net = src_net, .tb = tb, .data = data,
	};

	return vkit_newlink(dev, &params, extack);
}
#endif

#endif /* VKIT_COMPAT_H */
