// SPDX-License-Identifier: GPL-2.0
/* Feature bits and capabilities. */

#include <linux/bitops.h>
#include <linux/etherdevice.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "../include/vnet_caps.h"
#include "../include/vnet_compat.h"

#include "vnet_kunit.h"

/* A configuration in which every field is good */
static const struct vnet_devcfg dc_good = {
	.mac = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 },
	.status = VNET_STATUS_LINK_UP,
	.max_queue_pairs = 4,
	.mtu = 1500,
	.speed = 10000,
	.duplex = 1,
	.rss_max_key_size = 40,
	.rss_max_indir_len = 128,
	.supported_hash_types = VNET_HASH_ALL,
	.supported_tunnel_types = VNET_TUNNEL_ALL,
	.len = 28,
};

/**
 * struct caps_rule - a dependency, read from the specification once more
 * @bit: feature
 * @needs: what it needs
 * @or: or this, when not zero
 */
struct caps_rule {
	u8 bit;
	u8 needs;
	u8 or;
};

static const struct caps_rule caps_rules[] = {
	{ VNET_F_GUEST_TSO4, VNET_F_GUEST_CSUM },
	{ VNET_F_GUEST_TSO6, VNET_F_GUEST_CSUM },
	{ VNET_F_GUEST_ECN, VNET_F_GUEST_TSO4, VNET_F_GUEST_TSO6 },
	{ VNET_F_GUEST_UFO, VNET_F_GUEST_CSUM },
	{ VNET_F_GUEST_USO4, VNET_F_GUEST_CSUM },
	{ VNET_F_GUEST_USO6, VNET_F_GUEST_CSUM },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO, VNET_F_GUEST_TSO4 },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO, VNET_F_GUEST_TSO6 },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO, VNET_F_GUEST_USO4 },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO, VNET_F_GUEST_USO6 },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM, VNET_F_GUEST_UDP_TUNNEL_GSO },
	{ VNET_F_HOST_TSO4, VNET_F_CSUM },
	{ VNET_F_HOST_TSO6, VNET_F_CSUM },
	{ VNET_F_HOST_ECN, VNET_F_HOST_TSO4, VNET_F_HOST_TSO6 },
	{ VNET_F_HOST_UFO, VNET_F_CSUM },
	{ VNET_F_HOST_USO, VNET_F_CSUM },
	{ VNET_F_HOST_UDP_TUNNEL_GSO, VNET_F_HOST_TSO4 },
	{ VNET_F_HOST_UDP_TUNNEL_GSO, VNET_F_HOST_TSO6 },
	{ VNET_F_HOST_UDP_TUNNEL_GSO, VNET_F_HOST_USO },
	{ VNET_F_HOST_UDP_TUNNEL_GSO_CSUM, VNET_F_HOST_UDP_TUNNEL_GSO },
	{ VNET_F_GSO, VNET_F_CSUM },
	{ VNET_F_CTRL_RX, VNET_F_CTRL_VQ },
	{ VNET_F_CTRL_RX_EXTRA, VNET_F_CTRL_VQ },
	{ VNET_F_CTRL_VLAN, VNET_F_CTRL_VQ },
	{ VNET_F_CTRL_GUEST_OFFLOADS, VNET_F_CTRL_VQ },
	{ VNET_F_GUEST_ANNOUNCE, VNET_F_CTRL_VQ },
	{ VNET_F_MQ, VNET_F_CTRL_VQ },
	{ VNET_F_CTRL_MAC_ADDR, VNET_F_CTRL_VQ },
	{ VNET_F_NOTF_COAL, VNET_F_CTRL_VQ },
	{ VNET_F_VQ_NOTF_COAL, VNET_F_CTRL_VQ },
	{ VNET_F_DEVICE_STATS, VNET_F_CTRL_VQ },
	{ VNET_F_RSC_EXT, VNET_F_HOST_TSO4, VNET_F_HOST_TSO6 },
	{ VNET_F_RSS, VNET_F_CTRL_VQ },
	{ VNET_F_HASH_REPORT, VNET_F_CTRL_VQ },
	{ VNET_F_HASH_TUNNEL, VNET_F_CTRL_VQ },
	{ VNET_F_HASH_TUNNEL, VNET_F_RSS, VNET_F_HASH_REPORT },
	{ VNET_F_RSS_CONTEXT, VNET_F_CTRL_VQ },
	{ VNET_F_RSS_CONTEXT, VNET_F_RSS },
	{ VNET_F_STANDBY, VNET_F_MAC },
};

