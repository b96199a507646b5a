/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Receive buffers in memory of a provider: io_uring zero copy, dma-bufs. The CPU
 * has no address of such memory, and the kernel no pages; its pieces (struct
 * net_iov) are what a chain has behind its head. docs/memory.rst.
 *
 * A buffer in it has no @va.
 */
#ifndef VNET_NIOV_H
#define VNET_NIOV_H

#include "vnet.h"

/**
 * vnet_niov_size() - how large the pieces of a queue's provider are
 * @vd: device
 * @i: receive queue
 *
 * Context: instance lock held.
 * Return: bytes, a power of two, or 0 without a provider.
 */
static inline u32 vnet_niov_size(const struct vnet_dev *vd, u16 i)
{
	return vnet_compat_rx_page_size(vd->dev, i);
}

/* Is any queue in use bound to a provider? Instance lock. */
static inline bool vnet_niov_any(const struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->cfg.pairs; i++)
		if (vnet_niov_size(vd, i))
			return true;

	return false;
}

struct device *vnet_niov_dma_dev(struct vnet_dev *vd);
int vnet_niov_create(struct vnet_rxq *rxq, struct vnet_rx_mem *mem, u32 slots);
bool vnet_niov_alloc(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		     gfp_t gfp);
void vnet_niov_free(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		    bool direct);
void vnet_niov_sync(const struct vnet_rx_mem *mem,
		    const struct vnet_rx_buf *buf, u32 len);

#endif /* VNET_NIOV_H */
