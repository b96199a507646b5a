/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic of receive buffers and rings.
 *
 * Every receive buffer is a region of a page:
 *
 *   [ headroom | virtio header | frame | tailroom ]
 *              '---- given to the device ---'
 *
 * The tailroom is what build_skb() needs, the headroom what the stack or an
 * XDP program needs. Followers of a chain are frame and nothing else.
 *
 * Where headers and data are split (tcp-data-split), each packet takes a chain,
 * whatever the device would have: a head for the headers, and followers.
 */
#ifndef VNET_SIZE_H
#define VNET_SIZE_H

#include <linux/align.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/skbuff.h>

#include "vnet_caps.h"

/* Smallest and largest region, as powers of two (rx-buf-len) */
#define VNET_SIZE_BUF_MIN	2048U
#define VNET_SIZE_BUF_MAX	32768U

/* Largest frame of AF_XDP that is used, see struct vnet_rx_buf */
#define VNET_SIZE_XSK_MAX	65535U

/* Regions that are no power of two are multiples of this. */
#define VNET_SIZE_ALIGN		128

/* A frame of the usual MTU, with one VLAN tag */
#define VNET_SIZE_FRAME		(ETH_FRAME_LEN + VLAN_HLEN)

/* Ethernet header and two VLAN tags */
#define VNET_SIZE_L2		(ETH_HLEN + 2 * VLAN_HLEN)

/* IPv6 header and the largest payload (VIRTIO 1.4, 5.1.9.3) */
#define VNET_SIZE_GSO		(40 + 65535)

#define VNET_SIZE_MTU_MAX	65535

/*
 * Bytes of a frame that lie in the head where headers and data are split: the
 * headers of TCP over IPv6 with a VLAN tag and options, of SYNs and most SACKs,
 * and as little of the data as that leaves.
 */
#define VNET_SIZE_HDS_MIN	128U
#define VNET_SIZE_HDS_MAX	1024U

/* Chains of a ring then, at least: of the kernel's pages, and of a provider's */
#define VNET_SIZE_HDS_CHAINS	64U
#define VNET_SIZE_HDS_BOUND	16U

/* Average packet length a buffer is cut for, weight of a new one 1/64 */
#define VNET_SIZE_EWMA_SHIFT	6

/**
 * struct vnet_size_in - what the layout of receive buffers depends on
 * @mode: how received packets are buffered
 * @hdr_len: bytes of the virtio header
 * @guest_gso: packets of 64 KiB must fit
 * @xdp: room for an XDP program
 * @any_layout: the header may share a descriptor with the frame
 * @indirect: a chain takes one entry of the ring
 * @mtu: MTU of the interface in bytes
 * @dev_mtu: MTU of the device: what it may deliver, whatever the interface is
 *	set to (VIRTIO 1.4, 5.1.4.2); 0 if it has none
 * @ring: entries of the ring, which no chain may exceed, indirect or not
 *	(VIRTIO 1.4, 2.7.5.3.1, 2.8.19); 0 for any
 * @max_buf: largest region wanted, a power of two, 2048 to 32768
 * @avg_len: average frame length, for mergeable buffers
 * @hds: bytes of a frame in the head of a chain, where headers and data are
 *	split; or 0
 * @piece: bytes of each follower then, where a memory provider says; or 0
 */
struct vnet_size_in {
	enum vnet_rx_mode mode;
	u8 hdr_len;
	bool guest_gso;
	bool xdp;
	bool any_layout;
	bool indirect;
	u32 mtu;
	u32 dev_mtu;
	u32 ring;
	u32 max_buf;
	u32 avg_len;
	u32 hds;
	u32 piece;
};

/**
 * struct vnet_rx_layout - how a receive buffer is cut
 * @truesize: bytes of the region
 * @buf_len: bytes given to the device, virtio header included
 * @frag_size: bytes of each follower of a chain, all of them frame
 * @headroom: bytes in front of the virtio header
 * @tailroom: bytes behind what is given to the device
 * @nr_frags: followers, zero but for chains
 * @max_frags: followers of a chain that finds single pages only, or @nr_frags
 */
struct vnet_rx_layout {
	u32 truesize;
	u32 buf_len;
	u32 frag_size;
	u16 headroom;
	u16 tailroom;
	u8 nr_frags;
	u8 max_frags;
};

/* Where headers and data are split, each packet takes a chain. */
static inline enum vnet_rx_mode vnet_size_mode(const struct vnet_size_in *in)
{
	return in->hds ? VNET_RX_CHAIN : in->mode;
}

/* What build_skb() puts behind the data */
static inline u32 vnet_size_tailroom(void)
{
	return SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
}

