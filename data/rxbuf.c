// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of the receive rings: page pools, slots, posting and taking back.
 *
 * Every buffer is a region of a page pool page, cut as
 * [headroom | virtio header | frame | tailroom] (include/vnet_size.h). A slot
 * keeps its pages when a packet was dropped or copied, so that posting it
 * again costs no allocation.
 */
#include <linux/dma-mapping.h>
#include <net/page_pool/helpers.h>

#include "vnet.h"
#include "vnet_niov.h"
#include "vnet_rxbuf.h"
#include "vnet_vq.h"
#include "vnet_xsk.h"

/* How long a starved queue waits before it asks for memory again. */
#define VNET_STARVE_DELAY	(HZ / 50 + 1)

/* The largest pages that buffers are cut from */
#define VNET_RX_PAGE_ORDER	get_order(SZ_32K)

/* Most memory that a queue keeps in smaller pages while there are no large ones */
#define VNET_RX_SPARE_MAX	SZ_1M

/* How long no large page is asked for when there was none */
#define VNET_RX_LARGE_DELAY	(HZ / 10 + 1)

/* References to a page that is being cut: more than it can have buffers */
#define VNET_RX_PAGE_REFS	(SZ_32K / VNET_SIZE_ALIGN)

/* What buffers depend on, but for ring and average: those are a queue's own. */
void vnet_rxmem_size_in(const struct vnet_caps *caps,
			const struct vnet_cfg *cfg, struct vnet_size_in *in)
{
	*in = (struct vnet_size_in) {
		.mode = caps->rx_mode,
		.hdr_len = caps->hdr_len,
		.mtu = cfg->mtu,
		.dev_mtu = caps->mtu ? caps->max_mtu : 0,
		.guest_gso = caps->guest_gso,
		.xdp = cfg->xdp,
		.max_buf = cfg->rx_buf_len,
		.any_layout = caps->any_layout,
		.indirect = caps->indirect,
		.hds = cfg->hds,
	};
}

static void vnet_rxmem_layout(const struct vnet_rxq *rxq,
			      const struct vnet_caps *caps,
			      const struct vnet_cfg *cfg,
			      struct vnet_size_in *in)
{
	vnet_rxmem_size_in(caps, cfg, in);
	in->avg_len = vnet_size_ewma_read(rxq->avg_len);
}

/* What the device is given is synced when it is posted, and nothing else. */
static struct page_pool *vnet_rxmem_pool(struct vnet_rxq *rxq,
					 const struct vnet_rx_mem *mem,
					 unsigned int order, u32 bytes)
{
	struct page_pool_params pp = {
		.order = order,
		.pool_size = clamp(bytes >> (PAGE_SHIFT + order), 16, 16384),
		.nid = NUMA_NO_NODE,
		.dev = mem->dma ? rxq->vd->dma_dev : NULL,
		.netdev = rxq->vd->dev,
		.dma_dir = mem->xdp ? DMA_BIDIRECTIONAL : DMA_FROM_DEVICE,
		.max_len = PAGE_SIZE << order,
		.flags = mem->dma ? PP_FLAG_DMA_MAP : 0,
	};

	return page_pool_create(&pp);
}

/* Must a packet lie in one buffer, whatever it is? */
static bool vnet_rxmem_whole(const struct vnet_caps *caps,
			     const struct vnet_cfg *cfg)
{
	if (cfg->hds)
		return false;

	return caps->rx_mode == VNET_RX_SMALL ||
	       (caps->rx_mode == VNET_RX_MERGEABLE && cfg->xdp &&
		!cfg->xdp->aux->xdp_has_frags);
}

/*
 * A packet that is not read keeps the whole page that its buffer was cut from,
 * and its socket is charged for the buffer: a page has two of the largest, if
 * there are such pages.
 */
static unsigned int vnet_rxmem_order(const struct vnet_rx_mem *mem,
				     const struct vnet_caps *caps,
				     const struct vnet_cfg *cfg)
{
	u32 most = max(mem->layout.truesize, mem->layout.frag_size);

	if (mem->niovs)
		return get_order(2 * mem->layout.truesize);
	if (caps->rx_mode == VNET_RX_MERGEABLE)
		most = max(most, cfg->rx_buf_len);

	return min(get_order(2 * most), VNET_RX_PAGE_ORDER);
}

