// SPDX-License-Identifier: GPL-2.0
/* Arithmetic of receive buffers and rings. */

#include <linux/kernel.h>
#include <linux/string.h>

#include "../include/vnet_size.h"

#include "vnet_kunit.h"

static const u8 hdr_lens[] = { 10, 12, 20, 24 };

static const u32 mtus[] = {
	68, 576, 1279, 1280, 1499, 1500, 1501, 1504, 1518, 1536, 2048, 3498,
	4000, 9000, 9216, 16000, 32768, 65534, 65535,
};

static const u32 averages[] = {
	0, 1, 64, 1514, 1518, 1519, 2000, 3508, 9000, 32000, 65597, U32_MAX,
};

static const enum vnet_rx_mode modes[] = {
	VNET_RX_SMALL, VNET_RX_MERGEABLE, VNET_RX_CHAIN,
};

/* On the usual machine the numbers are known. */
static bool usual(void)
{
	return vnet_size_tailroom() == 320 && NET_SKB_PAD == 64 &&
	       !NET_IP_ALIGN && MAX_SKB_FRAGS == 17;
}

static struct vnet_size_in usual_in(enum vnet_rx_mode mode)
{
	return (struct vnet_size_in) {
		.mode = mode,
		.hdr_len = 12,
		.any_layout = true,
		.mtu = 1500,
		.max_buf = 4096,
	};
}

/* What holds of every layout */
static void check_layout(struct kunit *test, const struct vnet_rx_layout *l,
			 const struct vnet_size_in *in)
{
	u32 room = vnet_size_capacity(l, in->hdr_len);
	u32 base = vnet_size_base(in->hdr_len, in->xdp);

	KUNIT_EXPECT_EQ(test, l->truesize,
			l->headroom + l->buf_len + l->tailroom);
	KUNIT_EXPECT_GE(test, l->tailroom,
			SKB_DATA_ALIGN(sizeof(struct skb_shared_info)));
	KUNIT_EXPECT_GE(test, l->headroom, NET_SKB_PAD);
	if (in->xdp)
		KUNIT_EXPECT_GE(test, l->headroom + in->hdr_len,
				XDP_PACKET_HEADROOM);
	KUNIT_EXPECT_GE(test, room, 1518);
	KUNIT_EXPECT_TRUE(test, l->truesize == base ||
			  is_power_of_2(l->truesize));
	KUNIT_EXPECT_LE(test, l->truesize, VNET_SIZE_BUF_MAX);
	KUNIT_EXPECT_LE(test, l->nr_frags, MAX_SKB_FRAGS);
	KUNIT_EXPECT_EQ(test, !l->nr_frags, !l->frag_size);

	switch (in->mode) {
	case VNET_RX_SMALL:
		KUNIT_EXPECT_GE(test, room, in->mtu + 22);
		KUNIT_EXPECT_EQ(test, l->nr_frags, 0);
		break;
	case VNET_RX_MERGEABLE:
		KUNIT_EXPECT_LE(test, l->truesize, max(base, in->max_buf));
		KUNIT_EXPECT_EQ(test, l->nr_frags, 0);
		if (l->truesize < in->max_buf)
			KUNIT_EXPECT_GE(test, room,
					min(in->avg_len,
					    vnet_size_frame_max(in)));
		break;
	case VNET_RX_CHAIN:
		KUNIT_EXPECT_GE(test, room + l->nr_frags * l->frag_size,
				in->guest_gso ? 65535 + 40 + 22 : in->mtu + 22);
		if (l->nr_frags) {
			KUNIT_EXPECT_TRUE(test, is_power_of_2(l->frag_size));
			KUNIT_EXPECT_GE(test, l->frag_size, VNET_SIZE_BUF_MIN);
			KUNIT_EXPECT_LE(test, l->frag_size, VNET_SIZE_BUF_MAX);
			/* the last follower is needed */
			KUNIT_EXPECT_LT(test, room +
					(l->nr_frags - 1) * l->frag_size,
					vnet_size_frame_max(in));
		}
		break;
	}
}