static bool known(unsigned int bit)
{
	return strcmp(vnet_caps_name(bit), "?");
}

static void all_features(struct vnet_features *f)
{
	unsigned int bit;

	memset(f, 0, sizeof(*f));
	for (bit = 0; bit < VNET_FEATURE_BITS; bit++)
		if (known(bit))
			vnet_features_set(f, bit);
}

static bool empty(const struct vnet_features *f)
{
	return !f->w[0] && !f->w[1];
}

static bool rule_holds(const struct caps_rule *r, const struct vnet_features *f)
{
	return !vnet_features_has(f, r->bit) ||
	       vnet_features_has(f, r->needs) ||
	       (r->or && vnet_features_has(f, r->or));
}

/* Numbers out of range are no features and touch nothing. */
static void caps_bits(struct kunit *test)
{
	struct vnet_features f = {};
	unsigned int i;

	for (i = 0; i < VNET_FEATURE_BITS; i++) {
		KUNIT_EXPECT_FALSE(test, vnet_features_has(&f, i));
		vnet_features_set(&f, i);
		KUNIT_EXPECT_TRUE(test, vnet_features_has(&f, i));
		KUNIT_EXPECT_EQ(test, 1, hweight64(f.w[0]) + hweight64(f.w[1]));
		vnet_features_clear(&f, i);
		KUNIT_EXPECT_TRUE(test, empty(&f));
	}
	for (; i < 1000; i++) {
		vnet_features_set(&f, i);
		vnet_features_clear(&f, i);
		KUNIT_EXPECT_FALSE(test, vnet_features_has(&f, i));
	}
	KUNIT_EXPECT_TRUE(test, empty(&f));
}

static void caps_names(struct kunit *test)
{
	unsigned int i, j;

	for (i = 0; i < VNET_FEATURE_BITS; i++)
		for (j = 0; j < i; j++)
			if (known(i) && !strcmp(vnet_caps_name(i),
						vnet_caps_name(j)))
				KUNIT_EXPECT_EQ(test, i, j);
	KUNIT_EXPECT_STREQ(test, "CSUM", vnet_caps_name(0));
	KUNIT_EXPECT_STREQ(test, "HOST_UDP_TUNNEL_GSO_CSUM",
			   vnet_caps_name(68));
	KUNIT_EXPECT_STREQ(test, "?", vnet_caps_name(4));
	KUNIT_EXPECT_STREQ(test, "?", vnet_caps_name(~0u));
}

/* What is accepted is known, and the kernel has room for it. */
static void caps_lists(struct kunit *test)
{
	struct vnet_features f = {};
	const unsigned int *bits;
	unsigned int i, nr;

	bits = vnet_caps_table(false, &nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, known(bits[i]));
		KUNIT_EXPECT_FALSE(test, vnet_features_has(&f, bits[i]));
		KUNIT_EXPECT_LT(test, bits[i], VNET_COMPAT_FEATURE_BITS);
		vnet_features_set(&f, bits[i]);
	}
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&f, VNET_F_SPEED_DUPLEX));
	KUNIT_EXPECT_EQ(test, VNET_COMPAT_FEATURE_BITS > 64,
			vnet_features_has(&f, VNET_F_RSS_CONTEXT));
	KUNIT_EXPECT_EQ(test, VNET_COMPAT_FEATURE_BITS > 64,
			vnet_features_has(&f, VNET_F_HOST_UDP_TUNNEL_GSO_CSUM));
	KUNIT_EXPECT_FALSE(test, vnet_features_has(&f, VNET_F_GSO));

	bits = vnet_caps_table(true, &nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, known(bits[i]));
		KUNIT_EXPECT_LT(test, bits[i], 32);
	}
}

