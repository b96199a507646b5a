// SPDX-License-Identifier: GPL-2.0
/*
 * What the device can do: (feature bits, configuration snapshot) to
 * struct vnet_caps to netdev features. The only place that looks at feature
 * bits. Pure: no allocation, no lock, no device.
 */

#include <linux/etherdevice.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "../include/vnet_caps.h"
#include "../include/vnet_compat.h"
#include "../include/vnet_hdr.h"
#include "../include/vnet_wire.h"

#define LO(name)	BIT_ULL(VNET_F_##name)
#define HI(name)	BIT_ULL(VNET_F_##name - 64)

/**
 * struct vnet_feature - what is known about one feature bit
 * @bit: its number
 * @name: its name in the specification, without VIRTIO_F_ and VIRTIO_NET_F_
 * @all: bits that must all be there as well
 * @any: bits of which one must be there as well, if there are any
 * @end: where the last of its fields in the configuration space ends
 */
struct vnet_feature {
	u8 bit;
	const char *name;
	struct vnet_features all;
	struct vnet_features any;
	u8 end;
};

/*
 * VIRTIO 1.4, 5.1.3 and 5.1.3.1. Where the specification says SHOULD (a
 * command without a queue to send it through) it is treated as a must.
 */
static const struct vnet_feature vnet_feature_table[] = {
	/* checksums and segmentation of sent packets */
	{ VNET_F_CSUM, "CSUM" },
	{ VNET_F_GSO, "GSO", .all.w = { LO(CSUM) } },
	{ VNET_F_HOST_TSO4, "HOST_TSO4", .all.w = { LO(CSUM) } },
	{ VNET_F_HOST_TSO6, "HOST_TSO6", .all.w = { LO(CSUM) } },
	{ VNET_F_HOST_ECN, "HOST_ECN",
	  .any.w = { LO(HOST_TSO4) | LO(HOST_TSO6) } },
	{ VNET_F_HOST_UFO, "HOST_UFO", .all.w = { LO(CSUM) } },
	{ VNET_F_HOST_USO, "HOST_USO", .all.w = { LO(CSUM) } },
	{ VNET_F_HOST_UDP_TUNNEL_GSO, "HOST_UDP_TUNNEL_GSO",
	  .all.w = { LO(HOST_TSO4) | LO(HOST_TSO6) | LO(HOST_USO) } },
	{ VNET_F_HOST_UDP_TUNNEL_GSO_CSUM, "HOST_UDP_TUNNEL_GSO_CSUM",
	  .all.w = { 0, HI(HOST_UDP_TUNNEL_GSO) } },
	{ VNET_F_GUEST_HDRLEN, "GUEST_HDRLEN" },
	{ VNET_F_OUT_NET_HEADER, "OUT_NET_HEADER" },

	/* the same for received packets */
	{ VNET_F_GUEST_CSUM, "GUEST_CSUM" },
	{ VNET_F_GUEST_TSO4, "GUEST_TSO4", .all.w = { LO(GUEST_CSUM) } },
	{ VNET_F_GUEST_TSO6, "GUEST_TSO6", .all.w = { LO(GUEST_CSUM) } },
	{ VNET_F_GUEST_ECN, "GUEST_ECN",
	  .any.w = { LO(GUEST_TSO4) | LO(GUEST_TSO6) } },
	{ VNET_F_GUEST_UFO, "GUEST_UFO", .all.w = { LO(GUEST_CSUM) } },
	{ VNET_F_GUEST_USO4, "GUEST_USO4", .all.w = { LO(GUEST_CSUM) } },
	{ VNET_F_GUEST_USO6, "GUEST_USO6", .all.w = { LO(GUEST_CSUM) } },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO, "GUEST_UDP_TUNNEL_GSO",
	  .all.w = { LO(GUEST_TSO4) | LO(GUEST_TSO6) |
		     LO(GUEST_USO4) | LO(GUEST_USO6) } },
	{ VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM, "GUEST_UDP_TUNNEL_GSO_CSUM",
	  .all.w = { 0, HI(GUEST_UDP_TUNNEL_GSO) } },
	{ VNET_F_CTRL_GUEST_OFFLOADS, "CTRL_GUEST_OFFLOADS",
	  .all.w = { LO(CTRL_VQ) } },
	/* HOST is what the specification says. */
	{ VNET_F_RSC_EXT, "RSC_EXT",
	  .any.w = { LO(HOST_TSO4) | LO(HOST_TSO6) } },
	{ VNET_F_MRG_RXBUF, "MRG_RXBUF" },

	/* addresses and filters */
	{ VNET_F_MAC, "MAC", .end = VNET_DC_STATUS },
	{ VNET_F_CTRL_VQ, "CTRL_VQ" },
	{ VNET_F_CTRL_RX, "CTRL_RX", .all.w = { LO(CTRL_VQ) } },
	{ VNET_F_CTRL_RX_EXTRA, "CTRL_RX_EXTRA", .all.w = { LO(CTRL_VQ) } },
	{ VNET_F_CTRL_VLAN, "CTRL_VLAN", .all.w = { LO(CTRL_VQ) } },
	{ VNET_F_CTRL_MAC_ADDR, "CTRL_MAC_ADDR", .all.w = { LO(CTRL_VQ) } },
	{ VNET_F_GUEST_ANNOUNCE, "GUEST_ANNOUNCE", .all.w = { LO(CTRL_VQ) } },

	/* queues and steering */
	{ VNET_F_MQ, "MQ", .all.w = { LO(CTRL_VQ) }, .end = VNET_DC_MTU },
	{ VNET_F_RSS, "RSS", .all.w = { LO(CTRL_VQ) },
	  .end = VNET_DC_TUNNEL_TYPES },
	{ VNET_F_RSS_CONTEXT, "RSS_CONTEXT",
	  .all.w = { LO(CTRL_VQ) | LO(RSS) } },
	{ VNET_F_HASH_REPORT, "HASH_REPORT", .all.w = { LO(CTRL_VQ) },
	  .end = VNET_DC_TUNNEL_TYPES },
	{ VNET_F_HASH_TUNNEL, "HASH_TUNNEL", .all.w = { LO(CTRL_VQ) },
	  .any.w = { LO(RSS) | LO(HASH_REPORT) }, .end = VNET_DC_END },
	{ VNET_F_NOTF_COAL, "NOTF_COAL", .all.w = { LO(CTRL_VQ) } },
	{ VNET_F_VQ_NOTF_COAL, "VQ_NOTF_COAL", .all.w = { LO(CTRL_VQ) } },

	/* the link and the device */
	{ VNET_F_MTU, "MTU", .end = VNET_DC_SPEED },
	{ VNET_F_STATUS, "STATUS", .end = VNET_DC_MAX_PAIRS },
	{ VNET_F_SPEED_DUPLEX, "SPEED_DUPLEX", .end = VNET_DC_RSS_KEY },
	{ VNET_F_STANDBY, "STANDBY", .all.w = { LO(MAC) } },
	{ VNET_F_DEVICE_STATS, "DEVICE_STATS", .all.w = { LO(CTRL_VQ) } },

	/* the transport; left to the virtio core */
	{ VNET_F_ANY_LAYOUT, "ANY_LAYOUT" },
	{ VNET_F_INDIRECT_DESC, "INDIRECT_DESC" },
	{ VNET_F_EVENT_IDX, "EVENT_IDX" },
	{ VNET_F_VERSION_1, "VERSION_1" },
	{ VNET_F_ACCESS_PLATFORM, "ACCESS_PLATFORM" },
	{ VNET_F_RING_PACKED, "RING_PACKED" },
	{ VNET_F_IN_ORDER, "IN_ORDER" },
	{ VNET_F_ORDER_PLATFORM, "ORDER_PLATFORM" },
	{ VNET_F_NOTIFICATION_DATA, "NOTIFICATION_DATA" },
	{ VNET_F_RING_RESET, "RING_RESET" },
};

