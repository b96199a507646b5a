// SPDX-License-Identifier: GPL-2.0
/* Any header in front of any packet, and the way back. */

#include "shim.h"

#include "../include/vnet_hdr.h"

#define ALL_GSO	(SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN | \
		 SKB_GSO_UDP | SKB_GSO_UDP_L4 | SKB_GSO_DODGY | \
		 SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM)

static void check_accepted(const struct sk_buff *skb, u8 flags)
{
	int start = skb_checksum_start_offset(skb);

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		assert(start >= 34);
		assert(start + skb->csum_offset + 2u <= skb->linear);
	}
	if (skb->encapsulation) {
		assert(skb->ip_summed == CHECKSUM_PARTIAL);
		assert(skb_transport_offset(skb) >= 34);
		assert(skb_inner_network_offset(skb) >=
		       skb_transport_offset(skb) + 8);
		assert(start >= skb_inner_network_offset(skb) +
		       (skb->inner_protocol == htons(ETH_P_IPV6) ? 40 : 20));
	}
	if (!skb_is_gso(skb)) {
		assert(!skb->shinfo.gso_type);
		return;
	}
	assert(!(skb->shinfo.gso_type & ~ALL_GSO));
	assert(skb->shinfo.gso_type & SKB_GSO_DODGY);
	assert(skb->shinfo.gso_size != GSO_BY_FRAGS);
	assert(skb->shinfo.gso_size < skb->len);
	if (flags & (VNET_HDR_NEEDS_CSUM | VNET_HDR_DATA_VALID))
		assert(skb->ip_summed != CHECKSUM_NONE);
}

/* Forward it: what comes out for the next device is inside of the packet. */
static void send(const struct sk_buff *skb, u8 bits)
{
	static const u8 lens[] = { 10, 12, 20, 24 };
	const struct vnet_hdr_tx txc = {
		.hdr_len = bits & 128 ? 32 : lens[bits & 3],
		.le = bits & 4,
		.csum = bits & 8,
		.guest_hdrlen = bits & 16,
		.tunnel = (bits & 35) == 35,
		.tunnel_csum = (bits & 99) == 99,
	};
	struct vnet_hdr *hdr = malloc(txc.hdr_len);

	assert(hdr);
	if (!vnet_hdr_from_skb(hdr, skb, &txc)) {
		if (txc.hdr_len == 32 && hdr->outer_nh)
			assert(skb->data[le16_to_cpu(hdr->outer_nh)] >> 4 ==
			       (skb->protocol == htons(ETH_P_IPV6) ? 6 : 4));
		if (hdr->flags & VNET_HDR_NEEDS_CSUM)
			assert(vnet_hdr_get16(txc.le, hdr->csum_start) <
			       skb->len);
		else
			assert(!hdr->gso_type);
	}
	free(hdr);
}

/* A tunnel header whose offsets are right, or wrong by a little. */
static void plausible(struct vnet_hdr *hdr, bool le, const u8 *pkt, u32 len)
{
	u32 inner_nh = 34 + 8 + (s8)hdr->hash_lo;
	u32 inner_th = inner_nh + 20 + (s8)hdr->hash_hi;

	hdr->flags = VNET_HDR_NEEDS_CSUM;
	hdr->gso_type = VNET_HDR_GSO_TCPV4;
	if (inner_nh < len && pkt[inner_nh] >> 4 == 6)
		hdr->gso_type = VNET_HDR_GSO_UDP_L4;
	hdr->gso_type |= VNET_HDR_GSO_TUNNEL_V4;
	hdr->gso_size = vnet_hdr_put16(le, 8 + hdr->hash_report % 64);
	hdr->outer_th = cpu_to_le16(34);
	hdr->inner_nh = cpu_to_le16(inner_nh);
	hdr->csum_start = vnet_hdr_put16(le, inner_th);
	hdr->csum_offset = vnet_hdr_put16(le, hdr->gso_type & 4 ? 6 : 16);
}

int FUZZ_TARGET(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	enum vnet_rx_fault fault;
	struct sk_buff skb = {};
	struct vnet_hdr hdr;
	u8 bits = fuzz_byte(&in);
	u8 linear = fuzz_byte(&in);
	u8 tx = fuzz_byte(&in);
	const struct vnet_hdr_rx rxc = {
		.hdr_len = VNET_HDR_LEN_TUNNEL,
		.le = bits & 1,
		.csum = bits & 2,
		.rxcsum = bits & 4,
		.gso = (bits & 10) == 10,
		.tunnel = (bits & 26) == 26,
		.tunnel_csum = (bits & 58) == 58,
		.rsc_ext = bits & 64,
	};

	fuzz_take(&in, &hdr, sizeof(hdr));
	if (in.left < ETH_HLEN)
		return 0;
	if (bits & 128)
		plausible(&hdr, rxc.le, in.p, in.left);

	skb.full = in.p;
	skb.len = in.left;
	skb.linear = max_t(u32, min_t(u32, linear, skb.len), ETH_HLEN);
	skb.head = malloc(FUZZ_HEADROOM + skb.linear);
	assert(skb.head);
	skb.data = skb.head + FUZZ_HEADROOM;
	memcpy(skb.data, in.p, skb.linear);
	memcpy(&skb.protocol, in.p + 12, sizeof(skb.protocol));

	vnet_hdr_hash_to_skb(&skb, &hdr);
	fault = vnet_hdr_to_skb(&skb, &hdr, &rxc);
	assert(fault == VNET_RX_OK || fault == VNET_RX_BAD_CSUM ||
	       fault == VNET_RX_BAD_GSO || fault == VNET_RX_BAD_TUNNEL);
	if (fault == VNET_RX_OK) {
		check_accepted(&skb, hdr.flags);
		send(&skb, tx);
	}
	free(skb.head);

	return 0;
}