/* Every modern bit below 32 is offered to a legacy device as well. */
static void caps_lists_agree(struct kunit *test)
{
	struct vnet_features modern = {}, legacy = {};
	const unsigned int *bits;
	unsigned int i, nr;

	bits = vnet_caps_table(false, &nr);
	for (i = 0; i < nr; i++)
		vnet_features_set(&modern, bits[i]);
	bits = vnet_caps_table(true, &nr);
	for (i = 0; i < nr; i++)
		vnet_features_set(&legacy, bits[i]);

	KUNIT_EXPECT_EQ(test, legacy.w[0],
			(modern.w[0] & U32_MAX) | BIT_ULL(VNET_F_GSO) |
			BIT_ULL(VNET_F_ANY_LAYOUT));
}

/* Which of MQ, CTRL_VLAN and VERSION_1 are left, as bits 0 to 2 */
static unsigned int denied(const char *list, unsigned int *bad)
{
	static const char * const names[2] = { "virtio0", "0000:00:03.0" };
	struct vnet_features f;

	all_features(&f);
	*bad = vnet_caps_deny(&f, list, names);

	return vnet_features_has(&f, VNET_F_MQ) |
	       vnet_features_has(&f, VNET_F_CTRL_VLAN) << 1 |
	       vnet_features_has(&f, VNET_F_VERSION_1) << 2;
}

static void caps_deny(struct kunit *test)
{
	static const struct {
		const char *list;
		unsigned int left;
		unsigned int bad;
	} cases[] = {
		{ NULL, 7, 0 },
		{ "", 7, 0 },
		{ ",,", 7, 0 },
		{ "MQ", 6, 0 },
		{ "MQ\n", 6, 0 },
		{ "MQ,CTRL_VLAN", 4, 0 },
		{ ",CTRL_VLAN,", 5, 0 },
		{ "virtio0/MQ", 6, 0 },
		{ "virtio1/MQ", 7, 0 },
		{ "virtio01/MQ,virtio/MQ,/MQ", 7, 0 },
		{ "0000:00:03.0/MQ,virtio1/CTRL_VLAN", 6, 0 },
		{ "M,MQ_,mq,virtio0/,virtio0", 7, 5 },
		{ "VERSION_1,virtio0/ACCESS_PLATFORM", 7, 2 },
	};
	unsigned int i, bad;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_EXPECT_EQ_MSG(test, cases[i].left,
				    denied(cases[i].list, &bad), "%s",
				    cases[i].list);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].bad, bad, "%s",
				    cases[i].list);
	}
}

static void caps_all_hold(struct kunit *test)
{
	struct vnet_features f, before, cleared;

	all_features(&f);
	before = f;
	vnet_caps_check(&f, &dc_good, &cleared);
	KUNIT_EXPECT_TRUE(test, empty(&cleared));
	KUNIT_EXPECT_MEMEQ(test, &f, &before, sizeof(f));
}

/* Each rule: take away what the bit needs, and it goes too. */
static void caps_rules_hold(struct kunit *test)
{
	struct vnet_features f, cleared;
	const struct caps_rule *r;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(caps_rules); i++) {
		r = &caps_rules[i];
		all_features(&f);
		vnet_features_clear(&f, r->needs);
		if (r->or) {
			vnet_caps_check(&f, &dc_good, &cleared);
			KUNIT_EXPECT_TRUE_MSG(test,
					      vnet_features_has(&f, r->bit),
					      "%s without %s",
					      vnet_caps_name(r->bit),
					      vnet_caps_name(r->needs));
			vnet_features_clear(&f, r->or);
		}
		vnet_caps_check(&f, &dc_good, &cleared);
		KUNIT_EXPECT_FALSE_MSG(test, vnet_features_has(&f, r->bit),
				       "%s without %s", vnet_caps_name(r->bit),
				       vnet_caps_name(r->needs));
		KUNIT_EXPECT_TRUE(test, vnet_features_has(&cleared, r->bit));
	}
}