/*
 * What the driver accepts when it is offered. Not accepted: HOST_UFO, which
 * the stack has no use for.
 *
 * A legacy device is offered the first part of this, a modern one all but the
 * two bits at the start, an older kernel not what it has no room for.
 */
#define VNET_CAPS_NR_LEGACY_ONLY	2
#define VNET_CAPS_NR_LEGACY		23
#define VNET_CAPS_NR_HIGH		6

static const unsigned int vnet_caps_bits[] = {
	VNET_F_GSO,
	VNET_F_ANY_LAYOUT,
	/* both */
	VNET_F_CSUM,
	VNET_F_GUEST_CSUM,
	VNET_F_CTRL_GUEST_OFFLOADS,
	VNET_F_MTU,
	VNET_F_MAC,
	VNET_F_GUEST_TSO4,
	VNET_F_GUEST_TSO6,
	VNET_F_GUEST_ECN,
	VNET_F_GUEST_UFO,
	VNET_F_HOST_TSO4,
	VNET_F_HOST_TSO6,
	VNET_F_HOST_ECN,
	VNET_F_MRG_RXBUF,
	VNET_F_STATUS,
	VNET_F_CTRL_VQ,
	VNET_F_CTRL_RX,
	VNET_F_CTRL_VLAN,
	VNET_F_CTRL_RX_EXTRA,
	VNET_F_GUEST_ANNOUNCE,
	VNET_F_MQ,
	VNET_F_CTRL_MAC_ADDR,
	/* modern */
	VNET_F_DEVICE_STATS,
	VNET_F_HASH_TUNNEL,
	VNET_F_VQ_NOTF_COAL,
	VNET_F_NOTF_COAL,
	VNET_F_GUEST_USO4,
	VNET_F_GUEST_USO6,
	VNET_F_HOST_USO,
	VNET_F_HASH_REPORT,
	VNET_F_GUEST_HDRLEN,
	VNET_F_RSS,
	VNET_F_RSC_EXT,
	VNET_F_STANDBY,
	VNET_F_SPEED_DUPLEX,
	/* above bit 63 */
	VNET_F_RSS_CONTEXT,
	VNET_F_GUEST_UDP_TUNNEL_GSO,
	VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM,
	VNET_F_HOST_UDP_TUNNEL_GSO,
	VNET_F_HOST_UDP_TUNNEL_GSO_CSUM,
	VNET_F_OUT_NET_HEADER,
};

