/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtio header that precedes every packet, to and from skb metadata
 * (VIRTIO 1.4, 5.1.9). What the device wrote is checked here: nothing that a
 * header can say makes the stack read or write outside of the packet.
 *
 * On receive the caller passes a private copy of the header, so that a device
 * that rewrites it later cannot change a decision already made.
 */
#ifndef VNET_HDR_H
#define VNET_HDR_H

#include <linux/build_bug.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/nospec.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/unaligned.h>
#include <linux/virtio_types.h>
#include <net/flow_dissector.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/tcp.h>
#include <net/xdp.h>

#include "vnet_caps.h"
#include "vnet_fault.h"

/* flags */
#define VNET_HDR_NEEDS_CSUM		BIT(0)
#define VNET_HDR_DATA_VALID		BIT(1)
#define VNET_HDR_RSC_INFO		BIT(2)
#define VNET_HDR_TUNNEL_CSUM		BIT(3)

/* gso_type */
#define VNET_HDR_GSO_NONE		0
#define VNET_HDR_GSO_TCPV4		1
#define VNET_HDR_GSO_UDP		3
#define VNET_HDR_GSO_TCPV6		4
#define VNET_HDR_GSO_UDP_L4		5
#define VNET_HDR_GSO_TUNNEL_V4		0x20
#define VNET_HDR_GSO_TUNNEL_V6		0x40
#define VNET_HDR_GSO_ECN		0x80
#define VNET_HDR_GSO_TUNNEL	(VNET_HDR_GSO_TUNNEL_V4 | VNET_HDR_GSO_TUNNEL_V6)

/* Lengths: legacy, modern, with a hash, tunnel offsets, the outer header's place */
#define VNET_HDR_LEN_LEGACY		10
#define VNET_HDR_LEN_V1			12
#define VNET_HDR_LEN_HASH		20
#define VNET_HDR_LEN_TUNNEL		24
#define VNET_HDR_LEN_OUTER		32
#define VNET_HDR_MAX_LEN		VNET_HDR_LEN_OUTER

/* What is looked at of a received header; nothing behind it says anything new. */
#define VNET_HDR_RX_LEN			VNET_HDR_LEN_TUNNEL

/* Least payload per segment: that of a TCP with every option, of a fragment */
#define VNET_HDR_MIN_GSO_SIZE		8

/* Bytes looked at to find the transport header when the device names none */
#define VNET_HDR_DISSECT_LEN		256

/**
 * struct vnet_hdr - virtio header
 * @flags: VNET_HDR_*
 * @gso_type: VNET_HDR_GSO_*
 * @hdr_len: bytes of all headers of a packet to be segmented, or a hint
 * @gso_size: payload per segment
 * @csum_start: where summing starts
 * @csum_offset: where the sum goes, from @csum_start
 * @segments: coalesced segments, with %VNET_HDR_RSC_INFO
 * @dup_acks: duplicate ACKs, with %VNET_HDR_RSC_INFO
 * @num_buffers: receive buffers of this packet
 * @hash_lo: lower half of the hash
 * @hash_hi: upper half of the hash
 * @hash_report: what was hashed
 * @padding: zero
 * @outer_th: offset of the outer transport header
 * @inner_nh: offset of the inner network header
 * @outer_nh: offset of the network header, the outer one of a tunnel; or zero
 * @reserved: zero
 *
 * A prefix of 10, 12, 20, 24 or 32 bytes is on the wire. Offsets count from the
 * Ethernet header.
 */
struct vnet_hdr {
	u8 flags;
	u8 gso_type;
	__virtio16 hdr_len;
	__virtio16 gso_size;
	union {
		struct {
			__virtio16 csum_start;
			__virtio16 csum_offset;
		};
		struct {
			__le16 segments;
			__le16 dup_acks;
		};
	};
	__virtio16 num_buffers;
	__le16 hash_lo;
	__le16 hash_hi;
	__le16 hash_report;
	__le16 padding;
	__le16 outer_th;
	__le16 inner_nh;
	__le16 outer_nh;
	__le16 reserved[3];
};

static_assert(sizeof(struct vnet_hdr) == VNET_HDR_MAX_LEN);
static_assert(offsetof(struct vnet_hdr, num_buffers) == VNET_HDR_LEN_LEGACY);
static_assert(offsetof(struct vnet_hdr, hash_lo) == VNET_HDR_LEN_V1);
static_assert(offsetof(struct vnet_hdr, outer_th) == VNET_HDR_LEN_HASH);
static_assert(offsetof(struct vnet_hdr, outer_nh) == VNET_HDR_LEN_TUNNEL);

