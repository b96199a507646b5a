// SPDX-License-Identifier: GPL-2.0
/*
 * Control queue transport.
 *
 * One command is in flight at a time. Its memory is two allocations of its
 * own (what the device reads, what it writes), which stay the device's until
 * the command comes back or the device was reset: the caller may give up
 * earlier and drops only its own reference.
 *
 * The ring is touched under the control mutex only. The interrupt just wakes
 * the waiter, who also looks at the ring by himself from time to time: an
 * interrupt that never comes costs time and not the command.
 *
 * A command that the device leaves unanswered twice in a row, or in a replay,
 * is not sent for a while, so that a device that fails at one command cannot
 * be reset for it over and over: it is used without, and the caller is told at
 * once. With two in a row of different kinds the queue as a whole counts as
 * dead.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/wait.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_event.h"
#include "vnet_vq.h"

/* Where the payload starts in the buffer that the device reads. */
#define VNET_CMD_PAYLOAD	8
#define VNET_CMD_HDR_LEN	2
#define VNET_CMD_ACK_LEN	1
#define VNET_CMD_MAX_PARTS	5

/* A refusal (VIRTIO 1.4, 5.1.9.5), and what stands there before an answer. */
#define VNET_ACK_ERR		1
#define VNET_ACK_NONE		0xff

/* Most devices answer within this time: do not sleep for it. */
#define VNET_CTRL_SPIN_US	50

/* The first and the longest sleep between two looks at the ring. */
#define VNET_CTRL_STEP_MIN	1
#define VNET_CTRL_STEP_MAX	(HZ / 20 ?: 1)
#define VNET_CTRL_STEP_PATIENT	(HZ / 2)

#define VNET_CTRL_TIMEOUT_MAX_MS	60000

/* Seconds for which an unanswered command is not sent, doubled each time */
#define VNET_CTRL_MUTE_TIME	60
#define VNET_CTRL_MUTE_LEVELS	6

/* Seconds after which such a thing is history */
#define VNET_CTRL_MUTE_FORGET	600

static unsigned int ctrl_timeout_ms = VNET_CTRL_TIMEOUT_MS;
module_param(ctrl_timeout_ms, uint, 0644);
MODULE_PARM_DESC(ctrl_timeout_ms,
		 "debug: how long the device may take to answer a control command");

/**
 * struct vnet_ctrl - control queue transport of one device
 * @lock: protects the ring and everything below; sleeps
 * @vq: the ring, NULL while there is none
 * @wait: where the sender of the command in flight sleeps
 * @irq: an interrupt came since the ring was looked at; written without @lock
 * @up: commands are accepted; cleared without @lock
 * @last: the last command went unanswered, and it was this one
 * @info: counters, and what the device does not answer
 */
struct vnet_ctrl {
	/* serializes commands, and with them everything that touches the ring */
	struct mutex lock;
	struct virtqueue *vq;
	wait_queue_head_t wait;
	bool irq;
	bool up;
	struct vnet_ctrl_mute *last;
	struct vnet_ctrl_info info;
};

/**
 * vnet_cmd_alloc() - get memory for a command
 * @room: most bytes of payload
 * @reply_len: bytes that the device may write after its acknowledgment
 *
 * Return: the command, ready for an encoder; NULL without memory.
 */
struct vnet_cmd *vnet_cmd_alloc(size_t room, size_t reply_len)
{
	struct vnet_cmd *cmd;

	cmd = kzalloc(struct_size(cmd, reply, reply_len), GFP_KERNEL);
	if (!cmd)
		return NULL;

	cmd->out = kzalloc(VNET_CMD_PAYLOAD + room, GFP_KERNEL);
	cmd->in = kzalloc(VNET_CMD_ACK_LEN + reply_len, GFP_KERNEL);
	if (!cmd->out || !cmd->in)
		goto err_free;

