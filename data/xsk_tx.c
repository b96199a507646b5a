// SPDX-License-Identifier: GPL-2.0
/*
 * AF_XDP zero copy: frames of a pool's transmit rings, sent from where they lie.
 *
 * A packet has its header elsewhere, because the memory in front of the frame is
 * the user's. Two descriptors cost more than the copy of a short frame: that one
 * is sent from behind a header.
 */
#include <linux/dma-mapping.h>
#include <net/xdp_sock_drv.h>

#include "vnet.h"
#include "vnet_chain.h"
#include "vnet_tx.h"
#include "vnet_vq.h"
#include "vnet_xsk.h"

/*
 * Entries of the scatterlist that a frame may take: where the core maps, one
 * for each page, and a frame may lie across two.
 */
#define VNET_XSK_FRAME_SG	(VNET_COMPAT_TX_PREMAPPED ? 1 : 2)

/* Most frames of one packet: with the header, what a packet of the stack takes */
#define VNET_XSK_SEGS		(MAX_SKB_FRAGS / VNET_XSK_FRAME_SG)

#define VNET_XSK_SG		(1 + VNET_XSK_SEGS * VNET_XSK_FRAME_SG)

/* Header and frame of a packet that is copied */
#define VNET_XSK_CELL		256

/**
 * struct vnet_xsk_tx - zero-copy transmission of one queue
 * @pool: AF_XDP pool
 * @dev: device that @hdrs is mapped for, or NULL when that is its physical
 *	address
 * @hdrs: bus address of the queue's headers
 * @zero_hdr: bus address of the one that is always zero
 * @hdr_bytes: bytes of all headers
 * @copy_max: bytes of the longest frame that is copied
 * @cells: %VNET_XSK_CELL bytes for each slot, a header that is always zero and
 *	room for a frame; or NULL: nothing is copied
 * @cells_dma: their bus address
 * @sg1: descriptor of a packet that is copied
 * @open: packet of which not all frames have been seen, or NULL
 * @bad: @open has more pieces than a packet may have
 * @len_max: bytes that the packet in hand may have
 * @nr_sg: descriptors written for the packet
 * @sg: descriptors of the packet
 * @head: oldest entry of @order
 * @tail: entry behind the newest one
 * @size: entries of @order, one more than there are slots
 * @order: slots in the order in which their frames were taken
 *
 * AF_XDP hands frames back by number and not by name: the oldest ones. A
 * device may be done with a younger one first.
 */
struct vnet_xsk_tx {
	struct xsk_buff_pool *pool;
	struct device *dev;
	dma_addr_t hdrs;
	dma_addr_t zero_hdr;
	u32 hdr_bytes;
	u32 copy_max;
	void *cells;
	dma_addr_t cells_dma;
	struct scatterlist sg1;
	struct vnet_tx_buf *open;
	bool bad;
	u32 len_max;
	u32 nr_sg;
	struct scatterlist sg[VNET_XSK_SG];
	u32 head;
	u32 tail;
	u32 size;
	u16 order[] __counted_by(size);
};

/* Are frames described by their bus addresses? Else the core maps them. */
static bool vnet_xsk_tx_premapped(const struct vnet_txq *txq)
{
	return VNET_COMPAT_TX_PREMAPPED || vnet_vq_own(&txq->q);
}

/* Descriptors that AF_XDP may use of @free ones, whatever packets they are */
static u32 vnet_xsk_tx_share(u32 free, bool indirect)
{
	return indirect ? free : free / (1 + VNET_XSK_FRAME_SG);
}

/* Can a transmit ring of @ring entries ever take the longest packet? */
bool vnet_xsk_tx_fits(u32 ring, bool indirect, struct xsk_buff_pool *pool)
{
	u32 keep = min_t(u32, VNET_TX_RESERVE, ring / 2);
	u32 segs = vnet_xsk_has_sg(pool) ? VNET_XSK_SEGS : 1;

	return vnet_xsk_tx_share(ring - keep, indirect) >= segs;
}

/* Premap the headers of @mem. */
static int vnet_xsk_map_hdrs(struct vnet_dev *vd, u8 hdr_len,
			     struct vnet_tx_mem *mem)
{
	struct vnet_xsk_tx *x = mem->xsk;

	x->hdr_bytes = (mem->slots.nr + 1) * hdr_len;
	x->dev = vd->dma_dev;
	x->hdrs = virt_to_phys(mem->hdrs);
	if (x->dev) {
		x->hdrs = dma_map_single(x->dev, mem->hdrs, x->hdr_bytes,
					 DMA_TO_DEVICE);
		if (dma_mapping_error(x->dev, x->hdrs))
			return -ENOMEM;
	}
	x->zero_hdr = x->hdrs + mem->slots.nr * hdr_len;

