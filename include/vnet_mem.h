/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of queues: buffers, slots and what belongs to them, replaced as a
 * whole; and the packet in hand.
 */
#ifndef VNET_MEM_H
#define VNET_MEM_H

#include <linux/netdevice.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <net/netmem.h>

#include "vnet_hdr.h"
#include "vnet_size.h"
#include "vnet_slot.h"

struct device;
struct dma_pool;
struct page_pool;
struct vnet_xsk_spare;
struct vnet_xsk_tx;
struct vring_desc;
struct xdp_buff;
struct xsk_buff_pool;

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

/**
 * struct vnet_rx_buf - one receive buffer
 * @page: page pool page it lies in, NULL while the buffer has no memory
 * @netmem: the same for one in memory of a provider, see vnet_niov.h
 * @xdp: the same for a queue with an AF_XDP pool: the frame
 * @va: start of the buffer's region, headroom included; NULL where only the
 *	provider of the memory can read
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
		netmem_ref netmem;
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
 * @pool: where it comes from
 * @va: address of the rest, which is not cut off yet
 * @addr: its bus address
 * @left: its bytes, 0 without a page
 * @users: buffers that were cut off
 * @size: bytes of a whole large page
 * @failed: pages that were not to be had, and that nobody has counted yet
 * @again: not before this time is another one asked for, in jiffies
 * @waits: @again is to be waited for
 */
struct vnet_rx_cut {
	struct page *page;
	struct page_pool *pool;
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
 * @niovs: memory of a provider, which followers of a chain are in; or NULL
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
	struct page_pool *niovs;
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
 * struct vnet_tx_table - descriptors of a slot's packet of several pieces
 * @desc: written by us and read by the device, NULL until there was such a packet
 * @dma: its bus address
 */
struct vnet_tx_table {
	struct vring_desc *desc;
	dma_addr_t dma;
};

/* A piece of a packet that is mapped for the device */
struct vnet_tx_piece {
	dma_addr_t addr;
	u32 len;
};

/**
 * struct vnet_tx_map - what of a slot's packet is mapped
 * @first: its first piece
 * @rest: the others, allocated with the slot's table
 * @nr: pieces, 0 when nothing has to be unmapped
 */
struct vnet_tx_map {
	struct vnet_tx_piece first;
	struct vnet_tx_piece *rest;
	u16 nr;
};

/**
 * struct vnet_tx_mem - memory of a transmit queue, replaced as a whole
 * @bufs: one slot per ring entry
 * @slots: free slots
 * @hdrs: one virtio header per slot, as long as on the wire, for packets
 *	without room of their own; and one more, always zero
 * @xsk: state of AF_XDP zero copy, NULL without a pool
 * @tables: one for each slot, for our own engine of the ring; NULL for devices
 *	that it does not send to
 * @maps: DMA mappings of each slot, NULL where the bus address is the physical one
 * @map_dev: device that they are for
 * @table_pool: where @tables come from then
 * @nr_tables: entries of @tables
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
	struct vnet_tx_table *tables;
	struct vnet_tx_map *maps;
	struct device *map_dev;
	struct dma_pool *table_pool;
	u32 nr_tables;
	u16 *home;
	u32 nr_home;
	u32 aside;
	bool late;
};

#endif /* VNET_MEM_H */
