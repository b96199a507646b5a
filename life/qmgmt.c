// SPDX-License-Identifier: GPL-2.0
/*
 * Receive queues one by one, for the core: memory providers have a queue started
 * anew with other memory, while all others go on.
 */
#include <linux/dma-mapping.h>
#include <linux/ethtool.h>
#include <linux/log2.h>

#include "vnet.h"
#include "vnet_niov.h"
#include "vnet_qmgmt.h"
#include "vnet_queue.h"
#include "vnet_rxbuf.h"

/*
 * The queue gets no memory without its provider, who cannot be asked to stay. It
 * stays down until recovery finds some.
 */
static int vnet_qmgmt_give_up(struct vnet_dev *vd, u16 i)
{
	struct vnet_rx_mem old;

	vnet_life_pause_rx(vd, i);
	if (vd->life.have != VNET_LIFE_STUCK) {
		vnet_rxq_take(&vd->rxqs[i], &old);
		vnet_rxmem_destroy(&old);
	}
	if (vnet_life_settle(vd))
		vnet_life_later(vd);

	return -ENETDOWN;
}

/* Memory for the queue as it is to be: the core knows of its provider already. */
static int vnet_qmgmt_mem_alloc(struct net_device *dev,
				struct netdev_queue_config *qcfg, void *mem,
				int i)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rxq *rxq = &vd->rxqs[i];
	int err;

	err = vnet_rxmem_create(rxq, &vd->caps, &vd->cfg,
				vnet_rxq_ring(rxq, &vd->cfg), mem);
	if (err && rxq->mem.niovs && !vnet_niov_size(vd, i))
		return vnet_qmgmt_give_up(vd, i);

	return err;
}

static void vnet_qmgmt_mem_free(struct net_device *dev, void *mem)
{
	vnet_rxmem_destroy(mem);
}

/* Nothing of the queue's memory is with the device afterwards, or it stays there. */
static int vnet_qmgmt_stop(struct net_device *dev, void *mem, int i)
{
	struct vnet_dev *vd = netdev_priv(dev);

	vnet_life_pause_rx(vd, i);
	if (vd->life.have == VNET_LIFE_STUCK)
		return -ENETDOWN;

	vnet_rxq_take(&vd->rxqs[i], mem);

	return 0;
}

/* What fails once the queue has its memory is for recovery. */
static int vnet_qmgmt_start(struct net_device *dev,
			    struct netdev_queue_config *qcfg, void *mem, int i)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rx_mem *new = mem;
	int err;

	if (new->bufs) {
		err = vnet_rxq_give(&vd->rxqs[i], new);
		if (err)
			return err;
	}
	if (vnet_life_settle(vd))
		vnet_life_later(vd);
	/* The device took the queue away while a provider had it. */
	if (i >= vd->cfg.pairs)
		queue_work(system_long_wq, &vd->pairs_work);

	return 0;
}

static void vnet_qmgmt_default(struct net_device *dev,
			       struct netdev_queue_config *qcfg)
{
	qcfg->rx_page_size = PAGE_SIZE;
}

/* Can a queue of the device have memory like this, and a provider at all? */
static int vnet_qmgmt_validate(struct net_device *dev,
			       struct netdev_queue_config *qcfg,
			       struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_rx_layout layout;
	struct vnet_size_in in;

	if (!is_power_of_2(qcfg->rx_page_size) ||
	    qcfg->rx_page_size < PAGE_SIZE ||
	    qcfg->rx_page_size > VNET_SIZE_BUF_MAX) {
		NL_SET_ERR_MSG_FMT(extack,
				   "pages of a receive queue are a power of two from %lu to %u bytes",
				   PAGE_SIZE, VNET_SIZE_BUF_MAX);
		return -ERANGE;
	}
	if (!vnet_niov_any(vd))
		return 0;

	if (!vnet_niov_dma_dev(vd)) {
		NL_SET_ERR_MSG(extack,
			       "the device takes addresses that the memory cannot be mapped to");
		return -EOPNOTSUPP;
	}
	if (!vd->cfg.rx_csum || !vd->caps.guest_csum) {
		NL_SET_ERR_MSG(extack,
			       "nobody could verify checksums of memory that only its provider can read: 'ethtool -K rx on'");
		return -EOPNOTSUPP;
	}

	vnet_rxmem_size_in(&vd->caps, &vd->cfg, &in);
	in.piece = qcfg->rx_page_size;
	in.ring = vnet_rxq_ring(&vd->rxqs[0], &vd->cfg);
	if (vnet_size_rx_layout(&layout, &in)) {
		NL_SET_ERR_MSG_FMT(extack,
				   "a packet takes more than %u pages of %u bytes, or than the ring has",
				   (u32)MAX_SKB_FRAGS, qcfg->rx_page_size);
		return -E2BIG;
	}

	return 0;
}

static struct device *vnet_qmgmt_dma_dev(struct net_device *dev, int i)
{
	return vnet_niov_dma_dev(netdev_priv(dev));
}

static const struct vnet_compat_queue_ops vnet_qmgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct vnet_rx_mem),
	.ndo_queue_mem_alloc	= vnet_qmgmt_mem_alloc,
	.ndo_queue_mem_free	= vnet_qmgmt_mem_free,
	.ndo_queue_start	= vnet_qmgmt_start,
	.ndo_queue_stop		= vnet_qmgmt_stop,
	.ndo_default_qcfg	= vnet_qmgmt_default,
	.ndo_validate_qcfg	= vnet_qmgmt_validate,
	.ndo_queue_get_dma_dev	= vnet_qmgmt_dma_dev,
	.supported_params	= VNET_COMPAT_RX_PAGE_SIZE,
};

/**
 * vnet_qmgmt_init() - let the core start receive queues one by one
 * @dev: net device, not registered yet
 *
 * A provider maps its memory in segments as long as they are; the device gets
 * them in pages of the provider's.
 */
void vnet_qmgmt_init(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct device *parent = vd->vdev->dev.parent;

	if (parent && parent->dma_parms)
		dma_set_max_seg_size(parent, UINT_MAX);
	vnet_compat_queue_ops_set(dev, &vnet_qmgmt_ops);
}
