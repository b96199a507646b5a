/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples for dynamic moderation, taken by the polls. Inline and without any
 * knowledge of the control queue: the decision is carried out by a work of
 * policy/coalesce.c.
 */
#ifndef VNET_DIM_H
#define VNET_DIM_H

#include "vnet.h"

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
