/* SPDX-License-Identifier: GPL-2.0 */
/* What the transmit room offers. */
#ifndef VNET_TX_H
#define VNET_TX_H

#include "vnet.h"
#include "vnet_vq.h"

/**
 * enum vnet_tx_reap - what a completion run may release
 * @VNET_TX_REAP_ALL: packets of the stack, frames of XDP and of AF_XDP
 * @VNET_TX_REAP_SKBS: packets of the stack. netpoll calls with interrupts off,
 *	in the midst of anything: page pools and XDP are not to be touched then.
 */
enum vnet_tx_reap {
	VNET_TX_REAP_ALL,
	VNET_TX_REAP_SKBS,
};

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
void vnet_tx_offer_netmem(struct vnet_dev *vd);
netdev_tx_t vnet_ndo_xmit(struct sk_buff *skb, struct net_device *dev);
void vnet_txq_irq(struct virtqueue *vq);
void vnet_txq_set_orphan(struct vnet_txq *txq, bool on);
bool vnet_txq_reap(struct vnet_txq *txq, int budget, enum vnet_tx_reap what);
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

static inline void vnet_txq_kick(struct vnet_txq *txq)
{
	if (vnet_vq_kick(&txq->q))
		vnet_txs_add(&txq->stats, VNET_TXS_KICKS, 1);
}

/* The header of a slot, for a packet that has no room for one */
static inline struct vnet_hdr *vnet_tx_hdr(const struct vnet_txq *txq, u16 slot)
{
	return txq->mem.hdrs + slot * txq->hdr_ctx.hdr_len;
}

#endif /* VNET_TX_H */
