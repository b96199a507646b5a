// SPDX-License-Identifier: GPL-2.0
/* Headers of received packets: vnet_hdr_to_skb() and the hash. */

#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/ip.h>

#include "../include/vnet_hdr.h"

#include "pkt.h"
#include "vnet_kunit.h"

/* A device that may do everything */
static const struct vnet_hdr_rx rxc_all = {
	.hdr_len = VNET_HDR_LEN_TUNNEL,
	.le = true,
	.csum = true,
	.rxcsum = true,
	.gso = true,
	.tunnel = true,
	.tunnel_csum = true,
	.rsc_ext = true,
};

/* One that only moves packets */
static const struct vnet_hdr_rx rxc_none = {
	.hdr_len = VNET_HDR_LEN_V1,
	.le = true,
};

/* Packets in whole and with the headers partly in a fragment */
static const struct vnet_pkt gso_pkts[] = {
	{ .payload = 3000 },
	{ .payload = 3000, .linear = 14 },
	{ .payload = 3000, .linear = 40, .vlans = 1 },
	{ .payload = 3000, .v6 = true, .doff = 8 },
	{ .payload = 3000, .v6 = true, .linear = 20, .vlans = 2 },
	{ .payload = 3000, .udp = true },
	{ .payload = 3000, .udp = true, .v6 = true, .linear = 14 },
};

/* Receive @p with @hdr; the packet is left at @skb, or freed without it. */
static enum vnet_rx_fault rx(struct kunit *test, struct vnet_pkt *p,
			     const struct vnet_hdr *hdr,
			     const struct vnet_hdr_rx *rxc,
			     struct sk_buff **out)
{
	struct sk_buff *skb = vnet_pkt_skb(p);
	enum vnet_rx_fault fault;
	u32 len;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	len = skb->len;
	fault = vnet_hdr_to_skb(skb, hdr, rxc);
	KUNIT_EXPECT_EQ(test, skb->len, len);
	KUNIT_EXPECT_EQ(test, skb->len, p->hlen + p->payload);
	if (out)
		*out = skb;
	else
		kfree_skb(skb);

	return fault;
}

static void hdr_rx_plain(struct kunit *test)
{
	const struct vnet_hdr hdr = {};
	struct vnet_pkt p = { .payload = 100 };
	struct sk_buff *skb;

	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_NONE);
	KUNIT_EXPECT_FALSE(test, skb_is_gso(skb));
	kfree_skb(skb);
}

static void hdr_rx_data_valid(struct kunit *test)
{
	struct vnet_hdr hdr = { .flags = VNET_HDR_DATA_VALID };
	struct vnet_pkt p = { .payload = 100 };
	struct vnet_hdr_rx rxc = rxc_all;
	struct sk_buff *skb;

	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_UNNECESSARY);
	KUNIT_EXPECT_EQ(test, (u8)skb->csum_level, 0);
	kfree_skb(skb);

	hdr.flags |= VNET_HDR_TUNNEL_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_UNNECESSARY);
	KUNIT_EXPECT_EQ(test, (u8)skb->csum_level, 1);
	kfree_skb(skb);

	/* a bit that was not negotiated says nothing */
	rxc.tunnel_csum = false;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->csum_level, 0);
	kfree_skb(skb);

	rxc.rxcsum = false;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_NONE);
	kfree_skb(skb);

	hdr.flags = 0xff & ~VNET_HDR_RSC_INFO;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_none, &skb));
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_NONE);
	kfree_skb(skb);
}

