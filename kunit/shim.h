/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Enough of KUnit to run suites on a kernel that was built without it: cases
 * with init and exit, EXPECT and ASSERT. No parameters, no resources, no
 * expectations of crashes.
 */
#ifndef VNET_KUNIT_SHIM_H
#define VNET_KUNIT_SHIM_H

#include <kunit/test.h>

int vnet_shim_run(struct kunit_suite *const *suites, unsigned int nr);

#endif /* VNET_KUNIT_SHIM_H */