/* The @n-th of all combinations; false when there are no more. */
static bool nth_in(u32 n, struct vnet_size_in *in)
{
	memset(in, 0, sizeof(*in));
	in->xdp = n & BIT(0);
	in->guest_gso = n & BIT(1);
	in->any_layout = n & BIT(2);
	in->indirect = n & BIT(3);
	n >>= 4;
	in->max_buf = VNET_SIZE_BUF_MIN << n % 5;
	n /= 5;
	in->avg_len = averages[n % ARRAY_SIZE(averages)];
	n /= ARRAY_SIZE(averages);
	in->mtu = mtus[n % ARRAY_SIZE(mtus)];
	n /= ARRAY_SIZE(mtus);
	in->hdr_len = hdr_lens[n % ARRAY_SIZE(hdr_lens)];
	n /= ARRAY_SIZE(hdr_lens);
	if (n >= ARRAY_SIZE(modes))
		return false;
	in->mode = modes[n];

	return true;
}

/* Every mode, header, MTU, size, with and without a program */
static void size_every(struct kunit *test)
{
	struct vnet_rx_layout l;
	struct vnet_size_in in;
	unsigned int min;
	int err;
	u32 n;

	for (n = 0; nth_in(n, &in); n++) {
		cond_resched();
		err = vnet_size_rx_layout(&l, &in);
		if (in.mode == VNET_RX_SMALL && in.mtu > 32000) {
			KUNIT_EXPECT_EQ(test, -E2BIG, err);
			continue;
		}
		KUNIT_EXPECT_EQ(test, 0, err);
		check_layout(test, &l, &in);
		min = vnet_size_rx_ring_min(&l, &in);
		KUNIT_EXPECT_GE(test, min, 1);
		KUNIT_EXPECT_LE(test, min, 64);
	}
	KUNIT_EXPECT_EQ(test, n, 16 * 5 * 12 * 19 * 4 * 3);
}

static void size_headroom(struct kunit *test)
{
	if (!usual())
		kunit_skip(test, "other sizes than on x86-64");

	KUNIT_EXPECT_EQ(test, vnet_size_headroom(10, false), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_headroom(12, false), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_headroom(20, false), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_headroom(24, false), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_headroom(12, true), 256);
	KUNIT_EXPECT_EQ(test, vnet_size_headroom(24, true), 256);
	KUNIT_EXPECT_EQ(test, vnet_size_base(12, false), 1920);
	KUNIT_EXPECT_EQ(test, vnet_size_base(24, false), 2048);
	KUNIT_EXPECT_EQ(test, vnet_size_base(12, true), 2176);
}

static void size_small(struct kunit *test)
{
	struct vnet_size_in in = usual_in(VNET_RX_SMALL);
	struct vnet_rx_layout l;

	if (!usual())
		kunit_skip(test, "other sizes than on x86-64");

	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 1920);
	KUNIT_EXPECT_EQ(test, l.buf_len, 1920 - 64 - 320);
	in.mtu = 68;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 1920);
	in.mtu = 1502;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 1920);
	in.mtu = 1503;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 2048);
	in.mtu = 1631;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 4096);
	in.mtu = 1500;
	in.xdp = true;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 2176);

	/* a whole frame, whatever rx-buf-len says */
	in.max_buf = 2048;
	in.mtu = 9000;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 16384);
	in.mtu = 65535;
	KUNIT_EXPECT_EQ(test, -E2BIG, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 16384);
}

static void size_mergeable(struct kunit *test)
{
	static const struct {
		u32 avg;
		u32 max_buf;
		bool xdp;
		u32 mtu;
		u32 want;
	} cases[] = {
		{ 0, 4096, false, 1500, 1920 },
		{ 64, 32768, false, 1500, 1920 },
		{ 1514, 32768, false, 1500, 1920 },
		{ 1518, 32768, false, 1500, 1920 },
		{ 2000, 32768, false, 9000, 4096 },
		{ 9014, 32768, false, 9000, 16384 },
		{ 9014, 4096, false, 9000, 4096 },
		{ 9014, 2048, false, 9000, 2048 },
		{ 65000, 32768, false, 1500, 32768 },
		{ 64, 32768, true, 1500, 2176 },
		{ 64, 2048, true, 1500, 2176 },
		{ 64, 32768, true, 9000, 16384 },
		{ 64, 4096, true, 9000, 4096 },
	};
	struct vnet_size_in in = usual_in(VNET_RX_MERGEABLE);
	struct vnet_rx_layout l;
	unsigned int i;

	if (!usual())
		kunit_skip(test, "other sizes than on x86-64");

	in.guest_gso = true;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		in.avg_len = cases[i].avg;
		in.max_buf = cases[i].max_buf;
		in.xdp = cases[i].xdp;
		in.mtu = cases[i].mtu;
		KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
		KUNIT_EXPECT_EQ_MSG(test, l.truesize, cases[i].want, "case %u",
				    i);
	}
}