static int vnet_rxmem_pools(struct vnet_rxq *rxq, const struct vnet_caps *caps,
			    const struct vnet_cfg *cfg, struct vnet_rx_mem *mem,
			    u32 slots)
{
	const struct vnet_rx_layout *l = &mem->layout;
	u32 frags = mem->niovs ? 0 : l->nr_frags;
	u32 bytes = slots * (l->truesize + frags * l->frag_size);
	bool one = mem->xdp && !VNET_COMPAT_XDP_MIXED_POOLS;
	unsigned int order = vnet_rxmem_order(mem, caps, cfg), spare;

	/* A single pool had better be one that always has memory. */
	if (one && mem->stride == 1)
		order = get_order(max(l->truesize, cfg->rx_buf_len));
	mem->cut.size = PAGE_SIZE << order;
	mem->pool = vnet_rxmem_pool(rxq, mem, order, bytes);
	if (IS_ERR(mem->pool))
		return PTR_ERR(mem->pool);

	/* Pages that hold no frame, or a chain of too many, are of no use. */
	spare = vnet_size_spare_order(l, vnet_rxmem_whole(caps, cfg));
	if (one || spare >= order ||
	    (l->frag_size > PAGE_SIZE && l->max_frags == l->nr_frags &&
	     !mem->niovs))
		return 0;

	mem->spare_size = PAGE_SIZE << spare;
	if (l->truesize > PAGE_SIZE)
		bytes = min(bytes, VNET_RX_SPARE_MAX);
	mem->pool0 = vnet_rxmem_pool(rxq, mem, spare, bytes);
	return PTR_ERR_OR_ZERO(mem->pool0);
}

static int vnet_rxmem_arrays(struct vnet_rx_mem *mem, u32 slots)
{
	u32 i;

	mem->bufs = kvcalloc(slots, mem->stride * sizeof(*mem->bufs),
			     GFP_KERNEL);
	if (!mem->bufs)
		return -ENOMEM;

	for (i = 0; i < slots * mem->stride; i++)
		mem->bufs[i].slot = i / mem->stride;

	mem->sg = kmalloc_array(mem->nr_sg, sizeof(*mem->sg), GFP_KERNEL);
	if (!mem->sg)
		return -ENOMEM;

	vnet_sg_init(mem->sg, mem->nr_sg);

	return vnet_slots_create(&mem->slots, slots);
}

/**
 * vnet_rxmem_create() - allocate the memory of a receive queue
 * @rxq: queue that will own it; not touched
 * @caps: capabilities to allocate for
 * @cfg: configuration to allocate for
 * @ring: ring entries that will be used
 * @mem: where to put it
 *
 * Buffers themselves are allocated when they are posted.
 *
 * Context: process, may sleep; instance lock held.
 * Return: 0, -ENOMEM, -E2BIG when no layout can hold a packet of this MTU, or
 * no chain of this ring, or why the memory of a provider cannot be used.
 */
int vnet_rxmem_create(struct vnet_rxq *rxq, const struct vnet_caps *caps,
		      const struct vnet_cfg *cfg, u32 ring,
		      struct vnet_rx_mem *mem)
{
	struct vnet_size_in in;
	u32 slots = ring;
	int err;

	memset(mem, 0, sizeof(*mem));
	vnet_rxmem_layout(rxq, caps, cfg, &in);
	in.ring = ring;
	in.piece = cfg->hds ? vnet_niov_size(rxq->vd, rxq->index) : 0;
	mem->xsk = cfg->xsk[rxq->index];
	err = mem->xsk ? vnet_xsk_layout(&mem->layout, &in, mem->xsk) :
			 vnet_size_rx_layout(&mem->layout, &in);
	if (err)
		return err;

