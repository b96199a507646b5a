// SPDX-License-Identifier: GPL-2.0
/*
 * vnet: guest driver for the virtio network device (VIRTIO 1.4, 5.1).
 *
 * Module, driver and net device operations, probe and remove, link state.
 */
#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_ids.h>
#include <net/netdev_rx_queue.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_devcfg.h"
#include "vnet_device.h"
#include "vnet_devlink.h"
#include "vnet_ethtool.h"
#include "vnet_event.h"
#include "vnet_link.h"
#include "vnet_pm.h"
#include "vnet_policy.h"
#include "vnet_qmgmt.h"
#include "vnet_queue.h"
#include "vnet_recovery.h"
#include "vnet_standby.h"
#include "vnet_tx.h"
#include "vnet_watch.h"
#include "vnet_xdp.h"
#include "vnet_xsk.h"

/*
 * How long the stack waits for a stopped queue before it asks for a reset, and
 * complains: twice as long as the detectors of life/watch.c take.
 */
#define VNET_WATCHDOG_TIMEO	(10 * HZ)

static char *deny;
module_param(deny, charp, 0644);
MODULE_PARM_DESC(deny,
		 "features not to use: FEATURE or DEVICE/FEATURE, separated by commas");

static void vnet_features_get(const struct virtio_device *vdev,
			      struct vnet_features *f)
{
	f->w[0] = vnet_compat_features_word(vdev, 0);
	f->w[1] = vnet_compat_features_word(vdev, 1);
}

/* Do without what the user does not want, of this device or of all. */
static void vnet_features_deny(struct virtio_device *vdev,
			       struct vnet_features *f)
{
	const char *names[2] = { dev_name(&vdev->dev),
				 dev_name(vdev->dev.parent) };
	struct vnet_features offered = *f;
	unsigned int bit;

	kernel_param_lock(THIS_MODULE);
	if (vnet_caps_deny(f, deny, names))
		dev_warn(&vdev->dev, "deny=%s: not all of this can be denied\n",
			 deny);
	kernel_param_unlock(THIS_MODULE);

	for (bit = 0; bit < VNET_FEATURE_BITS; bit++)
		if (vnet_features_has(&offered, bit) &&
		    !vnet_features_has(f, bit))
			dev_info(&vdev->dev, "feature %s (%u) is denied, not used\n",
				 vnet_caps_name(bit), bit);
}

/* The core does not reset a device whose probe has failed before. */
static int vnet_virtio_unfail(struct virtio_device *vdev)
{
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FAILED))
		return 0;

	virtio_reset_device(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);

	return vdev->config->finalize_features(vdev);
}

static int vnet_virtio_validate(struct virtio_device *vdev)
{
	struct vnet_features f, cleared;
	struct vnet_devcfg dc;
	unsigned int bit;
	int err;

	if (!vdev->config->get) {
		dev_err(&vdev->dev, "no access to the configuration space\n");
		return -EINVAL;
	}

	/*
	 * Nothing here uses an admin virtqueue; the core waits without bound for
	 * one that does not answer, and looks in every reset into one that it
	 * has not found or has deleted.
	 */
	__virtio_clear_bit(vdev, VIRTIO_F_ADMIN_VQ);
	err = vnet_virtio_unfail(vdev);
	if (err)
		return err;

	vnet_features_get(vdev, &f);
	vnet_features_deny(vdev, &f);
	vnet_devcfg_read(vdev, &f, &dc);
	vnet_caps_check(&f, &dc, &cleared);
	for (bit = 0; bit < VNET_FEATURE_BITS; bit++)
		if (vnet_features_has(&cleared, bit))
			dev_warn(&vdev->dev, "feature %s (%u) contradicts the others, not used\n",
				 vnet_caps_name(bit), bit);

	vnet_compat_features_set(vdev, 0, f.w[0]);
	vnet_compat_features_set(vdev, 1, f.w[1]);

	return 0;
}

static void vnet_config_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(work, struct vnet_dev, config_work);

	vnet_compat_lock(vd->dev);
	if (vnet_live(vd)) {
		if (vd->vdev->config->get_status(vd->vdev) &
		    VIRTIO_CONFIG_S_NEEDS_RESET)
			vnet_recovery_request(vd, VNET_RESET_NEEDS_RESET);
		else
			vnet_link_update(vd);
	}
	vnet_compat_unlock(vd->dev);
}

