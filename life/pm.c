// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend, hibernation and PCI function level reset: the two halves of every
 * reset with time between them, in which nobody may touch the device. And
 * shutdown, the first half for ever.
 */
#include <linux/netdevice.h>
#include <linux/virtio.h>

#include "vnet.h"
#include "vnet_pm.h"
#include "vnet_recovery.h"

/*
 * When to look whether somebody has brought a frozen device back. Between two
 * looks at a function level reset that lasts, too.
 */
#define VNET_THAW_DELAY		(2 * HZ)

/*
 * The device may be used again. The net device is the stack's, running or
 * waiting for the next try; attaching wakes its queues, with or without
 * virtqueues.
 */
static int vnet_pm_thaw(struct vnet_dev *vd)
{
	int err;

	vnet_recovery_thaw(vd);
	err = vnet_life_retry(vd);
	netif_device_attach(vd->dev);
	if (err) {
		netif_tx_disable(vd->dev);
		vnet_life_later(vd);
	}

	return err;
}

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
	vd->life.want.power = VNET_POWER_FROZEN;
	netif_device_detach(vd->dev);
	netif_tx_disable(vd->dev);
	vnet_life_settle(vd);
	if (vd->life.have == VNET_LIFE_STUCK) {
		vnet_pm_thaw(vd);
		err = -ETIMEDOUT;
	} else {
		/* The freezable one sleeps as long as the system does. */
		queue_delayed_work(system_freezable_wq, &vd->thaw_work,
				   VNET_THAW_DELAY);
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
	cancel_delayed_work(&vd->thaw_work);
	vnet_life_believe(vd);
	err = vnet_pm_thaw(vd);
	vnet_compat_unlock(vd->dev);

	return err;
}

/**
 * vnet_pm_thaw_work() - bring a device back that its transport has given up
 * @work: thaw_work of a device
 *
 * The virtio core negotiates before it calls vnet_virtio_restore(), and does
 * not when that fails: the device would stay frozen for ever. Who holds the
 * lock of the transport's device is not done with the reset yet.
 */
void vnet_pm_thaw_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(to_delayed_work(work),
					   struct vnet_dev, thaw_work);
	struct device *parent = vd->vdev->dev.parent;

	if (!device_trylock(parent)) {
		queue_delayed_work(system_freezable_wq, &vd->thaw_work,
				   VNET_THAW_DELAY);
		return;
	}

	vnet_compat_lock(vd->dev);
	if (vd->life.want.power == VNET_POWER_FROZEN) {
		netdev_warn(vd->dev, "the device was not restored, trying on\n");
		vnet_pm_thaw(vd);
	}
	vnet_compat_unlock(vd->dev);
	device_unlock(parent);
}

/**
 * vnet_virtio_shutdown() - the system goes down, or another kernel takes over
 * @vdev: virtio device
 *
 * The device is left in reset: it has no more memory of ours to write to, and
 * nothing heals it. The net device stays, detached, for those who still have it.
 *
 * Context: process, sleeps; takes the instance lock.
 */
void vnet_virtio_shutdown(struct virtio_device *vdev)
{
	struct vnet_dev *vd = vdev->priv;

	WRITE_ONCE(vd->life.want.power, VNET_POWER_SHUT);
	vnet_recovery_stop(vd);
	vnet_compat_lock(vd->dev);
	netif_device_detach(vd->dev);
	netif_tx_disable(vd->dev);
	netif_carrier_off(vd->dev);
	vnet_life_settle(vd);
	vnet_compat_unlock(vd->dev);
}
