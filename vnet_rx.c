// SPDX-License-Identifier: GPL-2.0
/*
 * Receive: one path for every device. Collect the buffers of a packet, check
 * what the device claims about it, build the skb, hand it to GRO.
 */
#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <net/page_pool/helpers.h>

#include "vnet.h"
#include "vnet_dim.h"
#include "vnet_event.h"
#include "vnet_niov.h"
#include "vnet_rx.h"
#include "vnet_rxbuf.h"
#include "vnet_trace.h"
#include "vnet_vq.h"
#include "vnet_xdp.h"
#include "vnet_xsk.h"

/* Interrupt of a receive queue: @vq has used buffers. */
void vnet_rxq_irq(struct virtqueue *vq)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_rxq *rxq = &vd->rxqs[vnet_vq_pair(vq)];

	if (likely(napi_schedule_prep(&rxq->napi))) {
		vnet_vq_disarm(&rxq->q);
		__napi_schedule(&rxq->napi);
	}
}

/* Bytes that the posted buffers of the chain that begins with @buf offer */
static noinline u32 vnet_rxq_chain_room(const struct vnet_rx_mem *mem,
					const struct vnet_rx_buf *buf)
{
	u32 room = 0;
	u16 i;

	for (i = 0; i < mem->stride && buf[i].page; i++)
		room += buf[i].room;

	return room;
}

/* Take one used buffer of the ring, or NULL. @own: by our own engine */
static __always_inline struct vnet_rx_buf *
vnet_rxq_get(struct vnet_rxq *rxq, u32 *len, bool own)
{
	int slot;

	if (!own)
		return vnet_vq_get(&rxq->q, len);

	slot = vnet_vq_get_own(&rxq->q, len);

	return likely(slot >= 0) ? &rxq->mem.bufs[slot] : NULL;
}

/*
 * The length of a buffer is the device's claim: beyond this point it is never
 * more than @buf has room for.
 */
static __always_inline enum vnet_rx_fault
vnet_rxq_clip(const struct vnet_rx_mem *mem, const struct vnet_rx_buf *buf,
	      u32 *len)
{
	u32 room = likely(mem->stride == 1) ? buf->room :
					      vnet_rxq_chain_room(mem, buf);

	if (likely(*len <= room))
		return VNET_RX_OK;

	*len = room;

	return VNET_RX_OVERRUN;
}

/* Make the @len bytes that the device wrote to @buf visible to the CPU. */
static noinline void vnet_rxq_sync_dma(const struct vnet_rx_mem *mem,
				       const struct vnet_rx_buf *buf, u32 len)
{
	if (unlikely(mem->xsk))
		vnet_xsk_sync_for_cpu(buf, len);
	else if (unlikely(!buf->va))
		vnet_niov_sync(mem, buf, len);
	else
		page_pool_dma_sync_for_cpu(mem->pool, buf->page,
					   vnet_rxbuf_offset(buf), len);
}

static __always_inline void vnet_rxq_sync(const struct vnet_rx_mem *mem,
					  const struct vnet_rx_buf *buf,
					  u32 len)
{
	if (unlikely(mem->sync))
		vnet_rxq_sync_dma(mem, buf, len);
}

/* One used length for a chain of buffers: tell how much lies in each. */
static void vnet_rxq_split_chain(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt)
{
	struct vnet_rx_buf *buf = pkt->bufs[0];
	u32 left = pkt->lens[0];

	pkt->nr = 0;
	do {
		u32 len = min_t(u32, left, buf->room);

		pkt->bufs[pkt->nr] = buf++;
		pkt->lens[pkt->nr++] = len;
		left -= len;
	} while (left);
}

/*
 * The packet lies in a chain: tell how much in each buffer. Where a device merges
 * buffers, and each of them is a chain that holds any packet, it takes one.
 */
static noinline enum vnet_rx_fault vnet_rxq_open_chain(struct vnet_rxq *rxq,
						       struct vnet_rx_pkt *pkt)
{
	const struct vnet_rx_buf *head = pkt->bufs[0];
	u32 len = min_t(u32, pkt->len, head->room);

	if (rxq->counts) {
		vnet_rxq_sync(&rxq->mem, head, len);
		memcpy(&pkt->hdr, head->va + head->headroom, VNET_HDR_RX_LEN);
		if (vnet_hdr_nr_buffers(&pkt->hdr, rxq->hdr_ctx.le) != 1)
			return VNET_RX_BAD_CHAIN;
	}
	vnet_rxq_split_chain(rxq, pkt);

	return VNET_RX_OK;
}

