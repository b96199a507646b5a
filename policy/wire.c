// SPDX-License-Identifier: GPL-2.0
/*
 * Payloads of the control queue: encoders of commands and parsers of replies
 * (VIRTIO 1.4, 5.1.9.5). Pure: no allocation, no lock, no device.
 *
 * A few fields have the endianness of the device (@le), all others are little
 * endian. Payloads are packed, so nothing is aligned.
 */

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "../include/vnet_caps.h"
#include "../include/vnet_wire.h"

#define VNET_WIRE_MAC_HDR	4
#define VNET_WIRE_HASH_FIXED	13
#define VNET_WIRE_RSS_FIXED	11
#define VNET_WIRE_RSS_CTX_HDR	8
#define VNET_WIRE_STATS_REQ	16
#define VNET_WIRE_STATS_HDR	8
#define VNET_WIRE_STATS_VALUE	8

#define VNET_VLAN_ID_MAX	4095

/* Writing: the room was checked by vnet_wire_begin(). */

static void vnet_wire_u8(struct vnet_wire_cmd *w, u8 val)
{
	w->data[w->len++] = val;
}

static void vnet_wire_le16(struct vnet_wire_cmd *w, u16 val)
{
	put_unaligned_le16(val, w->data + w->len);
	w->len += sizeof(val);
}

static void vnet_wire_le32(struct vnet_wire_cmd *w, u32 val)
{
	put_unaligned_le32(val, w->data + w->len);
	w->len += sizeof(val);
}

static void vnet_wire_le64(struct vnet_wire_cmd *w, u64 val)
{
	put_unaligned_le64(val, w->data + w->len);
	w->len += sizeof(val);
}

static void vnet_wire_v16(struct vnet_wire_cmd *w, bool le, u16 val)
{
	if (le)
		put_unaligned_le16(val, w->data + w->len);
	else
		put_unaligned(val, (u16 *)(w->data + w->len));
	w->len += sizeof(val);
}

static void vnet_wire_v32(struct vnet_wire_cmd *w, bool le, u32 val)
{
	if (le)
		put_unaligned_le32(val, w->data + w->len);
	else
		put_unaligned(val, (u32 *)(w->data + w->len));
	w->len += sizeof(val);
}

static void vnet_wire_v64(struct vnet_wire_cmd *w, bool le, u64 val)
{
	if (le)
		put_unaligned_le64(val, w->data + w->len);
	else
		put_unaligned(val, (u64 *)(w->data + w->len));
	w->len += sizeof(val);
}

static void vnet_wire_bytes(struct vnet_wire_cmd *w, const void *src, size_t n)
{
	if (!n)
		return;
	memcpy(w->data + w->len, src, n);
	w->len += n;
}

/* Start a command whose payload takes @size bytes. */
static int vnet_wire_begin(struct vnet_wire_cmd *w, u8 class, u8 cmd,
			   size_t size)
{
	w->class = class;
	w->cmd = cmd;
	w->len = 0;
	w->split = 0;

	return size > w->room ? -EMSGSIZE : 0;
}

/* 5.1.9.5.1 and 5.1.9.5.2: receive modes and MAC addresses */

/**
 * vnet_wire_rx_mode() - switch a receive mode
 * @w: command to encode
 * @mode: which one
 * @on: on or off
 *
 * Return: 0, -EINVAL for an unknown @mode, -EMSGSIZE when room is short.
 */
int vnet_wire_rx_mode(struct vnet_wire_cmd *w, enum vnet_wire_rx mode, bool on)
{
	int err;

	if ((unsigned int)mode > VNET_WIRE_RX_NOBCAST)
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_RX, mode, 1);
	if (err)
		return err;
	vnet_wire_u8(w, on);

	return 0;
}

/**
 * vnet_wire_macs_size() - bytes of a MAC table
 * @nr_uc: number of unicast addresses
 * @nr_mc: number of multicast addresses
 *
 * Return: room that vnet_wire_mac_table() needs.
 */
size_t vnet_wire_macs_size(u32 nr_uc, u32 nr_mc)
{
	return size_add(2 * VNET_WIRE_MAC_HDR,
			size_mul(size_add(nr_uc, nr_mc), ETH_ALEN));
}

