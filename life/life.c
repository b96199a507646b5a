// SPDX-License-Identifier: GPL-2.0
/*
 * The one owner of life: whatever is wished for ends in vnet_life_settle(), and
 * only the steps below stop a device, start it, and start or stop its queues.
 * The table of steps is in vnet_life.h; what a step leaves behind is checked
 * against it.
 */
#include <linux/netdevice.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_device.h"
#include "vnet_event.h"
#include "vnet_link.h"
#include "vnet_queue.h"

/* The time between two resets: doubled from one to the next, up to a limit. */
#define VNET_LIFE_BACKOFF	(HZ / 4)
#define VNET_LIFE_BACKOFF_MAX	(60 * HZ)
#define VNET_LIFE_LEVEL_MAX	8

/* The same for want of memory, which says nothing about the device */
#define VNET_LIFE_LEVEL_NOMEM	4

static void vnet_life_set(struct vnet_dev *vd, enum vnet_have have)
{
	WRITE_ONCE(vd->life.have, have);
}

/* Reset the device and take everything back, or leave it with the device. */
static int vnet_step_ask(struct vnet_dev *vd)
{
	int err;

	err = vnet_device_reset(vd);
	if (err) {
		virtio_break_device(vd->vdev);
		return err;
	}

	vnet_ctrl_stop(vd);
	vnet_queues_reclaim(vd);
	vnet_queues_unplace(vd);
	vnet_vqs_destroy(vd);
	vnet_life_set(vd, VNET_LIFE_RESET);

	return 0;
}

/*
 * A device that does not finish its reset in time keeps virtqueues and buffers.
 * From the beginning nobody sends it a command any more.
 */
static int vnet_step_stop(struct vnet_dev *vd)
{
	vnet_life_set(vd, VNET_LIFE_STUCK);
	vnet_queues_off(vd);

	return vnet_step_ask(vd);
}

/* The memory was meant for a configuration that may have changed meanwhile. */
static int vnet_step_ask_again(struct vnet_dev *vd)
{
	int err = vnet_step_ask(vd);
	u16 i;

	for (i = 0; i < vd->caps.max_pairs && !err; i++)
		vnet_pair_free(vd, i);

	return err;
}

/* Bring a reset device to FEATURES_OK again, with the features of vd->caps. */
static int vnet_life_negotiate(struct vnet_dev *vd)
{
	struct virtio_device *vdev = vd->vdev;
	struct vnet_features offered;
	int err;

	vnet_compat_features_set(vdev, 0, vd->caps.features.w[0]);
	vnet_compat_features_set(vdev, 1, vd->caps.features.w[1]);

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);

	/* Another device by now, to which this driver was not bound */
	vnet_compat_features_offered(vdev, offered.w);
	if (vd->caps.features.w[0] & ~offered.w[0] ||
	    vd->caps.features.w[1] & ~offered.w[1])
		return -ENODEV;

	err = vdev->config->finalize_features(vdev);
	if (err || !vd->caps.le)
		return err;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;

	return 0;
}

/*
 * When the virtio core fails to restore a device, or we tell it that we have, it
 * leaves the configuration interrupt off for ever.
 */
static void vnet_config_enable(struct virtio_device *vdev)
{
	spin_lock_irq(&vdev->config_lock);
	vdev->config_core_enabled = true;
	spin_unlock_irq(&vdev->config_lock);
}

/* DRIVER_OK, of a device that has not said so before: the core would complain. */
static int vnet_life_ready(struct vnet_dev *vd)
{
	struct virtio_device *vdev = vd->vdev;

	if (vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_DRIVER_OK)
		return -EPROTO;

	vnet_config_enable(vdev);
	virtio_device_ready(vdev);
	vnet_life_set(vd, VNET_LIFE_LIVE);
	vnet_ctrl_start(vd);

	return 0;
}

/* The device is of no use: stop it, and wait for the next try. */
static void vnet_life_die(struct vnet_dev *vd)
{
	if (!vnet_step_stop(vd))
		vnet_life_set(vd, VNET_LIFE_DEAD);
}

/* The second half of every start: virtqueues exist. */
static int vnet_life_tell(struct vnet_dev *vd)
{
	int err;

	err = vnet_life_ready(vd);
	if (!err)
		err = vnet_cfg_replay(vd);
	if (err) {
		vnet_life_die(vd);
		return err;
	}

	/* It may have refused some. */
	vd->life.want.pairs = vd->cfg.pairs;
	vnet_queues_spread(vd);

	return 0;
}

