// SPDX-License-Identifier: GPL-2.0
/* Headers of sent packets: vnet_hdr_from_skb(). */

#include <linux/skbuff.h>
#include <linux/string.h>

#include "../include/vnet_hdr.h"

#include "pkt.h"
#include "vnet_kunit.h"

#define POISON	0xa5

static const u8 hdr_lens[] = {
	VNET_HDR_LEN_LEGACY, VNET_HDR_LEN_V1, VNET_HDR_LEN_HASH,
	VNET_HDR_LEN_TUNNEL, VNET_HDR_LEN_OUTER,
};

/* A device that can do everything */
static const struct vnet_hdr_tx txc_all = {
	.hdr_len = VNET_HDR_LEN_TUNNEL,
	.le = true,
	.csum = true,
	.guest_hdrlen = true,
	.tunnel = true,
	.tunnel_csum = true,
};

/**
 * struct tx_case - a packet to be segmented and the header it gets
 * @name: what it is
 * @pkt: the packet
 * @gso_type: SKB_GSO_*
 * @want_type: VNET_HDR_GSO_*
 * @want_flags: VNET_HDR_*
 */
struct tx_case {
	const char *name;
	struct vnet_pkt pkt;
	unsigned int gso_type;
	u8 want_type;
	u8 want_flags;
};

static const struct tx_case tx_cases[] = {
	{ "tcp4", { .payload = 3000 },
	  SKB_GSO_TCPV4, VNET_HDR_GSO_TCPV4, VNET_HDR_NEEDS_CSUM },
	{ "tcp4 options", { .payload = 3000, .doff = 8 },
	  SKB_GSO_TCPV4, VNET_HDR_GSO_TCPV4, VNET_HDR_NEEDS_CSUM },
	{ "tcp4 dodgy", { .payload = 3000 },
	  SKB_GSO_TCPV4 | SKB_GSO_DODGY, VNET_HDR_GSO_TCPV4,
	  VNET_HDR_NEEDS_CSUM },
	{ "tcp4 ecn", { .payload = 3000 },
	  SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN,
	  VNET_HDR_GSO_TCPV4 | VNET_HDR_GSO_ECN, VNET_HDR_NEEDS_CSUM },
	{ "tcp6", { .v6 = true, .payload = 3000 },
	  SKB_GSO_TCPV6, VNET_HDR_GSO_TCPV6, VNET_HDR_NEEDS_CSUM },
	{ "tcp6 ecn vlan", { .v6 = true, .vlans = 1, .payload = 3000 },
	  SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN,
	  VNET_HDR_GSO_TCPV6 | VNET_HDR_GSO_ECN, VNET_HDR_NEEDS_CSUM },
	{ "udp4", { .udp = true, .payload = 3000 },
	  SKB_GSO_UDP_L4, VNET_HDR_GSO_UDP_L4, VNET_HDR_NEEDS_CSUM },
	{ "udp6", { .udp = true, .v6 = true, .payload = 3000 },
	  SKB_GSO_UDP_L4, VNET_HDR_GSO_UDP_L4, VNET_HDR_NEEDS_CSUM },
	{ "tcp4 in udp4", { .tunnel = true, .payload = 3000 },
	  SKB_GSO_TCPV4 | SKB_GSO_UDP_TUNNEL,
	  VNET_HDR_GSO_TCPV4 | VNET_HDR_GSO_TUNNEL_V4, VNET_HDR_NEEDS_CSUM },
	{ "tcp4 in udp6 csum",
	  { .tunnel = true, .outer_v6 = true, .payload = 3000 },
	  SKB_GSO_TCPV4 | SKB_GSO_UDP_TUNNEL_CSUM,
	  VNET_HDR_GSO_TCPV4 | VNET_HDR_GSO_TUNNEL_V6,
	  VNET_HDR_NEEDS_CSUM | VNET_HDR_TUNNEL_CSUM },
	{ "tcp6 in udp4", { .tunnel = true, .v6 = true, .payload = 3000 },
	  SKB_GSO_TCPV6 | SKB_GSO_UDP_TUNNEL,
	  VNET_HDR_GSO_TCPV6 | VNET_HDR_GSO_TUNNEL_V4, VNET_HDR_NEEDS_CSUM },
	{ "udp6 in udp6 vlan", { .tunnel = true, .v6 = true, .outer_v6 = true,
				 .udp = true, .vlans = 1, .payload = 3000 },
	  SKB_GSO_UDP_L4 | SKB_GSO_UDP_TUNNEL,
	  VNET_HDR_GSO_UDP_L4 | VNET_HDR_GSO_TUNNEL_V6, VNET_HDR_NEEDS_CSUM },
};

