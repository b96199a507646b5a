// SPDX-License-Identifier: GPL-2.0
/*
 * Tables of descriptors and DMA mappings of the packets that a transmit queue
 * has with the device, see vnet_chain.h.
 *
 * What is unmapped is read from memory that the device cannot write: a table is
 * the device's to read, but it may lie in memory that both can write.
 */
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/slab.h>

#include "vnet_chain.h"

/* Descriptors of a table, the most pieces that a packet has */
#define VNET_CHAIN_MAX		(MAX_SKB_FRAGS + 2)
#define VNET_CHAIN_BYTES	(VNET_CHAIN_MAX * sizeof(struct vring_desc))

/**
 * vnet_chain_create() - allocate what a transmit queue describes packets with
 * @vd: device, with INDIRECT_DESC
 * @ring: slots of the queue
 * @mem: its memory; vnet_chain_destroy() also takes what was made in part
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vnet_chain_create(const struct vnet_dev *vd, u32 ring,
		      struct vnet_tx_mem *mem)
{
	mem->nr_tables = ring;
	mem->tables = kvcalloc(ring, sizeof(*mem->tables), GFP_KERNEL);
	if (!mem->tables)
		return -ENOMEM;
	if (!vd->dma_dev)
		return 0;

	mem->map_dev = vd->dma_dev;
	mem->maps = kvcalloc(ring, sizeof(*mem->maps), GFP_KERNEL);
	mem->table_pool = dma_pool_create("vnet_tx", mem->map_dev,
					  VNET_CHAIN_BYTES,
					  sizeof(struct vring_desc), 0);

	return mem->maps && mem->table_pool ? 0 : -ENOMEM;
}

/* Nothing is mapped any more; process context. */
void vnet_chain_destroy(struct vnet_tx_mem *mem)
{
	u32 i;

	for (i = 0; mem->tables && i < mem->nr_tables; i++) {
		struct vnet_tx_table *t = &mem->tables[i];

		if (!mem->map_dev) {
			kfree(t->desc);
			continue;
		}
		if (t->desc)
			dma_pool_free(mem->table_pool, t->desc, t->dma);
		if (mem->maps)
			kfree(mem->maps[i].rest);
	}
	dma_pool_destroy(mem->table_pool);
	kvfree(mem->maps);
	kvfree(mem->tables);
}

/* The table of a slot that has had none; xmit lock. 0 or -ENOSPC. */
int vnet_chain_begin_first(struct vnet_tx_mem *mem, u16 slot)
{
	struct vnet_tx_table *t = &mem->tables[slot];
	struct vnet_tx_map *map;

	if (!mem->map_dev) {
		t->desc = kmalloc(VNET_CHAIN_BYTES, GFP_ATOMIC | __GFP_NOWARN);
		if (!t->desc)
			return -ENOSPC;
		t->dma = virt_to_phys(t->desc);
		return 0;
	}

	map = &mem->maps[slot];
	if (!map->rest)
		map->rest = kmalloc_array(VNET_CHAIN_MAX - 1,
					  sizeof(*map->rest),
					  GFP_ATOMIC | __GFP_NOWARN);
	if (!map->rest)
		return -ENOSPC;
	t->desc = dma_pool_alloc(mem->table_pool, GFP_ATOMIC | __GFP_NOWARN,
				 &t->dma);

	return t->desc ? 0 : -ENOSPC;
}

/* Map @len bytes at @at and remember them in @map. Returns whether it is done. */
static bool vnet_chain_map_piece(struct device *dev, struct vnet_tx_map *map,
				 phys_addr_t at, u32 len)
{
	struct vnet_tx_piece *piece;
	dma_addr_t addr;

	addr = dma_map_page(dev, pfn_to_page(PHYS_PFN(at)), offset_in_page(at),
			    len, DMA_TO_DEVICE);
	if (unlikely(dma_mapping_error(dev, addr)))
		return false;

	piece = map->nr ? &map->rest[map->nr - 1] : &map->first;
	piece->addr = addr;
	piece->len = len;
	map->nr++;

	return true;
}

/* The bus address of a piece, mapped from now on, or @c->failed. */
dma_addr_t vnet_chain_map(struct vnet_chain *c, phys_addr_t at, u32 len)
{
	struct vnet_tx_map *map = c->map;

	if (unlikely(c->failed ||
		     !vnet_chain_map_piece(c->dev, map, at, len))) {
		c->failed = true;
		return 0;
	}

	return map->nr > 1 ? map->rest[map->nr - 2].addr : map->first.addr;
}

/**
 * vnet_chain_unmap() - the device does not read the packet of @slot any more
 * @mem: memory with @maps
 * @slot: slot; what was not mapped for it stays as it is
 *
 * Context: the owner of the slot.
 */
void vnet_chain_unmap(struct vnet_tx_mem *mem, u16 slot)
{
	struct vnet_tx_map *map = &mem->maps[slot];
	u16 i;

	if (!map->nr)
		return;

	dma_unmap_page(mem->map_dev, map->first.addr, map->first.len,
		       DMA_TO_DEVICE);
	for (i = 1; i < map->nr; i++)
		dma_unmap_page(mem->map_dev, map->rest[i - 1].addr,
			       map->rest[i - 1].len, DMA_TO_DEVICE);
	map->nr = 0;
}

/**
 * vnet_chain_send() - give a packet that is described to the device
 * @txq: transmit queue
 * @c: the packet
 * @slot: its slot
 *
 * Context: xmit lock of @txq, softirqs off.
 * Return: 0, -ENOSPC when there was no room in the ring or to map it, -ENOMEM,
 * -EIO when the ring is broken.
 */
int vnet_chain_send(struct vnet_txq *txq, struct vnet_chain *c, u16 slot)
{
	int err;

	if (likely(c->desc)) {
		if (unlikely(c->failed)) {
			vnet_chain_unmap(&txq->mem, slot);
			return -ENOSPC;
		}
		c->desc[c->nr - 1].flags = 0;
		vnet_vring_describe(&txq->q.ring, slot,
				    txq->mem.tables[slot].dma,
				    c->nr * sizeof(*c->desc),
				    VRING_DESC_F_INDIRECT);
		vnet_vring_offer(&txq->q.ring, slot);
		return 0;
	}

	sg_mark_end(&c->sg[c->nr - 1]);
	if (unlikely(c->mapped))
		err = vnet_vq_send_premapped(&txq->q, c->sg, c->nr,
					     &txq->mem.bufs[slot]);
	else
		err = vnet_vq_send(&txq->q, c->sg, c->nr, &txq->mem.bufs[slot]);
	sg_unmark_end(&c->sg[c->nr - 1]);

	return err;
}

/* vnet_chain_send_linear() for a queue whose packets have to be mapped */
int vnet_chain_send_one(struct vnet_txq *txq, void *data, u32 len, u16 slot)
{
	struct vnet_tx_map *map;

	if (!vnet_vq_own(&txq->q)) {
		sg_set_buf(&txq->sg1, data, len);
		return vnet_vq_send(&txq->q, &txq->sg1, 1,
				    &txq->mem.bufs[slot]);
	}

	map = &txq->mem.maps[slot];
	if (unlikely(!vnet_chain_map_piece(txq->mem.map_dev, map,
					   virt_to_phys(data), len)))
		return -ENOSPC;
	vnet_vq_send_own(&txq->q, slot, map->first.addr, len);

	return 0;
}
