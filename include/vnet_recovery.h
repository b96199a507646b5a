/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Self-healing: why it was asked for, what was tried, what the detectors saw.
 */
#ifndef VNET_RECOVERY_H
#define VNET_RECOVERY_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "vnet_event.h"

struct devlink;
struct devlink_health_reporter;
struct vnet_dev;

/**
 * enum vnet_heal_step - the rungs of the ladder
 * @VNET_HEAL_KICK: harvest what is used, notify whatever the device asked for
 * @VNET_HEAL_QUEUE: reset the one virtqueue
 * @VNET_HEAL_DEVICE: reset the device and tell it everything again
 * @VNET_HEAL_GIVE_UP: the device is dead
 * @VNET_HEAL_NR: number of steps
 */
enum vnet_heal_step {
	VNET_HEAL_KICK,
	VNET_HEAL_QUEUE,
	VNET_HEAL_DEVICE,
	VNET_HEAL_GIVE_UP,
	VNET_HEAL_NR,
};

/* Who speaks about it: the devlink health reporters */
enum vnet_reporter {
	VNET_REPORTER_TX,
	VNET_REPORTER_RX,
	VNET_REPORTER_CTRL,
	VNET_REPORTER_DEVICE,
	VNET_REPORTER_NR,
};

/* After so many resets in a row that have failed the device counts as given up. */
#define VNET_RESET_TRIES	5

/* The trouble is not that of one virtqueue. */
#define VNET_HEAL_NO_VQ		U16_MAX

/**
 * struct vnet_heal - one thing to be healed
 * @reasons: why, bits of enum vnet_reset_reason
 * @step: what is to be tried
 * @reporter: who tells the user
 * @vq: virtqueue number, or %VNET_HEAL_NO_VQ
 * @tried: it was tried; else the user does not want it to be
 * @text: the event in words
 */
struct vnet_heal {
	unsigned long reasons;
	enum vnet_heal_step step;
	enum vnet_reporter reporter;
	u16 vq;
	bool tried;
	char text[128];
};

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
 * @thaw: finds a device that nobody has restored
 * @doze: looks at queues on which nothing goes on; wakes up no CPU for it
 * @look: runs the detectors, once a second while the interface is up
 * @reasons: bits of enum vnet_reset_reason about the device as a whole that
 *	wait for @work; atomic
 * @count: events by reason
 * @steps: what was tried, by step
 * @watch: one per data virtqueue
 * @nr_watch: their number
 * @level: resets that followed one another too fast, for the back-off
 * @tries: starts in a row that have failed
 * @gone: the device read all ones when it was tried last
 * @quiet: looks in a row in which nothing went on
 * @dozes: looks of @doze in a row, 0 while @look is at work
 * @no_ring_reset: the device has failed to reset a virtqueue
 * @opened: it came back when the interface went up, which devlink is to be told
 * @last: when something was last reset
 * @not_before: nothing is reset before this time
 * @devlink: devlink instance, or NULL before it is registered
 * @reporters: its health reporters
 */
struct vnet_recovery {
	struct delayed_work work;
	struct delayed_work look;
	struct delayed_work doze;
	struct delayed_work thaw;
	unsigned long reasons;
	u64 count[VNET_RESET_NR];
	u64 steps[VNET_HEAL_NR];
	struct vnet_watch *watch;
	u16 nr_watch;
	u8 level;
	u8 tries;
	u8 quiet;
	u8 dozes;
	bool gone;
	bool no_ring_reset;
	bool opened;
	unsigned long last;
	unsigned long not_before;
	struct devlink *devlink;
	struct devlink_health_reporter *reporters[VNET_REPORTER_NR];
};

/* life/recovery.c: the ladder */
int vnet_recovery_setup(void);
void vnet_recovery_cleanup(void);
int vnet_recovery_create(struct vnet_dev *vd);
void vnet_recovery_thaw(struct vnet_dev *vd);
void vnet_recovery_stop(struct vnet_dev *vd);
void vnet_recovery_destroy(struct vnet_dev *vd);
int vnet_recovery_open(struct vnet_dev *vd);
bool vnet_recovery_next(struct vnet_dev *vd, struct vnet_heal *heal);
int vnet_recovery_heal(struct vnet_dev *vd, struct vnet_heal *heal);
void vnet_recovery_refused(struct vnet_dev *vd, const struct vnet_heal *heal);

#endif /* VNET_RECOVERY_H */