	return 0;
}

static size_t vnet_xsk_cells_bytes(const struct vnet_tx_mem *mem)
{
	return mem->slots.nr * VNET_XSK_CELL;
}

/* Without memory for it, no frame is copied: that is nobody's loss. */
static void vnet_xsk_cells_create(struct vnet_tx_mem *mem, u8 hdr_len,
				  const struct vnet_caps *caps)
{
	struct vnet_xsk_tx *x = mem->xsk;
	size_t bytes = vnet_xsk_cells_bytes(mem);

	x->cells = kzalloc(bytes, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
	if (!x->cells)
		return;

	x->cells_dma = virt_to_phys(x->cells);
	if (x->dev)
		x->cells_dma = dma_map_single(x->dev, x->cells, bytes,
					      DMA_TO_DEVICE);
	if (x->dev && dma_mapping_error(x->dev, x->cells_dma)) {
		kfree(x->cells);
		x->cells = NULL;
		return;
	}
	x->copy_max = VNET_XSK_CELL - hdr_len;
	/* What may be too long for the device is looked at elsewhere. */
	if (caps->mtu)
		x->copy_max = min(x->copy_max, caps->max_mtu + ETH_HLEN);
}

/**
 * vnet_xsk_txmem_init() - prepare the memory of a transmit queue for a pool
 * @vd: device
 * @pool: AF_XDP pool
 * @hdr_len: bytes of a virtio header
 * @mem: memory, complete but for this
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vnet_xsk_txmem_init(struct vnet_dev *vd, struct xsk_buff_pool *pool,
			u8 hdr_len, struct vnet_tx_mem *mem)
{
	u32 size = mem->slots.nr + 1;
	struct vnet_xsk_tx *x;
	int err;

	x = kvzalloc(struct_size(x, order, size), GFP_KERNEL);
	if (!x)
		return -ENOMEM;

	x->size = size;
	x->pool = pool;
	vnet_sg_init(&x->sg1, 1);
	vnet_sg_init(x->sg, VNET_XSK_SG);
	sg_unmark_end(&x->sg[VNET_XSK_SG - 1]);
	mem->xsk = x;
	err = vnet_xsk_map_hdrs(vd, hdr_len, mem);
	if (err) {
		mem->xsk = NULL;
		kvfree(x);
		return err;
	}
	vnet_xsk_cells_create(mem, hdr_len, &vd->caps);

	return 0;
}

/*
 * Hand the frames of the oldest packets back: those that the device is done
 * with, up to the first that it still has. Once per completion run, under the
 * xmit lock.
 */
void vnet_xsk_complete(struct vnet_tx_mem *mem)
{
	struct vnet_xsk_tx *x = mem->xsk;
	u32 descs = 0;

	while (x->head != x->tail) {
		u16 slot = x->order[x->head];
		struct vnet_tx_buf *buf = &mem->bufs[slot];

		if (buf->type != VNET_TX_XSK_DONE)
			break;

		descs += buf->descs;
		vnet_slots_put(&mem->slots, slot);
		if (++x->head == x->size)
			x->head = 0;
	}
	if (descs)
		xsk_tx_completed(x->pool, descs);
}

static void vnet_xsk_txmem_free(struct vnet_tx_mem *mem)
{
	struct vnet_xsk_tx *x = mem->xsk;

	if (x->dev)
		dma_unmap_single(x->dev, x->hdrs, x->hdr_bytes, DMA_TO_DEVICE);
	if (x->dev && x->cells)
		dma_unmap_single(x->dev, x->cells_dma,
				 vnet_xsk_cells_bytes(mem), DMA_TO_DEVICE);
	kfree(x->cells);
	mem->xsk = NULL;
	kvfree(x);
}

/**
 * vnet_xsk_txmem_exit() - undo vnet_xsk_txmem_init()
 * @mem: memory; the device has given back all packets
 *
 * What is still there is the begin of a packet whose end the user never sent;
 * its frames are handed back now.
 *
 * Context: process, nobody transmits.
 */
void vnet_xsk_txmem_exit(struct vnet_tx_mem *mem)
{
	struct vnet_xsk_tx *x = mem->xsk;
	u32 i;

	for (i = x->head; i != x->tail; i = i + 1 == x->size ? 0 : i + 1)
		mem->bufs[x->order[i]].type = VNET_TX_XSK_DONE;
	vnet_xsk_complete(mem);
	vnet_xsk_txmem_free(mem);
}

/* A packet that the device will not complete any more; the xmit lock is free. */
void vnet_xsk_reclaim(struct vnet_txq *txq, struct vnet_tx_buf *buf)
{
	__netif_tx_lock_bh(txq->nq);
	if (txq->mem.xsk) {
		buf->type = VNET_TX_XSK_DONE;
		vnet_xsk_complete(&txq->mem);
	} else {
		/* The frames were handed back by vnet_xsk_abandon(). */
		vnet_slots_put(&txq->mem.slots, buf - txq->mem.bufs);
	}
	__netif_tx_unlock_bh(txq->nq);
}

/**
 * struct vnet_xsk_request - where AF_XDP's wishes for a packet are written
 * @hdr: virtio header
 * @len: bytes of the packet's first frame
 * @le: how the header is written
 */
struct vnet_xsk_request {
	struct vnet_hdr *hdr;
	u32 len;
	bool le;
};

static void vnet_xsk_request_csum(u16 start, u16 offset, void *priv)
{
	struct vnet_xsk_request *req = priv;

	/* Nothing tells the user; the packet goes out as it is. */
	if (start + offset + sizeof(__sum16) > req->len)
		return;

	req->hdr->flags = VNET_HDR_NEEDS_CSUM;
	req->hdr->csum_start = vnet_hdr_put16(req->le, start);
	req->hdr->csum_offset = vnet_hdr_put16(req->le, offset);
}

static const struct xsk_tx_metadata_ops vnet_xsk_tx_ops = {
	.tmo_request_checksum	= vnet_xsk_request_csum,
};

/* Describe the header of a packet that begins with @desc. */
static void vnet_xsk_put_hdr(struct vnet_txq *txq, const struct xdp_desc *desc,
			     u16 slot)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	u8 len = txq->hdr_ctx.hdr_len;
	dma_addr_t addr = x->zero_hdr;
	struct vnet_hdr *hdr = txq->mem.hdrs + txq->mem.slots.nr * len;

	if (unlikely(desc->options & XDP_TX_METADATA) && txq->hdr_ctx.csum) {
		struct vnet_xsk_request req = {
			.hdr = txq->mem.hdrs + slot * len,
			.len = desc->len,
			.le = txq->hdr_ctx.le,
		};

		vnet_hdr_zero(req.hdr, len);
		vnet_compat_xsk_tx_request(x->pool, desc, &vnet_xsk_tx_ops,
					   &req);
		addr = x->hdrs + slot * len;
		hdr = req.hdr;
		if (x->dev)
			dma_sync_single_for_device(x->dev, addr, len,
						   DMA_TO_DEVICE);
	}

	if (vnet_xsk_tx_premapped(txq))
		vnet_sg_set_dma(&x->sg[0], addr, len);
	else
		sg_set_buf(&x->sg[0], hdr, len);
	x->nr_sg = 1;
}

