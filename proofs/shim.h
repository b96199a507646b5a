/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as the ring's engine needs to be read by CBMC. One CPU:
 * barriers are only noted; barriers.c shows what they are for.
 *
 * Memory that the device can write has no contents here: each read of it yields
 * any value, another one each time. So nothing is assumed of the device.
 */
#ifndef VNET_PROOFS_SHIM_H
#define VNET_PROOFS_SHIM_H

#include <asm/types.h>
#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

/* Any value, another one each time: CBMC knows the names. */
u8 nondet_u8(void);
u16 nondet_u16(void);
u32 nondet_u32(void);
u64 nondet_u64(void);

#define __always_inline		inline
#define __force
#define likely(x)		(x)
#define unlikely(x)		(x)
#define cpu_to_le16(x)		((u16)(x))
#define cpu_to_le32(x)		((u32)(x))
#define cpu_to_le64(x)		((u64)(x))
#define le16_to_cpu(x)		((u16)(x))
#define le32_to_cpu(x)		((u32)(x))

/* What the device writes, and what it said last */
extern const void *device_memory;
extern u64 device_said;

/*
 * When it was last done, by a clock that counts these: a read of the device's
 * memory, a store by WRITE_ONCE() or with release semantics, a barrier.
 */
extern unsigned int now, read_at, stored_at, released_at, full_at,
	first_full, rmb_at;

/* Barriers are for the machine that the ring says. */
extern bool weak_machine;

/* The address is looked at all the same: it has to be in bounds. */
#define READ_ONCE(x) ({							\
	__auto_type __at = &(x);					\
	typeof(*__at) __was = *__at, __any;				\
	if (!__CPROVER_same_object(__at, device_memory)) {		\
		__any = __was;						\
	} else {							\
		device_said = __any;					\
		read_at = ++now;					\
	}								\
	__any;								\
})
#define WRITE_ONCE(x, v)	({ stored_at = ++now; (x) = (v); })
/* a store behind everything that was done before */
#define virt_store_release(p, v) ({ stored_at = released_at = ++now; *(p) = (v); })

static inline void vnet_note_full(void)
{
	full_at = ++now;
	if (!first_full)
		first_full = full_at;
}

static inline void vnet_note_rmb(void)
{
	rmb_at = ++now;
}

static inline void vnet_note_machine(bool weak)
{
	assert(weak == weak_machine);
}

/* order what is before and behind, for devices that are no CPUs */
#define mb()			vnet_note_full()
#define virtio_mb(weak)		(vnet_note_machine(weak), vnet_note_full())
#define virtio_rmb(weak)	(vnet_note_machine(weak), vnet_note_rmb())

#endif /* VNET_PROOFS_SHIM_H */
