/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control queue transport: one command at a time, bounded, refcounted. It
 * knows nothing of the net device and nothing of what a command means.
 */
#ifndef VNET_CTRL_H
#define VNET_CTRL_H

#include <linux/kref.h>
#include <linux/types.h>

struct virtqueue;
struct vnet_dev;

/* How long a command may take, unless the debug knob says otherwise. */
#define VNET_CTRL_TIMEOUT_MS	5000

/**
 * struct vnet_cmd - one command to the device
 * @payload: what follows the two header bytes, @payload_len bytes, zeroed at
 *	allocation; the caller fills it with a vnet_wire_*() encoder
 * @payload_len: bytes of @payload, may be lowered before submission
 * @reply: what the device wrote after its acknowledgment, or NULL
 * @reply_len: before submission the room for a reply, after success the bytes
 *	that the device really wrote
 * @ref: the caller holds one reference, the device another while it owns the
 *	memory
 * @out: header and payload as the device reads them
 * @in: acknowledgment and reply as the device writes them
 * @used: bytes of @in that the device claims to have written
 * @done: the device has given the command back
 */
struct vnet_cmd {
	void *payload;
	size_t payload_len;
	void *reply;
	size_t reply_len;

	/* private: vnet_ctrl.c */
	struct kref ref;
	u8 *out;
	u8 *in;
	u32 used;
	bool done;
};

/**
 * struct vnet_ctrl_info - what the transport has seen, for stats and dumps
 * @sent: commands given to the device
 * @refused: commands that the device did not acknowledge with success
 * @timeouts: commands that were not answered in time
 * @late: commands that came back after their caller had given up
 * @in_flight: commands that the device holds now
 * @up: commands are accepted
 */
struct vnet_ctrl_info {
	u64 sent;
	u64 refused;
	u64 timeouts;
	u64 late;
	u32 in_flight;
	bool up;
};

struct vnet_cmd *vnet_cmd_alloc(u8 class, u8 code, size_t payload_len,
				size_t reply_len);
void vnet_cmd_put(struct vnet_cmd *cmd);

int vnet_ctrl_create(struct vnet_dev *vd);
void vnet_ctrl_destroy(struct vnet_dev *vd);
void vnet_ctrl_start(struct vnet_dev *vd);
void vnet_ctrl_stop(struct vnet_dev *vd);
void vnet_cvq_irq(struct virtqueue *vq);
int vnet_cvq_exec(struct vnet_dev *vd, struct vnet_cmd *cmd);
void vnet_ctrl_get_info(struct vnet_dev *vd, struct vnet_ctrl_info *info);

#endif /* VNET_CTRL_H */
