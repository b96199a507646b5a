/* SPDX-License-Identifier: GPL-2.0 */
/* What the suites share. */
#ifndef VNET_KUNIT_H
#define VNET_KUNIT_H

#include <kunit/test.h>
#include <linux/prandom.h>

extern struct kunit_suite vnet_hdr_tx_suite;
extern struct kunit_suite vnet_hdr_rx_suite;
extern struct kunit_suite vnet_hdr_random_suite;
extern struct kunit_suite vnet_caps_suite;
extern struct kunit_suite vnet_life_suite;
extern struct kunit_suite vnet_size_suite;
extern struct kunit_suite vnet_slot_suite;
extern struct kunit_suite vnet_vring_suite;
extern struct kunit_suite vnet_wire_suite;

/* Random, but the same in every run */
#define VNET_KUNIT_SEED		20260401
#define VNET_KUNIT_ROUNDS	10000

static inline void vnet_kunit_seed(struct rnd_state *rnd)
{
	prandom_seed_state(rnd, VNET_KUNIT_SEED);
}

static inline u32 vnet_kunit_below(struct rnd_state *rnd, u32 limit)
{
	return prandom_u32_state(rnd) % limit;
}

#endif /* VNET_KUNIT_H */
