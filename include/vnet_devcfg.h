/* SPDX-License-Identifier: GPL-2.0 */
/* Reading the configuration space. */
#ifndef VNET_DEVCFG_H
#define VNET_DEVCFG_H

#include <linux/virtio.h>

#include "vnet_caps.h"

void vnet_devcfg_read(struct virtio_device *vdev, const struct vnet_features *f,
		      struct vnet_devcfg *dc);
void vnet_devcfg_read_link(struct virtio_device *vdev,
			   const struct vnet_features *f, u32 len,
			   struct vnet_devcfg *dc);

#endif /* VNET_DEVCFG_H */
