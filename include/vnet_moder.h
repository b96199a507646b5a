/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupt moderation by the driver, for devices that coalesce no notifications.
 *
 * A poll that found something asks for no interrupt, or for one after so many
 * more buffers, and a timer polls again. A poll that finds nothing asks for the
 * next one: an idle queue costs nothing, and what comes after a pause is not late.
 */
#ifndef VNET_MODER_H
#define VNET_MODER_H

#include <linux/hrtimer.h>
#include <linux/netdevice.h>

#include "vnet_vq.h"

/**
 * struct vnet_moder - when a queue is polled again
 * @timer: polls
 * @napi: the poll
 * @wait: from a poll to the next, in nanoseconds; 0: by interrupts alone
 * @after: buffers that may be used before an interrupt all the same
 */
struct vnet_moder {
	struct hrtimer timer;
	struct napi_struct *napi;
	u64 wait;
	u16 after;
};

/* Longest that a queue may be made to wait, in microseconds */
#define VNET_MODER_MAX_US	100000

void vnet_moder_init(struct vnet_moder *moder, struct napi_struct *napi);
bool vnet_moder_set(struct vnet_moder *moder, u32 usecs, u32 frames);
bool vnet_moder_hold(struct vnet_moder *moder, struct vnet_vq *q);
void vnet_moder_stop(struct vnet_moder *moder);

#endif /* VNET_MODER_H */
