// SPDX-License-Identifier: GPL-2.0
/*
 * AF_XDP zero copy: pools, and receive slots filled with their frames.
 *
 * A received packet begins where the user expects it; the virtio header is in
 * the headroom in front of it.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <net/xdp_sock_drv.h>

#include "vnet.h"
#include "vnet_rx.h"
#include "vnet_rxbuf.h"
#include "vnet_vq.h"
#include "vnet_xsk.h"

/* Frames taken out of the fill ring at once */
#define VNET_XSK_BATCH		32

/* How long a queue waits for frames of a user who does not say when. */
#define VNET_XSK_DELAY		(HZ / 50 + 1)

/**
 * struct vnet_xsk_spare - frames taken from the fill ring, not yet in a slot
 * @nr: how many
 * @xdp: the frames
 */
struct vnet_xsk_spare {
	u32 nr;
	struct xdp_buff *xdp[VNET_XSK_BATCH];
};

/* ---- the pool ---------------------------------------------------------- */

/* Is the bus address of every page of @pool its physical address? */
static bool vnet_xsk_is_physical(const struct xsk_buff_pool *pool)
{
	u32 i;

	for (i = 0; i < pool->dma_pages_cnt; i++)
		if ((pool->dma_pages[i] & ~XSK_NEXT_PG_CONTIG_MASK) !=
		    page_to_phys(pool->umem->pgs[i]))
			return false;

	return true;
}

/**
 * vnet_xsk_map() - map the memory of a pool for the device
 * @vd: device
 * @pool: AF_XDP pool
 * @extack: where a refusal is explained, or NULL
 *
 * A device without ACCESS_PLATFORM takes physical addresses, past the DMA API.
 * Its pool is mapped for the parent device all the same, because AF_XDP keeps
 * addresses only so, and is accepted when that changes no address: behind an
 * IOMMU or a bounce buffer it does.
 *
 * Context: process, may sleep; rtnl and instance lock held.
 * Return: 0, -EOPNOTSUPP or -ENOMEM.
 */
int vnet_xsk_map(struct vnet_dev *vd, struct xsk_buff_pool *pool,
		 struct netlink_ext_ack *extack)
{
	struct device *dev = vd->dma_dev ? : vd->vdev->dev.parent;
	int err;

	if (vnet_compat_own_map(vd->vdev)) {
		NL_SET_ERR_MSG(extack, "the device maps memory by itself");
		return -EOPNOTSUPP;
	}

	err = xsk_pool_dma_map(pool, dev, 0);
	if (err) {
		NL_SET_ERR_MSG(extack, "the memory cannot be mapped");
		return err;
	}

	if (!vd->dma_dev && !vnet_xsk_is_physical(pool)) {
		xsk_pool_dma_unmap(pool, 0);
		NL_SET_ERR_MSG(extack,
			       "the device takes physical addresses (no ACCESS_PLATFORM), but its bus has others");
		return -EOPNOTSUPP;
	}

	return 0;
}

/* How the frames of @pool are cut into receive buffers; -E2BIG if they cannot */
int vnet_xsk_layout(struct vnet_rx_layout *l, const struct vnet_size_in *in,
		    struct xsk_buff_pool *pool)
{
	return vnet_size_xsk_layout(l, in, pool->chunk_size - pool->headroom,
				    vnet_xsk_has_sg(pool));
}

/**
 * vnet_ndo_xsk_wakeup() - look at the rings of a socket
 * @dev: net device, up
 * @queue: queue pair
 * @flags: XDP_WAKEUP_RX, XDP_WAKEUP_TX
 *
 * Never waits; a queue that does not run at this moment looks when it starts.
 *
 * Context: any but hard interrupt, RCU read side.
 * Return: 0 or -EINVAL.
 */
int vnet_ndo_xsk_wakeup(struct net_device *dev, u32 queue, u32 flags)
{
	struct vnet_dev *vd = netdev_priv(dev);

	if (queue >= vd->caps.max_pairs)
		return -EINVAL;

	local_bh_disable();
	if (flags & XDP_WAKEUP_TX)
		napi_schedule(&vd->txqs[queue].napi);
	if (flags & XDP_WAKEUP_RX)
		napi_schedule(&vd->rxqs[queue].napi);
	local_bh_enable();

	return 0;
}

/* ---- receive ----------------------------------------------------------- */

