// SPDX-License-Identifier: GPL-2.0
/*
 * A module with the name of vnet that goes wrong when it gets a device, for
 * selftests/package_boot.py: what becomes of a machine that tries such a one.
 */

#include <linux/module.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

static char *how = "panic";
module_param(how, charp, 0);
MODULE_PARM_DESC(how, "panic, oops or refuse");

static int broken_probe(struct virtio_device *vdev)
{
	if (!strcmp(how, "panic"))
		panic("vnet: a panic that was planted");
	if (!strcmp(how, "oops"))
		WRITE_ONCE(*(int *)8, 0);
	/* Features are negotiated already: the next driver is to begin anew. */
	virtio_reset_device(vdev);

	return -EIO;
}

static void broken_remove(struct virtio_device *vdev)
{
}

static const struct virtio_device_id broken_ids[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ }
};

static struct virtio_driver broken_driver = {
	.driver.name = "vnet",
	.id_table = broken_ids,
	.probe = broken_probe,
	.remove = broken_remove,
};
module_virtio_driver(broken_driver);

MODULE_DESCRIPTION("A vnet that goes wrong");
MODULE_VERSION("0.0.1-broken");
MODULE_LICENSE("GPL");
