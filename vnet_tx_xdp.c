// SPDX-License-Identifier: GPL-2.0
/*
 * Transmission for XDP: frames that are redirected to the device, and receive
 * buffers that a program sends back from where they lie.
 *
 * Both share rings, slots and completion with the stack, under its xmit lock.
 */
#include <linux/dma-mapping.h>
#include <net/xdp.h>

#include "vnet.h"
#include "vnet_chain.h"
#include "vnet_tx.h"
#include "vnet_vq.h"

/* Packets of one descriptor that XDP may send now */
static u32 vnet_txq_room(const struct vnet_txq *txq)
{
	u32 free = vnet_txq_free(txq);

	if (unlikely(free < txq->stop_at))
		return 0;

	return min(free - txq->stop_at + 1, txq->mem.slots.nr_free);
}

/* May the virtio header be written in front of the data of @frame? */
static __always_inline bool
vnet_tx_frame_can_push(const struct xdp_frame *frame, u8 hdr_len)
{
	return frame->headroom >= hdr_len &&
	       IS_ALIGNED((unsigned long)frame->data - hdr_len,
			  __alignof__(struct vnet_hdr));
}

/* A frame of several pieces, or whose header or addresses need more work */
static noinline int vnet_tx_send_frame_slow(struct vnet_txq *txq,
					    struct xdp_frame *frame, u16 slot)
{
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	bool push = txq->push_hdr && vnet_tx_frame_can_push(frame, hdr_len);
	void *hdr = push ? frame->data - hdr_len : vnet_tx_hdr(txq, slot);
	struct skb_shared_info *si = NULL;
	struct vnet_chain c;
	u32 i, nr_frags = 0;
	int err;

	if (xdp_frame_has_frags(frame)) {
		si = xdp_get_shared_info_from_frame(frame);
		nr_frags = si->nr_frags;
	}
	if (nr_frags + 2 - push > txq->max_sg)
		return -EMSGSIZE;

	vnet_hdr_zero(hdr, hdr_len);
	if (push && !nr_frags)
		return vnet_chain_send_linear(txq, hdr, hdr_len + frame->len,
					      slot);
	err = vnet_chain_begin(&c, txq, slot);
	if (err)
		return err;

	vnet_chain_put(&c, virt_to_phys(hdr), hdr_len + push * frame->len);
	if (!push)
		vnet_chain_put(&c, virt_to_phys(frame->data), frame->len);
	for (i = 0; i < nr_frags; i++)
		vnet_chain_put_frag(&c, &si->frags[i]);

	return vnet_chain_send(txq, &c, slot);
}

/* Put the header in front of @frame and give it to the device. */
static __always_inline int vnet_tx_send_frame(struct vnet_txq *txq,
					      struct xdp_frame *frame, u16 slot)
{
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	void *hdr = frame->data - hdr_len;

	if (unlikely(xdp_frame_has_frags(frame) || !txq->physical ||
		     !vnet_tx_frame_can_push(frame, hdr_len)))
		return vnet_tx_send_frame_slow(txq, frame, slot);

	vnet_hdr_zero(hdr, hdr_len);
	if (likely(vnet_vq_own(&txq->q))) {
		vnet_vq_send_own(&txq->q, slot, virt_to_phys(hdr),
				 hdr_len + frame->len);
		return 0;
	}
	vnet_sg_set_dma(&txq->sg1, virt_to_phys(hdr), hdr_len + frame->len);

	return vnet_vq_send_premapped(&txq->q, &txq->sg1, 1,
				      &txq->mem.bufs[slot]);
}

/* XDP has sent @sent frames of @nr. */
static void vnet_txq_sent(struct vnet_txq *txq, u32 sent, u32 nr)
{
	vnet_txs_add(&txq->stats, VNET_TXS_XDP_TX, sent);
	if (unlikely(sent < nr))
		vnet_txs_add(&txq->stats, VNET_TXS_XDP_TX_DROPS, nr - sent);
}

/* Give one frame to the device; its slot remembers it. */
static __always_inline int vnet_txq_send_one(struct vnet_txq *txq,
					     struct xdp_frame *frame)
{
	struct vnet_slots *slots = &txq->mem.slots;
	u32 len = xdp_get_frame_len(frame);
	struct vnet_tx_buf *buf;
	u16 slot;
	int err;

	if (unlikely(len > txq->max_len) &&
	    vnet_size_too_long(txq->max_len, frame->data, frame->len, len))
		return -EMSGSIZE;

	slot = vnet_slots_take(slots);
	err = vnet_tx_send_frame(txq, frame, slot);
	if (unlikely(err)) {
		vnet_slots_put(slots, slot);
		return err;
	}

	buf = &txq->mem.bufs[slot];
	buf->xdpf = frame;
	buf->bytes = len;
	buf->type = VNET_TX_XDP;

	return 0;
}

/**
 * vnet_txq_send_frames() - transmit XDP frames
 * @txq: transmit queue
 * @frames: frames; the first ones, up to the number returned, are consumed
 * @nr: number of frames
 * @kick: notify the device; else a later call does
 * @lost: where to add how many of those consumed no packet can be made of
 *
 * Stops when only the descriptors that are reserved for the stack are left.
 *
 * Context: xmit lock of @txq, softirqs off.
 * Return: frames consumed.
 */