/* Dependencies of dependencies, whatever the order of the table */
static void caps_chain(struct kunit *test)
{
	struct vnet_features f, cleared;

	all_features(&f);
	vnet_features_clear(&f, VNET_F_GUEST_CSUM);
	vnet_features_clear(&f, VNET_F_CSUM);
	vnet_features_clear(&f, VNET_F_CTRL_VQ);
	vnet_caps_check(&f, &dc_good, &cleared);
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&cleared,
						  VNET_F_GUEST_ECN));
	KUNIT_EXPECT_TRUE(test,
			  vnet_features_has(&cleared,
					    VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM));
	KUNIT_EXPECT_TRUE(test,
			  vnet_features_has(&cleared,
					    VNET_F_HOST_UDP_TUNNEL_GSO_CSUM));
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&cleared,
						  VNET_F_HASH_TUNNEL));
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&cleared,
						  VNET_F_RSS_CONTEXT));
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&f, VNET_F_MRG_RXBUF));
	KUNIT_EXPECT_TRUE(test, vnet_features_has(&f, VNET_F_IN_ORDER));
}

/* Check one changed field: @bit must survive iff @good. */
static void check_value(struct kunit *test, const struct vnet_devcfg *dc,
			unsigned int bit, bool good, u32 value)
{
	struct vnet_features f, cleared;

	all_features(&f);
	vnet_caps_check(&f, dc, &cleared);
	KUNIT_EXPECT_EQ_MSG(test, good, vnet_features_has(&f, bit), "%s %u",
			    vnet_caps_name(bit), value);
	KUNIT_EXPECT_EQ(test, !good, vnet_features_has(&cleared, bit));
}

static void caps_values(struct kunit *test)
{
	static const u16 numbers[] = {
		0, 1, 2, 39, 40, 67, 68, 127, 128, 129, 255, 256, 1500,
		0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff,
	};
	struct vnet_devcfg dc;
	unsigned int i;
	u16 n;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		n = numbers[i];
		dc = dc_good;
		dc.mtu = n;
		check_value(test, &dc, VNET_F_MTU, n >= 68, n);
		dc = dc_good;
		dc.max_queue_pairs = n;
		check_value(test, &dc, VNET_F_MQ, n && n <= VNET_USABLE_PAIRS, n);
		check_value(test, &dc, VNET_F_RSS, n && n <= VNET_USABLE_PAIRS, n);
		dc = dc_good;
		dc.rss_max_indir_len = n;
		check_value(test, &dc, VNET_F_RSS, n, n);
		check_value(test, &dc, VNET_F_HASH_REPORT, true, n);
		if (n > 255)
			continue;
		dc = dc_good;
		dc.rss_max_key_size = n;
		check_value(test, &dc, VNET_F_RSS, n >= 40, n);
		check_value(test, &dc, VNET_F_RSS_CONTEXT, n >= 40, n);
		check_value(test, &dc, VNET_F_HASH_REPORT, n >= 40, n);
	}

	dc = dc_good;
	dc.supported_hash_types = ~(u32)VNET_HASH_ALL;
	check_value(test, &dc, VNET_F_RSS, false, 0);
	check_value(test, &dc, VNET_F_HASH_REPORT, false, 0);
	check_value(test, &dc, VNET_F_HASH_TUNNEL, false, 0);
	dc = dc_good;
	dc.supported_tunnel_types = ~(u32)VNET_TUNNEL_ALL;
	check_value(test, &dc, VNET_F_HASH_TUNNEL, false, 0);
	dc = dc_good;
	eth_zero_addr(dc.mac);
	check_value(test, &dc, VNET_F_MAC, false, 0);
	check_value(test, &dc, VNET_F_STANDBY, false, 0);
	eth_broadcast_addr(dc.mac);
	check_value(test, &dc, VNET_F_MAC, false, 1);
}

