/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a device: what it is to be, what it is, and which step leads from
 * one to the other. This header is pure: KUnit goes through all of it.
 *
 * Who wants something edits struct vnet_want and calls vnet_life_settle(); no
 * one else starts or stops a device or its queues.
 */
#ifndef VNET_LIFE_H
#define VNET_LIFE_H

#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/types.h>

struct vnet_dev;

/**
 * enum vnet_have - what a device is
 * @VNET_LIFE_RESET: in reset, without virtqueues
 * @VNET_LIFE_DEAD: the same, and it did not start: it waits for the next try
 * @VNET_LIFE_STUCK: a reset that was given up has its virtqueues and buffers
 * @VNET_LIFE_LIVE: past DRIVER_OK, told everything; no queue runs
 * @VNET_LIFE_PARTLY: some queues run, others that are to do not
 * @VNET_LIFE_RUNNING: all queues run that are to
 * @VNET_LIFE_NR: number of them
 */
enum vnet_have {
	VNET_LIFE_RESET,
	VNET_LIFE_DEAD,
	VNET_LIFE_STUCK,
	VNET_LIFE_LIVE,
	VNET_LIFE_PARTLY,
	VNET_LIFE_RUNNING,
	VNET_LIFE_NR,
};

/**
 * enum vnet_power - whether the device may be used at all
 * @VNET_POWER_ON: yes
 * @VNET_POWER_FROZEN: in probe, suspended, or in a function level reset
 * @VNET_POWER_SHUT: the system goes down: never again
 * @VNET_POWER_REMOVING: the driver goes: never again
 */
enum vnet_power {
	VNET_POWER_ON,
	VNET_POWER_FROZEN,
	VNET_POWER_SHUT,
	VNET_POWER_REMOVING,
};

/**
 * struct vnet_want - what a device is to be
 * @up: the interface is up
 * @power: whether the device may be used; written with WRITE_ONCE()
 * @pairs: queue pairs that are to run, &vnet_cfg.pairs but for the moment in
 *	which their number changes
 */
struct vnet_want {
	bool up;
	enum vnet_power power;
	u16 pairs;
};

/* After so many starts in a row that have failed the device counts as given up. */
#define VNET_RESET_TRIES	5

/**
 * struct vnet_pace - when a device is tried (again)
 * @level: resets that followed one another too fast, for the back-off
 * @tries: starts in a row that have failed
 * @gone: the device read all ones when it was tried last
 * @last: when something was last reset
 * @not_before: nothing is reset before this time
 */
struct vnet_pace {
	u8 level;
	u8 tries;
	bool gone;
	unsigned long last;
	unsigned long not_before;
};

/**
 * struct vnet_life - life of one device
 * @want: what it is to be
 * @have: what it is; written by life/life.c only, with WRITE_ONCE()
 * @pace: when it is tried again; others ask the functions below
 *
 * Protected by the netdev instance lock; read without it where a stale answer
 * does no harm.
 */
struct vnet_life {
	struct vnet_want want;
	enum vnet_have have;
	struct vnet_pace pace;
};

/**
 * enum vnet_goal - what all wishes come to
 * @VNET_GOAL_OFF: a device in reset
 * @VNET_GOAL_IDLE: a started device without queues that run
 * @VNET_GOAL_UP: a started device with them
 * @VNET_GOAL_NR: number of them
 */
enum vnet_goal {
	VNET_GOAL_OFF,
	VNET_GOAL_IDLE,
	VNET_GOAL_UP,
	VNET_GOAL_NR,
};

/**
 * enum vnet_step - one step on the way
 * @VNET_STEP_NONE: arrived, or there is nothing to be done but wait
 * @VNET_STEP_STOP: queues off, device reset, every buffer home, virtqueues gone
 * @VNET_STEP_ASK: ask again for the reset that was given up
 * @VNET_STEP_START: negotiate, find virtqueues, DRIVER_OK, tell everything
 * @VNET_STEP_UP: give the queues that are to run memory and start them
 * @VNET_STEP_DOWN: stop the queues and take everything back
 * @VNET_STEP_NR: number of them
 */
enum vnet_step {
	VNET_STEP_NONE,
	VNET_STEP_STOP,
	VNET_STEP_ASK,
	VNET_STEP_START,
	VNET_STEP_UP,
	VNET_STEP_DOWN,
	VNET_STEP_NR,
};

static inline enum vnet_goal vnet_life_goal(const struct vnet_want *want)
{
	if (want->power != VNET_POWER_ON)
		return VNET_GOAL_OFF;

	return want->up ? VNET_GOAL_UP : VNET_GOAL_IDLE;
}

