// SPDX-License-Identifier: GPL-2.0
/*
 * Link state, speed and duplex as the device tells them (VIRTIO 1.4, 5.1.4).
 */
#include <linux/ethtool.h>
#include <linux/virtio_net.h>

#include "vnet.h"
#include "vnet_policy.h"

/* Read what the device says about the link now; everything else is a snapshot. */
static u16 vnet_link_status(struct vnet_dev *vd)
{
	u16 status;

	if (!vd->caps.status)
		return VNET_STATUS_LINK_UP;

	virtio_cread(vd->vdev, struct virtio_net_config, status, &status);

	return status;
}

static void vnet_link_speed(struct vnet_dev *vd)
{
	u32 speed;
	u8 duplex;

	if (!vd->caps.speed_duplex)
		return;

	virtio_cread_le(vd->vdev, struct virtio_net_config, speed, &speed);
	virtio_cread_le(vd->vdev, struct virtio_net_config, duplex, &duplex);
	vd->speed = speed <= VNET_SPEED_MAX ? speed : SPEED_UNKNOWN;
	vd->duplex = duplex <= DUPLEX_FULL ? duplex : DUPLEX_UNKNOWN;
}

/**
 * vnet_link_update() - follow the link state of the device
 * @vd: device, live
 *
 * The carrier is on while the interface runs and the device has its link up.
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_link_update(struct vnet_dev *vd)
{
	u16 status;

	vnet_compat_assert_locked(vd->dev);
	if (!vd->live || vd->dead)
		return;

	status = vnet_link_status(vd);
	if (vd->caps.announce && (status & VNET_STATUS_ANNOUNCE))
		vnet_filter_announce(vd);

	vnet_link_speed(vd);
	if (!vd->running || !(status & VNET_STATUS_LINK_UP)) {
		netif_carrier_off(vd->dev);
	} else if (!netif_carrier_ok(vd->dev)) {
		vnet_watch_link_up(vd);
		netif_carrier_on(vd->dev);
	}
}