/**
 * struct vnet_hdr_tx - how to write headers
 * @hdr_len: bytes on the wire
 * @le: fields are little endian, else of the guest's endianness
 * @csum: the device completes checksums
 * @guest_hdrlen: the device wants the exact length of the headers
 * @tunnel: the device segments inside UDP tunnels
 * @tunnel_csum: and completes their outer checksum
 */
struct vnet_hdr_tx {
	u8 hdr_len;
	bool le;
	bool csum;
	bool guest_hdrlen;
	bool tunnel;
	bool tunnel_csum;
};

/**
 * struct vnet_hdr_rx - how to read headers
 * @hdr_len: bytes on the wire
 * @le: fields are little endian, else of the guest's endianness
 * @csum: the device may speak about checksums
 * @rxcsum: believe it when it says that they are right (NETIF_F_RXCSUM)
 * @gso: the device may hand over packets to be segmented
 * @tunnel: and ones inside a UDP tunnel
 * @tunnel_csum: and ones whose outer checksum is incomplete
 * @rsc_ext: the device reports how many segments it coalesced
 */
struct vnet_hdr_rx {
	u8 hdr_len;
	bool le;
	bool csum;
	bool rxcsum;
	bool gso;
	bool tunnel;
	bool tunnel_csum;
	bool rsc_ext;
};

static inline void vnet_hdr_tx_init(struct vnet_hdr_tx *txc,
				    const struct vnet_caps *caps)
{
	txc->hdr_len = caps->hdr_len;
	txc->le = caps->le;
	txc->csum = caps->csum;
	txc->guest_hdrlen = caps->guest_hdrlen;
	txc->tunnel = caps->tx_tunnel;
	txc->tunnel_csum = caps->tx_tunnel_csum;
}

static inline void vnet_hdr_rx_init(struct vnet_hdr_rx *rxc,
				    const struct vnet_caps *caps, bool rxcsum)
{
	rxc->hdr_len = caps->hdr_len;
	rxc->le = caps->le;
	rxc->csum = caps->guest_csum;
	rxc->rxcsum = rxcsum;
	rxc->gso = caps->guest_gso;
	rxc->tunnel = caps->rx_tunnel;
	rxc->tunnel_csum = caps->rx_tunnel_csum;
	rxc->rsc_ext = caps->rsc_ext;
}

/* A legacy device speaks the endianness of the guest. */
static inline u16 vnet_hdr_get16(bool le, __virtio16 field)
{
	return le ? le16_to_cpu((__force __le16)field) : (__force u16)field;
}

static inline __virtio16 vnet_hdr_put16(bool le, u16 val)
{
	return le ? (__force __virtio16)cpu_to_le16(val) :
		    (__force __virtio16)val;
}

/* Zero exactly the @len bytes that are on the wire. */
static __always_inline void vnet_hdr_zero(struct vnet_hdr *hdr,
					  unsigned int len)
{
	if (likely(len == VNET_HDR_LEN_V1)) {
		memset(hdr, 0, VNET_HDR_LEN_V1);
		return;
	}

	memset(hdr, 0, VNET_HDR_LEN_LEGACY);
	if (len == VNET_HDR_LEN_LEGACY)
		return;

	hdr->num_buffers = 0;
	hdr->hash_lo = 0;
	hdr->hash_hi = 0;
	hdr->hash_report = 0;
	hdr->padding = 0;
	if (len == VNET_HDR_LEN_HASH)
		return;

	hdr->outer_th = 0;
	hdr->inner_nh = 0;
	if (len == VNET_HDR_LEN_TUNNEL)
		return;

	hdr->outer_nh = 0;
	memset(hdr->reserved, 0, sizeof(hdr->reserved));
}

/* Number of buffers; only with MRG_RXBUF does the device have to set it. */
static inline u16 vnet_hdr_nr_buffers(const struct vnet_hdr *hdr, bool le)
{
	return vnet_hdr_get16(le, hdr->num_buffers);
}

/* Transmit */

/*
 * Say where the network header is, so that the device need not look for it. A
 * packet of a user or of another guest may have none where the stack says.
 */
static noinline __maybe_unused void
vnet_hdr_put_outer(struct vnet_hdr *hdr, const struct sk_buff *skb)
{
	__be16 protocol = vlan_get_protocol(skb);
	int nh = skb_network_offset(skb);
	u8 version = 0;

	if (protocol == htons(ETH_P_IP))
		version = 4;
	else if (protocol == htons(ETH_P_IPV6))
		version = 6;
	if (nh >= ETH_HLEN && nh < skb_headlen(skb) && nh <= U16_MAX &&
	    version && skb->data[nh] >> 4 == version)
		hdr->outer_nh = cpu_to_le16(nh);
}