static void size_slots(struct kunit *test)
{
	struct vnet_rx_layout l = { .truesize = 1920 };	/* 17 to 32 KiB */
	u32 slots;

	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 256, SZ_32K), 255);
	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 1024, SZ_32K), 1020);
	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 64, SZ_32K), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 1, SZ_32K), 1);
	for (slots = 1; slots <= 32768; slots++) {
		u32 got = vnet_size_rx_slots(&l, slots, SZ_32K);

		if (got > slots || got < slots - slots / 64)
			KUNIT_EXPECT_EQ_MSG(test, got, slots, "of %u", slots);
	}
	l.truesize = 2048;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 256, SZ_32K), 256);
	l.truesize = SZ_32K;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_slots(&l, 256, SZ_32K), 256);
}

/* Frames of AF_XDP, up to one of a whole page of 64 KiB: no length leaves 16 bits. */
static void size_xsk(struct kunit *test)
{
	static const u32 frames[] = {
		2048, 3000, 4096, 8192, 32768, 65280, 65535, 65536,
	};
	struct vnet_size_in in = usual_in(VNET_RX_MERGEABLE);
	struct vnet_rx_layout l;
	unsigned int i, sg;
	int err;

	for (i = 0; i < ARRAY_SIZE(frames) * 2; i++) {
		sg = i & 1;
		err = vnet_size_xsk_layout(&l, &in, frames[i / 2], sg);
		KUNIT_ASSERT_EQ(test, err, 0);
		KUNIT_EXPECT_LE(test, l.truesize, min(frames[i / 2], U16_MAX));
		KUNIT_EXPECT_EQ(test, l.truesize,
				l.headroom + l.buf_len + l.tailroom);
		KUNIT_EXPECT_EQ(test, l.headroom + in.hdr_len,
				XDP_PACKET_HEADROOM);
		if (sg)
			KUNIT_EXPECT_GE(test, l.tailroom, vnet_size_tailroom());
		else
			KUNIT_EXPECT_GE(test, l.buf_len, in.hdr_len + 1522);
	}
}

static void size_chain(struct kunit *test)
{
	struct vnet_size_in in = usual_in(VNET_RX_CHAIN);
	struct vnet_rx_layout l;

	if (!usual())
		kunit_skip(test, "other sizes than on x86-64");

	in.guest_gso = true;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 1920);
	KUNIT_EXPECT_EQ(test, l.frag_size, 4096);
	KUNIT_EXPECT_EQ(test, l.nr_frags, 16);
	in.max_buf = 2048;	/* would take 32 followers */
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.frag_size, 4096);
	in.max_buf = 32768;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.nr_frags, 2);

	in.guest_gso = false;
	in.mtu = 9000;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.frag_size, 8192);
	KUNIT_EXPECT_EQ(test, l.nr_frags, 1);
	KUNIT_EXPECT_EQ(test, l.max_frags, 2);	/* of a page each */
	/* the device may deliver what its MTU allows, whatever ours is */
	in.mtu = 1500;
	in.dev_mtu = 9000;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_GE(test, vnet_size_capacity(&l, 12) + l.frag_size, 9022);
	in.dev_mtu = 1500;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.nr_frags, 0);
}

/* No chain is longer than its ring, and any ring that can have one gets one. */
static void size_chain_ring(struct kunit *test)
{
	struct vnet_size_in in = usual_in(VNET_RX_CHAIN);
	struct vnet_rx_layout l;
	unsigned int i, min;
	u32 ring;

	in.guest_gso = true;
	for (i = 0; i < 20; i++) {
		in.max_buf = VNET_SIZE_BUF_MIN << i % 5;
		in.any_layout = i & 1;
		in.indirect = i & 2;
		in.ring = 0;
		KUNIT_ASSERT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
		min = vnet_size_rx_ring_min(&l, &in);
		for (ring = 1; ring <= 32; ring++) {
			in.ring = ring;
			if (ring < min) {
				KUNIT_EXPECT_EQ(test, -E2BIG,
						vnet_size_rx_layout(&l, &in));
				continue;
			}
			KUNIT_ASSERT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
			KUNIT_EXPECT_LE(test, 1 + l.max_frags + !in.any_layout,
					ring);
			KUNIT_EXPECT_GE(test, l.max_frags, l.nr_frags);
			check_layout(test, &l, &in);
		}
	}
}

