// SPDX-License-Identifier: GPL-2.0
/*
 * What the XDP tests run: a map tells what to do with the numbered datagrams of
 * tools/flow.py, packet by packet; everything else passes. Each verdict counts.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NR_ACTIONS 6
#define MARK 0x6d74656e76ULL	/* metadata for the stack */

/* Counters behind those of the verdicts 0 to 4 */
#define COUNT_UNKNOWN 5		/* a verdict that does not exist */
#define COUNT_FAILED 6		/* a helper refused */
#define COUNT_SINK 7		/* packets at the sink */
#define COUNT_MARKED 8		/* packets with metadata in the stack */
#define COUNT_BYTES 9
#define NR_COUNTS 16

struct plan {
	__u32 port;		/* UDP, of the datagrams that this is about */
	__u32 nr;		/* datagram N: actions[N % nr] */
	__u32 actions[NR_ACTIONS];
	__s32 head;		/* bpf_xdp_adjust_head() by so much */
	__s32 tail;
	__u32 meta;		/* bytes of metadata */
	__s32 stretch;		/* move the head by so much and back */
	__u32 target;		/* 1: redirect to a CPU instead of a device */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NR_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

static __always_inline void count(__u32 index, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &index);

	if (value)
		__sync_fetch_and_add(value, n);
}

/* The number of the datagram in @ctx, or -1 if it is something else */
static __always_inline __s64 number(struct xdp_md *ctx, const struct plan *plan)
{
	void *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp = (void *)(ip + 1);
	__u64 *seq = (void *)(udp + 1);

	if ((void *)(seq + 1) > (void *)(long)ctx->data_end ||
	    eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_UDP ||
	    udp->dest != bpf_htons(plan->port))
		return -1;

	return *seq & 0x7fffffff;
}

/* Move head, tail and metadata as planned; the Ethernet header moves along. */
static __always_inline int adjust(struct xdp_md *ctx, const struct plan *plan)
{
	struct ethhdr eth, *new;

	if (plan->stretch &&
	    (bpf_xdp_adjust_head(ctx, plan->stretch) ||
	     bpf_xdp_adjust_head(ctx, -plan->stretch)))
		return -1;

	if (plan->head) {
		new = (void *)(long)ctx->data;
		if ((void *)(new + 1) > (void *)(long)ctx->data_end)
			return -1;
		__builtin_memcpy(&eth, new, sizeof(eth));
		if (bpf_xdp_adjust_head(ctx, plan->head))
			return -1;
		new = (void *)(long)ctx->data;
		if ((void *)(new + 1) > (void *)(long)ctx->data_end)
			return -1;
		eth.h_proto = bpf_htons(0x88b5);
		__builtin_memcpy(new, &eth, sizeof(eth));
	}

	if (plan->tail && bpf_xdp_adjust_tail(ctx, plan->tail))
		return -1;

	if (plan->meta) {
		__u64 *mark;

		if (bpf_xdp_adjust_meta(ctx, -(int)plan->meta))
			return -1;
		mark = (void *)(long)ctx->data_meta;
		if ((void *)(mark + 1) > (void *)(long)ctx->data)
			return -1;
		*mark = MARK;
	}

	return 0;
}

static __always_inline int send_back(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	unsigned char mac[ETH_ALEN];

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;

	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);

	return XDP_TX;
}

/* Maps of redirection belong to programs with or without frags support. */
static __always_inline int run(struct xdp_md *ctx, int redirect)
{
	__u32 zero = 0, action;
	struct plan *plan = bpf_map_lookup_elem(&plans, &zero);
	__s64 seq;

	if (!plan || !plan->nr)
		return XDP_PASS;

	seq = number(ctx, plan);
	if (seq < 0)
		return XDP_PASS;

	zero = (__u32)seq % plan->nr;
	if (zero >= NR_ACTIONS)
		return XDP_PASS;
	action = plan->actions[zero];
	if (adjust(ctx, plan)) {
		count(COUNT_FAILED, 1);
		return XDP_DROP;
	}
	count(action <= XDP_REDIRECT ? action : COUNT_UNKNOWN, 1);
	count(COUNT_BYTES, bpf_xdp_get_buff_len(ctx));

	switch (action) {
	case XDP_TX:
		return send_back(ctx);
	case XDP_REDIRECT:
		if (!redirect)
			return XDP_ABORTED;
		return plan->target ? bpf_redirect_map(&cpus, 1, 0) :
				      bpf_redirect_map(&devs, 0, 0);
	default:
		return action;
	}
}

SEC("xdp")
int plain(struct xdp_md *ctx)
{
	return run(ctx, 0);
}

SEC("xdp.frags")
int frags(struct xdp_md *ctx)
{
	return run(ctx, 1);
}

/* The far end of a redirection: count and drop */
SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	count(COUNT_SINK, 1);

	return XDP_DROP;
}

/* What arrives in the stack with the metadata of adjust() */
SEC("tc")
int marked(struct __sk_buff *skb)
{
	__u64 *mark = (void *)(long)skb->data_meta;

	if ((void *)(mark + 1) <= (void *)(long)skb->data && *mark == MARK)
		count(COUNT_MARKED, 1);

	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
