// SPDX-License-Identifier: GPL-2.0
/* Control payloads. */

#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "../include/vnet_caps.h"
#include "../include/vnet_wire.h"

#include "vnet_kunit.h"

#define GUARD	0xa5

/* Long enough for every command but the large RSS one */
static u8 room[512];

static struct vnet_wire_cmd cmd_with(size_t size)
{
	memset(room, GUARD, sizeof(room));

	return (struct vnet_wire_cmd) { .data = room, .room = size };
}

/* One call of each encoder, for the table below */

static const u8 uc[][ETH_ALEN] = { { 2, 0, 0, 0, 0, 1 } };
static const u8 mc[][ETH_ALEN] = {
	{ 1, 0, 0x5e, 0, 0, 1 }, { 0x33, 0x33, 0, 0, 0, 2 },
};

static const struct vnet_wire_macs macs = { uc, mc, 1, 2 };
static const u16 table[] = { 0, 1, 2, 3 };
static const u8 key[] = { 0x6d, 0x5a, 0x56 };
static const struct vnet_wire_rss rss = {
	.types = 0x3f, .table = table, .nr_table = 4,
	.unclassified = 2, .max_tx_vq = 4, .key = key, .key_len = 3,
};

static const struct vnet_wire_coal coal = { 0x01020304, 5 };
static const struct vnet_wire_stats_req reqs[] = {
	{ VNET_STATS_RX_TYPES, 2 }, { BIT_ULL(VNET_STATS_CVQ), 8 },
};

static int promisc_on(struct vnet_wire_cmd *w)
{
	return vnet_wire_rx_mode(w, VNET_WIRE_RX_PROMISC, true);
}

static int promisc_off(struct vnet_wire_cmd *w)
{
	return vnet_wire_rx_mode(w, VNET_WIRE_RX_PROMISC, false);
}

static int nobcast_on(struct vnet_wire_cmd *w)
{
	return vnet_wire_rx_mode(w, VNET_WIRE_RX_NOBCAST, true);
}

static int mac_table(struct vnet_wire_cmd *w)
{
	return vnet_wire_mac_table(w, true, &macs);
}

static int mac_table_empty(struct vnet_wire_cmd *w)
{
	static const struct vnet_wire_macs none;

	return vnet_wire_mac_table(w, false, &none);
}

static int mac_addr(struct vnet_wire_cmd *w)
{
	return vnet_wire_mac_addr(w, mc[1]);
}

static int vlan_add(struct vnet_wire_cmd *w)
{
	return vnet_wire_vlan_add(w, true, 0xffe);
}

static int vlan_del(struct vnet_wire_cmd *w)
{
	return vnet_wire_vlan_del(w, true, 0xfff);
}

static int vq_pairs(struct vnet_wire_cmd *w)
{
	return vnet_wire_vq_pairs(w, true, 0x8000);
}

static int rss_set(struct vnet_wire_cmd *w)
{
	return vnet_wire_rss(w, &rss);
}

static int hash_set(struct vnet_wire_cmd *w)
{
	return vnet_wire_hash(w, 0x1ff, key, 2);
}

static int hash_off(struct vnet_wire_cmd *w)
{
	return vnet_wire_hash(w, 0, NULL, 0);
}

static int offloads_all(struct vnet_wire_cmd *w)
{
	return vnet_wire_guest_offloads(w, true, VNET_OFFLOAD_CSUM |
					VNET_OFFLOADS_GSO);
}

static int coal_tx(struct vnet_wire_cmd *w)
{
	return vnet_wire_coal_tx(w, &coal);
}

static int coal_rx(struct vnet_wire_cmd *w)
{
	return vnet_wire_coal_rx(w, &coal);
}

static int coal_vq_set(struct vnet_wire_cmd *w)
{
	return vnet_wire_coal_vq_set(w, 6, &coal);
}

static int coal_vq_get(struct vnet_wire_cmd *w)
{
	return vnet_wire_coal_vq_get(w, 6);
}

static int hash_tunnel(struct vnet_wire_cmd *w)
{
	return vnet_wire_hash_tunnel(w, 0x1ff);
}

static int stats_get(struct vnet_wire_cmd *w)
{
	return vnet_wire_stats_get(w, reqs, ARRAY_SIZE(reqs));
}

static int rss_ctx_add(struct vnet_wire_cmd *w)
{
	return vnet_wire_rss_ctx_add(w, 7, &rss);
}

static int rss_ctx_mod(struct vnet_wire_cmd *w)
{
	return vnet_wire_rss_ctx_mod(w, 7, &rss);
}

