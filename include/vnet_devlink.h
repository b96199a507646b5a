/* SPDX-License-Identifier: GPL-2.0 */
/* Health reporters. */
#ifndef VNET_DEVLINK_H
#define VNET_DEVLINK_H

struct vnet_dev;
struct work_struct;

int vnet_devlink_create(struct vnet_dev *vd);
void vnet_devlink_destroy(struct vnet_dev *vd);
void vnet_health_work(struct work_struct *work);

#endif /* VNET_DEVLINK_H */
