// SPDX-License-Identifier: GPL-2.0
/* Programs of tc and tcx for the ends of a pair; selftests/vkit.py sets the map. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PROXY_PORT	9999
#define BENCH_PORT	7777

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} plans SEC(".maps");	/* 0: an interface, 1: packets seen */

static __u32 target(void)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&plans, &key);

	return value ? *value : 0;
}

static void count(void)
{
	__u32 key = 1, *value = bpf_map_lookup_elem(&plans, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("tc")
int drop(struct __sk_buff *skb)
{
	count();
	return TC_ACT_SHOT;
}

SEC("tc")
int next(struct __sk_buff *skb)
{
	count();
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pass(struct __sk_buff *skb)
{
	count();
	return TC_ACT_OK;
}

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	count();
	return bpf_redirect(target(), 0);
}

SEC("tc")
int redirect_peer(struct __sk_buff *skb)
{
	count();
	return bpf_redirect_peer(target(), 0);
}

SEC("tc")
int redirect_neigh(struct __sk_buff *skb)
{
	count();
	return bpf_redirect_neigh(target(), NULL, 0, 0);
}

/* At the card of the host: what is for a container goes to its end at once. */
SEC("tc")
int to_port(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (ip->protocol != IPPROTO_UDP || ports[1] != bpf_htons(BENCH_PORT))
		return TC_ACT_UNSPEC;

	count();
	return bpf_redirect_peer(target(), 0);
}

/* A transparent proxy: what is for port 80 or 53 is for the socket at PROXY_PORT. */
SEC("tc")
int assign(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__be16 *ports = (void *)(ip + 1);
	long err;

	if ((void *)(ports + 2) > end || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (ports[1] != bpf_htons(80) && ports[1] != bpf_htons(53))
		return TC_ACT_OK;

	count();
	tuple.ipv4.saddr = ip->saddr;
	tuple.ipv4.daddr = ip->daddr;
	tuple.ipv4.sport = ports[0];
	tuple.ipv4.dport = ports[1];
	if (ip->protocol == IPPROTO_TCP) {
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4),
					BPF_F_CURRENT_NETNS, 0);
		if (sk && sk->state != BPF_TCP_LISTEN)
			goto found;
		if (sk)
			bpf_sk_release(sk);
		tuple.ipv4.daddr = 0;
		tuple.ipv4.dport = bpf_htons(PROXY_PORT);
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4),
					BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.dport = bpf_htons(PROXY_PORT);
		sk = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4),
				       BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return TC_ACT_SHOT;
found:
	err = bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return err ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
