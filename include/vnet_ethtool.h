/* SPDX-License-Identifier: GPL-2.0 */
/* The user's surface: ethtool operations and feature switches. */
#ifndef VNET_ETHTOOL_H
#define VNET_ETHTOOL_H

#include <linux/netdev_features.h>

struct net_device;

void vnet_ethtool_set_ops(struct net_device *dev);
int vnet_ndo_set_features(struct net_device *dev, netdev_features_t features);

#endif /* VNET_ETHTOOL_H */