/**
 * vnet_caps_table() - the bits to ask for
 * @legacy: for a device from before VIRTIO 1.0, which has 32 bits
 * @nr: set to their number
 *
 * Return: the bits.
 */
const unsigned int *vnet_caps_table(bool legacy, unsigned int *nr)
{
	if (legacy) {
		*nr = VNET_CAPS_NR_LEGACY;
		return vnet_caps_bits;
	}

	*nr = ARRAY_SIZE(vnet_caps_bits) - VNET_CAPS_NR_LEGACY_ONLY;
	if (VNET_COMPAT_FEATURE_BITS <= 64)
		*nr -= VNET_CAPS_NR_HIGH;

	return vnet_caps_bits + VNET_CAPS_NR_LEGACY_ONLY;
}

/* Without these nothing of the device would be understood, or protected. */
static bool vnet_caps_must_keep(unsigned int bit)
{
	return bit == VNET_F_VERSION_1 || bit == VNET_F_ACCESS_PLATFORM ||
	       bit == VNET_F_ORDER_PLATFORM;
}

/* Is the string @s, from @len bytes of it, the same as @name? */
static bool vnet_caps_is(const char *s, size_t len, const char *name)
{
	return name && strlen(name) == len && !memcmp(s, name, len);
}

/* One item of the list, FEATURE or DEVICE/FEATURE; is there such a feature? */
static bool vnet_caps_deny_item(struct vnet_features *f, const char *item,
				size_t len, const char * const names[2])
{
	const struct vnet_feature *row;
	size_t at = len;
	bool ours;

	while (at && item[at - 1] != '/')
		at--;
	ours = !at || vnet_caps_is(item, at - 1, names[0]) ||
	       vnet_caps_is(item, at - 1, names[1]);

	for (row = vnet_feature_table;
	     row < vnet_feature_table + ARRAY_SIZE(vnet_feature_table); row++) {
		if (!vnet_caps_is(item + at, len - at, row->name))
			continue;
		if (vnet_caps_must_keep(row->bit))
			return false;
		if (ours)
			vnet_features_clear(f, row->bit);
		return true;
	}

	return false;
}