/* Every place of the checksum, sensible or not; RXCSUM does not matter. */
static void hdr_rx_needs_csum(struct kunit *test)
{
	static const u16 starts[] = {
		0, 1, 13, 14, 20, 33, 34, 35, 54, 100, 138, 140, 142, 143, 144,
		152, 153, 154, 155, 0x7fff, 0xfffe, 0xffff,
	};
	static const u16 offsets[] = {
		0, 6, 16, 98, 99, 100, 118, 119, 0x7fff, 0xfffe, 0xffff,
	};
	struct vnet_hdr hdr = { .flags = VNET_HDR_NEEDS_CSUM };
	struct vnet_pkt p = { .payload = 100, .linear = 60 };
	struct vnet_hdr_rx rxc = rxc_all;
	struct sk_buff *skb;
	unsigned int i, j;
	bool good;

	rxc.rxcsum = false;
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		for (j = 0; j < ARRAY_SIZE(offsets); j++) {
			hdr.csum_start = vnet_hdr_put16(true, starts[i]);
			hdr.csum_offset = vnet_hdr_put16(true, offsets[j]);
			good = starts[i] >= 34 &&
			       starts[i] + offsets[j] + 2 <= 154;
			KUNIT_EXPECT_EQ_MSG(test,
					    good ? VNET_RX_OK : VNET_RX_BAD_CSUM,
					    rx(test, &p, &hdr, &rxc, &skb),
					    "start %u offset %u", starts[i],
					    offsets[j]);
			if (good) {
				KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed,
						CHECKSUM_PARTIAL);
				KUNIT_EXPECT_EQ(test,
						skb_checksum_start_offset(skb),
						starts[i]);
				KUNIT_EXPECT_EQ(test, skb->csum_offset,
						offsets[j]);
			}
			kfree_skb(skb);
		}
	}
}

/* Legacy devices write in the endianness of the guest. */
static void hdr_rx_native(struct kunit *test)
{
	struct vnet_hdr hdr = { .flags = VNET_HDR_NEEDS_CSUM };
	struct vnet_pkt p = { .payload = 100 };
	struct vnet_hdr_rx rxc = rxc_all;

	rxc.le = false;
	hdr.csum_start = (__force __virtio16)34;
	hdr.csum_offset = (__force __virtio16)16;
	hdr.num_buffers = (__force __virtio16)0x0102;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, NULL));
	KUNIT_EXPECT_EQ(test, vnet_hdr_nr_buffers(&hdr, false), 0x0102);

	hdr.num_buffers = (__force __virtio16)cpu_to_le16(0x0102);
	KUNIT_EXPECT_EQ(test, vnet_hdr_nr_buffers(&hdr, true), 0x0102);
}

static void hdr_rx_gso(struct kunit *test)
{
	struct sk_buff *skb;
	struct vnet_hdr hdr;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gso_pkts); i++) {
		p = gso_pkts[i];
		vnet_pkt_lay_out(&p);
		hdr = vnet_pkt_hdr(&p);
		KUNIT_EXPECT_EQ_MSG(test, VNET_RX_OK,
				    rx(test, &p, &hdr, &rxc_all, &skb),
				    "packet %u", i);
		KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_type,
				vnet_pkt_skb_gso(&p) | SKB_GSO_DODGY);
		KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_size, VNET_PKT_MSS);
		KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_segs, 0);
		KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_PARTIAL);
		KUNIT_EXPECT_EQ(test, skb_transport_offset(skb), p.th);
		KUNIT_EXPECT_GE(test, skb_headlen(skb), p.th + (p.udp ? 8 : 20));
		kfree_skb(skb);

		hdr.gso_type |= VNET_HDR_GSO_ECN;
		KUNIT_EXPECT_EQ(test, p.udp ? VNET_RX_BAD_GSO : VNET_RX_OK,
				rx(test, &p, &hdr, &rxc_all, &skb));
		KUNIT_EXPECT_EQ(test, !p.udp, !!(skb_shinfo(skb)->gso_type &
						 SKB_GSO_TCP_ECN));
		kfree_skb(skb);
	}
}

/* One segment is no segmentation, but its checksum still counts. */
static void hdr_rx_gso_strip(struct kunit *test)
{
	struct vnet_pkt p = { .payload = VNET_PKT_MSS };
	struct sk_buff *skb;
	struct vnet_hdr hdr;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, &skb));
	KUNIT_EXPECT_FALSE(test, skb_is_gso(skb));
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_type, 0);
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_PARTIAL);
	kfree_skb(skb);

	p.payload++;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, &skb));
	KUNIT_EXPECT_TRUE(test, skb_is_gso(skb));
	kfree_skb(skb);
}

/* UFO: the segments are IP fragments, the UDP header is payload. */
static void hdr_rx_ufo(struct kunit *test)
{
	struct vnet_pkt p = { .udp = true, .payload = VNET_PKT_MSS - 8 };
	struct sk_buff *skb;
	struct vnet_hdr hdr;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.gso_type = VNET_HDR_GSO_UDP;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, &skb));
	KUNIT_EXPECT_FALSE(test, skb_is_gso(skb));
	kfree_skb(skb);

	p.payload++;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, &skb));
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_type,
			SKB_GSO_UDP | SKB_GSO_DODGY);
	kfree_skb(skb);

	hdr.gso_type |= VNET_HDR_GSO_ECN;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_GSO,
			rx(test, &p, &hdr, &rxc_all, NULL));
}

