/* SPDX-License-Identifier: GPL-2.0 */
/* What the room of receive buffers offers. */
#ifndef VNET_RXBUF_H
#define VNET_RXBUF_H

#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "vnet.h"

/* Slots that are with the device, or with the twin of the queue; may be stale */
static inline u32 vnet_rxq_held(const struct vnet_rxq *rxq)
{
	return rxq->mem.slots.nr - READ_ONCE(rxq->mem.slots.nr_free);
}

/*
 * Has the ring not been filled for want of memory? That of a provider is not the
 * system's: its user gives it back when he likes.
 */
static inline bool vnet_rxq_starved(const struct vnet_rxq *rxq)
{
	return READ_ONCE(rxq->starved) && !rxq->mem.niovs;
}

/* Where the device writes in @buf, as bytes from the start of its page */
static inline u32 vnet_rxbuf_offset(const struct vnet_rx_buf *buf)
{
	return buf->va - page_address(buf->page) + buf->headroom;
}

/*
 * Does the mapping of buffers need syncing? To be asked before any of those
 * that were mapped since is looked at: a mapping may turn a "no" into a "yes".
 */
static inline void vnet_rxmem_look(struct vnet_rxq *rxq)
{
	rxq->mem.sync = rxq->mem.dma && dma_dev_need_sync(rxq->vd->dma_dev);
}

void vnet_rxmem_size_in(const struct vnet_caps *caps,
			const struct vnet_cfg *cfg, struct vnet_size_in *in);
int vnet_rxmem_create(struct vnet_rxq *rxq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_rx_mem *mem);
void vnet_rxmem_serve(struct vnet_rxq *rxq);
void vnet_rxmem_retire(struct vnet_rx_mem *mem);
void vnet_rxmem_destroy(struct vnet_rx_mem *mem);
void vnet_rxbuf_refill(struct vnet_rxq *rxq, gfp_t gfp);
void vnet_rxbuf_adapt(struct vnet_rxq *rxq);
void vnet_rxbuf_reclaim(struct virtqueue *vq, void *token);
void vnet_rxbuf_starved(struct timer_list *timer);

#endif /* VNET_RXBUF_H */
