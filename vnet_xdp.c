// SPDX-License-Identifier: GPL-2.0
/*
 * XDP on every device: run a program over the buffers of a packet, send frames
 * back in bulk on the ordinary queues, take frames from other devices.
 */
#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/ethtool.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <net/checksum.h>

#include "vnet.h"
#include "vnet_rx.h"
#include "vnet_rxbuf.h"
#include "vnet_trace.h"
#include "vnet_tx.h"
#include "vnet_xdp.h"
#include "vnet_xsk.h"

static struct vnet_rxq *vnet_xdp_rxq(const struct xdp_buff *xdp)
{
	return container_of(xdp->rxq, struct vnet_rxq, xdp_rxq);
}

static int vnet_xdp_rx_hash(const struct xdp_md *ctx, u32 *hash,
			    enum xdp_rss_hash_type *type)
{
	const struct xdp_buff *xdp = (const void *)ctx;
	const struct vnet_rxq *rxq = vnet_xdp_rxq(xdp);

	if (!rxq->rx_hash)
		return -ENODATA;

	*type = vnet_hash_xdp_type(vnet_hdr_hash_report(&rxq->pkt.hdr));
	*hash = vnet_hdr_hash(&rxq->pkt.hdr);

	return *type == XDP_RSS_TYPE_NONE ? -ENODATA : 0;
}

static const struct xdp_metadata_ops vnet_xdp_metadata_ops = {
	.xmo_rx_hash	= vnet_xdp_rx_hash,
};

/*
 * The device left the checksum to us, but a program must see the packet as on
 * the wire: complete it. Bounds are checked against the first buffer.
 */
static enum vnet_rx_fault vnet_xdp_finish_csum(struct vnet_rxq *rxq,
					       struct vnet_rx_pkt *pkt)
{
	u32 start = vnet_hdr_get16(rxq->hdr_ctx.le, pkt->hdr.csum_start);
	u32 field = start + vnet_hdr_get16(rxq->hdr_ctx.le,
					   pkt->hdr.csum_offset);
	__wsum sum = 0;
	__sum16 csum;
	u32 done = 0;
	void *data;
	u16 i;

	/* Where something else stands in its place, no checksum is to be seen. */
	if (vnet_hdr_stray_csum(&pkt->hdr, &rxq->hdr_ctx) ||
	    (pkt->hdr.flags & VNET_HDR_RSC_INFO && rxq->hdr_ctx.rsc_ext) ||
	    start < ETH_HLEN || field + sizeof(csum) > pkt->lens[0])
		return VNET_RX_BAD_CSUM;

	for (i = 0; i < pkt->nr; i++) {
		u32 skip = i ? 0 : start;

		data = vnet_rx_data(rxq, pkt, i);
		sum = csum_block_add(sum, csum_partial(data + skip,
						       pkt->lens[i] - skip, 0),
				     done);
		done += pkt->lens[i] - skip;
	}

	csum = csum_fold(sum);
	if (!csum)
		csum = CSUM_MANGLED_0;
	memcpy(vnet_rx_data(rxq, pkt, 0) + field, &csum, sizeof(csum));
	pkt->hdr.flags = VNET_HDR_DATA_VALID;

	return VNET_RX_OK;
}

/* The other buffers of @pkt become frags of @xdp and leave their slots. */
static noinline void vnet_xdp_build_frags(struct vnet_rx_pkt *pkt,
					  struct xdp_buff *xdp)
{
	struct skb_shared_info *si = xdp_get_shared_info_from_buff(xdp);
	u16 i;

	vnet_compat_xdp_frags_init(si);
	for (i = 1; i < pkt->nr; i++) {
		struct vnet_rx_buf *frag = pkt->bufs[i];

		if (unlikely(!pkt->lens[i]))
			continue;

		skb_frag_fill_page_desc(&si->frags[si->nr_frags++], frag->page,
					vnet_rxbuf_offset(frag), pkt->lens[i]);
		vnet_compat_xdp_frags_add(si, pkt->lens[i], frag->truesize);
		if (page_is_pfmemalloc(frag->page))
			xdp_buff_set_frag_pfmemalloc(xdp);
		frag->page = NULL;
	}
	if (si->nr_frags)
		xdp_buff_set_frags_flag(xdp);
}

static bool vnet_xdp_is_xsk(const struct xdp_buff *xdp)
{
	return xdp->rxq->mem.type == MEM_TYPE_XSK_BUFF_POOL;
}

/*
 * The packet goes nowhere. One buffer stays in its slot; of several, some may
 * have been released by the program already, so all go back to their pools.
 */