/* Headers and data split: one chain for any packet, whatever the device would have */
static void size_hds(struct kunit *test)
{
	static const u32 heads[] = { 128, 129, 512, 1000, 1024 };
	struct vnet_size_in in;
	struct vnet_rx_layout l;
	unsigned int i, m, gso;

	for (i = 0; i < ARRAY_SIZE(heads); i++)
		for (m = 0; m < ARRAY_SIZE(modes); m++)
			for (gso = 0; gso < 2; gso++) {
				in = usual_in(modes[m]);
				in.guest_gso = gso;
				in.hds = heads[i];
				KUNIT_ASSERT_EQ(test, 0,
						vnet_size_rx_layout(&l, &in));
				KUNIT_EXPECT_EQ(test, l.buf_len,
						in.hdr_len + heads[i]);
				KUNIT_EXPECT_EQ(test, l.truesize,
						l.headroom + l.buf_len +
						l.tailroom);
				KUNIT_EXPECT_GE(test, l.tailroom,
						vnet_size_tailroom());
				KUNIT_EXPECT_GE(test, l.nr_frags, 1);
				KUNIT_EXPECT_LE(test, l.max_frags,
						MAX_SKB_FRAGS);
				KUNIT_EXPECT_GE(test, heads[i] + l.nr_frags *
						l.frag_size,
						vnet_size_frame_max(&in));
			}
}

/* Pieces of a provider's are what they are: enough of them, or none. */
static void size_pieces(struct kunit *test)
{
	struct vnet_size_in in = usual_in(VNET_RX_MERGEABLE);
	struct vnet_rx_layout l;
	u32 piece;

	in.hds = VNET_SIZE_HDS_MIN;
	in.guest_gso = true;
	for (piece = SZ_2K; piece <= SZ_32K; piece *= 2) {
		in.piece = piece;
		if (piece < SZ_4K) {
			KUNIT_EXPECT_EQ(test, -E2BIG,
					vnet_size_rx_layout(&l, &in));
			continue;
		}
		KUNIT_ASSERT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
		KUNIT_EXPECT_EQ(test, l.frag_size, piece);
		KUNIT_EXPECT_EQ(test, l.nr_frags, SZ_64K / piece);
		KUNIT_EXPECT_EQ(test, l.max_frags, l.nr_frags);
		in.ring = l.nr_frags;
		KUNIT_EXPECT_EQ(test, -E2BIG, vnet_size_rx_layout(&l, &in));
		in.ring = l.nr_frags + 1;
		KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
		in.ring = 0;
	}

	l.nr_frags = 16;
	l.frag_size = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, vnet_size_hds_slots(&l, 256, 16), 16);
	KUNIT_EXPECT_EQ(test, vnet_size_hds_slots(&l, 1024, 16), 64);
	KUNIT_EXPECT_EQ(test, vnet_size_hds_slots(&l, 15, 16), 15);
	l.nr_frags = 4;
	l.frag_size = 4 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, vnet_size_hds_slots(&l, 1024, 16), 64);
	l.nr_frags = 1;
	l.frag_size = PAGE_SIZE / 2;
	KUNIT_EXPECT_EQ(test, vnet_size_hds_slots(&l, 256, 16), 256);
}

/* A page that takes the place of a larger one holds what it has to. */
static void size_spare(struct kunit *test)
{
	struct vnet_size_in in;
	struct vnet_rx_layout l;
	u32 n, page, need;

	for (n = 0; nth_in(n, &in); n++) {
		cond_resched();
		if (vnet_size_rx_layout(&l, &in))
			continue;

		page = PAGE_SIZE << vnet_size_spare_order(&l, true);
		need = vnet_size_overhead(in.hdr_len, in.xdp) + in.mtu + 22;
		if (in.mode == VNET_RX_SMALL ||
		    (in.mode == VNET_RX_MERGEABLE && need <= l.truesize))
			KUNIT_EXPECT_GE(test, min(page, l.truesize), need);
		if (l.max_frags > l.nr_frags)
			KUNIT_EXPECT_GE(test, vnet_size_capacity(&l, in.hdr_len) +
					l.max_frags * PAGE_SIZE,
					vnet_size_frame_max(&in));
		KUNIT_EXPECT_EQ(test, vnet_size_spare_order(&l, false), 0);
	}
}

