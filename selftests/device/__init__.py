# SPDX-License-Identifier: GPL-2.0
"""A scripted virtio-net device that runs beside QEMU (see README.md)."""
