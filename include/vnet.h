/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device and its queues. What a room offers to others is in a header of its
 * own; what only it looks into is in none.
 *
 * Hot structs are grouped by who writes them: read-mostly, written by the
 * owner in the hot path, cold. The groups start on cache lines of their own.
 */
#ifndef VNET_H
#define VNET_H

#include <linux/cache.h>
#include <linux/netdevice.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <net/xdp.h>

#include "vnet_caps.h"
#include "vnet_cfg.h"
#include "vnet_compat.h"
#include "vnet_event.h"
#include "vnet_hdr.h"
#include "vnet_life.h"
#include "vnet_mem.h"
#include "vnet_moder.h"
#include "vnet_stats.h"
#include "vnet_vq.h"

struct failover;
struct vnet_coal_queue;
struct vnet_ctrl;
struct vnet_dev;
struct vnet_health;
struct vnet_placement;
struct vnet_recovery;
struct vnet_resets;

/**
 * struct vnet_rxq - receive queue
 * @vd: device
 * @xdp_prog: XDP program or NULL, read under RCU by the poll
 * @hdr_ctx: how to read virtio headers
 * @index: queue pair number
 * @copybreak: see struct vnet_cfg
 * @premapped: buffers are posted by bus address
 * @mergeable: a packet may take several buffers
 * @counts: the header counts buffers, though each packet takes one: a chain
 * @rx_hash: report the device's hash to the stack
 * @hdr_len: bytes of the virtio header
 * @ring: entries of the ring that are used
 * @ring_max: entries that it can have
 * @avg_low: @avg_len below which buffers become smaller
 * @avg_high: @avg_len above which buffers become larger
 * @refill_at: free slots at which the poll refills
 * @q: virtqueue, and the engine of its ring
 * @mem: buffers and pools
 * @napi: poll context; owns everything below up to the cold group
 * @coal: its coalescing, for samples of dynamic moderation, or NULL
 * @avg_len: moving average of packet lengths, see vnet_size_ewma_add()
 * @starved: the ring could not be filled; @starve_timer will poll again
 * @patience: so long it waits then, in jiffies
 * @lazy: whoever polled last wants no interrupts, see vnet_rxq_complete()
 * @waits: @moder polls again after a poll that found something
 * @special: any of @lazy and @waits, which the poll asks for at once
 * @nr_back: packets in @back
 * @back: packets that XDP sends back at the end of the poll
 * @pkt: the packet in hand
 * @stats: counters
 * @starve_timer: schedules @napi while @starved
 * @wrap: schedules @napi when an interrupt is lost to the core
 * @moder: polls where the device coalesces nothing and the user wants it
 * @xdp_rxq: registration with the XDP core
 * @name: of the virtqueue, seen in /proc/interrupts
 * @napi_gone: RCU state of when @napi was deleted
 * @xps: what was set as XPS of the pair, see life/affinity.c
 * @irqs: and as affinity of its interrupts
 * @user: what the user has set instead, or NULL
 * @placed: the interrupts of the pair have an affinity
 * @known: the core knows of @napi
 * @up: memory is attached and NAPI enabled
 */
struct vnet_rxq {
	/* read-mostly */
	struct vnet_dev *vd;
	struct bpf_prog __rcu *xdp_prog;
	struct vnet_hdr_rx hdr_ctx;
	u16 index;
	bool premapped;
	bool mergeable;
	bool counts;
	bool rx_hash;
	u8 hdr_len;
	u32 copybreak;
	u32 ring;
	u32 ring_max;
	u32 avg_low;
	u32 avg_high;
	u32 refill_at;

	/* written by the poll */
	struct vnet_vq q ____cacheline_aligned;
	struct vnet_rx_mem mem;
	struct napi_struct napi;
	struct vnet_coal_queue *coal;
	u32 avg_len;
	bool starved;
	u8 patience;
	union {
		struct {
			bool lazy;
			bool waits;
		};
		u16 special;
	};
	u32 nr_back;
	struct vnet_rxq_stats stats;
	struct vnet_rx_pkt pkt;
	struct vnet_back back[VNET_XDP_BULK];

