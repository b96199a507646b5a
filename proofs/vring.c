// SPDX-License-Identifier: GPL-2.0
/*
 * The engine of split rings (include/vnet_vring.h), proved for a ring of NUM
 * entries and any number of steps.
 *
 * By induction: each function begins in any state in which the invariant holds,
 * whatever the values of the indices, and ends in one; and it does what it is
 * for. vnet_vring_init() makes the first. Reads of the used ring yield anything.
 */
#include "shim.h"

#include "../include/vnet_vring.h"

#ifndef NUM
#define NUM 4
#endif

#define ASSUME(x)	__CPROVER_assume(x)

static struct vring_desc desc[NUM];
static struct {
	__virtio16 flags;
	__virtio16 idx;
	__virtio16 ring[NUM];
	__virtio16 used_event;
} avail;
static struct {
	__virtio16 flags;
	__virtio16 idx;
	struct vring_used_elem ring[NUM];
	__virtio16 avail_event;
} used;
static bool posted[NUM];
static struct vnet_vring r;

const void *device_memory = &used;
u64 device_said;
unsigned int now, read_at, stored_at, released_at, full_at, first_full, rmb_at;
bool weak_machine;

/* A pointer of the ring that points where it should */
static void connect(void)
{
	r.desc = desc;
	r.avail = (struct vring_avail *)&avail;
	r.used = (struct vring_used *)&used;
	r.posted = posted;
	r.mask = NUM - 1;
}

static unsigned int with_device(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < NUM; i++)
		nr += posted[i];

	return nr;
}

/*
 * Every slot is with the driver or with the device: none is lost. The device can
 * have returned no more than it was shown, and was shown no more than offered.
 */
static bool invariant(void)
{
	u16 out = r.offered - r.taken;
	u16 shown = r.shown - r.taken;
	u16 seen = r.seen - r.taken;

	return out <= NUM && out == with_device() && shown <= out &&
	       seen <= shown && r.mask == NUM - 1 && r.desc == desc &&
	       r.posted == posted;
}

static void any_state(void)
{
	unsigned int i;

	connect();
	r.taken = nondet_u16();
	r.seen = nondet_u16();
	r.offered = nondet_u16();
	r.shown = nondet_u16();
	r.event = nondet_u8() & 1;
	r.weak = nondet_u8() & 1;
	weak_machine = r.weak;
	r.bad = nondet_u8() & 1;
	for (i = 0; i < NUM; i++)
		posted[i] = nondet_u8() & 1;
	ASSUME(invariant());
}

static bool was[NUM];
static struct vnet_vring old;

static void remember(void)
{
	memcpy(was, posted, sizeof(was));
	old = r;
}

/* No slot but @slot has changed hands. */
static bool others_stay(unsigned int slot)
{
	unsigned int i;

	for (i = 0; i < NUM; i++)
		if (i != slot && posted[i] != was[i])
			return false;

	return true;
}

static void init(void)
{
	connect();
	vnet_vring_init(&r);
	assert(invariant() && !vnet_vring_out(&r));
}

static void get(void)
{
	u32 len;
	int slot = vnet_vring_get(&r, &len);

	/* "take": the entries are read behind the barrier behind the index. */
	if (r.seen != old.seen && slot >= 0)
		assert(rmb_at && rmb_at < read_at);

	if (slot == VNET_VRING_EMPTY) {
		assert(others_stay(NUM) && r.taken == old.taken);
		return;
	}
	/* One that the device had, and has not any more */
	assert(slot >= 0 && slot < NUM);
	assert(was[slot] && !posted[slot] && others_stay(slot));
	assert(r.taken == (u16)(old.taken + 1));
	/* Nothing is taken out of a ring in which a lie was seen. */
	assert(!old.bad || old.seen != old.taken);
	/* More than was shown never comes back. */
	assert(old.shown != old.taken);
}

static void offer(void)
{
	unsigned int slot = nondet_u8();
	u16 flags = nondet_u16();
	u64 addr = nondet_u64();
	u32 len = nondet_u32();

	ASSUME(slot < NUM && !posted[slot]);
	vnet_vring_describe(&r, slot, addr, len, flags);
	vnet_vring_offer(&r, slot);
	assert(posted[slot] && others_stay(slot));
	assert(avail.ring[old.offered & r.mask] == slot);
	assert(desc[slot].addr == addr && desc[slot].len == len &&
	       desc[slot].flags == flags);
}

static void show(void)
{
	bool kick = vnet_vring_show(&r);

	/* "publish": whatever was written or read, and then the index */
	assert(stored_at);
	if (r.weak)
		assert(released_at == stored_at);
	else
		assert(first_full && first_full < stored_at);
	/* "notify": the index, and then the look whether the device sleeps */
	assert(stored_at < full_at && full_at < read_at);
	assert(avail.idx == r.offered && r.shown == r.offered);
	assert(others_stay(NUM));
	/* The device is told when the entry that it waits for is among them. */
	if (r.event)
		assert(kick == ((u16)((u16)device_said - old.shown) <
				(u16)(r.offered - old.shown)));
	else
		assert(kick == !(device_said & VRING_USED_F_NO_NOTIFY));
}

static void disarm(void)
{
	vnet_vring_disarm(&r);
	assert(r.event || avail.flags == VRING_AVAIL_F_NO_INTERRUPT);
	assert(others_stay(NUM));
}

static void arm(void)
{
	u16 after = nondet_u8() & 1 ? 0 : vnet_vring_late(&r);
	bool again;

	assert(!after || after < vnet_vring_out(&r));
	again = vnet_vring_arm(&r, after);
	/* "arm": the wish, and then the look at what has come meanwhile */
	assert(stored_at && stored_at < full_at && full_at < read_at);
	if (r.event)
		assert(avail.used_event == (u16)(r.taken + after));
	else
		assert(!avail.flags);
	/* Who is not told to look again is told by the device of what comes. */
	assert(again || r.bad ||
	       (u16)((u16)device_said - r.taken) <= after);
	assert(others_stay(NUM));
}

static void wraps(void)
{
	bool may = false;
	unsigned int i;

	for (i = 1; i <= NUM; i++)
		may |= (u16)(r.taken + i) == 0;
	assert(vnet_vring_wraps(&r) == may);
}

int main(void)
{
	init();
	any_state();
	remember();

	switch (nondet_u8()) {
	case 0:
		get();
		break;
	case 1:
		offer();
		break;
	case 2:
		show();
		break;
	case 3:
		disarm();
		break;
	case 4:
		arm();
		break;
	default:
		wraps();
	}
	assert(invariant());

	return 0;
}