static void size_refuses(struct kunit *test)
{
	struct vnet_size_in good = usual_in(VNET_RX_SMALL), in;
	struct vnet_rx_layout l = { .truesize = 1 };
	static const u32 bufs[] = {
		0, 1, 2047, 2049, 3000, 4095, 32767, 32769, 65536, U32_MAX,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		in = good;
		in.max_buf = bufs[i];
		KUNIT_EXPECT_EQ(test, -EINVAL, vnet_size_rx_layout(&l, &in));
	}
	in = good;
	in.mtu = 65536;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_size_rx_layout(&l, &in));
	in = good;
	in.mode = 3;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, l.truesize, 1);
}

static void size_rings(struct kunit *test)
{
	struct vnet_size_in in = usual_in(VNET_RX_SMALL);
	struct vnet_rx_layout l;

	KUNIT_EXPECT_EQ(test, vnet_size_tx_ring_min(true), 2);
	KUNIT_EXPECT_EQ(test, vnet_size_tx_ring_min(false), MAX_SKB_FRAGS + 2);

	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 1);
	in.any_layout = false;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 2);
	/* an indirect table spares entries, but is no longer than the ring */
	in.indirect = true;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 2);

	in = usual_in(VNET_RX_CHAIN);
	in.guest_gso = true;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 3);
	in.any_layout = false;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 4);
	in.indirect = true;
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 4);

	in = usual_in(VNET_RX_MERGEABLE);
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in), 1);
	in.guest_gso = true;
	in.max_buf = 2048;
	KUNIT_EXPECT_EQ(test, 0, vnet_size_rx_layout(&l, &in));
	KUNIT_EXPECT_EQ(test, vnet_size_rx_ring_min(&l, &in),
			DIV_ROUND_UP(65535 + 40 + 22 + 12, l.buf_len));
}

/* The device's MTU and its VLAN tags, two at most, and only those that are there */
static void size_too_long(struct kunit *test)
{
	u8 frame[24] = {};
	unsigned int tags, have;

	for (tags = 0; tags <= 3; tags++) {
		have = min(tags, 2);
		memset(frame + 12, 0, sizeof(frame) - 12);
		if (tags > 0)
			memcpy(frame + 12, "\x88\xa8", 2);
		if (tags > 1)
			memcpy(frame + 16, "\x81\x00", 2);
		if (tags > 2)
			memcpy(frame + 20, "\x81\x00", 2);
		KUNIT_EXPECT_FALSE(test, vnet_size_too_long(1514, frame, 24,
							    1514 + have * 4));
		KUNIT_EXPECT_TRUE(test, vnet_size_too_long(1514, frame, 24,
							   1515 + have * 4));
		/* what is not linear is not looked at */
		KUNIT_EXPECT_TRUE(test, vnet_size_too_long(1514, frame, 13,
							   1515));
	}
}

/* The average comes near what it is fed and stays in range. */
static void size_ewma(struct kunit *test)
{
	u32 avg = vnet_size_ewma_init(1500);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, vnet_size_ewma_read(avg), 1500);
	for (i = 0; i < 100; i++)
		avg = vnet_size_ewma_add(avg, 1500);
	KUNIT_EXPECT_EQ(test, vnet_size_ewma_read(avg), 1500);
	for (i = 0; i < 1000; i++)
		avg = vnet_size_ewma_add(avg, 65597);
	KUNIT_EXPECT_LE(test, vnet_size_ewma_read(avg), 65597);
	KUNIT_EXPECT_GE(test, vnet_size_ewma_read(avg), 65500);
	for (i = 0; i < 2000; i++)
		avg = vnet_size_ewma_add(avg, 60);
	KUNIT_EXPECT_LE(test, vnet_size_ewma_read(avg), 64);
	for (i = 0; i < 2000; i++)
		avg = vnet_size_ewma_add(avg, 0);
	KUNIT_EXPECT_LE(test, vnet_size_ewma_read(avg), 1);
}

static struct kunit_case size_cases[] = {
	KUNIT_CASE(size_every),
	KUNIT_CASE(size_headroom),
	KUNIT_CASE(size_small),
	KUNIT_CASE(size_mergeable),
	KUNIT_CASE(size_slots),
	KUNIT_CASE(size_xsk),
	KUNIT_CASE(size_chain),
	KUNIT_CASE(size_chain_ring),
	KUNIT_CASE(size_hds),
	KUNIT_CASE(size_pieces),
	KUNIT_CASE(size_spare),
	KUNIT_CASE(size_refuses),
	KUNIT_CASE(size_rings),
	KUNIT_CASE(size_too_long),
	KUNIT_CASE(size_ewma),
	{}
};

struct kunit_suite vnet_size_suite = {
	.name = "vnet_size",
	.test_cases = size_cases,
};
