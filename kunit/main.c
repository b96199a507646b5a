// SPDX-License-Identifier: GPL-2.0
/* The module of the suites: registered with KUnit, or run by the shim. */

#include <linux/kernel.h>
#include <linux/module.h>

#include "shim.h"
#include "vnet_kunit.h"

#if IS_ENABLED(CONFIG_KUNIT)

kunit_test_suites(&vnet_hdr_tx_suite, &vnet_hdr_rx_suite,
		  &vnet_hdr_random_suite, &vnet_caps_suite, &vnet_life_suite,
		  &vnet_size_suite, &vnet_slot_suite, &vnet_vring_suite,
		  &vnet_wire_suite);

#else

static struct kunit_suite *const vnet_kunit_suites[] = {
	&vnet_hdr_tx_suite,
	&vnet_hdr_rx_suite,
	&vnet_hdr_random_suite,
	&vnet_caps_suite,
	&vnet_life_suite,
	&vnet_size_suite,
	&vnet_slot_suite,
	&vnet_vring_suite,
	&vnet_wire_suite,
};

static int __init vnet_kunit_init(void)
{
	return vnet_shim_run(vnet_kunit_suites, ARRAY_SIZE(vnet_kunit_suites));
}
module_init(vnet_kunit_init);

static void __exit vnet_kunit_exit(void)
{
}
module_exit(vnet_kunit_exit);

#endif

MODULE_DESCRIPTION("KUnit tests of the pure rooms of vnet");
MODULE_LICENSE("GPL");