/* Every value of the type, with and without negotiation */
static void hdr_rx_gso_types(struct kunit *test)
{
	struct vnet_pkt p = { .payload = 3000 };
	struct vnet_hdr_rx rxc = rxc_all;
	enum vnet_rx_fault want;
	struct vnet_hdr hdr;
	unsigned int type;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	for (type = 1; type <= 0xff; type++) {
		hdr.gso_type = type;
		if (type & VNET_HDR_GSO_TUNNEL)
			want = VNET_RX_BAD_TUNNEL;
		else if ((type & ~VNET_HDR_GSO_ECN) == VNET_HDR_GSO_TCPV4)
			want = VNET_RX_OK;
		else if (type == VNET_HDR_GSO_UDP || /* wrong csum_offset */
			 type == VNET_HDR_GSO_UDP_L4)
			want = VNET_RX_BAD_GSO;
		else if ((type & ~VNET_HDR_GSO_ECN) == VNET_HDR_GSO_TCPV6)
			want = VNET_RX_BAD_CSUM; /* no room for IPv6 */
		else
			want = VNET_RX_BAD_GSO;
		KUNIT_EXPECT_EQ_MSG(test, want,
				    rx(test, &p, &hdr, &rxc, NULL),
				    "type %#x", type);

		rxc.gso = false;
		rxc.tunnel = false;
		KUNIT_EXPECT_EQ_MSG(test,
				    type & VNET_HDR_GSO_TUNNEL ?
				    VNET_RX_BAD_TUNNEL : VNET_RX_BAD_GSO,
				    rx(test, &p, &hdr, &rxc, NULL),
				    "type %#x", type);
		rxc = rxc_all;
	}
}

static void hdr_rx_gso_sizes(struct kunit *test)
{
	static const struct {
		u16 size;
		bool tcp;
		bool udp;
	} sizes[] = {
		{ 0, false, false }, { 1, false, false }, { 7, false, false },
		{ 8, true, false }, { 23, true, false }, { 24, true, true },
		{ 0xfffe, true, true }, { 0xffff, false, false },
	};
	struct vnet_pkt tcp = { .payload = 3000 };
	struct vnet_pkt udp = { .payload = 3000, .udp = true };
	enum vnet_rx_fault want;
	struct vnet_hdr hdr;
	unsigned int i;

	vnet_pkt_lay_out(&tcp);
	vnet_pkt_lay_out(&udp);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		hdr = vnet_pkt_hdr(&tcp);
		hdr.gso_size = vnet_hdr_put16(true, sizes[i].size);
		want = sizes[i].tcp ? VNET_RX_OK : VNET_RX_BAD_GSO;
		KUNIT_EXPECT_EQ_MSG(test, want,
				    rx(test, &tcp, &hdr, &rxc_all, NULL),
				    "tcp %u", sizes[i].size);

		/* 3000 bytes are at most 128 datagrams of 24 bytes */
		hdr = vnet_pkt_hdr(&udp);
		hdr.gso_size = vnet_hdr_put16(true, sizes[i].size);
		want = sizes[i].udp ? VNET_RX_OK : VNET_RX_BAD_GSO;
		KUNIT_EXPECT_EQ_MSG(test, want,
				    rx(test, &udp, &hdr, &rxc_all, NULL),
				    "udp %u", sizes[i].size);
	}
}

/* A datagram of the most segments that the stack takes, and of one more */
static void hdr_rx_gso_most(struct kunit *test)
{
	struct vnet_pkt p = { .payload = UDP_MAX_SEGMENTS * 24, .udp = true };
	struct vnet_hdr hdr;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.gso_size = vnet_hdr_put16(true, 24);
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, NULL));

	p.payload++;
	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.gso_size = vnet_hdr_put16(true, 24);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_GSO,
			rx(test, &p, &hdr, &rxc_all, NULL));
}

