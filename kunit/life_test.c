// SPDX-License-Identifier: GPL-2.0
/* The table of life: every pair, every outcome of every step, every event. */

#include <linux/kernel.h>

#include "../include/vnet_life.h"

#include "vnet_kunit.h"

/* More steps than any way has */
#define MOST	8

static bool satisfied(enum vnet_have have, enum vnet_goal goal)
{
	switch (goal) {
	case VNET_GOAL_OFF:
		return have == VNET_LIFE_RESET || have == VNET_LIFE_DEAD;
	case VNET_GOAL_IDLE:
		return have == VNET_LIFE_LIVE;
	default:
		return have == VNET_LIFE_RUNNING;
	}
}

/* Where nothing is done although the goal is not reached */
static bool waits(enum vnet_have have, enum vnet_goal goal)
{
	return have == VNET_LIFE_DEAD ||
	       (have == VNET_LIFE_STUCK && goal == VNET_GOAL_OFF);
}

/* Power is stronger than the interface. */
static void life_wishes(struct kunit *test)
{
	struct vnet_want want = { };
	unsigned int power, up;

	for (power = VNET_POWER_ON; power <= VNET_POWER_REMOVING; power++) {
		for (up = 0; up < 2; up++) {
			want.power = power;
			want.up = up;
			KUNIT_EXPECT_EQ(test, vnet_life_goal(&want),
					power ? VNET_GOAL_OFF :
					up ? VNET_GOAL_UP : VNET_GOAL_IDLE);
		}
	}
}

/* Nothing is left to do only where all is done, or has to wait. */
static void life_pairs(struct kunit *test)
{
	unsigned int have, goal;

	for (have = 0; have < VNET_LIFE_NR; have++) {
		for (goal = 0; goal < VNET_GOAL_NR; goal++) {
			enum vnet_step step = vnet_life_next(have, goal);

			KUNIT_EXPECT_LT(test, step, VNET_STEP_NR);
			KUNIT_EXPECT_EQ_MSG(test, step == VNET_STEP_NONE,
					    satisfied(have, goal) ||
					    waits(have, goal),
					    "have %u goal %u", have, goal);
			if (goal == VNET_GOAL_OFF)
				KUNIT_EXPECT_TRUE(test, step <= VNET_STEP_STOP);
		}
	}
}

/* A step may be taken only where it has something to do. */
static void life_steps(struct kunit *test)
{
	static const u8 from[VNET_STEP_NR] = {
		[VNET_STEP_STOP]  = BIT(VNET_LIFE_LIVE) |
				    BIT(VNET_LIFE_PARTLY) |
				    BIT(VNET_LIFE_RUNNING),
		[VNET_STEP_ASK]   = BIT(VNET_LIFE_STUCK),
		[VNET_STEP_START] = BIT(VNET_LIFE_RESET),
		[VNET_STEP_UP]    = BIT(VNET_LIFE_LIVE) | BIT(VNET_LIFE_PARTLY),
		[VNET_STEP_DOWN]  = BIT(VNET_LIFE_PARTLY) |
				    BIT(VNET_LIFE_RUNNING),
	};
	unsigned int have, goal, step;

	for (have = 0; have < VNET_LIFE_NR; have++) {
		for (goal = 0; goal < VNET_GOAL_NR; goal++) {
			step = vnet_life_next(have, goal);
			if (step != VNET_STEP_NONE)
				KUNIT_EXPECT_TRUE(test, from[step] & BIT(have));
		}
	}
	for (step = VNET_STEP_STOP; step < VNET_STEP_NR; step++) {
		KUNIT_EXPECT_TRUE(test, vnet_life_outcomes(step, false));
		KUNIT_EXPECT_TRUE(test, vnet_life_outcomes(step, true));
		/* Success and failure can be told from each other. */
		KUNIT_EXPECT_FALSE(test, vnet_life_outcomes(step, false) &
				   vnet_life_outcomes(step, true));
		/* Virtqueues are not kept by a device that could not start. */
		KUNIT_EXPECT_FALSE(test, vnet_life_outcomes(step, true) &
				   BIT(VNET_LIFE_RUNNING));
	}
}