/**
 * vnet_caps_deny() - clear feature bits that the user does not want
 * @f: offered bits
 * @list: FEATURE or DEVICE/FEATURE, separated by commas or lines; or NULL
 * @names: what the device may be called: itself and its parent, or NULL
 *
 * Return: number of items that name no feature, or one that has to stay.
 */
unsigned int vnet_caps_deny(struct vnet_features *f, const char *list,
			    const char * const names[2])
{
	unsigned int bad = 0;
	size_t len;

	while (list && *list) {
		for (len = 0; list[len] && list[len] != ',' &&
		     list[len] != '\n'; len++)
			;
		if (len && !vnet_caps_deny_item(f, list, len, names))
			bad++;
		list += len;
		if (*list)
			list++;
	}

	return bad;
}

/* Whether the configuration space says something that @bit can live with. */
static bool vnet_caps_value_ok(unsigned int bit, const struct vnet_devcfg *dc)
{
	switch (bit) {
	case VNET_F_MAC:
		return is_valid_ether_addr(dc->mac);
	case VNET_F_MTU:
		return dc->mtu >= ETH_MIN_MTU;
	case VNET_F_MQ:
		return dc->max_queue_pairs &&
		       dc->max_queue_pairs <= VNET_USABLE_PAIRS;
	case VNET_F_RSS:
		return dc->max_queue_pairs &&
		       dc->max_queue_pairs <= VNET_USABLE_PAIRS &&
		       dc->rss_max_key_size >= VNET_RSS_MIN_KEY &&
		       dc->supported_hash_types & VNET_HASH_ALL &&
		       dc->rss_max_indir_len;
	case VNET_F_HASH_REPORT:
		return dc->rss_max_key_size >= VNET_RSS_MIN_KEY &&
		       dc->supported_hash_types & VNET_HASH_ALL;
	case VNET_F_HASH_TUNNEL:
		return dc->supported_tunnel_types & VNET_TUNNEL_ALL;
	default:
		return true;
	}
}

static bool vnet_caps_deps_ok(const struct vnet_feature *row,
			      const struct vnet_features *f)
{
	bool want = false, any = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(f->w); i++) {
		if (row->all.w[i] & ~f->w[i])
			return false;
		want |= row->any.w[i];
		any |= row->any.w[i] & f->w[i];
	}

	return any || !want;
}

/**
 * vnet_caps_check() - clear feature bits that cannot be used
 * @f: offered bits; those that lack another bit, or whose configuration value
 *	makes no sense, are cleared until all that is left holds
 * @dc: configuration of the device
 * @cleared: the bits that were cleared
 *
 * A device that offers nonsense is driven without it rather than refused.
 */
void vnet_caps_check(struct vnet_features *f, const struct vnet_devcfg *dc,
		     struct vnet_features *cleared)
{
	const struct vnet_feature *row;
	unsigned int i;
	bool again;

	memset(cleared, 0, sizeof(*cleared));

	/* A pass that goes on has cleared a bit, so there are few. */
	do {
		again = false;
		for (i = 0; i < ARRAY_SIZE(vnet_feature_table); i++) {
			row = &vnet_feature_table[i];
			if (!vnet_features_has(f, row->bit) ||
			    (vnet_caps_deps_ok(row, f) &&
			     row->end <= dc->len &&
			     vnet_caps_value_ok(row->bit, dc)))
				continue;
			vnet_features_clear(f, row->bit);
			vnet_features_set(cleared, row->bit);
			again = true;
		}
	} while (again);
}

/* What the CTRL_GUEST_OFFLOADS command may carry (5.1.9.5.9.1). */
static u64 vnet_caps_offloads(const struct vnet_features *f)
{
	u64 mask = f->w[0] & (VNET_OFFLOAD_CSUM | VNET_OFFLOAD_TSO4 |
			      VNET_OFFLOAD_TSO6 | VNET_OFFLOAD_ECN |
			      VNET_OFFLOAD_UFO | VNET_OFFLOAD_USO4 |
			      VNET_OFFLOAD_USO6);

	if (vnet_features_has(f, VNET_F_GUEST_UDP_TUNNEL_GSO))
		mask |= VNET_OFFLOAD_TUNNEL;
	if (vnet_features_has(f, VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM))
		mask |= VNET_OFFLOAD_TUNNEL_CSUM;

	return mask;
}