static inline void vnet_hdr_put_csum(struct vnet_hdr *hdr,
				     const struct sk_buff *skb, bool le)
{
	hdr->flags = VNET_HDR_NEEDS_CSUM;
	hdr->csum_start = vnet_hdr_put16(le, skb_checksum_start_offset(skb));
	hdr->csum_offset = vnet_hdr_put16(le, skb->csum_offset);
}

/*
 * Bytes in front of the payload. The checksum of a packet to be segmented is
 * always left to the device and starts at its innermost transport header.
 */
static inline unsigned int vnet_hdr_exact_len(const struct sk_buff *skb, u8 gso)
{
	unsigned int th = skb_checksum_start_offset(skb);

	if (gso == VNET_HDR_GSO_UDP_L4)
		return th + sizeof(struct udphdr);

	return th + __tcp_hdrlen((struct tcphdr *)(skb->data + th));
}

/*
 * Are the headers of a packet to be segmented what they say? Those that the
 * stack makes are; those of users and guests (%SKB_GSO_DODGY) may be anything.
 */
static inline bool vnet_hdr_headers_fit(const struct sk_buff *skb, u8 gso)
{
	unsigned int th = skb_checksum_start_offset(skb), len;

	if (!(skb_shinfo(skb)->gso_type & SKB_GSO_DODGY))
		return true;

	len = th + (gso == VNET_HDR_GSO_UDP_L4 ? sizeof(struct udphdr) :
						 sizeof(struct tcphdr));
	if (len > skb_headlen(skb))
		return false;

	return vnet_hdr_exact_len(skb, gso) >= len &&
	       vnet_hdr_exact_len(skb, gso) <= skb->len;
}

/*
 * VNET_HDR_GSO_TUNNEL_* names the outer network protocol. The specification
 * says the inner one, but every implementation does it this way.
 */
static inline int vnet_hdr_put_tunnel(struct vnet_hdr *hdr,
				      const struct sk_buff *skb,
				      const struct vnet_hdr_tx *txc)
{
	if (!txc->tunnel)
		return -EINVAL;

	if (skb_shinfo(skb)->gso_type & SKB_GSO_UDP_TUNNEL_CSUM) {
		if (!txc->tunnel_csum)
			return -EINVAL;
		hdr->flags |= VNET_HDR_TUNNEL_CSUM;
	}

	if (vlan_get_protocol(skb) == htons(ETH_P_IPV6))
		hdr->gso_type |= VNET_HDR_GSO_TUNNEL_V6;
	else
		hdr->gso_type |= VNET_HDR_GSO_TUNNEL_V4;
	hdr->outer_th = cpu_to_le16(skb_transport_offset(skb));
	hdr->inner_nh = cpu_to_le16(skb_inner_network_offset(skb));

	return 0;
}

static noinline __maybe_unused int
vnet_hdr_put_gso(struct vnet_hdr *hdr, const struct sk_buff *skb,
		 const struct vnet_hdr_tx *txc)
{
	const unsigned int tunnel = SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM;
	const struct skb_shared_info *si = skb_shinfo(skb);
	unsigned int len;
	u8 gso;

	switch (si->gso_type & ~(tunnel | SKB_GSO_DODGY)) {
	case SKB_GSO_TCPV4:
		gso = VNET_HDR_GSO_TCPV4;
		break;
	case SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN:
		gso = VNET_HDR_GSO_TCPV4 | VNET_HDR_GSO_ECN;
		break;
	case SKB_GSO_TCPV6:
		gso = VNET_HDR_GSO_TCPV6;
		break;
	case SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN:
		gso = VNET_HDR_GSO_TCPV6 | VNET_HDR_GSO_ECN;
		break;
	case SKB_GSO_UDP_L4:
		gso = VNET_HDR_GSO_UDP_L4;
		break;
	default:
		return -EINVAL;
	}

	/* The device segments only what it also sums up. */
	if (skb->ip_summed != CHECKSUM_PARTIAL || !txc->csum)
		return -EINVAL;
	if (!vnet_hdr_headers_fit(skb, gso))
		return -EINVAL;

	len = txc->guest_hdrlen ? vnet_hdr_exact_len(skb, gso) :
				  min_t(u32, skb_headlen(skb), U16_MAX);
	hdr->gso_type = gso;
	hdr->hdr_len = vnet_hdr_put16(txc->le, len);
	hdr->gso_size = vnet_hdr_put16(txc->le, si->gso_size);
	vnet_hdr_put_csum(hdr, skb, txc->le);

	return si->gso_type & tunnel ? vnet_hdr_put_tunnel(hdr, skb, txc) : 0;
}