/* As the stack hands a packet over whose checksum is left to the device */
static struct sk_buff *tx_skb(struct kunit *test, struct vnet_pkt *p)
{
	struct sk_buff *skb = vnet_pkt_skb(p);
	bool v6 = p->tunnel ? p->outer_v6 : p->v6;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb->protocol = v6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	if (p->vlans)
		skb->protocol = htons(ETH_P_8021Q);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN + p->vlans * VLAN_HLEN);
	skb_set_transport_header(skb, p->tunnel ? p->outer_th : p->th);
	skb_reset_mac_len(skb);
	if (p->tunnel) {
		skb->encapsulation = 1;
		skb_set_inner_network_header(skb, p->nh);
		skb_set_inner_transport_header(skb, p->th);
	}

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + p->th;
	skb->csum_offset = p->udp ? offsetof(struct udphdr, check) :
				    offsetof(struct tcphdr, check);

	return skb;
}

static struct sk_buff *tx_gso_skb(struct kunit *test, struct vnet_pkt *p,
				  unsigned int gso_type)
{
	struct sk_buff *skb = tx_skb(test, p);

	skb_shinfo(skb)->gso_type = gso_type;
	skb_shinfo(skb)->gso_size = 1000;
	skb_shinfo(skb)->gso_segs = 3;

	return skb;
}

/* Every byte on the wire is written, and none behind it. */
static void hdr_tx_zeroes(struct kunit *test)
{
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_pkt p = { .payload = 100 };
	u8 buf[VNET_HDR_MAX_LEN + 8] __aligned(8);
	struct sk_buff *skb = tx_skb(test, &p);
	unsigned int i, len;

	skb->ip_summed = CHECKSUM_NONE;
	skb->protocol = htons(ETH_P_ARP);
	for (i = 0; i < ARRAY_SIZE(hdr_lens); i++) {
		len = hdr_lens[i];
		txc.hdr_len = len;
		memset(buf, POISON, sizeof(buf));
		KUNIT_EXPECT_EQ(test, 0,
				vnet_hdr_from_skb((void *)buf, skb, &txc));
		KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0, len));
		KUNIT_EXPECT_NULL(test, memchr_inv(buf + len, POISON,
						   sizeof(buf) - len));
	}
	kfree_skb(skb);
}

/* The place of the network header, if the packet has one there. */
static void hdr_tx_outer(struct kunit *test)
{
	struct vnet_pkt pkts[] = {
		{ .payload = 100 }, { .v6 = true, .payload = 100 },
		{ .v6 = true, .vlans = 1, .payload = 100 },
		{ .tunnel = true, .v6 = true, .payload = 100 },
	};
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_hdr hdr;
	struct sk_buff *skb;
	unsigned int i;

	txc.hdr_len = VNET_HDR_LEN_OUTER;
	for (i = 0; i < ARRAY_SIZE(pkts); i++) {
		skb = tx_skb(test, &pkts[i]);
		KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
		KUNIT_EXPECT_EQ(test, le16_to_cpu(hdr.outer_nh),
				ETH_HLEN + 4 * pkts[i].vlans);
		KUNIT_EXPECT_EQ(test, hdr.flags, VNET_HDR_NEEDS_CSUM);

		/* a packet that is not what the stack was told */
		skb->data[ETH_HLEN + 4 * pkts[i].vlans] = 0x50;
		KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
		KUNIT_EXPECT_EQ(test, le16_to_cpu(hdr.outer_nh), 0);
		kfree_skb(skb);
	}
}

static void hdr_tx_csum(struct kunit *test)
{
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_pkt p = { .payload = 100, .v6 = true, .vlans = 1 };
	struct sk_buff *skb = tx_skb(test, &p);
	struct vnet_hdr hdr;

	KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
	KUNIT_EXPECT_EQ(test, hdr.flags, VNET_HDR_NEEDS_CSUM);
	KUNIT_EXPECT_EQ(test, hdr.gso_type, VNET_HDR_GSO_NONE);
	KUNIT_EXPECT_EQ(test, (__force u16)hdr.csum_start,
			(__force u16)cpu_to_le16(14 + 4 + 40));
	KUNIT_EXPECT_EQ(test, (__force u16)hdr.csum_offset,
			(__force u16)cpu_to_le16(16));

	/* the guest's own endianness */
	txc.le = false;
	txc.hdr_len = VNET_HDR_LEN_LEGACY;
	KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
	KUNIT_EXPECT_EQ(test, (__force u16)hdr.csum_start, 14 + 4 + 40);
	KUNIT_EXPECT_EQ(test, (__force u16)hdr.csum_offset, 16);

	txc.csum = false;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	kfree_skb(skb);
}