static u8 vnet_caps_hdr_len(const struct vnet_features *f)
{
	if (vnet_features_has(f, VNET_F_OUT_NET_HEADER))
		return VNET_HDR_LEN_OUTER;
	if (vnet_features_has(f, VNET_F_GUEST_UDP_TUNNEL_GSO) ||
	    vnet_features_has(f, VNET_F_HOST_UDP_TUNNEL_GSO))
		return VNET_HDR_LEN_TUNNEL;
	if (vnet_features_has(f, VNET_F_HASH_REPORT))
		return VNET_HDR_LEN_HASH;
	if (vnet_features_has(f, VNET_F_VERSION_1) ||
	    vnet_features_has(f, VNET_F_MRG_RXBUF))
		return VNET_HDR_LEN_V1;

	return VNET_HDR_LEN_LEGACY;
}

static enum vnet_rx_mode vnet_caps_rx_mode(const struct vnet_caps *caps)
{
	if (vnet_features_has(&caps->features, VNET_F_MRG_RXBUF))
		return VNET_RX_MERGEABLE;
	if (caps->guest_gso || (caps->mtu && caps->max_mtu > ETH_DATA_LEN))
		return VNET_RX_CHAIN;

	return VNET_RX_SMALL;
}

static void vnet_caps_resolve_offloads(struct vnet_caps *caps,
				       const struct vnet_features *f)
{
	u64 offloads = vnet_caps_offloads(f);

	caps->csum = vnet_features_has(f, VNET_F_CSUM);
	caps->host_gso = f->w[0] & (LO(GSO) | LO(HOST_TSO4) | LO(HOST_TSO6) |
				    LO(HOST_USO));
	caps->tx_tunnel = vnet_features_has(f, VNET_F_HOST_UDP_TUNNEL_GSO);
	caps->tx_tunnel_csum =
		vnet_features_has(f, VNET_F_HOST_UDP_TUNNEL_GSO_CSUM);
	caps->guest_hdrlen = vnet_features_has(f, VNET_F_GUEST_HDRLEN);

	caps->guest_csum = vnet_features_has(f, VNET_F_GUEST_CSUM);
	caps->guest_gso = offloads & VNET_OFFLOADS_GSO;
	caps->rx_tunnel = vnet_features_has(f, VNET_F_GUEST_UDP_TUNNEL_GSO);
	caps->rx_tunnel_csum =
		vnet_features_has(f, VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM);
	caps->rsc_ext = vnet_features_has(f, VNET_F_RSC_EXT) &&
			f->w[0] & (LO(GUEST_TSO4) | LO(GUEST_TSO6));
	caps->ctrl_guest_offloads =
		vnet_features_has(f, VNET_F_CTRL_GUEST_OFFLOADS);
	if (caps->ctrl_guest_offloads)
		caps->guest_offloads = offloads;
}

static void vnet_caps_resolve_queues(struct vnet_caps *caps,
				     const struct vnet_features *f,
				     const struct vnet_devcfg *dc)
{
	caps->mq = vnet_features_has(f, VNET_F_MQ);
	caps->rss = vnet_features_has(f, VNET_F_RSS);
	caps->rss_context = vnet_features_has(f, VNET_F_RSS_CONTEXT);
	caps->hash_report = vnet_features_has(f, VNET_F_HASH_REPORT);
	caps->hash_tunnel = vnet_features_has(f, VNET_F_HASH_TUNNEL);
	caps->notf_coal = vnet_features_has(f, VNET_F_NOTF_COAL);
	caps->vq_notf_coal = vnet_features_has(f, VNET_F_VQ_NOTF_COAL);

	caps->max_pairs = 1;
	if (caps->mq || caps->rss)
		caps->max_pairs = clamp_t(u32, dc->max_queue_pairs, 1,
					  VNET_USABLE_PAIRS);
	if (caps->rss)
		caps->rss_indir_len =
			rounddown_pow_of_two(dc->rss_max_indir_len);
	if (caps->rss || caps->hash_report) {
		caps->rss_key_len = dc->rss_max_key_size;
		caps->hash_types = dc->supported_hash_types & VNET_HASH_ALL;
	}
	if (caps->hash_tunnel)
		caps->tunnel_types = dc->supported_tunnel_types &
				     VNET_TUNNEL_ALL;
}