/**
 * vnet_hdr_from_skb() - write the header of a packet to be sent
 * @hdr: where to write @txc->hdr_len bytes; every one of them is written
 * @skb: packet; skb->data is its Ethernet header
 * @txc: how to write it
 *
 * Context: any.
 * Return: 0, or -EINVAL when the packet needs something that the device
 * cannot do (the stack was told not to ask for it), or is to be segmented and
 * is no packet.
 */
static __always_inline int vnet_hdr_from_skb(struct vnet_hdr *hdr,
					     const struct sk_buff *skb,
					     const struct vnet_hdr_tx *txc)
{
	if (likely(txc->hdr_len == VNET_HDR_LEN_V1)) {
		vnet_hdr_zero(hdr, VNET_HDR_LEN_V1);
	} else {
		vnet_hdr_zero(hdr, txc->hdr_len);
		if (txc->hdr_len == VNET_HDR_LEN_OUTER)
			vnet_hdr_put_outer(hdr, skb);
	}

	if (skb_is_gso(skb))
		return vnet_hdr_put_gso(hdr, skb, txc);

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		if (unlikely(!txc->csum))
			return -EINVAL;
		vnet_hdr_put_csum(hdr, skb, txc->le);
	}

	return 0;
}

/* Receive: hash */

static inline u32 vnet_hdr_hash(const struct vnet_hdr *hdr)
{
	return le16_to_cpu(hdr->hash_lo) | (u32)le16_to_cpu(hdr->hash_hi) << 16;
}

static inline u16 vnet_hdr_hash_report(const struct vnet_hdr *hdr)
{
	return le16_to_cpu(hdr->hash_report);
}

/* Hash reports: none, IPv4 {-, TCP, UDP}, IPv6 {-, TCP, UDP}, the same _EX */
#define VNET_HASH_REPORT_NONE		0
#define VNET_HASH_REPORT_NR		10

/**
 * vnet_hash_xdp_type() - what a hash covers, in the words of XDP
 * @report: hash report of the device, any value
 *
 * Return: the type, %XDP_RSS_TYPE_NONE for no hash or an unknown report.
 */
static inline enum xdp_rss_hash_type vnet_hash_xdp_type(u16 report)
{
	static const u16 types[VNET_HASH_REPORT_NR] = {
		XDP_RSS_TYPE_NONE,
		XDP_RSS_TYPE_L3_IPV4,
		XDP_RSS_TYPE_L4_IPV4_TCP,
		XDP_RSS_TYPE_L4_IPV4_UDP,
		XDP_RSS_TYPE_L3_IPV6,
		XDP_RSS_TYPE_L4_IPV6_TCP,
		XDP_RSS_TYPE_L4_IPV6_UDP,
		XDP_RSS_TYPE_L3_IPV6_EX,
		XDP_RSS_TYPE_L4_IPV6_TCP_EX,
		XDP_RSS_TYPE_L4_IPV6_UDP_EX,
	};

	if (report >= VNET_HASH_REPORT_NR)
		return XDP_RSS_TYPE_NONE;

	return types[array_index_nospec(report, VNET_HASH_REPORT_NR)];
}

/**
 * vnet_hash_pkt_type() - what a hash covers, in the words of the stack
 * @report: hash report of the device, any value
 *
 * Return: the type, %PKT_HASH_TYPE_NONE for no hash or an unknown report.
 */
static inline enum pkt_hash_types vnet_hash_pkt_type(u16 report)
{
	enum xdp_rss_hash_type type = vnet_hash_xdp_type(report);

	if (type & XDP_RSS_L4)
		return PKT_HASH_TYPE_L4;

	return type ? PKT_HASH_TYPE_L3 : PKT_HASH_TYPE_NONE;
}

/* Give the device's hash to the stack; only with HASH_REPORT. */
static inline void vnet_hdr_hash_to_skb(struct sk_buff *skb,
					const struct vnet_hdr *hdr)
{
	enum pkt_hash_types type = vnet_hash_pkt_type(vnet_hdr_hash_report(hdr));

	if (type != PKT_HASH_TYPE_NONE)
		skb_set_hash(skb, vnet_hdr_hash(hdr), type);
}

/* Receive: checksum and segmentation */

/**
 * struct vnet_hdr_gso - what a segmentation type means
 * @skb_type: SKB_GSO_*, zero for a type that does not exist
 * @th_len: least bytes of the transport header
 * @csum_offset: where in the transport header the checksum is
 * @nh_len: least bytes of the network header
 * @ip_proto: transport protocol
 */
