// SPDX-License-Identifier: GPL-2.0
/*
 * What users see of self-healing: devlink health reporters for transmit,
 * receive, control queue and device. The ladder runs inside of their recover
 * operation, so "auto_recover false" leaves a device in trouble untouched.
 *
 * Lock order: devlink instance, then (rtnl, then) netdev instance.
 */
#include <linux/netdevice.h>
#include <linux/sched/mm.h>
#include <net/devlink.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_devlink.h"
#include "vnet_event.h"
#include "vnet_policy.h"
#include "vnet_recovery.h"
#include "vnet_rxbuf.h"
#include "vnet_tx.h"
#include "vnet_vq.h"
#include "vnet_watch.h"

/*
 * What the device is does not change while it is bound; what drives it is the
 * release of vnet, or in tree the kernel's, which devlink knows by itself.
 */
static int vnet_devlink_info_get(struct devlink *devlink,
				 struct devlink_info_req *req,
				 struct netlink_ext_ack *extack)
{
	struct virtio_device *vdev = dev_to_virtio(devlink_to_dev(devlink));
	const struct vnet_dev *vd = vdev->priv;
	char id[sizeof("12345678:12345678")];
	int err;

	snprintf(id, sizeof(id), "%04x:%04x", vdev->id.vendor, vdev->id.device);
	err = devlink_info_version_fixed_put(req, "virtio.id", id);
	if (err)
		return err;

	err = devlink_info_version_fixed_put(req, "virtio.interface",
					     vd->caps.le ? "modern" : "legacy");
#ifdef VNET_VERSION
	if (!err)
		err = devlink_info_version_running_put(req, "vnet", VNET_VERSION);
#endif

	return err;
}

static const struct devlink_ops vnet_devlink_ops = {
	.info_get	= vnet_devlink_info_get,
};

/**
 * struct vnet_health - what devlink shows of one device
 * @devlink: devlink instance
 * @reporters: its health reporters
 */
struct vnet_health {
	struct devlink *devlink;
	struct devlink_health_reporter *reporters[VNET_REPORTER_NR];
};

static struct vnet_dev *vnet_health_vd(struct devlink_health_reporter *reporter)
{
	return devlink_health_reporter_priv(reporter);
}

/* The device is as new: whatever was wrong before is over. */
static void vnet_health_all_well(struct vnet_dev *vd,
				 const struct devlink_health_reporter *but)
{
	unsigned int i;

	for (i = 0; i < VNET_REPORTER_NR; i++)
		if (vd->health->reporters[i] != but)
			devlink_health_reporter_state_update(vd->health->reporters[i],
							     DEVLINK_HEALTH_REPORTER_STATE_HEALTHY);
}

/*
 * Some control command is not answered and the device is used without: that is
 * an error until it is recovered once more.
 */
static void vnet_health_muted(struct vnet_dev *vd)
{
	const struct vnet_health *health = READ_ONCE(vd->health);

	if (health && vnet_ctrl_muted(vd))
		devlink_health_reporter_state_update(health->reporters[VNET_REPORTER_CTRL],
						     DEVLINK_HEALTH_REPORTER_STATE_ERROR);
}

/* The device has come back in a way that devlink has not seen. */
static void vnet_health_opened(struct vnet_dev *vd)
{
	if (READ_ONCE(vd->health) && vnet_recovery_opened(vd))
		vnet_health_all_well(vd, NULL);
}

/* With @priv_ctx what was detected; without, the user asks: reset the device. */
static int vnet_health_recover(struct devlink_health_reporter *reporter,
			       void *priv_ctx, struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	struct vnet_heal user = {
		.reasons = BIT(VNET_RESET_USER),
		.step = VNET_HEAL_DEVICE,
		.vq = VNET_HEAL_NO_VQ,
	};
	struct vnet_heal *heal = priv_ctx ? : &user;
	int err;

	err = vnet_recovery_heal(vd, heal);
	if (err == -EBUSY)
		NL_SET_ERR_MSG(extack, "the device is suspended or going away");
	else if (err)
		NL_SET_ERR_MSG(extack, "the device does not come back");
	else if (heal->step == VNET_HEAL_DEVICE)
		vnet_health_all_well(vd, reporter);

	return err;
}

/* What both kinds of rings tell; the index words are those of split rings. */
static void vnet_health_put_vring(struct vnet_dev *vd,
				  struct devlink_fmsg *fmsg,
				  struct virtqueue *vq, u32 entries_free)
{
	struct vnet_vq_indices idx;

