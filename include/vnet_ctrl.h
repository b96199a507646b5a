/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control queue transport: one command at a time, bounded, refcounted. It
 * knows nothing of the net device and nothing of what a command means.
 */
#ifndef VNET_CTRL_H
#define VNET_CTRL_H

#include <linux/errno.h>
#include <linux/kref.h>
#include <linux/time64.h>
#include <linux/types.h>

#include "vnet_wire.h"

struct virtqueue;
struct vnet_dev;

/* How long a command may take, unless the debug knob says otherwise. */
#define VNET_CTRL_TIMEOUT_MS	5000

/*
 * Commands that may go unanswered one by one; one more, and the queue as a
 * whole counts as dead.
 */
#define VNET_CTRL_MUTES		3

/**
 * struct vnet_cmd - one command to the device
 * @w: class, command and payload; filled by a vnet_wire_*() encoder, which
 *	finds @w.data and @w.room set and the memory zeroed
 * @reply_len: before submission the room for a reply, after success the bytes
 *	of @reply that the device really wrote
 * @patient: wait for the interrupt before looking at the ring (self-test)
 * @ref: the caller holds one reference, the device another while it owns the
 *	memory
 * @out: header and payload as the device reads them
 * @in: acknowledgment and reply as the device writes them
 * @used: bytes of @in that the device claims to have written
 * @done: the device has given the command back
 * @abandoned: the caller has given up
 * @reply: private copy of the reply, which the device cannot change any more
 *
 * A command is sent once. @ref to @abandoned are for vnet_ctrl.c only.
 */
struct vnet_cmd {
	struct vnet_wire_cmd w;
	size_t reply_len;
	bool patient;
	struct kref ref;
	u8 *out;
	u8 *in;
	u32 used;
	bool done;
	bool abandoned;
	u8 reply[] __aligned(8);
};

/**
 * struct vnet_ctrl_mute - a command that the device does not answer
 * @class: VNET_CTRL_*
 * @cmd: command of that class
 * @unanswered: how often in a row; zero: the entry is free
 * @seen: second of the monotonic clock at which it last timed out
 * @until: not sent before this second of the monotonic clock; zero: it is sent
 */
struct vnet_ctrl_mute {
	u8 class;
	u8 cmd;
	u8 unanswered;
	time64_t seen;
	time64_t until;
};

/**
 * struct vnet_ctrl_info - what the transport has seen, for stats and dumps
 * @sent: commands given to the device
 * @refused: commands that the device did not acknowledge with success
 * @timeouts: commands that were not answered in time
 * @late: commands that were answered after their caller had given up
 * @irqs: interrupts of the control queue
 * @skipped: commands that were not sent, because the device leaves them unanswered
 * @mutes: those commands; the last entry stands for all of them
 * @in_flight: commands that the device holds now
 * @up: commands are accepted
 */
struct vnet_ctrl_info {
	unsigned long sent;
	unsigned long refused;
	unsigned long timeouts;
	unsigned long late;
	unsigned long irqs;
	unsigned long skipped;
	struct vnet_ctrl_mute mutes[VNET_CTRL_MUTES + 1];
	unsigned long in_flight;
	bool up;
};

struct vnet_cmd *vnet_cmd_alloc(size_t room, size_t reply_len);
void vnet_cmd_put(struct vnet_cmd *cmd);

int vnet_ctrl_create(struct vnet_dev *vd);
void vnet_ctrl_destroy(struct vnet_dev *vd);
void vnet_ctrl_start(struct vnet_dev *vd);
void vnet_ctrl_stop(struct vnet_dev *vd);
void vnet_ctrl_mute(struct vnet_dev *vd);
void vnet_ctrl_unmute(struct vnet_dev *vd);
unsigned int vnet_ctrl_muted(struct vnet_dev *vd);
void vnet_cvq_irq(struct virtqueue *vq);
int vnet_cvq_exec(struct vnet_dev *vd, struct vnet_cmd *cmd);
/* The device answered and said no; anything else means that it is in trouble. */
static inline bool vnet_cvq_refused(int err)
{
	return err == -EIO || err == -EPROTO;
}

void vnet_ctrl_get_info(struct vnet_dev *vd, struct vnet_ctrl_info *info);

#endif /* VNET_CTRL_H */
