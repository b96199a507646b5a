/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmon is written for the newest kernel. What an older one does not have is
 * put in its place here, by what its headers have (see Kbuild).
 */
#ifndef VMON_COMPAT_H
#define VMON_COMPAT_H

#include <net/af_vsock.h>

/* 7.0: name spaces of which the sockets have addresses of their own ("local") */
#ifndef VMON_HAVE_NET_MODE
static inline bool vmon_compat_is_local(struct net *net)
{
	return false;
}

static inline struct sock *
vsock_find_bound_socket_net(struct sockaddr_vm *addr, struct net *net)
{
	return vsock_find_bound_socket(addr);
}

static inline struct sock *
vsock_find_connected_socket_net(struct sockaddr_vm *src,
				struct sockaddr_vm *dst, struct net *net)
{
	return vsock_find_connected_socket(src, dst);
}
#else
static inline bool vmon_compat_is_local(struct net *net)
{
	return vsock_net_mode(net) == VSOCK_NET_MODE_LOCAL;
}
#endif

#endif /* VMON_COMPAT_H */