	mem->stride = 1 + mem->layout.max_frags;
	mem->split_hdr = !caps->any_layout &&
			 caps->rx_mode != VNET_RX_MERGEABLE;
	mem->nr_sg = mem->stride + mem->split_hdr;
	mem->chain_room = mem->layout.buf_len +
			  mem->layout.nr_frags * mem->layout.frag_size;
	mem->dma = rxq->vd->dma_dev;
	mem->plain = mem->nr_sg == 1 && rxq->premapped;
	mem->xdp = cfg->xdp;
	if (!caps->indirect)
		slots = max(slots / (1 + mem->layout.nr_frags +
				     mem->split_hdr), 1);
	slots = min(slots, 0x10000 / mem->stride);
	if (in.hds && !mem->xsk)
		slots = vnet_size_hds_slots(&mem->layout, slots, in.piece ?
					    VNET_SIZE_HDS_BOUND :
					    VNET_SIZE_HDS_CHAINS);
	if (mem->stride == 1 && !mem->xsk)
		slots = vnet_size_rx_slots(&mem->layout, slots,
					   PAGE_SIZE << VNET_RX_PAGE_ORDER);

	mem->most_away = min(slots / 2, VNET_XDP_AWAY);

	err = vnet_rxmem_arrays(mem, slots);
	if (!err && in.piece && !mem->xsk)
		err = vnet_niov_create(rxq, mem, slots);
	if (!err)
		err = mem->xsk ? vnet_xsk_rxmem_init(mem) :
				 vnet_rxmem_pools(rxq, caps, cfg, mem, slots);
	if (err)
		vnet_rxmem_destroy(mem);

	return err;
}

static noinline void vnet_rxbuf_free(struct vnet_rx_mem *mem,
				     struct vnet_rx_buf *buf, bool direct)
{
	if (!buf->page)
		return;

	if (mem->xsk)
		xsk_buff_free(buf->xdp);
	else if (!buf->va)
		vnet_niov_free(mem, buf, direct);
	else
		page_pool_put_full_page(vnet_compat_page_pool(buf->page),
					buf->page, direct);
	buf->page = NULL;
}

/* Nothing more is cut from the present page: its buffers alone keep it. */
static void vnet_rxmem_cut_end(struct vnet_rx_mem *mem)
{
	struct vnet_rx_cut *cut = &mem->cut;

	if (!cut->page)
		return;

	if (!page_pool_unref_page(cut->page, VNET_RX_PAGE_REFS - cut->users))
		page_pool_put_unrefed_page(cut->pool, cut->page, -1, false);
	cut->page = NULL;
	cut->left = 0;
}

/**
 * vnet_rxmem_serve() - memory is put into the service of its queue
 * @rxq: queue, not running
 *
 * From now on the queue's poll takes pages back without a lock. Memory that was
 * prepared in vain never says so: destroying it does not concern the poll of
 * the queue, which may run.
 *
 * Context: process, may sleep; instance lock held.
 */
void vnet_rxmem_serve(struct vnet_rxq *rxq)
{
	if (rxq->mem.pool)
		vnet_compat_pool_own(rxq->mem.pool, &rxq->napi);
	if (rxq->mem.pool0)
		vnet_compat_pool_own(rxq->mem.pool0, &rxq->napi);
	if (rxq->mem.niovs)
		vnet_compat_pool_own(rxq->mem.niovs, &rxq->napi);
}

/**
 * vnet_rxmem_retire() - memory leaves the service of its queue
 * @mem: memory that vnet_rxmem_serve() was called for
 *
 * To be called while the poll is off, where it may be on again before the memory
 * is destroyed.
 *
 * Context: process, may sleep; instance lock held.
 */
void vnet_rxmem_retire(struct vnet_rx_mem *mem)
{
	if (mem->pool)
		vnet_compat_pool_disown(mem->pool);
	if (mem->pool0)
		vnet_compat_pool_disown(mem->pool0);
	if (mem->niovs)
		vnet_compat_pool_disown(mem->niovs);
}

/**
 * vnet_rxmem_destroy() - free what vnet_rxmem_create() allocated
 * @mem: memory; all slots have been taken back from the device
 *
 * Pages that the stack still holds go back when it releases them; the pools
 * live until then. Works on memory that was created in part.
 *
 * Context: process, may sleep; instance lock held.
 */
