/* SPDX-License-Identifier: GPL-2.0 */
/* Virtqueues, and resets of the device and of one of them. */
#ifndef VNET_DEVICE_H
#define VNET_DEVICE_H

#include "vnet.h"

/* The status of a device that was pulled out */
static inline bool vnet_status_gone(u8 status)
{
	return status == 0xff;
}

/*
 * Does who reads the device's status send it a command and wait, without a bound,
 * for the answer? So it is with the channels of s390: nobody asks there who can do
 * without, and the lock is not held for a device that hangs. That such a device
 * wants a reset or is gone is told by interrupts, and a stall is seen.
 */
static inline bool vnet_status_waits(const struct vnet_dev *vd)
{
	return IS_ENABLED(CONFIG_S390) &&
	       !strcmp(dev_bus_name(vd->vdev->dev.parent), "ccw");
}

/* virtqueues, from one device reset to the next */
int vnet_vqs_create(struct vnet_dev *vd);
void vnet_vqs_destroy(struct vnet_dev *vd);

/* resets, in bounded time */
int vnet_reset_setup(void);
void vnet_reset_cleanup(void);
int vnet_reset_create(struct vnet_dev *vd);
void vnet_reset_destroy(struct vnet_dev *vd);
void vnet_reset_believe(struct vnet_dev *vd);
void vnet_reset_flush(struct vnet_dev *vd);
int vnet_device_reset(struct vnet_dev *vd);
int vnet_device_begin(struct vnet_dev *vd);
int vnet_ring_reset(struct vnet_dev *vd, struct virtqueue *vq, u32 num);
bool vnet_can_reset_rings(const struct vnet_dev *vd);
bool vnet_vq_lent(const struct vnet_dev *vd, const struct virtqueue *vq);
bool vnet_device_gone(struct vnet_dev *vd);

#endif /* VNET_DEVICE_H */
