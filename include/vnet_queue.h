/* SPDX-License-Identifier: GPL-2.0 */
/* Queues and their places: what it takes to start and stop one; who decides is life. */
#ifndef VNET_QUEUE_H
#define VNET_QUEUE_H

#include "vnet.h"

int vnet_queues_create(struct vnet_dev *vd);
void vnet_queues_destroy(struct vnet_dev *vd);
int vnet_pair_start(struct vnet_dev *vd, u16 i);
void vnet_pair_off(struct vnet_dev *vd, u16 i);
void vnet_pair_forget(struct vnet_dev *vd, u16 i);
bool vnet_pair_reset(struct vnet_dev *vd, u16 i);
void vnet_pair_free(struct vnet_dev *vd, u16 i);
void vnet_pairs_send(struct vnet_dev *vd, u16 from, u16 to, bool on);
void vnet_pairs_drain(struct vnet_dev *vd, u16 from, u16 to);
void vnet_queues_off(struct vnet_dev *vd);
void vnet_queues_reclaim(struct vnet_dev *vd);
u32 vnet_rxq_ring(const struct vnet_rxq *rxq, const struct vnet_cfg *cfg);
u32 vnet_txq_ring(const struct vnet_txq *txq, const struct vnet_cfg *cfg);
int vnet_pair_replace(struct vnet_dev *vd, u16 i, struct vnet_rx_mem *rx,
		      struct vnet_tx_mem *tx);
void vnet_rxq_setup(struct vnet_rxq *rxq);
int vnet_rxq_give(struct vnet_rxq *rxq, struct vnet_rx_mem *mem);
void vnet_rxq_take(struct vnet_rxq *rxq, struct vnet_rx_mem *mem);
bool vnet_rxq_halt(struct vnet_dev *vd, u16 i);
int vnet_vq_restart(struct vnet_dev *vd, u16 index);

/* which CPU serves which queue */
int vnet_vq_irq(struct vnet_dev *vd, unsigned int index);
void vnet_queues_spread(struct vnet_dev *vd);
void vnet_queues_remember(struct vnet_dev *vd, u16 from);
void vnet_queues_unplace(struct vnet_dev *vd);
int vnet_hotplug_init(void);
void vnet_hotplug_exit(void);
int vnet_hotplug_add(struct vnet_dev *vd);
void vnet_hotplug_del(struct vnet_dev *vd);

#endif /* VNET_QUEUE_H */
