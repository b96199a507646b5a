// SPDX-License-Identifier: GPL-2.0
/*
 * Transmit: xmit, slots, completion, stop and wake, byte queue limits.
 *
 * Everything here that is written per packet is protected by the xmit lock of
 * the stack's queue, completion included: an add and a get on one virtqueue
 * must not meet. Completion takes the lock once per poll.
 */
#include <linux/etherdevice.h>
#include <net/dst.h>

#include "vnet.h"
#include "vnet_chain.h"
#include "vnet_dim.h"
#include "vnet_event.h"
#include "vnet_tx.h"
#include "vnet_vq.h"
#include "vnet_xsk.h"

/* Interrupt of a transmit queue: the device has used buffers. */
void vnet_txq_irq(struct virtqueue *vq)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_txq *txq = &vd->txqs[vnet_vq_pair(vq)];

	if (likely(napi_schedule_prep(&txq->napi))) {
		vnet_vq_disarm(&txq->q);
		__napi_schedule(&txq->napi);
	}
}

/**
 * vnet_txmem_create() - allocate the memory of a transmit queue
 * @txq: queue that will own it; not touched
 * @caps: capabilities to allocate for
 * @cfg: configuration to allocate for
 * @ring: entries that will be used
 * @mem: where to put it
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vnet_txmem_create(struct vnet_txq *txq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_tx_mem *mem)
{
	struct xsk_buff_pool *pool = cfg->xsk[txq->index];
	int err = -ENOMEM;

	memset(mem, 0, sizeof(*mem));
	mem->bufs = kvcalloc(ring, sizeof(*mem->bufs), GFP_KERNEL);
	mem->hdrs = kcalloc(ring + 1, caps->hdr_len, GFP_KERNEL);
	if (cfg->xdp)
		mem->home = kcalloc(VNET_XDP_AWAY, sizeof(*mem->home),
				    GFP_KERNEL);
	if (mem->bufs && mem->hdrs && (mem->home || !cfg->xdp))
		err = vnet_slots_create(&mem->slots, ring);
	if (!err && caps->indirect && !caps->packed)
		err = vnet_chain_create(txq->vd, ring, mem);
	if (!err && pool)
		err = vnet_xsk_txmem_init(txq->vd, pool, caps->hdr_len, mem);
	if (err)
		vnet_txmem_destroy(mem);

	return err;
}

/* Release the frames that were put aside, and their slots; not for netpoll. */
void vnet_txmem_put_aside(struct vnet_tx_mem *mem)
{
	while (mem->aside) {
		struct vnet_tx_buf *buf = &mem->bufs[mem->aside - 1];

		mem->aside = buf->next;
		xdp_return_frame(buf->xdpf);
		vnet_slots_put(&mem->slots, buf - mem->bufs);
	}
}

/* All slots have been taken back; works on memory created in part. */
void vnet_txmem_destroy(struct vnet_tx_mem *mem)
{
	vnet_txmem_put_aside(mem);
	if (mem->xsk)
		vnet_xsk_txmem_exit(mem);
	vnet_chain_destroy(mem);
	vnet_slots_destroy(&mem->slots);
	kfree(mem->home);
	kfree(mem->hdrs);
	kvfree(mem->bufs);
	memset(mem, 0, sizeof(*mem));
}

/* May the virtio header be written in front of the packet's data? */
static bool vnet_tx_can_push(const struct vnet_txq *txq,
			     const struct sk_buff *skb)
{
	return txq->push_hdr && !skb_header_cloned(skb) &&
	       skb_headroom(skb) >= txq->hdr_ctx.hdr_len &&
	       IS_ALIGNED((unsigned long)skb->data,
			  __alignof__(struct vnet_hdr));
}

/* Pieces of a packet, each a descriptor */
static unsigned int vnet_tx_pieces(const struct sk_buff *skb, bool pushed)
{
	return skb_shinfo(skb)->nr_frags + 1 + (!pushed && skb_headlen(skb));
}

