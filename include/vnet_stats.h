/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every counter of the driver: one enum entry here, one row in the tables of
 * policy/stats.c. Writers count by enum; readers loop over the tables.
 */
#ifndef VNET_STATS_H
#define VNET_STATS_H

#include <linux/u64_stats_sync.h>

#include "vnet_fault.h"

struct net_device;
struct rtnl_link_stats64;
struct vnet_dev;

/**
 * enum vnet_rx_stat - counters of a receive queue
 * @VNET_RXS_PACKETS: packets given to the stack or to AF_XDP, and those with
 *	which a program did what it meant to
 * @VNET_RXS_BYTES: their bytes, Ethernet header included, virtio header not
 * @VNET_RXS_CSUM_UNNECESSARY: checksums that the device has verified
 * @VNET_RXS_CSUM_NONE: packets without any checksum statement
 * @VNET_RXS_COPYBREAK: packets copied out of their buffer
 * @VNET_RXS_GRO_PACKETS: packets that the device delivered merged
 * @VNET_RXS_GRO_BYTES: their bytes
 * @VNET_RXS_GRO_WIRE_PACKETS: segments that they were on the wire
 * @VNET_RXS_GRO_WIRE_BYTES: bytes of those segments, headers repeated
 * @VNET_RXS_XDP_PACKETS: packets that an XDP program has seen
 * @VNET_RXS_XDP_DROPS: packets that it dropped or aborted
 * @VNET_RXS_NR_HOT: entries before this one are counted on the stack of the
 *	poll and folded once, the others where they happen
 * @VNET_RXS_XDP_TX: packets that it sent back
 * @VNET_RXS_XDP_REDIRECTS: packets that it redirected
 * @VNET_RXS_XSK_COPIES: packets copied out of AF_XDP frames for the stack
 * @VNET_RXS_KICKS: notifications sent to the device
 * @VNET_RXS_ALLOC_FAIL: skbs, and pages for buffers, that could not be allocated
 * @VNET_RXS_STARVED: times that the ring could not be filled for want of memory
 * @VNET_RXS_LARGE: packets of more buffers than MAX_SKB_FRAGS
 * @VNET_RXS_FAULT: first of one counter for each enum vnet_rx_fault
 * @VNET_RXS_NR: number of counters
 */
enum vnet_rx_stat {
	VNET_RXS_PACKETS,
	VNET_RXS_BYTES,
	VNET_RXS_CSUM_UNNECESSARY,
	VNET_RXS_CSUM_NONE,
	VNET_RXS_COPYBREAK,
	VNET_RXS_GRO_PACKETS,
	VNET_RXS_GRO_BYTES,
	VNET_RXS_GRO_WIRE_PACKETS,
	VNET_RXS_GRO_WIRE_BYTES,
	VNET_RXS_XDP_PACKETS,
	VNET_RXS_XDP_DROPS,
	VNET_RXS_NR_HOT,
	VNET_RXS_XDP_TX = VNET_RXS_NR_HOT,
	VNET_RXS_XDP_REDIRECTS,
	VNET_RXS_XSK_COPIES,
	VNET_RXS_KICKS,
	VNET_RXS_ALLOC_FAIL,
	VNET_RXS_STARVED,
	VNET_RXS_LARGE,
	VNET_RXS_FAULT,
	VNET_RXS_NR = VNET_RXS_FAULT + VNET_RX_NR_FAULTS,
};