/* The core maps the pages of the frame. */
static void vnet_xsk_put_pages(struct vnet_xsk_tx *x, u64 addr, u32 len)
{
	struct xdp_umem *umem = x->pool->umem;
	u64 at = xsk_buff_raw_get_data(x->pool, addr) - umem->addrs;

	while (len) {
		u32 part = min_t(u32, len, PAGE_SIZE - offset_in_page(at));

		sg_set_page(&x->sg[x->nr_sg++], umem->pgs[at >> PAGE_SHIFT],
			    part, offset_in_page(at));
		at += part;
		len -= part;
	}
}

/* Describe the frame of @desc. */
static void vnet_xsk_put_frame(struct vnet_txq *txq,
			       const struct xdp_desc *desc)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	dma_addr_t addr;

	if (unlikely(x->nr_sg + VNET_XSK_FRAME_SG > VNET_XSK_SG)) {
		x->bad = true;
		return;
	}
	if (!vnet_xsk_tx_premapped(txq)) {
		vnet_xsk_put_pages(x, desc->addr, desc->len);
		return;
	}

	addr = xsk_buff_raw_get_dma(x->pool, desc->addr);
	if (txq->vd->dma_dev)
		xsk_buff_raw_dma_sync_for_device(x->pool, addr, desc->len);
	vnet_sg_set_dma(&x->sg[x->nr_sg++], addr, desc->len);
}

