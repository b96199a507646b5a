/* SPDX-License-Identifier: GPL-2.0 */
/* What the transmit room offers. */
#ifndef VNET_TX_H
#define VNET_TX_H

#include "vnet.h"

/* Slots that are with the device, now or a moment ago */
static inline u32 vnet_txq_held(const struct vnet_txq *txq)
{
	return txq->mem.slots.nr - READ_ONCE(txq->mem.slots.nr_free);
}

int vnet_txmem_create(struct vnet_txq *txq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_tx_mem *mem);
void vnet_txmem_destroy(struct vnet_tx_mem *mem);
void vnet_txmem_put_aside(struct vnet_tx_mem *mem);
netdev_tx_t vnet_ndo_xmit(struct sk_buff *skb, struct net_device *dev);
void vnet_txq_irq(struct virtqueue *vq);
void vnet_txq_set_orphan(struct vnet_txq *txq, bool on);
int vnet_txq_poll(struct napi_struct *napi, int budget);
u32 vnet_txq_send_frames(struct vnet_txq *txq, struct xdp_frame **frames,
			 u32 nr, bool kick, u32 *lost);
u32 vnet_txq_send_back(struct vnet_txq *txq, const struct vnet_back *back,
		       u32 nr);
void vnet_txq_reclaim(struct virtqueue *vq, void *token);

/* Entries of the ring that packets could be given to; ours takes one for each. */
static __always_inline u32 vnet_txq_free(const struct vnet_txq *txq)
{
	return vnet_vq_own(&txq->q) ? txq->mem.slots.nr_free :
				      txq->q.vq->num_free;
}

#endif /* VNET_TX_H */
