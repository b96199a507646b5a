// SPDX-License-Identifier: GPL-2.0
/*
 * What ethtool shows of the driver's insides: self-test and register dump.
 */
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_ethtool.h"
#include "vnet_event.h"
#include "vnet_policy.h"
#include "vnet_size.h"

/* Layout of the register dump; docs/control.rst explains it. */
#define VNET_REGS_VERSION	1
#define VNET_REGS_HEAD		40
#define VNET_REGS_PAIR		16

/* Self-test */

const char vnet_diag_tests[VNET_TEST_NR][ETH_GSTRING_LEN] = {
	[VNET_TEST_RINGS]	= "Rings are sound",
	[VNET_TEST_CTRL]	= "Control command",
	[VNET_TEST_IRQ]		= "Control interrupt",
};

static int vnet_test_rings(struct vnet_dev *vd)
{
	u16 i;

	if (!vnet_live(vd))
		return -ENODEV;

	for (i = 0; i < vd->cfg.pairs; i++)
		if (virtqueue_is_broken(vd->rxqs[i].q.vq) ||
		    virtqueue_is_broken(vd->txqs[i].q.vq))
			return -EIO;

	return 0;
}

/* A device without a command that changes nothing has nothing to fail. */
static int vnet_test_ctrl(struct vnet_dev *vd)
{
	int err = vnet_filter_ping(vd, false);

	return err == -EOPNOTSUPP ? 0 : err;
}

static int vnet_test_irq(struct vnet_dev *vd)
{
	struct vnet_ctrl_info before, after;
	int err;

	vnet_ctrl_get_info(vd, &before);
	err = vnet_filter_ping(vd, true);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	vnet_ctrl_get_info(vd, &after);

	return after.irqs == before.irqs ? -ETIMEDOUT : 0;
}

/**
 * vnet_diag_self_test() - ethtool -t
 * @dev: net device
 * @test: flags are set
 * @data: an errno or zero for each enum vnet_test
 */
void vnet_diag_self_test(struct net_device *dev, struct ethtool_test *test,
			 u64 *data)
{
	struct vnet_dev *vd = netdev_priv(dev);
	unsigned int i;

	data[VNET_TEST_RINGS] = -vnet_test_rings(vd);
	data[VNET_TEST_CTRL] = -vnet_test_ctrl(vd);
	data[VNET_TEST_IRQ] = -vnet_test_irq(vd);
	for (i = 0; i < VNET_TEST_NR; i++)
		if (data[i])
			test->flags |= ETH_TEST_FL_FAILED;
}

/* Register dump: what there is instead of registers */

/**
 * vnet_diag_get_regs_len() - size of the register dump
 * @dev: net device
 *
 * Return: bytes.
 */
int vnet_diag_get_regs_len(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	return (VNET_REGS_HEAD + VNET_REGS_PAIR * vd->cfg.pairs) * sizeof(u32);
}

static void vnet_regs_head(struct vnet_dev *vd, u32 *regs)
{
	const struct vnet_policy *policy = vd->cfg.policy;
	struct vnet_ctrl_info info;
	unsigned int i;

	vnet_ctrl_get_info(vd, &info);

	regs[0] = lower_32_bits(vd->caps.features.w[0]);
	regs[1] = upper_32_bits(vd->caps.features.w[0]);
	regs[2] = lower_32_bits(vd->caps.features.w[1]);
	regs[3] = upper_32_bits(vd->caps.features.w[1]);
	regs[4] = vnet_live(vd) | vd->life.want.up << 1 | vnet_given_up(vd) << 2 |
		  netif_carrier_ok(vd->dev) << 3 |
		  policy->filter.table_refused << 4 | info.up << 5;
	regs[5] = vnet_live(vd) ? vd->vdev->config->get_status(vd->vdev) : 0;
	regs[6] = vd->cfg.pairs;
	regs[7] = vd->caps.max_pairs;
	regs[8] = vd->caps.hdr_len | vd->caps.rx_mode << 8;
	regs[9] = vd->cfg.mtu;
	regs[10] = policy->filter.modes;
	regs[11] = lower_32_bits(policy->offloads);
	regs[12] = upper_32_bits(policy->offloads);
	regs[13] = policy->rss ? policy->rss->types : 0;
	regs[14] = info.sent;
	regs[15] = info.refused;
	regs[16] = info.timeouts;
	regs[17] = info.late;
	regs[18] = info.in_flight;
	regs[19] = info.irqs;
	for (i = 0; i < VNET_RESET_NR; i++)
		regs[20 + i] = vd->heal.count[i];

	BUILD_BUG_ON(20 + VNET_RESET_NR > VNET_REGS_HEAD);
}

static void vnet_regs_pair(struct vnet_dev *vd, u16 pair, u32 *regs)
{
	const struct vnet_rxq *rxq = &vd->rxqs[pair];
	const struct vnet_txq *txq = &vd->txqs[pair];

	regs[0] = rxq->up | rxq->starved << 1 | rxq->premapped << 2;
	regs[1] = rxq->ring;
	regs[2] = READ_ONCE(rxq->mem.slots.nr_free);
	regs[3] = rxq->mem.layout.truesize;
	regs[4] = rxq->mem.layout.buf_len;
	regs[5] = rxq->mem.stride;
	regs[6] = vnet_size_ewma_read(READ_ONCE(rxq->avg_len));
	regs[8] = txq->up | netif_tx_queue_stopped(txq->nq) << 1;
	regs[9] = txq->ring;
	regs[10] = READ_ONCE(txq->mem.slots.nr_free);
	if (!vnet_live(vd))
		return;

	regs[0] |= virtqueue_is_broken(rxq->q.vq) << 3 |
		   vnet_vq_own(&rxq->q) << 4;
	regs[7] = vnet_vq_free(&rxq->q);
	regs[8] |= virtqueue_is_broken(txq->q.vq) << 3 |
		   vnet_vq_own(&txq->q) << 4;
	regs[11] = vnet_vq_free(&txq->q);
}

/**
 * vnet_diag_get_regs() - ethtool -d
 * @dev: net device
 * @regs: version is set
 * @data: words as docs/control.rst explains them
 */
void vnet_diag_get_regs(struct net_device *dev, struct ethtool_regs *regs,
			void *data)
{
	struct vnet_dev *vd = netdev_priv(dev);
	u32 *words = data;
	u16 pair;

	regs->version = VNET_REGS_VERSION;
	memset(words, 0, regs->len);
	vnet_regs_head(vd, words);
	for (pair = 0; pair < vd->cfg.pairs; pair++)
		vnet_regs_pair(vd, pair, words + VNET_REGS_HEAD +
					 VNET_REGS_PAIR * pair);
}
