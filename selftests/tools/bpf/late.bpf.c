// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what the device has put into a receive ring between the driver's last
 * look at it and the end of its reset. The virtio core takes such buffers for
 * unused, so nobody but a probe can tell. Split rings; cloud kernels.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CORE __attribute__((preserve_access_index))

struct vring_used {
	__u16 flags;
	__u16 idx;
} CORE;

struct vring {
	struct vring_used *used;
} CORE;

struct virtqueue {
	unsigned int index;
} CORE;

struct vring_virtqueue_split {
	struct vring vring;
} CORE;

struct vring_virtqueue {
	struct virtqueue vq;
	__u16 last_used_idx;
	struct vring_virtqueue_split split;
} CORE;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);		/* buffers, resets */
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 index, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &index);

	if (value)
		__sync_fetch_and_add(value, n);
}

/* The virtqueue is the first member of the core's. */
SEC("fexit/vp_modern_disable_vq_and_reset")
int BPF_PROG(ring_reset, struct virtqueue *vq)
{
	struct vring_virtqueue *ring = (void *)vq;
	__u16 idx = BPF_CORE_READ(ring, split.vring.used, idx);
	__u16 seen = BPF_CORE_READ(ring, last_used_idx);

	if (BPF_CORE_READ(vq, index) & 1)
		return 0;

	count(0, (__u16)(idx - seen));
	count(1, 1);

	return 0;
}

char _license[] SEC("license") = "GPL";
