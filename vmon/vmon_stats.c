// SPDX-License-Identifier: GPL-2.0
/* Counting, which every part of a monitor does. */

#include "vmon.h"

/**
 * vmon_add() - count
 * @vm: the monitor
 * @which: the counter
 * @n: what to add
 *
 * Context: softirqs off.
 */
void vmon_add(struct vmon *vm, enum vmon_count which, u64 n)
{
	struct vmon_stats *stats = this_cpu_ptr(vm->stats);

	u64_stats_update_begin(&stats->syncp);
	u64_stats_add(&stats->n[which], n);
	u64_stats_update_end(&stats->syncp);
}
