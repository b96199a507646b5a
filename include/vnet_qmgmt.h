/* SPDX-License-Identifier: GPL-2.0 */
/* Receive queues one by one. */
#ifndef VNET_QMGMT_H
#define VNET_QMGMT_H

#include "vnet_compat.h"

#ifdef VNET_HAVE_QUEUE_CONFIG
void vnet_qmgmt_init(struct net_device *dev);
#else
static inline void vnet_qmgmt_init(struct net_device *dev)
{
}
#endif

#endif /* VNET_QMGMT_H */