static int vnet_step_start(struct vnet_dev *vd)
{
	int err;

	err = vnet_device_begin(vd);
	if (err)
		goto err_dead;

	err = vnet_life_negotiate(vd);
	if (!err)
		err = vnet_vqs_create(vd);
	if (!err)
		return vnet_life_tell(vd);

	vnet_device_reset(vd);
err_dead:
	vnet_life_set(vd, VNET_LIFE_DEAD);
	return err;
}

/* Pairs that run already go on; without memory the others wait. */
static int vnet_step_up(struct vnet_dev *vd)
{
	int err = 0;
	u16 i;

	for (i = 0; i < vd->life.want.pairs && !err; i++)
		err = vnet_pair_start(vd, i);
	if (err && err != -ENOMEM) {
		vnet_life_die(vd);
		return err;
	}

	vnet_life_set(vd, err ? VNET_LIFE_PARTLY : VNET_LIFE_RUNNING);
	netif_tx_wake_all_queues(vd->dev);

	return err;
}

/*
 * Stop queue pairs and take everything back: afterwards no packet and no buffer
 * of theirs is with the device. Where a single ring cannot be reset, or @whole
 * is set, the device is.
 */
static int vnet_life_halt(struct vnet_dev *vd, u16 from, u16 to, bool whole)
{
	u16 i;

	vnet_pairs_drain(vd, from, to);
	for (i = from; i < to; i++)
		vnet_pair_off(vd, i);

	whole = whole || !vnet_can_reset_rings(vd);
	for (i = from; i < to && !whole; i++)
		whole = vnet_pair_reset(vd, i);
	if (whole)
		return vnet_step_stop(vd);

	vnet_life_set(vd, VNET_LIFE_PARTLY);

	return 0;
}

static int vnet_step_down(struct vnet_dev *vd)
{
	int err = vnet_life_halt(vd, 0, vd->caps.max_pairs, false);

	if (vd->life.have == VNET_LIFE_PARTLY)
		vnet_life_set(vd, VNET_LIFE_LIVE);

	return err;
}

static int (*const vnet_life_steps[VNET_STEP_NR])(struct vnet_dev *vd) = {
	[VNET_STEP_STOP]	= vnet_step_stop,
	[VNET_STEP_ASK]		= vnet_step_ask_again,
	[VNET_STEP_START]	= vnet_step_start,
	[VNET_STEP_UP]		= vnet_step_up,
	[VNET_STEP_DOWN]	= vnet_step_down,
};

/* Step by step, until the goal is reached or a step fails. */
static int vnet_life_go(struct vnet_dev *vd, enum vnet_goal goal)
{
	enum vnet_step step;
	int err = 0;

	while (!err) {
		step = vnet_life_next(vd->life.have, goal);
		if (step == VNET_STEP_NONE)
			break;
		err = vnet_life_steps[step](vd);
		WARN_ON_ONCE(!(BIT(vd->life.have) &
			       vnet_life_outcomes(step, err)));
	}

	return err;
}

/* Memory of queue pairs that are not to run goes; the device does not have it. */
static void vnet_life_trim(struct vnet_dev *vd)
{
	u16 i = vd->life.want.up ? vd->life.want.pairs : 0;

	for (; i < vd->caps.max_pairs; i++)
		if (!vd->rxqs[i].up)
			vnet_pair_free(vd, i);
	for (i = 0; i < vd->caps.max_pairs; i++)
		vnet_pair_forget(vd, i);
}

/**
 * vnet_life_init() - a device that is in nobody's hands yet
 * @vd: device
 *
 * Recovery has to wait until it has been started.
 *
 * Context: process, at probe.
 */
void vnet_life_init(struct vnet_dev *vd)
{
	vd->life.want.power = VNET_POWER_FROZEN;
	vd->life.pace.last = jiffies;
	vd->life.pace.not_before = jiffies;
}

static void vnet_life_wait(struct vnet_pace *pace)
{
	pace->last = jiffies;
	pace->not_before = jiffies + min(VNET_LIFE_BACKOFF << pace->level,
					 VNET_LIFE_BACKOFF_MAX);
}

