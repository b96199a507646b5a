/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples for dynamic moderation, taken by the polls. Inline and without any
 * knowledge of the control queue: the decision is carried out by a work of
 * policy/coalesce.c.
 */
#ifndef VNET_DIM_H
#define VNET_DIM_H

#include <linux/dim.h>

#include "vnet.h"

/**
 * struct vnet_coal - when the device notifies; zero of either: at once
 * @packets: after so many packets; zero of a transmit queue means that packets
 *	are orphaned, see struct vnet_txq
 * @usecs: or so many microseconds after the first of them
 */
struct vnet_coal {
	u32 packets;
	u32 usecs;
};

/**
 * struct vnet_coal_queue - coalescing of one virtqueue
 * @coal: what the device was asked for
 * @own: set for this virtqueue; else it follows the global values
 * @adaptive: @dim decides
 * @vq: virtqueue number
 * @events: polls so far
 * @vd: device
 * @dim: dynamic moderation; @dim.work tells the device
 */
struct vnet_coal_queue {
	struct vnet_coal coal;
	bool own;
	bool adaptive;
	u16 vq;
	u16 events;
	struct vnet_dev *vd;
	struct dim dim;
};

static inline void vnet_dim_sample(struct vnet_coal_queue *cq, u64 packets,
				   u64 bytes)
{
	struct dim_sample sample = {};

	dim_update_sample(++cq->events, packets, bytes, &sample);
	vnet_compat_net_dim(&cq->dim, &sample);
}

/* Once per poll that found something, from the NAPI of @rxq. */
static inline void vnet_coalesce_rx_sample(struct vnet_rxq *rxq)
{
	struct vnet_coal_queue *cq = rxq->coal;

	if (!cq || likely(!READ_ONCE(cq->adaptive)))
		return;

	vnet_dim_sample(cq,
			u64_stats_read(&rxq->stats.v[VNET_RXS_PACKETS]),
			u64_stats_read(&rxq->stats.v[VNET_RXS_BYTES]));
}

/* Once per poll that completed something, from the NAPI of @txq. */
static inline void vnet_coalesce_tx_sample(struct vnet_txq *txq)
{
	struct vnet_coal_queue *cq = txq->coal;

	if (!cq || likely(!READ_ONCE(cq->adaptive)))
		return;

	vnet_dim_sample(cq,
			u64_stats_read(&txq->stats.v[VNET_TXS_PACKETS]),
			u64_stats_read(&txq->stats.v[VNET_TXS_BYTES]));
}

#endif /* VNET_DIM_H */