/* The packet takes several buffers: pull the others. */
static noinline enum vnet_rx_fault vnet_rxq_collect(struct vnet_rxq *rxq,
						    struct vnet_rx_pkt *pkt,
						    u16 nr)
{
	enum vnet_rx_fault fault = VNET_RX_OK, rest;
	struct vnet_rx_buf *buf;
	u32 len;
	u16 i;

	if (!nr || nr > VNET_PKT_MAX_BUFS)
		return VNET_RX_BAD_CHAIN;

	while (pkt->nr < nr) {
		buf = vnet_rxq_get(rxq, &len, vnet_vq_own(&rxq->q));
		if (unlikely(!buf))
			return VNET_RX_MISSING;
		rest = vnet_rxq_clip(&rxq->mem, buf, &len);
		if (unlikely(rest))
			fault = rest;
		pkt->bufs[pkt->nr] = buf;
		pkt->lens[pkt->nr++] = len;
		pkt->len += len;
	}
	for (i = 1; i < nr; i++)
		vnet_rxq_sync(&rxq->mem, pkt->bufs[i], pkt->lens[i]);

	return fault;
}

/**
 * vnet_rxq_collect_pkt() - collect the buffers of a received packet
 * @rxq: receive queue
 * @pkt: packet to fill; on a fault it holds the buffers pulled so far
 * @buf: its first buffer
 * @len: bytes in it
 *
 * Everything that the device claims about buffers (lengths, their number) is
 * checked here and nowhere else. The header is copied out once, so that a
 * device that rewrites it later cannot change a decision already made.
 * (VIRTIO 1.4, 5.1.9.4)
 *
 * Context: NAPI of @rxq.
 * Return: %VNET_RX_OK, or the fault to account.
 */
static __always_inline enum vnet_rx_fault
vnet_rxq_collect_pkt(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt,
		     struct vnet_rx_buf *buf, u32 len)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	enum vnet_rx_fault fault, rest;
	u16 nr = 1;

	fault = vnet_rxq_clip(mem, buf, &len);
	pkt->bufs[0] = buf;
	pkt->lens[0] = len;
	pkt->len = len;
	pkt->nr = 1;
	if (unlikely(len < rxq->hdr_len))
		return VNET_RX_RUNT;

	if (unlikely(mem->stride > 1)) {
		rest = vnet_rxq_open_chain(rxq, pkt);
		if (rest)
			return rest;
		len = pkt->lens[0];
		nr = pkt->nr;
	}
	vnet_rxq_sync(mem, buf, len);
	memcpy(&pkt->hdr, buf->va + buf->headroom, VNET_HDR_RX_LEN);

	if (rxq->mergeable)
		nr = vnet_hdr_nr_buffers(&pkt->hdr, rxq->hdr_ctx.le);
	if (unlikely(nr != 1)) {
		rest = vnet_rxq_collect(rxq, pkt, nr);
		if (rest)
			fault = rest;
	}
	if (unlikely(fault))
		return fault;

	pkt->lens[0] -= rxq->hdr_len;
	pkt->len -= rxq->hdr_len;

	return likely(pkt->lens[0] >= ETH_HLEN) ? VNET_RX_OK : VNET_RX_RUNT;
}

/* The next packet, or %VNET_RX_EMPTY */
static __always_inline enum vnet_rx_fault
vnet_rxq_next(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt, bool own)
{
	struct vnet_rx_buf *buf;
	u32 len;

	buf = vnet_rxq_get(rxq, &len, own);
	if (!buf)
		return VNET_RX_EMPTY;

	return vnet_rxq_collect_pkt(rxq, pkt, buf, len);
}

/*
 * The device has no claim to the slot of @buf any more. A buffer that is still
 * there is offered again as it is, where our own engine drives the ring (@own)
 * and nothing needs syncing; another waits for the refill.
 */
static __always_inline void vnet_rxq_put_slot(struct vnet_rxq *rxq,
					      const struct vnet_rx_buf *buf,
					      bool own)
{
	struct vnet_rx_mem *mem = &rxq->mem;

	if (own && buf->page && likely(buf->truesize == mem->layout.truesize) &&
	    likely(!mem->sync))
		vnet_vring_offer(&rxq->q.ring, buf->slot);
	else
		vnet_slots_put(&mem->slots, buf->slot);
}

/*
 * As vnet_rxq_put_slot(), all slots of @pkt. One that is sent back has kept its
 * slot, and has no buffers here any more.
 */
static __always_inline void vnet_rxq_put_slots(struct vnet_rxq *rxq,
					       struct vnet_rx_pkt *pkt,
					       bool own)
{
	struct vnet_slots *slots = &rxq->mem.slots;
	u16 i;

	if (likely(pkt->nr))
		vnet_rxq_put_slot(rxq, pkt->bufs[0], own);
	if (likely(pkt->nr <= 1) || rxq->mem.stride > 1)
		return;

	for (i = 1; i < pkt->nr; i++)
		vnet_rxq_put_slot(rxq, pkt->bufs[i], own);
	/* A poll of large packets takes more buffers than a ring has. */
	if (slots->nr_free > slots->nr / 2 && !rxq->starved && rxq->up)
		vnet_rxbuf_refill(rxq, GFP_ATOMIC);
}

