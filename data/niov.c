// SPDX-License-Identifier: GPL-2.0
/*
 * Pools of memory that belongs to a provider, and buffers in it, see
 * vnet_niov.h. Which provider a queue has is the core's to know: a pool that is
 * made for the queue is the provider's, as long as there is one.
 */
#include <linux/dma-mapping.h>
#include <net/page_pool/helpers.h>

#include "vnet_niov.h"

/* Does @dev map memory to its physical address? One page stands for all. */
static bool vnet_niov_is_physical(struct device *dev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	bool physical = false;
	dma_addr_t addr;

	if (!page)
		return false;

	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	if (!dma_mapping_error(dev, addr)) {
		physical = addr == page_to_phys(page);
		dma_unmap_page(dev, addr, PAGE_SIZE, DMA_FROM_DEVICE);
	}
	__free_page(page);

	return physical;
}

/**
 * vnet_niov_dma_dev() - the device that a provider maps its memory for
 * @vd: device
 *
 * A device without ACCESS_PLATFORM takes physical addresses; a provider knows
 * the DMA API alone. The parent does where it changes no address.
 *
 * Context: process, may sleep; instance lock held.
 * Return: the device, or NULL when there is none.
 */
struct device *vnet_niov_dma_dev(struct vnet_dev *vd)
{
	struct device *parent = vd->vdev->dev.parent;

	if (vnet_compat_own_map(vd->vdev))
		return NULL;
	if (vd->dma_dev)
		return vd->dma_dev;

	return parent && vnet_niov_is_physical(parent) ? parent : NULL;
}

/**
 * vnet_niov_create() - make the pool of a queue that is bound to a provider
 * @rxq: queue
 * @mem: its new memory, with a layout; gets the pool
 * @slots: chains of the queue
 *
 * Context: process, may sleep; instance lock held.
 * Return: 0, -EOPNOTSUPP when the memory cannot be mapped, or -errno.
 */
int vnet_niov_create(struct vnet_rxq *rxq, struct vnet_rx_mem *mem, u32 slots)
{
	u32 size = mem->layout.frag_size;
	struct page_pool_params pp = {
		.order = get_order(size),
		.pool_size = clamp(slots * mem->layout.nr_frags, 16, 16384),
		.nid = NUMA_NO_NODE,
		.dev = vnet_niov_dma_dev(rxq->vd),
		.netdev = rxq->vd->dev,
		.queue_idx = rxq->index,
		.dma_dir = DMA_FROM_DEVICE,
		.max_len = size,
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV |
			 PP_FLAG_ALLOW_UNREADABLE_NETMEM,
	};

	if (!pp.dev)
		return -EOPNOTSUPP;

	mem->niovs = page_pool_create(&pp);

	return PTR_ERR_OR_ZERO(mem->niovs);
}

/**
 * vnet_niov_alloc() - take a piece of the provider's memory for a buffer
 * @mem: memory with @niovs
 * @buf: buffer without memory, a follower of a chain
 * @gfp: as in vnet_rxbuf_refill()
 *
 * The page pool has synced it for the device.
 *
 * Context: NAPI of the queue, or process while NAPI is off.
 * Return: false when the provider has nothing at this moment.
 */
bool vnet_niov_alloc(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		     gfp_t gfp)
{
	buf->netmem = vnet_compat_netmem_alloc(mem->niovs, gfp | __GFP_NOWARN);
	if (!buf->netmem)
		return false;

	buf->va = NULL;
	buf->addr = page_pool_get_dma_addr_netmem(buf->netmem);
	buf->truesize = mem->layout.frag_size;
	buf->room = buf->truesize;
	buf->headroom = 0;

	return true;
}

/* Give the piece of @buf back; @direct: by the poll of the queue */
void vnet_niov_free(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf,
		    bool direct)
{
	page_pool_put_full_netmem(mem->niovs, buf->netmem, direct);
	buf->netmem = 0;
}

/* Make the @len bytes that the device wrote to @buf visible to whoever reads. */
void vnet_niov_sync(const struct vnet_rx_mem *mem,
		    const struct vnet_rx_buf *buf, u32 len)
{
	vnet_compat_netmem_sync(mem->niovs, buf->netmem, len);
}