struct vnet_hdr_gso {
	u32 skb_type;
	u8 th_len;
	u8 csum_offset;
	u8 nh_len;
	u8 ip_proto;
};

/* @type: VNET_HDR_GSO_* without the tunnel bits */
static inline struct vnet_hdr_gso vnet_hdr_gso_lookup(u8 type)
{
	struct vnet_hdr_gso gso = {
		.th_len = sizeof(struct tcphdr),
		.csum_offset = offsetof(struct tcphdr, check),
		.nh_len = sizeof(struct iphdr),
		.ip_proto = IPPROTO_TCP,
	};

	switch (type & ~VNET_HDR_GSO_ECN) {
	case VNET_HDR_GSO_TCPV4:
		gso.skb_type = SKB_GSO_TCPV4;
		break;
	case VNET_HDR_GSO_TCPV6:
		gso.skb_type = SKB_GSO_TCPV6;
		gso.nh_len = sizeof(struct ipv6hdr);
		break;
	case VNET_HDR_GSO_UDP:
		gso.skb_type = SKB_GSO_UDP;
		break;
	case VNET_HDR_GSO_UDP_L4:
		gso.skb_type = SKB_GSO_UDP_L4;
		break;
	}

	if (gso.skb_type & (SKB_GSO_UDP | SKB_GSO_UDP_L4)) {
		gso.th_len = sizeof(struct udphdr);
		gso.csum_offset = offsetof(struct udphdr, check);
		gso.ip_proto = IPPROTO_UDP;
	}

	if (type & VNET_HDR_GSO_ECN) {
		if (gso.ip_proto == IPPROTO_TCP && gso.skb_type)
			gso.skb_type |= SKB_GSO_TCP_ECN;
		else
			gso.skb_type = 0;
	}

	return gso;
}

/* Take the place of the checksum from the header; pull the headers. */
static inline bool vnet_hdr_get_csum(struct sk_buff *skb,
				     const struct vnet_hdr *hdr, bool le,
				     u32 nh_len, u32 th_len)
{
	u32 start = vnet_hdr_get16(le, hdr->csum_start);
	u32 offset = vnet_hdr_get16(le, hdr->csum_offset);
	u32 end = start + max_t(u32, th_len, offset + sizeof(__sum16));

	if (start < ETH_HLEN + nh_len || !pskb_may_pull(skb, end))
		return false;

	return skb_partial_csum_set(skb, start, offset);
}

/*
 * Find the transport header of a packet to be segmented for which the device
 * names none, and see that it is of the protocol that the device claims.
 * Reads the bytes alone. The only BPF dissector that may have a word is the
 * one attached for the whole machine, not that of a container.
 */
static inline int vnet_hdr_find_th(struct sk_buff *skb,
				   const struct vnet_hdr_gso *gso)
{
	struct flow_keys_basic keys;
	const struct ethhdr *eth;
	u32 most = skb->len;
	__be16 l3;

	/* What nobody can read is no header. */
	if (unlikely(!skb_frags_readable(skb)))
		most = skb_headlen(skb);
	if (!pskb_may_pull(skb, min_t(u32, most, VNET_HDR_DISSECT_LEN)) ||
	    skb_headlen(skb) < ETH_HLEN)
		return -EINVAL;

	eth = (const struct ethhdr *)skb->data;
	if (!skb_flow_dissect_flow_keys_basic(&init_net, NULL, &keys, skb->data,
					      eth->h_proto, ETH_HLEN,
					      skb_headlen(skb),
					      FLOW_DISSECTOR_F_STOP_AT_ENCAP))
		return -EINVAL;

	l3 = keys.basic.n_proto;
	if (keys.control.flags & FLOW_DIS_IS_FRAGMENT ||
	    keys.basic.ip_proto != gso->ip_proto ||
	    (l3 != htons(ETH_P_IP) && l3 != htons(ETH_P_IPV6)) ||
	    (gso->skb_type & SKB_GSO_TCPV4 && l3 != htons(ETH_P_IP)) ||
	    (gso->skb_type & SKB_GSO_TCPV6 && l3 != htons(ETH_P_IPV6)))
		return -EINVAL;

	if (!pskb_may_pull(skb, keys.control.thoff + gso->th_len))
		return -EINVAL;

	return keys.control.thoff;
}

/* Coalescing changed the length of the packet, not the header checksum. */
static inline void vnet_hdr_fix_ipv4(struct sk_buff *skb)
{
	const struct ethhdr *eth = (const struct ethhdr *)skb->data;
	struct iphdr *iph = (struct iphdr *)(skb->data + ETH_HLEN);

	if (eth->h_proto == htons(ETH_P_IP) &&
	    skb_headlen(skb) >= ETH_HLEN + iph->ihl * 4)
		ip_send_check(iph);
}

