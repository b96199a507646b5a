/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the device can do: feature bits, the configuration snapshot, and the
 * resolved capabilities that are all that the driver ever asks.
 */
#ifndef VNET_CAPS_H
#define VNET_CAPS_H

#include <linux/bits.h>
#include <linux/if_ether.h>
#include <linux/netdev_features.h>
#include <linux/types.h>

/*
 * Feature bits (VIRTIO 1.4, 5.1.3 and 6). Our own, because the headers of
 * older kernels know only some of them.
 */
#define VNET_F_CSUM			0
#define VNET_F_GUEST_CSUM		1
#define VNET_F_CTRL_GUEST_OFFLOADS	2
#define VNET_F_MTU			3
#define VNET_F_MAC			5
#define VNET_F_GSO			6	/* legacy only */
#define VNET_F_GUEST_TSO4		7
#define VNET_F_GUEST_TSO6		8
#define VNET_F_GUEST_ECN		9
#define VNET_F_GUEST_UFO		10
#define VNET_F_HOST_TSO4		11
#define VNET_F_HOST_TSO6		12
#define VNET_F_HOST_ECN			13
#define VNET_F_HOST_UFO			14
#define VNET_F_MRG_RXBUF		15
#define VNET_F_STATUS			16
#define VNET_F_CTRL_VQ			17
#define VNET_F_CTRL_RX			18
#define VNET_F_CTRL_VLAN		19
#define VNET_F_CTRL_RX_EXTRA		20
#define VNET_F_GUEST_ANNOUNCE		21
#define VNET_F_MQ			22
#define VNET_F_CTRL_MAC_ADDR		23
#define VNET_F_ANY_LAYOUT		27	/* legacy only */
#define VNET_F_INDIRECT_DESC		28
#define VNET_F_EVENT_IDX		29
#define VNET_F_VERSION_1		32
#define VNET_F_ACCESS_PLATFORM		33
#define VNET_F_RING_PACKED		34
#define VNET_F_IN_ORDER			35
#define VNET_F_ORDER_PLATFORM		36
#define VNET_F_NOTIFICATION_DATA	38
#define VNET_F_RING_RESET		40
#define VNET_F_DEVICE_STATS		50
#define VNET_F_HASH_TUNNEL		51
#define VNET_F_VQ_NOTF_COAL		52
#define VNET_F_NOTF_COAL		53
#define VNET_F_GUEST_USO4		54
#define VNET_F_GUEST_USO6		55
#define VNET_F_HOST_USO			56
#define VNET_F_HASH_REPORT		57
#define VNET_F_GUEST_HDRLEN		59
#define VNET_F_RSS			60
#define VNET_F_RSC_EXT			61
#define VNET_F_STANDBY			62
#define VNET_F_SPEED_DUPLEX		63
#define VNET_F_RSS_CONTEXT		64
#define VNET_F_GUEST_UDP_TUNNEL_GSO	65
#define VNET_F_GUEST_UDP_TUNNEL_GSO_CSUM 66
#define VNET_F_HOST_UDP_TUNNEL_GSO	67
#define VNET_F_HOST_UDP_TUNNEL_GSO_CSUM	68
#define VNET_F_OUT_NET_HEADER		69

#define VNET_FEATURE_BITS		128

/*
 * Bits of the CTRL_GUEST_OFFLOADS command (VIRTIO 1.4, 5.1.9.5.9.1): the
 * number of the feature, except for the two that lie above bit 63.
 */
#define VNET_OFFLOAD_CSUM		BIT_ULL(VNET_F_GUEST_CSUM)
#define VNET_OFFLOAD_TSO4		BIT_ULL(VNET_F_GUEST_TSO4)
#define VNET_OFFLOAD_TSO6		BIT_ULL(VNET_F_GUEST_TSO6)
#define VNET_OFFLOAD_ECN		BIT_ULL(VNET_F_GUEST_ECN)
#define VNET_OFFLOAD_UFO		BIT_ULL(VNET_F_GUEST_UFO)
#define VNET_OFFLOAD_TUNNEL		BIT_ULL(46)
#define VNET_OFFLOAD_TUNNEL_CSUM	BIT_ULL(47)
#define VNET_OFFLOAD_USO4		BIT_ULL(VNET_F_GUEST_USO4)
#define VNET_OFFLOAD_USO6		BIT_ULL(VNET_F_GUEST_USO6)

/* What NETIF_F_GRO_HW switches; the rest is NETIF_F_RXCSUM. */
#define VNET_OFFLOADS_GSO	(VNET_OFFLOAD_TSO4 | VNET_OFFLOAD_TSO6 | \
				 VNET_OFFLOAD_ECN | VNET_OFFLOAD_UFO | \
				 VNET_OFFLOAD_USO4 | VNET_OFFLOAD_USO6 | \
				 VNET_OFFLOAD_TUNNEL | VNET_OFFLOAD_TUNNEL_CSUM)

