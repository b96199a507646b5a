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

#ifdef VNET_HAVE_QUEUE_CONFIG

#include <net/netdev_queues.h>

/* Has a provider asked for the memory of receive queue @i? Instance lock. */
static inline bool vnet_niov_bound(const struct vnet_dev *vd, u16 i)
{
	return netif_rxq_has_unreadable_mp(vd->dev, i);
}

u32 vnet_niov_size(const struct vnet_dev *vd, u16 i);
struct device *vnet_niov_dma_dev(struct vnet_dev *vd);
int vnet_niov_create(struct vnet_rxq *rxq, struct vnet_rx_mem *mem, u32 slots);
bool vnet_niov_alloc(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		     gfp_t gfp);
void vnet_niov_free(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		    bool direct);
void vnet_niov_sync(const struct vnet_rx_mem *mem,
		    const struct vnet_rx_buf *buf, u32 len);

#else /* 7.0: receive queues are configured one by one */

static inline bool vnet_niov_bound(const struct vnet_dev *vd, u16 i)
{
	return false;
}

static inline u32 vnet_niov_size(const struct vnet_dev *vd, u16 i)
{
	return 0;
}

static inline int vnet_niov_create(struct vnet_rxq *rxq,
				   struct vnet_rx_mem *mem, u32 slots)
{
	return 0;
}

static inline bool vnet_niov_alloc(struct vnet_rx_mem *mem,
				   struct vnet_rx_buf *buf, gfp_t gfp)
{
	return false;
}

static inline void vnet_niov_free(struct vnet_rx_mem *mem,
				  struct vnet_rx_buf *buf, bool direct)
{
}

static inline void vnet_niov_sync(const struct vnet_rx_mem *mem,
				  const struct vnet_rx_buf *buf, u32 len)
{
}

#endif

/* Is any queue in use bound to a provider? Instance lock. */
static inline bool vnet_niov_any(const struct vnet_dev *vd)
{
	u16 i;

	for (i = 0; i < vd->cfg.pairs; i++)
		if (vnet_niov_bound(vd, i))
			return true;

	return false;
}

#endif /* VNET_NIOV_H */
