/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payloads of the control queue (VIRTIO 1.4, 5.1.9.5): encoders of commands
 * and parsers of replies. The only code that touches their endianness.
 *
 * Encoders write into memory of the caller and never beyond @room. Parsers
 * look at a private copy of the reply and never beyond the used length.
 */
#ifndef VNET_WIRE_H
#define VNET_WIRE_H

#include <linux/if_ether.h>
#include <linux/types.h>

/* Answer of the device to a command */
#define VNET_WIRE_OK			0

/* Command classes */
#define VNET_CTRL_RX			0
#define VNET_CTRL_MAC			1
#define VNET_CTRL_VLAN			2
#define VNET_CTRL_ANNOUNCE		3
#define VNET_CTRL_MQ			4
#define VNET_CTRL_GUEST_OFFLOADS	5
#define VNET_CTRL_NOTF_COAL		6
#define VNET_CTRL_HASH_TUNNEL		7
#define VNET_CTRL_STATS			8
#define VNET_CTRL_RSS_CTX		9

/* Types of device counters; the bit in a bitmap and the number in a reply */
#define VNET_STATS_RX_BASIC		0
#define VNET_STATS_RX_CSUM		1
#define VNET_STATS_RX_GSO		2
#define VNET_STATS_RX_SPEED		3
#define VNET_STATS_TX_BASIC		16
#define VNET_STATS_TX_CSUM		17
#define VNET_STATS_TX_GSO		18
#define VNET_STATS_TX_SPEED		19
#define VNET_STATS_CVQ			32

/* The types that a receive queue, a transmit queue, the control queue has */
#define VNET_STATS_RX_TYPES		GENMASK_ULL(3, 0)
#define VNET_STATS_TX_TYPES		GENMASK_ULL(19, 16)
#define VNET_STATS_CVQ_TYPES		BIT_ULL(VNET_STATS_CVQ)

/* Most counters of one type */
#define VNET_STATS_MAX_VALUES		6

/* A table entry is a queue pair number of 15 bits. */
#define VNET_RSS_MAX_QUEUE		0x7fff
#define VNET_RSS_MAX_INDIR		0x8000

/* Sizes of payloads that do not depend on anything */
#define VNET_WIRE_MAX_FIXED		16
#define VNET_WIRE_COAL_REPLY		8
#define VNET_WIRE_STATS_CAP_REPLY	8
#define VNET_WIRE_RSS_CTX_CAP_REPLY	2

/**
 * struct vnet_wire_cmd - one command, encoded
 * @class: VNET_CTRL_*
 * @cmd: command of that class
 * @data: where the payload goes; may be %NULL with @room 0
 * @room: bytes at @data
 * @len: bytes of the payload, set by the encoder
 * @split: bytes of its first part when a legacy device without ANY_LAYOUT
 *	wants two descriptors (5.1.9.8); zero when it is one part
 */
struct vnet_wire_cmd {
	u8 class;
	u8 cmd;
	u8 *data;
	size_t room;
	size_t len;
	size_t split;
};

/**
 * enum vnet_wire_rx - receive modes; the command number (5.1.9.5.1)
 * @VNET_WIRE_RX_PROMISC: receive everything
 * @VNET_WIRE_RX_ALLMULTI: receive every multicast frame
 * @VNET_WIRE_RX_ALLUNI: receive every unicast frame
 * @VNET_WIRE_RX_NOMULTI: receive no multicast frame
 * @VNET_WIRE_RX_NOUNI: receive no unicast frame
 * @VNET_WIRE_RX_NOBCAST: receive no broadcast frame
 */
enum vnet_wire_rx {
	VNET_WIRE_RX_PROMISC,
	VNET_WIRE_RX_ALLMULTI,
	VNET_WIRE_RX_ALLUNI,
	VNET_WIRE_RX_NOMULTI,
	VNET_WIRE_RX_NOUNI,
	VNET_WIRE_RX_NOBCAST,
};

/**
 * struct vnet_wire_macs - the MAC table
 * @uc: unicast addresses
 * @mc: multicast addresses
 * @nr_uc: number of @uc
 * @nr_mc: number of @mc
 */
struct vnet_wire_macs {
	const u8 (*uc)[ETH_ALEN];
	const u8 (*mc)[ETH_ALEN];
	u32 nr_uc;
	u32 nr_mc;
};

/**
 * struct vnet_wire_rss - how to steer by hash
 * @types: VNET_HASH_*
 * @table: queue pair of each hash value
 * @nr_table: entries of @table, a power of two
 * @unclassified: queue pair of packets without a hash
 * @max_tx_vq: transmit queues that are used, at least one
 * @key: hash key
 * @key_len: bytes of @key
 */
