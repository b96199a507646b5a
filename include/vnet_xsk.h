/* SPDX-License-Identifier: GPL-2.0 */
/* What the AF_XDP rooms offer the rooms around it. */
#ifndef VNET_XSK_H
#define VNET_XSK_H

#include <linux/dma-mapping.h>
#include <net/xdp_sock_drv.h>

#include "vnet.h"

/* Make the @len bytes that the device wrote to @buf visible to the CPU. */
static inline void vnet_xsk_sync_for_cpu(const struct vnet_rx_buf *buf, u32 len)
{
	struct xdp_buff_xsk *xskb = container_of(buf->xdp, struct xdp_buff_xsk,
						 xdp);
	u32 back = XDP_PACKET_HEADROOM - buf->headroom;

	dma_sync_single_for_cpu(xskb->pool->dev, xskb->dma - back, len,
				DMA_BIDIRECTIONAL);
}

static inline bool vnet_xsk_has_sg(const struct xsk_buff_pool *pool)
{
	return pool->umem->flags & XDP_UMEM_SG_FLAG;
}

/* the pool */
int vnet_xsk_map(struct vnet_dev *vd, struct xsk_buff_pool *pool,
		 struct netlink_ext_ack *extack);
int vnet_xsk_layout(struct vnet_rx_layout *l, const struct vnet_size_in *in,
		    struct xsk_buff_pool *pool);
void vnet_xsk_abandon(struct vnet_rxq *rxq, struct vnet_txq *txq);
void vnet_xsk_init(struct net_device *dev);
int vnet_ndo_xsk_wakeup(struct net_device *dev, u32 queue, u32 flags);

/* receive */
int vnet_xsk_rxmem_init(struct vnet_rx_mem *mem);
void vnet_xsk_rxmem_exit(struct vnet_rx_mem *mem);
void vnet_xsk_refill(struct vnet_rxq *rxq);
enum vnet_rx_fault vnet_xsk_build_frags(struct vnet_rxq *rxq,
					struct vnet_rx_pkt *pkt);
enum vnet_rx_fault vnet_xsk_pass(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt);
enum vnet_rx_fault vnet_xsk_copy(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt,
				 struct xdp_buff *xdp);
void vnet_xsk_poll(struct vnet_rxq *rxq);

/* transmit */
bool vnet_xsk_tx_fits(u32 ring, bool indirect, struct xsk_buff_pool *pool);
int vnet_xsk_txmem_init(struct vnet_dev *vd, struct xsk_buff_pool *pool,
			u8 hdr_len, struct vnet_tx_mem *mem);
void vnet_xsk_txmem_exit(struct vnet_tx_mem *mem);
bool vnet_xsk_send(struct vnet_txq *txq, u32 budget);
void vnet_xsk_complete(struct vnet_tx_mem *mem);
void vnet_xsk_reclaim(struct vnet_txq *txq, struct vnet_tx_buf *buf);
void vnet_xsk_tx_abandon(struct vnet_tx_mem *mem);
void vnet_xsk_tx_init(struct net_device *dev, bool csum);

#endif /* VNET_XSK_H */