/* Add header and linear part of a packet. */
static __always_inline void vnet_tx_put_head(struct vnet_chain *c,
					     const struct sk_buff *skb,
					     struct vnet_hdr *hdr, u32 hdr_len,
					     bool pushed)
{
	if (pushed) {
		vnet_chain_put(c, virt_to_phys(hdr),
			       hdr_len + skb_headlen(skb));
		return;
	}

	vnet_chain_put(c, virt_to_phys(hdr), hdr_len);
	if (skb_headlen(skb))
		vnet_chain_put(c, virt_to_phys(skb->data), skb_headlen(skb));
}

/*
 * As vnet_tx_send_pieces(), a packet whose fragments only a provider can read,
 * which has mapped them (netmem_tx). The core's engine takes a packet that is
 * mapped, or maps all of it: so it sends none where addresses have to be mapped.
 */
static noinline int vnet_tx_send_niovs(struct vnet_txq *txq,
				       struct sk_buff *skb,
				       struct vnet_hdr *hdr, bool pushed,
				       u16 slot)
{
	struct vnet_chain c;
	int err;
	u16 i;

	err = vnet_chain_begin(&c, txq, slot);
	if (unlikely(err))
		return err;

	c.mapped = !c.desc;
	if (c.mapped && (txq->dma_dev || !txq->premapped))
		return -EOPNOTSUPP;

	vnet_tx_put_head(&c, skb, hdr, txq->hdr_ctx.hdr_len, pushed);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++)
		vnet_chain_put_niov(&c, &skb_shinfo(skb)->frags[i]);

	return vnet_chain_send(txq, &c, slot);
}

/* Describe a packet of several pieces and give it to the device. */
static int vnet_tx_send_pieces(struct vnet_txq *txq, struct sk_buff *skb,
			       struct vnet_hdr *hdr, bool pushed, u16 slot)
{
	struct vnet_chain c;
	int err;
	u16 i;

	if (unlikely(!skb_frags_readable(skb)))
		return vnet_tx_send_niovs(txq, skb, hdr, pushed, slot);

	err = vnet_chain_begin(&c, txq, slot);
	if (unlikely(err))
		return err;

	vnet_tx_put_head(&c, skb, hdr, txq->hdr_ctx.hdr_len, pushed);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++)
		vnet_chain_put_frag(&c, &skb_shinfo(skb)->frags[i]);

	return vnet_chain_send(txq, &c, slot);
}

/* Write the header, describe the packet and give it to the device. */
static int vnet_tx_send_skb(struct vnet_txq *txq, struct sk_buff *skb, u16 slot)
{
	u8 hdr_len = txq->hdr_ctx.hdr_len;
	struct vnet_hdr *hdr;
	unsigned int nr;
	bool push;
	int err;

	if (unlikely(skb->len > txq->max_len) && !skb_is_gso(skb) &&
	    vnet_size_too_long(txq->max_len, skb->data, skb_headlen(skb),
			       skb->len))
		return -EMSGSIZE;

	push = vnet_tx_can_push(txq, skb);
	hdr = likely(push) ? (void *)(skb->data - hdr_len) :
			     vnet_tx_hdr(txq, slot);
	err = vnet_hdr_from_skb(hdr, skb, &txq->hdr_ctx);
	if (unlikely(err))
		return err;

	if (likely(push && !skb_is_nonlinear(skb)))
		return vnet_chain_send_linear(txq, hdr, hdr_len + skb->len,
					      slot);

	nr = vnet_tx_pieces(skb, push);
	if (unlikely(nr > txq->max_skb_sg && skb_is_nonlinear(skb))) {
		err = skb_linearize(skb);
		/* It has another head now: begin anew. */
		if (!err)
			return vnet_tx_send_skb(txq, skb, slot);
		if (nr > txq->max_sg)
			return err;
	}
	/* No chain is longer than its ring, indirect or not. */
	if (unlikely(nr > txq->max_sg))
		return -EMSGSIZE;

	return vnet_tx_send_pieces(txq, skb, hdr, push, slot);
}