/* The place of the checksum must be that of the protocol. */
static void hdr_rx_gso_csum(struct kunit *test)
{
	struct vnet_pkt p = { .payload = 3000 };
	struct vnet_hdr hdr;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.csum_offset = vnet_hdr_put16(true, 6);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_GSO,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.csum_offset = vnet_hdr_put16(true, 0xffff);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_CSUM,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.csum_offset = vnet_hdr_put16(true, 16);
	hdr.csum_start = vnet_hdr_put16(true, 33);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_CSUM,
			rx(test, &p, &hdr, &rxc_all, NULL));
	/* room for the checksum, but not for a header */
	hdr.csum_start = vnet_hdr_put16(true, p.hlen + p.payload - 18);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_CSUM,
			rx(test, &p, &hdr, &rxc_all, NULL));
}

/* Without NEEDS_CSUM the headers are looked at. */
static void hdr_rx_gso_dissect(struct kunit *test)
{
	struct vnet_pkt frag = { .payload = 3000, .udp = true, .frag = true };
	struct sk_buff *skb;
	struct vnet_hdr hdr;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gso_pkts); i++) {
		p = gso_pkts[i];
		vnet_pkt_lay_out(&p);
		hdr = vnet_pkt_hdr(&p);
		hdr.flags = VNET_HDR_DATA_VALID;
		hdr.csum_start = vnet_hdr_put16(true, 0xffff);

		/* datagrams need a checksum to complete */
		KUNIT_EXPECT_EQ_MSG(test, p.udp ? VNET_RX_BAD_GSO : VNET_RX_OK,
				    rx(test, &p, &hdr, &rxc_all, &skb),
				    "packet %u", i);
		if (!p.udp) {
			KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed,
					CHECKSUM_UNNECESSARY);
			KUNIT_EXPECT_EQ(test, skb_transport_offset(skb), p.th);
			KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_size, VNET_PKT_MSS);
		}
		kfree_skb(skb);

		/* neither validated nor to be completed: for the stack to check */
		hdr.flags = 0;
		KUNIT_EXPECT_EQ(test, p.udp ? VNET_RX_BAD_GSO : VNET_RX_OK,
				rx(test, &p, &hdr, &rxc_all, &skb));
		if (!p.udp) {
			KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed,
					CHECKSUM_NONE);
			KUNIT_EXPECT_EQ(test, skb_transport_offset(skb), p.th);
			KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_size,
					VNET_PKT_MSS);
		}
		kfree_skb(skb);

		/* another protocol than claimed */
		hdr.flags = VNET_HDR_DATA_VALID;
		hdr.gso_type = p.v6 || p.udp ? VNET_HDR_GSO_TCPV4 :
					       VNET_HDR_GSO_TCPV6;
		KUNIT_EXPECT_EQ_MSG(test, VNET_RX_BAD_GSO,
				    rx(test, &p, &hdr, &rxc_all, NULL),
				    "packet %u", i);
	}

	vnet_pkt_lay_out(&frag);
	hdr = vnet_pkt_hdr(&frag);
	hdr.flags = VNET_HDR_DATA_VALID;
	hdr.gso_type = VNET_HDR_GSO_UDP;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_GSO,
			rx(test, &frag, &hdr, &rxc_all, NULL));
	frag.frag = false;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK,
			rx(test, &frag, &hdr, &rxc_all, NULL));
}

/* With RSC_EXT the place of the checksum is where the count is. */
static void hdr_rx_rsc(struct kunit *test)
{
	struct vnet_pkt p = { .payload = 3000 };
	struct vnet_hdr_rx rxc = rxc_all;
	struct sk_buff *skb;
	struct vnet_hdr hdr;

	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.flags |= VNET_HDR_RSC_INFO;
	hdr.segments = cpu_to_le16(3);
	hdr.dup_acks = cpu_to_le16(1);
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_segs, 3);
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_PARTIAL);
	KUNIT_EXPECT_EQ(test, skb_checksum_start_offset(skb), p.th);
	KUNIT_EXPECT_EQ(test, skb->csum_offset, 16);
	kfree_skb(skb);

	/* QEMU: no checksum, no segment size */
	hdr.flags = VNET_HDR_RSC_INFO;
	hdr.gso_size = 0;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_size, 1000);
	KUNIT_EXPECT_EQ(test, (u8)skb->ip_summed, CHECKSUM_UNNECESSARY);
	KUNIT_EXPECT_TRUE(test, !ip_fast_csum(skb->data + p.nh, 5));
	kfree_skb(skb);

	/* more segments than bytes; none at all */
	hdr.segments = cpu_to_le16(0xffff);
	hdr.gso_size = vnet_hdr_put16(true, 8);
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_LE(test, skb_shinfo(skb)->gso_segs, p.payload);
	kfree_skb(skb);
	hdr.segments = 0;
	hdr.gso_size = 0;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_GSO,
			rx(test, &p, &hdr, &rxc, NULL));

	/* not coalesced, and yet */
	hdr.gso_type = VNET_HDR_GSO_NONE;
	hdr.flags |= VNET_HDR_NEEDS_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_CSUM,
			rx(test, &p, &hdr, &rxc, NULL));

	/* not negotiated: the bit says nothing */
	rxc.rsc_ext = false;
	hdr = vnet_pkt_hdr(&p);
	hdr.flags |= VNET_HDR_RSC_INFO;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, &skb));
	KUNIT_EXPECT_EQ(test, skb_checksum_start_offset(skb), p.th);
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_segs, 0);
	kfree_skb(skb);
}

