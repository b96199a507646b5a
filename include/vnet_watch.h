/* SPDX-License-Identifier: GPL-2.0 */
/* The detectors. */
#ifndef VNET_WATCH_H
#define VNET_WATCH_H

#include <linux/types.h>

struct vnet_dev;

/**
 * struct vnet_watch_info - what the detectors tell of one virtqueue
 * @done: packets handled when it was looked at last
 * @still: looks in a row without the progress that was due
 * @step: rung of the ladder that comes next
 */
struct vnet_watch_info {
	u64 done;
	u8 still;
	u8 step;
};

void vnet_watch_init(struct vnet_dev *vd);
void vnet_watch_start(struct vnet_dev *vd);
void vnet_watch_stop(struct vnet_dev *vd);
void vnet_watch_link_up(struct vnet_dev *vd);
void vnet_watch_get(const struct vnet_dev *vd, u16 vq,
		    struct vnet_watch_info *info);

#endif /* VNET_WATCH_H */
