/* SPDX-License-Identifier: GPL-2.0 */
/* What the XDP room offers the rooms around it. */
#ifndef VNET_XDP_H
#define VNET_XDP_H

#include "vnet.h"

struct vnet_rx_ctx;

/* What struct vnet_rx_ctx has in @xdp: the poll has redirected packets. */
#define VNET_XDP_FLUSH_REDIRECT		BIT(0)

/**
 * struct vnet_xdp_buff - a packet as XDP sees it, one for all of a poll
 * @xdp: XDP buffer of packets that are no frames of AF_XDP
 * @rxq: queue that the packet came from
 * @prog: its program, or NULL
 */
struct vnet_xdp_buff {
	struct xdp_buff xdp;
	struct vnet_rxq *rxq;
	struct bpf_prog *prog;
};

/* Show @len bytes of @buf, the first one of a packet, as an XDP buffer. */
static __always_inline void vnet_xdp_build_head(const struct vnet_rxq *rxq,
						const struct vnet_rx_buf *buf,
						u32 len, struct xdp_buff *xdp)
{
	xdp->frame_sz = buf->truesize;
	xdp->flags = 0;
	xdp_prepare_buff(xdp, buf->va, buf->headroom + rxq->hdr_len, len, true);
}

/*
 * Note that the packet in @buf, which had @received bytes, is to be sent back as
 * it lies in @xdp: its slot stays away until that was done. Returns false when
 * that cannot be now, or when it is longer than @most.
 */
static __always_inline bool vnet_xdp_back(struct vnet_rxq *rxq,
					  struct vnet_rx_buf *buf,
					  const struct xdp_buff *xdp,
					  u32 received, u32 most)
{
	u32 len = xdp->data_end - xdp->data;
	struct vnet_back *back;

	if (unlikely(rxq->nr_back == VNET_XDP_BULK ||
		     rxq->mem.away >= rxq->mem.most_away ||
		     len > most))
		return false;

	back = &rxq->back[rxq->nr_back++];
	back->buf = buf;
	back->data = xdp->data - xdp->data_hard_start;
	back->len = len;
	back->received = received;
	rxq->mem.away++;

	return true;
}

enum vnet_rx_fault vnet_xdp_redirect_failed(struct vnet_xdp_buff *vxb,
					    struct xdp_buff *xdp,
					    struct vnet_rx_pkt *pkt);
enum vnet_rx_fault vnet_xdp_act(struct vnet_xdp_buff *vxb, struct xdp_buff *xdp,
				struct vnet_rx_pkt *pkt,
				struct vnet_rx_ctx *ctx, u32 act);
enum vnet_rx_fault vnet_xdp_run(struct vnet_xdp_buff *vxb,
				struct vnet_rx_pkt *pkt,
				struct vnet_rx_ctx *ctx);
void vnet_xdp_flush(struct vnet_rxq *rxq, struct vnet_rx_ctx *ctx);
int vnet_xdp_check(const struct vnet_cfg *cfg,
		   const struct vnet_rx_layout *layout, u8 hdr_len,
		   struct netlink_ext_ack *extack);
int vnet_ndo_xdp_xmit(struct net_device *dev, int nr, struct xdp_frame **frames,
		      u32 flags);
void vnet_xdp_init(struct net_device *dev);

#endif /* VNET_XDP_H */