	kref_init(&cmd->ref);
	cmd->w.data = cmd->out + VNET_CMD_PAYLOAD;
	cmd->w.room = room;
	cmd->reply_len = reply_len;

	return cmd;

err_free:
	kfree(cmd->in);
	kfree(cmd->out);
	kfree(cmd);
	return NULL;
}

static void vnet_cmd_free(struct kref *ref)
{
	struct vnet_cmd *cmd = container_of(ref, struct vnet_cmd, ref);

	kfree(cmd->in);
	kfree(cmd->out);
	kfree(cmd);
}

/**
 * vnet_cmd_put() - drop one reference to a command
 * @cmd: command, or NULL
 */
void vnet_cmd_put(struct vnet_cmd *cmd)
{
	if (cmd)
		kref_put(&cmd->ref, vnet_cmd_free);
}

/* Counters have one writer at a time and are read without a lock. */
static void vnet_ctrl_count(unsigned long *counter, long n)
{
	WRITE_ONCE(*counter, *counter + n);
}

/* The device has given @cmd back, or will never look at it again. */
static void vnet_ctrl_returned(struct vnet_ctrl *ctrl, struct vnet_cmd *cmd)
{
	vnet_ctrl_count(&ctrl->info.in_flight, -1);
	vnet_cmd_put(cmd);
}

/* Commands that the device does not answer */

static struct vnet_ctrl_mute *vnet_ctrl_find(struct vnet_ctrl *ctrl,
					     const struct vnet_wire_cmd *w)
{
	struct vnet_ctrl_mute *mute = ctrl->info.mutes;
	unsigned int i;

	for (i = 0; i < VNET_CTRL_MUTES; i++, mute++)
		if (mute->unanswered && mute->class == w->class &&
		    mute->cmd == w->cmd)
			return mute;

	return NULL;
}

static struct vnet_ctrl_mute *vnet_ctrl_all(struct vnet_ctrl *ctrl)
{
	return &ctrl->info.mutes[VNET_CTRL_MUTES];
}

static bool vnet_ctrl_is_muted(const struct vnet_ctrl_mute *mute)
{
	return mute && mute->until && ktime_get_seconds() < mute->until;
}

static void vnet_ctrl_do_mute(struct vnet_dev *vd, struct vnet_ctrl_mute *mute)
{
	unsigned int level = min_t(unsigned int, mute->unanswered - 1,
				   VNET_CTRL_MUTE_LEVELS);
	unsigned int seconds = VNET_CTRL_MUTE_TIME << level;
	struct device *dev = &vd->vdev->dev;

	mute->until = ktime_get_seconds() + seconds;
	if (mute == vnet_ctrl_all(vd->ctrl))
		dev_warn_ratelimited(dev, "no control command is answered: doing without for %u s\n",
				     seconds);
	else
		dev_warn_ratelimited(dev, "control command %u/%u is not answered: doing without for %u s\n",
				     mute->class, mute->cmd, seconds);
}

static void vnet_ctrl_forget(struct vnet_ctrl *ctrl)
{
	time64_t then = ktime_get_seconds() - VNET_CTRL_MUTE_FORGET;
	struct vnet_ctrl_mute *mute = ctrl->info.mutes;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ctrl->info.mutes); i++, mute++)
		if (mute->seen < then && mute->until < then)
			memset(mute, 0, sizeof(*mute));
}

/* The device let @w time out. */
static void vnet_ctrl_unanswered(struct vnet_dev *vd,
				 const struct vnet_wire_cmd *w)
{
	struct vnet_ctrl *ctrl = vd->ctrl;
	struct vnet_ctrl_mute *mute;
	unsigned int i;

	vnet_ctrl_forget(ctrl);
	mute = vnet_ctrl_find(ctrl, w);
	for (i = 0; i < VNET_CTRL_MUTES && !mute; i++)
		if (!ctrl->info.mutes[i].unanswered)
			mute = &ctrl->info.mutes[i];
	if (!mute || (ctrl->last && ctrl->last != mute))
		mute = vnet_ctrl_all(ctrl);

	mute->class = w->class;
	mute->cmd = w->cmd;
	mute->seen = ktime_get_seconds();
	if (mute->unanswered < U8_MAX)
		mute->unanswered++;
	ctrl->last = mute;
	if (mute->unanswered > 1 || mute == vnet_ctrl_all(ctrl))
		vnet_ctrl_do_mute(vd, mute);
}

