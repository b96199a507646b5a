// SPDX-License-Identifier: GPL-2.0
/* The engine of split rings, against a model of a device: honest, and not. */

#include <linux/kernel.h>
#include <linux/string.h>

#include "../include/vnet_vring.h"

#include "vnet_kunit.h"

#define NUM	8

/* Buffers that make both indices wrap three times */
#define ROUNDS	(3 * 0x10000 + 5)

/* The ring's memory as the device sees it, and what the device remembers */
struct model {
	struct vnet_vring r;
	struct vring_desc desc[NUM];
	struct {
		struct vring_avail head;
		__virtio16 ring[NUM + 1];
	} avail;
	struct {
		struct vring_used head;
		struct vring_used_elem ring[NUM];
		__virtio16 event;
	} used;
	bool posted[NUM];
	u16 seen;	/* available entries taken by the device */
	u16 done;	/* used entries written by it */
	u16 held[NUM];	/* slots that it has taken and not used yet */
	u16 nr_held;
	u32 irqs;
};

/* The one model, as new; suites run one after the other. */
static struct model *model_new(bool event)
{
	static struct model model;
	struct model *m = &model;

	memset(m, 0, sizeof(*m));
	m->r.desc = m->desc;
	m->r.avail = &m->avail.head;
	m->r.used = &m->used.head;
	m->r.posted = m->posted;
	m->r.mask = NUM - 1;
	m->r.event = event;
	m->r.weak = true;
	vnet_vring_init(&m->r);

	return m;
}

/* The device takes what it is shown, and wants to hear of what comes next. */
static void device_take(struct model *m)
{
	u16 idx = vnet_vring_get16(m->avail.head.idx);

	while (m->seen != idx) {
		m->held[m->nr_held++] =
			vnet_vring_get16(m->avail.ring[m->seen % NUM]);
		m->seen++;
	}
	m->used.event = vnet_vring_put16(m->seen);
}

static void device_put(struct model *m, u32 id, u32 len)
{
	struct vring_used_elem *e = &m->used.ring[m->done % NUM];

	e->id = (__force __virtio32)cpu_to_le32(id);
	e->len = (__force __virtio32)cpu_to_le32(len);
	m->done++;
	m->used.head.idx = vnet_vring_put16(m->done);
}

/* It uses the buffer that it has had @nth longest, and interrupts if it is to. */
static void device_use(struct model *m, u16 nth)
{
	u16 old = m->done, id = m->held[nth], event;

	m->held[nth] = m->held[--m->nr_held];
	device_put(m, id, 100 + id);
	event = vnet_vring_get16(m->avail.ring[NUM]);
	if (m->r.event)
		m->irqs += vring_need_event(event, m->done, old);
	else
		m->irqs += !m->avail.head.flags;
}

static void post(struct model *m, u16 slot)
{
	vnet_vring_describe(&m->r, slot, 0x1000 * slot, 64, VRING_DESC_F_WRITE);
	vnet_vring_offer(&m->r, slot);
}

/*
 * Buffers go round in an order that changes; each comes back as often as it was
 * offered, whoever sleeps is woken up, and the indices wrap.
 */
static void round_and_round(struct kunit *test, bool event)
{
	struct model *m = model_new(event);
	u32 back = 0, len, i;
	bool asleep;
	int slot;

	for (i = 0; i < NUM; i++)
		post(m, i);
	while (back < ROUNDS) {
		asleep = vnet_vring_get16(m->avail.head.idx) == m->seen;
		if (m->r.offered != m->r.shown)
			KUNIT_ASSERT_TRUE(test,
					  vnet_vring_show(&m->r) || !asleep);
		device_take(m);
		KUNIT_ASSERT_EQ(test, m->nr_held, NUM);

		m->irqs = 0;
		KUNIT_ASSERT_FALSE(test, vnet_vring_arm(&m->r, back % NUM));
		for (i = 0; i <= back % NUM; i++) {
			if (event)
				KUNIT_ASSERT_EQ(test, m->irqs, 0);
			device_use(m, (back + i) % m->nr_held);
		}
		KUNIT_ASSERT_GE(test, m->irqs, 1);
		KUNIT_ASSERT_TRUE(test, vnet_vring_arm(&m->r, back % NUM));
		vnet_vring_disarm(&m->r);

		while ((slot = vnet_vring_get(&m->r, &len)) >= 0) {
			KUNIT_ASSERT_EQ(test, len, 100 + slot);
			KUNIT_ASSERT_FALSE(test, m->posted[slot]);
			vnet_vring_offer(&m->r, slot);
			back++;
		}
		KUNIT_ASSERT_FALSE(test, m->r.bad);
		KUNIT_ASSERT_EQ(test, vnet_vring_out(&m->r), NUM);
	}
	for (i = 0; i < NUM; i++)
		KUNIT_EXPECT_EQ(test, le64_to_cpu((__force __le64)m->desc[i].addr),
				0x1000 * i);
}

static void vring_event(struct kunit *test)
{
	round_and_round(test, true);
}

