// SPDX-License-Identifier: GPL-2.0
/*
 * Why each barrier of the engine (docs/ring.rst) is there: what goes wrong
 * without it, and that it is enough. vring.c shows that the engine has them.
 *
 * Two threads, driver and device. Where nothing orders two accesses of one, a
 * CPU may do them in either order, and does here; the rest is interleaving. That
 * is all that CPUs with one memory for everybody can do to two accesses. The
 * device orders its own, as the specification wants.
 *
 * WITHOUT names the barrier that is left out.
 */
#include "shim.h"

#define PUBLISH_STORES	1
#define PUBLISH_LOADS	2
#define NOTIFY		3
#define TAKE		4
#define ARM		5

#ifndef WITHOUT
#define WITHOUT		0
#endif

static int desc, buffer, avail_idx, used_idx, entry, wish;
static int saw_idx, saw, kicked, sleeps;
static bool driver_done, device_done;

/* What the driver does, with the barrier between the two */
static void first(void)
{
	switch (SHAPE) {
	case PUBLISH_STORES:
		desc = 1;
		break;
	case PUBLISH_LOADS:
		saw = buffer;
		break;
	case NOTIFY:
		avail_idx = 1;
		break;
	case TAKE:
		saw_idx = used_idx;
		break;
	case ARM:
		wish = 1;
		break;
	}
}

static void then(void)
{
	switch (SHAPE) {
	case PUBLISH_STORES:
	case PUBLISH_LOADS:
		avail_idx = 1;
		break;
	case NOTIFY:
		kicked = wish;
		break;
	case TAKE:
		saw = entry;
		break;
	case ARM:
		sleeps = !used_idx;
		break;
	}
}

static void driver(void)
{
	const int left_out = WITHOUT;

	if (left_out == SHAPE && nondet_u8()) {
		then();
		first();
	} else {
		first();
		then();
	}
	driver_done = true;
}

static void device(void)
{
	switch (SHAPE) {
	case PUBLISH_STORES:
		saw_idx = avail_idx;
		saw = desc;
		break;
	case PUBLISH_LOADS:
		if (avail_idx)
			buffer = 1;
		break;
	case NOTIFY:
		wish = 1;
		sleeps = !avail_idx;
		break;
	case TAKE:
		entry = 1;
		used_idx = 1;
		break;
	case ARM:
		used_idx = 1;
		kicked = wish;
		break;
	}
	device_done = true;
}

int main(void)
{
__CPROVER_ASYNC_1:
	driver();
__CPROVER_ASYNC_2:
	device();
	__CPROVER_assume(driver_done && device_done);

	switch (SHAPE) {
	case PUBLISH_STORES:
		assert(!saw_idx || saw);	/* an old descriptor */
		break;
	case PUBLISH_LOADS:
		assert(!saw);			/* the next packet, not this one */
		break;
	case NOTIFY:
		assert(!sleeps || kicked);	/* a device that sleeps on */
		break;
	case TAKE:
		assert(!saw_idx || saw);	/* an old entry */
		break;
	case ARM:
		assert(!sleeps || kicked);	/* a poll that sleeps on */
		break;
	}

	return 0;
}
