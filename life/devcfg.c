// SPDX-License-Identifier: GPL-2.0
/*
 * The configuration space (VIRTIO 1.4, 2.5 and 5.1.4), which nothing else
 * reads. No read goes beyond what the transport says is there, because the
 * virtio core stops the kernel at one; what the device changes meanwhile is
 * read again, but not for ever, as the core would.
 */
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include "vnet_devcfg.h"

/* How often the space is read while the device changes it. */
#define VNET_DEVCFG_TRIES	16

/* Bytes that a PCI capability of this kind covers, cut to its BAR; or 0 */
static u32 vnet_devcfg_cap_len(struct pci_dev *pdev, u8 pos)
{
	resource_size_t bar_len;
	u32 offset, len;
	u8 type, bar;

	pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_CFG_TYPE, &type);
	pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_BAR, &bar);
	if (type != VIRTIO_PCI_CAP_DEVICE_CFG || bar >= PCI_STD_NUM_BARS)
		return 0;

	bar_len = pci_resource_len(pdev, bar);
	pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_OFFSET, &offset);
	pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_LENGTH, &len);
	if (offset >= bar_len)
		return 0;

	return min_t(resource_size_t, len, bar_len - offset);
}

/* The core takes the first capability that it can use. */
static u32 vnet_devcfg_pci_len(struct pci_dev *pdev, bool legacy)
{
	resource_size_t len;
	u32 cap;
	u8 pos;

	if (legacy) {
		len = pci_resource_len(pdev, 0);
		cap = VIRTIO_PCI_CONFIG_OFF(pdev->msix_enabled);
		return len > cap ? min_t(resource_size_t, len - cap, U32_MAX) :
				   0;
	}

	for (pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR); pos;
	     pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR)) {
		cap = vnet_devcfg_cap_len(pdev, pos);
		if (cap)
			return cap;
	}

	return 0;
}

static u32 vnet_devcfg_mmio_len(struct platform_device *pdev)
{
	struct resource *res = platform_get_resource(pdev, IORESOURCE_MEM, 0);
	resource_size_t len = res ? resource_size(res) : 0;

	return len > VIRTIO_MMIO_CONFIG ?
	       min_t(resource_size_t, len - VIRTIO_MMIO_CONFIG, U32_MAX) : 0;
}

/* Other transports see to it themselves, and leave what is not there alone. */
static u32 vnet_devcfg_len(struct virtio_device *vdev)
{
	struct device *parent = vdev->dev.parent;
	bool legacy = !virtio_has_feature(vdev, VIRTIO_F_VERSION_1);

	if (dev_is_pci(parent))
		return vnet_devcfg_pci_len(to_pci_dev(parent), legacy);
	if (dev_is_platform(parent))
		return vnet_devcfg_mmio_len(to_platform_device(parent));

	return VNET_DC_END;
}

static void vnet_devcfg_get(struct virtio_device *vdev, u32 len, u32 at,
			    void *to, u32 size)
{
	if (at + size <= len)
		vdev->config->get(vdev, at, to, size);
}

static u8 vnet_devcfg_get8(struct virtio_device *vdev, u32 len, u32 at)
{
	u8 v = 0;

	vnet_devcfg_get(vdev, len, at, &v, sizeof(v));

	return v;
}

static u16 vnet_devcfg_get16(struct virtio_device *vdev, u32 len, u32 at)
{
	__virtio16 v = 0;

	vnet_devcfg_get(vdev, len, at, &v, sizeof(v));

	return virtio16_to_cpu(vdev, v);
}

/* No field of this size is older than VIRTIO 1.0, when they got an endianness. */
static u32 vnet_devcfg_get32(struct virtio_device *vdev, u32 len, u32 at)
{
	__le32 v = 0;

	vnet_devcfg_get(vdev, len, at, &v, sizeof(v));

	return le32_to_cpu(v);
}

/* Each field once, those of the features in @f, in accesses of their width */
static void vnet_devcfg_fields(struct virtio_device *vdev,
			       const struct vnet_features *f,
			       struct vnet_devcfg *dc)
{
	bool rss = vnet_features_has(f, VNET_F_RSS);
	u32 len = dc->len;
	unsigned int i;

