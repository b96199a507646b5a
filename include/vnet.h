/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structs of the driver and what its rooms offer each other.
 *
 * Hot structs are grouped by who writes them: read-mostly, written by the
 * owner in the hot path, cold. The groups start on cache lines of their own.
 */
#ifndef VNET_H
#define VNET_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/netdevice.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <net/page_pool/types.h>
#include <net/xdp.h>

#include "vnet_caps.h"
#include "vnet_cfg.h"
#include "vnet_compat.h"
#include "vnet_hdr.h"
#include "vnet_life.h"
#include "vnet_recovery.h"
#include "vnet_size.h"
#include "vnet_slot.h"
#include "vnet_stats.h"
#include "vnet_vq.h"

/*
 * Most buffers that one packet may claim: 64 KiB in the smallest buffers,
 * with some to spare.
 */
#define VNET_PKT_MAX_BUFS	64

/* Frames that XDP_TX collects before they are sent: those of a usual poll */
#define VNET_XDP_BULK		NAPI_POLL_WEIGHT

/* Most receive slots of a queue that may be with its twin at a time */
#define VNET_XDP_AWAY		512

/* Descriptors that are always left to the stack, so XDP cannot starve it. */
#define VNET_TX_RESERVE		(MAX_SKB_FRAGS + 2)

struct failover;
struct vnet_dev;
struct vnet_ctrl;
struct vnet_placement;
struct vnet_xsk_spare;
struct vnet_xsk_tx;
struct xsk_buff_pool;

/**
 * struct vnet_rx_buf - one receive buffer
 * @page: page pool page it lies in, NULL while the buffer has no memory
 * @xdp: the same for a queue with an AF_XDP pool: the frame
 * @va: start of the buffer's region, headroom included
 * @addr: bus address of what is given to the device
 * @truesize: bytes of the region
 * @room: bytes given to the device, virtio header included; the device's used
 *	length is checked against it
 * @headroom: bytes between @va and what the device writes
 * @slot: slot that the buffer belongs to
 *
 * There is one for each buffer of every ring: 32 bytes.
 */
struct vnet_rx_buf {
	union {
		struct page *page;
		struct xdp_buff *xdp;
	};
	void *va;
	dma_addr_t addr;
	u16 truesize;
	u16 room;
	u16 headroom;
	u16 slot;
};

/**
 * struct vnet_back - a packet that a program sends back
 * @buf: its buffer, which stays in its slot
 * @data: start of the frame in the buffer
 * @len: bytes of the frame
 * @received: bytes that the device had delivered
 *
 * XDP_TX of a packet of one buffer needs neither the frame nor the page pool of
 * the XDP core: the slot is neither free nor posted until the buffer was sent,
 * and the transmit slot names it meanwhile. Nothing is kept where the device
 * could write.
 */
struct vnet_back {
	struct vnet_rx_buf *buf;
	u16 data;
	u16 len;
	u16 received;
};

/**
 * struct vnet_rx_cut - the page that buffers are cut from
 * @page: page, or NULL
 * @va: address of the rest, which is not cut off yet
 * @addr: its bus address
 * @left: its bytes, 0 without a page
 * @users: buffers that were cut off
 * @size: bytes of a whole page
 * @failed: pages that were not to be had, and that nobody has counted yet
 * @again: not before this time is another one asked for, in jiffies
 * @waits: @again is to be waited for
 */
struct vnet_rx_cut {
	struct page *page;
	void *va;
	dma_addr_t addr;
	u32 left;
	u32 users;
	u32 size;
	u32 failed;
	unsigned long again;
	bool waits;
};

/**
 * struct vnet_rx_mem - memory of a receive queue, replaced as a whole
 * @bufs: receive buffers; slot i owns entries i * @stride to (i+1) * @stride-1
 * @slots: free slots; one slot is one ring buffer (a chain of @stride buffers)
 * @pool: pages of the wanted order
 * @cut: the page of @pool that buffers are cut from
 * @pool0: smaller pages for when @pool has none, or NULL
 * @spare_size: bytes of one of those
 * @xsk: AF_XDP pool that the buffers come from instead, or NULL
 * @spare: frames taken from it and not yet used
 * @layout: how a buffer is cut
 * @sg: descriptors for posting, @nr_sg entries, written before each post
 * @chain_room: bytes that the buffers of a slot have to offer together
 * @away: slots that are with the transmit queue, see struct vnet_back
 * @most_away: half of the slots at most: the ring never runs dry for them
 * @stride: buffers per slot, 1 but for chains: as many as one may take
 * @nr_sg: most descriptors per slot
 * @split_hdr: the header takes a descriptor of its own (legacy devices)
 * @plain: a slot is one descriptor, posted by its physical address
 * @dma: bus addresses come from the pools' mapping
 * @sync: which needs syncing, see vnet_rxmem_look()
 * @xdp: laid out and mapped for an XDP program
 *
 * Created by vnet_rxmem_create() without touching the queue, so that a
 * reconfiguration can fail before anything was stopped.
 */