/*
 * With a program, headroom and virtio header (which is copied out first) give
 * XDP_PACKET_HEADROOM; without, the stack gets what it wants of any driver.
 * NET_IP_ALIGN aligns the IP header on machines that need it.
 */
static inline u32 vnet_size_headroom(u8 hdr_len, bool xdp)
{
	u32 pad = hdr_len % 4 ? 0 : NET_IP_ALIGN;

	if (xdp)
		return ALIGN(XDP_PACKET_HEADROOM - hdr_len, 64) + pad;

	return NET_SKB_PAD + pad;
}

/* Bytes of a region that are not frame */
static inline u32 vnet_size_overhead(u8 hdr_len, bool xdp)
{
	return vnet_size_headroom(hdr_len, xdp) + hdr_len +
	       vnet_size_tailroom();
}

/* The smallest region: one that holds a frame of the usual MTU */
static inline u32 vnet_size_base(u8 hdr_len, bool xdp)
{
	return ALIGN(vnet_size_overhead(hdr_len, xdp) + VNET_SIZE_FRAME,
		     VNET_SIZE_ALIGN);
}

/* The smallest region that holds a frame of @len bytes: the base, or 2^n */
static inline u32 vnet_size_region(u8 hdr_len, bool xdp, u32 len)
{
	u32 need = vnet_size_overhead(hdr_len, xdp) + len;
	u32 base = vnet_size_base(hdr_len, xdp);

	return need <= base ? base : roundup_pow_of_two(need);
}

/* Largest packet that the device may hand over as it was on the wire */
static inline u32 vnet_size_mtu(const struct vnet_size_in *in)
{
	return max3(in->mtu, in->dev_mtu, (u32)ETH_DATA_LEN);
}

/* Longest frame that the device may hand over */
static inline u32 vnet_size_frame_max(const struct vnet_size_in *in)
{
	u32 mtu = vnet_size_mtu(in);

	if (in->guest_gso)
		mtu = max_t(u32, mtu, VNET_SIZE_GSO);

	return mtu + VNET_SIZE_L2;
}

/* Frame bytes that a buffer with a virtio header holds */
static inline u32 vnet_size_capacity(const struct vnet_rx_layout *l, u8 hdr_len)
{
	return l->buf_len - hdr_len;
}

/*
 * A mergeable packet may take many buffers, so the average decides, with an
 * eighth to spare above the usual frame. A program wants a whole frame in one
 * buffer if there is a size for it.
 */
static inline u32 vnet_size_merge_len(const struct vnet_size_in *in)
{
	u32 most = vnet_size_frame_max(in);
	u32 len = min(in->avg_len, most);

	if (len > VNET_SIZE_FRAME)
		len += len / 8;
	if (in->xdp)
		len = max_t(u32, len, in->mtu + VNET_SIZE_L2);

	return min(len, most);
}

/* Most followers of a chain: what an skb can carry and the ring can hold */
static inline u32 vnet_size_most_frags(const struct vnet_size_in *in)
{
	u32 others = 1 + !in->any_layout;

	if (!in->ring)
		return MAX_SKB_FRAGS;
	if (in->ring <= others)
		return 0;

	return min_t(u32, MAX_SKB_FRAGS, in->ring - others);
}

/* Followers of the size that a memory provider has, which nobody may divide */
static inline int vnet_size_pieces(struct vnet_rx_layout *l, u32 piece, u32 len,
				   u32 most)
{
	u32 nr = DIV_ROUND_UP(len, piece);

	if (nr > most)
		return -E2BIG;

	l->frag_size = piece;
	l->nr_frags = nr;
	l->max_frags = nr;

	return 0;
}

/*
 * Split what the head does not hold over as few followers as @in->max_buf
 * allows; over larger ones when one packet could not carry so many.
 */
static inline int vnet_size_chain(struct vnet_rx_layout *l,
				  const struct vnet_size_in *in)
{
	u32 len = vnet_size_frame_max(in);
	u32 head = vnet_size_capacity(l, in->hdr_len);
	u32 most = vnet_size_most_frags(in);
	u32 size, nr, pages;

	if (len <= head)
		return 0;

	len -= head;
	if (in->piece)
		return vnet_size_pieces(l, in->piece, len, most);

	size = min_t(u32, in->max_buf,
		     max_t(u32, roundup_pow_of_two(len), VNET_SIZE_BUF_MIN));
	nr = DIV_ROUND_UP(len, size);
	while (nr > most && size < VNET_SIZE_BUF_MAX) {
		size *= 2;
		nr = DIV_ROUND_UP(len, size);
	}
	if (nr > most)
		return -E2BIG;

	pages = DIV_ROUND_UP(len, PAGE_SIZE);
	l->frag_size = size;
	l->nr_frags = nr;
	l->max_frags = pages > nr && pages <= most ? pages : nr;

	return 0;
}