void vnet_rxmem_destroy(struct vnet_rx_mem *mem)
{
	u32 i;

	for (i = 0; mem->bufs && i < mem->slots.nr * mem->stride; i++)
		vnet_rxbuf_free(mem, &mem->bufs[i], false);
	vnet_rxmem_cut_end(mem);

	if (mem->spare)
		vnet_xsk_rxmem_exit(mem);
	if (!IS_ERR_OR_NULL(mem->pool))
		page_pool_destroy(mem->pool);
	if (!IS_ERR_OR_NULL(mem->pool0))
		page_pool_destroy(mem->pool0);
	if (!IS_ERR_OR_NULL(mem->niovs))
		page_pool_destroy(mem->niovs);
	vnet_slots_destroy(&mem->slots);
	kfree(mem->sg);
	kvfree(mem->bufs);
	memset(mem, 0, sizeof(*mem));
}

static dma_addr_t vnet_rxmem_page_addr(const struct vnet_rx_mem *mem,
				       const struct page *page)
{
	return mem->dma ? page_pool_get_dma_addr(page) : page_to_phys(page);
}

/*
 * How to ask for a large page. Where a smaller one does, nobody is to work for
 * it: neither are reserves touched nor is memory moved under the lock.
 */
static gfp_t vnet_rxmem_large_gfp(const struct vnet_rx_mem *mem, gfp_t gfp)
{
	if (mem->pool0)
		gfp = (gfp & ~(__GFP_HIGH | __GFP_DIRECT_RECLAIM)) |
		      __GFP_NOMEMALLOC;

	return gfp | __GFP_NOWARN | __GFP_NORETRY;
}

/* Take a large page, but not again at once when there is none. */
static struct page *vnet_rxmem_large_page(struct vnet_rx_mem *mem, gfp_t gfp)
{
	struct vnet_rx_cut *cut = &mem->cut;
	struct page *page;

	if (cut->waits && time_before(jiffies, cut->again))
		return NULL;

	page = vnet_compat_pool_alloc(mem->pool,
				      vnet_rxmem_large_gfp(mem, gfp));
	cut->waits = !page && mem->pool0;
	if (page)
		return page;

	cut->again = jiffies + VNET_RX_LARGE_DELAY;
	cut->failed++;

	return NULL;
}

/* Take a new page to cut buffers of @size bytes from. */
static noinline bool vnet_rxmem_cut_begin(struct vnet_rx_mem *mem, u32 size,
					  gfp_t gfp)
{
	struct vnet_rx_cut *cut = &mem->cut;
	struct page *page;

	vnet_rxmem_cut_end(mem);
	if (mem->pool0 && size <= PAGE_SIZE) {
		cut->pool = mem->pool0;
		page = vnet_compat_pool_alloc(cut->pool, gfp | __GFP_NOWARN);
		cut->failed += !page;
	} else {
		cut->pool = mem->pool;
		page = vnet_rxmem_large_page(mem, gfp);
	}
	if (unlikely(!page))
		return false;

	cut->page = page;

	page_pool_fragment_page(cut->page, VNET_RX_PAGE_REFS);
	cut->va = page_address(cut->page);
	cut->addr = vnet_rxmem_page_addr(mem, cut->page);
	cut->left = cut->pool == mem->pool ? cut->size : mem->spare_size;
	cut->users = 0;

	return true;
}

/* There is no large page: take a smaller one, if there is a pool of them. */
static noinline bool vnet_rxbuf_alloc_small(struct vnet_rx_mem *mem,
					    struct vnet_rx_buf *buf, u32 size,
					    gfp_t gfp)
{
	unsigned int offset;

	if (!mem->pool0 || size <= PAGE_SIZE)
		return false;

	size = min(size, mem->spare_size);
	buf->page = page_pool_alloc_frag(mem->pool0, &offset, size,
					 gfp | __GFP_NOWARN);
	if (!buf->page)
		return false;

	buf->va = page_address(buf->page) + offset;
	buf->addr = vnet_rxmem_page_addr(mem, buf->page) + offset;
	buf->truesize = size;

	return true;
}

