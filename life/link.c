// SPDX-License-Identifier: GPL-2.0
/*
 * Link state, speed and duplex as the device tells them (VIRTIO 1.4, 5.1.4).
 */
#include <linux/ethtool.h>

#include "vnet.h"
#include "vnet_devcfg.h"
#include "vnet_link.h"
#include "vnet_policy.h"
#include "vnet_watch.h"

/* What the device says about the link now; everything else is a snapshot. */
static u16 vnet_link_read(struct vnet_dev *vd)
{
	struct vnet_devcfg dc;

	vnet_devcfg_read_link(vd->vdev, &vd->caps.features, vd->devcfg.len,
			      &dc);
	if (vd->caps.speed_duplex) {
		vd->speed = dc.speed <= VNET_SPEED_MAX ? dc.speed :
							 SPEED_UNKNOWN;
		vd->duplex = dc.duplex <= DUPLEX_FULL ? dc.duplex :
							DUPLEX_UNKNOWN;
	}

	return vd->caps.status ? dc.status : VNET_STATUS_LINK_UP;
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
	if (!vnet_live(vd))
		return;

	status = vnet_link_read(vd);
	if (vd->caps.announce && (status & VNET_STATUS_ANNOUNCE))
		vnet_filter_announce(vd);

	if (!vd->life.want.up || !(status & VNET_STATUS_LINK_UP)) {
		netif_carrier_off(vd->dev);
	} else if (!netif_carrier_ok(vd->dev)) {
		vnet_watch_link_up(vd);
		netif_carrier_on(vd->dev);
	}
}