static int rss_ctx_del(struct vnet_wire_cmd *w)
{
	return vnet_wire_rss_ctx_del(w, 0xffff);
}

/**
 * struct wire_case - a command and the bytes it is on the wire
 * @encode: makes it
 * @class: its class
 * @cmd: its command
 * @len: bytes of its payload
 * @split: bytes of the first part of its payload
 * @want: its payload
 */
struct wire_case {
	int (*encode)(struct vnet_wire_cmd *w);
	u8 class;
	u8 cmd;
	u8 len;
	u8 split;
	u8 want[32];
};

static const struct wire_case wire_table[] = {
	{ promisc_on, 0, 0, 1, 0, { 1 } },
	{ promisc_off, 0, 0, 1, 0, { 0 } },
	{ nobcast_on, 0, 5, 1, 0, { 1 } },
	{ mac_table, 1, 0, 26, 10, {
		1, 0, 0, 0, 2, 0, 0, 0, 0, 1,
		2, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1, 0x33, 0x33, 0, 0, 0, 2 } },
	{ mac_table_empty, 1, 0, 8, 4, { 0 } },
	{ mac_addr, 1, 1, 6, 0, { 0x33, 0x33, 0, 0, 0, 2 } },
	{ vlan_add, 2, 0, 2, 0, { 0xfe, 0x0f } },
	{ vlan_del, 2, 1, 2, 0, { 0xff, 0x0f } },
	{ vnet_wire_announce_ack, 3, 0 },
	{ vq_pairs, 4, 0, 2, 0, { 0x00, 0x80 } },
	{ rss_set, 4, 1, 22, 0, {
		0x3f, 0, 0, 0, 3, 0, 2, 0,
		0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 3, 0x6d, 0x5a, 0x56 } },
	{ hash_set, 4, 2, 15, 0, {
		0xff, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x6d, 0x5a } },
	{ hash_off, 4, 2, 13, 0, { 0 } },
	{ offloads_all, 5, 0, 8, 0, { 0x82, 0x07, 0, 0, 0, 0xc0, 0xc0, 0 } },
	{ coal_tx, 6, 0, 8, 0, { 4, 3, 2, 1, 5, 0, 0, 0 } },
	{ coal_rx, 6, 1, 8, 0, { 4, 3, 2, 1, 5, 0, 0, 0 } },
	{ coal_vq_set, 6, 2, 12, 0, { 6, 0, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0 } },
	{ coal_vq_get, 6, 3, 4, 0, { 6, 0, 0, 0 } },
	{ hash_tunnel, 7, 0, 4, 0, { 0xff, 0x01, 0, 0 } },
	{ vnet_wire_stats_cap, 8, 0 },
	{ stats_get, 8, 1, 32, 0, {
		2, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0,
		8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0 } },
	{ vnet_wire_rss_ctx_cap, 9, 0 },
	{ rss_ctx_add, 9, 1, 30, 0, {
		7, 0, 0, 0, 0, 0, 0, 0, 0x3f, 0, 0, 0, 3, 0, 2, 0,
		0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 3, 0x6d, 0x5a, 0x56 } },
	{ rss_ctx_mod, 9, 2, 30, 0, {
		7, 0, 0, 0, 0, 0, 0, 0, 0x3f, 0, 0, 0, 3, 0, 2, 0,
		0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 3, 0x6d, 0x5a, 0x56 } },
	{ rss_ctx_del, 9, 3, 2, 0, { 0xff, 0xff } },
};

/* Every command, byte by byte, with exact room; and with less */
static void wire_commands(struct kunit *test)
{
	const struct wire_case *c;
	struct vnet_wire_cmd w;
	unsigned int i, size;

	for (i = 0; i < ARRAY_SIZE(wire_table); i++) {
		c = &wire_table[i];
		w = cmd_with(c->len);
		KUNIT_EXPECT_EQ_MSG(test, 0, c->encode(&w), "command %u", i);
		KUNIT_EXPECT_EQ(test, w.class, c->class);
		KUNIT_EXPECT_EQ(test, w.cmd, c->cmd);
		KUNIT_EXPECT_EQ_MSG(test, w.len, c->len, "command %u", i);
		KUNIT_EXPECT_EQ_MSG(test, w.split, c->split, "command %u", i);
		KUNIT_EXPECT_EQ_MSG(test, 0, memcmp(room, c->want, c->len),
				    "command %u", i);
		KUNIT_EXPECT_NULL(test, memchr_inv(room + c->len, GUARD,
						   sizeof(room) - c->len));
		for (size = 0; size < c->len; size++) {
			w = cmd_with(size);
			KUNIT_EXPECT_EQ(test, -EMSGSIZE, c->encode(&w));
			KUNIT_EXPECT_EQ(test, w.len, 0);
			KUNIT_EXPECT_NULL(test, memchr_inv(room, GUARD,
							   sizeof(room)));
		}
	}
}