static void vnet_tx_count(struct vnet_txq *txq, const struct sk_buff *skb)
{
	const struct skb_shared_info *si = skb_shinfo(skb);
	struct vnet_txq_stats *s = &txq->stats;
	u32 segs, hdr_len;

	if (!skb_is_gso(skb)) {
		vnet_txs_add(s, skb->ip_summed == CHECKSUM_PARTIAL ?
			     VNET_TXS_NEEDS_CSUM : VNET_TXS_CSUM_NONE, 1);
		return;
	}

	hdr_len = vnet_hdr_exact_len(skb, si->gso_type & SKB_GSO_UDP_L4 ?
				     VNET_HDR_GSO_UDP_L4 : VNET_HDR_GSO_TCPV4);
	segs = si->gso_segs ? : DIV_ROUND_UP(skb->len - hdr_len, si->gso_size);
	vnet_txs_add(s, VNET_TXS_NEEDS_CSUM, 1);
	vnet_txs_add(s, VNET_TXS_GSO_PACKETS, 1);
	vnet_txs_add(s, VNET_TXS_GSO_BYTES, skb->len);
	vnet_txs_add(s, VNET_TXS_GSO_WIRE_PACKETS, segs);
	vnet_txs_add(s, VNET_TXS_GSO_WIRE_BYTES,
		     skb->len + (segs - 1) * hdr_len);
}

static bool vnet_txq_has_room(const struct vnet_txq *txq)
{
	/* Ours is never stopped at none: it takes one entry for each packet. */
	if (likely(vnet_vq_own(&txq->q)))
		return txq->mem.slots.nr_free >= txq->stop_at;

	return txq->q.vq->num_free >= txq->stop_at && txq->mem.slots.nr_free;
}

/*
 * The xmit lock is held, so completion cannot have missed the stop; what it
 * needs is a notification.
 */
static noinline void vnet_txq_stop(struct vnet_txq *txq)
{
	netif_tx_stop_queue(txq->nq);
	vnet_txs_add(&txq->stats, VNET_TXS_STOP, 1);
	if (vnet_vq_arm_delayed(&txq->q))
		napi_schedule(&txq->napi);
	else
		vnet_vq_sleeps(&txq->q, &txq->wrap);
}

/* Stop the queue when the next packet may not fit. */
static void vnet_txq_stop_if_full(struct vnet_txq *txq)
{
	if (unlikely(!vnet_txq_has_room(txq)))
		vnet_txq_stop(txq);
}

static enum skb_drop_reason vnet_tx_reason(int err)
{
	switch (err) {
	case -ENOMEM:
	case -ENOSPC:
		return SKB_DROP_REASON_NOMEM;
	case -EIO:
		return SKB_DROP_REASON_DEV_READY;
	case -EMSGSIZE:
		return SKB_DROP_REASON_PKT_TOO_BIG;
	case -EOPNOTSUPP:
		return SKB_DROP_REASON_NOT_SPECIFIED;
	default:
		return SKB_DROP_REASON_SKB_GSO_SEG;
	}
}

/* Will a completion make room? Else @txq must not be stopped. */
static bool vnet_txq_in_flight(const struct vnet_txq *txq)
{
	if (!txq->mem.slots.nr_free)
		return true;

	return vnet_vq_own(&txq->q) ?
		txq->mem.slots.nr_free < txq->mem.slots.nr :
		txq->q.vq->num_free < virtqueue_get_vring_size(txq->q.vq);
}

/*
 * The device did not take @skb. The doorbell that earlier packets left to this
 * one must be rung all the same. A packet that found no room waits for the next
 * completion, also where there was room for most (its indirect table found no
 * memory): the stack would ask again at once.
 */
