/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a packet to be sent is described, piece by piece, for either engine of the
 * ring; and the DMA mappings behind the pieces, which our own engine leaves to
 * its driver and the virtio core's does itself.
 *
 * A packet of one piece is described in the ring, one of several in the table of
 * its slot (VIRTIO 1.4, 2.7.5.3), so that with our own engine each takes one entry.
 */
#ifndef VNET_CHAIN_H
#define VNET_CHAIN_H

#include <net/page_pool/helpers.h>

#include "vnet.h"
#include "vnet_vq.h"

/**
 * struct vnet_chain - a packet that is being described
 * @desc: its table for our own engine, NULL with the core's
 * @sg: its table for the core's engine
 * @map: remembers what was mapped, NULL where that is not up to us
 * @dev: device that @map is for
 * @nr: pieces so far
 * @mapped: @sg has bus addresses
 * @failed: one of them could not be mapped
 */
struct vnet_chain {
	struct vring_desc *desc;
	struct scatterlist *sg;
	struct vnet_tx_map *map;
	struct device *dev;
	u16 nr;
	bool mapped;
	bool failed;
};

int vnet_chain_create(const struct vnet_dev *vd, u32 ring,
		      struct vnet_tx_mem *mem);
void vnet_chain_destroy(struct vnet_tx_mem *mem);
int vnet_chain_begin_first(struct vnet_tx_mem *mem, u16 slot);
dma_addr_t vnet_chain_map(struct vnet_chain *c, phys_addr_t at, u32 len);
void vnet_chain_unmap(struct vnet_tx_mem *mem, u16 slot);
int vnet_chain_send(struct vnet_txq *txq, struct vnet_chain *c, u16 slot);
int vnet_chain_send_one(struct vnet_txq *txq, void *data, u32 len, u16 slot);

/**
 * vnet_chain_begin() - begin to describe a packet of several pieces
 * @c: chain
 * @txq: transmit queue that will send it
 * @slot: its slot
 *
 * Context: xmit lock of @txq, softirqs off.
 * Return: 0, -ENOSPC without memory for the slot's table.
 */
static __always_inline int vnet_chain_begin(struct vnet_chain *c,
					    struct vnet_txq *txq, u16 slot)
{
	struct vnet_tx_mem *mem = &txq->mem;
	int err;

	c->nr = 0;
	c->mapped = false;
	c->failed = false;
	c->map = NULL;
	c->desc = NULL;
	c->sg = txq->sg;
	if (unlikely(!vnet_vq_own(&txq->q)))
		return 0;

	if (unlikely(!mem->tables[slot].desc)) {
		err = vnet_chain_begin_first(mem, slot);
		if (err)
			return err;
	}
	c->desc = mem->tables[slot].desc;
	c->dev = mem->map_dev;
	if (unlikely(mem->maps))
		c->map = &mem->maps[slot];

	return 0;
}

/* Add a piece by its bus address, which stays mapped; for our own engine. */
static __always_inline void vnet_chain_put_dma(struct vnet_chain *c,
					       dma_addr_t addr, u32 len)
{
	struct vring_desc *d = &c->desc[c->nr++];

	d->addr = (__force __virtio64)cpu_to_le64(addr);
	d->len = (__force __virtio32)cpu_to_le32(len);
	d->flags = vnet_vring_put16(VRING_DESC_F_NEXT);
	d->next = vnet_vring_put16(c->nr);
}

/**
 * vnet_chain_put() - add a piece
 * @c: chain, which has room: the caller has counted
 * @at: where it is
 * @len: its bytes
 *
 * That a piece cannot be mapped is for vnet_chain_send() to say.
 */
static __always_inline void vnet_chain_put(struct vnet_chain *c, phys_addr_t at,
					   u32 len)
{
	dma_addr_t addr = at;

	if (unlikely(!c->desc && c->mapped)) {
		vnet_sg_set_dma(&c->sg[c->nr++], at, len);
		return;
	}
	if (unlikely(!c->desc)) {
		sg_set_page(&c->sg[c->nr++], pfn_to_page(PHYS_PFN(at)), len,
			    offset_in_page(at));
		return;
	}
	if (unlikely(c->map))
		addr = vnet_chain_map(c, at, len);
	vnet_chain_put_dma(c, addr, len);
}

static __always_inline void vnet_chain_put_frag(struct vnet_chain *c,
						const skb_frag_t *frag)
{
	vnet_chain_put(c, page_to_phys(skb_frag_page(frag)) +
			  skb_frag_off(frag), skb_frag_size(frag));
}

/*
 * Add a fragment that only its provider can read, and that it has mapped. By the
 * core's engine the whole packet has bus addresses then, @c->mapped.
 */
static inline void vnet_chain_put_niov(struct vnet_chain *c,
				       const skb_frag_t *frag)
{
	dma_addr_t addr = page_pool_get_dma_addr_netmem(skb_frag_netmem(frag)) +
			  skb_frag_off(frag);

	if (likely(c->desc))
		vnet_chain_put_dma(c, addr, skb_frag_size(frag));
	else
		vnet_sg_set_dma(&c->sg[c->nr++], addr, skb_frag_size(frag));
}

/* Give @len bytes at @data to the device, header and packet in one. */
static __always_inline int vnet_chain_send_linear(struct vnet_txq *txq,
						  void *data, u32 len, u16 slot)
{
	if (unlikely(!vnet_vq_own(&txq->q) || txq->mem.maps))
		return vnet_chain_send_one(txq, data, len, slot);

	vnet_vq_send_own(&txq->q, slot, virt_to_phys(data), len);

	return 0;
}

#endif /* VNET_CHAIN_H */