/**
 * vnet_life_pace() - a reset comes now: when may the next one?
 * @vd: device
 *
 * Soon after a quiet time, else ever later.
 *
 * Context: instance lock held.
 */
void vnet_life_pace(struct vnet_dev *vd)
{
	struct vnet_pace *pace = &vd->life.pace;
	unsigned long gap = VNET_LIFE_BACKOFF << pace->level;

	if (!pace->tries && time_after(jiffies, pace->last + 4 * gap))
		pace->level = 0;
	vnet_life_wait(pace);
	if (pace->level < VNET_LIFE_LEVEL_MAX)
		pace->level++;
}

/**
 * vnet_life_later() - try again when the time has come
 * @vd: device that is not what it is to be
 *
 * Context: instance lock held.
 */
void vnet_life_later(struct vnet_dev *vd)
{
	vnet_life_wait(&vd->life.pace);
	vnet_recovery_request(vd, VNET_RESET_RESTART);
}

/**
 * vnet_life_hurry() - what went wrong before is no reason to wait
 * @vd: device
 *
 * Context: instance lock held.
 */
void vnet_life_hurry(struct vnet_dev *vd)
{
	vd->life.pace.level = 0;
}

/*
 * The device has not come back this time: no virtqueues, no carrier, and no
 * hang. It is tried for ever, ever less often; the log says so once.
 */
static void vnet_life_failed(struct vnet_dev *vd, int err)
{
	struct vnet_pace *pace = &vd->life.pace;

	netif_carrier_off(vd->dev);
	if (err == -ENOMEM) {
		pace->level = min(pace->level, VNET_LIFE_LEVEL_NOMEM);
	} else if (pace->tries < U8_MAX && ++pace->tries == VNET_RESET_TRIES) {
		vd->heal.steps[VNET_HEAL_GIVE_UP]++;
		netdev_err(vd->dev, "the device does not come back (%d), trying on ever less often\n",
			   err);
	}
	pace->gone = vnet_device_gone(vd);
	vnet_life_later(vd);
}

static void vnet_life_done(struct vnet_dev *vd)
{
	struct vnet_pace *pace = &vd->life.pace;

	if (pace->tries >= VNET_RESET_TRIES)
		netdev_info(vd->dev, "the device is back\n");
	pace->tries = 0;
	pace->gone = false;
	vnet_link_update(vd);
}

/**
 * vnet_life_settle() - make the device what it is to be
 * @vd: device whose life.want may have changed
 *
 * A device that fails on the way is tried again later, by recovery; one that
 * waits for that is left alone.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 * Return: 0; -ENOMEM when not all queues run that are to; -ETIMEDOUT when a
 * reset hangs; or why the device does not start.
 */
int vnet_life_settle(struct vnet_dev *vd)
{
	enum vnet_goal goal = vnet_life_goal(&vd->life.want);
	bool rings = vnet_can_reset_rings(vd);
	int err;

	vnet_compat_assert_locked(vd->dev);
	err = vnet_life_go(vd, goal);
	/* Rings that cannot be fitted are used as the device gives them. */
	if (err && rings && !vnet_can_reset_rings(vd)) {
		vnet_life_set(vd, vnet_life_again(vd->life.have));
		err = vnet_life_go(vd, goal);
	}

	vnet_life_trim(vd);
	if (vnet_live(vd))
		vnet_life_done(vd);
	else if (err && goal != VNET_GOAL_OFF)
		vnet_life_failed(vd, err);

	return err;
}

/**
 * vnet_life_retry() - the same for a device that waits for its next try
 * @vd: device
 *
 * Context: process, sleeps; instance lock held.
 * Return: as vnet_life_settle().
 */
int vnet_life_retry(struct vnet_dev *vd)
{
	vnet_life_set(vd, vnet_life_again(vd->life.have));

	return vnet_life_settle(vd);
}

/**
 * vnet_life_renew() - reset the device and start it again
 * @vd: device
 *
 * Context: process, sleeps; instance lock held.
 * Return: as vnet_life_settle().
 */
int vnet_life_renew(struct vnet_dev *vd)
{
	netif_tx_disable(vd->dev);
	vnet_life_go(vd, VNET_GOAL_OFF);

	return vnet_life_retry(vd);
}