struct vnet_rx_mem {
	struct vnet_rx_buf *bufs;
	struct vnet_slots slots;
	struct page_pool *pool;
	struct vnet_rx_cut cut;
	struct page_pool *pool0;
	u32 spare_size;
	struct xsk_buff_pool *xsk;
	struct vnet_xsk_spare *spare;
	struct vnet_rx_layout layout;
	struct scatterlist *sg;
	u32 chain_room;
	u16 away;
	u16 most_away;
	u16 stride;
	u16 nr_sg;
	bool split_hdr;
	bool plain;
	bool dma;
	bool sync;
	bool xdp;
};

/**
 * struct vnet_rx_pkt - the buffers of one received packet
 * @hdr: private copy of the virtio header
 * @nr: buffers collected so far
 * @len: bytes of the frame, all buffers, virtio header excluded
 * @skb: what a program passed to the stack, or NULL
 * @bufs: the buffers
 * @lens: bytes used of each; of the first one without the virtio header
 *
 * One for each queue: on the stack, a kernel that clears stack variables would
 * write 800 bytes at every poll. The only carrier between the rx rooms.
 */
struct vnet_rx_pkt {
	struct vnet_hdr hdr;
	u16 nr;
	u32 len;
	struct sk_buff *skb;
	struct vnet_rx_buf *bufs[VNET_PKT_MAX_BUFS];
	u32 lens[VNET_PKT_MAX_BUFS];
};

/**
 * struct vnet_rx_ctx - state of one receive poll
 * @budget: packets that may be handled
 * @pkts: packets handled
 * @xdp: what the flush at the end has to do, bits of vnet_xdp.c
 * @hot: counters to fold into the queue's once, by enum vnet_rx_stat
 */
struct vnet_rx_ctx {
	u32 budget;
	u32 pkts;
	u32 xdp;
	u32 hot[VNET_RXS_NR_HOT];
};

/**
 * struct vnet_rxq - receive queue
 * @vd: device
 * @xdp_prog: XDP program or NULL, read under RCU by the poll
 * @hdr_ctx: how to read virtio headers
 * @index: queue pair number
 * @copybreak: see struct vnet_cfg
 * @premapped: buffers are posted by bus address
 * @mergeable: a packet may take several buffers
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
 * @avg_len: moving average of packet lengths, see vnet_size_ewma_add()
 * @starved: the ring could not be filled; @starve_timer will poll again
 * @lazy: whoever polled last wants no interrupts, see vnet_rxq_complete()
 * @nr_back: packets in @back
 * @back: packets that XDP sends back at the end of the poll
 * @pkt: the packet in hand
 * @stats: counters
 * @starve_timer: schedules @napi while @starved
 * @wrap: schedules @napi when an interrupt is lost to the core
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
	u32 avg_len;
	bool starved;
	bool lazy;
	u32 nr_back;
	struct vnet_rxq_stats stats;
	struct vnet_rx_pkt pkt;
	struct vnet_back back[VNET_XDP_BULK];

	/* cold */
	struct timer_list starve_timer ____cacheline_aligned;
	struct vnet_wrap wrap;
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
 * enum vnet_tx_type - what a transmit slot that is taken holds
 * @VNET_TX_SKB: a packet of the stack
 * @VNET_TX_ORPHAN: a packet that its socket and byte queue limits have
 *	forgotten, see struct vnet_txq
 * @VNET_TX_XDP: a frame of the XDP core, redirected to this device mostly
 * @VNET_TX_BACK: a receive slot, sent back by the program of the queue's twin
 * @VNET_TX_XSK: frames of AF_XDP that make one packet
 * @VNET_TX_XSK_DONE: the same, when the device is done but not yet with all
 *	that were sent earlier: AF_XDP completes in order
 */
enum vnet_tx_type {
	VNET_TX_SKB,
	VNET_TX_ORPHAN,
	VNET_TX_XDP,
	VNET_TX_BACK,
	VNET_TX_XSK,
	VNET_TX_XSK_DONE,
};

/**
 * struct vnet_tx_buf - one transmit slot
 * @skb: owned packet, for %VNET_TX_SKB and %VNET_TX_ORPHAN
 * @xdpf: owned frame, for %VNET_TX_XDP
 * @back: receive slot, for %VNET_TX_BACK
 * @descs: descriptors of AF_XDP, for %VNET_TX_XSK
 * @bytes: length of the packet, virtio header excluded
 * @next: in place of @bytes, one more than the index of the next slot whose
 *	frame was put aside, or 0
 * @type: enum vnet_tx_type
 */
