/* SPDX-License-Identifier: GPL-2.0 */
/* Zero-copy receive for guest.c; all return false with errno. */
#ifndef GUEST_ZC_H
#define GUEST_ZC_H

#include <stdbool.h>
#include <stdint.h>

/* Bind the first receive queue of an interface to memory in pages of so many bytes. */
bool zc_bind(const char *ifname, uint32_t page);
/* Let go of it. */
void zc_leave(const char *ifname);
/* Read the first bytes of a connection. */
bool zc_begin(int fd, uint64_t warm);
/* Read so many more. */
bool zc_receive(int fd, uint64_t bytes);

#endif /* GUEST_ZC_H */
