// SPDX-License-Identifier: GPL-2.0
/*
 * Virtqueues, from one device reset to the next: found, given to the queue
 * objects, deleted.
 */
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_device.h"
#include "vnet_rx.h"
#include "vnet_tx.h"
#include "vnet_vq.h"

static void vnet_vqs_assign(struct vnet_dev *vd, struct virtqueue **vqs)
{
	unsigned int nr = vd->caps.max_pairs;
	u16 i;

	for (i = 0; i < nr; i++) {
		vd->rxqs[i].q.vq = vqs ? vqs[vnet_vq_rx_index(i)] : NULL;
		vd->txqs[i].q.vq = vqs ? vqs[vnet_vq_tx_index(i)] : NULL;
	}
	vd->cvq = vqs && vd->caps.ctrl_vq ? vqs[nr * 2] : NULL;
}

/* The most entries that a ring can have: more than it has after a resize. */
static u32 vnet_vq_max(const struct virtqueue *vq)
{
	return vq->num_max ? : virtqueue_get_vring_size(vq);
}

/* Ring sizes, and who maps buffers: the page pools, nobody, or the core. */
static int vnet_vqs_setup(struct vnet_dev *vd)
{
	bool premapped = !vnet_compat_own_map(vd->vdev);
	u16 i;
	int err;

	vd->dma_dev = premapped ? virtqueue_dma_dev(vd->rxqs[0].q.vq) : NULL;
	for (i = 0; i < vd->caps.max_pairs; i++) {
		vd->rxqs[i].ring_max = vnet_vq_max(vd->rxqs[i].q.vq);
		vd->txqs[i].ring_max = vnet_vq_max(vd->txqs[i].q.vq);
		vd->rxqs[i].premapped = premapped;
		vd->rxqs[i].placed = false;
		err = premapped ? vnet_compat_set_premapped(vd->rxqs[i].q.vq) : 0;
		if (err)
			return err;
	}

	return 0;
}

/**
 * vnet_vqs_create() - find the virtqueues of the device
 * @vd: device, past FEATURES_OK, before DRIVER_OK
 *
 * Context: process; instance lock held, or at probe.
 * Return: 0 or the errno of the transport.
 */
int vnet_vqs_create(struct vnet_dev *vd)
{
	unsigned int nr = vnet_vqs_nr(&vd->caps);
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	int err = -ENOMEM;
	u16 i;

	info = kcalloc(nr, sizeof(*info), GFP_KERNEL);
	vqs = kcalloc(nr, sizeof(*vqs), GFP_KERNEL);
	if (!info || !vqs)
		goto out_free;

	for (i = 0; i < vd->caps.max_pairs; i++) {
		info[vnet_vq_rx_index(i)].name = vd->rxqs[i].name;
		info[vnet_vq_rx_index(i)].callback = vnet_rxq_irq;
		info[vnet_vq_tx_index(i)].name = vd->txqs[i].name;
		info[vnet_vq_tx_index(i)].callback = vnet_txq_irq;
	}
	if (vd->caps.ctrl_vq) {
		info[nr - 1].name = "control";
		info[nr - 1].callback = vnet_cvq_irq;
	}

	err = virtio_find_vqs(vd->vdev, nr, vqs, info, NULL);
	if (err)
		goto out_free;

	vnet_vqs_assign(vd, vqs);
	err = vnet_vqs_setup(vd);
	if (err)
		vnet_vqs_destroy(vd);

out_free:
	kfree(vqs);
	kfree(info);
	return err;
}

/* The device is reset and the slots of all virtqueues are home. */
void vnet_vqs_destroy(struct vnet_dev *vd)
{
	vnet_vqs_assign(vd, NULL);
	vd->vdev->config->del_vqs(vd->vdev);
}