/**
 * vnet_wire_mac_table() - set the MAC table
 * @w: command to encode
 * @le: the device is little endian
 * @macs: the addresses
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_mac_table(struct vnet_wire_cmd *w, bool le,
			const struct vnet_wire_macs *macs)
{
	int err;

	err = vnet_wire_begin(w, VNET_CTRL_MAC, 0,
			      vnet_wire_macs_size(macs->nr_uc, macs->nr_mc));
	if (err)
		return err;

	vnet_wire_v32(w, le, macs->nr_uc);
	vnet_wire_bytes(w, macs->uc, (size_t)macs->nr_uc * ETH_ALEN);
	w->split = w->len;
	vnet_wire_v32(w, le, macs->nr_mc);
	vnet_wire_bytes(w, macs->mc, (size_t)macs->nr_mc * ETH_ALEN);

	return 0;
}

/**
 * vnet_wire_mac_addr() - set the MAC address
 * @w: command to encode
 * @addr: the address
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_mac_addr(struct vnet_wire_cmd *w, const u8 *addr)
{
	int err = vnet_wire_begin(w, VNET_CTRL_MAC, 1, ETH_ALEN);

	if (err)
		return err;
	vnet_wire_bytes(w, addr, ETH_ALEN);

	return 0;
}

/* 5.1.9.5.3: VLAN filters */

static int vnet_wire_vlan(struct vnet_wire_cmd *w, u8 cmd, bool le, u16 vid)
{
	int err;

	if (vid > VNET_VLAN_ID_MAX)
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_VLAN, cmd, sizeof(vid));
	if (err)
		return err;
	vnet_wire_v16(w, le, vid);

	return 0;
}

/**
 * vnet_wire_vlan_add() - let a VLAN through
 * @w: command to encode
 * @le: the device is little endian
 * @vid: VLAN identifier
 *
 * Return: 0, -EINVAL for a bad @vid, -EMSGSIZE when room is short.
 */
int vnet_wire_vlan_add(struct vnet_wire_cmd *w, bool le, u16 vid)
{
	return vnet_wire_vlan(w, 0, le, vid);
}

/**
 * vnet_wire_vlan_del() - no longer let a VLAN through
 * @w: command to encode
 * @le: the device is little endian
 * @vid: VLAN identifier
 *
 * Return: 0, -EINVAL for a bad @vid, -EMSGSIZE when room is short.
 */
int vnet_wire_vlan_del(struct vnet_wire_cmd *w, bool le, u16 vid)
{
	return vnet_wire_vlan(w, 1, le, vid);
}

/**
 * vnet_wire_announce_ack() - confirm that the link was announced (5.1.9.5.4)
 * @w: command to encode
 *
 * Return: 0.
 */
int vnet_wire_announce_ack(struct vnet_wire_cmd *w)
{
	return vnet_wire_begin(w, VNET_CTRL_ANNOUNCE, 0, 0);
}

/* 5.1.9.5.6 to 5.1.9.5.8: queue pairs, RSS, hash reports */

/**
 * vnet_wire_vq_pairs() - set the number of queue pairs in use
 * @w: command to encode
 * @le: the device is little endian
 * @pairs: number of queue pairs
 *
 * Return: 0, -EINVAL for a bad number, -EMSGSIZE when room is short.
 */
int vnet_wire_vq_pairs(struct vnet_wire_cmd *w, bool le, u16 pairs)
{
	int err;

	if (!pairs || pairs > VNET_MAX_QUEUE_PAIRS)
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_MQ, 0, sizeof(pairs));
	if (err)
		return err;
	vnet_wire_v16(w, le, pairs);

	return 0;
}

/**
 * vnet_wire_rss_size() - bytes of an RSS configuration
 * @nr_table: entries of the indirection table
 * @key_len: bytes of the key
 *
 * Return: room that vnet_wire_rss() needs.
 */
size_t vnet_wire_rss_size(u32 nr_table, u8 key_len)
{
	return size_add(VNET_WIRE_RSS_FIXED + key_len,
			size_mul(nr_table, sizeof(u16)));
}

