/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMON_H
#define VMON_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>
#include <linux/vsockmon.h>
#include <net/af_vsock.h>

/**
 * enum vmon_count - what a monitor counts
 * @VMON_UNKNOWN: packets of an operation that has no name
 * @VMON_CONNECT: packets that open a connection
 * @VMON_DISCONNECT: packets that end one
 * @VMON_CONTROL: packets that tell of room for more
 * @VMON_PAYLOAD: packets with payload
 * @VMON_SHORT: frames that are no packet: somebody has sent them to the monitor
 * @VMON_HIDDEN: packets that are not for the name space of the monitor
 * @VMON_LOST: packets that came faster than it was known whose they are
 * @VMON_BYTES: bytes of everything that was shown
 * @VMON_COUNTS: how many there are
 *
 * The first five are the values of enum af_vsockmon_op.
 */
enum vmon_count {
	VMON_UNKNOWN,
	VMON_CONNECT,
	VMON_DISCONNECT,
	VMON_CONTROL,
	VMON_PAYLOAD,
	VMON_SHORT,
	VMON_HIDDEN,
	VMON_LOST,
	VMON_BYTES,
	VMON_COUNTS,
};

/**
 * struct vmon_stats - counters of one CPU
 * @n: by &enum vmon_count
 * @syncp: for readers of 32 bit
 */
struct vmon_stats {
	u64_stats_t n[VMON_COUNTS];
	struct u64_stats_sync syncp;
};

/**
 * struct vmon - a monitor
 * @dev: its network device
 * @tap: how a monitor of the initial name space gets packets
 * @node: entry of the monitors behind the door; rcu
 * @stats: counters, one struct for each CPU
 * @behind_door: packets come by the door, and not by @tap; set while it is up
 */
struct vmon {
	struct net_device *dev;
	struct vsock_tap tap;
	struct list_head node;
	struct vmon_stats __percpu *stats;
	bool behind_door;
};

/**
 * struct vmon_ends - the two ends of a packet
 * @src: who sends it
 * @dst: whom it is for
 * @src_here: the CID of @src is one of this machine
 * @dst_here: the CID of @dst is one of this machine
 */
struct vmon_ends {
	struct sockaddr_vm src;
	struct sockaddr_vm dst;
	bool src_here;
	bool dst_here;
};

/* vmon_stats */
void vmon_add(struct vmon *vm, enum vmon_count which, u64 n);

/* vmon_door */
int vmon_door_enter(struct vmon *vm);
void vmon_door_leave(struct vmon *vm);

/* vmon_sight */
bool vmon_connected(const struct vmon_ends *ends, struct net *net);
bool vmon_may_see(const struct vmon_ends *ends, struct net *net);

#endif /* VMON_H */