	devlink_fmsg_u32_pair_put(fmsg, "size",
				  virtqueue_get_vring_size(vq));
	devlink_fmsg_u32_pair_put(fmsg, "entries_free", entries_free);
	devlink_fmsg_bool_pair_put(fmsg, "broken", virtqueue_is_broken(vq));
	if (vd->caps.packed)
		return;

	vnet_vq_read_indices(vq, &idx);
	devlink_fmsg_u32_pair_put(fmsg, "avail_idx", idx.avail);
	devlink_fmsg_u32_pair_put(fmsg, "used_idx", idx.used);
	devlink_fmsg_u32_pair_put(fmsg, "used_event", idx.used_event);
	devlink_fmsg_u32_pair_put(fmsg, "avail_event", idx.avail_event);
}

/* The ring of a data queue */
static void vnet_health_put_ring(struct vnet_dev *vd,
				 struct devlink_fmsg *fmsg,
				 const struct vnet_vq *q,
				 const struct vnet_wrap *wrap)
{
	if (!q->vq)
		return;

	devlink_fmsg_string_pair_put(fmsg, "engine",
				     vnet_vq_own(q) ? "vnet" : "core");
	devlink_fmsg_u32_pair_put(fmsg, "found_at_wrap",
				  READ_ONCE(wrap->found));
	vnet_health_put_vring(vd, fmsg, q->vq, vnet_vq_free(q));
}

static void vnet_health_put_watch(struct vnet_dev *vd,
				  struct devlink_fmsg *fmsg, u16 vq)
{
	struct vnet_watch_info info;

	vnet_watch_get(vd, vq, &info);
	devlink_fmsg_u32_pair_put(fmsg, "seconds_without_progress", info.still);
	devlink_fmsg_u32_pair_put(fmsg, "next_step", info.step);
	devlink_fmsg_u64_pair_put(fmsg, "packets", info.done);
}

static void vnet_health_put_txq(struct vnet_dev *vd, struct devlink_fmsg *fmsg,
				struct vnet_txq *txq)
{
	devlink_fmsg_obj_nest_start(fmsg);
	devlink_fmsg_u32_pair_put(fmsg, "queue", txq->index);
	devlink_fmsg_bool_pair_put(fmsg, "up", txq->up);
	devlink_fmsg_bool_pair_put(fmsg, "stopped",
				   netif_xmit_stopped(txq->nq));
	devlink_fmsg_u32_pair_put(fmsg, "slots",
				  txq->mem.slots.nr);
	devlink_fmsg_u32_pair_put(fmsg, "slots_in_flight",
				  vnet_txq_held(txq));
	devlink_fmsg_bool_pair_put(fmsg, "napi_scheduled",
				   test_bit(NAPI_STATE_SCHED, &txq->napi.state));
	vnet_health_put_watch(vd, fmsg, vnet_vq_tx_index(txq->index));
	vnet_health_put_ring(vd, fmsg, &txq->q, &txq->wrap);
	devlink_fmsg_obj_nest_end(fmsg);
}

static void vnet_health_put_rxq(struct vnet_dev *vd, struct devlink_fmsg *fmsg,
				struct vnet_rxq *rxq)
{
	devlink_fmsg_obj_nest_start(fmsg);
	devlink_fmsg_u32_pair_put(fmsg, "queue", rxq->index);
	devlink_fmsg_bool_pair_put(fmsg, "up", rxq->up);
	devlink_fmsg_bool_pair_put(fmsg, "starved", READ_ONCE(rxq->starved));
	devlink_fmsg_u32_pair_put(fmsg, "slots",
				  rxq->mem.slots.nr);
	devlink_fmsg_u32_pair_put(fmsg, "slots_posted",
				  vnet_rxq_held(rxq));
	devlink_fmsg_bool_pair_put(fmsg, "napi_scheduled",
				   test_bit(NAPI_STATE_SCHED, &rxq->napi.state));
	vnet_health_put_watch(vd, fmsg, vnet_vq_rx_index(rxq->index));
	vnet_health_put_ring(vd, fmsg, &rxq->q, &rxq->wrap);
	devlink_fmsg_obj_nest_end(fmsg);
}

static int vnet_health_tx_diagnose(struct devlink_health_reporter *reporter,
				   struct devlink_fmsg *fmsg,
				   struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	u16 i;

	vnet_compat_lock(vd->dev);
	devlink_fmsg_arr_pair_nest_start(fmsg, "queues");
	for (i = 0; i < vd->cfg.pairs; i++)
		vnet_health_put_txq(vd, fmsg, &vd->txqs[i]);
	devlink_fmsg_arr_pair_nest_end(fmsg);
	vnet_compat_unlock(vd->dev);

	return 0;
}