static netdev_tx_t vnet_tx_refuse(struct vnet_txq *txq, struct sk_buff *skb,
				  int err)
{
	vnet_txq_kick(txq);
	if (err == -ENOSPC && likely(vnet_txq_in_flight(txq))) {
		vnet_txs_add(&txq->stats, VNET_TXS_BUSY, 1);
		vnet_txq_stop(txq);
		return NETDEV_TX_BUSY;
	}

	if (err == -EIO)
		vnet_recovery_request_vq(txq->vd, VNET_RESET_BROKEN_RING,
					 vnet_vq_tx_index(txq->index));
	vnet_txs_add(&txq->stats, VNET_TXS_DROPS, 1);
	dev_kfree_skb_any_reason(skb, vnet_tx_reason(err));

	return NETDEV_TX_OK;
}

/**
 * struct vnet_tx_done - what one completion run has finished
 * @skbs: packets of the stack, for byte queue limits
 * @skb_bytes: their bytes
 * @frames: all others: frames of XDP, orphans
 * @frame_bytes: their bytes
 * @budget: NAPI budget, 0 outside of NAPI
 * @what: frames are released now, or put aside
 * @bulk: frames of other page pools, returned together
 */
struct vnet_tx_done {
	u32 skbs;
	u32 skb_bytes;
	u32 frames;
	u32 frame_bytes;
	int budget;
	enum vnet_tx_reap what;
	struct xdp_frame_bulk bulk;
};

/*
 * A frame that shares its page with others, as those of vnet do, needs no more
 * than to be subtracted from the page's users; the last one is for the bulk.
 */
static __always_inline bool vnet_tx_unref_frame(struct xdp_frame *frame)
{
	struct page *page;

	if (unlikely(vnet_compat_frame_mem_type(frame) != MEM_TYPE_PAGE_POOL ||
		     xdp_frame_has_frags(frame)))
		return false;

	page = virt_to_head_page(frame->data);
	if (unlikely(vnet_compat_pp_users(page) == 1))
		return false;
	if (unlikely(!page_pool_unref_page(page, 1)))
		page_pool_put_unrefed_page(vnet_compat_page_pool(page), page,
					   -1, false);

	return true;
}

/*
 * Not the time to release a frame: its slot keeps it until NAPI runs, which is
 * scheduled. AF_XDP gets its frames back in the order of their slots anyway.
 */
static noinline bool vnet_txq_set_aside(struct vnet_txq *txq,
					struct vnet_tx_buf *buf)
{
	struct vnet_tx_mem *mem = &txq->mem;

	mem->late = true;
	if (buf->type == VNET_TX_XSK) {
		buf->type = VNET_TX_XSK_DONE;
		return false;
	}

	buf->next = mem->aside;
	mem->aside = buf - mem->bufs + 1;

	return false;
}

/* Release what @buf holds, no packet of the stack. Is its slot free now? */
static noinline bool vnet_txq_complete_frame(struct vnet_txq *txq,
					     struct vnet_tx_buf *buf,
					     struct vnet_tx_done *done)
{
	done->frames++;
	done->frame_bytes += buf->bytes;
	if (buf->type == VNET_TX_ORPHAN) {
		napi_consume_skb(buf->skb, done->budget);
		return true;
	}
	if (likely(buf->type == VNET_TX_BACK)) {
		txq->mem.home[txq->mem.nr_home++] = buf->back;
		return true;
	}
	if (unlikely(done->what == VNET_TX_REAP_SKBS))
		return vnet_txq_set_aside(txq, buf);

	if (buf->type == VNET_TX_XSK) {
		/* vnet_xsk_complete() frees the slot when its turn has come. */
		buf->type = VNET_TX_XSK_DONE;
		return false;
	}

	if (unlikely(!vnet_tx_unref_frame(buf->xdpf)))
		xdp_return_frame_bulk(buf->xdpf, &done->bulk);

	return true;
}

/* The completion: release what @buf holds and free its slot. */
static __always_inline void vnet_txq_complete(struct vnet_txq *txq,
					      struct vnet_tx_buf *buf,
					      struct vnet_tx_done *done)
{
	if (likely(buf->type == VNET_TX_SKB)) {
		done->skbs++;
		done->skb_bytes += buf->bytes;
		napi_consume_skb(buf->skb, done->budget);
	} else if (!vnet_txq_complete_frame(txq, buf, done)) {
		return;
	}