/**
 * vnet_size_rx_layout() - lay out the receive buffers of a queue
 * @l: layout to fill; untouched on failure
 * @in: what it depends on
 *
 * Mergeable regions never exceed @in->max_buf by more than what the smallest
 * one needs. A small region must hold a whole frame and may exceed it up to
 * %VNET_SIZE_BUF_MAX.
 *
 * Return: 0, -EINVAL for an impossible @in, -E2BIG when no buffer of this mode
 * can hold a packet.
 */
static inline int vnet_size_rx_layout(struct vnet_rx_layout *l,
				      const struct vnet_size_in *in)
{
	struct vnet_rx_layout new = {};
	u32 base, region, len;

	if (in->mtu > VNET_SIZE_MTU_MAX || in->max_buf < VNET_SIZE_BUF_MIN ||
	    in->max_buf > VNET_SIZE_BUF_MAX || !is_power_of_2(in->max_buf))
		return -EINVAL;

	base = vnet_size_base(in->hdr_len, in->xdp);
	switch (vnet_size_mode(in)) {
	case VNET_RX_SMALL:
		len = max_t(u32, in->mtu, ETH_DATA_LEN) + VNET_SIZE_L2;
		if (vnet_size_region(in->hdr_len, in->xdp, len) >
		    VNET_SIZE_BUF_MAX)
			return -E2BIG;
		/* A device may claim more than any region holds. */
		len = vnet_size_mtu(in) + VNET_SIZE_L2;
		region = min(vnet_size_region(in->hdr_len, in->xdp, len),
			     VNET_SIZE_BUF_MAX);
		break;
	case VNET_RX_MERGEABLE:
		len = vnet_size_merge_len(in);
		region = vnet_size_region(in->hdr_len, in->xdp, len);
		region = min(region, max(base, in->max_buf));
		break;
	case VNET_RX_CHAIN:
		region = base;
		if (in->hds)
			region = ALIGN(vnet_size_overhead(in->hdr_len,
							  in->xdp) + in->hds,
				       VNET_SIZE_ALIGN);
		break;
	default:
		return -EINVAL;
	}

	new.truesize = region;
	new.headroom = vnet_size_headroom(in->hdr_len, in->xdp);
	new.tailroom = vnet_size_tailroom();
	new.buf_len = region - new.headroom - new.tailroom;
	if (in->hds) {
		new.tailroom += new.buf_len - in->hdr_len - in->hds;
		new.buf_len = in->hdr_len + in->hds;
	}
	if (vnet_size_mode(in) == VNET_RX_CHAIN && vnet_size_chain(&new, in))
		return -E2BIG;

	*l = new;

	return 0;
}

/**
 * vnet_size_xsk_layout() - lay out receive buffers that are AF_XDP frames
 * @l: layout to fill; untouched on failure
 * @in: what it depends on; offloads that merge packets are off
 * @size: bytes of a frame behind the headroom that the user wants
 * @sg: a packet may take several frames
 *
 * The virtio header ends where the user expects the packet to begin. Of a frame
 * as large as a page of 64 KiB the last byte is not used: a buffer keeps its size
 * in 16 bits.
 *
 * Return: 0, or -E2BIG when a packet of this MTU does not fit.
 */
static inline int vnet_size_xsk_layout(struct vnet_rx_layout *l,
				       const struct vnet_size_in *in, u32 size,
				       bool sg)
{
	u32 spare = XDP_PACKET_HEADROOM + (sg ? vnet_size_tailroom() : 0);
	u32 len = max_t(u32, in->mtu, ETH_DATA_LEN) + VNET_SIZE_L2;
	u32 most = sg && in->mode != VNET_RX_SMALL ? MAX_SKB_FRAGS : 1;
	u32 room;

	size = min(size, VNET_SIZE_XSK_MAX);
	room = size > spare ? ALIGN_DOWN(size - spare, 128) : 0;
	if (len > room * most)
		return -E2BIG;

	*l = (struct vnet_rx_layout) {
		.truesize = size,
		.buf_len = in->hdr_len + room,
		.headroom = XDP_PACKET_HEADROOM - in->hdr_len,
		.tailroom = size - XDP_PACKET_HEADROOM - room,
	};
	if (in->mode == VNET_RX_CHAIN) {
		l->nr_frags = DIV_ROUND_UP(len, room) - 1;
		l->max_frags = l->nr_frags;
		l->frag_size = room;
	}

	return 0;
}