static void wire_sizes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, vnet_wire_macs_size(1, 2), 26);
	KUNIT_EXPECT_EQ(test, vnet_wire_rss_size(4, 3), 22);
	KUNIT_EXPECT_EQ(test, vnet_wire_rss_ctx_size(4, 3), 30);
	KUNIT_EXPECT_EQ(test, vnet_wire_hash_size(2), 15);
	KUNIT_EXPECT_EQ(test, vnet_wire_stats_size(2), 32);
	/* five headers; 6 + 4 + 4 + 2 and 2 counters */
	KUNIT_EXPECT_EQ(test, vnet_wire_stats_reply_size(reqs, 2),
			2 * (5 * 8 + 18 * 8));
	KUNIT_EXPECT_EQ(test, vnet_wire_stats_reply_size(reqs, 0), 0);

	/* sizes that cannot be do not wrap to small ones */
	KUNIT_EXPECT_GT(test, vnet_wire_macs_size(~0u, ~0u), 0xffffffffULL);
	KUNIT_EXPECT_GT(test, vnet_wire_rss_size(~0u, 255), 0xffffffffULL);
}

/* A legacy device is sent the endianness of the guest. */
static void wire_native(struct kunit *test)
{
	const u64 mask = VNET_OFFLOAD_CSUM;
	const u16 vid = 0x0102;
	const u32 nr = 1;
	struct vnet_wire_cmd w = cmd_with(64);

	KUNIT_EXPECT_EQ(test, 0, vnet_wire_vlan_add(&w, false, vid));
	KUNIT_EXPECT_MEMEQ(test, room, &vid, 2);
	KUNIT_EXPECT_EQ(test, 0, vnet_wire_vq_pairs(&w, false, vid));
	KUNIT_EXPECT_MEMEQ(test, room, &vid, 2);
	KUNIT_EXPECT_EQ(test, 0, vnet_wire_guest_offloads(&w, false, mask));
	KUNIT_EXPECT_MEMEQ(test, room, &mask, 8);
	KUNIT_EXPECT_EQ(test, 0, vnet_wire_mac_table(&w, false, &macs));
	KUNIT_EXPECT_MEMEQ(test, room, &nr, 4);
}

static void wire_refuses(struct kunit *test)
{
	struct vnet_wire_macs many = { .nr_uc = ~0u };
	struct vnet_wire_cmd w = cmd_with(sizeof(room));

	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rx_mode(&w, 6, true));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rx_mode(&w, -1, true));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, vnet_wire_mac_table(&w, true, &many));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_vlan_add(&w, true, 4096));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_vlan_del(&w, true, 0xffff));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_vq_pairs(&w, true, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_vq_pairs(&w, true, 0x8001));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			vnet_wire_guest_offloads(&w, true, BIT_ULL(59)));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_stats_get(&w, reqs, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss_ctx_add(&w, 0, &rss));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss_ctx_mod(&w, 0, &rss));
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss_ctx_del(&w, 0));
	KUNIT_EXPECT_NULL(test, memchr_inv(room, GUARD, sizeof(room)));
}

static void wire_rss_refuses(struct kunit *test)
{
	static const u32 lengths[] = { 0, 3, 127, 129, 0x8001, 0x10000, ~0u };
	static const u16 far[] = { 0, 0x8000 };
	struct vnet_wire_cmd w = cmd_with(sizeof(room));
	struct vnet_wire_rss bad;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		bad = rss;
		bad.nr_table = lengths[i];
		KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss(&w, &bad));
		KUNIT_EXPECT_EQ(test, -EINVAL,
				vnet_wire_rss_ctx_add(&w, 1, &bad));
	}
	bad = rss;
	bad.unclassified = 0x8000;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss(&w, &bad));
	bad = rss;
	bad.max_tx_vq = 0;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss(&w, &bad));
	bad.max_tx_vq = 0x8001;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss(&w, &bad));
	bad = rss;
	bad.table = far;
	bad.nr_table = 2;
	KUNIT_EXPECT_EQ(test, -EINVAL, vnet_wire_rss(&w, &bad));
	KUNIT_EXPECT_NULL(test, memchr_inv(room, GUARD, sizeof(room)));
}

