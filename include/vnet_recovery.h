/* SPDX-License-Identifier: GPL-2.0 */
/* Self-healing: what is to be healed, and the ladder that heals it. */
#ifndef VNET_RECOVERY_H
#define VNET_RECOVERY_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "vnet_event.h"

struct vnet_dev;

/* Who speaks about it: the devlink health reporters */
enum vnet_reporter {
	VNET_REPORTER_TX,
	VNET_REPORTER_RX,
	VNET_REPORTER_CTRL,
	VNET_REPORTER_DEVICE,
	VNET_REPORTER_NR,
};

/* The trouble is not that of one virtqueue. */
#define VNET_HEAL_NO_VQ		U16_MAX

/**
 * struct vnet_heal - one thing to be healed
 * @reasons: why, bits of enum vnet_reset_reason
 * @step: what is to be tried
 * @reporter: who tells the user
 * @vq: virtqueue number, or %VNET_HEAL_NO_VQ
 * @tried: it was tried; else the user does not want it to be
 * @text: the event in words
 */
struct vnet_heal {
	unsigned long reasons;
	enum vnet_heal_step step;
	enum vnet_reporter reporter;
	u16 vq;
	bool tried;
	char text[128];
};

/* life/recovery.c: the ladder */
int vnet_recovery_create(struct vnet_dev *vd, work_func_t ladder);
void vnet_recovery_thaw(struct vnet_dev *vd);
void vnet_recovery_stop(struct vnet_dev *vd);
void vnet_recovery_destroy(struct vnet_dev *vd);
struct vnet_dev *vnet_recovery_dev(struct work_struct *work);
int vnet_recovery_open(struct vnet_dev *vd);
bool vnet_recovery_opened(struct vnet_dev *vd);
bool vnet_recovery_next(struct vnet_dev *vd, struct vnet_heal *heal);
int vnet_recovery_heal(struct vnet_dev *vd, struct vnet_heal *heal);
void vnet_recovery_refused(struct vnet_dev *vd, const struct vnet_heal *heal);

#endif /* VNET_RECOVERY_H */