struct vnet_wire_rss {
	u32 types;
	const u16 *table;
	u32 nr_table;
	u16 unclassified;
	u16 max_tx_vq;
	const u8 *key;
	u8 key_len;
};

/**
 * struct vnet_wire_coal - when the device notifies
 * @max_packets: after so many packets
 * @max_usecs: after so many microseconds
 */
struct vnet_wire_coal {
	u32 max_packets;
	u32 max_usecs;
};

/**
 * struct vnet_wire_stats_req - counters wanted of one virtqueue
 * @types: bitmap of types
 * @vq: virtqueue index
 */
struct vnet_wire_stats_req {
	u64 types;
	u16 vq;
};

/**
 * typedef vnet_wire_stat_fn - takes one counter of a reply
 * @ctx: of the caller
 * @type: VNET_STATS_*
 * @vq: virtqueue index, one that has such counters
 * @index: number of the counter within the type, in the order of the
 *	specification (5.1.9.5.11), below %VNET_STATS_MAX_VALUES
 * @value: its value
 */
typedef void (*vnet_wire_stat_fn)(void *ctx, u8 type, u16 vq,
				  unsigned int index, u64 value);

/* Bytes to allocate for the payload */
size_t vnet_wire_macs_size(u32 nr_uc, u32 nr_mc);
size_t vnet_wire_rss_size(u32 nr_table, u8 key_len);
size_t vnet_wire_hash_size(u8 key_len);
size_t vnet_wire_rss_ctx_size(u32 nr_table, u8 key_len);
size_t vnet_wire_stats_size(u32 nr_reqs);
size_t vnet_wire_stats_reply_size(const struct vnet_wire_stats_req *reqs,
				  u32 nr_reqs);

/* Commands */
int vnet_wire_rx_mode(struct vnet_wire_cmd *w, enum vnet_wire_rx mode, bool on);
int vnet_wire_mac_table(struct vnet_wire_cmd *w, bool le,
			const struct vnet_wire_macs *macs);
int vnet_wire_mac_addr(struct vnet_wire_cmd *w, const u8 *addr);
int vnet_wire_vlan_add(struct vnet_wire_cmd *w, bool le, u16 vid);
int vnet_wire_vlan_del(struct vnet_wire_cmd *w, bool le, u16 vid);
int vnet_wire_announce_ack(struct vnet_wire_cmd *w);
int vnet_wire_vq_pairs(struct vnet_wire_cmd *w, bool le, u16 pairs);
int vnet_wire_guest_offloads(struct vnet_wire_cmd *w, bool le, u64 offloads);
int vnet_wire_rss(struct vnet_wire_cmd *w, const struct vnet_wire_rss *rss);
int vnet_wire_hash(struct vnet_wire_cmd *w, u32 types, const u8 *key,
		   u8 key_len);
int vnet_wire_coal_rx(struct vnet_wire_cmd *w, const struct vnet_wire_coal *c);
int vnet_wire_coal_tx(struct vnet_wire_cmd *w, const struct vnet_wire_coal *c);
int vnet_wire_coal_vq_set(struct vnet_wire_cmd *w, u16 vq,
			  const struct vnet_wire_coal *c);
int vnet_wire_coal_vq_get(struct vnet_wire_cmd *w, u16 vq);
int vnet_wire_hash_tunnel(struct vnet_wire_cmd *w, u32 types);
int vnet_wire_stats_cap(struct vnet_wire_cmd *w);
int vnet_wire_stats_get(struct vnet_wire_cmd *w,
			const struct vnet_wire_stats_req *reqs, u32 nr_reqs);
int vnet_wire_rss_ctx_cap(struct vnet_wire_cmd *w);
int vnet_wire_rss_ctx_add(struct vnet_wire_cmd *w, u16 id,
			  const struct vnet_wire_rss *rss);
int vnet_wire_rss_ctx_mod(struct vnet_wire_cmd *w, u16 id,
			  const struct vnet_wire_rss *rss);
int vnet_wire_rss_ctx_del(struct vnet_wire_cmd *w, u16 id);

/* Replies; @used counts what the device wrote at @reply, without the ack */
int vnet_wire_coal_reply(const void *reply, size_t used,
			 struct vnet_wire_coal *c);
int vnet_wire_stats_cap_reply(const void *reply, size_t used, u64 *types);
int vnet_wire_stats_reply(const void *reply, size_t used, u16 max_pairs,
			  vnet_wire_stat_fn fn, void *ctx);
int vnet_wire_rss_ctx_cap_reply(const void *reply, size_t used, u16 *max);

#endif /* VNET_WIRE_H */