static bool vnet_wire_rss_ok(const struct vnet_wire_rss *rss)
{
	u32 i;

	if (!is_power_of_2(rss->nr_table) ||
	    rss->nr_table > VNET_RSS_MAX_INDIR ||
	    rss->unclassified > VNET_RSS_MAX_QUEUE || !rss->max_tx_vq ||
	    rss->max_tx_vq > VNET_MAX_QUEUE_PAIRS)
		return false;

	for (i = 0; i < rss->nr_table; i++)
		if (rss->table[i] > VNET_RSS_MAX_QUEUE)
			return false;

	return true;
}

/* Append an RSS configuration that was found good. */
static void vnet_wire_put_rss(struct vnet_wire_cmd *w,
			      const struct vnet_wire_rss *rss)
{
	u32 i;

	vnet_wire_le32(w, rss->types);
	vnet_wire_le16(w, rss->nr_table - 1);
	vnet_wire_le16(w, rss->unclassified);
	for (i = 0; i < rss->nr_table; i++)
		vnet_wire_le16(w, rss->table[i]);
	vnet_wire_le16(w, rss->max_tx_vq);
	vnet_wire_u8(w, rss->key_len);
	vnet_wire_bytes(w, rss->key, rss->key_len);
}

/**
 * vnet_wire_rss() - configure steering by hash
 * @w: command to encode
 * @rss: the configuration
 *
 * Return: 0, -EINVAL for a table whose length is no power of two, a queue or
 * a number of transmit queues that cannot be, -EMSGSIZE when room is short.
 */
int vnet_wire_rss(struct vnet_wire_cmd *w, const struct vnet_wire_rss *rss)
{
	int err;

	if (!vnet_wire_rss_ok(rss))
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_MQ, 1,
			      vnet_wire_rss_size(rss->nr_table, rss->key_len));
	if (err)
		return err;
	vnet_wire_put_rss(w, rss);

	return 0;
}

/**
 * vnet_wire_hash_size() - bytes of a hash configuration
 * @key_len: bytes of the key
 *
 * Return: room that vnet_wire_hash() needs.
 */
size_t vnet_wire_hash_size(u8 key_len)
{
	return VNET_WIRE_HASH_FIXED + key_len;
}

/**
 * vnet_wire_hash() - configure hash reports of a device without RSS
 * @w: command to encode
 * @types: VNET_HASH_*
 * @key: hash key
 * @key_len: bytes of @key
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_hash(struct vnet_wire_cmd *w, u32 types, const u8 *key,
		   u8 key_len)
{
	int err;

	err = vnet_wire_begin(w, VNET_CTRL_MQ, 2, vnet_wire_hash_size(key_len));
	if (err)
		return err;

	vnet_wire_le32(w, types);
	vnet_wire_le64(w, 0);	/* reserved, must be zero */
	vnet_wire_u8(w, key_len);
	vnet_wire_bytes(w, key, key_len);

	return 0;
}

/**
 * vnet_wire_hash_tunnel() - choose the tunnels whose inner header is hashed
 * @w: command to encode
 * @types: bitmap of tunnel types
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_hash_tunnel(struct vnet_wire_cmd *w, u32 types)
{
	int err = vnet_wire_begin(w, VNET_CTRL_HASH_TUNNEL, 0, sizeof(types));

	if (err)
		return err;
	vnet_wire_le32(w, types);

	return 0;
}

/* RSS contexts */

/**
 * vnet_wire_rss_ctx_size() - bytes of an RSS context
 * @nr_table: entries of the indirection table
 * @key_len: bytes of the key
 *
 * Return: room that vnet_wire_rss_ctx_add() and _mod() need.
 */
size_t vnet_wire_rss_ctx_size(u32 nr_table, u8 key_len)
{
	return size_add(VNET_WIRE_RSS_CTX_HDR,
			vnet_wire_rss_size(nr_table, key_len));
}

static int vnet_wire_rss_ctx(struct vnet_wire_cmd *w, u8 cmd, u16 id,
			     const struct vnet_wire_rss *rss)
{
	static const u8 reserved[6];
	int err;

	if (!id || !vnet_wire_rss_ok(rss))
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_RSS_CTX, cmd,
			      vnet_wire_rss_ctx_size(rss->nr_table,
						     rss->key_len));
	if (err)
		return err;

	vnet_wire_le16(w, id);
	vnet_wire_bytes(w, reserved, sizeof(reserved));
	vnet_wire_put_rss(w, rss);

	return 0;
}

