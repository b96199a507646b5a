/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms of self-healing share, and nobody else looks into: events that
 * wait, what the detectors saw, what the ladder tried.
 */
#ifndef VNET_HEAL_H
#define VNET_HEAL_H

#include <linux/workqueue.h>

#include "vnet.h"
#include "vnet_event.h"

/**
 * struct vnet_watch - what the detectors know of one virtqueue
 * @reasons: bits of enum vnet_reset_reason that wait for the ladder; atomic
 * @done: packets handled when it was looked at last
 * @held: buffers that the device had then (transmit)
 * @step: rung of the ladder to start on, back to the first with progress
 * @step_time: when a rung was last tried
 * @idle: looks in a row without a packet (receive)
 * @still: looks in a row without the progress that was due
 * @starved: looks in a row in which NAPI was scheduled and did not run
 * @lost: interrupts lost lately, weighted
 * @seen: what was last seen of the ring (receive)
 * @kicked: the last thing tried was a notification
 *
 * All but @reasons: instance lock.
 */
struct vnet_watch {
	unsigned long reasons;
	u64 done;
	u32 held;
	u8 step;
	unsigned long step_time;
	u16 idle;
	u8 still;
	u8 starved;
	u8 lost;
	bool kicked;
	unsigned int seen;
};

/**
 * struct vnet_recovery - self-healing of one device
 * @work: runs the ladder
 * @look: runs the detectors, once a second while the interface is up
 * @doze: looks at queues on which nothing goes on; wakes up no CPU for it
 * @vd: device
 * @reasons: bits of enum vnet_reset_reason about the device as a whole that
 *	wait for @work; atomic
 * @watch: one per data virtqueue
 * @nr_watch: their number
 * @quiet: looks in a row in which nothing went on
 * @dozes: looks of @doze in a row, 0 while @look is at work
 * @opened: it came back when the interface went up, which devlink is to be told
 */
struct vnet_recovery {
	struct delayed_work work;
	struct delayed_work look;
	struct delayed_work doze;
	struct vnet_dev *vd;
	unsigned long reasons;
	struct vnet_watch *watch;
	u16 nr_watch;
	u8 quiet;
	u8 dozes;
	u32 opened;
};

void vnet_recovery_queue(struct vnet_dev *vd, unsigned long delay);
void vnet_recovery_look(struct vnet_dev *vd, struct delayed_work *work,
			unsigned long delay);

#endif /* VNET_HEAL_H */