/* A feature whose field lies beyond the end of the space is not used. */
static void caps_short(struct kunit *test)
{
	static const struct {
		u8 bit;
		u8 end;
	} fields[] = {
		{ VNET_F_MAC, 6 }, { VNET_F_STATUS, 8 }, { VNET_F_MQ, 10 },
		{ VNET_F_MTU, 12 }, { VNET_F_SPEED_DUPLEX, 17 },
		{ VNET_F_RSS, 24 }, { VNET_F_HASH_REPORT, 24 },
		{ VNET_F_HASH_TUNNEL, 28 }, { VNET_F_CSUM, 0 },
	};
	struct vnet_devcfg dc = dc_good;
	unsigned int i;

	for (dc.len = 0; dc.len < 40; dc.len++)
		for (i = 0; i < ARRAY_SIZE(fields); i++)
			check_value(test, &dc, fields[i].bit,
				    dc.len >= fields[i].end, dc.len);
}

/* Any bits, any configuration: what is left holds, and nothing is lost. */
static void caps_random(struct kunit *test)
{
	struct vnet_features f, before, cleared, again;
	struct vnet_netdev_features nf;
	struct vnet_devcfg dc;
	struct vnet_caps caps;
	struct rnd_state rnd;
	unsigned int i, j;

	vnet_kunit_seed(&rnd);
	for (i = 0; i < VNET_KUNIT_ROUNDS; i++) {
		prandom_bytes_state(&rnd, &before, sizeof(before));
		prandom_bytes_state(&rnd, &f, sizeof(f));
		if (i % 2)	/* rather more bits than half */
			for (j = 0; j < ARRAY_SIZE(f.w); j++)
				before.w[j] |= f.w[j];
		dc = dc_good;
		if (i % 3)
			prandom_bytes_state(&rnd, &dc, sizeof(dc));

		f = before;
		vnet_caps_check(&f, &dc, &cleared);
		for (j = 0; j < ARRAY_SIZE(f.w); j++) {
			KUNIT_EXPECT_EQ(test, before.w[j],
					f.w[j] | cleared.w[j]);
			KUNIT_EXPECT_EQ(test, 0, f.w[j] & cleared.w[j]);
		}
		for (j = 0; j < ARRAY_SIZE(caps_rules); j++)
			if (!rule_holds(&caps_rules[j], &f))
				KUNIT_EXPECT_EQ(test, -1, caps_rules[j].bit);
		again = f;
		vnet_caps_check(&again, &dc, &cleared);
		KUNIT_EXPECT_TRUE(test, empty(&cleared));

		vnet_caps_resolve(&caps, &f, &dc);
		KUNIT_EXPECT_GE(test, caps.max_pairs, 1);
		KUNIT_EXPECT_LE(test, caps.max_pairs, VNET_MAX_QUEUE_PAIRS);
		KUNIT_EXPECT_GE(test, caps.max_mtu, caps.min_mtu);
		KUNIT_EXPECT_TRUE(test, !caps.rss || caps.rss_key_len >= 40);
		KUNIT_EXPECT_TRUE(test, !caps.rss || caps.rss_indir_len);
		KUNIT_EXPECT_TRUE(test, !caps.guest_gso || caps.guest_csum);
		KUNIT_EXPECT_TRUE(test, !caps.host_gso || caps.csum);
		vnet_caps_netdev(&caps, &nf);
		KUNIT_EXPECT_EQ(test, 0, nf.vlan & ~nf.active);
		KUNIT_EXPECT_EQ(test, 0, nf.enc & ~nf.active);
		KUNIT_EXPECT_EQ(test, 0, nf.hw & ~nf.active);
	}
}