static void vnet_virtio_config_changed(struct virtio_device *vdev)
{
	struct vnet_dev *vd = vdev->priv;

	if (!vnet_leaving(vd))
		queue_work(system_long_wq, &vd->config_work);
}

static int vnet_ndo_open(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);
	int err;

	vd->life.want.up = true;
	err = vnet_recovery_open(vd);
	if (err) {
		vd->life.want.up = false;
		vnet_life_settle(vd);
		return err;
	}

	vnet_watch_start(vd);

	return 0;
}

static int vnet_ndo_stop(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	vnet_watch_stop(vd);
	netif_tx_disable(dev);
	netif_carrier_off(dev);
	/* Also when the driver goes, and with it the device is reset at once */
	vnet_pairs_drain(vd, 0, vd->caps.max_pairs);
	vd->life.want.up = false;
	vnet_life_settle(vd);

	return 0;
}

static void vnet_ndo_tx_timeout(struct net_device *dev, unsigned int queue)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_txq *txq = &vd->txqs[queue];

	__netif_tx_lock_bh(txq->nq);
	vnet_txs_add(&txq->stats, VNET_TXS_TIMEOUTS, 1);
	__netif_tx_unlock_bh(txq->nq);
	vnet_recovery_request_vq(vd, VNET_RESET_TX_TIMEOUT, queue * 2 + 1);
}

/* Where the kernel passes no extack, the log says why @what was refused. */
static void vnet_log_refusal(struct vnet_dev *vd, const char *what,
			     const struct netlink_ext_ack *extack)
{
	if (extack->_msg && net_ratelimit())
		netdev_info(vd->dev, "%s refused: %s\n", what, extack->_msg);
}

static int vnet_ndo_change_mtu(struct net_device *dev, int mtu)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct netlink_ext_ack extack = {};
	struct vnet_cfg new = vd->cfg;
	int err;

	err = vnet_dev_usable(vd, NULL);
	if (err)
		return err;

	new.mtu = mtu;
	err = vnet_cfg_apply(vd, &new, &extack);
	if (err)
		vnet_log_refusal(vd, "MTU", &extack);
	else
		WRITE_ONCE(dev->mtu, mtu);

	return err;
}

/*
 * The device writes checksums and segments of tunnelled packets only as part
 * of tunnel segmentation: any other encapsulated packet is finished here.
 */
static netdev_features_t vnet_ndo_features_check(struct sk_buff *skb,
						 struct net_device *dev,
						 netdev_features_t features)
{
	if (skb->encapsulation &&
	    (!skb_is_gso(skb) || netif_needs_gso(skb, features)))
		features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);

	return vlan_features_check(skb, features);
}

static int vnet_ndo_phys_port_name(struct net_device *dev, char *buf,
				   size_t len)
{
	struct vnet_dev *vd = netdev_priv(dev);

	if (!vd->caps.standby)
		return -EOPNOTSUPP;

	return snprintf(buf, len, "sby") >= len ? -EOPNOTSUPP : 0;
}

/* Attach, exchange or detach a program. */
static int vnet_xdp_setup(struct vnet_dev *vd, struct bpf_prog *prog,
			  struct netlink_ext_ack *extack)
{
	struct bpf_prog *old = vd->cfg.xdp;
	struct vnet_cfg new = vd->cfg;
	int err;

	new.xdp = prog;
	err = vnet_cfg_apply(vd, &new, extack);
	if (err)
		return err;

	if (old) {
		synchronize_net();
		bpf_prog_put(old);
	}

	return 0;
}

static int vnet_xsk_setup(struct vnet_dev *vd, struct xsk_buff_pool *pool,
			  u16 queue)
{
	struct netlink_ext_ack extack = {};
	int err;

	err = vnet_cfg_xsk(vd, queue, pool, &extack);
	if (err)
		vnet_log_refusal(vd, "AF_XDP pool", &extack);

	return err;
}