static void vnet_caps_resolve_ctrl(struct vnet_caps *caps,
				   const struct vnet_features *f)
{
	caps->ctrl_vq = vnet_features_has(f, VNET_F_CTRL_VQ);
	caps->ctrl_rx = vnet_features_has(f, VNET_F_CTRL_RX);
	caps->ctrl_rx_extra = vnet_features_has(f, VNET_F_CTRL_RX_EXTRA);
	caps->ctrl_vlan = vnet_features_has(f, VNET_F_CTRL_VLAN);
	caps->ctrl_mac = vnet_features_has(f, VNET_F_CTRL_MAC_ADDR);
	caps->device_stats = vnet_features_has(f, VNET_F_DEVICE_STATS);
	/* The request to announce is a bit of the status. */
	caps->announce = vnet_features_has(f, VNET_F_GUEST_ANNOUNCE) &&
			 vnet_features_has(f, VNET_F_STATUS);
}

/* Counters that go with a feature are not to be asked for without it. */
static u64 vnet_caps_stats_types(const struct vnet_features *f)
{
	u64 types = VNET_STATS_RX_TYPES | VNET_STATS_TX_TYPES |
		    VNET_STATS_CVQ_TYPES;

	if (!vnet_features_has(f, VNET_F_GUEST_CSUM))
		types &= ~BIT_ULL(VNET_STATS_RX_CSUM);
	if (!(f->w[0] & (LO(GUEST_TSO4) | LO(GUEST_TSO6))))
		types &= ~BIT_ULL(VNET_STATS_RX_GSO);
	if (!vnet_features_has(f, VNET_F_CSUM))
		types &= ~BIT_ULL(VNET_STATS_TX_CSUM);
	if (!(f->w[0] & (LO(HOST_TSO4) | LO(HOST_TSO6) | LO(HOST_USO))))
		types &= ~BIT_ULL(VNET_STATS_TX_GSO);

	return types;
}

static void vnet_caps_resolve_ring(struct vnet_caps *caps,
				   const struct vnet_features *f)
{
	caps->le = vnet_features_has(f, VNET_F_VERSION_1);
	caps->any_layout = caps->le || vnet_features_has(f, VNET_F_ANY_LAYOUT);
	caps->indirect = vnet_features_has(f, VNET_F_INDIRECT_DESC);
	caps->event_idx = vnet_features_has(f, VNET_F_EVENT_IDX);
	/*
	 * The core takes the buffers back in a reset of one ring, and stops the
	 * kernel when a device that lied about its order made that not add up.
	 */
	caps->ring_reset = vnet_features_has(f, VNET_F_RING_RESET) &&
			   !vnet_features_has(f, VNET_F_IN_ORDER);
	caps->packed = vnet_features_has(f, VNET_F_RING_PACKED);
	caps->in_order = vnet_features_has(f, VNET_F_IN_ORDER);
	caps->access_platform = vnet_features_has(f, VNET_F_ACCESS_PLATFORM);
	caps->order_platform = vnet_features_has(f, VNET_F_ORDER_PLATFORM);
	caps->notification_data =
		vnet_features_has(f, VNET_F_NOTIFICATION_DATA);
}

/**
 * vnet_caps_resolve() - turn feature bits into capabilities
 * @caps: capabilities to fill
 * @f: negotiated bits, after vnet_caps_check()
 * @dc: configuration of the device
 */