	/* cold */
	struct timer_list starve_timer ____cacheline_aligned;
	struct vnet_wrap wrap;
	struct vnet_moder moder;
	struct xdp_rxq_info xdp_rxq;
	char name[16];
	unsigned long napi_gone;
	u32 xps;
	u32 irqs;
	struct vnet_placement *user;
	bool placed;
	bool known;
	bool up;
} ____cacheline_aligned;

/**
 * struct vnet_txq - transmit queue
 * @vd: device
 * @nq: the stack's queue; its xmit lock protects all that is written here
 * @hdr_ctx: how to write virtio headers
 * @index: queue pair number
 * @push_hdr: the header may share a descriptor with the packet
 * @orphan: tx-frames 0: packets are orphaned when they are sent and taken back
 *	by the next one; the device interrupts only for a queue that is stopped.
 *	Written under the xmit lock
 * @closed: the contrary of @up, see vnet_txq_set_up()
 * @quiet: nobody has sent lately, and whoever does wakes the detectors
 * @special: any of @orphan, @closed and @quiet, which xmit asks for at once; all
 *	are written under the xmit lock
 * @straight: a plain packet takes the straight path, see vnet_tx_is_plain()
 * @premapped: what XDP sends can be posted by bus address
 * @physical: the bus address is the physical address
 * @dma_dev: device that has mapped them, NULL when it is the physical address
 * @max_sg: most descriptors that one packet may take
 * @max_skb_sg: the same of a packet of the stack; others are linearized
 * @max_len: longest frame, VLAN tags not counted, that the device's MTU allows
 * @stop_at: free ring entries below which the stack is stopped
 * @ring: entries of the ring that are used
 * @ring_max: entries that it can have
 * @q: virtqueue, and the engine of its ring
 * @mem: slots and headers
 * @sg1: descriptor of a packet that takes one
 * @sg: descriptors of a packet that takes several
 * @stats: counters
 * @napi: completion context
 * @coal: its coalescing, for samples of dynamic moderation, or NULL
 * @name: of the virtqueue, seen in /proc/interrupts
 * @napi_gone: RCU state of when @napi was deleted
 * @wrap: schedules @napi when an interrupt is lost to the core
 * @moder: polls where the device coalesces nothing and the user wants it
 * @waits: it does, after a poll that completed something
 * @up: packets are taken; written under the xmit lock
 * @polled: NAPI is enabled
 * @known: the core knows of @napi
 */
struct vnet_txq {
	/* read-mostly */
	struct vnet_dev *vd;
	struct netdev_queue *nq;
	struct vnet_hdr_tx hdr_ctx;
	u16 index;
	bool push_hdr;
	bool straight;
	bool premapped;
	bool physical;
	union {
		struct {
			bool orphan;
			u8 closed:1;
			u8 quiet:1;
		};
		u16 special;
	};
	struct device *dma_dev;
	u16 max_sg;
	u16 max_skb_sg;
	u32 max_len;
	u32 stop_at;
	u32 ring;
	u32 ring_max;

	/* written under the xmit lock */
	struct vnet_vq q ____cacheline_aligned;
	struct vnet_tx_mem mem;
	struct vnet_txq_stats stats;
	struct scatterlist sg1;
	struct scatterlist sg[MAX_SKB_FRAGS + 2];

	/* written by NAPI, cold */
	struct napi_struct napi ____cacheline_aligned;
	struct vnet_coal_queue *coal;
	char name[16];
	unsigned long napi_gone;
	struct vnet_wrap wrap;
	struct vnet_moder moder;
	bool waits;
	bool up;
	bool polled;
	bool known;
} ____cacheline_aligned;

/*
 * Who writes a group owns its cache lines; what is read for each packet takes no
 * more than two of those of 64 bytes, wherever they are shorter, too.
 */
#define VNET_READ_MOSTLY	MAX(2 * SMP_CACHE_BYTES, 128)