/**
 * vnet_life_pause() - stop queue pairs for a change
 * @vd: device
 * @from: first pair
 * @to: the pair behind the last one
 * @whole: reset the device in any case
 *
 * Nothing of theirs is with the device afterwards, unless it is stuck. They
 * keep their memory, and vnet_life_settle() starts them again.
 *
 * Context: process, sleeps; instance lock held; the stack does not transmit.
 */
void vnet_life_pause(struct vnet_dev *vd, u16 from, u16 to, bool whole)
{
	vnet_compat_assert_locked(vd->dev);
	if (vnet_live(vd))
		vnet_life_halt(vd, from, to, whole);
}

/**
 * vnet_life_pause_rx() - stop one receive queue for a change
 * @vd: device
 * @i: queue
 *
 * As vnet_life_pause(), but where the device resets single virtqueues nothing
 * else is disturbed. A queue that is not to run is left alone.
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_life_pause_rx(struct vnet_dev *vd, u16 i)
{
	vnet_compat_assert_locked(vd->dev);
	if (!vnet_live(vd) || i >= vd->life.want.pairs)
		return;

	if (!vnet_can_reset_rings(vd) || vnet_rxq_halt(vd, i)) {
		netif_tx_disable(vd->dev);
		vnet_life_halt(vd, i, i + 1, true);
	} else if (vd->life.have == VNET_LIFE_RUNNING) {
		vnet_life_set(vd, VNET_LIFE_PARTLY);
	}
}

/**
 * vnet_life_set_pairs() - other queue pairs are to run
 * @vd: device
 * @pairs: their number
 *
 * Those that are not stop; vnet_life_settle() starts the new ones.
 *
 * Context: process, sleeps; instance lock held; the stack does not transmit on
 * those that stop.
 */
void vnet_life_set_pairs(struct vnet_dev *vd, u16 pairs)
{
	u16 old = vd->life.want.pairs;

	vd->life.want.pairs = pairs;
	if (vd->life.have < VNET_LIFE_PARTLY)
		return;

	if (pairs < old)
		vnet_life_halt(vd, pairs, old, false);
	else
		vnet_life_set(vd, VNET_LIFE_PARTLY);
}

/**
 * vnet_life_begin() - the first start, at probe
 * @vd: device, negotiated by the virtio core
 *
 * It is told what it must know before anyone can open. What it does not answer
 * is left out the next time.
 *
 * Context: process, sleeps; the net device not registered.
 * Return: 0 or -errno; then vnet_life_release() is to be called.
 */
int vnet_life_begin(struct vnet_dev *vd)
{
	unsigned int tries = VNET_CTRL_MUTES + 1;
	int err;

	vd->life.want.pairs = vd->cfg.pairs;
	err = vnet_vqs_create(vd);
	if (err) {
		/* Some of them may be enabled; their memory is gone. */
		vnet_device_reset(vd);
		return err;
	}

	/* A driver before us may have left them off. */
	virtio_config_driver_enable(vd->vdev);
	err = vnet_life_tell(vd);
	while (err == -ETIMEDOUT && tries--) {
		vnet_life_set(vd, vnet_life_again(vd->life.have));
		err = vnet_life_go(vd, VNET_GOAL_IDLE);
	}
	if (!err)
		vnet_recovery_forget(vd, VNET_RESET_CTRL_TIMEOUT);

	return err;
}

/**
 * vnet_life_release() - wait until nothing of ours is with the device
 * @vd: device that is to be off, and has been settled
 *
 * At remove there is no way to give up: the transport goes next. Where the
 * virtio core waits for ever, so does this.
 *
 * Context: process, sleeps; the net device unregistered.
 */
void vnet_life_release(struct vnet_dev *vd)
{
	vnet_reset_flush(vd);
	while (vd->life.have == VNET_LIFE_STUCK) {
		vnet_step_ask_again(vd);
		vnet_reset_flush(vd);
	}
}

/**
 * vnet_life_believe() - forget what the device has failed to do
 * @vd: device that the user has reset, or that is back as after power-on
 *
 * Context: process, sleeps; instance lock held.
 */
void vnet_life_believe(struct vnet_dev *vd)
{
	vnet_reset_believe(vd);
	vnet_life_hurry(vd);
	vnet_ctrl_unmute(vd);
}
