/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the user asked for. It survives down, suspend, reset and renegotiation
 * because nothing frees it; vnet_cfg_replay() tells it to the device again.
 */
#ifndef VNET_CFG_H
#define VNET_CFG_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/dim.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct netlink_ext_ack;
struct vnet_dev;
struct xsk_buff_pool;

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
	bool ack;
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
 * struct vnet_coal - when the device notifies; zero of either: at once
 * @packets: after so many packets; zero of a transmit queue means that packets
 *	are orphaned, see struct vnet_txq
 * @usecs: or so many microseconds after the first of them
 */
struct vnet_coal {
	u32 packets;
	u32 usecs;
};

/**
 * struct vnet_coal_queue - coalescing of one virtqueue
 * @coal: what the device was asked for
 * @own: set for this virtqueue; else it follows the global values
 * @adaptive: @dim decides
 * @vq: virtqueue number
 * @events: polls so far
 * @vd: device
 * @dim: dynamic moderation; @dim.work tells the device
 */
struct vnet_coal_queue {
	struct vnet_coal coal;
	bool own;
	bool adaptive;
	u16 vq;
	u16 events;
	struct vnet_dev *vd;
	struct dim dim;
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
 * @msg_enable: NETIF_MSG_* that the user wants to see
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
	u32 msg_enable;
	u32 speed;
	u8 duplex;
};

/**
 * struct vnet_cfg - desired configuration of one device
 * @pairs: queue pairs in use, 1..caps.max_pairs
 * @rx_ring: entries of each receive ring, 0 for what the device gives
 * @tx_ring: entries of each transmit ring, 0 for what the device gives
 * @mtu: MTU in bytes, 68..caps.max_mtu
 * @rx_buf_len: largest receive buffer in bytes, a power of two, 2048..32768
 * @rx_copybreak: packets up to this many bytes are copied out of their buffer
 * @rx_csum: use what the device says about checksums (NETIF_F_RXCSUM)
 * @rx_hash: use the hash that the device reports (NETIF_F_RXHASH)
 * @rx_gso: let the device merge packets (NETIF_F_GRO_HW)
 * @xdp: XDP program, owned reference, or NULL
 * @nr_xsk: AF_XDP pools in @xsk
 * @xsk: AF_XDP pool of each queue pair, or NULL; like @policy shared by copies
 *	and changed in place
 * @policy: what the L3 rooms keep: filters, RSS, coalescing; never NULL after
 *	vnet_policy_create()
 *
 * Protected by the netdev instance lock (rtnl on kernels without it).
 */
struct vnet_cfg {
	u16 pairs;
	u16 rx_ring;
	u16 tx_ring;
	u32 mtu;
	u32 rx_buf_len;
	u32 rx_copybreak;
	bool rx_csum;
	bool rx_hash;
	bool rx_gso;
	struct bpf_prog *xdp;
	u16 nr_xsk;
	struct xsk_buff_pool **xsk;
	struct vnet_policy *policy;
};

/* Must packets be received as they were on the wire, neither merged nor unchecked? */
static inline bool vnet_cfg_raw(const struct vnet_cfg *cfg)
{
	return cfg->xdp || cfg->nr_xsk;
}

void vnet_cfg_init(struct vnet_dev *vd);
int vnet_cfg_apply(struct vnet_dev *vd, const struct vnet_cfg *new,
		   struct netlink_ext_ack *extack);
int vnet_cfg_xsk(struct vnet_dev *vd, u16 queue, struct xsk_buff_pool *pool,
		 struct netlink_ext_ack *extack);
int vnet_cfg_replay(struct vnet_dev *vd);
void vnet_cfg_pairs_work(struct work_struct *work);

#endif /* VNET_CFG_H */