/*
 * Locate the transport header without csum_start, which is absent or carries
 * the number of coalesced segments. Whoever coalesced has validated the packet;
 * of one about which the device says nothing the stack checks the sum.
 */
static inline int vnet_hdr_get_th(struct sk_buff *skb,
				  const struct vnet_hdr *hdr,
				  const struct vnet_hdr_gso *gso, bool rsc)
{
	int th = vnet_hdr_find_th(skb, gso);

	if (th < 0)
		return th;

	if (hdr->flags & VNET_HDR_NEEDS_CSUM) {
		if (!skb_partial_csum_set(skb, th, gso->csum_offset))
			return -EINVAL;
		return th;
	}

	if (rsc)
		vnet_hdr_fix_ipv4(skb);
	if (rsc || hdr->flags & VNET_HDR_DATA_VALID)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb_set_transport_header(skb, th);

	return th;
}

/* Payload per segment; QEMU counts coalesced segments but leaves it out. */
static inline u32 vnet_hdr_get_mss(const struct vnet_hdr *hdr, bool le,
				   u32 segments, u32 payload)
{
	u32 mss = vnet_hdr_get16(le, hdr->gso_size);

	if (!mss && segments)
		mss = DIV_ROUND_UP(payload, segments);

	return mss;
}

static inline enum vnet_rx_fault
vnet_hdr_get_gso(struct sk_buff *skb, const struct vnet_hdr *hdr,
		 const struct vnet_hdr_rx *rxc, u8 type)
{
	bool rsc = rxc->rsc_ext && hdr->flags & VNET_HDR_RSC_INFO;
	struct vnet_hdr_gso gso = vnet_hdr_gso_lookup(type);
	u32 segments = rsc ? le16_to_cpu(hdr->segments) : 0;
	struct skb_shared_info *si;
	u32 mss, payload;
	int th;

	if (!rxc->gso || !gso.skb_type)
		return VNET_RX_BAD_GSO;

	if (hdr->flags & VNET_HDR_NEEDS_CSUM && !rsc) {
		if (!vnet_hdr_get_csum(skb, hdr, rxc->le, gso.nh_len,
				       gso.th_len))
			return VNET_RX_BAD_CSUM;
		if (skb->csum_offset != gso.csum_offset)
			return VNET_RX_BAD_GSO;
		th = skb_checksum_start_offset(skb);
	} else {
		th = vnet_hdr_get_th(skb, hdr, &gso, rsc);
		if (th < 0)
			return VNET_RX_BAD_GSO;
	}

	/* IP fragments carry the UDP header as payload. */
	payload = skb->len - th;
	if (gso.skb_type != SKB_GSO_UDP)
		payload -= gso.th_len;

	mss = vnet_hdr_get_mss(hdr, rxc->le, segments, payload);
	if (!mss || mss >= GSO_BY_FRAGS ||
	    (gso.skb_type != SKB_GSO_UDP_L4 && mss < VNET_HDR_MIN_GSO_SIZE))
		return VNET_RX_BAD_GSO;
	if (gso.skb_type == SKB_GSO_UDP_L4 &&
	    (skb->ip_summed != CHECKSUM_PARTIAL ||
	     payload > mss * UDP_MAX_SEGMENTS))
		return VNET_RX_BAD_GSO;

	/* One segment needs no segmenting. */
	if (payload <= mss)
		return VNET_RX_OK;

	si = skb_shinfo(skb);
	si->gso_size = mss;
	si->gso_type = gso.skb_type | SKB_GSO_DODGY;
	si->gso_segs = min3(segments, payload, (u32)GSO_MAX_SEGS);

	return VNET_RX_OK;
}

/*
 * Set the inner headers. The inner network protocol is read from the packet:
 * @type says it for TCP only. The offsets checked before cover the first byte.
 */
static inline bool vnet_hdr_set_inner(struct sk_buff *skb, u8 type,
				      u32 outer_th, u32 inner_nh)
{
	u32 inner_th = skb_checksum_start_offset(skb);
	u8 version = skb->data[inner_nh] >> 4;
	u32 nh_len;

	type &= ~VNET_HDR_GSO_ECN;
	if (version == 4 && type != VNET_HDR_GSO_TCPV6)
		nh_len = sizeof(struct iphdr);
	else if (version == 6 && type != VNET_HDR_GSO_TCPV4)
		nh_len = sizeof(struct ipv6hdr);
	else
		return false;
	if (inner_th < inner_nh + nh_len)
		return false;

	skb_set_inner_protocol(skb, version == 6 ? htons(ETH_P_IPV6) :
						   htons(ETH_P_IP));
	skb_set_inner_transport_header(skb, inner_th);
	skb_set_inner_network_header(skb, inner_nh);
	skb_set_inner_mac_header(skb, inner_nh);
	skb_set_transport_header(skb, outer_th);
	skb->encapsulation = 1;

	return true;
}