/*
 * Cut a region of @size bytes from a page that it fits. When there are no large
 * ones (the memory of a small guest is easily fragmented), a region that needs
 * one comes from the pool of smaller pages, and is smaller, where a packet may
 * take several.
 */
static __always_inline bool
vnet_rxbuf_alloc(struct vnet_rx_mem *mem, struct vnet_rx_buf *buf, u32 size,
		 gfp_t gfp)
{
	struct vnet_rx_cut *cut = &mem->cut;

	if (unlikely(cut->left < size) &&
	    unlikely(!vnet_rxmem_cut_begin(mem, size, gfp)))
		return vnet_rxbuf_alloc_small(mem, buf, size, gfp);

	buf->page = cut->page;
	buf->va = cut->va;
	buf->addr = cut->addr;
	buf->truesize = size;
	cut->va += size;
	cut->addr += size;
	cut->left -= size;
	cut->users++;

	return true;
}

/* Decide what the device is given of the region that @buf has. */
static __always_inline void
vnet_rxbuf_divide(const struct vnet_rx_mem *mem, struct vnet_rx_buf *buf)
{
	if (unlikely(mem->stride > 1) && (buf - mem->bufs) % mem->stride) {
		buf->headroom = 0;
		buf->room = buf->truesize;
		return;
	}

	buf->headroom = mem->layout.headroom;
	buf->room = buf->truesize - buf->headroom - mem->layout.tailroom;
	buf->addr += buf->headroom;
}

/* See to it that @buf has a region of @size bytes, kept or new. */
static __always_inline bool vnet_rxbuf_ensure(struct vnet_rx_mem *mem,
					      struct vnet_rx_buf *buf,
					      u32 size, gfp_t gfp)
{
	if (buf->page) {
		if (likely(buf->truesize == size))
			return true;
		vnet_rxbuf_free(mem, buf, gfp == GFP_ATOMIC);
	}
	if (unlikely(!vnet_rxbuf_alloc(mem, buf, size, gfp)))
		return false;

	vnet_rxbuf_divide(mem, buf);

	return true;
}

/* What the CPU wrote to @buf is not to reach it after what the device writes. */
static __always_inline void vnet_rxbuf_sync(struct vnet_rxq *rxq,
					    const struct vnet_rx_buf *buf)
{
	struct vnet_rx_mem *mem = &rxq->mem;

	if (unlikely(mem->dma) && likely(buf->va))
		dma_sync_single_for_device(rxq->vd->dma_dev, buf->addr,
					   buf->room,
					   page_pool_get_dma_dir(mem->pool));
}

/* Write descriptor @sg for @buf. */
static __always_inline void vnet_rxbuf_describe(struct vnet_rxq *rxq,
						struct vnet_rx_buf *buf,
						struct scatterlist *sg)
{
	if (unlikely(!rxq->premapped)) {
		sg_set_page(sg, buf->page, buf->room,
			    vnet_rxbuf_offset(buf));
		return;
	}

	vnet_rxbuf_sync(rxq, buf);
	vnet_sg_set_dma(sg, buf->addr, buf->room);
}

/* A legacy device without ANY_LAYOUT wants the header by itself. */
static void vnet_rxbuf_split_hdr(struct vnet_rxq *rxq,
				 const struct vnet_rx_buf *buf)
{
	struct scatterlist *sg = rxq->mem.sg;
	u32 offset = vnet_rxbuf_offset(buf);
	u8 hdr_len = rxq->hdr_len;

	if (rxq->premapped) {
		vnet_sg_set_dma(&sg[0], buf->addr, hdr_len);
		vnet_sg_set_dma(&sg[1], buf->addr + hdr_len,
				buf->room - hdr_len);
	} else {
		sg_set_page(&sg[0], buf->page, hdr_len, offset);
		sg_set_page(&sg[1], buf->page, buf->room - hdr_len,
			    offset + hdr_len);
	}
}

/* See to it that @buf, a follower of a chain, has memory. */
static bool vnet_rxbuf_ensure_next(struct vnet_rx_mem *mem,
				   struct vnet_rx_buf *buf, gfp_t gfp)
{
	if (likely(!mem->niovs))
		return vnet_rxbuf_ensure(mem, buf, mem->layout.frag_size, gfp);

