/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as the pure rooms need to be compiled as a program.
 * fuzz/run makes every <linux/...> and <net/...> header that they name include
 * this file. The packet is a caricature: its linear part is an allocation of
 * its exact size, so that AddressSanitizer sees every byte read beyond what
 * was pulled.
 */
#ifndef VNET_FUZZ_SHIM_H
#define VNET_FUZZ_SHIM_H

#include <asm/types.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* types */
typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef u16 __le16;
typedef u16 __be16;
typedef u16 __virtio16;
typedef u16 __sum16;
typedef u64 netdev_features_t;

#define U16_MAX			UINT16_MAX
#define U32_MAX			UINT32_MAX

/* compiler */
#define __force
#define __maybe_unused
#define noinline
#define likely(x)		(x)
#define unlikely(x)		(x)
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* bits and numbers */
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define min_t(t, a, b)		({ t __a = (a), __b = (b); \
				   __a < __b ? __a : __b; })
#define max_t(t, a, b)		({ t __a = (a), __b = (b); \
				   __a > __b ? __a : __b; })
#define min(a, b)	({ __auto_type __a = (a); typeof(b) __b = (b); __a < __b ? __a : __b; })
#define max(a, b)	({ __auto_type __a = (a); typeof(b) __b = (b); __a > __b ? __a : __b; })
#define min3(a, b, c)		min(min(a, b), c)
#define max3(a, b, c)		max(max(a, b), c)
#define DIV_ROUND_UP(n, d)	({ __auto_type __d = (d); \
				   ((n) + __d - 1) / __d; })
#define ALIGN(x, a)		({ __auto_type __m = (typeof(x))(a) - 1; \
				   ((x) + __m) & ~__m; })
#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))

static inline u32 clamp_u32(u32 val, u32 low, u32 high)
{
	return val < low ? low : val > high ? high : val;
}

#define clamp_t(t, v, l, h)	((t)clamp_u32(v, l, h))

static inline u32 array_index_nospec(u32 index, u32 nr)
{
	return index < nr ? index : 0;
}

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

static inline unsigned long rounddown_pow_of_two(unsigned long n)
{
	return 1UL << (8 * sizeof(n) - 1 - __builtin_clzl(n));
}

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	unsigned long p = 1;

	while (p < n)
		p *= 2;

	return p;
}

#define PAGE_SIZE		4096UL

static inline int get_order(unsigned long size)
{
	int order = 0;

	while (PAGE_SIZE << order < size)
		order++;

	return order;
}