static int vnet_ndo_bpf(struct net_device *dev, struct netdev_bpf *bpf)
{
	switch (bpf->command) {
	case XDP_SETUP_PROG:
		return vnet_xdp_setup(netdev_priv(dev), bpf->prog, bpf->extack);
	case XDP_SETUP_XSK_POOL:
		return vnet_xsk_setup(netdev_priv(dev), bpf->xsk.pool,
				      bpf->xsk.queue_id);
	default:
		return -EINVAL;
	}
}

static const struct net_device_ops vnet_netdev_ops = {
	.ndo_open		= vnet_ndo_open,
	.ndo_stop		= vnet_ndo_stop,
	.ndo_start_xmit		= vnet_ndo_xmit,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_set_mac_address	= vnet_ndo_set_mac,
	VNET_COMPAT_RX_MODE_OPS(vnet_ndo_set_rx_mode_async,
				vnet_ndo_set_rx_mode),
	.ndo_get_stats64	= vnet_stats_get64,
	.ndo_vlan_rx_add_vid	= vnet_ndo_vlan_add,
	.ndo_vlan_rx_kill_vid	= vnet_ndo_vlan_kill,
	.ndo_tx_timeout		= vnet_ndo_tx_timeout,
	.ndo_change_mtu		= vnet_ndo_change_mtu,
	.ndo_set_features	= vnet_ndo_set_features,
	.ndo_features_check	= vnet_ndo_features_check,
	.ndo_get_phys_port_name	= vnet_ndo_phys_port_name,
	.ndo_bpf		= vnet_ndo_bpf,
	.ndo_xdp_xmit		= vnet_ndo_xdp_xmit,
	.ndo_xsk_wakeup		= vnet_ndo_xsk_wakeup,
};

/*
 * The buffer length that packets are received into, where users of the in-tree
 * driver look for it: queues/rx-N/virtio_net/mergeable_rx_buffer_size.
 */
static ssize_t vnet_rx_buffer_size_show(struct netdev_rx_queue *queue,
					char *buf)
{
	struct vnet_dev *vd = netdev_priv(queue->dev);
	unsigned int i = get_netdev_rx_queue_index(queue);

	if (i >= vd->caps.max_pairs)
		return -EINVAL;

	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(vd->rxqs[i].mem.layout.buf_len));
}

static struct rx_queue_attribute vnet_rx_buffer_size =
	__ATTR(mergeable_rx_buffer_size, 0444, vnet_rx_buffer_size_show, NULL);

static struct attribute *vnet_rx_queue_attrs[] = {
	&vnet_rx_buffer_size.attr,
	NULL
};

static const struct attribute_group vnet_rx_queue_group = {
	.name	= "virtio_net",
	.attrs	= vnet_rx_queue_attrs,
};

/* What the stack is told about the device. */
static void vnet_netdev_init(struct vnet_dev *vd)
{
	struct net_device *dev = vd->dev;
	struct vnet_netdev_features f;

	vnet_caps_netdev(&vd->caps, &f);
	dev->hw_features = f.hw;
	dev->features = f.active;
	dev->vlan_features = f.vlan;
	dev->hw_enc_features = f.enc;
	dev->priv_flags |= IFF_UNICAST_FLT | IFF_LIVE_ADDR_CHANGE |
			   IFF_TX_SKB_NO_LINEAR;
	dev->min_mtu = vd->caps.min_mtu;
	dev->max_mtu = vd->caps.max_mtu;
	if (vd->caps.mtu)
		dev->mtu = vd->caps.max_mtu;
	dev->needed_headroom = vd->caps.hdr_len;
	dev->watchdog_timeo = VNET_WATCHDOG_TIMEO;
	dev->netdev_ops = &vnet_netdev_ops;
	if (vd->caps.rx_mode == VNET_RX_MERGEABLE)
		dev->sysfs_rx_queue_group = &vnet_rx_queue_group;
	vnet_ethtool_set_ops(dev);
	vnet_stats_set_ops(dev);
	vnet_xdp_init(dev);
	vnet_qmgmt_init(dev);
	vnet_compat_want_lock(dev);
	SET_NETDEV_DEV(dev, &vd->vdev->dev);

	if (vd->caps.mac && is_valid_ether_addr(vd->devcfg.mac))
		eth_hw_addr_set(dev, vd->devcfg.mac);
	else
		eth_hw_addr_random(dev);
}