/* The next step from @have to @goal. */
static inline enum vnet_step vnet_life_next(enum vnet_have have,
					    enum vnet_goal goal)
{
	static const u8 steps[VNET_LIFE_NR][VNET_GOAL_NR] = {
		/*			OFF		IDLE		UP */
		[VNET_LIFE_RESET]   = { VNET_STEP_NONE, VNET_STEP_START, VNET_STEP_START },
		[VNET_LIFE_DEAD]    = { VNET_STEP_NONE, VNET_STEP_NONE,  VNET_STEP_NONE },
		[VNET_LIFE_STUCK]   = { VNET_STEP_NONE, VNET_STEP_ASK,   VNET_STEP_ASK },
		[VNET_LIFE_LIVE]    = { VNET_STEP_STOP, VNET_STEP_NONE,  VNET_STEP_UP },
		[VNET_LIFE_PARTLY]  = { VNET_STEP_STOP, VNET_STEP_DOWN,  VNET_STEP_UP },
		[VNET_LIFE_RUNNING] = { VNET_STEP_STOP, VNET_STEP_DOWN,  VNET_STEP_NONE },
	};

	return steps[have][goal];
}

/*
 * What a step may lead to, bits of enum vnet_have: when it has succeeded, and
 * when not. A step that has failed is the last one, until somebody tries again.
 */
static inline u32 vnet_life_outcomes(enum vnet_step step, bool failed)
{
	static const u8 outcomes[VNET_STEP_NR][2] = {
		[VNET_STEP_STOP] = {
			BIT(VNET_LIFE_RESET),
			BIT(VNET_LIFE_STUCK),
		},
		[VNET_STEP_ASK] = {
			BIT(VNET_LIFE_RESET),
			BIT(VNET_LIFE_STUCK),
		},
		[VNET_STEP_START] = {
			BIT(VNET_LIFE_LIVE),
			BIT(VNET_LIFE_DEAD) | BIT(VNET_LIFE_STUCK),
		},
		/* Without memory those queues run that got theirs. */
		[VNET_STEP_UP] = {
			BIT(VNET_LIFE_RUNNING),
			BIT(VNET_LIFE_PARTLY) | BIT(VNET_LIFE_DEAD) |
			BIT(VNET_LIFE_STUCK),
		},
		/* Where no single ring can be reset, the device is. */
		[VNET_STEP_DOWN] = {
			BIT(VNET_LIFE_LIVE) | BIT(VNET_LIFE_RESET),
			BIT(VNET_LIFE_STUCK),
		},
	};

	return outcomes[step][failed];
}

/* Somebody has a reason to try again: what a device is that was given time. */
static inline enum vnet_have vnet_life_again(enum vnet_have have)
{
	return have == VNET_LIFE_DEAD ? VNET_LIFE_RESET : have;
}

/* Its virtqueues exist and it takes commands. */
static inline bool vnet_life_live(enum vnet_have have)
{
	return have >= VNET_LIFE_LIVE;
}

/* It is what it is to be, and not only waiting. */
static inline bool vnet_life_arrived(const struct vnet_life *life)
{
	return vnet_life_live(life->have) &&
	       vnet_life_next(life->have, vnet_life_goal(&life->want)) ==
	       VNET_STEP_NONE;
}

/* Starts in a row that have failed */
static inline u8 vnet_life_tries(const struct vnet_life *life)
{
	return READ_ONCE(life->pace.tries);
}

/* For so long, in jiffies, nothing is to be reset. */
static inline unsigned long vnet_life_wait_left(const struct vnet_life *life)
{
	long left = life->pace.not_before - jiffies;

	return left > 0 ? left : 0;
}

/* It read all ones when it was tried last. */
static inline bool vnet_life_missed(const struct vnet_life *life)
{
	return life->pace.gone;
}

/* And it answers again. */
static inline void vnet_life_found(struct vnet_life *life)
{
	life->pace.gone = false;
}

/* life/life.c */
void vnet_life_init(struct vnet_dev *vd);
int vnet_life_begin(struct vnet_dev *vd);
int vnet_life_settle(struct vnet_dev *vd);
int vnet_life_retry(struct vnet_dev *vd);
int vnet_life_renew(struct vnet_dev *vd);
void vnet_life_pause(struct vnet_dev *vd, u16 from, u16 to, bool whole);
void vnet_life_pause_rx(struct vnet_dev *vd, u16 i);
void vnet_life_set_pairs(struct vnet_dev *vd, u16 pairs);
void vnet_life_release(struct vnet_dev *vd);
void vnet_life_pace(struct vnet_dev *vd);
void vnet_life_later(struct vnet_dev *vd);
void vnet_life_hurry(struct vnet_dev *vd);
void vnet_life_believe(struct vnet_dev *vd);

#endif /* VNET_LIFE_H */
