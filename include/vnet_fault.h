/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Why a received packet did not reach the stack. One reason per packet, one
 * counter per reason: the sum of all of them and of the delivered packets is
 * the number of packets that the device handed over.
 */
#ifndef VNET_FAULT_H
#define VNET_FAULT_H

#include <net/dropreason-core.h>

/**
 * enum vnet_rx_fault - outcome of receiving one packet
 * @VNET_RX_OK: the packet is sound
 * @VNET_RX_EMPTY: no packet; nothing is accounted
 * @VNET_RX_RUNT: used length shorter than the virtio and Ethernet headers
 * @VNET_RX_OVERRUN: used length above the size of the buffer
 * @VNET_RX_BAD_CHAIN: a buffer count of zero or above what any packet needs,
 *	or a completion for a buffer that the device does not own
 * @VNET_RX_MISSING: fewer buffers completed than the header claims
 * @VNET_RX_BAD_CSUM: checksum offsets outside of the packet or impossible
 * @VNET_RX_BAD_GSO: segmentation type, size or headers that do not fit
 * @VNET_RX_BAD_TUNNEL: tunnel bits not negotiated, or offsets out of order
 * @VNET_RX_NOMEM: no memory for the skb or for a replacement buffer
 * @VNET_RX_XDP_ABORTED: the XDP program failed or returned an unknown action
 * @VNET_RX_XDP_TX: XDP_TX found no room or the frame cannot be sent
 * @VNET_RX_XDP_REDIRECT: XDP_REDIRECT failed
 * @VNET_RX_XDP_BAD: the packet cannot be shown to an XDP program
 * @VNET_RX_UNREADABLE: data in memory of a provider, and no checksum statement
 * @VNET_RX_PURGED: discarded with its ring (down, resize, reset)
 * @VNET_RX_NR_FAULTS: number of outcomes
 */
enum vnet_rx_fault {
	VNET_RX_OK = 0,
	VNET_RX_EMPTY,
	VNET_RX_RUNT,
	VNET_RX_OVERRUN,
	VNET_RX_BAD_CHAIN,
	VNET_RX_MISSING,
	VNET_RX_BAD_CSUM,
	VNET_RX_BAD_GSO,
	VNET_RX_BAD_TUNNEL,
	VNET_RX_NOMEM,
	VNET_RX_XDP_ABORTED,
	VNET_RX_XDP_TX,
	VNET_RX_XDP_REDIRECT,
	VNET_RX_XDP_BAD,
	VNET_RX_UNREADABLE,
	VNET_RX_PURGED,
	VNET_RX_NR_FAULTS
};

/* The faults proper: what a counter exists for. */
#define VNET_RX_FAULT_FIRST	VNET_RX_RUNT

/**
 * struct vnet_rx_fault_desc - how a fault is shown
 * @name: name of the counter, without prefix; %NULL when there is none
 * @reason: drop reason given to the stack when an skb is freed for it
 */
struct vnet_rx_fault_desc {
	const char *name;
	enum skb_drop_reason reason;
};

static const struct vnet_rx_fault_desc
vnet_rx_faults[VNET_RX_NR_FAULTS] __maybe_unused = {
	[VNET_RX_OK]		= { NULL, SKB_NOT_DROPPED_YET },
	[VNET_RX_EMPTY]		= { NULL, SKB_NOT_DROPPED_YET },
	[VNET_RX_RUNT]		= { "runt", SKB_DROP_REASON_PKT_TOO_SMALL },
	[VNET_RX_OVERRUN]	= { "overrun", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_BAD_CHAIN]	= { "bad_chain", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_MISSING]	= { "missing", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_BAD_CSUM]	= { "bad_csum", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_BAD_GSO]	= { "bad_gso", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_BAD_TUNNEL]	= { "bad_tunnel", SKB_DROP_REASON_DEV_HDR },
	[VNET_RX_NOMEM]		= { "nomem", SKB_DROP_REASON_NOMEM },
	[VNET_RX_XDP_ABORTED]	= { "xdp_aborted", SKB_DROP_REASON_XDP },
	[VNET_RX_XDP_TX]	= { "xdp_tx_err", SKB_DROP_REASON_XDP },
	[VNET_RX_XDP_REDIRECT]	= { "xdp_redirect_err", SKB_DROP_REASON_XDP },
	[VNET_RX_XDP_BAD]	= { "xdp_bad", SKB_DROP_REASON_XDP },
	[VNET_RX_UNREADABLE]	= { "unreadable", SKB_DROP_REASON_SKB_CSUM },
	[VNET_RX_PURGED]	= { "purged", SKB_DROP_REASON_QUEUE_PURGE },
};

#endif /* VNET_FAULT_H */