/*
 * Allocate the net device for as many queues as the device has. What is read of
 * the device here is what counts from now on; when the features were negotiated
 * it may have said something else.
 */
static struct vnet_dev *vnet_dev_alloc(struct virtio_device *vdev)
{
	struct vnet_features f, cleared;
	struct vnet_devcfg dc;
	struct vnet_caps caps;
	struct net_device *dev;
	struct vnet_dev *vd;

	vnet_features_get(vdev, &f);
	vnet_devcfg_read(vdev, &f, &dc);
	vnet_caps_check(&f, &dc, &cleared);
	if (cleared.w[0] || cleared.w[1]) {
		dev_err(&vdev->dev, "the configuration has changed, and contradicts the features now\n");
		return ERR_PTR(-EINVAL);
	}

	vnet_caps_resolve(&caps, &f, &dc);
	dev = alloc_etherdev_mq(sizeof(*vd), caps.max_pairs);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	vd = netdev_priv(dev);
	vd->dev = dev;
	vd->vdev = vdev;
	vd->caps = caps;
	vd->offered = caps.features;
	vnet_life_init(vd);
	vd->devcfg = dc;
	vd->speed = SPEED_UNKNOWN;
	vd->duplex = DUPLEX_UNKNOWN;
	INIT_WORK(&vd->config_work, vnet_config_work);
	INIT_WORK(&vd->pairs_work, vnet_cfg_pairs_work);
	INIT_DELAYED_WORK(&vd->thaw_work, vnet_pm_thaw_work);
	vdev->priv = vd;

	return vd;
}

static int vnet_netdev_register(struct vnet_dev *vd)
{
	struct net_device *dev = vd->dev;
	int err;

	netif_carrier_off(dev);
	vnet_tx_offer_netmem(vd);
	rtnl_lock();
	err = netif_set_real_num_queues(dev, vd->cfg.pairs, vd->cfg.pairs);
	if (!err)
		err = register_netdevice(dev);
	rtnl_unlock();

	return err;
}

/* From now on nobody starts the device, and nothing is scheduled any more. */
static void vnet_leave(struct vnet_dev *vd)
{
	WRITE_ONCE(vd->life.want.power, VNET_POWER_REMOVING);
	disable_work_sync(&vd->config_work);
	disable_work_sync(&vd->pairs_work);
	vnet_recovery_stop(vd);
}

/* Nothing of ours is with the device when this returns. */
static void vnet_device_leave(struct vnet_dev *vd)
{
	vnet_leave(vd);
	vnet_life_settle(vd);
	vnet_life_release(vd);
}

/*
 * Probing has failed and the device has been reset. To what its status is now the
 * core adds FAILED, and DRIVER at the next attempt: it is to stay acknowledged.
 */