void vnet_caps_resolve(struct vnet_caps *caps, const struct vnet_features *f,
		       const struct vnet_devcfg *dc)
{
	memset(caps, 0, sizeof(*caps));
	caps->features = *f;

	caps->mac = vnet_features_has(f, VNET_F_MAC);
	caps->mtu = vnet_features_has(f, VNET_F_MTU);
	caps->status = vnet_features_has(f, VNET_F_STATUS);
	caps->standby = vnet_features_has(f, VNET_F_STANDBY);
	caps->speed_duplex = vnet_features_has(f, VNET_F_SPEED_DUPLEX);
	caps->min_mtu = ETH_MIN_MTU;
	caps->max_mtu = caps->mtu ? dc->mtu : ETH_MAX_MTU;
	caps->hdr_len = vnet_caps_hdr_len(f);

	vnet_caps_resolve_ring(caps, f);
	vnet_caps_resolve_offloads(caps, f);
	vnet_caps_resolve_queues(caps, f, dc);
	vnet_caps_resolve_ctrl(caps, f);
	if (caps->device_stats)
		caps->stats_types = vnet_caps_stats_types(f);
	caps->rx_mode = vnet_caps_rx_mode(caps);
}

/* Segmentation that the device does. */
static netdev_features_t vnet_caps_tso(const struct vnet_features *f)
{
	netdev_features_t tso = 0;

	if (vnet_features_has(f, VNET_F_GSO))
		tso |= NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN;
	if (vnet_features_has(f, VNET_F_HOST_TSO4))
		tso |= NETIF_F_TSO;
	if (vnet_features_has(f, VNET_F_HOST_TSO6))
		tso |= NETIF_F_TSO6;
	if (vnet_features_has(f, VNET_F_HOST_ECN))
		tso |= NETIF_F_TSO_ECN;
	if (vnet_features_has(f, VNET_F_HOST_USO))
		tso |= NETIF_F_GSO_UDP_L4;

	return tso;
}

/**
 * vnet_caps_drop_offloads() - do without what a device does to received packets
 * @f: features to negotiate
 * @csum: checksums too, not only merged packets
 */
void vnet_caps_drop_offloads(struct vnet_features *f, bool csum)
{
	static const unsigned int gso[] = {
		VNET_F_GUEST_TSO4, VNET_F_GUEST_TSO6, VNET_F_GUEST_ECN,
		VNET_F_GUEST_UFO, VNET_F_GUEST_USO4, VNET_F_GUEST_USO6,
		VNET_F_GUEST_UDP_TUNNEL_GSO, VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gso); i++)
		vnet_features_clear(f, gso[i]);
	if (csum)
		vnet_features_clear(f, VNET_F_GUEST_CSUM);
}

/**
 * vnet_caps_netdev() - turn capabilities into netdev features
 * @caps: capabilities
 * @out: netdev features to fill
 *
 * Scatter-gather needs no feature: what a device without CSUM should not get in
 * several descriptors is put into one on the way (vnet_txq_setup()).
 * Receive offloads can always be switched: by a command, or on a device without
 * it by negotiating anew (vnet_caps_drop_offloads()).
 */
void vnet_caps_netdev(const struct vnet_caps *caps,
		      struct vnet_netdev_features *out)
{
	netdev_features_t tx = NETIF_F_SG, tunnel = 0, rx = 0;

	if (caps->csum)
		tx |= NETIF_F_HW_CSUM;
	tx |= vnet_caps_tso(&caps->features);
	if (caps->tx_tunnel)
		tunnel |= NETIF_F_GSO_UDP_TUNNEL;
	if (caps->tx_tunnel_csum)
		tunnel |= NETIF_F_GSO_UDP_TUNNEL_CSUM;

	if (caps->guest_csum)
		rx |= NETIF_F_RXCSUM;
	if (caps->hash_report)
		rx |= NETIF_F_RXHASH;

	out->hw = tx | tunnel | rx;
	if (caps->guest_gso)
		out->hw |= NETIF_F_GRO_HW;
	out->active = out->hw | NETIF_F_HIGHDMA | NETIF_F_GSO_ROBUST;
	if (caps->ctrl_vlan)
		out->active |= NETIF_F_HW_VLAN_CTAG_FILTER;

	out->vlan = tx | tunnel | NETIF_F_HIGHDMA;
	out->enc = tunnel ? tx | tunnel : 0;
}

/**
 * vnet_caps_name() - name of a feature bit
 * @bit: any number
 *
 * Return: its name in the specification, or "?".
 */
const char *vnet_caps_name(unsigned int bit)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vnet_feature_table); i++)
		if (vnet_feature_table[i].bit == bit)
			return vnet_feature_table[i].name;

	return "?";
}