static const struct vnet_pkt tunnel_pkts[] = {
	{ .tunnel = true, .payload = 3000 },
	{ .tunnel = true, .payload = 3000, .linear = 14 },
	{ .tunnel = true, .payload = 3000, .outer_v6 = true, .vlans = 1 },
	{ .tunnel = true, .payload = 3000, .v6 = true },
	{ .tunnel = true, .payload = 3000, .v6 = true, .outer_v6 = true },
	{ .tunnel = true, .payload = 3000, .udp = true },
	{ .tunnel = true, .payload = 3000, .udp = true, .v6 = true },
};

static void hdr_rx_tunnel(struct kunit *test)
{
	struct sk_buff *skb;
	struct vnet_hdr hdr;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tunnel_pkts); i++) {
		p = tunnel_pkts[i];
		vnet_pkt_lay_out(&p);
		hdr = vnet_pkt_hdr(&p);
		KUNIT_EXPECT_EQ_MSG(test, VNET_RX_OK,
				    rx(test, &p, &hdr, &rxc_all, &skb),
				    "packet %u", i);
		KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_type,
				vnet_pkt_skb_gso(&p) | SKB_GSO_DODGY |
				SKB_GSO_UDP_TUNNEL);
		KUNIT_EXPECT_TRUE(test, skb->encapsulation);
		KUNIT_EXPECT_EQ(test, skb_transport_offset(skb), p.outer_th);
		KUNIT_EXPECT_EQ(test, skb_inner_network_offset(skb), p.nh);
		KUNIT_EXPECT_EQ(test, skb_inner_transport_offset(skb), p.th);
		KUNIT_EXPECT_EQ(test, skb_checksum_start_offset(skb), p.th);
		KUNIT_EXPECT_EQ(test, ntohs(skb->inner_protocol),
				p.v6 ? ETH_P_IPV6 : ETH_P_IP);
		kfree_skb(skb);

		hdr.flags |= VNET_HDR_TUNNEL_CSUM;
		KUNIT_EXPECT_EQ(test, VNET_RX_OK,
				rx(test, &p, &hdr, &rxc_all, &skb));
		KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->gso_type,
				vnet_pkt_skb_gso(&p) | SKB_GSO_DODGY |
				SKB_GSO_UDP_TUNNEL_CSUM);
		kfree_skb(skb);
	}
}

static void hdr_rx_tunnel_flags(struct kunit *test)
{
	struct vnet_pkt p = tunnel_pkts[0];
	struct vnet_hdr_rx rxc = rxc_all;
	struct vnet_hdr good, hdr;

	vnet_pkt_lay_out(&p);
	good = vnet_pkt_hdr(&p);

	rxc.tunnel_csum = false;
	hdr = good;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, NULL));
	hdr.flags |= VNET_HDR_TUNNEL_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc, NULL));
	rxc.tunnel = false;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &good, &rxc, NULL));

	hdr = good;
	hdr.gso_type |= VNET_HDR_GSO_TUNNEL;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.gso_type = VNET_HDR_GSO_TUNNEL_V4;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.gso_type = VNET_HDR_GSO_TUNNEL_V4 | VNET_HDR_GSO_UDP;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));

	hdr = good;
	hdr.flags = VNET_HDR_DATA_VALID;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.flags = VNET_HDR_DATA_VALID | VNET_HDR_NEEDS_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.flags = VNET_HDR_RSC_INFO | VNET_HDR_NEEDS_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.flags = 0;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));

	/* an outer checksum to be completed, of no tunnel */
	hdr = good;
	hdr.gso_type &= ~VNET_HDR_GSO_TUNNEL;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.flags |= VNET_HDR_TUNNEL_CSUM;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.gso_type = VNET_HDR_GSO_NONE;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	rxc.tunnel = true;
	KUNIT_EXPECT_EQ(test, VNET_RX_OK, rx(test, &p, &hdr, &rxc, NULL));
}

