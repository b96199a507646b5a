// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend, hibernation and PCI function level reset: the two halves of every
 * reset with time between them, in which nobody may touch the device.
 */
#include <linux/netdevice.h>
#include <linux/virtio.h>

#include "vnet.h"
#include "vnet_ctrl.h"

/**
 * vnet_virtio_freeze() - the device is about to lose its state
 * @vdev: virtio device
 *
 * Suspend, hibernation, function level reset. The net device is detached: the
 * stack neither transmits nor calls. What the user asked for stays in vd->cfg
 * and in the net device.
 *
 * Context: process, sleeps; takes the instance lock.
 * Return: 0, or -ETIMEDOUT when the device cannot be stopped.
 */
int vnet_virtio_freeze(struct virtio_device *vdev)
{
	struct vnet_dev *vd = vdev->priv;
	int err = 0;

	vnet_compat_lock(vd->dev);
	vd->frozen = true;
	netif_device_detach(vd->dev);
	netif_tx_disable(vd->dev);
	vnet_device_quiesce(vd);
	if (vnet_device_stuck(vd)) {
		netif_device_attach(vd->dev);
		vnet_recovery_request(vd, VNET_RESET_RESTART);
		vnet_recovery_thaw(vd);
		err = -ETIMEDOUT;
	}
	vnet_compat_unlock(vd->dev);

	return err;
}

/**
 * vnet_virtio_restore() - the device is back, as after power-on
 * @vdev: virtio device
 *
 * The virtio core has negotiated already. It is done once more, by the one
 * function that does it everywhere, from a device in reset.
 *
 * Context: process, sleeps; takes the instance lock.
 * Return: 0, or why the device does not start; recovery then tries on.
 */
int vnet_virtio_restore(struct virtio_device *vdev)
{
	struct vnet_dev *vd = vdev->priv;
	int err;

	vnet_compat_lock(vd->dev);
	vnet_ctrl_unmute(vd);
	err = vnet_device_reset(vd);
	if (!err)
		err = vnet_device_resume(vd);
	netif_device_attach(vd->dev);
	if (err) {
		netif_carrier_off(vd->dev);
		vnet_recovery_request(vd, VNET_RESET_RESTART);
	}
	vnet_recovery_thaw(vd);
	vnet_compat_unlock(vd->dev);

	return err;
}