static void hdr_tx_gso(struct kunit *test)
{
	const struct tx_case *c;
	struct vnet_hdr_tx txc;
	struct vnet_hdr hdr;
	struct sk_buff *skb;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tx_cases); i++) {
		c = &tx_cases[i];
		p = c->pkt;
		txc = txc_all;
		skb = tx_gso_skb(test, &p, c->gso_type);

		memset(&hdr, POISON, sizeof(hdr));
		KUNIT_EXPECT_EQ_MSG(test, 0,
				    vnet_hdr_from_skb(&hdr, skb, &txc),
				    "%s", c->name);
		KUNIT_EXPECT_EQ_MSG(test, hdr.gso_type, c->want_type, "%s",
				    c->name);
		KUNIT_EXPECT_EQ_MSG(test, hdr.flags, c->want_flags, "%s",
				    c->name);
		KUNIT_EXPECT_EQ(test, vnet_hdr_get16(true, hdr.gso_size), 1000);
		KUNIT_EXPECT_EQ_MSG(test, vnet_hdr_get16(true, hdr.hdr_len),
				    p.hlen, "%s", c->name);
		KUNIT_EXPECT_EQ(test, vnet_hdr_get16(true, hdr.csum_start),
				p.th);
		KUNIT_EXPECT_EQ(test, le16_to_cpu(hdr.outer_th), p.outer_th);
		KUNIT_EXPECT_EQ(test, le16_to_cpu(hdr.inner_nh),
				p.tunnel ? p.nh : 0);
		KUNIT_EXPECT_EQ(test, (__force u16)hdr.num_buffers, 0);
		KUNIT_EXPECT_EQ(test, vnet_hdr_hash(&hdr), 0);
		KUNIT_EXPECT_EQ(test, (__force u16)hdr.hash_report, 0);
		KUNIT_EXPECT_EQ(test, (__force u16)hdr.padding, 0);

		/* only a hint: the linear part */
		txc.guest_hdrlen = false;
		KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
		KUNIT_EXPECT_EQ(test, vnet_hdr_get16(true, hdr.hdr_len),
				skb_headlen(skb));
		kfree_skb(skb);
	}
}

/* What the device cannot do is refused, never sent as something else. */
static void hdr_tx_refuses(struct kunit *test)
{
	static const unsigned int types[] = {
		0, SKB_GSO_UDP, SKB_GSO_SCTP, SKB_GSO_ESP, SKB_GSO_FCOE,
		SKB_GSO_TCPV4 | SKB_GSO_TCPV6,
		SKB_GSO_TCPV4 | SKB_GSO_GRE,
		SKB_GSO_TCPV4 | SKB_GSO_GRE_CSUM,
		SKB_GSO_TCPV4 | SKB_GSO_IPXIP4,
		SKB_GSO_TCPV4 | SKB_GSO_PARTIAL,
		SKB_GSO_TCPV4 | SKB_GSO_FRAGLIST,
		SKB_GSO_UDP_L4 | SKB_GSO_TCP_ECN,
		SKB_GSO_TCP_ECN,
		SKB_GSO_UDP_TUNNEL,
	};
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_pkt p = { .payload = 3000 };
	struct vnet_pkt tunnel = { .tunnel = true, .payload = 3000 };
	struct vnet_hdr hdr;
	struct sk_buff *skb;
	unsigned int i;

	skb = tx_gso_skb(test, &p, 0);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		skb_shinfo(skb)->gso_type = types[i];
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    vnet_hdr_from_skb(&hdr, skb, &txc),
				    "type %#x", types[i]);
	}

	/* segmentation without a checksum to complete */
	skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4;
	skb->ip_summed = CHECKSUM_NONE;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	skb->ip_summed = CHECKSUM_PARTIAL;
	txc.csum = false;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	kfree_skb(skb);

	txc = txc_all;
	txc.tunnel_csum = false;
	skb = tx_gso_skb(test, &tunnel,
			 SKB_GSO_TCPV4 | SKB_GSO_UDP_TUNNEL_CSUM);
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4 | SKB_GSO_UDP_TUNNEL;
	KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
	txc.tunnel = false;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	kfree_skb(skb);
}

