// SPDX-License-Identifier: GPL-2.0
/* The rooms under test, for a module: the driver exports nothing. */

#include "../policy/caps.c"
#include "../policy/wire.c"