static void vnet_xdp_put_buff(struct vnet_rx_pkt *pkt, struct xdp_buff *xdp)
{
	if (likely(!xdp_buff_has_frags(xdp)))
		return;

	if (vnet_xdp_is_xsk(xdp))
		xsk_buff_free(xdp);
	else
		xdp_return_buff(xdp);
	pkt->bufs[0]->page = NULL;
}

/* A packet that the device merged has no form on the wire to be sent in. */
static bool vnet_xdp_is_merged(const struct vnet_rx_pkt *pkt)
{
	return pkt->hdr.gso_type != VNET_HDR_GSO_NONE;
}

static noinline enum vnet_rx_fault vnet_xdp_refuse(struct vnet_rx_pkt *pkt,
						   struct xdp_buff *xdp)
{
	vnet_xdp_put_buff(pkt, xdp);

	return VNET_RX_XDP_BAD;
}

/* The program passed the packet: build the skb of what it made of it. */
static noinline enum vnet_rx_fault vnet_xdp_pass(struct vnet_rx_pkt *pkt,
						 struct xdp_buff *xdp)
{
	struct skb_shared_info *si = xdp_get_shared_info_from_buff(xdp);
	u32 metasize = xdp->data - xdp->data_meta;
	u32 size = 0, truesize = 0;
	struct sk_buff *skb;
	u8 nr_frags = 0;

	if (unlikely(vnet_xdp_is_xsk(xdp)))
		return vnet_xsk_copy(vnet_xdp_rxq(xdp), pkt, xdp);

	if (xdp_buff_has_frags(xdp)) {
		nr_frags = si->nr_frags;
		size = si->xdp_frags_size;
		truesize = vnet_compat_xdp_frags_truesize(xdp, si);
	}

	skb = napi_build_skb(xdp->data_hard_start, xdp->frame_sz);
	if (unlikely(!skb)) {
		vnet_xdp_put_buff(pkt, xdp);
		return VNET_RX_NOMEM;
	}

	pkt->bufs[0]->page = NULL;
	skb_mark_for_recycle(skb);
	skb_reserve(skb, xdp->data - xdp->data_hard_start);
	__skb_put(skb, xdp->data_end - xdp->data);
	if (metasize)
		skb_metadata_set(skb, metasize);
	if (nr_frags)
		vnet_compat_xdp_frags_to_skb(skb, nr_frags, size, truesize,
					     xdp);

	pkt->skb = skb;

	return VNET_RX_OK;
}

/*
 * Of several AF_XDP frames the core gives a socket all, but a device or CPU a
 * copy of the first.
 */
static bool vnet_xdp_would_cut(struct xdp_buff *xdp)
{
	return xdp_buff_has_frags(xdp) && vnet_xdp_is_xsk(xdp) &&
	       bpf_net_ctx_get_ri()->map_type != BPF_MAP_TYPE_XSKMAP;
}

/**
 * vnet_xdp_redirect_failed() - nobody has taken a packet that was redirected
 * @vxb: program
 * @xdp: the packet
 * @pkt: the packet; a frame of AF_XDP leaves its slot
 *
 * Context: NAPI of the queue.
 * Return: the fault to account.
 */
enum vnet_rx_fault vnet_xdp_redirect_failed(struct vnet_xdp_buff *vxb,
					    struct xdp_buff *xdp,
					    struct vnet_rx_pkt *pkt)
{
	struct vnet_rxq *rxq = vxb->rxq;

	trace_xdp_exception(rxq->vd->dev, vxb->prog, XDP_REDIRECT);
	vnet_xdp_put_buff(pkt, xdp);
	/* A socket without room has freed it; once more does no harm. */
	if (rxq->mem.xsk && pkt->bufs[0]->xdp) {
		xsk_buff_free(xdp);
		pkt->bufs[0]->xdp = NULL;
	}

	return VNET_RX_XDP_REDIRECT;
}

/* Give the packet to another device or CPU, or to a socket. */
static enum vnet_rx_fault vnet_xdp_redirect(struct vnet_xdp_buff *vxb,
					    struct xdp_buff *xdp,
					    struct vnet_rx_pkt *pkt)
{
	struct vnet_rxq *rxq = vxb->rxq;

	if (unlikely(vnet_xdp_would_cut(xdp) ||
		     xdp_do_redirect(rxq->vd->dev, xdp, vxb->prog)))
		return vnet_xdp_redirect_failed(vxb, xdp, pkt);

	pkt->bufs[0]->page = NULL;
	vnet_rxs_add(&rxq->stats, VNET_RXS_XDP_REDIRECTS, 1);

	return VNET_RX_OK;
}