	for (i = 0; i < ETH_ALEN && vnet_features_has(f, VNET_F_MAC); i++)
		dc->mac[i] = vnet_devcfg_get8(vdev, len, VNET_DC_MAC + i);
	if (vnet_features_has(f, VNET_F_STATUS))
		dc->status = vnet_devcfg_get16(vdev, len, VNET_DC_STATUS);
	if (vnet_features_has(f, VNET_F_MQ) || rss)
		dc->max_queue_pairs =
			vnet_devcfg_get16(vdev, len, VNET_DC_MAX_PAIRS);
	if (vnet_features_has(f, VNET_F_MTU))
		dc->mtu = vnet_devcfg_get16(vdev, len, VNET_DC_MTU);
	if (vnet_features_has(f, VNET_F_SPEED_DUPLEX)) {
		dc->speed = vnet_devcfg_get32(vdev, len, VNET_DC_SPEED);
		dc->duplex = vnet_devcfg_get8(vdev, len, VNET_DC_DUPLEX);
	}
	if (rss || vnet_features_has(f, VNET_F_HASH_REPORT)) {
		dc->rss_max_key_size =
			vnet_devcfg_get8(vdev, len, VNET_DC_RSS_KEY);
		dc->supported_hash_types =
			vnet_devcfg_get32(vdev, len, VNET_DC_HASH_TYPES);
	}
	if (rss)
		dc->rss_max_indir_len =
			vnet_devcfg_get16(vdev, len, VNET_DC_RSS_TABLE);
	if (vnet_features_has(f, VNET_F_HASH_TUNNEL))
		dc->supported_tunnel_types =
			vnet_devcfg_get32(vdev, len, VNET_DC_TUNNEL_TYPES);
}

static u32 vnet_devcfg_generation(struct virtio_device *vdev)
{
	return vdev->config->generation ? vdev->config->generation(vdev) : 0;
}

/*
 * All fields of one moment: a modern device says by the generation whether
 * they are, of a legacy one two readings have to agree.
 */
static void vnet_devcfg_snapshot(struct virtio_device *vdev,
				 const struct vnet_features *f, u32 len,
				 struct vnet_devcfg *dc)
{
	bool modern = virtio_has_feature(vdev, VIRTIO_F_VERSION_1);
	struct vnet_devcfg last;
	unsigned int tries;
	u32 before;

	for (tries = 0; tries < VNET_DEVCFG_TRIES; tries++) {
		memcpy(&last, dc, sizeof(last));
		memset(dc, 0, sizeof(*dc));
		dc->len = len;
		before = vnet_devcfg_generation(vdev);
		vnet_devcfg_fields(vdev, f, dc);
		if (modern ? before == vnet_devcfg_generation(vdev) :
			     tries && !memcmp(&last, dc, sizeof(last)))
			return;
	}
}

/**
 * vnet_devcfg_read() - take the snapshot that all decisions are made from
 * @vdev: device with access to its configuration space
 * @f: features offered or negotiated
 * @dc: snapshot to fill; a field whose feature is not in @f, or that lies
 *	beyond the end of the space, is zero
 *
 * Context: process.
 */
void vnet_devcfg_read(struct virtio_device *vdev, const struct vnet_features *f,
		      struct vnet_devcfg *dc)
{
	memset(dc, 0, sizeof(*dc));
	vnet_devcfg_snapshot(vdev, f, vnet_devcfg_len(vdev), dc);
}

/**
 * vnet_devcfg_read_link() - read what may change while the device works
 * @vdev: device
 * @f: negotiated features
 * @len: bytes of the configuration space, from the snapshot of probe
 * @dc: its status, speed and duplex are filled, all else is zero
 *
 * Context: process.
 */
void vnet_devcfg_read_link(struct virtio_device *vdev,
			   const struct vnet_features *f, u32 len,
			   struct vnet_devcfg *dc)
{
	const struct vnet_features link = {
		.w = { f->w[0] & (BIT_ULL(VNET_F_STATUS) |
				  BIT_ULL(VNET_F_SPEED_DUPLEX)) },
	};

	memset(dc, 0, sizeof(*dc));
	vnet_devcfg_snapshot(vdev, &link, len, dc);
}
