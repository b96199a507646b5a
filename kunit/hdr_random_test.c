// SPDX-License-Identifier: GPL-2.0
/*
 * Any packet with any header: nothing breaks, and what is let through can be
 * handled by the stack.
 */

#include <linux/skbuff.h>
#include <net/gso.h>
#include <net/net_namespace.h>

#include "../include/vnet_hdr.h"

#include "pkt.h"
#include "vnet_kunit.h"

/* What must hold of any packet that was let through */
static void check_accepted(struct kunit *test, const struct sk_buff *skb)
{
	const struct skb_shared_info *si = skb_shinfo(skb);
	const u32 known = SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP |
			  SKB_GSO_UDP_L4 | SKB_GSO_TCP_ECN | SKB_GSO_DODGY |
			  SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		KUNIT_EXPECT_GE(test, skb_checksum_start_offset(skb), 34);
		KUNIT_EXPECT_LE(test, skb_checksum_start_offset(skb) +
				skb->csum_offset + 2, skb_headlen(skb));
	}
	if (!skb_is_gso(skb)) {
		KUNIT_EXPECT_EQ(test, si->gso_type, 0);
		return;
	}
	KUNIT_EXPECT_EQ(test, si->gso_type & ~known, 0);
	KUNIT_EXPECT_TRUE(test, si->gso_type & SKB_GSO_DODGY);
	KUNIT_EXPECT_NE(test, si->gso_size, GSO_BY_FRAGS);
	KUNIT_EXPECT_LT(test, si->gso_size, skb->len);
	/* what nobody has validated, the stack does; not so for datagrams */
	if (si->gso_type & SKB_GSO_UDP_L4)
		KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_PARTIAL);
	else
		KUNIT_EXPECT_NE(test, (u8)skb->ip_summed, CHECKSUM_COMPLETE);
	if (skb->encapsulation) {
		KUNIT_EXPECT_GE(test, skb_transport_offset(skb), 34);
		KUNIT_EXPECT_GE(test, skb_inner_network_offset(skb),
				skb_transport_offset(skb) + 8);
		KUNIT_EXPECT_GE(test, skb_inner_transport_offset(skb),
				skb_inner_network_offset(skb) + 20);
		KUNIT_EXPECT_LE(test, skb_inner_transport_offset(skb),
				skb_headlen(skb));
	}
}

/* Let the stack cut the packet, as it would before another device. */
static bool segment(struct sk_buff *skb)
{
	struct ethhdr *eth = (struct ethhdr *)skb->data;
	struct sk_buff *segs;

	skb->dev = init_net.loopback_dev;
	skb->protocol = eth->h_proto;
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb_reset_mac_len(skb);
	segs = __skb_gso_segment(skb, NETIF_F_SG, true);
	if (IS_ERR_OR_NULL(segs))
		return false;
	kfree_skb_list(segs);

	return true;
}

static u16 random_offset(struct rnd_state *rnd, const struct vnet_pkt *p)
{
	switch (vnet_kunit_below(rnd, 6)) {
	case 0:
		return p->th;
	case 1:
		return p->nh;
	case 2:
		return p->outer_th;
	case 3:
		return vnet_kunit_below(rnd, 200);
	case 4:
		return p->hlen + p->payload - vnet_kunit_below(rnd, 32);
	default:
		return prandom_u32_state(rnd);
	}
}

static void random_pkt(struct rnd_state *rnd, struct vnet_pkt *p)
{
	u32 bits = prandom_u32_state(rnd);

	*p = (struct vnet_pkt) {
		.vlans = bits % 3,
		.v6 = bits & BIT(8),
		.udp = bits & BIT(9),
		.tunnel = bits & BIT(10),
		.outer_v6 = bits & BIT(11),
		.frag = (bits >> 12) % 8 == 0,
		.doff = 5 + (bits >> 16) % 11,
		.payload = vnet_kunit_below(rnd, 4000),
		.linear = bits & BIT(24) ? 14 + vnet_kunit_below(rnd, 100) : 0,
	};
}