/**
 * vnet_size_rx_ring_min() - least ring that can hold one packet
 * @l: layout made from @in; on a smaller ring a chain has larger followers
 * @in: what it depends on
 *
 * Return: entries of the ring; with fewer a packet may never arrive.
 */
static inline unsigned int vnet_size_rx_ring_min(const struct vnet_rx_layout *l,
						 const struct vnet_size_in *in)
{
	unsigned int split = in->any_layout ? 0 : 1;
	u32 len = vnet_size_frame_max(in);
	u32 head = vnet_size_capacity(l, in->hdr_len);

	switch (vnet_size_mode(in)) {
	case VNET_RX_MERGEABLE:
		return DIV_ROUND_UP(len + in->hdr_len, l->buf_len);
	case VNET_RX_CHAIN:
		len = len > head ? len - head : 0;
		return 1 + DIV_ROUND_UP(len, VNET_SIZE_BUF_MAX) + split;
	default:
		return 1 + split;
	}
}

/**
 * vnet_size_spare_order() - pages that do when there are no large ones
 * @l: layout, not of AF_XDP frames
 * @whole: a packet must lie in one buffer
 *
 * Return: their order: single pages where a packet may take several buffers.
 */
static inline unsigned int vnet_size_spare_order(const struct vnet_rx_layout *l,
						 bool whole)
{
	return whole ? get_order(l->truesize) : 0;
}

/**
 * vnet_size_tx_ring_min() - least ring that can send any packet
 * @indirect: a packet takes one entry
 *
 * The queue is stopped when half of a small ring is in use, so there must be
 * a half.
 *
 * Return: entries of the ring.
 */
static inline unsigned int vnet_size_tx_ring_min(bool indirect)
{
	/* The virtio header, the linear part and the fragments */
	return indirect ? 2 : MAX_SKB_FRAGS + 2;
}

/**
 * vnet_size_too_long() - is a frame longer than the device's MTU allows?
 * @most: bytes that a frame without VLAN tags may have
 * @data: begin of the frame
 * @linear: bytes there
 * @len: bytes of the frame, more than @most
 *
 * The stack keeps to the MTU; filters, programs and AF_XDP may not. VLAN tags
 * are not counted (VIRTIO 1.4, 5.1.4.2).
 *
 * Return: true when it must not be sent.
 */
static inline bool vnet_size_too_long(u32 most, const void *data, u32 linear,
				      u32 len)
{
	u32 at = offsetof(struct ethhdr, h_proto);
	unsigned int tags;
	__be16 proto;

	for (tags = 0; tags < 2 && at + sizeof(proto) <= linear; tags++) {
		memcpy(&proto, data + at, sizeof(proto));
		if (!eth_type_vlan(proto))
			break;
		most += VLAN_HLEN;
		at += VLAN_HLEN;
	}

	return len > most;
}

/**
 * vnet_size_rx_slots() - how many buffers a ring is worth
 * @l: layout, not of chains
 * @slots: buffers that the ring takes
 * @page: bytes of a page that buffers are cut from
 *
 * A region that is no power of two may leave a page for the last few buffers
 * alone; the ring does without them.
 *
 * Return: @slots, or up to a sixty-fourth less.
 */
static inline u32 vnet_size_rx_slots(const struct vnet_rx_layout *l, u32 slots,
				     u32 page)
{
	u32 rest = slots % (page / l->truesize);

	return rest <= slots / 64 ? slots - rest : slots;
}

/**
 * vnet_size_hds_slots() - how many chains a ring gets where headers and data are
 * split
 * @l: layout
 * @slots: chains that the ring takes
 * @least: so many it gets if it takes them
 *
 * Each can hold the largest packet, and all of a large ring would be more memory
 * than anybody needs: a page for each entry is enough.
 *
 * Return: chains, each of one head and its followers.
 */
static inline u32 vnet_size_hds_slots(const struct vnet_rx_layout *l, u32 slots,
				      u32 least)
{
	u32 pages = DIV_ROUND_UP(l->nr_frags * l->frag_size, PAGE_SIZE);

	return max(slots / max(pages, 1U), min(slots, least));
}

/* The moving average @avg, scaled, after a packet of @len bytes */
static inline u32 vnet_size_ewma_add(u32 avg, u32 len)
{
	return avg - (avg >> VNET_SIZE_EWMA_SHIFT) + len;
}

static inline u32 vnet_size_ewma_init(u32 len)
{
	return len << VNET_SIZE_EWMA_SHIFT;
}

static inline u32 vnet_size_ewma_read(u32 avg)
{
	return avg >> VNET_SIZE_EWMA_SHIFT;
}

#endif /* VNET_SIZE_H */