static void resolve(struct vnet_caps *caps, const u8 *bits, unsigned int nr,
		    const struct vnet_devcfg *dc)
{
	struct vnet_features f = {};

	while (nr--)
		vnet_features_set(&f, bits[nr]);
	vnet_caps_resolve(caps, &f, dc);
}

static void caps_hdr_len(struct kunit *test)
{
	static const struct {
		u8 bits[4];
		u8 nr;
		u8 want;
		bool le;
		bool any_layout;
	} cases[] = {
		{ {}, 0, 10, false, false },
		{ { VNET_F_ANY_LAYOUT }, 1, 10, false, true },
		{ { VNET_F_MRG_RXBUF }, 1, 12, false, false },
		{ { VNET_F_VERSION_1 }, 1, 12, true, true },
		{ { VNET_F_VERSION_1, VNET_F_HASH_REPORT }, 2, 20, true, true },
		{ { VNET_F_VERSION_1, VNET_F_HOST_UDP_TUNNEL_GSO }, 2, 24,
		  true, true },
		{ { VNET_F_VERSION_1, VNET_F_GUEST_UDP_TUNNEL_GSO,
		    VNET_F_HASH_REPORT }, 3, 24, true, true },
		{ { VNET_F_VERSION_1, VNET_F_OUT_NET_HEADER }, 2, 32,
		  true, true },
	};
	struct vnet_caps caps;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		resolve(&caps, cases[i].bits, cases[i].nr, &dc_good);
		KUNIT_EXPECT_EQ_MSG(test, caps.hdr_len, cases[i].want,
				    "case %u", i);
		KUNIT_EXPECT_EQ(test, caps.le, cases[i].le);
		KUNIT_EXPECT_EQ(test, caps.any_layout, cases[i].any_layout);
	}
}

static void caps_rx_mode(struct kunit *test)
{
	static const u8 gso[] = {
		VNET_F_GUEST_TSO4, VNET_F_GUEST_TSO6, VNET_F_GUEST_UFO,
		VNET_F_GUEST_USO4, VNET_F_GUEST_USO6,
	};
	struct vnet_devcfg dc = dc_good;
	struct vnet_caps caps;
	unsigned int i;
	u8 bits[3];

	resolve(&caps, NULL, 0, &dc);
	KUNIT_EXPECT_EQ(test, caps.rx_mode, VNET_RX_SMALL);
	KUNIT_EXPECT_EQ(test, caps.max_mtu, 65535);

	bits[0] = VNET_F_GUEST_CSUM;
	for (i = 0; i < ARRAY_SIZE(gso); i++) {
		bits[1] = gso[i];
		resolve(&caps, bits, 2, &dc);
		KUNIT_EXPECT_TRUE(test, caps.guest_gso);
		KUNIT_EXPECT_EQ(test, caps.rx_mode, VNET_RX_CHAIN);
		KUNIT_EXPECT_EQ(test, caps.guest_offloads, 0);
		bits[2] = VNET_F_MRG_RXBUF;
		resolve(&caps, bits, 3, &dc);
		KUNIT_EXPECT_EQ(test, caps.rx_mode, VNET_RX_MERGEABLE);
		bits[2] = VNET_F_CTRL_GUEST_OFFLOADS;
		resolve(&caps, bits, 3, &dc);
		KUNIT_EXPECT_EQ(test, caps.guest_offloads,
				BIT_ULL(bits[0]) | BIT_ULL(bits[1]));
	}

	bits[0] = VNET_F_MTU;
	resolve(&caps, bits, 1, &dc);
	KUNIT_EXPECT_EQ(test, caps.rx_mode, VNET_RX_SMALL);
	KUNIT_EXPECT_EQ(test, caps.max_mtu, 1500);
	dc.mtu = 1501;
	resolve(&caps, bits, 1, &dc);
	KUNIT_EXPECT_EQ(test, caps.rx_mode, VNET_RX_CHAIN);
}

