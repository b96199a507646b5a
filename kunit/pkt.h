/* SPDX-License-Identifier: GPL-2.0 */
/* Packets for the header suites. */
#ifndef VNET_KUNIT_PKT_H
#define VNET_KUNIT_PKT_H

#include <linux/skbuff.h>
#include <linux/types.h>

#include "../include/vnet_hdr.h"

/* Payload of a segment in vnet_pkt_hdr() */
#define VNET_PKT_MSS	1000

/**
 * struct vnet_pkt - a packet to make
 * @vlans: number of VLAN tags
 * @v6: IPv6, else IPv4
 * @udp: UDP, else TCP
 * @frag: mark the IPv4 header as that of a fragment
 * @tunnel: precede it with an outer UDP tunnel of 8 bytes of its own header
 * @outer_v6: the outer header is IPv6
 * @doff: TCP header length in words, zero for 5
 * @payload: bytes behind the transport header
 * @linear: bytes of the linear part, zero for all of them
 * @outer_th: set by vnet_pkt_lay_out(): offset of the outer transport header
 * @nh: set: offset of the network header (the inner one)
 * @th: set: offset of the transport header (the inner one)
 * @hlen: set: bytes in front of the payload
 */
struct vnet_pkt {
	u8 vlans;
	bool v6;
	bool udp;
	bool frag;
	bool tunnel;
	bool outer_v6;
	u8 doff;
	u32 payload;
	u32 linear;
	u32 outer_th;
	u32 nh;
	u32 th;
	u32 hlen;
};

void vnet_pkt_lay_out(struct vnet_pkt *p);
struct sk_buff *vnet_pkt_skb(struct vnet_pkt *p);
u32 vnet_pkt_skb_gso(const struct vnet_pkt *p);
struct vnet_hdr vnet_pkt_hdr(const struct vnet_pkt *p);

#endif /* VNET_KUNIT_PKT_H */