	return buf->netmem || vnet_niov_alloc(mem, buf, gfp);
}

/*
 * Describe the followers of @buf, until the chain has room for any packet: more
 * of them where there were small pages only. Returns their number, or 0.
 */
static u16 vnet_rxbuf_chain(struct vnet_rxq *rxq, struct vnet_rx_buf *buf,
			    struct scatterlist *sg, gfp_t gfp)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	u32 room = buf->room;
	u16 nr, i;

	for (nr = 1; room < mem->chain_room; nr++) {
		if (nr == mem->stride ||
		    !vnet_rxbuf_ensure_next(mem, &buf[nr], gfp))
			return 0;
		vnet_rxbuf_describe(rxq, &buf[nr], &sg[nr]);
		room += buf[nr].room;
	}
	for (i = nr; i < mem->stride; i++)
		vnet_rxbuf_free(mem, &buf[i], gfp == GFP_ATOMIC);

	return nr;
}

/* Post a slot that is not plain, see struct vnet_rx_mem. */
static noinline int vnet_rxbuf_post_any(struct vnet_rxq *rxq, u16 slot,
					gfp_t gfp)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_buf *buf = &mem->bufs[slot * mem->stride];
	struct scatterlist *sg = &mem->sg[mem->split_hdr];
	u16 nr = 1;
	int err;

	if (unlikely(!vnet_rxbuf_ensure(mem, buf, mem->layout.truesize, gfp)))
		return -ENOMEM;
	vnet_rxbuf_describe(rxq, buf, sg);

	if (mem->stride > 1) {
		nr = vnet_rxbuf_chain(rxq, buf, sg, gfp);
		if (unlikely(!nr))
			return -ENOMEM;
	}
	if (unlikely(mem->split_hdr))
		vnet_rxbuf_split_hdr(rxq, buf);

	nr += mem->split_hdr;
	sg_mark_end(&mem->sg[nr - 1]);
	err = vnet_vq_post(&rxq->q, mem->sg, nr, buf, rxq->premapped);
	sg_unmark_end(&mem->sg[nr - 1]);

	return err;
}

static __always_inline int vnet_rxbuf_post(struct vnet_rxq *rxq, u16 slot,
					   gfp_t gfp, bool own)
{
	struct vnet_rx_mem *mem = &rxq->mem;
	struct vnet_rx_buf *buf = &mem->bufs[slot];

	if (!own && unlikely(!mem->plain))
		return vnet_rxbuf_post_any(rxq, slot, gfp);

	if (unlikely(!vnet_rxbuf_ensure(mem, buf, mem->layout.truesize, gfp)))
		return -ENOMEM;
	if (own) {
		vnet_rxbuf_sync(rxq, buf);
		vnet_vq_post_own(&rxq->q, slot, buf->addr, buf->room);
		return 0;
	}
	vnet_rxbuf_describe(rxq, buf, mem->sg);

	return vnet_vq_post(&rxq->q, mem->sg, 1, buf, true);
}

/* Post what there is memory for; inlined once for each engine (@own). */
static __always_inline int vnet_rxbuf_fill(struct vnet_rxq *rxq, gfp_t gfp,
					   bool own)
{
	struct vnet_slots *slots = &rxq->mem.slots;
	int err = 0;

	while (slots->nr_free) {
		u16 slot = vnet_slots_take(slots);

		err = vnet_rxbuf_post(rxq, slot, gfp, own);
		if (unlikely(err)) {
			vnet_slots_put(slots, slot);
			break;
		}
	}

	return err;
}

/* No memory: poll again later. @some: there was memory for some of the slots. */
static void vnet_rxbuf_wait(struct vnet_rxq *rxq, bool some)
{
	if (!rxq->mem.niovs)
		rxq->patience = VNET_STARVE_DELAY;
	else if (some || !rxq->starved)
		rxq->patience = 1;
	else
		rxq->patience = min(2 * rxq->patience, VNET_STARVE_DELAY);
	mod_timer(&rxq->starve_timer, jiffies + rxq->patience);
}