/*
 * Receive slots that the twin of @rxq is done with are free again. Their buffers
 * are still there: where nothing needs syncing, they are offered as they are.
 */
static void vnet_xdp_fetch_home(struct vnet_rxq *rxq, struct vnet_tx_mem *twin)
{
	bool own = vnet_vq_own(&rxq->q) && !rxq->mem.sync;

	rxq->mem.away -= twin->nr_home;
	while (twin->nr_home) {
		u16 slot = twin->home[--twin->nr_home];

		if (likely(own))
			vnet_vring_offer(&rxq->q.ring, slot);
		else
			vnet_slots_put(&rxq->mem.slots, slot);
	}
}

/* The ring was full: the packet is dropped, and was counted too early. */
static noinline void vnet_xdp_drop_back(struct vnet_rxq *rxq,
					struct vnet_rx_ctx *ctx,
					const struct vnet_back *back)
{
	vnet_slots_put(&rxq->mem.slots, back->buf->slot);
	rxq->mem.away--;
	ctx->hot[VNET_RXS_PACKETS]--;
	ctx->hot[VNET_RXS_BYTES] -= back->received;
	vnet_rxs_add(&rxq->stats, VNET_RXS_FAULT + VNET_RX_XDP_TX, 1);
	trace_vnet_rx_drop(rxq->vd->dev, rxq->index,
			   vnet_rx_faults[VNET_RX_XDP_TX].name, back->received,
			   1);
}

/*
 * Send the collected packets back, under the lock of the queue's twin, and fetch
 * the slots that it is done with.
 */
static void vnet_xdp_flush_tx(struct vnet_rxq *rxq, struct vnet_rx_ctx *ctx)
{
	struct vnet_txq *txq = &rxq->vd->txqs[rxq->index];
	u32 nr = rxq->nr_back, sent = 0, i;

	__netif_tx_lock(txq->nq, smp_processor_id());
	if (likely(nr))
		sent = vnet_txq_send_back(txq, rxq->back, nr);
	vnet_xdp_fetch_home(rxq, &txq->mem);
	__netif_tx_unlock(txq->nq);

	for (i = sent; i < nr; i++)
		vnet_xdp_drop_back(rxq, ctx, &rxq->back[i]);
	if (likely(sent))
		vnet_rxs_add(&rxq->stats, VNET_RXS_XDP_TX, sent);
	rxq->nr_back = 0;
}

/* Several buffers, or a frame of AF_XDP, go as a frame of the XDP core. */
static noinline enum vnet_rx_fault vnet_xdp_tx_frame(struct vnet_rxq *rxq,
						     struct vnet_rx_pkt *pkt,
						     struct bpf_prog *prog,
						     struct xdp_buff *xdp)
{
	struct vnet_txq *txq = &rxq->vd->txqs[rxq->index];
	struct xdp_frame *frame = NULL;
	u32 sent, lost = 0;

	/* A frame of AF_XDP is copied into a page of its own; several are not. */
	if (likely(!rxq->mem.xsk || !xdp_buff_has_frags(xdp)))
		frame = xdp_convert_buff_to_frame(xdp);
	if (unlikely(!frame)) {
		trace_xdp_exception(rxq->vd->dev, prog, XDP_TX);
		vnet_xdp_put_buff(pkt, xdp);
		return VNET_RX_XDP_TX;
	}

	pkt->bufs[0]->page = NULL;
	__netif_tx_lock(txq->nq, smp_processor_id());
	sent = vnet_txq_send_frames(txq, &frame, 1, true, &lost);
	__netif_tx_unlock(txq->nq);

	if (!sent)
		xdp_return_frame_rx_napi(frame);
	if (unlikely(!sent || lost))
		return VNET_RX_XDP_TX;

	vnet_rxs_add(&rxq->stats, VNET_RXS_XDP_TX, 1);

	return VNET_RX_OK;
}

/*
 * A packet of one buffer goes from its slot, which stays away until it was sent;
 * when half of the ring's are, the buffer goes alone.
 */
static enum vnet_rx_fault vnet_xdp_tx(struct vnet_rxq *rxq,
				      struct vnet_rx_pkt *pkt,
				      struct vnet_rx_ctx *ctx,
				      struct bpf_prog *prog,
				      struct xdp_buff *xdp)
{
	const struct vnet_txq *txq = &rxq->vd->txqs[rxq->index];
	u32 len = xdp->data_end - xdp->data;
	struct vnet_rx_mem *mem = &rxq->mem;

