/* SPDX-License-Identifier: GPL-2.0 */
/* Suspend, function level reset, shutdown. */
#ifndef VNET_PM_H
#define VNET_PM_H

struct virtio_device;
struct work_struct;

int vnet_virtio_freeze(struct virtio_device *vdev);
int vnet_virtio_restore(struct virtio_device *vdev);
void vnet_virtio_shutdown(struct virtio_device *vdev);
void vnet_pm_thaw_work(struct work_struct *work);

#endif /* VNET_PM_H */