/* Every way from @have to @goal on which each step succeeds ends there. */
static void walk(struct kunit *test, enum vnet_have have, enum vnet_goal goal,
		 unsigned int depth)
{
	enum vnet_step step = vnet_life_next(have, goal);
	unsigned long next;
	unsigned int i;

	KUNIT_ASSERT_LT_MSG(test, depth, MOST, "have %u goal %u: no end",
			    have, goal);
	if (step == VNET_STEP_NONE) {
		KUNIT_EXPECT_TRUE(test, satisfied(have, goal) ||
				  waits(have, goal));
		return;
	}

	next = vnet_life_outcomes(step, false);
	for (i = 0; i < VNET_LIFE_NR; i++)
		if (next & BIT(i))
			walk(test, i, goal, depth + 1);
}

/* Whatever a device is, trying again leads to any goal when nothing fails. */
static void life_ways(struct kunit *test)
{
	unsigned int have, goal;

	for (have = 0; have < VNET_LIFE_NR; have++)
		for (goal = 0; goal < VNET_GOAL_NR; goal++)
			walk(test, vnet_life_again(have), goal, 0);
	KUNIT_EXPECT_EQ(test, vnet_life_again(VNET_LIFE_DEAD), VNET_LIFE_RESET);
}

/* Any step on any way fails, the wish changes then, and it is tried again. */
static void fail(struct kunit *test, enum vnet_have have, enum vnet_goal goal,
		 unsigned int depth)
{
	enum vnet_step step = vnet_life_next(have, goal);
	unsigned long ok, bad;
	unsigned int i, other;

	KUNIT_ASSERT_LT(test, depth, MOST);
	if (step == VNET_STEP_NONE)
		return;

	ok = vnet_life_outcomes(step, false);
	bad = vnet_life_outcomes(step, true);
	for (i = 0; i < VNET_LIFE_NR; i++) {
		if (ok & BIT(i))
			fail(test, i, goal, depth + 1);
		if (!(bad & BIT(i)))
			continue;
		/* No half: with virtqueues it can go on, or they are kept. */
		KUNIT_EXPECT_FALSE(test, i == VNET_LIFE_RESET);
		for (other = 0; other < VNET_GOAL_NR; other++)
			walk(test, vnet_life_again(i), other, 0);
	}
}

static void life_failures(struct kunit *test)
{
	unsigned int have, goal;

	for (have = 0; have < VNET_LIFE_NR; have++)
		for (goal = 0; goal < VNET_GOAL_NR; goal++)
			fail(test, vnet_life_again(have), goal, 0);
}

/* Only a device with virtqueues counts as live, and only what has arrived. */
static void life_words(struct kunit *test)
{
	struct vnet_life life = { };
	unsigned int have, up;

	for (have = 0; have < VNET_LIFE_NR; have++) {
		KUNIT_EXPECT_EQ(test, vnet_life_live(have),
				have == VNET_LIFE_LIVE ||
				have == VNET_LIFE_PARTLY ||
				have == VNET_LIFE_RUNNING);
		for (up = 0; up < 2; up++) {
			life.have = have;
			life.want.up = up;
			KUNIT_EXPECT_EQ(test, vnet_life_arrived(&life),
					satisfied(have, up ? VNET_GOAL_UP :
						  VNET_GOAL_IDLE));
		}
	}
}

static struct kunit_case vnet_life_cases[] = {
	KUNIT_CASE(life_wishes),
	KUNIT_CASE(life_pairs),
	KUNIT_CASE(life_steps),
	KUNIT_CASE(life_ways),
	KUNIT_CASE(life_failures),
	KUNIT_CASE(life_words),
	{}
};

struct kunit_suite vnet_life_suite = {
	.name = "vnet_life",
	.test_cases = vnet_life_cases,
};