/* Every frame is laid out alike: its descriptions differ in the frame alone. */
int vnet_xsk_rxmem_init(struct vnet_rx_mem *mem)
{
	u32 i;

	mem->spare = kzalloc_obj(*mem->spare);
	if (!mem->spare)
		return -ENOMEM;

	for (i = 0; i < mem->slots.nr * mem->stride; i++) {
		struct vnet_rx_buf *buf = &mem->bufs[i];

		buf->truesize = mem->layout.truesize;
		buf->headroom = i % mem->stride ? XDP_PACKET_HEADROOM :
						  mem->layout.headroom;
		buf->room = buf->truesize - buf->headroom -
			    mem->layout.tailroom;
	}

	return 0;
}

void vnet_xsk_rxmem_exit(struct vnet_rx_mem *mem)
{
	while (mem->spare->nr)
		xsk_buff_free(mem->spare->xdp[--mem->spare->nr]);
	kfree(mem->spare);
	mem->spare = NULL;
}

/* See to it that @buf has a frame; one that it kept is used again. */
static __always_inline bool vnet_xsk_ensure(struct vnet_rx_mem *mem,
					    struct vnet_rx_buf *buf)
{
	struct vnet_xsk_spare *spare = mem->spare;

	if (buf->xdp)
		return true;

	if (unlikely(!spare->nr))
		spare->nr = xsk_buff_alloc_batch(mem->xsk, spare->xdp,
						 min(mem->slots.nr_free + 1,
						     VNET_XSK_BATCH));
	if (unlikely(!spare->nr))
		return false;

	buf->xdp = spare->xdp[--spare->nr];
	buf->va = buf->xdp->data_hard_start;

	return true;
}

/* Bus address of the frame of @buf, from @back bytes in front of it */
static __always_inline dma_addr_t
vnet_xsk_addr(const struct vnet_rx_mem *mem, const struct vnet_rx_buf *buf,
	      u8 back)
{
	dma_addr_t addr = xsk_buff_xdp_get_dma(buf->xdp) - back;

	if (unlikely(mem->sync))
		dma_sync_single_for_device(mem->xsk->dev, addr, buf->room,
					   DMA_BIDIRECTIONAL);

	return addr;
}

/* A slot of several descriptors: a chain, or a header by itself */
static noinline int vnet_xsk_post_many(struct vnet_rxq *rxq, u16 slot)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_buf *buf = &mem->bufs[slot * mem->stride];
	struct scatterlist *sg = &mem->sg[mem->split_hdr];
	u8 hdr_len = rxq->hdr_len;
	dma_addr_t addr;
	u16 i;

	for (i = 0; i < mem->stride; i++) {
		if (unlikely(!vnet_xsk_ensure(mem, &buf[i])))
			return -ENOMEM;

		vnet_sg_set_dma(&sg[i],
				vnet_xsk_addr(mem, &buf[i], i ? 0 : hdr_len),
				buf[i].room);
	}
	if (unlikely(mem->split_hdr)) {
		addr = sg_dma_address(&sg[0]);
		vnet_sg_set_dma(&mem->sg[0], addr, hdr_len);
		vnet_sg_set_dma(&mem->sg[1], addr + hdr_len,
				buf->room - hdr_len);
	}

	return vnet_vq_post(&rxq->q, mem->sg, mem->nr_sg, buf, true);
}

static __always_inline int vnet_xsk_post(struct vnet_rxq *rxq, u16 slot)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_buf *buf = &mem->bufs[slot];
	dma_addr_t addr;

	if (unlikely(mem->nr_sg > 1))
		return vnet_xsk_post_many(rxq, slot);

	if (unlikely(!vnet_xsk_ensure(mem, buf)))
		return -ENOMEM;

	addr = vnet_xsk_addr(mem, buf, rxq->hdr_len);
	if (likely(vnet_vq_own(&rxq->q))) {
		vnet_vq_post_own(&rxq->q, slot, addr, buf->room);
		return 0;
	}
	vnet_sg_set_dma(mem->sg, addr, buf->room);

	return vnet_vq_post(&rxq->q, mem->sg, 1, buf, true);
}

/* Post what there are frames for; false if there was not one. */
static bool vnet_xsk_fill(struct vnet_rxq *rxq)
{
	struct vnet_slots *slots = &rxq->mem.slots;
	u32 before = slots->nr_free;
	int err = 0;

	vnet_rxmem_look(rxq);
	while (slots->nr_free) {
		u16 slot = vnet_slots_take(slots);

		err = vnet_xsk_post(rxq, slot);
		if (unlikely(err)) {
			vnet_slots_put(slots, slot);
			break;
		}
	}
	if ((slots->nr_free != before || vnet_vq_unshown(&rxq->q)) &&
	    vnet_vq_kick(&rxq->q))
		vnet_rxs_add(&rxq->stats, VNET_RXS_KICKS, 1);

	return slots->nr_free != before || err != -ENOMEM;
}