/* Users and guests write headers that are none; the stack does not. */
static void hdr_tx_dodgy(struct kunit *test)
{
	struct vnet_pkt p = { .payload = 30 };
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_hdr hdr;
	struct sk_buff *skb;
	struct tcphdr *th;
	unsigned int doff;

	skb = tx_gso_skb(test, &p, SKB_GSO_TCPV4 | SKB_GSO_DODGY);
	th = (struct tcphdr *)(skb->data + p.th);
	for (doff = 0; doff < 16; doff++) {
		/* 20 bytes are the header's own, 30 payload */
		int want = doff < 5 || doff * 4 > 20 + 30 ? -EINVAL : 0;

		th->doff = doff;
		txc.guest_hdrlen = doff & 1;
		KUNIT_EXPECT_EQ_MSG(test, want,
				    vnet_hdr_from_skb(&hdr, skb, &txc),
				    "doff %u", doff);
	}

	/* a header that is not where it is read */
	th->doff = 5;
	KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
	skb->csum_start = skb_headroom(skb) + skb->len - 19;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_hdr_from_skb(&hdr, skb, &txc));
	kfree_skb(skb);
}

/* A linear part of more than 16 bits does not wrap. */
static void hdr_tx_long_linear(struct kunit *test)
{
	struct vnet_pkt p = { .payload = 65600 };
	struct sk_buff *skb = tx_gso_skb(test, &p, SKB_GSO_TCPV4);
	struct vnet_hdr_tx txc = txc_all;
	struct vnet_hdr hdr;

	txc.guest_hdrlen = false;
	KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, skb, &txc));
	KUNIT_EXPECT_EQ(test, vnet_hdr_get16(true, hdr.hdr_len), 0xffff);
	kfree_skb(skb);
}

/* What was sent can be received: the same metadata comes out again. */
static void hdr_round_trip(struct kunit *test)
{
	const struct vnet_hdr_rx rxc = {
		.hdr_len = VNET_HDR_LEN_TUNNEL, .le = true, .csum = true,
		.rxcsum = true, .gso = true, .tunnel = true,
		.tunnel_csum = true,
	};
	const struct tx_case *c;
	struct sk_buff *tx, *rx;
	struct vnet_hdr hdr;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tx_cases); i++) {
		c = &tx_cases[i];
		p = c->pkt;
		tx = tx_gso_skb(test, &p, c->gso_type);
		rx = vnet_pkt_skb(&p);
		KUNIT_ASSERT_NOT_NULL(test, rx);

		KUNIT_EXPECT_EQ(test, 0, vnet_hdr_from_skb(&hdr, tx, &txc_all));
		KUNIT_EXPECT_EQ_MSG(test, VNET_RX_OK,
				    vnet_hdr_to_skb(rx, &hdr, &rxc), "%s",
				    c->name);
		KUNIT_EXPECT_EQ_MSG(test, skb_shinfo(rx)->gso_type,
				    c->gso_type | SKB_GSO_DODGY, "%s", c->name);
		KUNIT_EXPECT_EQ(test, skb_shinfo(rx)->gso_size, 1000);
		KUNIT_EXPECT_EQ(test, (u8)rx->ip_summed, CHECKSUM_PARTIAL);
		KUNIT_EXPECT_EQ(test, rx->csum_start, tx->csum_start);
		KUNIT_EXPECT_EQ(test, rx->csum_offset, tx->csum_offset);
		KUNIT_EXPECT_EQ(test, (u8)rx->encapsulation, p.tunnel);
		KUNIT_EXPECT_EQ(test, skb_transport_offset(rx),
				skb_transport_offset(tx));
		if (p.tunnel)
			KUNIT_EXPECT_EQ(test, skb_inner_network_offset(rx),
					p.nh);
		kfree_skb(tx);
		kfree_skb(rx);
	}
}

static struct kunit_case hdr_tx_cases[] = {
	KUNIT_CASE(hdr_tx_zeroes),
	KUNIT_CASE(hdr_tx_outer),
	KUNIT_CASE(hdr_tx_csum),
	KUNIT_CASE(hdr_tx_gso),
	KUNIT_CASE(hdr_tx_refuses),
	KUNIT_CASE(hdr_tx_dodgy),
	KUNIT_CASE(hdr_tx_long_linear),
	KUNIT_CASE(hdr_round_trip),
	{}
};

struct kunit_suite vnet_hdr_tx_suite = {
	.name = "vnet_hdr_tx",
	.test_cases = hdr_tx_cases,
};