static void hdr_rx_tunnel_expect(struct kunit *test, struct vnet_pkt *p,
				 const struct vnet_hdr *hdr)
{
	struct sk_buff *skb;

	KUNIT_ASSERT_EQ(test, VNET_RX_OK, rx(test, p, hdr, &rxc_all, &skb));
	KUNIT_EXPECT_EQ(test, skb_transport_offset(skb), p->outer_th);
	KUNIT_EXPECT_EQ(test, skb_inner_network_offset(skb), p->nh);
	KUNIT_EXPECT_EQ(test, skb_inner_transport_offset(skb), p->th);
	kfree_skb(skb);
}

/*
 * The offsets one step before the place where each of them is possible, and
 * the ones of a device that does not write them: found in the packet.
 */
static void hdr_rx_tunnel_found(struct kunit *test)
{
	struct vnet_hdr good, hdr;
	struct vnet_pkt p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tunnel_pkts); i++) {
		p = tunnel_pkts[i];
		vnet_pkt_lay_out(&p);
		good = vnet_pkt_hdr(&p);

		hdr = good;
		hdr.outer_th = cpu_to_le16(ETH_HLEN + 19);
		hdr_rx_tunnel_expect(test, &p, &hdr);
		hdr = good;
		hdr.inner_nh = cpu_to_le16(p.outer_th + 7);
		hdr_rx_tunnel_expect(test, &p, &hdr);
		hdr = good;
		hdr.outer_th = 0;
		hdr.inner_nh = 0;
		hdr_rx_tunnel_expect(test, &p, &hdr);
		hdr.outer_th = cpu_to_le16(0xfff0);
		hdr.inner_nh = cpu_to_le16(0xfff8);
		hdr_rx_tunnel_expect(test, &p, &hdr);
	}
}

/* No offset of the device is possible, and the packet has no such headers. */
static void hdr_rx_tunnel_order(struct kunit *test)
{
	struct vnet_pkt p = tunnel_pkts[0];
	struct vnet_hdr good, hdr;

	vnet_pkt_lay_out(&p);
	good = vnet_pkt_hdr(&p);

	hdr = good;
	hdr.gso_type = VNET_HDR_GSO_TCPV4 | VNET_HDR_GSO_TUNNEL_V6;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr = good;
	hdr.csum_start = vnet_hdr_put16(true, p.nh + 19);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.csum_start = vnet_hdr_put16(true, 0);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr.csum_start = vnet_hdr_put16(true, 0xfffe);
	hdr.inner_nh = 0;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr = good;
	hdr.csum_start = vnet_hdr_put16(true, 0xffff);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_CSUM,
			rx(test, &p, &hdr, &rxc_all, NULL));
	hdr = good;
	hdr.inner_nh = 0;
	hdr.gso_type = VNET_HDR_GSO_TCPV6 | VNET_HDR_GSO_TUNNEL_V4;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));

	/* the inner header is no IP header, or of the other version */
	hdr = good;
	hdr.inner_nh = cpu_to_le16(p.nh - 1);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
	p.v6 = true;
	p.udp = true;
	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.csum_start = vnet_hdr_put16(true, p.nh + 39);
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));

	/* the outer header is not UDP */
	p = (struct vnet_pkt){ .payload = 3000 };
	vnet_pkt_lay_out(&p);
	hdr = vnet_pkt_hdr(&p);
	hdr.gso_type |= VNET_HDR_GSO_TUNNEL_V4;
	KUNIT_EXPECT_EQ(test, VNET_RX_BAD_TUNNEL,
			rx(test, &p, &hdr, &rxc_all, NULL));
}

