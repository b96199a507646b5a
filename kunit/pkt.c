// SPDX-License-Identifier: GPL-2.0
/* Packets for the header suites. */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>

#include "pkt.h"

#define VNET_PKT_HEADROOM	128
#define VNET_PKT_TUNNEL_HDR	8
#define VNET_PKT_MAX_HDR	256

static u32 vnet_pkt_eth(u8 *p, u8 vlans, bool v6)
{
	__be16 proto = v6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	struct ethhdr *eth = (struct ethhdr *)p;
	struct vlan_hdr *vlan;
	u32 len = ETH_HLEN;

	memset(eth->h_dest, 0x02, ETH_ALEN);
	memset(eth->h_source, 0x06, ETH_ALEN);
	eth->h_proto = vlans ? htons(ETH_P_8021Q) : proto;
	while (vlans--) {
		vlan = (struct vlan_hdr *)(p + len);
		vlan->h_vlan_TCI = htons(5);
		vlan->h_vlan_encapsulated_proto = vlans ? htons(ETH_P_8021Q) :
							  proto;
		len += VLAN_HLEN;
	}

	return len;
}

/* An IP header for @len bytes behind it; returns its own length. */
static u32 vnet_pkt_ip(u8 *p, bool v6, u8 proto, u32 len, bool frag)
{
	struct ipv6hdr *ip6 = (struct ipv6hdr *)p;
	struct iphdr *ip4 = (struct iphdr *)p;

	if (v6) {
		memset(ip6, 0, sizeof(*ip6));
		ip6->version = 6;
		ip6->nexthdr = proto;
		ip6->hop_limit = 64;
		ip6->payload_len = htons(len);
		ip6->saddr.s6_addr[15] = 1;
		ip6->daddr.s6_addr[15] = 2;
		return sizeof(*ip6);
	}

	memset(ip4, 0, sizeof(*ip4));
	ip4->version = 4;
	ip4->ihl = 5;
	ip4->ttl = 64;
	ip4->protocol = proto;
	ip4->tot_len = htons(sizeof(*ip4) + len);
	ip4->frag_off = frag ? htons(IP_MF) : htons(IP_DF);
	ip4->saddr = htonl(0x0a630001);
	ip4->daddr = htonl(0x0a630002);
	ip_send_check(ip4);

	return sizeof(*ip4);
}

static u32 vnet_pkt_udp(u8 *p, u32 len)
{
	struct udphdr *udp = (struct udphdr *)p;

	udp->source = htons(1000);
	udp->dest = htons(4789);
	udp->len = htons(sizeof(*udp) + len);
	udp->check = 0;

	return sizeof(*udp);
}

static u32 vnet_pkt_tcp(u8 *p, u8 doff)
{
	struct tcphdr *tcp = (struct tcphdr *)p;

	memset(tcp, 0, doff * 4);
	tcp->source = htons(1000);
	tcp->dest = htons(2000);
	tcp->doff = doff;
	tcp->ack = 1;
	tcp->window = htons(1024);
	if (doff > 5)
		memset(tcp + 1, 1, doff * 4 - sizeof(*tcp));

	return doff * 4;
}

/* Write all headers of @p; @buf has VNET_PKT_MAX_HDR bytes. */
static void vnet_pkt_headers(struct vnet_pkt *p, u8 *buf)
{
	u32 l4 = sizeof(struct udphdr);
	u32 l3 = p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	u8 proto = p->udp ? IPPROTO_UDP : IPPROTO_TCP;
	u32 len;

	if (!p->doff)
		p->doff = 5;
	if (!p->udp)
		l4 = p->doff * 4;

	if (p->tunnel) {
		len = VNET_PKT_TUNNEL_HDR + l3 + l4 + p->payload;
		p->hlen = vnet_pkt_eth(buf, p->vlans, p->outer_v6);
		p->hlen += vnet_pkt_ip(buf + p->hlen, p->outer_v6, IPPROTO_UDP,
				       len + sizeof(struct udphdr), false);
		p->outer_th = p->hlen;
		p->hlen += vnet_pkt_udp(buf + p->hlen, len);
		memset(buf + p->hlen, 0, VNET_PKT_TUNNEL_HDR);
		p->hlen += VNET_PKT_TUNNEL_HDR;
	} else {
		p->hlen = vnet_pkt_eth(buf, p->vlans, p->v6);
	}

	p->nh = p->hlen;
	p->hlen += vnet_pkt_ip(buf + p->hlen, p->v6, proto, l4 + p->payload,
			       p->frag);
	p->th = p->hlen;
	p->hlen += p->udp ? vnet_pkt_udp(buf + p->hlen, p->payload) :
			    vnet_pkt_tcp(buf + p->hlen, p->doff);
}

