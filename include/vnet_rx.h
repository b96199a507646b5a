/* SPDX-License-Identifier: GPL-2.0 */
/* What the receive room offers. */
#ifndef VNET_RX_H
#define VNET_RX_H

#include "vnet.h"

/**
 * struct vnet_rx_ctx - state of one receive poll
 * @budget: packets that may be handled
 * @pkts: packets handled
 * @xdp: what the flush at the end has to do, bits of vnet_xdp.c
 * @hot: counters to fold into the queue's once, by enum vnet_rx_stat
 */
struct vnet_rx_ctx {
	u32 budget;
	u32 pkts;
	u32 xdp;
	u32 hot[VNET_RXS_NR_HOT];
};

/* Where the device wrote piece @i of a packet; past the virtio header. */
static inline void *vnet_rx_data(const struct vnet_rxq *rxq,
				 const struct vnet_rx_pkt *pkt, u16 i)
{
	const struct vnet_rx_buf *buf = pkt->bufs[i];

	return buf->va + buf->headroom + (i ? 0 : rxq->hdr_len);
}

void vnet_rxq_irq(struct virtqueue *vq);
int vnet_rxq_poll(struct napi_struct *napi, int budget);
void vnet_rxq_purge(struct vnet_rxq *rxq);

#endif /* VNET_RX_H */
