// SPDX-License-Identifier: GPL-2.0
/* Slots: each is with one owner, whatever the order of taking and putting. */

#include <linux/bitmap.h>
#include <linux/kernel.h>

#include "../include/vnet_slot.h"

#include "vnet_kunit.h"

static const u32 numbers[] = { 1, 2, 3, 255, 256, 32768, 65536 };

/* Take all; each index comes once. */
static void check_all(struct kunit *test, struct vnet_slots *s)
{
	unsigned long *seen = bitmap_zalloc(s->nr, GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_EXPECT_EQ(test, s->nr_free, s->nr);
	for (i = 0; i < s->nr; i++) {
		u16 slot = vnet_slots_take(s);

		KUNIT_EXPECT_LT(test, slot, s->nr);
		if (slot < s->nr)
			KUNIT_EXPECT_FALSE(test, __test_and_set_bit(slot, seen));
	}
	KUNIT_EXPECT_EQ(test, s->nr_free, 0);
	bitmap_free(seen);
}

/* As many as were asked for, from the first on, and again after a reset */
static void slot_every(struct kunit *test)
{
	struct vnet_slots s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		KUNIT_ASSERT_EQ(test, 0, vnet_slots_create(&s, numbers[i]));
		KUNIT_EXPECT_EQ(test, s.nr, numbers[i]);
		KUNIT_EXPECT_EQ(test, s.free[s.nr - 1], 0);
		check_all(test, &s);
		vnet_slots_free_all(&s);
		check_all(test, &s);
		vnet_slots_destroy(&s);
		KUNIT_EXPECT_EQ(test, s.nr_free, 0);
		KUNIT_EXPECT_NULL(test, s.free);
	}
}

/* The slot put last, which is in the cache, is taken first. */
static void slot_last_first(struct kunit *test)
{
	struct vnet_slots s;
	u16 a, b;

	KUNIT_ASSERT_EQ(test, 0, vnet_slots_create(&s, 8));
	a = vnet_slots_take(&s);
	b = vnet_slots_take(&s);
	vnet_slots_put(&s, b);
	vnet_slots_put(&s, a);
	KUNIT_EXPECT_EQ(test, vnet_slots_take(&s), a);
	KUNIT_EXPECT_EQ(test, vnet_slots_take(&s), b);
	vnet_slots_destroy(&s);
}

/* Some come back in any order; no slot is ever with two. */
static void slot_random(struct kunit *test)
{
	DECLARE_BITMAP(taken, 64) = {};
	struct rnd_state rnd;
	struct vnet_slots s;
	unsigned int i;

	vnet_kunit_seed(&rnd);
	KUNIT_ASSERT_EQ(test, 0, vnet_slots_create(&s, 64));
	for (i = 0; i < VNET_KUNIT_ROUNDS; i++) {
		u16 slot = vnet_kunit_below(&rnd, 64);

		if (__test_and_clear_bit(slot, taken)) {
			vnet_slots_put(&s, slot);
		} else if (s.nr_free) {
			slot = vnet_slots_take(&s);
			KUNIT_EXPECT_FALSE(test, __test_and_set_bit(slot, taken));
		}
		KUNIT_EXPECT_EQ(test, s.nr_free, 64 - bitmap_weight(taken, 64));
	}
	vnet_slots_destroy(&s);
}

static struct kunit_case slot_cases[] = {
	KUNIT_CASE(slot_every),
	KUNIT_CASE(slot_last_first),
	KUNIT_CASE(slot_random),
	{}
};

struct kunit_suite vnet_slot_suite = {
	.name = "vnet_slot",
	.test_cases = slot_cases,
};