/* All that a device can have */
static void caps_full(struct kunit *test)
{
	struct vnet_netdev_features nf;
	struct vnet_features f;
	struct vnet_caps caps;

	all_features(&f);
	vnet_caps_resolve(&caps, &f, &dc_good);
	KUNIT_EXPECT_EQ(test, caps.max_pairs, 4);
	KUNIT_EXPECT_EQ(test, caps.rss_indir_len, 128);
	KUNIT_EXPECT_EQ(test, caps.rss_key_len, 40);
	KUNIT_EXPECT_EQ(test, caps.hash_types, VNET_HASH_ALL);
	KUNIT_EXPECT_EQ(test, caps.tunnel_types, VNET_TUNNEL_ALL);
	KUNIT_EXPECT_EQ(test, caps.guest_offloads,
			VNET_OFFLOAD_CSUM | VNET_OFFLOADS_GSO);
	/* GUEST_HDRLEN is no offload that could be switched (bit 59) */
	KUNIT_EXPECT_EQ(test, caps.guest_offloads & BIT_ULL(59), 0);
	KUNIT_EXPECT_TRUE(test, caps.rsc_ext && caps.announce && caps.standby);

	vnet_caps_netdev(&caps, &nf);
	KUNIT_EXPECT_EQ(test, nf.hw, NETIF_F_SG | NETIF_F_HW_CSUM |
			NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN |
			NETIF_F_GSO_UDP_L4 | NETIF_F_GSO_UDP_TUNNEL |
			NETIF_F_GSO_UDP_TUNNEL_CSUM | NETIF_F_RXCSUM |
			NETIF_F_RXHASH | NETIF_F_GRO_HW);
	KUNIT_EXPECT_EQ(test, nf.active, nf.hw | NETIF_F_HIGHDMA |
			NETIF_F_GSO_ROBUST | NETIF_F_HW_VLAN_CTAG_FILTER);
	KUNIT_EXPECT_EQ(test, 0, nf.vlan & (NETIF_F_HW_VLAN_CTAG_FILTER |
					    NETIF_F_GRO_HW | NETIF_F_RXHASH));
	KUNIT_EXPECT_TRUE(test, nf.enc & NETIF_F_GSO_UDP_TUNNEL);
}

/* A table is as long as the largest power of two that the device allows. */
static void caps_rss_table(struct kunit *test)
{
	static const struct {
		u16 device;
		u16 want;
	} cases[] = {
		{ 1, 1 }, { 3, 2 }, { 127, 64 }, { 128, 128 }, { 200, 128 },
		{ 0x7fff, 0x4000 }, { 0x8000, 0x8000 }, { 0xffff, 0x8000 },
	};
	static const u8 bits[] = { VNET_F_CTRL_VQ, VNET_F_RSS };
	struct vnet_devcfg dc = dc_good;
	struct vnet_caps caps;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		dc.rss_max_indir_len = cases[i].device;
		resolve(&caps, bits, ARRAY_SIZE(bits), &dc);
		KUNIT_EXPECT_EQ(test, caps.rss_indir_len, cases[i].want);
	}
}

/* Nothing at all */
static void caps_bare(struct kunit *test)
{
	struct vnet_netdev_features nf;
	struct vnet_caps caps;

	resolve(&caps, NULL, 0, &dc_good);
	KUNIT_EXPECT_EQ(test, caps.max_pairs, 1);
	KUNIT_EXPECT_EQ(test, caps.rss_key_len, 0);
	KUNIT_EXPECT_EQ(test, caps.hash_types, 0);
	KUNIT_EXPECT_EQ(test, caps.min_mtu, 68);
	KUNIT_EXPECT_FALSE(test, caps.announce || caps.ctrl_vq || caps.rsc_ext);

	vnet_caps_netdev(&caps, &nf);
	KUNIT_EXPECT_EQ(test, nf.hw, NETIF_F_SG);
	KUNIT_EXPECT_EQ(test, nf.active, NETIF_F_SG | NETIF_F_HIGHDMA |
			NETIF_F_GSO_ROBUST);
	KUNIT_EXPECT_EQ(test, nf.enc, 0);
}