static void vnet_virtio_acknowledge(struct virtio_device *vdev)
{
	if (!vdev->config->get_status(vdev))
		virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static int vnet_virtio_probe(struct virtio_device *vdev)
{
	struct vnet_dev *vd;
	int err;

	vd = vnet_dev_alloc(vdev);
	if (IS_ERR(vd))
		return PTR_ERR(vd);

	vnet_netdev_init(vd);
	err = vnet_recovery_create(vd, vnet_health_work);
	if (err)
		goto err_free_dev;

	vnet_watch_init(vd);
	err = vnet_policy_create(vd);
	if (err)
		goto err_recovery;

	vnet_cfg_init(vd);
	err = vnet_ctrl_create(vd);
	if (err)
		goto err_policy;

	err = vnet_queues_create(vd);
	if (err)
		goto err_ctrl;

	err = vnet_life_begin(vd);
	if (err)
		goto err_device;

	err = vnet_standby_create(vd);
	if (err)
		goto err_device;

	/* Whoever sees the net device may open it at once. */
	vnet_recovery_thaw(vd);
	err = vnet_netdev_register(vd);
	if (err)
		goto err_standby;

	err = vnet_hotplug_add(vd);
	if (err)
		goto err_netdev;

	err = vnet_devlink_create(vd);
	if (err)
		goto err_hotplug;

	queue_work(system_long_wq, &vd->spread_work);
	/* It may have been reset since, and have refused queue pairs. */
	queue_work(system_long_wq, &vd->pairs_work);

	return 0;

err_hotplug:
	vnet_hotplug_del(vd);
err_netdev:
	vnet_leave(vd);
	vnet_devlink_destroy(vd);
	unregister_netdev(vd->dev);
err_standby:
	vnet_standby_destroy(vd);
err_device:
	vnet_device_leave(vd);
	vnet_virtio_acknowledge(vdev);
	vnet_queues_destroy(vd);
err_ctrl:
	vnet_ctrl_destroy(vd);
err_policy:
	vnet_policy_destroy(vd);
err_recovery:
	vnet_recovery_destroy(vd);
err_free_dev:
	free_netdev(vd->dev);
	return err;
}

static void vnet_virtio_remove(struct virtio_device *vdev)
{
	struct vnet_dev *vd = vdev->priv;

	vnet_leave(vd);
	vnet_hotplug_del(vd);
	vnet_devlink_destroy(vd);
	unregister_netdev(vd->dev);
	vnet_standby_destroy(vd);
	vnet_device_leave(vd);
	vnet_queues_destroy(vd);
	vnet_ctrl_destroy(vd);
	vnet_policy_destroy(vd);
	vnet_recovery_destroy(vd);
	free_netdev(vd->dev);
}

static const struct virtio_device_id vnet_id_table[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct virtio_driver vnet_driver = {
	.driver.name			= KBUILD_MODNAME,
	.id_table			= vnet_id_table,
	.validate			= vnet_virtio_validate,
	.probe				= vnet_virtio_probe,
	.remove				= vnet_virtio_remove,
	.config_changed			= vnet_virtio_config_changed,
	VNET_COMPAT_RESET_OPS(vnet_virtio_freeze, vnet_virtio_restore)
	VNET_COMPAT_SHUTDOWN_OP(vnet_virtio_shutdown)
#ifdef CONFIG_PM_SLEEP
	.freeze				= vnet_virtio_freeze,
	.restore			= vnet_virtio_restore,
#endif
};

static int vnet_shutdown_one(struct device *dev, void *data)
{
	vnet_virtio_shutdown(dev_to_virtio(dev));

	return 0;
}

/* Where the virtio core does not tell drivers of a shutdown */
static int vnet_reboot(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	int err = driver_for_each_device(&vnet_driver.driver, NULL, NULL,
					 vnet_shutdown_one);

	return notifier_from_errno(err);
}

static struct notifier_block vnet_reboot_nb = {
	.notifier_call = vnet_reboot,
};

static int __init vnet_init(void)
{
	int err;

	err = vnet_reset_setup();
	if (err)
		return err;

	err = vnet_event_setup();
	if (err)
		goto err_reset;

	err = vnet_hotplug_init();
	if (err)
		goto err_event;

	vnet_driver.feature_table =
		vnet_caps_table(false, &vnet_driver.feature_table_size);
	vnet_driver.feature_table_legacy =
		vnet_caps_table(true, &vnet_driver.feature_table_size_legacy);
	err = register_virtio_driver(&vnet_driver);
	if (err)
		goto err_hotplug;

	vnet_compat_reboot_register(&vnet_reboot_nb);

	return 0;

err_hotplug:
	vnet_hotplug_exit();
err_event:
	vnet_event_cleanup();
err_reset:
	vnet_reset_cleanup();
	return err;
}
module_init(vnet_init);

static void __exit vnet_exit(void)
{
	vnet_compat_reboot_unregister(&vnet_reboot_nb);
	unregister_virtio_driver(&vnet_driver);
	vnet_hotplug_exit();
	vnet_event_cleanup();
	vnet_reset_cleanup();
}
module_exit(vnet_exit);

MODULE_DEVICE_TABLE(virtio, vnet_id_table);
MODULE_DESCRIPTION("virtio network device driver that heals itself");
MODULE_LICENSE("GPL");
#ifdef VNET_VERSION
MODULE_VERSION(VNET_VERSION);
#endif