u32 vnet_txq_send_frames(struct vnet_txq *txq, struct xdp_frame **frames,
			 u32 nr, bool kick, u32 *lost)
{
	u32 done, most, bad = 0;

	if (unlikely(!txq->up))
		return 0;

	vnet_txq_reap(txq, 0, VNET_TX_REAP_ALL);
	txq_trans_cond_update(txq->nq);
	most = min(nr, txq->mem.slots.nr_free);
	for (done = 0; done < most; done++) {
		int err;

		if (unlikely(vnet_txq_free(txq) < txq->stop_at))
			break;

		err = vnet_txq_send_one(txq, frames[done]);
		if (likely(!err))
			continue;
		if (err != -EMSGSIZE)
			break;

		xdp_return_frame_rx_napi(frames[done]);
		bad++;
	}
	vnet_txq_sent(txq, done - bad, nr);
	*lost += bad;
	if (kick)
		vnet_txq_kick(txq);

	return done;
}

/*
 * May the virtio header be written in front of the data of @back? There is room:
 * programs keep off what a frame of the XDP core would take, which is more.
 */
static __always_inline bool vnet_tx_back_can_push(const struct vnet_txq *txq,
						  const struct vnet_back *back)
{
	BUILD_BUG_ON(sizeof(struct xdp_frame) < VNET_HDR_MAX_LEN);

	return IS_ALIGNED(back->data - txq->hdr_ctx.hdr_len,
			  __alignof__(struct vnet_hdr));
}

/* The same with the header elsewhere, or by the address that the core finds. */
static noinline int vnet_tx_send_back_slow(struct vnet_txq *txq,
					   const struct vnet_back *back,
					   u16 slot)
{
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	void *data = back->buf->va + back->data;
	void *hdr = data - hdr_len;
	struct vnet_chain c;
	int err;

	if (txq->push_hdr && vnet_tx_back_can_push(txq, back)) {
		vnet_hdr_zero(hdr, hdr_len);
		return vnet_chain_send_linear(txq, hdr, hdr_len + back->len,
					      slot);
	}

	hdr = vnet_tx_hdr(txq, slot);
	vnet_hdr_zero(hdr, hdr_len);
	err = vnet_chain_begin(&c, txq, slot);
	if (err)
		return err;

	vnet_chain_put(&c, virt_to_phys(hdr), hdr_len);
	vnet_chain_put(&c, virt_to_phys(data), back->len);

	return vnet_chain_send(txq, &c, slot);
}

/* Give a buffer that is sent back to the device, the header in front of it. */
static __always_inline int vnet_tx_send_back(struct vnet_txq *txq,
					     const struct vnet_back *back,
					     u16 slot)
{
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	u32 start = back->data - hdr_len;
	u32 len = hdr_len + back->len;
	dma_addr_t addr;

	if (unlikely(!txq->premapped || !vnet_tx_back_can_push(txq, back)))
		return vnet_tx_send_back_slow(txq, back, slot);

	vnet_hdr_zero(back->buf->va + start, hdr_len);
	addr = back->buf->addr - back->buf->headroom + start;
	if (unlikely(!txq->physical))
		dma_sync_single_for_device(txq->dma_dev, addr, len,
					   DMA_BIDIRECTIONAL);
	if (likely(vnet_vq_own(&txq->q))) {
		vnet_vq_send_own(&txq->q, slot, addr, len);
		return 0;
	}
	vnet_sg_set_dma(&txq->sg1, addr, len);

	return vnet_vq_send_premapped(&txq->q, &txq->sg1, 1,
				      &txq->mem.bufs[slot]);
}

/**
 * vnet_txq_send_back() - transmit receive buffers of the queue's twin
 * @txq: transmit queue
 * @back: packets; the slots of the first ones, up to the number returned, are
 *	with @txq now
 * @nr: number of packets
 *
 * As vnet_txq_send_frames(). Slots of what was sent come to @txq->mem.home.
 *
 * Context: xmit lock of @txq, NAPI of the receive queue of the same number.
 * Return: packets sent.
 */
u32 vnet_txq_send_back(struct vnet_txq *txq, const struct vnet_back *back,
		       u32 nr)
{
	struct vnet_slots *slots = &txq->mem.slots;
	struct vnet_tx_buf *buf;
	u32 sent, room;
	u16 slot;

	if (unlikely(!txq->up))
		return 0;

	vnet_txq_reap(txq, NAPI_POLL_WEIGHT, VNET_TX_REAP_ALL);
	txq_trans_cond_update(txq->nq);
	room = vnet_txq_room(txq);
	if (unlikely(!txq->push_hdr))
		room /= 2;
	room = min(nr, room);
	for (sent = 0; sent < room; sent++) {
		slot = vnet_slots_take(slots);
		if (unlikely(vnet_tx_send_back(txq, &back[sent], slot))) {
			vnet_slots_put(slots, slot);
			break;
		}
		buf = &txq->mem.bufs[slot];
		buf->back = back[sent].buf->slot;
		buf->bytes = back[sent].len;
		buf->type = VNET_TX_BACK;
	}
	vnet_txq_sent(txq, sent, nr);
	if (sent)
		vnet_txq_kick(txq);

	return sent;
}
