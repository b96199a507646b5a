// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the virtio-mmio devices of a QEMU microvm known to a kernel that was
 * built without CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES (Debian's).
 *
 * devices: a list of SIZE@BASE:IRQ, as QEMU puts it on the command line.
 */
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#define MAX_DEVICES 16

static char *devices[MAX_DEVICES];
static int nr_devices;
module_param_array(devices, charp, &nr_devices, 0444);
MODULE_PARM_DESC(devices, "virtio-mmio devices, SIZE@BASE:IRQ each");

static struct platform_device *pdevs[MAX_DEVICES];

static void vnet_lab_mmio_exit(void)
{
	int i = nr_devices;

	while (i--)
		if (!IS_ERR_OR_NULL(pdevs[i]))
			platform_device_unregister(pdevs[i]);
}

static int __init vnet_lab_mmio_init(void)
{
	unsigned long long base;
	unsigned int size, irq;
	int i;

	for (i = 0; i < nr_devices; i++) {
		struct resource res[2] = {};

		if (sscanf(devices[i], "%u@%llx:%u", &size, &base, &irq) != 3) {
			pr_err("vnet_lab_mmio: '%s' is not SIZE@BASE:IRQ\n",
			       devices[i]);
			vnet_lab_mmio_exit();
			return -EINVAL;
		}

		res[0] = (struct resource)DEFINE_RES_MEM(base, size);
		res[1] = (struct resource)DEFINE_RES_IRQ(irq);
		pdevs[i] = platform_device_register_simple("virtio-mmio", i,
							   res, 2);
		if (IS_ERR(pdevs[i])) {
			int err = PTR_ERR(pdevs[i]);

			vnet_lab_mmio_exit();
			return err;
		}
	}

	return 0;
}

module_init(vnet_lab_mmio_init);
module_exit(vnet_lab_mmio_exit);

MODULE_DESCRIPTION("virtio-mmio devices of a QEMU microvm, for vnet's lab");
MODULE_LICENSE("GPL");