/**
 * vnet_wire_rss_ctx_cap() - ask how many RSS contexts there are
 * @w: command to encode
 *
 * Return: 0; the reply has %VNET_WIRE_RSS_CTX_CAP_REPLY bytes.
 */
int vnet_wire_rss_ctx_cap(struct vnet_wire_cmd *w)
{
	return vnet_wire_begin(w, VNET_CTRL_RSS_CTX, 0, 0);
}

/**
 * vnet_wire_rss_ctx_cap_reply() - read how many RSS contexts there are
 * @reply: what the device wrote
 * @used: bytes of it
 * @max: number of contexts; their identifiers are 1 to @max
 *
 * Return: 0, -EPROTO for a short reply.
 */
int vnet_wire_rss_ctx_cap_reply(const void *reply, size_t used, u16 *max)
{
	if (used < VNET_WIRE_RSS_CTX_CAP_REPLY)
		return -EPROTO;

	*max = get_unaligned_le16(reply);

	return 0;
}

/**
 * vnet_wire_rss_ctx_add() - create an RSS context
 * @w: command to encode
 * @id: its identifier, not zero
 * @rss: its configuration
 *
 * Return: 0, -EINVAL as for vnet_wire_rss(), -EMSGSIZE when room is short.
 */
int vnet_wire_rss_ctx_add(struct vnet_wire_cmd *w, u16 id,
			  const struct vnet_wire_rss *rss)
{
	return vnet_wire_rss_ctx(w, 1, id, rss);
}

/**
 * vnet_wire_rss_ctx_mod() - change an RSS context
 * @w: command to encode
 * @id: its identifier, not zero
 * @rss: its configuration
 *
 * Return: 0, -EINVAL as for vnet_wire_rss(), -EMSGSIZE when room is short.
 */
int vnet_wire_rss_ctx_mod(struct vnet_wire_cmd *w, u16 id,
			  const struct vnet_wire_rss *rss)
{
	return vnet_wire_rss_ctx(w, 2, id, rss);
}

/**
 * vnet_wire_rss_ctx_del() - remove an RSS context
 * @w: command to encode
 * @id: its identifier, not zero
 *
 * Return: 0, -EINVAL for identifier zero, -EMSGSIZE when room is short.
 */
int vnet_wire_rss_ctx_del(struct vnet_wire_cmd *w, u16 id)
{
	int err;

	if (!id)
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_RSS_CTX, 3, sizeof(id));
	if (err)
		return err;
	vnet_wire_le16(w, id);

	return 0;
}

/**
 * vnet_wire_guest_offloads() - switch receive offloads (5.1.9.5.9.1)
 * @w: command to encode
 * @le: the device is little endian
 * @offloads: VNET_OFFLOAD_*
 *
 * Return: 0, -EINVAL for a bit that is no offload, -EMSGSIZE when room is
 * short.
 */
int vnet_wire_guest_offloads(struct vnet_wire_cmd *w, bool le, u64 offloads)
{
	int err;

	if (offloads & ~(VNET_OFFLOAD_CSUM | VNET_OFFLOADS_GSO))
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_GUEST_OFFLOADS, 0, sizeof(offloads));
	if (err)
		return err;
	vnet_wire_v64(w, le, offloads);

	return 0;
}

/* 5.1.9.5.10: notification coalescing */

static int vnet_wire_coal(struct vnet_wire_cmd *w, u8 cmd,
			  const struct vnet_wire_coal *c)
{
	int err = vnet_wire_begin(w, VNET_CTRL_NOTF_COAL, cmd, sizeof(*c));

	if (err)
		return err;
	vnet_wire_le32(w, c->max_packets);
	vnet_wire_le32(w, c->max_usecs);

	return 0;
}