/* Longest packet that may begin with @desc: its VLAN tags are not counted. */
static u32 vnet_xsk_len_max(const struct vnet_txq *txq,
			    const struct xdp_desc *desc)
{
	const void *data;
	u32 tags;

	if (likely(txq->max_len == U32_MAX))
		return U32_MAX;

	data = xsk_buff_raw_get_data(txq->mem.xsk->pool, desc->addr);
	for (tags = 2; tags; tags--)
		if (!vnet_size_too_long(txq->max_len, data, desc->len,
					txq->max_len + tags * VLAN_HLEN))
			break;

	return txq->max_len + tags * VLAN_HLEN;
}

static int vnet_xsk_send_own(struct vnet_txq *txq, u16 slot)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	struct vnet_chain c;
	u32 i;
	int err;

	err = vnet_chain_begin(&c, txq, slot);
	if (unlikely(err))
		return err;

	for (i = 0; i < x->nr_sg; i++)
		vnet_chain_put_dma(&c, sg_dma_address(&x->sg[i]),
				   sg_dma_len(&x->sg[i]));

	return vnet_chain_send(txq, &c, slot);
}

/* All frames of the packet are described: give it to the device. */
static int vnet_xsk_send_packet(struct vnet_txq *txq, struct vnet_tx_buf *buf)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	int err;

	if (unlikely(x->bad || x->nr_sg > txq->max_sg ||
		     buf->bytes > x->len_max))
		return -EMSGSIZE;

	if (likely(vnet_vq_own(&txq->q)))
		return vnet_xsk_send_own(txq, buf - txq->mem.bufs);

	sg_mark_end(&x->sg[x->nr_sg - 1]);
	err = vnet_vq_send_premapped(&txq->q, x->sg, x->nr_sg, buf);
	sg_unmark_end(&x->sg[x->nr_sg - 1]);

	return err;
}

/* Take a slot for a packet; AF_XDP will get its frames back in this order. */
static __always_inline u16 vnet_xsk_take_slot(struct vnet_txq *txq, u32 bytes,
					      u32 descs)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	u16 slot = vnet_slots_take(&txq->mem.slots);
	struct vnet_tx_buf *buf = &txq->mem.bufs[slot];

	buf->type = VNET_TX_XSK;
	buf->bytes = bytes;
	buf->descs = descs;
	x->order[x->tail] = slot;
	if (++x->tail == x->size)
		x->tail = 0;

	return slot;
}

/* As vnet_xsk_send_desc(), for a packet that is worth a copy */
static __always_inline int vnet_xsk_send_copy(struct vnet_txq *txq,
					      const struct xdp_desc *desc)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	u16 slot = vnet_xsk_take_slot(txq, desc->len, 1);
	struct vnet_tx_buf *buf = &txq->mem.bufs[slot];
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	u32 at = slot * VNET_XSK_CELL;
	u32 len = hdr_len + desc->len;
	int err;

	memcpy(x->cells + at + hdr_len,
	       xsk_buff_raw_get_data(x->pool, desc->addr), desc->len);
	if (x->dev)
		dma_sync_single_for_device(x->dev, x->cells_dma + at, len,
					   DMA_TO_DEVICE);
	if (likely(vnet_vq_own(&txq->q))) {
		vnet_vq_send_own(&txq->q, slot, x->cells_dma + at, len);
		return 1;
	}
	if (VNET_COMPAT_TX_PREMAPPED)
		vnet_sg_set_dma(&x->sg1, x->cells_dma + at, len);
	else
		sg_set_buf(&x->sg1, x->cells + at, len);

	err = vnet_vq_send_premapped(&txq->q, &x->sg1, 1, buf);
	if (unlikely(err)) {
		buf->type = VNET_TX_XSK_DONE;
		return err;
	}

	return 1;
}

/*
 * Take one descriptor of AF_XDP. Returns 1 when it completed a packet that is
 * with the device now, 0 when more has to come, or -errno for a packet that is
 * lost: its frames are handed back with the others.
 */
static int vnet_xsk_send_desc(struct vnet_txq *txq, const struct xdp_desc *desc)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	struct vnet_tx_buf *buf = x->open;
	int err;

	if (likely(!buf)) {
		u16 slot = vnet_xsk_take_slot(txq, 0, 0);

		buf = &txq->mem.bufs[slot];
		x->bad = false;
		x->len_max = vnet_xsk_len_max(txq, desc);
		vnet_xsk_put_hdr(txq, desc, slot);
	}

	vnet_xsk_put_frame(txq, desc);
	buf->bytes += desc->len;
	buf->descs++;
	if (unlikely(!xsk_is_eop_desc((struct xdp_desc *)desc))) {
		x->open = buf;
		return 0;
	}

	x->open = NULL;
	err = vnet_xsk_send_packet(txq, buf);
	if (unlikely(err)) {
		buf->type = VNET_TX_XSK_DONE;
		return err;
	}

	return 1;
}

