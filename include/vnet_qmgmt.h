/* SPDX-License-Identifier: GPL-2.0 */
/* Receive queues one by one. */
#ifndef VNET_QMGMT_H
#define VNET_QMGMT_H

struct net_device;

void vnet_qmgmt_init(struct net_device *dev);

#endif /* VNET_QMGMT_H */
