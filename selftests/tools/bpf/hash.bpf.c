// SPDX-License-Identifier: GPL-2.0
/* What the driver tells a program about the hash of a packet. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum xdp_rss_hash_type;

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) __ksym;

/* answers, refusals, the last hash, its type, the last error */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} hashes SEC(".maps");

static __always_inline void put(__u32 index, __u64 n, int add)
{
	__u64 *value = bpf_map_lookup_elem(&hashes, &index);

	if (value)
		*value = n + (add ? *value : 0);
}

SEC("xdp.frags")
int hash(struct xdp_md *ctx)
{
	__u32 value = 0, type = 0;
	int err;

	/* The header in front of the packet is gone when the hash is asked for. */
	if (bpf_xdp_adjust_head(ctx, -64) || bpf_xdp_adjust_head(ctx, 64))
		return XDP_DROP;

	err = bpf_xdp_metadata_rx_hash(ctx, &value, (void *)&type);
	put(err ? 1 : 0, 1, 1);
	put(2, value, 0);
	put(3, type, 0);
	put(4, -err, 0);

	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
