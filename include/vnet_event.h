/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one way up: what comes to the ears of a room below is an event for those
 * above, which are not called. Any context.
 */
#ifndef VNET_EVENT_H
#define VNET_EVENT_H

#include <linux/types.h>

struct vnet_dev;

/**
 * enum vnet_reset_reason - why recovery was asked for
 * @VNET_RESET_TX_TIMEOUT: the stack saw a transmit queue stopped for too long
 * @VNET_RESET_NEEDS_RESET: the device set DEVICE_NEEDS_RESET
 * @VNET_RESET_BAD_CHAIN: the device claimed an impossible chain of buffers
 * @VNET_RESET_BROKEN_RING: the virtio core declared a ring broken
 * @VNET_RESET_CTRL_TIMEOUT: a control command was not answered in time
 * @VNET_RESET_RESTART: a restart that could not be completed
 * @VNET_RESET_TX_STALL: packets of a transmit queue are not completed
 * @VNET_RESET_LOST_IRQ: used buffers, but no interrupt told of them
 * @VNET_RESET_LOST_KICK: a notification that was repeated brought life back;
 *	counted afterwards, never asked for
 * @VNET_RESET_RX_STARVED: no memory for receive buffers for seconds
 * @VNET_RESET_CPU_STARVED: NAPI is scheduled but gets no CPU; only counted
 * @VNET_RESET_LOST_STATE: the device has forgotten that it was started
 * @VNET_RESET_GONE: the device reads all ones
 * @VNET_RESET_LATE: a reset that was given up has ended after all
 * @VNET_RESET_BACK: a device that read all ones when it was given up answers
 * @VNET_RESET_USER: the user asked, by devlink
 * @VNET_RESET_NR: number of reasons
 */
enum vnet_reset_reason {
	VNET_RESET_TX_TIMEOUT,
	VNET_RESET_NEEDS_RESET,
	VNET_RESET_BAD_CHAIN,
	VNET_RESET_BROKEN_RING,
	VNET_RESET_CTRL_TIMEOUT,
	VNET_RESET_RESTART,
	VNET_RESET_TX_STALL,
	VNET_RESET_LOST_IRQ,
	VNET_RESET_LOST_KICK,
	VNET_RESET_RX_STARVED,
	VNET_RESET_CPU_STARVED,
	VNET_RESET_LOST_STATE,
	VNET_RESET_GONE,
	VNET_RESET_LATE,
	VNET_RESET_BACK,
	VNET_RESET_USER,
	VNET_RESET_NR,
};

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

/**
 * struct vnet_heal_stats - counters of self-healing
 * @count: events, by enum vnet_reset_reason
 * @steps: what was tried, by enum vnet_heal_step
 *
 * Instance lock.
 */
struct vnet_heal_stats {
	u64 count[VNET_RESET_NR];
	u64 steps[VNET_HEAL_NR];
};

int vnet_event_setup(void);
void vnet_event_cleanup(void);
void vnet_recovery_request(struct vnet_dev *vd, enum vnet_reset_reason reason);
void vnet_recovery_request_vq(struct vnet_dev *vd,
			      enum vnet_reset_reason reason, u16 vq);
void vnet_recovery_forget(struct vnet_dev *vd, enum vnet_reset_reason reason);
void vnet_recovery_forget_vq(struct vnet_dev *vd, u16 vq);
void vnet_watch_wake(struct vnet_dev *vd);

#endif /* VNET_EVENT_H */