static_assert(offsetof(struct vnet_rxq, q) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct vnet_rxq, q) <= VNET_READ_MOSTLY);
static_assert(offsetof(struct vnet_rxq, starve_timer) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct vnet_txq, q) <= VNET_READ_MOSTLY);
static_assert(offsetof(struct vnet_txq, q) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct vnet_txq, napi) % SMP_CACHE_BYTES == 0);

/**
 * struct vnet_dev - one virtio network device
 * @vdev: virtio device
 * @dev: net device; this struct is its private area
 * @caps: what the device can do, const after probe or renegotiation
 * @offered: features negotiated at probe, the most that @caps can have
 * @devcfg: snapshot of the configuration space taken at probe
 * @cfg: what the user asked for
 * @rxqs: receive queues, caps.max_pairs of them, persistent
 * @txqs: transmit queues, as many
 * @dma_dev: device that maps buffers, NULL when bus addresses are physical
 * @cvq: control virtqueue or NULL
 * @ctrl: control queue transport, NULL without a control queue
 * @failover: master of a standby device, or NULL
 * @life: what the device is to be, and what it is
 * @msg_enable: NETIF_MSG_* that the user wants to see
 * @speed: link speed in Mbit/s or SPEED_UNKNOWN
 * @duplex: DUPLEX_* value
 * @config_work: reacts to configuration change interrupts
 * @pairs_work: the device has changed the number of queue pairs
 * @heal: counters of self-healing
 * @recovery: self-healing
 * @health: health reporters, NULL before they are there
 * @resets: resets of the device and of virtqueues
 * @thaw_work: finds a device that nobody has restored
 * @spread_work: spreads the queues anew after CPU hotplug
 * @hp_online: node of the CPU-online callback
 * @hp_dead: node of the CPU-dead callback
 *
 * Protected by the netdev instance lock (rtnl on kernels without it) where
 * nothing else is said.
 */
struct vnet_dev {
	struct virtio_device *vdev;
	struct net_device *dev;
	struct vnet_caps caps;
	struct vnet_features offered;
	struct vnet_devcfg devcfg;
	struct vnet_cfg cfg;
	struct vnet_rxq *rxqs;
	struct vnet_txq *txqs;
	struct device *dma_dev;
	struct virtqueue *cvq;
	struct vnet_ctrl *ctrl;
	struct failover *failover;
	struct vnet_life life;
	u32 msg_enable;
	u32 speed;
	u8 duplex;
	struct work_struct config_work;
	struct work_struct pairs_work;
	struct vnet_heal_stats heal;
	struct vnet_recovery *recovery;
	struct vnet_health *health;
	struct vnet_resets *resets;
	struct delayed_work thaw_work;
	struct work_struct spread_work;
	struct hlist_node hp_online;
	struct hlist_node hp_dead;
};

/* Messages that the user can choose from: ethtool -s msglvl */
#define vnet_warn(vd, type, fmt, ...)					\
do {									\
	const struct vnet_dev *__vd = (vd);				\
									\
	netif_warn(__vd, type, __vd->dev, fmt, ##__VA_ARGS__);		\
} while (0)

/* The device is past DRIVER_OK and its virtqueues exist. */
static inline bool vnet_live(const struct vnet_dev *vd)
{
	return vnet_life_live(READ_ONCE(vd->life.have));
}

/* The driver or the system goes: nothing may be scheduled any more. */
static inline bool vnet_leaving(const struct vnet_dev *vd)
{
	return READ_ONCE(vd->life.want.power) >= VNET_POWER_SHUT;
}

/* Carrier off, no virtqueues unless a reset hangs, and little hope */
static inline bool vnet_given_up(const struct vnet_dev *vd)
{
	return !vnet_live(vd) &&
	       vnet_life_tries(&vd->life) >= VNET_RESET_TRIES;
}

/*
 * A device that was given up takes no settings: nobody could say whether they
 * will ever be in force.
 */
static inline int vnet_dev_usable(const struct vnet_dev *vd,
				  struct netlink_ext_ack *extack)
{
	if (!vnet_given_up(vd))
		return 0;

	NL_SET_ERR_MSG(extack,
		       "the device was given up, see 'devlink health'");

	return -ENODEV;
}

#endif /* VNET_H */