/* Where the fields of the configuration space are (VIRTIO 1.4, 5.1.4) */
#define VNET_DC_MAC			0
#define VNET_DC_STATUS			6
#define VNET_DC_MAX_PAIRS		8
#define VNET_DC_MTU			10
#define VNET_DC_SPEED			12
#define VNET_DC_DUPLEX			16
#define VNET_DC_RSS_KEY			17
#define VNET_DC_RSS_TABLE		18
#define VNET_DC_HASH_TYPES		20
#define VNET_DC_TUNNEL_TYPES		24
#define VNET_DC_END			28

/* Limits of the configuration space (VIRTIO 1.4, 5.1.4) */
#define VNET_MAX_QUEUE_PAIRS		0x8000
/* More than any transport has interrupts for, and what the core can allocate */
#define VNET_USABLE_PAIRS		0x1000
#define VNET_RSS_MIN_KEY		40
#define VNET_STATUS_LINK_UP		1
#define VNET_STATUS_ANNOUNCE		2
#define VNET_SPEED_MAX			0x7fffffff

/* Hash types (VIRTIO 1.4, 5.1.9.4.3.1) */
#define VNET_HASH_IPV4			BIT(0)
#define VNET_HASH_TCPV4			BIT(1)
#define VNET_HASH_UDPV4			BIT(2)
#define VNET_HASH_IPV6			BIT(3)
#define VNET_HASH_TCPV6			BIT(4)
#define VNET_HASH_UDPV6			BIT(5)
#define VNET_HASH_IP_EX			BIT(6)
#define VNET_HASH_TCP_EX		BIT(7)
#define VNET_HASH_UDP_EX		BIT(8)
#define VNET_HASH_ALL			GENMASK(8, 0)

/* Tunnel types whose inner header can be hashed (VIRTIO 1.4, 5.1.9.4.4) */
#define VNET_TUNNEL_ALL			GENMASK(8, 0)

/**
 * struct vnet_features - a set of feature bits
 * @w: bits 0 to 63, bits 64 to 127
 */
struct vnet_features {
	u64 w[VNET_FEATURE_BITS / 64];
};

static inline bool vnet_features_has(const struct vnet_features *f,
				     unsigned int bit)
{
	return bit < VNET_FEATURE_BITS && (f->w[bit / 64] & BIT_ULL(bit % 64));
}

static inline void vnet_features_set(struct vnet_features *f, unsigned int bit)
{
	if (bit < VNET_FEATURE_BITS)
		f->w[bit / 64] |= BIT_ULL(bit % 64);
}

static inline void vnet_features_clear(struct vnet_features *f,
				       unsigned int bit)
{
	if (bit < VNET_FEATURE_BITS)
		f->w[bit / 64] &= ~BIT_ULL(bit % 64);
}

/**
 * struct vnet_devcfg - one host-endian snapshot of the configuration space
 * @mac: MAC address; valid with MAC
 * @status: %VNET_STATUS_LINK_UP and friends; valid with STATUS
 * @max_queue_pairs: valid with MQ or RSS
 * @mtu: valid with MTU
 * @speed: in Mbit/s, above %VNET_SPEED_MAX when unknown; with SPEED_DUPLEX
 * @duplex: 0 half, 1 full, else unknown; valid with SPEED_DUPLEX
 * @rss_max_key_size: in bytes; valid with RSS or HASH_REPORT
 * @rss_max_indir_len: in entries; valid with RSS
 * @supported_hash_types: VNET_HASH_*; valid with RSS or HASH_REPORT
 * @supported_tunnel_types: valid with HASH_TUNNEL
 * @len: bytes of the space; what lies beyond is not there
 *
 * A field that the device does not have is zero. The configuration space is
 * read into this once; nothing else in the driver looks at it again, except
 * for the status, speed and duplex.
 */
struct vnet_devcfg {
	u8 mac[ETH_ALEN];
	u16 status;
	u16 max_queue_pairs;
	u16 mtu;
	u32 speed;
	u8 duplex;
	u8 rss_max_key_size;
	u16 rss_max_indir_len;
	u32 supported_hash_types;
	u32 supported_tunnel_types;
	u32 len;
};

/**
 * enum vnet_rx_mode - how many buffers one received packet takes
 * @VNET_RX_SMALL: one buffer holds one packet
 * @VNET_RX_MERGEABLE: as many buffers as the header says
 * @VNET_RX_CHAIN: one chain of a head and followers, posted as one buffer
 */
enum vnet_rx_mode {
	VNET_RX_SMALL,
	VNET_RX_MERGEABLE,
	VNET_RX_CHAIN,
};