static void vnet_ctrl_answered(struct vnet_ctrl *ctrl,
			       const struct vnet_wire_cmd *w)
{
	struct vnet_ctrl_mute *mute = vnet_ctrl_find(ctrl, w);

	ctrl->last = NULL;
	if (mute)
		memset(mute, 0, sizeof(*mute));
	memset(vnet_ctrl_all(ctrl), 0, sizeof(*mute));
}

/**
 * vnet_ctrl_mute() - do without the command that has just timed out
 * @vd: device in whose replay that was
 *
 * Context: process, sleeps.
 */
void vnet_ctrl_mute(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl = vd->ctrl;

	if (!ctrl)
		return;

	mutex_lock(&ctrl->lock);
	if (ctrl->last && !ctrl->last->until)
		vnet_ctrl_do_mute(vd, ctrl->last);
	mutex_unlock(&ctrl->lock);
}

/**
 * vnet_ctrl_unmute() - send everything again
 * @vd: device that the user has reset, or that is back as after power-on
 *
 * Context: process, sleeps.
 */
void vnet_ctrl_unmute(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl = vd->ctrl;

	if (!ctrl)
		return;

	mutex_lock(&ctrl->lock);
	memset(ctrl->info.mutes, 0, sizeof(ctrl->info.mutes));
	ctrl->last = NULL;
	mutex_unlock(&ctrl->lock);
}

/**
 * vnet_ctrl_muted() - is the device used without some command
 * @vd: device
 *
 * Return: number of entries of struct vnet_ctrl_info that are not sent.
 */
unsigned int vnet_ctrl_muted(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl = vd->ctrl;
	unsigned int i, nr = 0;

	if (!ctrl)
		return 0;

	mutex_lock(&ctrl->lock);
	for (i = 0; i < ARRAY_SIZE(ctrl->info.mutes); i++)
		nr += vnet_ctrl_is_muted(&ctrl->info.mutes[i]);
	mutex_unlock(&ctrl->lock);

	return nr;
}

static void vnet_ctrl_harvest(struct vnet_ctrl *ctrl)
{
	struct vnet_cmd *cmd;
	unsigned int len;

	lockdep_assert_held(&ctrl->lock);

	while ((cmd = virtqueue_get_buf(ctrl->vq, &len))) {
		cmd->used = len;
		cmd->done = true;
		vnet_ctrl_answered(ctrl, &cmd->w);
		if (cmd->abandoned)
			vnet_ctrl_count(&ctrl->info.late, 1);
		vnet_ctrl_returned(ctrl, cmd);
	}
}

/*
 * One part that the device reads, one that it writes: for a ring that is
 * shorter than what vnet_ctrl_add_parts() makes. No buffer may have more
 * elements than its ring, indirect or not.
 */
static int vnet_ctrl_add_tight(struct virtqueue *vq, struct vnet_cmd *cmd)
{
	struct scatterlist out, in, *sgs[2] = { &out, &in };
	const struct vnet_wire_cmd *w = &cmd->w;
	u8 *start = w->data - VNET_CMD_HDR_LEN;

	if (virtqueue_get_vring_size(vq) < ARRAY_SIZE(sgs))
		return -EPROTO;

	start[0] = w->class;
	start[1] = w->cmd;
	cmd->in[0] = VNET_ACK_NONE;
	sg_init_one(&out, start, VNET_CMD_HDR_LEN + w->len);
	sg_init_one(&in, cmd->in, VNET_CMD_ACK_LEN + cmd->reply_len);

	return virtqueue_add_sgs(vq, sgs, 1, 1, cmd, GFP_KERNEL);
}

