// SPDX-License-Identifier: GPL-2.0
/* Any feature bits and configuration, and the buffers that follow from them. */

#include "shim.h"

#include "../policy/caps.c"
#include "../include/vnet_size.h"

static void size(struct fuzz_input *in, const struct vnet_caps *caps)
{
	struct vnet_rx_layout l;
	struct vnet_size_in s = {
		.mode = caps->rx_mode,
		.hdr_len = caps->hdr_len,
		.dev_mtu = caps->mtu ? caps->max_mtu : 0,
		.guest_gso = caps->guest_gso,
		.any_layout = caps->any_layout,
		.indirect = caps->indirect,
	};
	u8 frame[32], linear;
	u32 room;

	fuzz_take(in, &s.mtu, sizeof(s.mtu));
	fuzz_take(in, &s.max_buf, sizeof(s.max_buf));
	fuzz_take(in, &s.avg_len, sizeof(s.avg_len));
	s.xdp = fuzz_byte(in) & 1;
	s.ring = fuzz_byte(in) & 63;
	if (fuzz_byte(in) & 3) {	/* mostly values that can be */
		s.mtu %= 65536;
		s.max_buf = 2048u << s.max_buf % 5;
	}
	fuzz_take(in, frame, sizeof(frame));
	linear = fuzz_byte(in) % (sizeof(frame) + 1);
	assert(vnet_size_too_long(9000, frame, linear, 9009));
	assert(!vnet_size_too_long(9000, frame, linear, 9000));
	if (vnet_size_rx_layout(&l, &s))
		return;

	room = l.buf_len - s.hdr_len;
	assert(l.headroom + l.buf_len + l.tailroom == l.truesize);
	assert(l.truesize <= VNET_SIZE_BUF_MAX && room >= 1518);
	assert(l.nr_frags <= l.max_frags && l.max_frags <= MAX_SKB_FRAGS);
	assert(!l.nr_frags || !s.ring || l.max_frags < s.ring);
	assert(vnet_size_rx_ring_min(&l, &s) <= 64);
	if (s.mode == VNET_RX_SMALL)
		assert(room >= s.mtu);
	if (s.mode == VNET_RX_CHAIN)
		assert(room + l.nr_frags * l.frag_size >=
		       (s.guest_gso ? 65575 : s.mtu));
}

int FUZZ_TARGET(const u8 *data, size_t len)
{
	struct vnet_features f, before, cleared;
	struct fuzz_input in = { data, len };
	struct vnet_netdev_features nf;
	struct vnet_devcfg dc;
	struct vnet_caps caps;

	fuzz_take(&in, &before, sizeof(before));
	fuzz_take(&in, &dc, sizeof(dc));

	f = before;
	vnet_caps_check(&f, &dc, &cleared);
	assert((f.w[0] | cleared.w[0]) == before.w[0]);
	assert((f.w[1] | cleared.w[1]) == before.w[1]);
	vnet_caps_check(&f, &dc, &cleared);
	assert(!cleared.w[0] && !cleared.w[1]);

	vnet_caps_resolve(&caps, &f, &dc);
	assert(caps.max_pairs && caps.max_pairs <= VNET_MAX_QUEUE_PAIRS);
	assert(caps.max_mtu >= caps.min_mtu);
	assert(!caps.rss || (caps.rss_indir_len && caps.rss_key_len >= 40));
	vnet_caps_netdev(&caps, &nf);
	assert(!((nf.hw | nf.vlan | nf.enc) & ~nf.active));

	size(&in, &caps);

	return 0;
}