static inline size_t size_add(size_t a, size_t b)
{
	size_t sum;

	return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static inline size_t size_mul(size_t a, size_t b)
{
	size_t product;

	return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

/* byte order */
#define le16_to_cpu(x)		le16toh(x)
#define cpu_to_le16(x)		htole16(x)
#define htons(x)		htobe16(x)
#define ntohs(x)		be16toh(x)

#define VNET_FUZZ_UNALIGNED(bits)					\
static inline void put_unaligned_le##bits(u##bits val, void *p)	\
{									\
	val = htole##bits(val);						\
	memcpy(p, &val, sizeof(val));					\
}									\
static inline u##bits get_unaligned_le##bits(const void *p)		\
{									\
	u##bits val;							\
									\
	memcpy(&val, p, sizeof(val));					\
	return le##bits##toh(val);					\
}

VNET_FUZZ_UNALIGNED(16)
VNET_FUZZ_UNALIGNED(32)
VNET_FUZZ_UNALIGNED(64)

static inline u16 get_unaligned_be16(const void *p)
{
	u16 val;

	memcpy(&val, p, sizeof(val));
	return be16toh(val);
}

#define put_unaligned(val, p)						\
({									\
	__auto_type __p = (p);						\
	typeof(*__p) __val = (val);					\
									\
	memcpy(__p, &__val, sizeof(__val));				\
})

/* Ethernet */
#define ETH_ALEN		6
#define ETH_HLEN		14
#define ETH_DATA_LEN		1500
#define ETH_FRAME_LEN		1514
#define ETH_MIN_MTU		68
#define ETH_MAX_MTU		0xffff
#define ETH_P_IP		0x0800
#define ETH_P_IPV6		0x86dd
#define ETH_P_8021Q		0x8100
#define ETH_P_8021AD		0x88a8
#define VLAN_HLEN		4
#define IPPROTO_TCP		6
#define IPPROTO_UDP		17

struct ethhdr {
	u8 h_dest[ETH_ALEN];
	u8 h_source[ETH_ALEN];
	__be16 h_proto;
};

static inline bool eth_type_vlan(__be16 proto)
{
	return proto == htobe16(ETH_P_8021Q) || proto == htobe16(ETH_P_8021AD);
}

struct iphdr {
	u8 ihl:4, version:4;
	u8 tos;
	__be16 tot_len, id, frag_off;
	u8 ttl, protocol;
	__sum16 check;
	u8 addrs[8];
};

struct ipv6hdr {
	u8 priority:4, version:4;
	u8 flow_lbl[3];
	__be16 payload_len;
	u8 nexthdr, hop_limit;
	u8 addrs[32];
};

struct tcphdr {
	u8 ports_seq_ack[12];
	u8 res:4, doff:4;
	u8 flags;
	__be16 window;
	__sum16 check;
	__be16 urg;
};

struct udphdr {
	__be16 source, dest, len;
	__sum16 check;
};

static inline bool is_valid_ether_addr(const u8 *addr)
{
	static const u8 zero[ETH_ALEN];

	return !(addr[0] & 1) && memcmp(addr, zero, ETH_ALEN);
}

static inline unsigned int __tcp_hdrlen(const struct tcphdr *th)
{
	return th->doff * 4;
}

static inline void ip_send_check(struct iphdr *iph)
{
	u8 *p = (u8 *)iph;
	u32 sum = 0;
	int i;

	iph->check = 0;
	for (i = 0; i < iph->ihl * 4; i++)
		sum += p[i];
	iph->check = sum;
}

/* netdev features, distinct and nothing more */
enum {
	NETIF_F_SG = 1, NETIF_F_HW_CSUM = 2, NETIF_F_TSO = 4,
	NETIF_F_TSO6 = 8, NETIF_F_TSO_ECN = 0x10, NETIF_F_GSO_UDP_L4 = 0x20,
	NETIF_F_GSO_UDP_TUNNEL = 0x40, NETIF_F_GSO_UDP_TUNNEL_CSUM = 0x80,
	NETIF_F_RXCSUM = 0x100, NETIF_F_RXHASH = 0x200, NETIF_F_GRO_HW = 0x400,
	NETIF_F_HIGHDMA = 0x800, NETIF_F_GSO_ROBUST = 0x1000,
	NETIF_F_HW_VLAN_CTAG_FILTER = 0x2000,
};

enum skb_drop_reason {
	SKB_NOT_DROPPED_YET, SKB_DROP_REASON_PKT_TOO_SMALL,
	SKB_DROP_REASON_DEV_HDR, SKB_DROP_REASON_NOMEM,
	SKB_DROP_REASON_PKT_TOO_BIG, SKB_DROP_REASON_XDP,
	SKB_DROP_REASON_QUEUE_PURGE, SKB_DROP_REASON_SKB_CSUM,
};

enum xdp_rss_hash_type {
	XDP_RSS_TYPE_NONE = 0, XDP_RSS_TYPE_L3_IPV4 = 1,
	XDP_RSS_TYPE_L3_IPV6 = 2, XDP_RSS_TYPE_L3_IPV6_EX = 6, XDP_RSS_L4 = 8,
	XDP_RSS_TYPE_L4_IPV4_TCP = 25, XDP_RSS_TYPE_L4_IPV4_UDP = 41,
	XDP_RSS_TYPE_L4_IPV6_TCP = 26, XDP_RSS_TYPE_L4_IPV6_UDP = 42,
	XDP_RSS_TYPE_L4_IPV6_TCP_EX = 30, XDP_RSS_TYPE_L4_IPV6_UDP_EX = 46,
};

enum pkt_hash_types {
	PKT_HASH_TYPE_NONE, PKT_HASH_TYPE_L2, PKT_HASH_TYPE_L3,
	PKT_HASH_TYPE_L4,
};

/* packets */
#define CHECKSUM_NONE		0
#define CHECKSUM_UNNECESSARY	1
#define CHECKSUM_PARTIAL	3
#define SKB_GSO_TCPV4		BIT(0)
#define SKB_GSO_DODGY		BIT(1)
#define SKB_GSO_TCP_ECN		BIT(2)
#define SKB_GSO_TCPV6		BIT(4)
#define SKB_GSO_UDP_TUNNEL	BIT(10)
#define SKB_GSO_UDP_TUNNEL_CSUM	BIT(11)
#define SKB_GSO_UDP		BIT(16)
#define SKB_GSO_UDP_L4		BIT(17)
#define GSO_BY_FRAGS		0xffff
#define GSO_MAX_SEGS		65535u
#define UDP_MAX_SEGMENTS	128
#define MAX_SKB_FRAGS		17
#define NET_SKB_PAD		64
#define NET_IP_ALIGN		0
#define XDP_PACKET_HEADROOM	256
#define SKB_DATA_ALIGN(x)	ALIGN(x, 64)
#define FUZZ_HEADROOM		128

struct skb_shared_info {
	u16 gso_size, gso_segs;
	u32 gso_type;
	u8 rest[312];		/* as large as the real one */
};

/*
 * A packet: @head and @data as in the kernel, @linear bytes of it in memory,
 * @full for pulling the rest.
 */
struct sk_buff {
	u8 *head, *data;
	const u8 *full;
	u32 len, linear;
	u16 csum_start, csum_offset;
	u16 transport_header;
	u16 inner_transport_header, inner_network_header, inner_mac_header;
	__be16 protocol, inner_protocol;
	u8 ip_summed, csum_level, encapsulation;
	u32 hash;
	struct skb_shared_info shinfo;
};

static inline struct skb_shared_info *skb_shinfo(const struct sk_buff *skb)
{
	return (struct skb_shared_info *)&skb->shinfo;
}

static inline u32 skb_headlen(const struct sk_buff *skb)
{
	return skb->linear;
}

static inline u32 skb_headroom(const struct sk_buff *skb)
{
	return skb->data - skb->head;
}

static inline bool skb_is_gso(const struct sk_buff *skb)
{
	return skb->shinfo.gso_size;
}

static inline bool skb_frags_readable(const struct sk_buff *skb)
{
	return true;
}

static inline bool pskb_may_pull(struct sk_buff *skb, u32 len)
{
	u8 *head;

	if (len <= skb->linear)
		return true;
	if (len > skb->len)
		return false;

	head = malloc(FUZZ_HEADROOM + len);
	assert(head);
	memcpy(head + FUZZ_HEADROOM, skb->full, len);
	free(skb->head);
	skb->head = head;
	skb->data = head + FUZZ_HEADROOM;
	skb->linear = len;

	return true;
}

static inline void skb_set_transport_header(struct sk_buff *skb, int offset)
{
	skb->transport_header = skb_headroom(skb) + offset;
}

static inline void skb_set_inner_transport_header(struct sk_buff *skb, int offset)
{
	skb->inner_transport_header = skb_headroom(skb) + offset;
}

static inline void skb_set_inner_network_header(struct sk_buff *skb, int offset)
{
	skb->inner_network_header = skb_headroom(skb) + offset;
}

static inline void skb_set_inner_mac_header(struct sk_buff *skb, int offset)
{
	skb->inner_mac_header = skb_headroom(skb) + offset;
}

static inline int skb_transport_offset(const struct sk_buff *skb)
{
	return skb->transport_header - skb_headroom(skb);
}

static inline int skb_inner_network_offset(const struct sk_buff *skb)
{
	return skb->inner_network_header - skb_headroom(skb);
}

static inline int skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb->csum_start - skb_headroom(skb);
}

/* as in every frame here */
static inline int skb_network_offset(const struct sk_buff *skb)
{
	return ETH_HLEN;
}

static inline void skb_set_inner_protocol(struct sk_buff *skb, __be16 protocol)
{
	skb->inner_protocol = protocol;
}

static inline void skb_set_hash(struct sk_buff *skb, u32 hash,
				enum pkt_hash_types type)
{
	assert(type != PKT_HASH_TYPE_NONE);
	skb->hash = hash;
}

static inline __be16 vlan_get_protocol(const struct sk_buff *skb)
{
	return skb->protocol;
}

static inline bool skb_partial_csum_set(struct sk_buff *skb, u16 start, u16 off)
{
	if (skb_headroom(skb) + start >= U16_MAX ||
	    (u32)start + off + 2 > skb->linear)
		return false;

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + start;
	skb->csum_offset = off;
	skb_set_transport_header(skb, start);

	return true;
}

/* the flow dissector: Ethernet, VLAN, IPv4, IPv6 without extensions */
#define FLOW_DIS_IS_FRAGMENT		BIT(0)
#define FLOW_DISSECTOR_F_STOP_AT_ENCAP	BIT(2)

struct flow_keys_basic {
	struct {
		u16 thoff;
		u32 flags;
	} control;
	struct {
		__be16 n_proto;
		u8 ip_proto;
	} basic;
};

static const int init_net;

static inline bool
skb_flow_dissect_flow_keys_basic(const void *net, const struct sk_buff *skb,
				 struct flow_keys_basic *keys,
				 const void *data, __be16 proto, int nhoff,
				 int hlen, unsigned int flags)
{
	const u8 *p = data;

	memset(keys, 0, sizeof(*keys));
	while ((proto == htons(ETH_P_8021Q) || proto == htons(ETH_P_8021AD)) &&
	       nhoff + VLAN_HLEN <= hlen) {
		memcpy(&proto, p + nhoff + 2, sizeof(proto));
		nhoff += VLAN_HLEN;
	}
	keys->basic.n_proto = proto;
	if (proto == htons(ETH_P_IP) && nhoff + 20 <= hlen &&
	    (p[nhoff] & 0xf) >= 5) {
		keys->basic.ip_proto = p[nhoff + 9];
		if (p[nhoff + 6] & 0x3f || p[nhoff + 7])
			keys->control.flags = FLOW_DIS_IS_FRAGMENT;
		nhoff += (p[nhoff] & 0xf) * 4;
	} else if (proto == htons(ETH_P_IPV6) && nhoff + 40 <= hlen) {
		keys->basic.ip_proto = p[nhoff + 6];
		nhoff += 40;
	} else {
		return false;
	}
	keys->control.thoff = min(nhoff, hlen);

	return true;
}

/* the input of a target, eaten from the front */

/**
 * struct fuzz_input - what libFuzzer gave
 * @p: next byte
 * @left: bytes left
 */
struct fuzz_input {
	const u8 *p;
	size_t left;
};

/* Fill @dst; what the input lacks is zero. */
static inline void fuzz_take(struct fuzz_input *in, void *dst, size_t n)
{
	size_t have = min(n, in->left);

	memset(dst, 0, n);
	if (have)
		memcpy(dst, in->p, have);
	in->p += have;
	in->left -= have;
}

static inline u8 fuzz_byte(struct fuzz_input *in)
{
	u8 byte;

	fuzz_take(in, &byte, 1);

	return byte;
}

/* The name that libFuzzer calls is given by fuzz/run. */
int FUZZ_TARGET(const u8 *data, size_t size);

#endif /* VNET_FUZZ_SHIM_H */
