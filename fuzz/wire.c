// SPDX-License-Identifier: GPL-2.0
/* Control payloads: any reply, and any arguments of the encoders. */

#include "shim.h"

#include "../policy/wire.c"

/* Only what exists comes through. */
static void see(void *ctx, u8 type, u16 vq, unsigned int index, u64 value)
{
	u16 max_pairs = *(u16 *)ctx;

	assert(vq <= 2 * (u32)max_pairs);
	assert(index < VNET_STATS_MAX_VALUES);
	if (vq == 2 * (u32)max_pairs)
		assert(type == VNET_STATS_CVQ);
	else if (vq % 2)
		assert(type >= VNET_STATS_TX_BASIC &&
		       type <= VNET_STATS_TX_SPEED);
	else
		assert(type <= VNET_STATS_RX_SPEED);
}

static void replies(struct fuzz_input *in)
{
	struct vnet_wire_coal coal;
	u16 max_pairs, max;
	u64 types;
	u8 *copy;
	int n;

	fuzz_take(in, &max_pairs, sizeof(max_pairs));
	copy = malloc(in->left ?: 1);
	assert(copy);
	memcpy(copy, in->p, in->left);

	n = vnet_wire_stats_reply(copy, in->left, max_pairs, see, &max_pairs);
	assert(n == -EPROTO || (n >= 0 && (size_t)n * 8 <= in->left));
	vnet_wire_coal_reply(copy, in->left, &coal);
	vnet_wire_stats_cap_reply(copy, in->left, &types);
	vnet_wire_rss_ctx_cap_reply(copy, in->left, &max);
	free(copy);
}

/* @data is exactly as long as the encoder may write. */
static void check(const struct vnet_wire_cmd *w, int err)
{
	assert(!err || err == -EINVAL || err == -EMSGSIZE);
	if (!err)
		assert(w->len <= w->room && w->split <= w->len);
}

static void tables(struct fuzz_input *in, struct vnet_wire_cmd *w, u8 which)
{
	static u16 table[256];
	static u8 key[255];
	static u8 addrs[64][ETH_ALEN];
	struct vnet_wire_stats_req reqs[16];
	struct vnet_wire_rss rss;
	struct vnet_wire_macs macs;

	rss.table = table;
	rss.key = key;
	rss.nr_table = fuzz_byte(in) + 1;
	rss.key_len = fuzz_byte(in);
	fuzz_take(in, &rss.types, sizeof(rss.types));
	fuzz_take(in, &rss.unclassified, sizeof(rss.unclassified));
	fuzz_take(in, &rss.max_tx_vq, sizeof(rss.max_tx_vq));
	macs.uc = addrs;
	macs.mc = addrs;
	macs.nr_uc = fuzz_byte(in) % 65;
	macs.nr_mc = fuzz_byte(in) % 65;

	switch (which % 6) {
	case 0:
		fuzz_take(in, table, sizeof(table));
		check(w, vnet_wire_rss(w, &rss));
		break;
	case 1:
		check(w, vnet_wire_rss_ctx_add(w, rss.types, &rss));
		break;
	case 2:
		check(w, vnet_wire_hash(w, rss.types, key, rss.key_len));
		break;
	case 3:
		check(w, vnet_wire_mac_table(w, macs.nr_uc & 1, &macs));
		break;
	case 4:
		fuzz_take(in, reqs, sizeof(reqs));
		vnet_wire_stats_reply_size(reqs, ARRAY_SIZE(reqs));
		check(w, vnet_wire_stats_get(w, reqs, macs.nr_uc % 17));
		break;
	case 5:
		check(w, vnet_wire_rss_ctx_mod(w, rss.types, &rss));
		break;
	}
}

static void numbers(struct fuzz_input *in, struct vnet_wire_cmd *w, u8 which)
{
	struct vnet_wire_coal coal;
	bool le = which & 0x80;
	u64 n64;
	u16 n;

	fuzz_take(in, &n64, sizeof(n64));
	fuzz_take(in, &coal, sizeof(coal));
	n = n64;
	switch (which % 14) {
	case 0:
		check(w, vnet_wire_rx_mode(w, n, le));
		break;
	case 1:
		check(w, vnet_wire_mac_addr(w, (u8 *)&n64));
		break;
	case 2:
		check(w, vnet_wire_vlan_add(w, le, n));
		break;
	case 3:
		check(w, vnet_wire_vlan_del(w, le, n));
		break;
	case 4:
		check(w, vnet_wire_announce_ack(w));
		break;
	case 5:
		check(w, vnet_wire_vq_pairs(w, le, n));
		break;
	case 6:
		check(w, vnet_wire_guest_offloads(w, le, n64));
		break;
	case 7:
		check(w, vnet_wire_coal_rx(w, &coal));
		break;
	case 8:
		check(w, vnet_wire_coal_tx(w, &coal));
		break;
	case 9:
		check(w, vnet_wire_coal_vq_set(w, n, &coal));
		break;
	case 10:
		check(w, vnet_wire_coal_vq_get(w, n));
		break;
	case 11:
		check(w, vnet_wire_hash_tunnel(w, n64));
		break;
	case 12:
		check(w, vnet_wire_rss_ctx_del(w, n));
		break;
	case 13:
		check(w, vnet_wire_stats_cap(w));
		check(w, vnet_wire_rss_ctx_cap(w));
		break;
	}
}

int FUZZ_TARGET(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct vnet_wire_cmd w = {};
	u8 kind = fuzz_byte(&in);
	u16 room;

	if (kind % 4 < 2) {
		replies(&in);
		return 0;
	}

	fuzz_take(&in, &room, sizeof(room));
	w.room = room % 1200;
	w.data = malloc(w.room ?: 1);
	assert(w.data);
	if (kind % 4 == 2)
		tables(&in, &w, fuzz_byte(&in));
	else
		numbers(&in, &w, fuzz_byte(&in));
	free(w.data);

	return 0;
}
