/* SPDX-License-Identifier: GPL-2.0 */
/* What the XDP room offers the rooms around it. */
#ifndef VNET_XDP_H
#define VNET_XDP_H

#include "vnet.h"

struct vnet_rx_ctx;

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