	vnet_slots_put(&txq->mem.slots, buf - txq->mem.bufs);
}

/* What earlier runs put aside, and what AF_XDP gets back in order. */
static noinline void vnet_txq_reap_late(struct vnet_txq *txq)
{
	txq->mem.late = false;
	vnet_txmem_put_aside(&txq->mem);
	if (txq->mem.xsk)
		vnet_xsk_complete(&txq->mem);
}

/* Take one slot that the device is done with, or NULL. */
static __always_inline struct vnet_tx_buf *vnet_txq_get(struct vnet_txq *txq,
							bool own)
{
	u32 len;
	int slot;

	if (!own)
		return vnet_vq_get(&txq->q, &len);

	slot = vnet_vq_get_own(&txq->q, &len);

	return likely(slot >= 0) ? &txq->mem.bufs[slot] : NULL;
}

/* The device has broken the rules: nothing more comes out of this ring. */
static noinline void vnet_txq_broken(struct vnet_txq *txq)
{
	vnet_recovery_request_vq(txq->vd, VNET_RESET_BROKEN_RING,
				 vnet_vq_tx_index(txq->index));
}

/* Complete what the device has sent, for a queue whose packets are mapped. */
static noinline void vnet_txq_complete_mapped(struct vnet_txq *txq,
					      struct vnet_tx_done *done)
{
	struct vnet_tx_buf *buf;

	while ((buf = vnet_txq_get(txq, true))) {
		vnet_chain_unmap(&txq->mem, buf - txq->mem.bufs);
		vnet_txq_complete(txq, buf, done);
	}
}

/* The same by the core's engine */
static noinline void vnet_txq_complete_core(struct vnet_txq *txq,
					    struct vnet_tx_done *done)
{
	struct vnet_tx_buf *buf;

	while ((buf = vnet_txq_get(txq, false)))
		vnet_txq_complete(txq, buf, done);
}

/**
 * vnet_txq_reap() - take back what the device has sent
 * @txq: transmit queue
 * @budget: NAPI budget, 0 outside of NAPI
 * @what: what may be released now
 *
 * Wakes the stack when there is room.
 *
 * Context: xmit lock of @txq, softirqs off.
 * Return: whether anything was taken back.
 */
bool vnet_txq_reap(struct vnet_txq *txq, int budget, enum vnet_tx_reap what)
{
	struct vnet_txq_stats *s = &txq->stats;
	struct vnet_tx_done done;
	struct vnet_tx_buf *buf;

	memset(&done, 0, offsetof(struct vnet_tx_done, bulk));
	done.budget = budget;
	done.what = what;
	xdp_frame_bulk_init(&done.bulk);
	rcu_read_lock();
	if (unlikely(!vnet_vq_own(&txq->q)))
		vnet_txq_complete_core(txq, &done);
	else if (unlikely(txq->mem.maps))
		vnet_txq_complete_mapped(txq, &done);
	else
		while ((buf = vnet_txq_get(txq, true)))
			vnet_txq_complete(txq, buf, &done);
	if (unlikely(txq->q.ring.bad))
		vnet_txq_broken(txq);
	xdp_flush_frame_bulk(&done.bulk);
	rcu_read_unlock();

	if (!done.skbs && !done.frames && likely(!txq->mem.late))
		return false;

	if (unlikely(txq->mem.xsk || txq->mem.late)) {
		if (what == VNET_TX_REAP_ALL)
			vnet_txq_reap_late(txq);
		else
			napi_schedule(&txq->napi);
	}

	u64_stats_update_begin(&s->syncp);
	u64_stats_add(&s->v[VNET_TXS_PACKETS], done.skbs + done.frames);
	u64_stats_add(&s->v[VNET_TXS_BYTES], done.skb_bytes + done.frame_bytes);
	u64_stats_update_end(&s->syncp);

	vnet_coalesce_tx_sample(txq);
	netdev_tx_completed_queue(txq->nq, done.skbs, done.skb_bytes);
	if (unlikely(netif_tx_queue_stopped(txq->nq)) && txq->up &&
	    vnet_txq_has_room(txq)) {
		netif_tx_wake_queue(txq->nq);
		vnet_txs_add(s, VNET_TXS_WAKE, 1);
	}

	return true;
}