/* The drop site: the packet is lost, for one reason, counted once. */
static noinline void vnet_rxq_drop(struct vnet_rxq *rxq,
				   struct vnet_rx_pkt *pkt,
				   enum vnet_rx_fault fault)
{
	vnet_rxs_add(&rxq->stats, VNET_RXS_FAULT + fault, 1);
	trace_vnet_rx_drop(rxq->vd->dev, rxq->index, vnet_rx_faults[fault].name,
			   pkt->len, pkt->nr);
	if (fault == VNET_RX_NOMEM)
		vnet_rxs_add(&rxq->stats, VNET_RXS_ALLOC_FAIL, 1);
	else if (fault == VNET_RX_BAD_CHAIN)
		vnet_recovery_request_vq(rxq->vd, VNET_RESET_BAD_CHAIN,
					 vnet_vq_rx_index(rxq->index));
}

/* Small packet: copy it, so that its buffer stays in its slot. */
static __always_inline struct sk_buff *
vnet_rx_copy(struct vnet_rxq *rxq, const struct vnet_rx_buf *buf, u32 len)
{
	struct sk_buff *skb = napi_alloc_skb(&rxq->napi, len);

	if (likely(skb))
		skb_put_data(skb, buf->va + buf->headroom + rxq->hdr_len, len);

	return skb;
}

/* Append buffers @i and on as frags; returns the first one that did not fit. */
static u16 vnet_rx_add_frags(struct sk_buff *skb, struct sk_buff *part,
			     struct vnet_rx_pkt *pkt, u16 i)
{
	u32 len = 0, truesize = 0;
	u16 nr = 0;

	for (; i < pkt->nr && nr < MAX_SKB_FRAGS; i++) {
		struct vnet_rx_buf *buf = pkt->bufs[i];

		if (unlikely(!pkt->lens[i]))
			continue;

		skb_fill_page_desc(part, nr++, buf->page,
				   vnet_rxbuf_offset(buf), pkt->lens[i]);
		len += pkt->lens[i];
		truesize += buf->truesize;
		buf->page = NULL;
	}

	part->len += len;
	part->data_len += len;
	part->truesize += truesize;
	if (part != skb) {
		skb->len += part->len;
		skb->data_len += part->len;
		skb->truesize += part->truesize;
	}

	return i;
}

/* More buffers than one skb can hold: the rest goes to its frag list. */
static noinline bool vnet_rx_add_parts(struct vnet_rxq *rxq,
				       struct sk_buff *skb,
				       struct vnet_rx_pkt *pkt, u16 i)
{
	struct sk_buff **tail = &skb_shinfo(skb)->frag_list;

	vnet_rxs_add(&rxq->stats, VNET_RXS_LARGE, 1);
	while (i < pkt->nr) {
		struct sk_buff *part = alloc_skb(0, GFP_ATOMIC);

		if (!part)
			return false;

		skb_mark_for_recycle(part);
		i = vnet_rx_add_frags(skb, part, pkt, i);
		*tail = part;
		tail = &part->next;
	}

	return true;
}

/* Build the skb around @buf, which leaves its slot, @len bytes long. */
static __always_inline struct sk_buff *
vnet_rx_build_one(struct vnet_rxq *rxq, struct vnet_rx_buf *buf, u32 len)
{
	struct sk_buff *skb = napi_build_skb(buf->va, buf->truesize);

	if (unlikely(!skb))
		return NULL;

	skb_mark_for_recycle(skb);
	skb_reserve(skb, buf->headroom + rxq->hdr_len);
	__skb_put(skb, len);
	buf->page = NULL;

	return skb;
}

/* Build the skb around the buffers of @pkt; what it takes leaves its slot. */
static struct sk_buff *vnet_rx_build(struct vnet_rxq *rxq,
				     struct vnet_rx_pkt *pkt,
				     struct vnet_rx_ctx *ctx)
{
	struct vnet_rx_buf *buf = pkt->bufs[0];
	struct sk_buff *skb;
	u16 i;

	if (pkt->len <= rxq->copybreak && pkt->nr == 1) {
		ctx->hot[VNET_RXS_COPYBREAK]++;
		return vnet_rx_copy(rxq, buf, pkt->len);
	}

	skb = vnet_rx_build_one(rxq, buf, pkt->lens[0]);
	if (unlikely(!skb))
		return NULL;
	if (likely(pkt->nr == 1))
		return skb;

	i = vnet_rx_add_frags(skb, skb, pkt, 1);
	if (unlikely(i < pkt->nr && !vnet_rx_add_parts(rxq, skb, pkt, i))) {
		napi_consume_skb(skb, 1);
		return NULL;
	}

	return skb;
}