/**
 * vnet_rxbuf_refill() - post buffers until the ring is full
 * @rxq: receive queue
 * @gfp: GFP_ATOMIC in NAPI, GFP_KERNEL while NAPI is off
 *
 * One kick for all. Without memory the queue is marked starved, and a timer
 * schedules the poll again: the device cannot interrupt for a ring that has
 * no buffers. A page that could not be had counts, also where a smaller one
 * took its place. Pieces of a provider come back when its user has read them,
 * and nobody says when: there the timer is short at first.
 *
 * Context: NAPI of @rxq, or process while NAPI is off.
 */
void vnet_rxbuf_refill(struct vnet_rxq *rxq, gfp_t gfp)
{
	struct vnet_slots *slots = &rxq->mem.slots;
	u32 before = slots->nr_free;
	int err;

	if (unlikely(rxq->mem.xsk)) {
		vnet_xsk_refill(rxq);
		return;
	}

	if (likely(vnet_vq_own(&rxq->q)))
		err = vnet_rxbuf_fill(rxq, gfp, true);
	else
		err = vnet_rxbuf_fill(rxq, gfp, false);

	if ((slots->nr_free != before || vnet_vq_unshown(&rxq->q)) &&
	    vnet_vq_kick(&rxq->q))
		vnet_rxs_add(&rxq->stats, VNET_RXS_KICKS, 1);

	if (unlikely(rxq->mem.cut.failed)) {
		vnet_rxs_add(&rxq->stats, VNET_RXS_ALLOC_FAIL,
			     rxq->mem.cut.failed);
		rxq->mem.cut.failed = 0;
	}
	if (unlikely(err == -ENOMEM)) {
		if (!rxq->starved)
			vnet_rxs_add(&rxq->stats, VNET_RXS_STARVED, 1);
		vnet_rxbuf_wait(rxq, slots->nr_free != before);
	}
	rxq->starved = err == -ENOMEM;
}

/* Timer: the queue had no memory a moment ago, let its poll try again. */
void vnet_rxbuf_starved(struct timer_list *timer)
{
	struct vnet_rxq *rxq = container_of(timer, struct vnet_rxq,
					    starve_timer);

	napi_schedule(&rxq->napi);
}

/**
 * vnet_rxbuf_adapt() - cut buffers for the packets that come
 * @rxq: receive queue of a device with mergeable buffers
 *
 * Called when the average length has left the range that the present size is
 * for. Buffers that are posted already keep their size.
 *
 * Context: NAPI of @rxq, or process while NAPI is off.
 */
void vnet_rxbuf_adapt(struct vnet_rxq *rxq)
{
	struct vnet_rx_layout *l = &rxq->mem.layout;
	struct vnet_size_in in;
	u32 capacity;

	vnet_rxmem_layout(rxq, &rxq->vd->caps, &rxq->vd->cfg, &in);
	if (vnet_size_rx_layout(l, &in))
		return;

	capacity = vnet_size_capacity(l, rxq->hdr_len);
	rxq->avg_low = vnet_size_ewma_init(capacity / 4);
	rxq->avg_high = U32_MAX;
	if (l->truesize < in.max_buf)
		rxq->avg_high = vnet_size_ewma_init(capacity / 9 * 8);
	if (l->truesize == vnet_size_base(rxq->hdr_len, in.xdp))
		rxq->avg_low = 0;
}

/**
 * vnet_rxbuf_reclaim() - take a buffer back that the device will not use
 * @vq: receive virtqueue, reset or about to be deleted
 * @token: head buffer of the slot
 *
 * The slot keeps its memory. Matches the recycle callback of the virtio core.
 *
 * Context: process, NAPI off, instance lock held.
 */
void vnet_rxbuf_reclaim(struct virtqueue *vq, void *token)
{
	struct vnet_dev *vd = vq->vdev->priv;
	struct vnet_rxq *rxq = &vd->rxqs[vnet_vq_pair(vq)];
	struct vnet_rx_buf *buf = token;

	vnet_slots_put(&rxq->mem.slots, buf->slot);
}