/**
 * vnet_wire_coal_tx() - coalesce the notifications of all transmit queues
 * @w: command to encode
 * @c: how
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_coal_tx(struct vnet_wire_cmd *w, const struct vnet_wire_coal *c)
{
	return vnet_wire_coal(w, 0, c);
}

/**
 * vnet_wire_coal_rx() - coalesce the notifications of all receive queues
 * @w: command to encode
 * @c: how
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_coal_rx(struct vnet_wire_cmd *w, const struct vnet_wire_coal *c)
{
	return vnet_wire_coal(w, 1, c);
}

/**
 * vnet_wire_coal_vq_set() - coalesce the notifications of one virtqueue
 * @w: command to encode
 * @vq: its index
 * @c: how
 *
 * Return: 0, -EMSGSIZE when room is short.
 */
int vnet_wire_coal_vq_set(struct vnet_wire_cmd *w, u16 vq,
			  const struct vnet_wire_coal *c)
{
	int err = vnet_wire_begin(w, VNET_CTRL_NOTF_COAL, 2, 4 + sizeof(*c));

	if (err)
		return err;
	vnet_wire_le16(w, vq);
	vnet_wire_le16(w, 0);
	vnet_wire_le32(w, c->max_packets);
	vnet_wire_le32(w, c->max_usecs);

	return 0;
}

/**
 * vnet_wire_coal_vq_get() - ask how one virtqueue is coalesced
 * @w: command to encode
 * @vq: its index
 *
 * Return: 0, -EMSGSIZE when room is short; the reply has
 * %VNET_WIRE_COAL_REPLY bytes.
 */
int vnet_wire_coal_vq_get(struct vnet_wire_cmd *w, u16 vq)
{
	int err = vnet_wire_begin(w, VNET_CTRL_NOTF_COAL, 3, 4);

	if (err)
		return err;
	vnet_wire_le16(w, vq);
	vnet_wire_le16(w, 0);

	return 0;
}

/**
 * vnet_wire_coal_reply() - read how one virtqueue is coalesced
 * @reply: what the device wrote
 * @used: bytes of it
 * @c: how it is coalesced
 *
 * Return: 0, -EPROTO for a short reply.
 */
int vnet_wire_coal_reply(const void *reply, size_t used,
			 struct vnet_wire_coal *c)
{
	const u8 *p = reply;

	if (used < VNET_WIRE_COAL_REPLY)
		return -EPROTO;

	c->max_packets = get_unaligned_le32(p);
	c->max_usecs = get_unaligned_le32(p + 4);

	return 0;
}

/* 5.1.9.5.11: device counters */

/* Number of counters of a type, zero for an unknown one */
static unsigned int vnet_wire_stats_values(u8 type)
{
	switch (type) {
	case VNET_STATS_RX_BASIC:
	case VNET_STATS_TX_BASIC:
	case VNET_STATS_TX_GSO:
		return VNET_STATS_MAX_VALUES;
	case VNET_STATS_RX_CSUM:
	case VNET_STATS_RX_GSO:
		return 4;
	case VNET_STATS_RX_SPEED:
	case VNET_STATS_TX_CSUM:
	case VNET_STATS_TX_SPEED:
	case VNET_STATS_CVQ:
		return 2;
	default:
		return 0;
	}
}

/* Types that virtqueue @vq of a device with @max_pairs queue pairs has */
static u64 vnet_wire_stats_types(u16 vq, u16 max_pairs)
{
	u32 cvq = 2 * (u32)max_pairs;

	if (vq < cvq)
		return vq % 2 ? VNET_STATS_TX_TYPES : VNET_STATS_RX_TYPES;

	return vq == cvq ? VNET_STATS_CVQ_TYPES : 0;
}

/**
 * vnet_wire_stats_cap() - ask which counters the device has
 * @w: command to encode
 *
 * Return: 0; the reply has %VNET_WIRE_STATS_CAP_REPLY bytes.
 */
int vnet_wire_stats_cap(struct vnet_wire_cmd *w)
{
	return vnet_wire_begin(w, VNET_CTRL_STATS, 0, 0);
}

/**
 * vnet_wire_stats_cap_reply() - read which counters the device has
 * @reply: what the device wrote
 * @used: bytes of it
 * @types: bitmap of the types that are known here
 *
 * Return: 0, -EPROTO for a short reply.
 */
int vnet_wire_stats_cap_reply(const void *reply, size_t used, u64 *types)
{
	if (used < VNET_WIRE_STATS_CAP_REPLY)
		return -EPROTO;

	*types = get_unaligned_le64(reply) &
		 (VNET_STATS_RX_TYPES | VNET_STATS_TX_TYPES |
		  VNET_STATS_CVQ_TYPES);

	return 0;
}