static int vnet_health_rx_diagnose(struct devlink_health_reporter *reporter,
				   struct devlink_fmsg *fmsg,
				   struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	u16 i;

	vnet_compat_lock(vd->dev);
	devlink_fmsg_arr_pair_nest_start(fmsg, "queues");
	for (i = 0; i < vd->cfg.pairs; i++)
		vnet_health_put_rxq(vd, fmsg, &vd->rxqs[i]);
	devlink_fmsg_arr_pair_nest_end(fmsg);
	vnet_compat_unlock(vd->dev);

	return 0;
}

/* What the device does not answer, and for how long it is not asked */
static void vnet_health_put_mutes(struct devlink_fmsg *fmsg,
				  const struct vnet_ctrl_info *info)
{
	time64_t now = ktime_get_seconds();
	unsigned int i;

	devlink_fmsg_arr_pair_nest_start(fmsg, "unanswered");
	for (i = 0; i < ARRAY_SIZE(info->mutes); i++) {
		const struct vnet_ctrl_mute *mute = &info->mutes[i];

		if (!mute->unanswered)
			continue;
		devlink_fmsg_obj_nest_start(fmsg);
		devlink_fmsg_bool_pair_put(fmsg, "all", i == VNET_CTRL_MUTES);
		devlink_fmsg_u32_pair_put(fmsg, "class", mute->class);
		devlink_fmsg_u32_pair_put(fmsg, "command", mute->cmd);
		devlink_fmsg_u32_pair_put(fmsg, "times", mute->unanswered);
		devlink_fmsg_u32_pair_put(fmsg, "seconds_left",
					  max_t(time64_t, mute->until - now, 0));
		devlink_fmsg_obj_nest_end(fmsg);
	}
	devlink_fmsg_arr_pair_nest_end(fmsg);
}

static int vnet_health_ctrl_diagnose(struct devlink_health_reporter *reporter,
				     struct devlink_fmsg *fmsg,
				     struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	struct vnet_ctrl_info info;

	vnet_compat_lock(vd->dev);
	vnet_ctrl_get_info(vd, &info);
	devlink_fmsg_bool_pair_put(fmsg, "up", info.up);
	devlink_fmsg_u64_pair_put(fmsg, "sent", info.sent);
	devlink_fmsg_u64_pair_put(fmsg, "refused", info.refused);
	devlink_fmsg_u64_pair_put(fmsg, "timeouts", info.timeouts);
	devlink_fmsg_u64_pair_put(fmsg, "late", info.late);
	devlink_fmsg_u64_pair_put(fmsg, "interrupts", info.irqs);
	devlink_fmsg_u64_pair_put(fmsg, "skipped", info.skipped);
	vnet_health_put_mutes(fmsg, &info);
	devlink_fmsg_u64_pair_put(fmsg, "in_flight", info.in_flight);
	if (vd->cvq)
		vnet_health_put_vring(vd, fmsg, vd->cvq, vd->cvq->num_free);
	vnet_compat_unlock(vd->dev);

	return 0;
}

static const char * const vnet_health_states[VNET_LIFE_NR] = {
	[VNET_LIFE_RESET]	= "off",
	[VNET_LIFE_DEAD]	= "does not start, waiting for the next try",
	[VNET_LIFE_STUCK]	= "in a reset that does not end",
	[VNET_LIFE_LIVE]	= "started",
	[VNET_LIFE_PARTLY]	= "some queues run",
	[VNET_LIFE_RUNNING]	= "running",
};