/*
 * Ask the user to tell of new frames, or stop asking. The pool keeps what was
 * asked for reception and for transmission in one byte: who changes it holds
 * the xmit lock of the queue's twin, or one would undo what the other did.
 */
static void vnet_xsk_ask_rx(struct vnet_rxq *rxq, bool ask)
{
	struct netdev_queue *nq = rxq->vd->txqs[rxq->index].nq;
	struct xsk_buff_pool *pool = rxq->mem.xsk;

	if (!(READ_ONCE(pool->cached_need_wakeup) & XDP_WAKEUP_RX) == !ask)
		return;

	__netif_tx_lock_bh(nq);
	if (ask)
		xsk_set_rx_need_wakeup(pool);
	else
		xsk_clear_rx_need_wakeup(pool);
	__netif_tx_unlock_bh(nq);
}

/**
 * vnet_xsk_refill() - post the frames that the user has put into the fill ring
 * @rxq: receive queue with a pool
 *
 * When there are none, the user is asked to say when there are; a user who did
 * not offer that is looked after by a timer. Asked is once more before the
 * answer counts: frames may have come before the question was seen.
 *
 * Context: NAPI of @rxq, or process while NAPI is off.
 */
void vnet_xsk_refill(struct vnet_rxq *rxq)
{
	struct xsk_buff_pool *pool = rxq->mem.xsk;
	bool asks = xsk_uses_need_wakeup(pool);

	if (likely(vnet_xsk_fill(rxq)))
		goto filled;

	if (!rxq->starved)
		vnet_rxs_add(&rxq->stats, VNET_RXS_STARVED, 1);
	rxq->starved = true;
	if (!asks) {
		mod_timer(&rxq->starve_timer, jiffies + VNET_XSK_DELAY);
		return;
	}

	vnet_xsk_ask_rx(rxq, true);
	/* The flag before another look at the fill ring */
	smp_mb();
	if (!vnet_xsk_fill(rxq))
		return;

filled:
	rxq->starved = false;
	if (asks)
		vnet_xsk_ask_rx(rxq, false);
}

/**
 * vnet_xsk_build_frags() - add the other frames of a packet to the first
 * @rxq: receive queue with a pool
 * @pkt: sound packet; all frames but the first leave their slots
 *
 * Context: NAPI of @rxq.
 * Return: %VNET_RX_OK, or %VNET_RX_XDP_BAD when the pool was not bound for
 * packets of several frames (XDP_USE_SG): then nothing has changed.
 */
enum vnet_rx_fault vnet_xsk_build_frags(struct vnet_rxq *rxq,
					struct vnet_rx_pkt *pkt)
{
	struct xdp_buff *head = pkt->bufs[0]->xdp;
	u16 i;

	if (unlikely(!vnet_xsk_has_sg(rxq->mem.xsk)))
		return VNET_RX_XDP_BAD;

	for (i = 1; i < pkt->nr; i++) {
		struct xdp_buff *frag = pkt->bufs[i]->xdp;

		if (unlikely(!pkt->lens[i]))
			continue;

		frag->data = vnet_rx_data(rxq, pkt, i);
		frag->data_meta = frag->data;
		frag->data_end = frag->data + pkt->lens[i];
		frag->flags = 0;
		vnet_compat_xsk_add_frag(head, frag);
		pkt->bufs[i]->xdp = NULL;
	}

	return VNET_RX_OK;
}

/* An empty skb for @len bytes: linear if short, else a head and pages */
static struct sk_buff *vnet_xsk_alloc_skb(struct vnet_rxq *rxq, u32 len)
{
	const u32 head = 256;
	struct sk_buff *skb;
	int err;

	if (likely(len <= VNET_SIZE_BUF_MIN)) {
		skb = napi_alloc_skb(&rxq->napi, len);
		if (likely(skb))
			__skb_put(skb, len);
		return skb;
	}

	skb = alloc_skb_with_frags(NET_SKB_PAD + NET_IP_ALIGN + head,
				   len - head, 0, &err, GFP_ATOMIC);
	if (unlikely(!skb))
		return NULL;

	skb_reserve(skb, NET_SKB_PAD + NET_IP_ALIGN);
	__skb_put(skb, head);
	skb->len += len - head;
	skb->data_len = len - head;

	return skb;
}

/**
 * vnet_xsk_pass() - copy a packet that no program has seen for the stack
 * @rxq: receive queue with a pool
 * @pkt: sound packet; its frames stay in their slots
 *
 * Context: NAPI of @rxq.
 * Return: %VNET_RX_OK with @pkt->skb set, or the fault to account.
 */