/* What a merged packet was on the wire: each segment had its headers. */
static void vnet_rx_count_gso(struct vnet_rx_ctx *ctx,
			      const struct sk_buff *skb)
{
	const struct skb_shared_info *si = skb_shinfo(skb);
	u32 segs = si->gso_segs, head;

	head = skb->ip_summed == CHECKSUM_PARTIAL ?
	       skb_checksum_start_offset(skb) : skb_transport_offset(skb);
	if (si->gso_type & SKB_GSO_UDP_L4)
		head += sizeof(struct udphdr);
	else if (!(si->gso_type & SKB_GSO_UDP))
		head += __tcp_hdrlen((struct tcphdr *)(skb->data + head));
	if (!segs)
		segs = DIV_ROUND_UP(max(skb->len, head + 1) - head,
				    si->gso_size);

	ctx->hot[VNET_RXS_GRO_PACKETS]++;
	ctx->hot[VNET_RXS_GRO_BYTES] += skb->len;
	ctx->hot[VNET_RXS_GRO_WIRE_PACKETS] += segs;
	ctx->hot[VNET_RXS_GRO_WIRE_BYTES] += skb->len + (segs - 1) * head;
}

/* Apply a header that says something, and count what it says. */
static noinline enum vnet_rx_fault vnet_rx_meta(struct vnet_rxq *rxq,
						struct vnet_rx_pkt *pkt,
						struct sk_buff *skb,
						struct vnet_rx_ctx *ctx)
{
	enum vnet_rx_fault fault;

	fault = vnet_hdr_to_skb(skb, &pkt->hdr, &rxq->hdr_ctx);
	if (unlikely(fault)) {
		dev_kfree_skb_any_reason(skb, vnet_rx_faults[fault].reason);
		return fault;
	}

	if (skb->ip_summed == CHECKSUM_NONE)
		ctx->hot[VNET_RXS_CSUM_NONE]++;
	else if (skb->ip_summed == CHECKSUM_UNNECESSARY)
		ctx->hot[VNET_RXS_CSUM_UNNECESSARY]++;
	if (skb_is_gso(skb))
		vnet_rx_count_gso(ctx, skb);

	return VNET_RX_OK;
}

/* What every packet is told, whichever way it goes to the stack */
static __always_inline void vnet_rx_address(struct vnet_rxq *rxq,
					    struct sk_buff *skb)
{
	skb_record_rx_queue(skb, rxq->index);
	skb->protocol = eth_type_trans(skb, rxq->vd->dev);
}

static __always_inline void vnet_rx_gro(struct vnet_rxq *rxq,
					struct sk_buff *skb)
{
	vnet_rx_address(rxq, skb);
	napi_gro_receive(&rxq->napi, skb);
}

/*
 * Build the skb of a packet whose data only a provider can read: the head is
 * copied, and not to memory that a fragment could be made of, as the stack would
 * where it merges packets: a socket of the provider's takes nothing but its own.
 */
static struct sk_buff *vnet_rx_build_niovs(struct vnet_rxq *rxq,
					   struct vnet_rx_pkt *pkt)
{
	struct sk_buff *skb;
	u16 i, nr = 0;

	skb = vnet_rx_copy(rxq, pkt->bufs[0], pkt->lens[0]);
	if (unlikely(!skb))
		return NULL;

	for (i = 1; i < pkt->nr; i++) {
		struct vnet_rx_buf *buf = pkt->bufs[i];

		skb_fill_netmem_desc(skb, nr++, buf->netmem, 0, pkt->lens[i]);
		buf->netmem = 0;
	}
	skb->data_len = pkt->len - pkt->lens[0];
	skb->len += skb->data_len;
	skb->truesize += nr * rxq->mem.layout.frag_size;
	skb_mark_for_recycle(skb);

	return skb;
}

/*
 * Say what the header says about @skb, and count it; @niovs: its data are in memory
 * of a provider, so that nobody could verify a checksum.
 */
static __always_inline enum vnet_rx_fault
vnet_rx_tell(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt, struct sk_buff *skb,
	     struct vnet_rx_ctx *ctx, bool niovs)
{
	enum vnet_rx_fault fault;

	if (!vnet_hdr_says(&pkt->hdr)) {
		ctx->hot[VNET_RXS_CSUM_NONE]++;
	} else {
		fault = vnet_rx_meta(rxq, pkt, skb, ctx);
		if (unlikely(fault))
			return fault;
	}
	if (niovs && unlikely(skb->ip_summed == CHECKSUM_NONE && pkt->nr > 1)) {
		fault = VNET_RX_UNREADABLE;
		dev_kfree_skb_any_reason(skb, vnet_rx_faults[fault].reason);
		return fault;
	}

	if (rxq->rx_hash)
		vnet_hdr_hash_to_skb(skb, &pkt->hdr);
	ctx->hot[VNET_RXS_PACKETS]++;
	ctx->hot[VNET_RXS_BYTES] += skb->len;

	return VNET_RX_OK;
}