/*
 * Header, payload, acknowledgment and reply are descriptors of their own, and
 * so are the two parts of a MAC table: legacy devices ask for it and some
 * others expect it.
 */
static int vnet_ctrl_add_parts(struct virtqueue *vq, struct vnet_cmd *cmd)
{
	struct scatterlist hdr, part[2], ack, reply, *sgs[VNET_CMD_MAX_PARTS];
	const struct vnet_wire_cmd *w = &cmd->w;
	u8 *start = w->data - VNET_CMD_HDR_LEN;
	unsigned int out = 0, in = 0;

	start[0] = w->class;
	start[1] = w->cmd;
	sg_init_one(&hdr, start, VNET_CMD_HDR_LEN);
	sgs[out++] = &hdr;
	if (w->split) {
		sg_init_one(&part[0], w->data, w->split);
		sgs[out++] = &part[0];
	}
	if (w->len > w->split) {
		sg_init_one(&part[1], w->data + w->split, w->len - w->split);
		sgs[out++] = &part[1];
	}

	cmd->in[0] = VNET_ACK_NONE;
	sg_init_one(&ack, cmd->in, VNET_CMD_ACK_LEN);
	sgs[out + in++] = &ack;
	if (cmd->reply_len) {
		sg_init_one(&reply, cmd->in + VNET_CMD_ACK_LEN, cmd->reply_len);
		sgs[out + in++] = &reply;
	}

	return virtqueue_add_sgs(vq, sgs, out, in, cmd, GFP_KERNEL);
}

static int vnet_ctrl_add(struct virtqueue *vq, struct vnet_cmd *cmd)
{
	struct vnet_dev *vd = vq->vdev->priv;

	if (virtqueue_get_vring_size(vq) < VNET_CMD_MAX_PARTS &&
	    vd->caps.any_layout)
		return vnet_ctrl_add_tight(vq, cmd);

	return vnet_ctrl_add_parts(vq, cmd);
}

static int vnet_ctrl_submit(struct vnet_ctrl *ctrl, struct vnet_cmd *cmd)
{
	int err;

	lockdep_assert_held(&ctrl->lock);

	if (!READ_ONCE(ctrl->up) || !ctrl->vq)
		return -ENODEV;

	/* An earlier command that timed out may have come back by now. */
	vnet_ctrl_harvest(ctrl);
	if (vnet_ctrl_is_muted(vnet_ctrl_all(ctrl)) ||
	    vnet_ctrl_is_muted(vnet_ctrl_find(ctrl, &cmd->w))) {
		vnet_ctrl_count(&ctrl->info.skipped, 1);
		return -EIO;
	}
	if (ctrl->info.in_flight)
		return -EBUSY;

	kref_get(&cmd->ref);
	err = vnet_ctrl_add(ctrl->vq, cmd);
	if (err) {
		vnet_cmd_put(cmd);
		return err == -EIO ? -ENODEV : err;
	}

	vnet_ctrl_count(&ctrl->info.in_flight, 1);
	vnet_ctrl_count(&ctrl->info.sent, 1);

	/* The device may have seen the command even if this breaks the ring. */
	virtqueue_kick(ctrl->vq);

	return virtqueue_is_broken(ctrl->vq) ? -ENODEV : 0;
}

/* Look at the ring for a moment without sleeping. */
static void vnet_ctrl_spin(struct vnet_ctrl *ctrl, const struct vnet_cmd *cmd)
{
	ktime_t end = ktime_add_us(ktime_get(), VNET_CTRL_SPIN_US);

	do {
		vnet_ctrl_harvest(ctrl);
		if (cmd->done)
			return;
		cpu_relax();
	} while (ktime_before(ktime_get(), end));
}