/* Give @nr descriptors to the device, with one kick. */
static void vnet_xsk_send_descs(struct vnet_txq *txq, u32 nr)
{
	struct vnet_xsk_tx *x = txq->mem.xsk;
	const struct xdp_desc *desc = x->pool->tx_descs;
	const struct xdp_desc *end = desc + nr;
	u32 sent = 0, lost = 0;

	for (; desc < end; desc++) {
		int ret;

		/* No option: neither metadata nor more to come */
		if (likely(desc->len <= x->copy_max && !desc->options &&
			   !x->open))
			ret = vnet_xsk_send_copy(txq, desc);
		else
			ret = vnet_xsk_send_desc(txq, desc);
		sent += ret > 0;
		lost += ret < 0;
	}

	txq_trans_cond_update(txq->nq);
	if (sent && vnet_vq_kick(&txq->q))
		vnet_txs_add(&txq->stats, VNET_TXS_KICKS, 1);
	vnet_txs_add(&txq->stats, VNET_TXS_XSK, sent);
	if (unlikely(lost)) {
		vnet_txs_add(&txq->stats, VNET_TXS_XSK_DROPS, lost);
		vnet_xsk_complete(&txq->mem);
	}
}

/* Descriptors that may be taken: each could be a packet. */
static u32 vnet_xsk_room(const struct vnet_txq *txq)
{
	u32 free = vnet_txq_free(txq);

	if (free <= txq->stop_at)
		return 0;

	return min(vnet_xsk_tx_share(free - txq->stop_at,
				     txq->vd->caps.indirect),
		   txq->mem.slots.nr_free);
}

/**
 * vnet_xsk_send() - transmit what the sockets of a queue have
 * @txq: transmit queue with a pool
 * @budget: most descriptors to take
 *
 * Leaves to the stack what the stop rule keeps for it. A socket that is told
 * to wake the driver is looked at once more before that counts.
 *
 * Context: NAPI of @txq, xmit lock held.
 * Return: true to be polled again. When the ring is full, the completion of
 * what is in it is enough.
 */
bool vnet_xsk_send(struct vnet_txq *txq, u32 budget)
{
	struct xsk_buff_pool *pool = txq->mem.xsk->pool;
	u32 most = min(budget, vnet_xsk_room(txq)), nr;

	if (unlikely(!txq->up || !most))
		return false;

	nr = xsk_tx_peek_release_desc_batch(pool, most);
	if (nr)
		vnet_xsk_send_descs(txq, nr);

	if (!xsk_uses_need_wakeup(pool))
		return nr == budget;

	if (nr == most) {
		xsk_clear_tx_need_wakeup(pool);
		return nr == budget;
	}
	if (pool->cached_need_wakeup & XDP_WAKEUP_TX)
		return false;

	xsk_set_tx_need_wakeup(pool);

	return true;
}

/**
 * vnet_xsk_tx_abandon() - hand all frames back; the slots stay with the device
 * @mem: memory of a transmit queue with a pool
 *
 * Context: xmit lock held, the queue is off.
 */
void vnet_xsk_tx_abandon(struct vnet_tx_mem *mem)
{
	struct vnet_xsk_tx *x = mem->xsk;
	u32 descs = 0, i;

	vnet_xsk_complete(mem);
	for (i = x->head; i != x->tail; i = i + 1 == x->size ? 0 : i + 1) {
		struct vnet_tx_buf *buf = &mem->bufs[x->order[i]];

		descs += buf->descs;
		if (buf->type == VNET_TX_XSK && buf != x->open)
			continue;
		vnet_slots_put(&mem->slots, x->order[i]);
	}
	xsk_tx_completed(x->pool, descs);
	/* Lost like the frames: the device may read copies when it comes back. */
	x->cells = NULL;
	vnet_xsk_txmem_free(mem);
}

/* What transmission can do with AF_XDP; @csum: the device computes checksums */
void vnet_xsk_tx_init(struct net_device *dev, bool csum)
{
	dev->xdp_zc_max_segs = VNET_XSK_SEGS;
	if (csum)
		vnet_compat_xsk_tx_ops(dev, &vnet_xsk_tx_ops);
}