/*
 * Where the network header of a tunnelled packet is, when only its transport
 * header is known: the fixed IP header in front of it, if it says so itself.
 * The bytes up to @th are linear; it is the device that says where, so that may be
 * at any address. Return: its offset, or 0.
 */
static inline u32 vnet_hdr_find_inner(const struct sk_buff *skb,
				      const struct vnet_hdr_gso *gso, u32 th)
{
	const struct ipv6hdr *ip6h;
	const struct iphdr *iph;

	if (th >= sizeof(*iph) && !(gso->skb_type & SKB_GSO_TCPV6)) {
		iph = (const struct iphdr *)(skb->data + th - sizeof(*iph));
		if (iph->version == 4 && iph->ihl == sizeof(*iph) / 4 &&
		    iph->protocol == gso->ip_proto &&
		    get_unaligned_be16(&iph->tot_len) ==
			    skb->len - th + sizeof(*iph))
			return th - sizeof(*iph);
	}
	if (th >= sizeof(*ip6h) && !(gso->skb_type & SKB_GSO_TCPV4)) {
		ip6h = (const struct ipv6hdr *)(skb->data + th - sizeof(*ip6h));
		if (ip6h->version == 6 && ip6h->nexthdr == gso->ip_proto &&
		    get_unaligned_be16(&ip6h->payload_len) == skb->len - th)
			return th - sizeof(*ip6h);
	}

	return 0;
}

/* Whether the headers of a tunnel have room between these offsets. */
static inline bool vnet_hdr_tunnel_fits(u32 outer_l3, u32 outer_th,
					u32 inner_l3, u32 inner_nh,
					u32 inner_th)
{
	return outer_th >= ETH_HLEN + outer_l3 &&
	       inner_nh >= outer_th + sizeof(struct udphdr) &&
	       inner_th >= inner_nh + inner_l3;
}

/*
 * Offsets that cannot be right. QEMU without vhost claims the tunnel but does
 * not write the end of the header, so that old bytes of the buffer are there
 * and every segmented packet would be lost. Find the headers in the packet.
 */
static inline bool vnet_hdr_find_tunnel(struct sk_buff *skb, u8 type,
					u32 inner_th, u32 *outer_th,
					u32 *inner_nh)
{
	const struct vnet_hdr_gso outer = vnet_hdr_gso_lookup(VNET_HDR_GSO_UDP);
	const struct vnet_hdr_gso inner = vnet_hdr_gso_lookup(type);
	int th;

	if (!pskb_may_pull(skb, inner_th))
		return false;
	*inner_nh = vnet_hdr_find_inner(skb, &inner, inner_th);
	th = *inner_nh ? vnet_hdr_find_th(skb, &outer) : -EINVAL;
	*outer_th = max(th, 0);

	return th > 0;
}