static int vnet_ctrl_wait(struct vnet_ctrl *ctrl, struct vnet_cmd *cmd)
{
	unsigned int ms = clamp(READ_ONCE(ctrl_timeout_ms), 1U,
				(unsigned int)VNET_CTRL_TIMEOUT_MAX_MS);
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	long step = VNET_CTRL_STEP_MIN;

	if (cmd->patient)
		step = VNET_CTRL_STEP_PATIENT;
	else
		vnet_ctrl_spin(ctrl, cmd);

	while (!cmd->done) {
		if (!READ_ONCE(ctrl->up))
			return -ENODEV;
		if (virtqueue_is_broken(ctrl->vq))
			return -ENODEV;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;

		wait_event_timeout(ctrl->wait,
				   READ_ONCE(ctrl->irq) || !READ_ONCE(ctrl->up),
				   step);
		step = min(step * 2, (long)VNET_CTRL_STEP_MAX);

		/* Cleared before the look: a later answer wakes us again. */
		smp_store_mb(ctrl->irq, false);
		vnet_ctrl_harvest(ctrl);
	}

	return 0;
}

/*
 * What the device answered. A legacy device's used length means nothing, so
 * only the acknowledgment itself is believed there, and no reply.
 */
static int vnet_cmd_result(struct vnet_cmd *cmd, bool strict)
{
	u8 ack = READ_ONCE(cmd->in[0]);
	size_t used = cmd->used;

	if (strict && used < VNET_CMD_ACK_LEN)
		return -EPROTO;

	used = used ? used - VNET_CMD_ACK_LEN : 0;
	cmd->reply_len = min(used, cmd->reply_len);
	memcpy(cmd->reply, cmd->in + VNET_CMD_ACK_LEN, cmd->reply_len);

	switch (ack) {
	case VNET_WIRE_OK:
		return 0;
	case VNET_ACK_ERR:
		return -EIO;
	default:
		return -EPROTO;
	}
}

/**
 * vnet_cvq_exec() - have the device carry out a command
 * @vd: device
 * @cmd: command; the caller's reference stays the caller's
 *
 * The wait is bounded by VNET_CTRL_TIMEOUT_MS. A command that is not answered
 * in time asks for recovery; its memory stays the device's.
 *
 * Context: Process context, any lock that may be held over a sleep.
 * Return: 0 when the device acknowledged, -EIO when it refused or has not
 * answered this command lately, -EPROTO when
 * its answer makes no sense, -ETIMEDOUT when none came, -EBUSY while it holds
 * an earlier command, -ENODEV without a running device or with a broken ring,
 * -EOPNOTSUPP without a control queue, -ENOMEM.
 */
int vnet_cvq_exec(struct vnet_dev *vd, struct vnet_cmd *cmd)
{
	struct vnet_ctrl *ctrl = READ_ONCE(vd->ctrl);
	bool broken;
	int err;

	might_sleep();

	if (!ctrl)
		return -EOPNOTSUPP;

	mutex_lock(&ctrl->lock);
	err = vnet_ctrl_submit(ctrl, cmd);
	if (!err)
		err = vnet_ctrl_wait(ctrl, cmd);
	if (cmd->done) {
		err = vnet_cmd_result(cmd, vd->caps.le);
		if (err)
			vnet_ctrl_count(&ctrl->info.refused, 1);
	}
	cmd->abandoned = !cmd->done;
	if (err == -ETIMEDOUT) {
		vnet_ctrl_count(&ctrl->info.timeouts, 1);
		vnet_ctrl_unanswered(vd, &cmd->w);
	}
	broken = ctrl->vq && virtqueue_is_broken(ctrl->vq);
	mutex_unlock(&ctrl->lock);

	if (err == -ETIMEDOUT)
		vnet_recovery_request(vd, VNET_RESET_CTRL_TIMEOUT);
	else if (err && broken)
		vnet_recovery_request(vd, VNET_RESET_BROKEN_RING);

	return err;
}

/**
 * vnet_cvq_irq() - the device has answered
 * @vq: control virtqueue
 *
 * Context: Any.
 */