static void wire_short_replies(struct kunit *test)
{
	static const u8 ones[8] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};
	static const u8 reply[] = { 4, 3, 2, 1, 5, 0, 0, 0 };
	struct vnet_wire_coal c = {};
	unsigned int used;
	u64 types = 1;
	u16 max = 1;

	for (used = 0; used < 8; used++) {
		KUNIT_EXPECT_EQ(test, -EPROTO,
				vnet_wire_coal_reply(reply, used, &c));
		KUNIT_EXPECT_EQ(test, -EPROTO,
				vnet_wire_stats_cap_reply(ones, used, &types));
	}
	for (used = 0; used < 2; used++)
		KUNIT_EXPECT_EQ(test, -EPROTO,
				vnet_wire_rss_ctx_cap_reply(ones, used, &max));
	KUNIT_EXPECT_EQ(test, c.max_packets, 0);
	KUNIT_EXPECT_EQ(test, types, 1);
	KUNIT_EXPECT_EQ(test, max, 1);

	KUNIT_EXPECT_EQ(test, 0, vnet_wire_coal_reply(reply, 8, &c));
	KUNIT_EXPECT_EQ(test, c.max_packets, coal.max_packets);
	KUNIT_EXPECT_EQ(test, c.max_usecs, coal.max_usecs);
	/* types that nobody knows are not asked for */
	KUNIT_EXPECT_EQ(test, 0, vnet_wire_stats_cap_reply(ones, 8, &types));
	KUNIT_EXPECT_EQ(test, types, 0x1000f000fULL);
	KUNIT_EXPECT_EQ(test, 0, vnet_wire_rss_ctx_cap_reply(ones, 2, &max));
	KUNIT_EXPECT_EQ(test, max, 0xffff);
}

/**
 * struct seen - what the parser gave
 * @test: running case
 * @max_pairs: queue pairs the parser was told
 * @nr: number of counters
 * @sum: of their values
 * @last_vq: virtqueue of the last one
 * @last_type: type of the last one
 * @last_index: index of the last one
 */
struct seen {
	struct kunit *test;
	u16 max_pairs;
	u32 nr;
	u64 sum;
	u16 last_vq;
	u8 last_type;
	unsigned int last_index;
};

/* Whatever the device wrote, only what exists comes through. */
static void see(void *ctx, u8 type, u16 vq, unsigned int index, u64 value)
{
	struct seen *seen = ctx;
	u32 cvq = 2 * seen->max_pairs;
	bool known;

	seen->nr++;
	seen->sum += value;
	seen->last_vq = vq;
	seen->last_type = type;
	seen->last_index = index;

	if (vq == cvq)
		known = type == VNET_STATS_CVQ;
	else if (vq % 2)
		known = type >= VNET_STATS_TX_BASIC &&
			type <= VNET_STATS_TX_SPEED;
	else
		known = type <= VNET_STATS_RX_SPEED;
	if (!known || vq > cvq || index >= VNET_STATS_MAX_VALUES)
		KUNIT_EXPECT_EQ_MSG(seen->test, 0, 1, "type %u vq %u index %u",
				    type, vq, index);
}

/* Append a record of @n counters of value 1; returns its length. */
static size_t record(u8 *p, u8 type, u16 vq, unsigned int n)
{
	unsigned int i;

	memset(p, 0, 8);
	p[0] = type;
	put_unaligned_le16(vq, p + 2);
	put_unaligned_le16(8 + 8 * n, p + 6);
	for (i = 0; i < n; i++)
		put_unaligned_le64(1, p + 8 + 8 * i);

	return 8 + 8 * n;
}

static int parse(struct kunit *test, const u8 *p, size_t used, u16 max_pairs,
		 struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	seen->test = test;
	seen->max_pairs = max_pairs;

	return vnet_wire_stats_reply(p, used, max_pairs, see, seen);
}