/**
 * enum vnet_tx_stat - counters of a transmit queue
 * @VNET_TXS_PACKETS: packets that the device has completed
 * @VNET_TXS_BYTES: their bytes, Ethernet header included, virtio header not
 * @VNET_TXS_CSUM_NONE: packets sent without checksum offload
 * @VNET_TXS_NEEDS_CSUM: packets whose checksum the device completes
 * @VNET_TXS_GSO_PACKETS: packets that the device segments
 * @VNET_TXS_GSO_BYTES: their bytes
 * @VNET_TXS_GSO_WIRE_PACKETS: segments that they become
 * @VNET_TXS_GSO_WIRE_BYTES: bytes of those segments, headers repeated
 * @VNET_TXS_KICKS: notifications sent to the device
 * @VNET_TXS_STOP: times that the queue was stopped for want of descriptors
 * @VNET_TXS_WAKE: times that it was woken again
 * @VNET_TXS_BUSY: packets handed back to the stack, which queues them again
 * @VNET_TXS_DROPS: packets dropped before they reached the device
 * @VNET_TXS_XDP_TX: frames transmitted for XDP
 * @VNET_TXS_XDP_TX_DROPS: frames that XDP could not transmit
 * @VNET_TXS_XSK: packets transmitted for AF_XDP, short ones copied
 * @VNET_TXS_XSK_DROPS: packets of AF_XDP that could not be transmitted
 * @VNET_TXS_TIMEOUTS: transmit time-outs that the stack reported
 * @VNET_TXS_PURGED: packets given up because the queue went down
 * @VNET_TXS_NR: number of counters
 */
enum vnet_tx_stat {
	VNET_TXS_PACKETS,
	VNET_TXS_BYTES,
	VNET_TXS_CSUM_NONE,
	VNET_TXS_NEEDS_CSUM,
	VNET_TXS_GSO_PACKETS,
	VNET_TXS_GSO_BYTES,
	VNET_TXS_GSO_WIRE_PACKETS,
	VNET_TXS_GSO_WIRE_BYTES,
	VNET_TXS_KICKS,
	VNET_TXS_STOP,
	VNET_TXS_WAKE,
	VNET_TXS_BUSY,
	VNET_TXS_DROPS,
	VNET_TXS_XDP_TX,
	VNET_TXS_XDP_TX_DROPS,
	VNET_TXS_XSK,
	VNET_TXS_XSK_DROPS,
	VNET_TXS_TIMEOUTS,
	VNET_TXS_PURGED,
	VNET_TXS_NR,
};

/**
 * struct vnet_rxq_stats - counters of one receive queue
 * @v: values, by enum vnet_rx_stat
 * @syncp: lets readers see 64 bit values whole on 32 bit machines
 *
 * Written by the NAPI of the queue only (or while NAPI is off).
 */
struct vnet_rxq_stats {
	u64_stats_t v[VNET_RXS_NR];
	struct u64_stats_sync syncp;
};

/**
 * struct vnet_txq_stats - counters of one transmit queue
 * @v: values, by enum vnet_tx_stat
 * @syncp: lets readers see 64 bit values whole on 32 bit machines
 *
 * Written under the xmit lock of the queue only (or while it is off).
 */
struct vnet_txq_stats {
	u64_stats_t v[VNET_TXS_NR];
	struct u64_stats_sync syncp;
};

/*
 * Writers exclude each other as said above. A reader in softirq on the same CPU
 * is excluded here: on 32 bit machines it waits for a writer that has begun.
 */
static inline void vnet_rxs_add(struct vnet_rxq_stats *s,
				enum vnet_rx_stat stat, u32 n)
{
	unsigned long flags = u64_stats_update_begin_irqsave(&s->syncp);

	u64_stats_add(&s->v[stat], n);
	u64_stats_update_end_irqrestore(&s->syncp, flags);
}

static inline void vnet_txs_add(struct vnet_txq_stats *s,
				enum vnet_tx_stat stat, u32 n)
{
	unsigned long flags = u64_stats_update_begin_irqsave(&s->syncp);

	u64_stats_add(&s->v[stat], n);
	u64_stats_update_end_irqrestore(&s->syncp, flags);
}

void vnet_stats_get64(struct net_device *dev, struct rtnl_link_stats64 *tot);
void vnet_stats_set_ops(struct net_device *dev);
int vnet_stats_count(struct vnet_dev *vd);
void vnet_stats_strings(struct vnet_dev *vd, u8 *names);
void vnet_stats_values(struct vnet_dev *vd, u64 *values);

#endif /* VNET_STATS_H */
