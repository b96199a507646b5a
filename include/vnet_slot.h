/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots: a fixed array per queue, one slot per buffer that the device may
 * hold. The virtqueue token is the slot. Free slots are kept as a stack of
 * indices, so that the one used last (and still in the cache) is taken first.
 */
#ifndef VNET_SLOT_H
#define VNET_SLOT_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/types.h>

/**
 * struct vnet_slots - stack of free slot indices
 * @free: indices of the free slots; entries below @nr_free are valid
 * @nr_free: number of free slots
 * @nr: number of slots in all
 *
 * Owned by the owner of the queue's ring (rx: NAPI, tx: xmit lock).
 */
struct vnet_slots {
	u16 *free;
	u32 nr_free;
	u32 nr;
};

/**
 * vnet_slots_free_all() - all slots are free again
 * @s: stack; no slot is in use any more, wherever each of them was
 */
static inline void vnet_slots_free_all(struct vnet_slots *s)
{
	u32 i;

	for (i = 0; i < s->nr; i++)
		s->free[i] = s->nr - 1 - i;
	s->nr_free = s->nr;
}

/**
 * vnet_slots_create() - make all of @nr slots free
 * @s: stack to set up
 * @nr: number of slots, 1..65536
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
static inline int vnet_slots_create(struct vnet_slots *s, u32 nr)
{
	s->free = kvmalloc_array(nr, sizeof(*s->free), GFP_KERNEL);
	if (!s->free)
		return -ENOMEM;

	s->nr = nr;
	vnet_slots_free_all(s);

	return 0;
}

static inline void vnet_slots_destroy(struct vnet_slots *s)
{
	kvfree(s->free);
	s->free = NULL;
	s->nr_free = 0;
	s->nr = 0;
}

/* Take a free slot; the caller has seen that nr_free is not 0. */
static inline u16 vnet_slots_take(struct vnet_slots *s)
{
	return s->free[--s->nr_free];
}

static inline void vnet_slots_put(struct vnet_slots *s, u16 idx)
{
	s->free[s->nr_free++] = idx;
}

#endif /* VNET_SLOT_H */