static int vnet_health_device_diagnose(struct devlink_health_reporter *reporter,
				       struct devlink_fmsg *fmsg,
				       struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	const u64 *steps = vd->heal.steps;

	vnet_compat_lock(vd->dev);
	devlink_fmsg_string_pair_put(fmsg, "state",
				     vnet_health_states[vd->life.have]);
	devlink_fmsg_bool_pair_put(fmsg, "live", vnet_live(vd));
	devlink_fmsg_bool_pair_put(fmsg, "running", vd->life.want.up);
	devlink_fmsg_bool_pair_put(fmsg, "dead", vnet_given_up(vd));
	devlink_fmsg_bool_pair_put(fmsg, "reset_hangs",
				   vd->life.have == VNET_LIFE_STUCK);
	if (vd->life.want.power == VNET_POWER_ON)
		devlink_fmsg_u32_pair_put(fmsg, "status",
					  vd->vdev->config->get_status(vd->vdev));
	devlink_fmsg_u64_pair_put(fmsg, "features_low",
				  vd->caps.features.w[0]);
	devlink_fmsg_u64_pair_put(fmsg, "features_high",
				  vd->caps.features.w[1]);
	devlink_fmsg_u64_pair_put(fmsg, "notifications",
				  steps[VNET_HEAL_KICK]);
	devlink_fmsg_u64_pair_put(fmsg, "queue_resets",
				  steps[VNET_HEAL_QUEUE]);
	devlink_fmsg_u64_pair_put(fmsg, "device_resets",
				  steps[VNET_HEAL_DEVICE]);
	devlink_fmsg_u32_pair_put(fmsg, "failed_tries",
				  vnet_life_tries(&vd->life));
	vnet_compat_unlock(vd->dev);

	return 0;
}

/* A dump begins with what made the driver ask for it; a user's has no @heal. */
static void vnet_health_put_event(struct devlink_fmsg *fmsg,
				  const struct vnet_heal *heal)
{
	if (heal)
		devlink_fmsg_string_pair_put(fmsg, "event", heal->text);
}

/* The configuration that is told to the device anew after a reset. */
static int vnet_health_device_dump(struct devlink_health_reporter *reporter,
				   struct devlink_fmsg *fmsg, void *priv_ctx,
				   struct netlink_ext_ack *extack)
{
	struct vnet_dev *vd = vnet_health_vd(reporter);
	const struct vnet_cfg *cfg = &vd->cfg;

	vnet_health_put_event(fmsg, priv_ctx);
	vnet_health_device_diagnose(reporter, fmsg, extack);
	vnet_compat_lock(vd->dev);
	devlink_fmsg_u32_pair_put(fmsg, "pairs", cfg->pairs);
	devlink_fmsg_u32_pair_put(fmsg, "max_pairs", vd->caps.max_pairs);
	devlink_fmsg_u32_pair_put(fmsg, "rx_ring", cfg->rx_ring);
	devlink_fmsg_u32_pair_put(fmsg, "tx_ring", cfg->tx_ring);
	devlink_fmsg_u32_pair_put(fmsg, "mtu", cfg->mtu);
	devlink_fmsg_bool_pair_put(fmsg, "xdp", cfg->xdp);
	devlink_fmsg_u32_pair_put(fmsg, "xsk_pools", cfg->nr_xsk);
	vnet_compat_unlock(vd->dev);

	return 0;
}

static int vnet_health_tx_dump(struct devlink_health_reporter *reporter,
			       struct devlink_fmsg *fmsg, void *priv_ctx,
			       struct netlink_ext_ack *extack)
{
	vnet_health_put_event(fmsg, priv_ctx);

	return vnet_health_tx_diagnose(reporter, fmsg, extack);
}

static int vnet_health_rx_dump(struct devlink_health_reporter *reporter,
			       struct devlink_fmsg *fmsg, void *priv_ctx,
			       struct netlink_ext_ack *extack)
{
	vnet_health_put_event(fmsg, priv_ctx);

	return vnet_health_rx_diagnose(reporter, fmsg, extack);
}

static int vnet_health_ctrl_dump(struct devlink_health_reporter *reporter,
				 struct devlink_fmsg *fmsg, void *priv_ctx,
				 struct netlink_ext_ack *extack)
{
	vnet_health_put_event(fmsg, priv_ctx);

	return vnet_health_ctrl_diagnose(reporter, fmsg, extack);
}

static const struct devlink_health_reporter_ops
vnet_health_ops[VNET_REPORTER_NR] = {
	[VNET_REPORTER_TX] = {
		.name		= "tx",
		.recover	= vnet_health_recover,
		.dump		= vnet_health_tx_dump,
		.diagnose	= vnet_health_tx_diagnose,
	},
	[VNET_REPORTER_RX] = {
		.name		= "rx",
		.recover	= vnet_health_recover,
		.dump		= vnet_health_rx_dump,
		.diagnose	= vnet_health_rx_diagnose,
	},
	[VNET_REPORTER_CTRL] = {
		.name		= "ctrl",
		.recover	= vnet_health_recover,
		.dump		= vnet_health_ctrl_dump,
		.diagnose	= vnet_health_ctrl_diagnose,
	},
	[VNET_REPORTER_DEVICE] = {
		.name		= "device",
		.recover	= vnet_health_recover,
		.dump		= vnet_health_device_dump,
		.diagnose	= vnet_health_device_diagnose,
	},
};