static inline enum vnet_rx_fault
vnet_hdr_get_tunnel(struct sk_buff *skb, const struct vnet_hdr *hdr,
		    const struct vnet_hdr_rx *rxc)
{
	u8 type = hdr->gso_type & ~VNET_HDR_GSO_TUNNEL;
	u8 outer = hdr->gso_type & VNET_HDR_GSO_TUNNEL;
	u32 outer_l3, outer_th, inner_l3, inner_nh, inner_th;
	enum vnet_rx_fault fault;

	if (!rxc->tunnel || outer == VNET_HDR_GSO_TUNNEL)
		return VNET_RX_BAD_TUNNEL;
	if (type == VNET_HDR_GSO_NONE || type == VNET_HDR_GSO_UDP)
		return VNET_RX_BAD_TUNNEL;
	if ((hdr->flags & (VNET_HDR_NEEDS_CSUM | VNET_HDR_DATA_VALID)) !=
	    VNET_HDR_NEEDS_CSUM)
		return VNET_RX_BAD_TUNNEL;
	if (hdr->flags & VNET_HDR_RSC_INFO && rxc->rsc_ext)
		return VNET_RX_BAD_TUNNEL;
	if (hdr->flags & VNET_HDR_TUNNEL_CSUM && !rxc->tunnel_csum)
		return VNET_RX_BAD_TUNNEL;

	outer_l3 = outer == VNET_HDR_GSO_TUNNEL_V6 ? sizeof(struct ipv6hdr) :
						     sizeof(struct iphdr);
	outer_th = le16_to_cpu(hdr->outer_th);
	inner_nh = le16_to_cpu(hdr->inner_nh);
	inner_th = vnet_hdr_get16(rxc->le, hdr->csum_start);
	inner_l3 = vnet_hdr_gso_lookup(type).nh_len;
	if (!vnet_hdr_tunnel_fits(outer_l3, outer_th, inner_l3, inner_nh,
				  inner_th) &&
	    (!vnet_hdr_find_tunnel(skb, type, inner_th, &outer_th, &inner_nh) ||
	     !vnet_hdr_tunnel_fits(outer_l3, outer_th, inner_l3, inner_nh,
				   inner_th)))
		return VNET_RX_BAD_TUNNEL;

	fault = vnet_hdr_get_gso(skb, hdr, rxc, type);
	if (fault)
		return fault;
	if (!vnet_hdr_set_inner(skb, type, outer_th, inner_nh))
		return VNET_RX_BAD_TUNNEL;

	if (skb_is_gso(skb))
		skb_shinfo(skb)->gso_type |=
			hdr->flags & VNET_HDR_TUNNEL_CSUM ?
			SKB_GSO_UDP_TUNNEL_CSUM : SKB_GSO_UDP_TUNNEL;

	return VNET_RX_OK;
}

/*
 * An outer checksum to be completed, of a packet in no tunnel that is to be
 * segmented: nothing says where it is.
 */
static inline bool vnet_hdr_stray_csum(const struct vnet_hdr *hdr,
				       const struct vnet_hdr_rx *rxc)
{
	return hdr->flags & VNET_HDR_TUNNEL_CSUM &&
	       hdr->flags & VNET_HDR_NEEDS_CSUM && rxc->tunnel_csum;
}

static noinline __maybe_unused enum vnet_rx_fault
vnet_hdr_get_meta(struct sk_buff *skb, const struct vnet_hdr *hdr,
		  const struct vnet_hdr_rx *rxc)
{
	if (hdr->gso_type & VNET_HDR_GSO_TUNNEL)
		return vnet_hdr_get_tunnel(skb, hdr, rxc);
	if (vnet_hdr_stray_csum(hdr, rxc))
		return VNET_RX_BAD_TUNNEL;
	if (hdr->gso_type != VNET_HDR_GSO_NONE)
		return vnet_hdr_get_gso(skb, hdr, rxc, hdr->gso_type);

	if (!rxc->csum)
		return VNET_RX_OK;

	/* An incomplete checksum must be completed, RXCSUM or not. */
	if (hdr->flags & VNET_HDR_NEEDS_CSUM) {
		if (hdr->flags & VNET_HDR_RSC_INFO && rxc->rsc_ext)
			return VNET_RX_BAD_CSUM;
		return vnet_hdr_get_csum(skb, hdr, rxc->le,
					 sizeof(struct iphdr), 0) ?
		       VNET_RX_OK : VNET_RX_BAD_CSUM;
	}

	if (hdr->flags & VNET_HDR_DATA_VALID && rxc->rxcsum) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		skb->csum_level = hdr->flags & VNET_HDR_TUNNEL_CSUM &&
				  rxc->tunnel_csum;
	}

	return VNET_RX_OK;
}

/* Does the header of a received packet say anything about it? */
static inline bool vnet_hdr_says(const struct vnet_hdr *hdr)
{
	return hdr->flags || hdr->gso_type;
}

/**
 * vnet_hdr_to_skb() - check the header of a received packet and apply it
 * @skb: packet, fresh (no checksum, no segmentation, no header offsets set)
 *	and writable; skb->data is its Ethernet header, so before
 *	eth_type_trans(). Neither skb->dev nor skb->protocol is looked at.
 * @hdr: private copy of the header
 * @rxc: how to read it
 *
 * May pull headers into the linear part. After a fault @skb can only be freed.
 *
 * Context: any.
 * Return: %VNET_RX_OK, %VNET_RX_BAD_CSUM, %VNET_RX_BAD_GSO or
 * %VNET_RX_BAD_TUNNEL.
 */
static __always_inline enum vnet_rx_fault
vnet_hdr_to_skb(struct sk_buff *skb, const struct vnet_hdr *hdr,
		const struct vnet_hdr_rx *rxc)
{
	if (likely(!vnet_hdr_says(hdr)))
		return VNET_RX_OK;

	return vnet_hdr_get_meta(skb, hdr, rxc);
}

#endif /* VNET_HDR_H */
