/* SPDX-License-Identifier: GPL-2.0 */
/* The user's surface: ethtool operations and feature switches. */
#ifndef VNET_ETHTOOL_H
#define VNET_ETHTOOL_H

#include <linux/ethtool.h>
#include <linux/netdev_features.h>

struct net_device;

/**
 * enum vnet_test - parts of the self-test
 * @VNET_TEST_RINGS: no ring is broken
 * @VNET_TEST_CTRL: the device answers a command
 * @VNET_TEST_IRQ: its interrupt arrives
 * @VNET_TEST_NR: number of parts
 */
enum vnet_test {
	VNET_TEST_RINGS,
	VNET_TEST_CTRL,
	VNET_TEST_IRQ,
	VNET_TEST_NR,
};

/* life/diag.c: self-test and register dump */
extern const char vnet_diag_tests[VNET_TEST_NR][ETH_GSTRING_LEN];
void vnet_diag_self_test(struct net_device *dev, struct ethtool_test *test,
			 u64 *data);
int vnet_diag_get_regs_len(struct net_device *dev);
void vnet_diag_get_regs(struct net_device *dev, struct ethtool_regs *regs,
			void *data);

/* vnet_ethtool.c */

void vnet_ethtool_set_ops(struct net_device *dev);
int vnet_ndo_set_features(struct net_device *dev, netdev_features_t features);

#endif /* VNET_ETHTOOL_H */