/**
 * struct vnet_caps - what the device can do, resolved once
 * @features: the negotiated bits this was made from
 * @guest_offloads: VNET_OFFLOAD_* that may be sent to the device; zero when
 *	it takes no such command
 * @stats_types: counters of the device that go with what was negotiated, a bit
 *	per VNET_STATS_*
 * @rx_mode: how received packets are buffered
 * @min_mtu: least MTU
 * @max_mtu: largest MTU
 * @hash_types: VNET_HASH_* that the device calculates
 * @tunnel_types: tunnel types whose inner header it can hash
 * @max_pairs: queue pairs of the device, at least one
 * @rss_indir_len: entries of the largest indirection table, a power of two
 * @rss_key_len: bytes of the largest hash key
 * @hdr_len: bytes of the virtio header: 10, 12, 20, 24 or 32
 * @le: fields are little endian (VERSION_1), else of the guest's endianness
 * @any_layout: the header may share a descriptor with the frame
 * @csum: the device completes checksums
 * @guest_csum: the device may hand over incomplete or validated checksums
 * @guest_gso: the device may hand over packets to be segmented
 * @host_gso: the device segments
 * @tx_tunnel: the device segments inside UDP tunnels
 * @tx_tunnel_csum: and completes their outer checksum
 * @rx_tunnel: the device may hand over UDP tunnel packets to be segmented
 * @rx_tunnel_csum: and ones whose outer checksum is incomplete
 * @guest_hdrlen: the device wants the exact header length
 * @rsc_ext: the device reports how many segments it coalesced
 * @hash_report: the header carries a hash
 * @rss: the device steers by hash
 * @rss_context: the device has more than one RSS context
 * @hash_tunnel: the device can hash inner headers
 * @ctrl_vq: there is a control queue
 * @ctrl_rx: receive modes and the MAC table can be set
 * @ctrl_rx_extra: the finer receive modes can be set
 * @ctrl_vlan: VLAN filters can be set
 * @ctrl_mac: the MAC address can be set by command
 * @ctrl_guest_offloads: receive offloads can be switched
 * @announce: the device may ask for an announcement
 * @mq: the number of queue pairs can be set
 * @notf_coal: notifications can be coalesced per direction
 * @vq_notf_coal: notifications can be coalesced per virtqueue
 * @device_stats: the device keeps counters
 * @mac: the device has a MAC address
 * @mtu: the device has an MTU
 * @status: the device has a link status
 * @standby: the device is the standby of another one
 * @speed_duplex: the device reports speed and duplex
 * @indirect: descriptors can be indirect
 * @event_idx: notifications are suppressed by index
 * @ring_reset: a single virtqueue can be reset, and that is safe
 * @packed: the rings are packed
 * @in_order: buffers are used in order
 * @access_platform: the device's memory accesses go through the platform
 * @order_platform: the device orders its accesses as the platform does
 * @notification_data: notifications carry the state of the ring
 *
 * Const once the device is probed. Nothing else asks for a feature bit.
 */
struct vnet_caps {
	struct vnet_features features;
	u64 guest_offloads;
	u64 stats_types;
	enum vnet_rx_mode rx_mode;
	u32 min_mtu;
	u32 max_mtu;
	u32 hash_types;
	u32 tunnel_types;
	u16 max_pairs;
	u16 rss_indir_len;
	u8 rss_key_len;
	u8 hdr_len;
	bool le;
	bool any_layout;
	bool csum;
	bool guest_csum;
	bool guest_gso;
	bool host_gso;
	bool tx_tunnel;
	bool tx_tunnel_csum;
	bool rx_tunnel;
	bool rx_tunnel_csum;
	bool guest_hdrlen;
	bool rsc_ext;
	bool hash_report;
	bool rss;
	bool rss_context;
	bool hash_tunnel;
	bool ctrl_vq;
	bool ctrl_rx;
	bool ctrl_rx_extra;
	bool ctrl_vlan;
	bool ctrl_mac;
	bool ctrl_guest_offloads;
	bool announce;
	bool mq;
	bool notf_coal;
	bool vq_notf_coal;
	bool device_stats;
	bool mac;
	bool mtu;
	bool status;
	bool standby;
	bool speed_duplex;
	bool indirect;
	bool event_idx;
	bool ring_reset;
	bool packed;
	bool in_order;
	bool access_platform;
	bool order_platform;
	bool notification_data;
};

/**
 * struct vnet_netdev_features - sets of netdev features
 * @hw: what the user may switch (hw_features)
 * @active: what is on at start, fixed features included (features)
 * @vlan: what VLAN devices above inherit (vlan_features)
 * @enc: what holds for encapsulated packets (hw_enc_features)
 */
struct vnet_netdev_features {
	netdev_features_t hw;
	netdev_features_t active;
	netdev_features_t vlan;
	netdev_features_t enc;
};

const unsigned int *vnet_caps_table(bool legacy, unsigned int *nr);
unsigned int vnet_caps_deny(struct vnet_features *f, const char *list,
			    const char * const names[2]);
void vnet_caps_check(struct vnet_features *f, const struct vnet_devcfg *dc,
		     struct vnet_features *cleared);
void vnet_caps_resolve(struct vnet_caps *caps, const struct vnet_features *f,
		       const struct vnet_devcfg *dc);
void vnet_caps_drop_offloads(struct vnet_features *f, bool csum);
void vnet_caps_netdev(const struct vnet_caps *caps,
		      struct vnet_netdev_features *out);
const char *vnet_caps_name(unsigned int bit);

#endif /* VNET_CAPS_H */