/*
 * tx-frames 0: nobody will be told when @skb is completed, so nobody may wait
 * for it and nothing that it refers to may be gone by then: it lets go of
 * socket, user's pages, connection, route (a queueing discipline may have kept
 * it) and extensions. What earlier packets held is freed now.
 */
static int vnet_tx_orphan(struct vnet_txq *txq, struct sk_buff *skb)
{
	vnet_txq_reap(txq, 0, VNET_TX_REAP_SKBS);
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return -ENOMEM;

	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_ext_reset(skb);

	return 0;
}

/*
 * The straight path is for a packet that lies in one piece, has room for the
 * header in front and asks the device for no more than a checksum, where we do not
 * map: what it does is what vnet_tx_send_skb() and vnet_tx_count() do.
 */
static __always_inline bool vnet_tx_is_plain(const struct vnet_txq *txq,
					     const struct sk_buff *skb)
{
	return txq->straight && !skb_is_nonlinear(skb) && !skb_is_gso(skb) &&
	       (skb->ip_summed != CHECKSUM_PARTIAL || txq->hdr_ctx.csum) &&
	       skb->len <= txq->max_len && !skb_header_cloned(skb) &&
	       skb_headroom(skb) >= VNET_HDR_LEN_V1 &&
	       IS_ALIGNED((unsigned long)skb->data,
			  __alignof__(struct vnet_hdr));
}

static __always_inline int vnet_tx_send_plain(struct vnet_txq *txq,
					      struct sk_buff *skb, u16 slot)
{
	bool csum = skb->ip_summed == CHECKSUM_PARTIAL;
	void *hdr = skb->data - VNET_HDR_LEN_V1;
	u32 len = VNET_HDR_LEN_V1 + skb->len;
	int err = 0;

	vnet_hdr_zero(hdr, VNET_HDR_LEN_V1);
	if (csum)
		vnet_hdr_put_csum(hdr, skb, txq->hdr_ctx.le);
	if (likely(vnet_vq_own(&txq->q)))
		vnet_vq_send_own(&txq->q, slot, virt_to_phys(hdr), len);
	else
		err = vnet_chain_send_one(txq, hdr, len, slot);
	if (likely(!err))
		vnet_txs_add(&txq->stats, csum ? VNET_TXS_NEEDS_CSUM :
						 VNET_TXS_CSUM_NONE, 1);

	return err;
}

/* All other packets */
static noinline int vnet_tx_send_any(struct vnet_txq *txq, struct sk_buff *skb,
				     u16 slot)
{
	int err = vnet_tx_send_skb(txq, skb, slot);

	if (likely(!err))
		vnet_tx_count(txq, skb);

	return err;
}

/* Transmit a packet; inlined once for each @type, so that neither pays. */
static __always_inline netdev_tx_t
vnet_txq_xmit(struct vnet_txq *txq, struct sk_buff *skb, enum vnet_tx_type type)
{
	bool more = netdev_xmit_more();
	struct vnet_tx_buf *buf;
	int err = -ENOSPC;
	bool kick;
	u16 slot;

	if (likely(txq->mem.slots.nr_free)) {
		slot = vnet_slots_take(&txq->mem.slots);
		if (vnet_tx_is_plain(txq, skb))
			err = vnet_tx_send_plain(txq, skb, slot);
		else
			err = vnet_tx_send_any(txq, skb, slot);
		if (unlikely(err))
			vnet_slots_put(&txq->mem.slots, slot);
	}
	if (unlikely(err))
		return vnet_tx_refuse(txq, skb, err);

	buf = &txq->mem.bufs[slot];
	buf->skb = skb;
	buf->bytes = skb->len;
	buf->type = type;

	if (type == VNET_TX_SKB)
		skb_tx_timestamp(skb);
	vnet_txq_stop_if_full(txq);
	if (type == VNET_TX_ORPHAN)
		kick = !more || netif_xmit_stopped(txq->nq);
	else
		kick = __netdev_tx_sent_queue(txq->nq, skb->len, more);
	if (kick)
		vnet_txq_kick(txq);

	return NETDEV_TX_OK;
}