/* Receive offloads can be switched with and without a command for it. */
static void caps_switchable(struct kunit *test)
{
	static const u8 bits[] = { VNET_F_GUEST_CSUM, VNET_F_GUEST_TSO4 };
	struct vnet_netdev_features nf;
	struct vnet_caps caps;

	resolve(&caps, bits, ARRAY_SIZE(bits), &dc_good);
	KUNIT_EXPECT_FALSE(test, caps.ctrl_guest_offloads);
	vnet_caps_netdev(&caps, &nf);
	KUNIT_EXPECT_TRUE(test, nf.active & NETIF_F_GRO_HW);
	KUNIT_EXPECT_TRUE(test, nf.hw & NETIF_F_GRO_HW);
	KUNIT_EXPECT_TRUE(test, nf.hw & NETIF_F_RXCSUM);
}

/* A device from before the bits for each kind of segmentation */
static void caps_legacy_gso(struct kunit *test)
{
	static const u8 legacy[] = { VNET_F_CSUM, VNET_F_GSO };
	struct vnet_netdev_features nf;
	struct vnet_caps caps;

	resolve(&caps, legacy, ARRAY_SIZE(legacy), &dc_good);
	vnet_caps_netdev(&caps, &nf);
	KUNIT_EXPECT_TRUE(test, caps.host_gso);
	KUNIT_EXPECT_EQ(test, nf.hw, NETIF_F_SG | NETIF_F_HW_CSUM |
			NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN);
}

/* What is left without the receive offloads still holds. */
static void caps_drop(struct kunit *test)
{
	struct vnet_features f, cleared;
	struct vnet_caps caps;

	all_features(&f);
	vnet_caps_drop_offloads(&f, false);
	vnet_caps_check(&f, &dc_good, &cleared);
	KUNIT_EXPECT_TRUE(test, empty(&cleared));
	vnet_caps_resolve(&caps, &f, &dc_good);
	KUNIT_EXPECT_FALSE(test, caps.guest_gso || caps.rx_tunnel);
	KUNIT_EXPECT_TRUE(test, caps.guest_csum);
	KUNIT_EXPECT_EQ(test, caps.guest_offloads, VNET_OFFLOAD_CSUM);

	all_features(&f);
	vnet_caps_drop_offloads(&f, true);
	vnet_caps_check(&f, &dc_good, &cleared);
	KUNIT_EXPECT_TRUE(test, empty(&cleared));
	vnet_caps_resolve(&caps, &f, &dc_good);
	KUNIT_EXPECT_FALSE(test, caps.guest_csum || caps.rsc_ext);
	KUNIT_EXPECT_EQ(test, caps.guest_offloads, 0);
}

static struct kunit_case caps_cases[] = {
	KUNIT_CASE(caps_bits),
	KUNIT_CASE(caps_names),
	KUNIT_CASE(caps_lists),
	KUNIT_CASE(caps_lists_agree),
	KUNIT_CASE(caps_deny),
	KUNIT_CASE(caps_all_hold),
	KUNIT_CASE(caps_rules_hold),
	KUNIT_CASE(caps_chain),
	KUNIT_CASE(caps_values),
	KUNIT_CASE(caps_short),
	KUNIT_CASE(caps_random),
	KUNIT_CASE(caps_hdr_len),
	KUNIT_CASE(caps_rx_mode),
	KUNIT_CASE(caps_full),
	KUNIT_CASE(caps_rss_table),
	KUNIT_CASE(caps_bare),
	KUNIT_CASE(caps_switchable),
	KUNIT_CASE(caps_legacy_gso),
	KUNIT_CASE(caps_drop),
	{}
};

struct kunit_suite vnet_caps_suite = {
	.name = "vnet_caps",
	.test_cases = caps_cases,
};
