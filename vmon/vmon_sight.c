// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a network name space may see a packet.
 *
 * It may if one end of the packet is a socket of that name space at the moment
 * the packet passes, and it is not as likely a packet of others, whose sockets
 * this name space cannot reach and who may have the same addresses. A packet
 * does not say whose it is, so whoever has a connection with the addresses of the
 * packet has the better claim than who has only bound one; who has both ends the
 * better claim than who has one; and where claims are equal nobody sees it.
 *
 * A packet is looked up as the receiver of its transport looks it up: among the
 * sockets that are connected, then among those that are bound. A socket that is
 * bound to a port may have any CID of this machine, so the second is asked only
 * about ends that are here; else who binds the port of a service in a virtual
 * machine would see what others say to that.
 */

#include <net/net_namespace.h>
#include <net/sock.h>

#include "vmon.h"
#include "vmon_compat.h"

/* Is @sk a socket of @net? Without @net any socket will do. Gives @sk back. */
static bool vmon_is_of(struct sock *sk, const struct net *net)
{
	bool yes;

	if (!sk)
		return false;

	yes = !net || net_eq(sock_net(sk), net);
	sock_put(sk);
	return yes;
}

/**
 * struct vmon_claim - what speaks for a packet being one of some name spaces
 * @connected: one of its ends is a socket of theirs that is connected
 * @ends: how many of its ends are sockets of theirs
 */
struct vmon_claim {
	bool connected;
	unsigned int ends;
};

/*
 * Is the end @self of a packet, whose other end is @other, a socket that can be
 * reached from @reach and, if @of is given, is one of that name space?
 */
static void vmon_look(struct vmon_claim *claim, const struct sockaddr_vm *self,
		      bool here, const struct sockaddr_vm *other,
		      struct net *reach, const struct net *of)
{
	struct sockaddr_vm me = *self, peer = *other;

	if (vmon_is_of(vsock_find_connected_socket_net(&peer, &me, reach), of)) {
		claim->connected = true;
		claim->ends++;
	} else if (here &&
		   vmon_is_of(vsock_find_bound_socket_net(&me, reach), of)) {
		claim->ends++;
	}
}

static struct vmon_claim vmon_claim(const struct vmon_ends *ends,
				    struct net *reach, const struct net *of)
{
	struct vmon_claim claim = {};

	vmon_look(&claim, &ends->dst, ends->dst_here, &ends->src, reach, of);
	vmon_look(&claim, &ends->src, ends->src_here, &ends->dst, reach, of);
	return claim;
}

/* Is the claim of those who are reached from @reach as good as @mine? */
static bool vmon_is_contested(const struct vmon_claim *mine,
			      const struct vmon_ends *ends, struct net *reach)
{
	struct vmon_claim theirs = vmon_claim(ends, reach, NULL);

	if (theirs.connected || theirs.ends > 1)
		return true;

	return !mine->connected && theirs.ends >= mine->ends;
}

/*
 * All name spaces whose sockets share the addresses of the machine are asked
 * about at once, by NULL; those with addresses of their own one by one.
 */
static bool vmon_is_foreign(const struct vmon_claim *mine,
			    const struct vmon_ends *ends, struct net *net)
{
	struct net *other;

	if (vmon_compat_is_local(net) && vmon_is_contested(mine, ends, NULL))
		return true;

	for_each_net_rcu(other) {
		if (vmon_compat_is_local(other) && !net_eq(other, net) &&
		    vmon_is_contested(mine, ends, other))
			return true;
	}

	return false;
}

/**
 * vmon_connected() - is an end of a packet a socket of @net that is connected?
 * @ends: the ends; whether they are here need not be known
 * @net: the name space
 *
 * Context: RCU, any.
 * Return: true if it is.
 */
bool vmon_connected(const struct vmon_ends *ends, struct net *net)
{
	return vmon_claim(ends, net, net).connected;
}

/**
 * vmon_may_see() - may a name space see a packet?
 * @ends: the ends of the packet
 * @net: the name space
 *
 * Context: RCU, any.
 * Return: true if it may.
 */
bool vmon_may_see(const struct vmon_ends *ends, struct net *net)
{
	struct vmon_claim mine = vmon_claim(ends, net, net);

	return mine.ends && !vmon_is_foreign(&mine, ends, net);
}