/* Say what the header says about @skb and hand it to the stack. */
static enum vnet_rx_fault vnet_rx_stack(struct vnet_rxq *rxq,
					struct vnet_rx_pkt *pkt,
					struct sk_buff *skb,
					struct vnet_rx_ctx *ctx)
{
	enum vnet_rx_fault fault;

	fault = vnet_rx_tell(rxq, pkt, skb, ctx, false);
	if (unlikely(fault))
		return fault;

	vnet_rx_gro(rxq, skb);

	return VNET_RX_OK;
}

/* A sound packet of a queue that is bound to a provider; not for GRO, see above */
static noinline enum vnet_rx_fault
vnet_rx_deliver_niovs(struct vnet_rxq *rxq, struct vnet_rx_pkt *pkt,
		      struct vnet_rx_ctx *ctx)
{
	struct sk_buff *skb = vnet_rx_build_niovs(rxq, pkt);
	enum vnet_rx_fault fault;

	if (unlikely(!skb))
		return VNET_RX_NOMEM;

	fault = vnet_rx_tell(rxq, pkt, skb, ctx, true);
	if (unlikely(fault))
		return fault;

	vnet_rx_address(rxq, skb);
	netif_receive_skb(skb);

	return VNET_RX_OK;
}

/*
 * A sound packet: to the program, if there is one, and to the stack. @raw: there
 * is a program, or the buffers are frames of AF_XDP, which the stack cannot have.
 */
static enum vnet_rx_fault vnet_rx_deliver(struct vnet_rxq *rxq,
					  struct vnet_xdp_buff *vxb, bool raw,
					  struct vnet_rx_pkt *pkt,
					  struct vnet_rx_ctx *ctx)
{
	enum vnet_rx_fault fault;
	struct sk_buff *skb;

	if (unlikely(rxq->mem.niovs))
		return vnet_rx_deliver_niovs(rxq, pkt, ctx);

	if (raw) {
		pkt->skb = NULL;
		fault = vxb->prog ? vnet_xdp_run(vxb, pkt, ctx) :
				    vnet_xsk_pass(rxq, pkt);
		if (fault || !pkt->skb)
			return fault;
		skb = pkt->skb;
	} else {
		rxq->avg_len = vnet_size_ewma_add(rxq->avg_len, pkt->len);
		skb = vnet_rx_build(rxq, pkt, ctx);
		if (unlikely(!skb))
			return VNET_RX_NOMEM;
	}

	return vnet_rx_stack(rxq, pkt, skb, ctx);
}

/* By pointer and without a loop: bounds checks would cost more than the sums. */
static void vnet_rx_fold(struct vnet_rxq *rxq, const struct vnet_rx_ctx *ctx)
{
	u64_stats_t *v = rxq->stats.v;
	const u32 *hot = ctx->hot;
	unsigned int i;

	u64_stats_update_begin(&rxq->stats.syncp);
#pragma GCC unroll 16
	for (i = 0; i < VNET_RXS_NR_HOT; i++)
		u64_stats_add(v + i, hot[i]);
	u64_stats_update_end(&rxq->stats.syncp);
}

/*
 * As vnet_rxq_complete(), for a queue that is polled without interrupts: a poller
 * who comes back anyway (a timer of the core's, a busy poller) wants none. Once
 * the core has said so, it is asked first, and when it says otherwise the next
 * poll asks the device. Our own timer wants none after a poll that found
 * something.
 */
static noinline int vnet_rxq_complete_special(struct vnet_rxq *rxq,
					      struct vnet_rx_ctx *ctx)
{
	bool lazy = rxq->lazy, more = false, waits;

	waits = !lazy && ctx->pkts && READ_ONCE(rxq->waits);
	if (waits)
		more = vnet_moder_hold(&rxq->moder, &rxq->q);
	else if (!lazy)
		more = vnet_vq_arm(&rxq->q);
	if (more) {
		vnet_vq_disarm(&rxq->q);
		return ctx->budget;
	}

	if (!lazy && !waits)
		vnet_vq_sleeps(&rxq->q, &rxq->wrap);
	if (napi_complete_done(&rxq->napi, ctx->pkts) != lazy)
		return ctx->pkts;

	WRITE_ONCE(rxq->lazy, !lazy);
	if (lazy)
		napi_schedule(&rxq->napi);

	return ctx->pkts;
}

/*
 * The poll has found less than it may take. Only the owner of @napi may touch
 * the virtqueue, so the notification is asked for before it is given up; more
 * that has come meanwhile is for another poll.
 */
static int vnet_rxq_complete(struct vnet_rxq *rxq, struct vnet_rx_ctx *ctx)
{
	if (unlikely(READ_ONCE(rxq->special)))
		return vnet_rxq_complete_special(rxq, ctx);

	if (vnet_vq_arm(&rxq->q)) {
		vnet_vq_disarm(&rxq->q);
		return ctx->budget;
	}

	vnet_vq_sleeps(&rxq->q, &rxq->wrap);
	if (unlikely(!napi_complete_done(&rxq->napi, ctx->pkts)))
		WRITE_ONCE(rxq->lazy, true);

	return ctx->pkts;
}