struct vnet_tx_buf {
	union {
		struct sk_buff *skb;
		struct xdp_frame *xdpf;
		u32 back;
		u32 descs;
	};
	union {
		u32 bytes;
		u32 next;
	};
	u8 type;
};

/**
 * struct vnet_tx_mem - memory of a transmit queue, replaced as a whole
 * @bufs: one slot per ring entry
 * @slots: free slots
 * @hdrs: one virtio header per slot, as long as on the wire, for packets
 *	without room of their own; and one more, always zero
 * @xsk: state of AF_XDP zero copy, NULL without a pool
 * @tables: descriptors of packets of several pieces, one table for each slot
 *	that has had one; with our own engine of the ring
 * @home: receive slots that have been sent, for the poll of the queue's twin to
 *	fetch; room for %VNET_XDP_AWAY, NULL without a program
 * @nr_home: number of them
 * @aside: one more than the index of the first slot whose packet is done and
 *	whose frame waits for NAPI, or 0
 * @late: something waits for NAPI: @aside, or frames of AF_XDP
 */
struct vnet_tx_mem {
	struct vnet_tx_buf *bufs;
	struct vnet_slots slots;
	void *hdrs;
	struct vnet_xsk_tx *xsk;
	struct vring_desc **tables;
	u16 *home;
	u32 nr_home;
	u32 aside;
	bool late;
};

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
 * @name: of the virtqueue, seen in /proc/interrupts
 * @napi_gone: RCU state of when @napi was deleted
 * @wrap: schedules @napi when an interrupt is lost to the core
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
	char name[16];
	unsigned long napi_gone;
	struct vnet_wrap wrap;
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
 * struct vnet_core_call - a call into the virtio core that may never return
 * @work: does it
 * @done: completed when it has returned
 * @state: one of VNET_CALL_* of life/reset.c
 * @vd: device
 * @vq: virtqueue to reset, or NULL to reset the device
 * @num: new size of the virtqueue, or 0
 * @err: what it returned
 *
 * The core waits without bound for a device that resets itself or a virtqueue.
 * We wait for the core with a bound; memory stays where it is until it is back.
 */
struct vnet_core_call {
	struct work_struct work;
	struct completion done;
	atomic_t state;
	struct vnet_dev *vd;
	struct virtqueue *vq;
	u32 num;
	int err;
};

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
 * @speed: link speed in Mbit/s or SPEED_UNKNOWN
 * @duplex: DUPLEX_* value
 * @config_work: reacts to configuration change interrupts
 * @pairs_work: the device has changed the number of queue pairs
 * @recovery: self-healing
 * @reset_call: reset of the device
 * @ring_call: reset of a virtqueue
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
	u32 speed;
	u8 duplex;
	struct work_struct config_work;
	struct work_struct pairs_work;
	struct vnet_recovery recovery;
	struct vnet_core_call reset_call;
	struct vnet_core_call ring_call;
	struct work_struct spread_work;
	struct hlist_node hp_online;
	struct hlist_node hp_dead;
};