static void hdr_hash(struct kunit *test)
{
	static const struct {
		enum pkt_hash_types pkt;
		enum xdp_rss_hash_type xdp;
	} want[VNET_HASH_REPORT_NR] = {
		{ PKT_HASH_TYPE_NONE, XDP_RSS_TYPE_NONE },
		{ PKT_HASH_TYPE_L3, XDP_RSS_TYPE_L3_IPV4 },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV4_TCP },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV4_UDP },
		{ PKT_HASH_TYPE_L3, XDP_RSS_TYPE_L3_IPV6 },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV6_TCP },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV6_UDP },
		{ PKT_HASH_TYPE_L3, XDP_RSS_TYPE_L3_IPV6_EX },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV6_TCP_EX },
		{ PKT_HASH_TYPE_L4, XDP_RSS_TYPE_L4_IPV6_UDP_EX },
	};
	struct vnet_hdr hdr = {
		.hash_lo = cpu_to_le16(0x5678),
		.hash_hi = cpu_to_le16(0xf234),
	};
	struct vnet_pkt p = { .payload = 100 };
	struct sk_buff *skb = vnet_pkt_skb(&p);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	for (i = 0; i <= 0xffff; i++) {
		hdr.hash_report = cpu_to_le16(i);
		if (i < VNET_HASH_REPORT_NR) {
			KUNIT_EXPECT_EQ(test, vnet_hash_pkt_type(i),
					want[i].pkt);
			KUNIT_EXPECT_EQ(test, vnet_hash_xdp_type(i),
					want[i].xdp);
			continue;
		}
		if (vnet_hash_pkt_type(i) != PKT_HASH_TYPE_NONE ||
		    vnet_hash_xdp_type(i) != XDP_RSS_TYPE_NONE ||
		    vnet_hdr_hash_report(&hdr) != i)
			KUNIT_EXPECT_EQ(test, 0, i);
	}

	/* the last report was unknown */
	vnet_hdr_hash_to_skb(skb, &hdr);
	KUNIT_EXPECT_EQ(test, skb->hash, 0);
	hdr.hash_report = cpu_to_le16(2);
	vnet_hdr_hash_to_skb(skb, &hdr);
	KUNIT_EXPECT_EQ(test, skb->hash, 0xf2345678);
	KUNIT_EXPECT_TRUE(test, skb->l4_hash);
	kfree_skb(skb);
}

/* Each fault has a name of its own. */
static void hdr_fault_names(struct kunit *test)
{
	unsigned int i, j;

	for (i = VNET_RX_FAULT_FIRST; i < VNET_RX_NR_FAULTS; i++) {
		KUNIT_ASSERT_NOT_NULL(test, vnet_rx_faults[i].name);
		KUNIT_EXPECT_NE(test, vnet_rx_faults[i].reason,
				SKB_NOT_DROPPED_YET);
		for (j = VNET_RX_FAULT_FIRST; j < i; j++)
			KUNIT_EXPECT_NE(test, 0,
					strcmp(vnet_rx_faults[i].name,
					       vnet_rx_faults[j].name));
	}
}

static struct kunit_case hdr_rx_cases[] = {
	KUNIT_CASE(hdr_rx_plain),
	KUNIT_CASE(hdr_rx_data_valid),
	KUNIT_CASE(hdr_rx_needs_csum),
	KUNIT_CASE(hdr_rx_native),
	KUNIT_CASE(hdr_rx_gso),
	KUNIT_CASE(hdr_rx_gso_strip),
	KUNIT_CASE(hdr_rx_ufo),
	KUNIT_CASE(hdr_rx_gso_types),
	KUNIT_CASE(hdr_rx_gso_sizes),
	KUNIT_CASE(hdr_rx_gso_most),
	KUNIT_CASE(hdr_rx_gso_csum),
	KUNIT_CASE(hdr_rx_gso_dissect),
	KUNIT_CASE(hdr_rx_rsc),
	KUNIT_CASE(hdr_rx_tunnel),
	KUNIT_CASE(hdr_rx_tunnel_flags),
	KUNIT_CASE(hdr_rx_tunnel_found),
	KUNIT_CASE(hdr_rx_tunnel_order),
	KUNIT_CASE(hdr_hash),
	KUNIT_CASE(hdr_fault_names),
	{}
};

struct kunit_suite vnet_hdr_rx_suite = {
	.name = "vnet_hdr_rx",
	.test_cases = hdr_rx_cases,
};
