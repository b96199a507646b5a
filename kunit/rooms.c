// SPDX-License-Identifier: GPL-2.0
/* The rooms under test, for a module: the driver exports nothing. */

#include "../vnet_caps.c"
#include "../vnet_wire.c"
