/* SPDX-License-Identifier: GPL-2.0 */
/* A device that is the standby of another one. */
#ifndef VNET_STANDBY_H
#define VNET_STANDBY_H

struct vnet_dev;

int vnet_standby_create(struct vnet_dev *vd);
void vnet_standby_destroy(struct vnet_dev *vd);

#endif /* VNET_STANDBY_H */