/**
 * vnet_wire_stats_size() - bytes of a request for counters
 * @nr_reqs: number of virtqueues asked for
 *
 * Return: room that vnet_wire_stats_get() needs.
 */
size_t vnet_wire_stats_size(u32 nr_reqs)
{
	return size_mul(nr_reqs, VNET_WIRE_STATS_REQ);
}

/**
 * vnet_wire_stats_reply_size() - bytes of the reply to a request
 * @reqs: virtqueues and types asked for
 * @nr_reqs: number of @reqs
 *
 * Return: bytes of all the records asked for, and as much again: those of a
 * device that is newer than this driver may be longer.
 */
size_t vnet_wire_stats_reply_size(const struct vnet_wire_stats_req *reqs,
				  u32 nr_reqs)
{
	size_t size = 0;
	unsigned int n;
	u32 i;
	u8 bit;

	for (i = 0; i < nr_reqs; i++) {
		for (bit = 0; bit < 64; bit++) {
			if (!(reqs[i].types & BIT_ULL(bit)))
				continue;
			n = vnet_wire_stats_values(bit);
			size += VNET_WIRE_STATS_HDR + n * VNET_WIRE_STATS_VALUE;
		}
	}

	return 2 * size;
}

/**
 * vnet_wire_stats_get() - ask for counters
 * @w: command to encode
 * @reqs: virtqueues and types; only types that the device said it has and
 *	that the virtqueue can have, or the device refuses all of them
 * @nr_reqs: number of @reqs
 *
 * Return: 0, -EINVAL for no request, -EMSGSIZE when room is short.
 */
int vnet_wire_stats_get(struct vnet_wire_cmd *w,
			const struct vnet_wire_stats_req *reqs, u32 nr_reqs)
{
	int err;
	u32 i;

	if (!nr_reqs)
		return -EINVAL;

	err = vnet_wire_begin(w, VNET_CTRL_STATS, 1,
			      vnet_wire_stats_size(nr_reqs));
	if (err)
		return err;

	for (i = 0; i < nr_reqs; i++) {
		vnet_wire_le16(w, reqs[i].vq);
		vnet_wire_le16(w, 0);
		vnet_wire_le32(w, 0);
		vnet_wire_le64(w, reqs[i].types);
	}

	return 0;
}

/**
 * vnet_wire_stats_reply() - read counters
 * @reply: what the device wrote
 * @used: bytes of it
 * @max_pairs: queue pairs of the device
 * @fn: called for each counter
 * @ctx: passed to @fn
 *
 * Records of an unknown type, or of a virtqueue that does not exist or has no
 * such counters, are skipped. A record may be longer than known here (a newer
 * device) or shorter (an older one). The walk ends at a record that is shorter
 * than its own header or reaches beyond @used.
 *
 * Return: number of counters given to @fn, -EPROTO for a malformed reply; what
 * came before the fault was given to @fn.
 */
int vnet_wire_stats_reply(const void *reply, size_t used, u16 max_pairs,
			  vnet_wire_stat_fn fn, void *ctx)
{
	const u8 *p = reply, *value;
	unsigned int i, n;
	int count = 0;
	u16 vq, size;
	u8 type;

	while (used) {
		if (used < VNET_WIRE_STATS_HDR)
			return -EPROTO;
		type = p[0];
		vq = get_unaligned_le16(p + 2);
		size = get_unaligned_le16(p + 6);
		if (size < VNET_WIRE_STATS_HDR || size > used)
			return -EPROTO;

		n = min_t(unsigned int, vnet_wire_stats_values(type),
			  (size - VNET_WIRE_STATS_HDR) / VNET_WIRE_STATS_VALUE);
		if (n && vnet_wire_stats_types(vq, max_pairs) & BIT_ULL(type)) {
			value = p + VNET_WIRE_STATS_HDR;
			for (i = 0; i < n; i++)
				fn(ctx, type, vq, i,
				   get_unaligned_le64(value +
						      i * VNET_WIRE_STATS_VALUE));
			count += n;
		}

		p += size;
		used -= size;
	}

	return count;
}