/* What is done once per poll, whatever came. Returns the work done. */
static int vnet_rxq_finish(struct vnet_rxq *rxq, struct vnet_rx_ctx *ctx)
{
	if (rxq->mem.xdp)
		vnet_xdp_flush(rxq, ctx);
	if (unlikely(rxq->mem.xsk))
		vnet_xsk_poll(rxq);

	if (rxq->avg_len < rxq->avg_low || rxq->avg_len > rxq->avg_high)
		vnet_rxbuf_adapt(rxq);

	if (rxq->mem.slots.nr_free + vnet_vq_unshown(&rxq->q) >=
	    rxq->refill_at || rxq->starved)
		vnet_rxbuf_refill(rxq, GFP_ATOMIC);

	if (ctx->pkts) {
		vnet_rx_fold(rxq, ctx);
		vnet_coalesce_rx_sample(rxq);
	}
	if (unlikely(vnet_vq_broken(&rxq->q)))
		vnet_recovery_request_vq(rxq->vd, VNET_RESET_BROKEN_RING,
					 vnet_vq_rx_index(rxq->index));

	if (ctx->pkts >= ctx->budget)
		return ctx->budget;

	return vnet_rxq_complete(rxq, ctx);
}

/* One packet by the common code, which knows all there are. */
static __always_inline void vnet_rxq_one(struct vnet_rxq *rxq,
					 struct vnet_xdp_buff *vxb,
					 struct vnet_rx_ctx *ctx,
					 struct vnet_rx_buf *buf, u32 len)
{
	bool own = vnet_vq_own(&rxq->q), raw = vxb->prog || rxq->mem.xsk;
	struct vnet_rx_pkt *pkt = &rxq->pkt;
	enum vnet_rx_fault fault;

	fault = vnet_rxq_collect_pkt(rxq, pkt, buf, len);
	if (likely(!fault))
		fault = vnet_rx_deliver(rxq, vxb, raw, pkt, ctx);
	vnet_rxq_put_slots(rxq, pkt, own);
	if (unlikely(fault))
		vnet_rxq_drop(rxq, pkt, fault);
}

/* The packets of one poll, on either engine */
static noinline u32 vnet_rxq_run(struct vnet_rxq *rxq,
				 struct vnet_xdp_buff *vxb,
				 struct vnet_rx_ctx *ctx)
{
	bool own = vnet_vq_own(&rxq->q);
	struct vnet_rx_buf *buf;
	u32 pkts, len;

	for (pkts = 0; pkts < ctx->budget; pkts++) {
		buf = vnet_rxq_get(rxq, &len, own);
		if (!buf)
			break;
		vnet_rxq_one(rxq, vxb, ctx, buf, len);
	}

	return pkts;
}

/* A packet that a fast loop has met and leaves to the common code */
static noinline void vnet_rxq_leave(struct vnet_rxq *rxq,
				    struct vnet_xdp_buff *vxb,
				    struct vnet_rx_ctx *ctx,
				    struct vnet_rx_buf *buf, u32 len)
{
	vnet_rxq_one(rxq, vxb, ctx, buf, len);
}

/*
 * The fast loops are for packets of one buffer that were not merged, and about
 * which the header says no more than they know, by @flags: what they do with one
 * is what the common code does. Each byte of the header is read once, the device
 * may rewrite it.
 */
static __always_inline bool vnet_rx_is_plain(const struct vnet_rxq *rxq,
					     const struct vnet_rx_buf *buf,
					     u32 len, u8 *flags)
{
	const struct vnet_hdr *hdr = buf->va + buf->headroom;
	u32 least = rxq->hdr_len + ETH_HLEN;

	*flags = 0;
	if (unlikely(len - least > (u32)buf->room - least) ||
	    unlikely(READ_ONCE(hdr->gso_type)))
		return false;
	*flags = READ_ONCE(hdr->flags);

	return !rxq->mergeable ||
	       likely(READ_ONCE(hdr->num_buffers) == vnet_vring_put16(1));
}

/* A slot whose buffer is still there goes back to the ring or waits for a refill. */
static __always_inline void vnet_rxq_keep_slot(struct vnet_rxq *rxq, u16 slot,
					       bool own)
{
	if (own)
		vnet_vring_offer(&rxq->q.ring, slot);
	else
		vnet_slots_put(&rxq->mem.slots, slot);
}

