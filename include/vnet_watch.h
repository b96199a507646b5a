/* SPDX-License-Identifier: GPL-2.0 */
/* The detectors. */
#ifndef VNET_WATCH_H
#define VNET_WATCH_H

struct vnet_dev;
struct work_struct;

void vnet_watch_start(struct vnet_dev *vd);
void vnet_watch_stop(struct vnet_dev *vd);
void vnet_watch_link_up(struct vnet_dev *vd);
void vnet_watch_work(struct work_struct *work);
void vnet_watch_doze_work(struct work_struct *work);

#endif /* VNET_WATCH_H */