/*
 * tx-frames 0, and a packet that only a provider can read: it cannot be copied,
 * and so not let go of. Somebody waits for its completion.
 */
static noinline netdev_tx_t vnet_txq_xmit_kept(struct vnet_txq *txq,
					       struct sk_buff *skb)
{
	netdev_tx_t ret;

	vnet_txq_reap(txq, 0, VNET_TX_REAP_SKBS);
	ret = vnet_txq_xmit(txq, skb, VNET_TX_SKB);
	if (vnet_vq_arm(&txq->q))
		napi_schedule(&txq->napi);
	else
		vnet_vq_sleeps(&txq->q, &txq->wrap);

	return ret;
}

/*
 * Nobody sends to a queue that is not up, even if somebody has woken it: it may
 * have no virtqueue. Who brings it up wakes it again.
 */
static noinline netdev_tx_t vnet_txq_xmit_special(struct vnet_txq *txq,
						  struct sk_buff *skb)
{
	if (txq->closed) {
		netif_tx_stop_queue(txq->nq);
		return NETDEV_TX_BUSY;
	}

	if (txq->quiet) {
		txq->quiet = false;
		vnet_watch_wake(txq->vd);
		if (!txq->orphan)
			return vnet_txq_xmit(txq, skb, VNET_TX_SKB);
	}

	if (unlikely(!skb_frags_readable(skb)))
		return vnet_txq_xmit_kept(txq, skb);

	/* Who is told of the time is let go of; one that returns has been told. */
	skb_tx_timestamp(skb);
	if (unlikely(vnet_tx_orphan(txq, skb)))
		return vnet_tx_refuse(txq, skb, -ENOMEM);

	return vnet_txq_xmit(txq, skb, VNET_TX_ORPHAN);
}

/**
 * vnet_tx_offer_netmem() - say whether packets of memory providers can be sent
 * @vd: device with virtqueues, net device not registered
 *
 * Only the device can sum them up. Where buffers have to be mapped it takes the
 * engine that leaves mapping to us.
 */
void vnet_tx_offer_netmem(struct vnet_dev *vd)
{
	const struct vnet_caps *caps = &vd->caps;

	if (caps->csum && !vnet_compat_own_map(vd->vdev) &&
	    (!vd->dma_dev || (caps->indirect && !caps->packed)))
		vnet_compat_netmem_tx(vd->dev);
}

/**
 * vnet_ndo_xmit() - transmit a packet
 * @skb: packet; consumed unless %NETDEV_TX_BUSY is returned
 * @dev: net device
 *
 * Context: xmit lock of the packet's queue, softirqs off.
 * Return: %NETDEV_TX_OK, or %NETDEV_TX_BUSY when the ring was full, or the queue
 * not up, although it was not stopped.
 */
netdev_tx_t vnet_ndo_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_txq *txq = &vd->txqs[skb_get_queue_mapping(skb)];

	if (unlikely(txq->special))
		return vnet_txq_xmit_special(txq, skb);

	return vnet_txq_xmit(txq, skb, VNET_TX_SKB);
}

/*
 * Ask for the next completion; an orphaning queue waits only when it is stopped
 * or has a pool of AF_XDP.
 */
static bool vnet_txq_arm(struct vnet_txq *txq)
{
	if (unlikely(txq->orphan && !txq->mem.xsk &&
		     !netif_xmit_stopped(txq->nq)))
		return false;

	return vnet_vq_arm_delayed(&txq->q);
}

/*
 * The poll ends: ask for the next completion, or let the timer look for it when
 * there were some. Returns true to be polled again.
 */