/* Which NETIF_MSG_* the messages of a reporter are */
static const u32 vnet_health_msg[VNET_REPORTER_NR] = {
	[VNET_REPORTER_TX]	= NETIF_MSG_TX_ERR,
	[VNET_REPORTER_RX]	= NETIF_MSG_RX_ERR,
	[VNET_REPORTER_CTRL]	= NETIF_MSG_HW,
	[VNET_REPORTER_DEVICE]	= NETIF_MSG_HW,
};

/* That one more try has failed is no news. */
static bool vnet_health_loud(struct vnet_dev *vd, const struct vnet_heal *heal)
{
	if (heal->reasons == BIT(VNET_RESET_RESTART) &&
	    vnet_life_tries(&vd->life) > 1)
		return false;

	return (READ_ONCE(vd->msg_enable) &
		vnet_health_msg[heal->reporter]) && net_ratelimit();
}

/*
 * Report one event, which heals it unless the user has said no. A reporter
 * that is in trouble already is not asked again by devlink: a device that does
 * not come back is tried on until it is given up.
 */
static void vnet_health_report(struct vnet_dev *vd, struct vnet_heal *heal)
{
	const struct vnet_health *health = READ_ONCE(vd->health);
	struct devlink_health_reporter *reporter;
	int err;

	if (vnet_health_loud(vd, heal))
		netdev_warn(vd->dev, "%s\n", heal->text);

	if (!health) {
		vnet_recovery_heal(vd, heal);
		return;
	}

	reporter = health->reporters[heal->reporter];

	err = devlink_health_report(reporter, heal->text, heal);
	if (err == -ECANCELED && !vnet_recovery_heal(vd, heal)) {
		devlink_health_reporter_state_update(reporter,
						     DEVLINK_HEALTH_REPORTER_STATE_HEALTHY);
		if (heal->step == VNET_HEAL_DEVICE)
			vnet_health_all_well(vd, reporter);
	}
	if (!heal->tried) {
		vnet_recovery_refused(vd, heal);
		if (vnet_health_loud(vd, heal))
			netdev_warn(vd->dev, "not done: auto_recover is off, see 'devlink health'\n");
	}
}

/* Work: heal everything that waits. */
void vnet_health_work(struct work_struct *work)
{
	struct vnet_dev *vd = vnet_recovery_dev(work);
	unsigned int noio = memalloc_noio_save();
	struct vnet_heal heal;

	while (vnet_recovery_next(vd, &heal))
		vnet_health_report(vd, &heal);
	vnet_health_opened(vd);
	vnet_health_muted(vd);
	memalloc_noio_restore(noio);
}

/**
 * vnet_devlink_create() - show the health of the device
 * @vd: device, net device registered
 *
 * Context: process, at probe.
 * Return: 0 or -errno.
 */
int vnet_devlink_create(struct vnet_dev *vd)
{
	struct devlink_health_reporter *reporter;
	struct vnet_health *health;
	struct devlink *devlink;
	unsigned int i;

	devlink = devlink_alloc(&vnet_devlink_ops, sizeof(*health),
				&vd->vdev->dev);
	if (!devlink)
		return -ENOMEM;

	health = devlink_priv(devlink);
	health->devlink = devlink;
	for (i = 0; i < VNET_REPORTER_NR; i++) {
		reporter = vnet_compat_health_create(devlink,
						     &vnet_health_ops[i], vd);
		if (IS_ERR(reporter))
			goto err_destroy;
		health->reporters[i] = reporter;
	}
	/* Whoever sees it sees all reporters. */
	smp_store_release(&vd->health, health);
	devlink_register(devlink);

	return 0;

err_destroy:
	while (i--)
		devlink_health_reporter_destroy(health->reporters[i]);
	devlink_free(devlink);
	return PTR_ERR(reporter);
}

/* No detector and no ladder runs any more. */
void vnet_devlink_destroy(struct vnet_dev *vd)
{
	struct vnet_health *health = vd->health;
	struct devlink *devlink;
	unsigned int i;

	if (!health)
		return;

	devlink = health->devlink;
	devlink_unregister(devlink);
	for (i = 0; i < VNET_REPORTER_NR; i++)
		devlink_health_reporter_destroy(health->reporters[i]);
	vd->health = NULL;
	devlink_free(devlink);
}