	if (unlikely(rxq->nr_back == VNET_XDP_BULK))
		vnet_xdp_flush_tx(rxq, ctx);
	if (unlikely(pkt->nr > 1 || mem->xsk || mem->away >= mem->most_away)) {
		if (rxq->nr_back)
			vnet_xdp_flush_tx(rxq, ctx);
		return vnet_xdp_tx_frame(rxq, pkt, prog, xdp);
	}

	if (unlikely(len > txq->max_len) &&
	    vnet_size_too_long(txq->max_len, xdp->data, len, len))
		return VNET_RX_XDP_TX;

	/* Tags of a VLAN do not count. */
	if (unlikely(!vnet_xdp_back(rxq, pkt->bufs[0], xdp, pkt->len, len)))
		return VNET_RX_XDP_TX;
	pkt->nr = 0;

	return VNET_RX_OK;
}

/*
 * A packet that is not simply one buffer: some cannot be shown to the program,
 * some must be repaired first.
 */
static noinline enum vnet_rx_fault
vnet_xdp_build_rest(struct vnet_xdp_buff *vxb, struct vnet_rx_pkt *pkt)
{
	struct vnet_rxq *rxq = vxb->rxq;
	enum vnet_rx_fault fault;

	if (unlikely(pkt->nr > 1 &&
		     (!vxb->prog->aux->xdp_has_frags ||
		      pkt->nr > MAX_SKB_FRAGS + 1)))
		return VNET_RX_XDP_BAD;

	if (pkt->hdr.flags & VNET_HDR_NEEDS_CSUM &&
	    pkt->hdr.gso_type == VNET_HDR_GSO_NONE) {
		fault = vnet_xdp_finish_csum(rxq, pkt);
		if (unlikely(fault))
			return fault;
	}

	if (pkt->nr == 1)
		return VNET_RX_OK;

	if (rxq->mem.xsk)
		return vnet_xsk_build_frags(rxq, pkt);

	vnet_xdp_build_frags(pkt, &vxb->xdp);

	return VNET_RX_OK;
}

/**
 * vnet_xdp_run() - run the program of a queue over one packet
 * @vxb: program and packet as XDP sees them; @vxb->rxq and @vxb->prog are set
 * @pkt: sound packet; what leaves for good leaves its slots
 * @ctx: state of the poll
 *
 * What the program passed is left in @pkt->skb for the stack. A packet that
 * the device merged (only where it cannot be told not to) can be
 * passed or dropped, but not sent elsewhere.
 *
 * Context: NAPI of the queue.
 * Return: %VNET_RX_OK when the packet is taken care of (dropped by the program
 * included), else the fault to account.
 */
enum vnet_rx_fault vnet_xdp_run(struct vnet_xdp_buff *vxb,
				struct vnet_rx_pkt *pkt,
				struct vnet_rx_ctx *ctx)
{
	struct bpf_prog *prog = vxb->prog;
	struct vnet_rxq *rxq = vxb->rxq;
	struct xdp_buff *xdp = &vxb->xdp;
	enum vnet_rx_fault fault;

	if (unlikely(rxq->mem.xsk)) {
		xdp = pkt->bufs[0]->xdp;
		xsk_buff_set_size(xdp, pkt->lens[0]);
	} else {
		vnet_xdp_build_head(rxq, pkt->bufs[0], pkt->lens[0], xdp);
	}
	if (unlikely(pkt->nr > 1 || pkt->hdr.flags & VNET_HDR_NEEDS_CSUM)) {
		fault = vnet_xdp_build_rest(vxb, pkt);
		if (unlikely(fault))
			return fault;
	}
	ctx->hot[VNET_RXS_XDP_PACKETS]++;

	return vnet_xdp_act(vxb, xdp, pkt, ctx, bpf_prog_run_xdp(prog, xdp));
}

/**
 * vnet_xdp_act() - do with a packet what the program has decided
 * @vxb: program
 * @xdp: the packet as the program left it
 * @pkt: the packet; what leaves for good leaves its slots
 * @ctx: state of the poll
 * @act: XDP_*
 *
 * Context: NAPI of the queue.
 * Return: as vnet_xdp_run().
 */
enum vnet_rx_fault vnet_xdp_act(struct vnet_xdp_buff *vxb, struct xdp_buff *xdp,
				struct vnet_rx_pkt *pkt,
				struct vnet_rx_ctx *ctx, u32 act)
{
	enum vnet_rx_fault fault = VNET_RX_OK;
	struct bpf_prog *prog = vxb->prog;
	struct vnet_rxq *rxq = vxb->rxq;