enum vnet_rx_fault vnet_xsk_pass(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt)
{
	struct sk_buff *skb = vnet_xsk_alloc_skb(rxq, pkt->len);
	u32 done = 0;
	u16 i;

	if (unlikely(!skb))
		return VNET_RX_NOMEM;

	for (i = 0; i < pkt->nr; i++) {
		skb_store_bits(skb, done, vnet_rx_data(rxq, pkt, i),
			       pkt->lens[i]);
		done += pkt->lens[i];
	}
	pkt->skb = skb;
	vnet_rxs_add(&rxq->stats, VNET_RXS_XSK_COPIES, 1);

	return VNET_RX_OK;
}

/**
 * vnet_xsk_copy() - copy what a program made of a packet for the stack
 * @rxq: receive queue with a pool
 * @pkt: the packet
 * @xdp: what the program made of it; its first frame stays in its slot
 *
 * Context: NAPI of @rxq.
 * Return: %VNET_RX_OK with @pkt->skb set, or the fault to account.
 */
enum vnet_rx_fault vnet_xsk_copy(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt,
				 struct xdp_buff *xdp)
{
	u32 meta = xdp->data - xdp->data_meta;
	u32 done = xdp->data_end - xdp->data_meta;
	struct xdp_buff *frag;
	struct sk_buff *skb;

	skb = vnet_xsk_alloc_skb(rxq, meta + xdp_get_buff_len(xdp));
	if (likely(skb))
		skb_store_bits(skb, 0, xdp->data_meta, done);
	while (xdp_buff_has_frags(xdp) && (frag = xsk_buff_get_frag(xdp))) {
		u32 len = frag->data_end - frag->data;

		if (likely(skb))
			skb_store_bits(skb, done, frag->data, len);
		done += len;
		xsk_buff_free(frag);
	}
	if (unlikely(!skb))
		return VNET_RX_NOMEM;

	if (meta) {
		__skb_pull(skb, meta);
		skb_metadata_set(skb, meta);
	}
	pkt->skb = skb;
	vnet_rxs_add(&rxq->stats, VNET_RXS_XSK_COPIES, 1);

	return VNET_RX_OK;
}

/*
 * Once per receive poll. A busy poller wakes nobody up for transmission: it
 * expects it of the poll of the receive queue.
 */
void vnet_xsk_poll(struct vnet_rxq *rxq)
{
	if (READ_ONCE(rxq->napi.state) & (NAPIF_STATE_IN_BUSY_POLL |
					  NAPIF_STATE_PREFER_BUSY_POLL))
		napi_schedule(&rxq->vd->txqs[rxq->index].napi);
}

/**
 * vnet_xsk_abandon() - forget a pool whose frames the device still holds
 * @rxq: receive queue, off
 * @txq: transmit queue, off
 *
 * The device hangs in a reset and may write to the frames when it comes back,
 * but AF_XDP frees them now. Their pages are lost rather than used by others.
 *
 * Context: process; instance lock held.
 */
void vnet_xsk_abandon(struct vnet_rxq *rxq, struct vnet_txq *txq)
{
	struct xsk_buff_pool *pool = rxq->mem.xsk;
	struct vnet_rx_mem *mem = &rxq->mem;
	u32 i;

	netdev_err(rxq->vd->dev, "AF_XDP pool of queue %u taken from a device that hangs: %u pages are lost\n",
		   rxq->index, pool->umem->npgs);
	for (i = 0; i < pool->umem->npgs; i++)
		get_page(pool->umem->pgs[i]);

	/* Nothing is taken from the ring any more: the frames cannot be read. */
	if (vnet_vq_own(&rxq->q)) {
		rxq->q.ring.bad = true;
		rxq->q.ring.seen = rxq->q.ring.taken;
	}
	for (i = 0; i < mem->slots.nr * mem->stride; i++)
		mem->bufs[i].xdp = NULL;
	mem->spare->nr = 0;
	vnet_xsk_rxmem_exit(mem);
	mem->xsk = NULL;

	__netif_tx_lock_bh(txq->nq);
	if (txq->mem.xsk)
		vnet_xsk_tx_abandon(&txq->mem);
	__netif_tx_unlock_bh(txq->nq);
}

/* What this driver can do with AF_XDP; before registration of @dev */
void vnet_xsk_init(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	if (vnet_compat_own_map(vd->vdev))
		return;

	dev->xdp_features |= NETDEV_XDP_ACT_XSK_ZEROCOPY;
	vnet_xsk_tx_init(dev, vd->caps.csum);
}