static __always_inline bool vnet_txq_wait(struct vnet_txq *txq, bool done)
{
	bool more;

	if (unlikely(READ_ONCE(txq->waits)) && done) {
		more = vnet_moder_hold(&txq->moder, &txq->q);
	} else {
		more = vnet_txq_arm(txq);
		if (likely(!more))
			vnet_vq_sleeps(&txq->q, &txq->wrap);
	}
	if (unlikely(more))
		vnet_vq_disarm(&txq->q);

	return more;
}

/**
 * vnet_txq_set_orphan() - have packets completed by the next packet, or by NAPI
 * @txq: transmit queue
 * @on: by the next packet (tx-frames 0)
 *
 * Packets in flight are completed the way they were sent.
 *
 * Context: process; instance lock held.
 */
void vnet_txq_set_orphan(struct vnet_txq *txq, bool on)
{
	if (txq->orphan == on)
		return;

	__netif_tx_lock_bh(txq->nq);
	txq->orphan = on;
	if (txq->up)
		vnet_vq_disarm(&txq->q);
	__netif_tx_unlock_bh(txq->nq);

	/* The poll asks for notifications again, if it wants them. */
	if (!txq->polled)
		return;
	local_bh_disable();
	napi_schedule(&txq->napi);
	local_bh_enable();
}

/**
 * vnet_txq_poll() - complete transmitted packets
 * @napi: NAPI of the transmit queue
 * @budget: 0 from netpoll, which may hold the xmit lock already
 *
 * Context: softirq, or the thread that owns @napi.
 * Return: @budget to be polled again, else 0.
 */
int vnet_txq_poll(struct napi_struct *napi, int budget)
{
	struct vnet_txq *txq = container_of(napi, struct vnet_txq, napi);
	bool pending, done;

	if (unlikely(!budget)) {
		if (!__netif_tx_trylock(txq->nq))
			return 0;
		vnet_txq_reap(txq, 0, VNET_TX_REAP_SKBS);
		__netif_tx_unlock(txq->nq);
		return 0;
	}

	__netif_tx_lock(txq->nq, smp_processor_id());
	done = vnet_txq_reap(txq, budget, VNET_TX_REAP_ALL);
	pending = unlikely(txq->mem.xsk) && vnet_xsk_send(txq, budget);
	if (likely(!pending))
		pending = vnet_txq_wait(txq, done);
	__netif_tx_unlock(txq->nq);

	if (unlikely(pending))
		return budget;

	napi_complete_done(napi, 0);

	return 0;
}

/* A receive slot that will not be sent any more; its poll may run. */
static void vnet_txq_reclaim_back(struct vnet_txq *txq,
				  const struct vnet_tx_buf *buf)
{
	__netif_tx_lock_bh(txq->nq);
	txq->mem.home[txq->mem.nr_home++] = buf->back;
	__netif_tx_unlock_bh(txq->nq);
}

/**
 * vnet_txq_reclaim() - give up a packet that the device will not complete
 * @vq: transmit virtqueue, reset or about to be deleted
 * @token: its slot
 *
 * Matches the recycle callback of the virtio core.
 *
 * Context: process, NAPI off, no xmit running, instance lock held.
 */
void vnet_txq_reclaim(struct virtqueue *vq, void *token)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_txq *txq = &vd->txqs[vnet_vq_pair(vq)];
	struct vnet_tx_buf *buf = token;

	vnet_txs_add(&txq->stats, VNET_TXS_PURGED, 1);
	if (txq->mem.maps)
		vnet_chain_unmap(&txq->mem, buf - txq->mem.bufs);
	if (buf->type == VNET_TX_XSK) {
		vnet_xsk_reclaim(txq, buf);
		return;
	}

	if (buf->type == VNET_TX_SKB || buf->type == VNET_TX_ORPHAN)
		dev_kfree_skb_any_reason(buf->skb, SKB_DROP_REASON_QUEUE_PURGE);
	else if (buf->type == VNET_TX_BACK)
		vnet_txq_reclaim_back(txq, buf);
	else
		xdp_return_frame(buf->xdpf);

	vnet_slots_put(&txq->mem.slots, buf - txq->mem.bufs);
}
