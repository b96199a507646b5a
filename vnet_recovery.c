// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery: the reasons for a reset, counted, and the work that does it.
 */
#include <linux/netdevice.h>

#include "vnet.h"
#include "vnet_trace.h"

/* How often a device that does not come back is tried again, and how late. */
#define VNET_RESET_TRIES	5
#define VNET_RESET_BACKOFF	(HZ / 4)

static const char * const vnet_reset_names[VNET_RESET_NR] = {
	[VNET_RESET_TX_TIMEOUT]		= "transmit timeout",
	[VNET_RESET_NEEDS_RESET]	= "device needs reset",
	[VNET_RESET_BAD_CHAIN]		= "impossible receive chain",
	[VNET_RESET_BROKEN_RING]	= "broken ring",
	[VNET_RESET_CTRL_TIMEOUT]	= "control command not answered",
	[VNET_RESET_RESTART]		= "restart failed",
};

/**
 * vnet_recovery_request() - ask for a reset of the device
 * @vd: device
 * @reason: why
 *
 * Requests that come while one waits are answered by the same reset.
 *
 * Context: any.
 */
void vnet_recovery_request(struct vnet_dev *vd, enum vnet_reset_reason reason)
{
	if (READ_ONCE(vd->removing))
		return;

	set_bit(reason, &vd->reset_reasons);
	queue_delayed_work(system_long_wq, &vd->recovery_work, 0);
}

static void vnet_recovery_count(struct vnet_dev *vd, unsigned long reasons)
{
	unsigned int i;

	for_each_set_bit(i, &reasons, VNET_RESET_NR) {
		vd->reset_count[i]++;
		if (net_ratelimit())
			netdev_warn(vd->dev, "resetting the device: %s\n",
				    vnet_reset_names[i]);
	}
}

/* The device does not come back: no virtqueues, no carrier, and no hang. */
static void vnet_recovery_give_up(struct vnet_dev *vd, int err)
{
	vd->dead = true;
	netif_carrier_off(vd->dev);
	netdev_err(vd->dev, "the device does not come back (%d), giving up\n",
		   err);
}

static void vnet_recovery_run(struct vnet_dev *vd, unsigned long reasons)
{
	int err;

	vnet_recovery_count(vd, reasons);
	netif_tx_disable(vd->dev);
	netif_carrier_off(vd->dev);
	vnet_device_quiesce(vd);
	err = vnet_device_resume(vd);
	trace_vnet_reset(vd->dev, reasons, err);
	if (!err) {
		vd->reset_tries = 0;
		return;
	}

	if (++vd->reset_tries >= VNET_RESET_TRIES) {
		vnet_recovery_give_up(vd, err);
		return;
	}

	set_bit(VNET_RESET_RESTART, &vd->reset_reasons);
	queue_delayed_work(system_long_wq, &vd->recovery_work,
			   VNET_RESET_BACKOFF << vd->reset_tries);
}

/* Work: reset the device for the reasons that have come together. */
void vnet_recovery_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(to_delayed_work(work),
					   struct vnet_dev, recovery_work);
	unsigned long reasons;

	vnet_compat_lock(vd->dev);
	reasons = xchg(&vd->reset_reasons, 0);
	if (reasons && !vd->removing && !vd->dead)
		vnet_recovery_run(vd, reasons);
	vnet_compat_unlock(vd->dev);
}