void vnet_cvq_irq(struct virtqueue *vq)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_ctrl *ctrl = vd->ctrl;

	if (!ctrl)
		return;

	vnet_ctrl_count(&ctrl->info.irqs, 1);
	WRITE_ONCE(ctrl->irq, true);
	wake_up(&ctrl->wait);
}

/**
 * vnet_ctrl_create() - set up the transport at probe
 * @vd: device; vd->caps is resolved, no virtqueue exists yet
 *
 * Return: 0, also for a device without a control queue; -ENOMEM.
 */
int vnet_ctrl_create(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl;

	if (!vd->caps.ctrl_vq)
		return 0;

	/* Freed after remove: a work of a policy room may look at it until then. */
	ctrl = devm_kzalloc(&vd->vdev->dev, sizeof(*ctrl), GFP_KERNEL);
	if (!ctrl)
		return -ENOMEM;

	mutex_init(&ctrl->lock);
	init_waitqueue_head(&ctrl->wait);
	vd->ctrl = ctrl;

	return 0;
}

/**
 * vnet_ctrl_destroy() - end the transport at remove
 * @vd: device; stopped, and its control virtqueue is deleted
 */
void vnet_ctrl_destroy(struct vnet_dev *vd)
{
	WRITE_ONCE(vd->ctrl, NULL);
}

/**
 * vnet_ctrl_start() - accept commands
 * @vd: device; past DRIVER_OK, vd->cvq exists
 */
void vnet_ctrl_start(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl = vd->ctrl;

	if (!ctrl || !vd->cvq)
		return;

	mutex_lock(&ctrl->lock);
	ctrl->vq = vd->cvq;
	ctrl->irq = false;
	WRITE_ONCE(ctrl->up, true);
	mutex_unlock(&ctrl->lock);
}

/**
 * vnet_ctrl_stop() - accept no more commands and take back those in flight
 * @vd: device; it was reset, so it will not touch their memory any more, and
 *	vd->cvq still exists
 *
 * A sleeping sender returns with -ENODEV at once.
 */
void vnet_ctrl_stop(struct vnet_dev *vd)
{
	struct vnet_ctrl *ctrl = vd->ctrl;
	struct vnet_cmd *cmd;

	if (!ctrl)
		return;

	WRITE_ONCE(ctrl->up, false);
	wake_up(&ctrl->wait);

	mutex_lock(&ctrl->lock);
	/* The device may have answered late. */
	if (ctrl->vq)
		vnet_ctrl_harvest(ctrl);
	/* Not asked in vain: see vnet_vq_reclaim() */
	while (ctrl->vq && ctrl->info.in_flight &&
	       (cmd = virtqueue_detach_unused_buf(ctrl->vq)))
		vnet_ctrl_returned(ctrl, cmd);
	ctrl->vq = NULL;
	mutex_unlock(&ctrl->lock);
}

/**
 * vnet_ctrl_get_info() - read the transport's counters
 * @vd: device
 * @info: filled; all zero without a control queue
 */
void vnet_ctrl_get_info(struct vnet_dev *vd, struct vnet_ctrl_info *info)
{
	struct vnet_ctrl *ctrl = vd->ctrl;

	memset(info, 0, sizeof(*info));
	if (!ctrl)
		return;

	info->sent = READ_ONCE(ctrl->info.sent);
	info->refused = READ_ONCE(ctrl->info.refused);
	info->timeouts = READ_ONCE(ctrl->info.timeouts);
	info->late = READ_ONCE(ctrl->info.late);
	info->irqs = READ_ONCE(ctrl->info.irqs);
	info->skipped = READ_ONCE(ctrl->info.skipped);
	memcpy(info->mutes, ctrl->info.mutes, sizeof(info->mutes));
	info->in_flight = READ_ONCE(ctrl->info.in_flight);
	info->up = READ_ONCE(ctrl->up);
}