/* Messages that the user can choose from: ethtool -s msglvl */
#define vnet_warn(vd, type, fmt, ...)					\
do {									\
	const struct vnet_dev *__vd = (vd);				\
									\
	netif_warn(__vd->cfg.policy, type, __vd->dev, fmt,		\
		   ##__VA_ARGS__);					\
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
	       READ_ONCE(vd->recovery.tries) >= VNET_RESET_TRIES;
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

/* Entries of the ring that packets could be given to; ours takes one for each. */
static __always_inline u32 vnet_txq_free(const struct vnet_txq *txq)
{
	return vnet_vq_own(&txq->q) ? txq->mem.slots.nr_free :
				      txq->q.vq->num_free;
}

/* Where the device wrote piece @i of a packet; past the virtio header. */
static inline void *vnet_rx_data(const struct vnet_rxq *rxq,
				 const struct vnet_rx_pkt *pkt, u16 i)
{
	const struct vnet_rx_buf *buf = pkt->bufs[i];

	return buf->va + buf->headroom + (i ? 0 : rxq->hdr_len);
}

/*
 * Does the mapping of buffers need syncing? To be asked before any of those
 * that were mapped since is looked at: a mapping may turn a "no" into a "yes".
 */
static inline void vnet_rxmem_look(struct vnet_rxq *rxq)
{
	rxq->mem.sync = rxq->mem.dma && dma_dev_need_sync(rxq->vd->dma_dev);
}

/* Where the device writes in @buf, as bytes from the start of its page */
static inline u32 vnet_rxbuf_offset(const struct vnet_rx_buf *buf)
{
	return buf->va - page_address(buf->page) + buf->headroom;
}

/* data/rxbuf.c: buffers of the receive rings */
void vnet_rxmem_size_in(const struct vnet_caps *caps,
			const struct vnet_cfg *cfg, struct vnet_size_in *in);
int vnet_rxmem_create(struct vnet_rxq *rxq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_rx_mem *mem);
void vnet_rxmem_serve(struct vnet_rxq *rxq);
void vnet_rxmem_destroy(struct vnet_rx_mem *mem);
void vnet_rxbuf_refill(struct vnet_rxq *rxq, gfp_t gfp);
void vnet_rxbuf_adapt(struct vnet_rxq *rxq);
void vnet_rxbuf_reclaim(struct virtqueue *vq, void *token);
void vnet_rxbuf_starved(struct timer_list *timer);

/* vnet_rx.c: receive */
void vnet_rxq_irq(struct virtqueue *vq);
int vnet_rxq_poll(struct napi_struct *napi, int budget);
void vnet_rxq_purge(struct vnet_rxq *rxq);

/* vnet_tx.c: transmit */
int vnet_txmem_create(struct vnet_txq *txq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_tx_mem *mem);
void vnet_txmem_destroy(struct vnet_tx_mem *mem);
void vnet_txmem_put_aside(struct vnet_tx_mem *mem);
netdev_tx_t vnet_ndo_xmit(struct sk_buff *skb, struct net_device *dev);
void vnet_txq_irq(struct virtqueue *vq);
void vnet_txq_set_orphan(struct vnet_txq *txq, bool on);
int vnet_txq_poll(struct napi_struct *napi, int budget);
u32 vnet_txq_send_frames(struct vnet_txq *txq, struct xdp_frame **frames,
			 u32 nr, bool kick, u32 *lost);
u32 vnet_txq_send_back(struct vnet_txq *txq, const struct vnet_back *back,
		       u32 nr);
void vnet_txq_reclaim(struct virtqueue *vq, void *token);

/* life/queue.c: the queues; life/life.c decides when they start and stop */
int vnet_queues_create(struct vnet_dev *vd);
void vnet_queues_destroy(struct vnet_dev *vd);
int vnet_pair_start(struct vnet_dev *vd, u16 i);
void vnet_pair_off(struct vnet_dev *vd, u16 i);
void vnet_pair_forget(struct vnet_dev *vd, u16 i);
bool vnet_pair_reset(struct vnet_dev *vd, u16 i);
void vnet_pair_free(struct vnet_dev *vd, u16 i);
void vnet_pairs_send(struct vnet_dev *vd, u16 from, u16 to, bool on);
void vnet_pairs_drain(struct vnet_dev *vd, u16 from, u16 to);
void vnet_queues_off(struct vnet_dev *vd);
void vnet_queues_reclaim(struct vnet_dev *vd);
u32 vnet_rxq_ring(const struct vnet_rxq *rxq, const struct vnet_cfg *cfg);
u32 vnet_txq_ring(const struct vnet_txq *txq, const struct vnet_cfg *cfg);
int vnet_pair_replace(struct vnet_dev *vd, u16 i, struct vnet_rx_mem *rx,
		      struct vnet_tx_mem *tx);
void vnet_rxq_setup(struct vnet_rxq *rxq);
int vnet_vq_restart(struct vnet_dev *vd, u16 index);

/* life/vqs.c: virtqueues, from one device reset to the next */
int vnet_vqs_create(struct vnet_dev *vd);
void vnet_vqs_destroy(struct vnet_dev *vd);

/* life/reset.c: resets of the device and of a virtqueue */
int vnet_reset_setup(void);
void vnet_reset_cleanup(void);
void vnet_reset_init(struct vnet_dev *vd);
void vnet_reset_flush(struct vnet_dev *vd);
int vnet_device_reset(struct vnet_dev *vd);
int vnet_device_begin(struct vnet_dev *vd);
int vnet_ring_reset(struct vnet_dev *vd, struct virtqueue *vq, u32 num);
bool vnet_can_reset_rings(const struct vnet_dev *vd);
bool vnet_vq_lent(const struct vnet_dev *vd, const struct virtqueue *vq);
bool vnet_device_gone(struct vnet_dev *vd);

/* The status of a device that was pulled out */
static inline bool vnet_status_gone(u8 status)
{
	return status == 0xff;
}

/* life/affinity.c: which CPU serves which queue */
int vnet_vq_irq(struct vnet_dev *vd, unsigned int index);
void vnet_queues_spread(struct vnet_dev *vd);
void vnet_queues_remember(struct vnet_dev *vd, u16 from);
void vnet_queues_unplace(struct vnet_dev *vd);
int vnet_hotplug_init(void);
void vnet_hotplug_exit(void);
int vnet_hotplug_add(struct vnet_dev *vd);
void vnet_hotplug_del(struct vnet_dev *vd);

/* life/link.c */
void vnet_link_update(struct vnet_dev *vd);

#endif /* VNET_H */