static void wire_stats_reply(struct kunit *test)
{
	struct seen seen;
	u8 buf[512];
	size_t len, used;
	int got;

	KUNIT_EXPECT_EQ(test, 0, parse(test, NULL, 0, 2, &seen));

	len = record(buf, VNET_STATS_RX_BASIC, 0, 6);
	len += record(buf + len, VNET_STATS_TX_GSO, 3, 6);
	len += record(buf + len, VNET_STATS_CVQ, 4, 2);
	KUNIT_EXPECT_EQ(test, 14, parse(test, buf, len, 2, &seen));
	KUNIT_EXPECT_EQ(test, seen.nr, 14);
	KUNIT_EXPECT_EQ(test, seen.sum, 14);
	KUNIT_EXPECT_EQ(test, seen.last_vq, 4);
	KUNIT_EXPECT_EQ(test, seen.last_index, 1);

	/* cut anywhere: nothing beyond the cut, an error unless between */
	for (used = 0; used < len; used++) {
		got = parse(test, buf, used, 2, &seen);
		if (used == 0 || used == 56 || used == 112)
			KUNIT_EXPECT_EQ(test, got, seen.nr);
		else
			KUNIT_EXPECT_EQ(test, got, -EPROTO);
		KUNIT_EXPECT_LE(test, seen.nr * 8, used);
	}
}

/* Foreign virtqueues, unknown types, shorter and longer records */
static void wire_stats_odd(struct kunit *test)
{
	struct seen seen;
	u8 buf[512];
	size_t len;

	len = record(buf, VNET_STATS_RX_BASIC, 5, 6);	/* beyond the last */
	len += record(buf + len, VNET_STATS_RX_BASIC, 1, 6);	/* transmits */
	len += record(buf + len, VNET_STATS_TX_BASIC, 0, 6);	/* receives */
	len += record(buf + len, VNET_STATS_CVQ, 0, 2);
	len += record(buf + len, VNET_STATS_RX_BASIC, 0xffff, 6);
	len += record(buf + len, 4, 0, 6);
	len += record(buf + len, 255, 0, 6);
	KUNIT_EXPECT_EQ(test, 0, parse(test, buf, len, 2, &seen));

	len = record(buf, VNET_STATS_RX_CSUM, 2, 20);	/* 4 known */
	len += record(buf + len, VNET_STATS_RX_BASIC, 2, 3);
	len += record(buf + len, VNET_STATS_RX_SPEED, 2, 0);
	KUNIT_EXPECT_EQ(test, 7, parse(test, buf, len, 2, &seen));

	/* a length that is no multiple of a counter */
	len = record(buf, VNET_STATS_RX_BASIC, 2, 3);
	put_unaligned_le16(8 + 3 * 8 - 1, buf + 6);
	KUNIT_EXPECT_EQ(test, 2, parse(test, buf, len - 1, 2, &seen));
}

/* A record that claims less than its header would never end. */
static void wire_stats_sizes(struct kunit *test)
{
	struct seen seen;
	u8 buf[64] = {};
	unsigned int size;
	int got;

	for (size = 0; size <= 0xffff; size++) {
		record(buf, VNET_STATS_RX_BASIC, 0, 6);
		put_unaligned_le16(size, buf + 6);
		got = parse(test, buf, 56, 1, &seen);
		if (size < 8 || size > 56)
			KUNIT_EXPECT_EQ_MSG(test, got, -EPROTO, "size %u",
					    size);
		KUNIT_EXPECT_LE(test, seen.nr, 6);
		cond_resched();
	}
}

static void wire_stats_random(struct kunit *test)
{
	struct rnd_state rnd;
	struct seen seen;
	u8 buf[256];
	u32 i, used;

	vnet_kunit_seed(&rnd);
	for (i = 0; i < VNET_KUNIT_ROUNDS; i++) {
		prandom_bytes_state(&rnd, buf, sizeof(buf));
		used = vnet_kunit_below(&rnd, sizeof(buf) + 1);
		if (i % 2)	/* a plausible first record */
			record(buf, vnet_kunit_below(&rnd, 40),
			       vnet_kunit_below(&rnd, 8),
			       vnet_kunit_below(&rnd, 10));
		parse(test, buf, used, vnet_kunit_below(&rnd, 4), &seen);
		KUNIT_EXPECT_LE(test, seen.nr * 8, used);
	}
}

static struct kunit_case wire_cases[] = {
	KUNIT_CASE(wire_commands),
	KUNIT_CASE(wire_sizes),
	KUNIT_CASE(wire_native),
	KUNIT_CASE(wire_refuses),
	KUNIT_CASE(wire_rss_refuses),
	KUNIT_CASE(wire_short_replies),
	KUNIT_CASE(wire_stats_reply),
	KUNIT_CASE(wire_stats_odd),
	KUNIT_CASE(wire_stats_sizes),
	KUNIT_CASE(wire_stats_random),
	{}
};

struct kunit_suite vnet_wire_suite = {
	.name = "vnet_wire",
	.test_cases = wire_cases,
};