/* The packets of one poll for the stack, inlined for each engine */
static __always_inline u32 vnet_rxq_run_stack(struct vnet_rxq *rxq,
					      struct vnet_xdp_buff *vxb,
					      struct vnet_rx_ctx *ctx, bool own)
{
	u32 hdr_len = rxq->hdr_len, fast = 0, bytes = 0, pkts, len, copied = 0;
	u32 most_copied = READ_ONCE(rxq->copybreak);
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_buf *buf;
	struct sk_buff *skb;
	u8 flags;
	u16 slot;

	for (pkts = 0; pkts < ctx->budget; pkts++) {
		buf = vnet_rxq_get(rxq, &len, own);
		if (!buf)
			break;

		slot = own ? buf - mem->bufs : buf->slot;
		if (unlikely(!vnet_rx_is_plain(rxq, buf, len, &flags)) ||
		    unlikely(flags)) {
			vnet_rxq_leave(rxq, vxb, ctx, buf, len);
			continue;
		}

		len -= hdr_len;
		rxq->avg_len = vnet_size_ewma_add(rxq->avg_len, len);
		if (len <= most_copied) {
			skb = vnet_rx_copy(rxq, buf, len);
			vnet_rxq_keep_slot(rxq, slot, own);
			copied++;
		} else {
			skb = vnet_rx_build_one(rxq, buf, len);
			vnet_slots_put(&mem->slots, slot);
		}
		if (unlikely(!skb)) {
			rxq->pkt.nr = 1;
			rxq->pkt.len = len;
			vnet_rxq_drop(rxq, &rxq->pkt, VNET_RX_NOMEM);
			continue;
		}
		fast++;
		bytes += len;
		vnet_rx_gro(rxq, skb);
	}
	ctx->hot[VNET_RXS_COPYBREAK] += copied;
	ctx->hot[VNET_RXS_CSUM_NONE] += fast;
	ctx->hot[VNET_RXS_PACKETS] += fast;
	ctx->hot[VNET_RXS_BYTES] += bytes;

	return pkts;
}

/*
 * What a program has decided of a plain packet, where the loop has not done it
 * yet; @failed: it was to be redirected, and nobody has taken it.
 */
static noinline void vnet_rxq_act(struct vnet_xdp_buff *vxb,
				  struct vnet_rx_ctx *ctx, struct xdp_buff *xdp,
				  u32 act, bool failed)
{
	struct vnet_rxq *rxq = vxb->rxq;
	struct vnet_rx_pkt *pkt = &rxq->pkt;
	enum vnet_rx_fault fault;

	if (failed)
		fault = vnet_xdp_redirect_failed(vxb, xdp, pkt);
	else
		fault = vnet_xdp_act(vxb, xdp, pkt, ctx, act);
	if (!fault && pkt->skb)
		fault = vnet_rx_stack(rxq, pkt, pkt->skb, ctx);
	vnet_rxq_put_slots(rxq, pkt, vnet_vq_own(&rxq->q));
	if (unlikely(fault))
		vnet_rxq_drop(rxq, pkt, fault);
}

/*
 * The packets of one poll for a program, inlined for each engine, and for buffers
 * that are frames of AF_XDP (@xsk) and all others
 */
static __always_inline u32 vnet_rxq_run_xdp(struct vnet_rxq *rxq,
					    struct vnet_xdp_buff *vxb,
					    struct vnet_rx_ctx *ctx, bool own,
					    bool xsk)
{
	u32 hdr_len = rxq->hdr_len, dropped = 0, sent = 0, bytes = 0, pkts, act;
	u32 most = rxq->vd->txqs[rxq->index].max_len;
	struct net_device *dev = rxq->vd->dev;
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_pkt *pkt = &rxq->pkt;
	struct xdp_buff *xdp = &vxb->xdp;
	u32 len, ran = 0, redirected = 0;
	struct vnet_rx_buf *buf;
	bool failed;
	u8 flags;
	u16 slot;

	for (pkts = 0; pkts < ctx->budget; pkts++) {
		buf = vnet_rxq_get(rxq, &len, own);
		if (!buf)
			break;

		slot = own ? buf - mem->bufs : buf->slot;
		if (unlikely(!vnet_rx_is_plain(rxq, buf, len, &flags)) ||
		    unlikely(flags & ~VNET_HDR_DATA_VALID)) {
			vnet_rxq_leave(rxq, vxb, ctx, buf, len);
			continue;
		}

		len -= hdr_len;
		pkt->hdr.flags = flags;
		pkt->hdr.gso_type = VNET_HDR_GSO_NONE;
		pkt->len = len;
		pkt->lens[0] = len;
		if (xsk) {
			xdp = buf->xdp;
			xsk_buff_set_size(xdp, len);
		} else {
			vnet_xdp_build_head(rxq, buf, len, xdp);
		}
		ran++;
		failed = false;
		act = bpf_prog_run_xdp(vxb->prog, xdp);
		if (likely(act == XDP_DROP)) {
			dropped++;
			bytes += len;
			vnet_rxq_keep_slot(rxq, slot, own);
			continue;
		}
		if (act == XDP_REDIRECT) {
			failed = xdp_do_redirect(dev, xdp, vxb->prog);
			if (likely(!failed)) {
				redirected++;
				bytes += len;
				buf->page = NULL;
				vnet_slots_put(&mem->slots, slot);
				continue;
			}
		}
		if (!xsk && act == XDP_TX &&
		    likely(vnet_xdp_back(rxq, buf, xdp, len, most))) {
			sent++;
			bytes += len;
			continue;
		}

		pkt->bufs[0] = buf;
		pkt->nr = 1;
		pkt->skb = NULL;
		vnet_rxq_act(vxb, ctx, xdp, act, failed);
	}
	if (redirected) {
		ctx->xdp |= VNET_XDP_FLUSH_REDIRECT;
		vnet_rxs_add(&rxq->stats, VNET_RXS_XDP_REDIRECTS, redirected);
	}
	ctx->hot[VNET_RXS_XDP_PACKETS] += ran;
	ctx->hot[VNET_RXS_XDP_DROPS] += dropped;
	ctx->hot[VNET_RXS_PACKETS] += dropped + sent + redirected;
	ctx->hot[VNET_RXS_BYTES] += bytes;

	return pkts;
}