/**
 * vnet_pkt_lay_out() - fill in the offsets of a packet
 * @p: packet
 */
void vnet_pkt_lay_out(struct vnet_pkt *p)
{
	u8 buf[VNET_PKT_MAX_HDR];

	vnet_pkt_headers(p, buf);
}

/**
 * vnet_pkt_skb() - make a packet
 * @p: what to make; offsets are filled in
 *
 * What does not go into the linear part goes into one fragment.
 *
 * Return: a packet whose data is the Ethernet header, or %NULL.
 */
struct sk_buff *vnet_pkt_skb(struct vnet_pkt *p)
{
	u32 len, linear, order;
	struct sk_buff *skb;
	struct page *page;
	u8 *buf;

	buf = kzalloc(VNET_PKT_MAX_HDR + p->payload, GFP_KERNEL);
	if (!buf)
		return NULL;
	vnet_pkt_headers(p, buf);
	memset(buf + p->hlen, 0x5a, p->payload);

	len = p->hlen + p->payload;
	linear = p->linear ? min(p->linear, len) : len;
	skb = alloc_skb(VNET_PKT_HEADROOM + linear, GFP_KERNEL);
	if (!skb)
		goto err_free_buf;
	skb_reserve(skb, VNET_PKT_HEADROOM);
	skb_put_data(skb, buf, linear);

	if (len > linear) {
		order = get_order(len - linear);
		page = alloc_pages(GFP_KERNEL | __GFP_COMP, order);
		if (!page)
			goto err_free_skb;
		memcpy(page_address(page), buf + linear, len - linear);
		skb_add_rx_frag(skb, 0, page, 0, len - linear,
				PAGE_SIZE << order);
	}
	kfree(buf);

	return skb;

err_free_skb:
	kfree_skb(skb);
err_free_buf:
	kfree(buf);
	return NULL;
}

/**
 * vnet_pkt_skb_gso() - how the stack calls the segmentation of a packet
 * @p: packet
 *
 * Return: SKB_GSO_* without the tunnel bits.
 */
u32 vnet_pkt_skb_gso(const struct vnet_pkt *p)
{
	if (p->udp)
		return SKB_GSO_UDP_L4;

	return p->v6 ? SKB_GSO_TCPV6 : SKB_GSO_TCPV4;
}

/**
 * vnet_pkt_hdr() - the header that a correct device writes for a packet
 * @p: packet, laid out
 *
 * Return: a header that asks for a checksum and for segmentation.
 */
struct vnet_hdr vnet_pkt_hdr(const struct vnet_pkt *p)
{
	struct vnet_hdr hdr = {
		.flags = VNET_HDR_NEEDS_CSUM,
		.gso_type = VNET_HDR_GSO_UDP_L4,
		.gso_size = vnet_hdr_put16(true, VNET_PKT_MSS),
		.csum_start = vnet_hdr_put16(true, p->th),
		.csum_offset = vnet_hdr_put16(true, p->udp ? 6 : 16),
	};

	if (!p->udp)
		hdr.gso_type = p->v6 ? VNET_HDR_GSO_TCPV6 : VNET_HDR_GSO_TCPV4;
	if (p->tunnel) {
		hdr.gso_type |= p->outer_v6 ? VNET_HDR_GSO_TUNNEL_V6 :
					      VNET_HDR_GSO_TUNNEL_V4;
		hdr.outer_th = cpu_to_le16(p->outer_th);
		hdr.inner_nh = cpu_to_le16(p->nh);
	}

	return hdr;
}
