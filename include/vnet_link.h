/* SPDX-License-Identifier: GPL-2.0 */
/* Link state, speed and duplex. */
#ifndef VNET_LINK_H
#define VNET_LINK_H

struct vnet_dev;

void vnet_link_update(struct vnet_dev *vd);

#endif /* VNET_LINK_H */