/* The loops that are not for pages and our own engine, which they would slow down */
static noinline u32 vnet_rxq_run_xsk(struct vnet_rxq *rxq,
				     struct vnet_xdp_buff *vxb,
				     struct vnet_rx_ctx *ctx)
{
	if (vnet_vq_own(&rxq->q))
		return vnet_rxq_run_xdp(rxq, vxb, ctx, true, true);

	return vnet_rxq_run_xdp(rxq, vxb, ctx, false, true);
}

static noinline u32 vnet_rxq_run_core(struct vnet_rxq *rxq,
				      struct vnet_xdp_buff *vxb,
				      struct vnet_rx_ctx *ctx)
{
	if (vxb->prog)
		return vnet_rxq_run_xdp(rxq, vxb, ctx, false, false);

	return vnet_rxq_run_stack(rxq, vxb, ctx, false);
}

/* Where a slot is one buffer, and nothing is to be done to it but to read it */
static bool vnet_rxq_is_fast(const struct vnet_rxq *rxq,
			     const struct bpf_prog *prog)
{
	return rxq->mem.nr_sg == 1 && !rxq->mem.sync && !rxq->rx_hash &&
	       (!rxq->mem.xsk || prog);
}

/**
 * vnet_rxq_poll() - receive packets
 * @napi: NAPI of the receive queue
 * @budget: most packets to handle; 0 from netpoll, which wants none received
 *
 * Context: softirq, or the thread or busy poller that owns @napi.
 * Return: packets handled; @budget to be polled again.
 */
int vnet_rxq_poll(struct napi_struct *napi, int budget)
{
	struct vnet_rxq *rxq = container_of(napi, struct vnet_rxq, napi);
	struct vnet_rx_ctx ctx = { .budget = budget };
	struct vnet_xdp_buff vxb;

	if (unlikely(!budget))
		return 0;

	xdp_init_buff(&vxb.xdp, 0, &rxq->xdp_rxq);
	vxb.rxq = rxq;
	vxb.prog = rcu_dereference_bh(rxq->xdp_prog);
	vnet_rxmem_look(rxq);
	if (unlikely(!vnet_rxq_is_fast(rxq, vxb.prog)))
		ctx.pkts = vnet_rxq_run(rxq, &vxb, &ctx);
	else if (rxq->mem.xsk)
		ctx.pkts = vnet_rxq_run_xsk(rxq, &vxb, &ctx);
	else if (unlikely(!vnet_vq_own(&rxq->q)))
		ctx.pkts = vnet_rxq_run_core(rxq, &vxb, &ctx);
	else if (vxb.prog)
		ctx.pkts = vnet_rxq_run_xdp(rxq, &vxb, &ctx, true, false);
	else
		ctx.pkts = vnet_rxq_run_stack(rxq, &vxb, &ctx, true);

	return vnet_rxq_finish(rxq, &ctx);
}

/**
 * vnet_rxq_purge() - discard what arrived while nobody listened
 * @rxq: receive queue
 *
 * Packets are counted, not buffers, so that nothing that the device delivered
 * is missing from the counters.
 *
 * Context: process, NAPI off, instance lock held.
 */
void vnet_rxq_purge(struct vnet_rxq *rxq)
{
	struct vnet_rx_pkt *pkt = &rxq->pkt;

	vnet_rxmem_look(rxq);
	while (vnet_rxq_next(rxq, pkt, vnet_vq_own(&rxq->q)) != VNET_RX_EMPTY) {
		vnet_rxq_put_slots(rxq, pkt, false);
		vnet_rxq_drop(rxq, pkt, VNET_RX_PURGED);
	}
}