	switch (act) {
	case XDP_PASS:
		return vnet_xdp_pass(pkt, xdp);
	case XDP_TX:
		if (unlikely(vnet_xdp_is_merged(pkt)))
			return vnet_xdp_refuse(pkt, xdp);
		fault = vnet_xdp_tx(rxq, pkt, ctx, prog, xdp);
		break;
	case XDP_REDIRECT:
		if (unlikely(vnet_xdp_is_merged(pkt)))
			return vnet_xdp_refuse(pkt, xdp);
		ctx->xdp |= VNET_XDP_FLUSH_REDIRECT;
		fault = vnet_xdp_redirect(vxb, xdp, pkt);
		break;
	case XDP_DROP:
		vnet_xdp_put_buff(pkt, xdp);
		ctx->hot[VNET_RXS_XDP_DROPS]++;
		break;
	default:
		bpf_warn_invalid_xdp_action(rxq->vd->dev, prog, act);
		fallthrough;
	case XDP_ABORTED:
		trace_xdp_exception(rxq->vd->dev, prog, act);
		vnet_xdp_put_buff(pkt, xdp);
		ctx->hot[VNET_RXS_XDP_DROPS]++;
		return VNET_RX_XDP_ABORTED;
	}

	if (likely(!fault)) {
		ctx->hot[VNET_RXS_PACKETS]++;
		ctx->hot[VNET_RXS_BYTES] += pkt->len;
	}

	return fault;
}

/* Has the twin of @rxq slots of it that it is done with? */
static bool vnet_xdp_is_home(const struct vnet_rxq *rxq)
{
	return READ_ONCE(rxq->vd->txqs[rxq->index].mem.nr_home);
}

/* Once per poll of a queue that runs a program */
void vnet_xdp_flush(struct vnet_rxq *rxq, struct vnet_rx_ctx *ctx)
{
	if (rxq->nr_back || (rxq->mem.away && vnet_xdp_is_home(rxq)))
		vnet_xdp_flush_tx(rxq, ctx);
	if (ctx->xdp & VNET_XDP_FLUSH_REDIRECT)
		xdp_do_flush();
}

/**
 * vnet_ndo_xdp_xmit() - transmit frames that were redirected to this device
 * @dev: net device
 * @nr: number of frames
 * @frames: the frames; those sent are consumed
 * @flags: XDP_XMIT_FLUSH: notify the device
 *
 * Needs no program on @dev and no queue of its own: the CPU picks one of the
 * ordinary queues. A frame that no packet can be made of is consumed alone, and
 * counted as one that could not be sent.
 *
 * Context: softirqs off.
 * Return: frames sent, or -ENETDOWN, -EINVAL.
 */
int vnet_ndo_xdp_xmit(struct net_device *dev, int nr, struct xdp_frame **frames,
		      u32 flags)
{
	struct vnet_dev *vd = netdev_priv(dev);
	unsigned int pairs = READ_ONCE(dev->real_num_tx_queues);
	unsigned int cpu = smp_processor_id();
	struct vnet_txq *txq = &vd->txqs[cpu < pairs ? cpu : cpu % pairs];
	int sent = -ENETDOWN;
	u32 lost = 0;

	if (unlikely(flags & ~XDP_XMIT_FLAGS_MASK))
		return -EINVAL;

	__netif_tx_lock(txq->nq, cpu);
	if (likely(txq->up))
		sent = vnet_txq_send_frames(txq, frames, nr,
					    flags & XDP_XMIT_FLUSH, &lost);
	__netif_tx_unlock(txq->nq);

	return sent;
}

/**
 * vnet_xdp_check() - can this configuration run its program?
 * @cfg: configuration, with a program
 * @layout: how its buffers would be cut
 * @hdr_len: bytes of the virtio header in them
 * @extack: where a refusal is explained, or NULL
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int vnet_xdp_check(const struct vnet_cfg *cfg,
		   const struct vnet_rx_layout *layout, u8 hdr_len,
		   struct netlink_ext_ack *extack)
{
	u32 room = vnet_size_capacity(layout, hdr_len);
	u32 mtu = room - VNET_SIZE_L2;

	if (cfg->xdp->aux->xdp_has_frags || cfg->mtu <= mtu)
		return 0;

	NL_SET_ERR_MSG_FMT(extack,
			   "MTU %u takes several buffers: lower it to %u or load a program with frags support",
			   cfg->mtu, mtu);

	return -EOPNOTSUPP;
}

/* Tell the stack what this driver can do with XDP; before registration. */
void vnet_xdp_init(struct net_device *dev)
{
	dev->xdp_metadata_ops = &vnet_xdp_metadata_ops;
	dev->xdp_features = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT |
			    NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_RX_SG |
			    NETDEV_XDP_ACT_NDO_XMIT_SG;
	vnet_xsk_init(dev);
}
