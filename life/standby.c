// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is the standby of another one (VIRTIO_NET_F_STANDBY): it gets
 * a failover master, which uses the other one while that is there.
 *
 * The failover module is loaded for such a device only, so that no other
 * depends on it. Whoever makes an initramfs is told that it may be wanted.
 */
#include <linux/err.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/net_failover.h>

#include "vnet.h"
#include "vnet_standby.h"

/**
 * vnet_standby_create() - give a standby device its master
 * @vd: device, net device not registered yet
 *
 * A kernel without failover drives the device alone.
 *
 * Context: process, at probe.
 * Return: 0 or -errno.
 */
int vnet_standby_create(struct vnet_dev *vd)
{
	struct failover *(*create)(struct net_device *dev);
	struct failover *failover;

	if (!vd->caps.standby)
		return 0;

	create = symbol_request(net_failover_create);
	if (!create) {
		dev_warn(&vd->vdev->dev,
			 "no net_failover: a standby device without a master\n");
		return 0;
	}

	failover = create(vd->dev);
	if (IS_ERR(failover)) {
		symbol_put(net_failover_create);
		return PTR_ERR(failover);
	}
	vd->failover = failover;

	return 0;
}

/**
 * vnet_standby_destroy() - take the master away
 * @vd: device, net device unregistered
 *
 * Context: process, no lock held.
 */
void vnet_standby_destroy(struct vnet_dev *vd)
{
	void (*destroy)(struct failover *failover);

	if (!vd->failover)
		return;

	destroy = symbol_get(net_failover_destroy);
	if (destroy) {
		destroy(vd->failover);
		symbol_put(net_failover_destroy);
	}
	vd->failover = NULL;
	symbol_put(net_failover_create);
}

MODULE_WEAKDEP("net_failover");
