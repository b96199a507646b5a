// SPDX-License-Identifier: GPL-2.0
/*
 * What dkms installs for a kernel that vnet does not build for: a module that
 * does not load and says why. See scripts/dkms-build.sh.
 */

#include <linux/module.h>

static int __init stand_in_init(void)
{
	pr_err("vnet: a stand-in: %s did not build for this kernel, see make.log of dkms\n",
	       VNET_VERSION);
	return -EOPNOTSUPP;
}
module_init(stand_in_init);

MODULE_DESCRIPTION("Stand-in for vnet, which did not build for this kernel");
MODULE_VERSION(VNET_VERSION "-stand-in");
MODULE_LICENSE("GPL");