/* A header that is right but for a few fields, or not at all */
static struct vnet_hdr random_hdr(struct rnd_state *rnd,
				  const struct vnet_pkt *p)
{
	struct vnet_hdr hdr = vnet_pkt_hdr(p);
	u32 change = prandom_u32_state(rnd);

	if (change % 16 == 0)
		prandom_bytes_state(rnd, &hdr, sizeof(hdr));
	if ((change >> 4) % 4 == 0)
		hdr.flags = prandom_u32_state(rnd);
	if ((change >> 6) % 4 == 0)
		hdr.gso_type = prandom_u32_state(rnd);
	if ((change >> 10) % 4 == 0)
		hdr.gso_size = vnet_hdr_put16(true, prandom_u32_state(rnd));
	if ((change >> 12) % 4 == 0)
		hdr.csum_start = vnet_hdr_put16(true, random_offset(rnd, p));
	if ((change >> 14) % 4 == 0)
		hdr.csum_offset = vnet_hdr_put16(true, prandom_u32_state(rnd) %
						 (change & BIT(16) ? 20 : -1u));
	if ((change >> 17) % 8 == 0)
		hdr.outer_th = cpu_to_le16(random_offset(rnd, p));
	if ((change >> 20) % 8 == 0)
		hdr.inner_nh = cpu_to_le16(random_offset(rnd, p));

	return hdr;
}

static void hdr_random_rx(struct kunit *test)
{
	u32 faults[VNET_RX_NR_FAULTS] = {};
	struct vnet_hdr_rx rxc = { .le = true };
	enum vnet_rx_fault fault;
	struct rnd_state rnd;
	struct sk_buff *skb;
	struct vnet_hdr hdr;
	struct vnet_pkt p;
	u32 i, caps, cut = 0;

	vnet_kunit_seed(&rnd);
	for (i = 0; i < VNET_KUNIT_ROUNDS; i++) {
		caps = prandom_u32_state(&rnd);
		rxc.csum = caps & 0xf;
		rxc.rxcsum = caps & BIT(4);
		rxc.gso = rxc.csum && caps & 0xe0;
		rxc.tunnel = rxc.gso && caps & 0x300;
		rxc.tunnel_csum = rxc.tunnel && caps & BIT(10);
		rxc.rsc_ext = caps & BIT(11);

		random_pkt(&rnd, &p);
		vnet_pkt_lay_out(&p);
		hdr = random_hdr(&rnd, &p);
		skb = vnet_pkt_skb(&p);
		KUNIT_ASSERT_NOT_NULL(test, skb);
		fault = vnet_hdr_to_skb(skb, &hdr, &rxc);
		KUNIT_EXPECT_EQ(test, skb->len, p.hlen + p.payload);
		KUNIT_ASSERT_LT(test, (u32)fault, VNET_RX_NR_FAULTS);
		faults[fault]++;
		if (fault == VNET_RX_OK) {
			check_accepted(test, skb);
			if (skb_is_gso(skb) && segment(skb))
				cut++;
		}
		kfree_skb(skb);
		cond_resched();
	}

	/* all outcomes were met, and no others */
	KUNIT_EXPECT_GT(test, faults[VNET_RX_OK], 0);
	KUNIT_EXPECT_GT(test, faults[VNET_RX_BAD_CSUM], 0);
	KUNIT_EXPECT_GT(test, faults[VNET_RX_BAD_GSO], 0);
	KUNIT_EXPECT_GT(test, faults[VNET_RX_BAD_TUNNEL], 0);
	KUNIT_EXPECT_EQ(test, i, faults[VNET_RX_OK] + faults[VNET_RX_BAD_CSUM] +
			faults[VNET_RX_BAD_GSO] + faults[VNET_RX_BAD_TUNNEL]);
	KUNIT_EXPECT_GT(test, cut, 0);
	kunit_info(test, "ok %u (%u segmented) csum %u gso %u tunnel %u",
		   faults[VNET_RX_OK], cut, faults[VNET_RX_BAD_CSUM],
		   faults[VNET_RX_BAD_GSO], faults[VNET_RX_BAD_TUNNEL]);
}

static struct kunit_case hdr_random_cases[] = {
	KUNIT_CASE(hdr_random_rx),
	{}
};

struct kunit_suite vnet_hdr_random_suite = {
	.name = "vnet_hdr_random",
	.test_cases = hdr_random_cases,
};
