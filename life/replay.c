// SPDX-License-Identifier: GPL-2.0
/*
 * The one list of what a device must be told: vnet_cfg_replay().
 */
#include <linux/netdevice.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_policy.h"

/*
 * The device does not spread packets over several queues, or not any more.
 * One pair is what it uses after a reset: that is better than nothing. The net
 * device follows, as soon as rtnl can be had.
 */
static void vnet_cfg_one_pair(struct vnet_dev *vd)
{
	netdev_warn(vd->dev, "the device refuses %u queue pairs, using one\n",
		    vd->cfg.pairs);
	vd->cfg.pairs = 1;
	vnet_rss_one_pair(vd);
	if (vd->dev->reg_state == NETREG_REGISTERED && !vnet_leaving(vd))
		queue_work(system_long_wq, &vd->pairs_work);
}

static int vnet_cfg_tell(struct vnet_dev *vd)
{
	int err;

	err = vnet_rss_replay(vd);
	if (vnet_cvq_refused(err) && vd->cfg.pairs > 1) {
		vnet_cfg_one_pair(vd);
		err = 0;
	}
	if (err)
		return err;

	err = vnet_offloads_replay(vd);
	if (err)
		return err;

	err = vnet_filter_replay(vd);
	if (err)
		return err;

	return vnet_coalesce_replay(vd);
}

/**
 * vnet_cfg_replay() - tell the device everything that the user asked for
 * @vd: device past DRIVER_OK
 *
 * Used by probe, resume and every reset; there is no second list of commands.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 * Return: 0, or the first error that leaves the device unusable. The next
 * replay does without a command that was not answered.
 */
int vnet_cfg_replay(struct vnet_dev *vd)
{
	int err = vnet_cfg_tell(vd);

	if (err)
		vnet_ctrl_mute(vd);

	return err;
}