static void vring_flags(struct kunit *test)
{
	round_and_round(test, false);
}

/* A device that is awake is not notified; one that has just gone to sleep is. */
static void vring_show(struct kunit *test)
{
	struct model *m = model_new(true);

	post(m, 0);
	KUNIT_EXPECT_TRUE(test, vnet_vring_show(&m->r));
	post(m, 1);
	KUNIT_EXPECT_FALSE(test, vnet_vring_show(&m->r));
	device_take(m);
	post(m, 2);
	post(m, 3);
	KUNIT_EXPECT_TRUE(test, vnet_vring_show(&m->r));

	m = model_new(false);
	post(m, 0);
	KUNIT_EXPECT_TRUE(test, vnet_vring_show(&m->r));
	m->used.head.flags = vnet_vring_put16(VRING_USED_F_NO_NOTIFY);
	post(m, 1);
	KUNIT_EXPECT_FALSE(test, vnet_vring_show(&m->r));
}

/* What was offered and not shown is not the device's, and cannot come back. */
static void vring_unshown(struct kunit *test)
{
	struct model *m = model_new(true);
	u32 len;

	post(m, 0);
	vnet_vring_show(&m->r);
	post(m, 1);
	device_put(m, 0, 1);
	device_put(m, 1, 1);
	KUNIT_EXPECT_EQ(test, vnet_vring_get(&m->r, &len), VNET_VRING_EMPTY);
	KUNIT_EXPECT_TRUE(test, m->r.bad);
}

/* Half of four, with one sound buffer in front of the lie @id. */
static void lie(struct kunit *test, u32 id)
{
	struct model *m = model_new(true);
	u32 len;
	u16 i;

	for (i = 0; i < 4; i++)
		post(m, i);
	vnet_vring_show(&m->r);
	device_put(m, 2, 60);
	device_put(m, id, 60);
	device_put(m, 3, 60);

	KUNIT_EXPECT_EQ(test, vnet_vring_get(&m->r, &len), 2);
	KUNIT_EXPECT_EQ(test, len, 60);
	KUNIT_EXPECT_FALSE(test, m->r.bad);
	/* Nothing more is believed of this ring, and nobody polls it for ever. */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, vnet_vring_get(&m->r, &len),
				VNET_VRING_EMPTY);
	KUNIT_EXPECT_TRUE(test, m->r.bad);
	KUNIT_EXPECT_FALSE(test, vnet_vring_arm(&m->r, 0));
	KUNIT_EXPECT_EQ(test, vnet_vring_out(&m->r), 3);
	for (i = 0; i < NUM; i++)
		KUNIT_EXPECT_EQ(test, m->posted[i], i < 4 && i != 2);
}

static void vring_lies(struct kunit *test)
{
	lie(test, 2);		/* for the second time */
	lie(test, 5);		/* never had */
	lie(test, NUM);		/* beyond the ring */
	lie(test, U32_MAX);
	lie(test, 0x10001);	/* whose lower half is a slot */
}

/* An index that stands still, jumps or goes back: no step beyond what is out */
static void vring_jumps(struct kunit *test)
{
	struct model *m = model_new(true);
	u32 idx, len;

	for (idx = 0; idx < 0x10000; idx++) {
		struct vnet_vring *r;

		if (idx == 4)
			m = model_new(true);
		r = &m->r;
		if (!r->shown) {
			post(m, 0);
			post(m, 1);
			post(m, 2);
			vnet_vring_show(r);
		}
		r->bad = false;
		m->used.head.idx = vnet_vring_put16(idx);
		if (idx && idx <= 3) {
			m->used.ring[idx - 1].id =
				(__force __virtio32)cpu_to_le32(idx - 1);
			KUNIT_ASSERT_EQ(test, vnet_vring_get(r, &len), idx - 1);
			KUNIT_ASSERT_FALSE(test, r->bad);
		} else {
			KUNIT_ASSERT_EQ(test, vnet_vring_get(r, &len),
					VNET_VRING_EMPTY);
			KUNIT_ASSERT_EQ(test, r->bad, idx > 3);
		}
	}
}

/* Looked after is a ring as long as its index may come to rest on 0. */
static void vring_wraps(struct kunit *test)
{
	struct model *m = model_new(true);
	u32 taken;

	for (taken = 0; taken < 0x10000; taken++) {
		m->r.taken = taken;
		KUNIT_ASSERT_EQ(test, vnet_vring_wraps(&m->r),
				taken >= 0x10000 - NUM);
	}
}

static struct kunit_case vnet_vring_cases[] = {
	KUNIT_CASE(vring_event),
	KUNIT_CASE(vring_flags),
	KUNIT_CASE(vring_show),
	KUNIT_CASE(vring_unshown),
	KUNIT_CASE(vring_lies),
	KUNIT_CASE(vring_jumps),
	KUNIT_CASE(vring_wraps),
	{}
};

struct kunit_suite vnet_vring_suite = {
	.name = "vnet_vring",
	.test_cases = vnet_vring_cases,
};
