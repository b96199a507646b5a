/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rest of the driver is written for the newest kernel. What an older one
 * spells differently is mapped here, by what the compile probes of
 * scripts/conftest.sh found, never by version numbers. Each mapping names the
 * kernel that makes it superfluous.
 */
#ifndef VNET_COMPAT_H
#define VNET_COMPAT_H

#include <linux/dim.h>
#include <linux/ethtool.h>
#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/reboot.h>
#include <linux/rtnetlink.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <net/netdev_queues.h>
#include <net/page_pool/helpers.h>
#include <net/xdp.h>
#include <net/xdp_sock_drv.h>

#include "vnet_conftest.h"

#ifdef VNET_HAVE_NETDEV_LOCK
#include <net/netdev_lock.h>
#endif

/* 7.0, and late in the life of 6.12: memory for an object, by its type */
#ifndef VNET_HAVE_KZALLOC_OBJ
#define kzalloc_obj(object)	kzalloc(sizeof(object), GFP_KERNEL)
#endif

/* 6.17: feature words beyond 64 bits */
#ifdef VNET_HAVE_FEATURES128
#define VNET_COMPAT_FEATURE_BITS	128
#else
#define VNET_COMPAT_FEATURE_BITS	64
#endif

static inline u64 vnet_compat_features_word(const struct virtio_device *vdev,
					    unsigned int word)
{
#ifdef VNET_HAVE_FEATURES128
	return vdev->features_array[word];
#else
	return word ? 0 : vdev->features;
#endif
}

static inline void vnet_compat_features_set(struct virtio_device *vdev,
					    unsigned int word, u64 bits)
{
#ifdef VNET_HAVE_FEATURES128
	vdev->features_array[word] = bits;
#else
	if (!word)
		vdev->features = bits;
#endif
}

/* What the device offers now: two words. */
static inline void vnet_compat_features_offered(struct virtio_device *vdev,
						u64 *words)
{
#ifdef VNET_HAVE_FEATURES128
	virtio_get_features(vdev, words);
#else
	words[0] = vdev->config->get_features(vdev);
	words[1] = 0;
#endif
}

/* 6.13: premapped buffers one by one; before, a virtqueue as a whole */
static inline int vnet_compat_add_inbuf_premapped(struct virtqueue *vq,
						  struct scatterlist *sg,
						  unsigned int nr, void *token)
{
#ifdef VNET_HAVE_ADD_PREMAPPED
	return virtqueue_add_inbuf_premapped(vq, sg, nr, token, NULL,
					     GFP_ATOMIC);
#else
	return virtqueue_add_inbuf(vq, sg, nr, token, GFP_ATOMIC);
#endif
}

/* 6.13: so on transmit, too; before, the core maps the pages of an entry */
#ifdef VNET_HAVE_ADD_PREMAPPED
#define VNET_COMPAT_TX_PREMAPPED	true
#else
#define VNET_COMPAT_TX_PREMAPPED	false
#endif

static inline int vnet_compat_add_outbuf_premapped(struct virtqueue *vq,
						   struct scatterlist *sg,
						   unsigned int nr, void *token)
{
#ifdef VNET_HAVE_ADD_PREMAPPED
	return virtqueue_add_outbuf_premapped(vq, sg, nr, token, GFP_ATOMIC);
#else
	return virtqueue_add_outbuf(vq, sg, nr, token, GFP_ATOMIC);
#endif
}

/* 6.13: the length that belongs to the bus address is used; before, the other */
static inline void vnet_compat_sg_set_len(struct scatterlist *sg, u32 len)
{
#ifndef VNET_HAVE_ADD_PREMAPPED
	sg->length = len;
#endif
}

/* 6.13: one call for what took two */
static inline void
vnet_compat_hrtimer_setup(struct hrtimer *timer,
			  enum hrtimer_restart (*look)(struct hrtimer *timer),
			  enum hrtimer_mode mode)
{
#ifdef VNET_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, look, CLOCK_MONOTONIC, mode);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = look;
#endif
}

/* To be called on an empty virtqueue whose buffers will all be premapped. */
static inline int vnet_compat_set_premapped(struct virtqueue *vq)
{
#ifdef VNET_HAVE_ADD_PREMAPPED
	return 0;
#else
	return virtqueue_set_dma_premapped(vq);
#endif
}

/* 6.18: devices that map by themselves (VDUSE); the core does it for us */
static inline bool vnet_compat_own_map(const struct virtio_device *vdev)
{
#ifdef VNET_HAVE_VIRTIO_MAP
	return vdev->map;
#else
	return false;
#endif
}

/*
 * 6.14: the netdev instance lock. On older kernels rtnl does its work, and
 * what takes the instance lock elsewhere needs no lock.
 */
#ifdef VNET_HAVE_NETDEV_LOCK
static inline void vnet_compat_want_lock(struct net_device *dev)
{
	dev->request_ops_lock = true;
}

static inline void vnet_compat_lock(struct net_device *dev)
{
	netdev_lock(dev);
}

/* With rtnl, for what changes the net device itself */
static inline void vnet_compat_lock_rtnl(struct net_device *dev)
{
	rtnl_lock();
	netdev_lock(dev);
}

static inline void vnet_compat_unlock_rtnl(struct net_device *dev)
{
	netdev_unlock(dev);
	rtnl_unlock();
}

static inline bool vnet_compat_trylock(struct net_device *dev)
{
	return netdev_trylock(dev);
}

static inline void vnet_compat_unlock(struct net_device *dev)
{
	netdev_unlock(dev);
}

static inline void vnet_compat_assert_locked(struct net_device *dev)
{
	netdev_assert_locked_or_invisible(dev);
}
#else
static inline void vnet_compat_want_lock(struct net_device *dev)
{
}

static inline void vnet_compat_lock(struct net_device *dev)
{
	rtnl_lock();
}

static inline void vnet_compat_lock_rtnl(struct net_device *dev)
{
	rtnl_lock();
}

static inline void vnet_compat_unlock_rtnl(struct net_device *dev)
{
	rtnl_unlock();
}

static inline bool vnet_compat_trylock(struct net_device *dev)
{
	return rtnl_trylock();
}

static inline void vnet_compat_unlock(struct net_device *dev)
{
	rtnl_unlock();
}

static inline void vnet_compat_assert_locked(struct net_device *dev)
{
	if (dev->reg_state == NETREG_REGISTERED)
		ASSERT_RTNL();
}

#define napi_enable_locked(napi)	napi_enable(napi)
#define napi_disable_locked(napi)	napi_disable(napi)
#define netif_napi_set_irq_locked(napi, irq)	netif_napi_set_irq(napi, irq)

/*
 * Here nobody waits for a NAPI that is disabled, but one that is added anew has
 * another number. So it is added once and stays until the queues are freed.
 */
static inline void
netif_napi_add_locked(struct net_device *dev, struct napi_struct *napi,
		      int (*poll)(struct napi_struct *napi, int budget))
{
	if (!test_bit(NAPI_STATE_LISTED, &napi->state))
		netif_napi_add(dev, napi, poll);
}

static inline void
netif_napi_add_config_locked(struct net_device *dev, struct napi_struct *napi,
			     int (*poll)(struct napi_struct *napi, int budget),
			     int index)
{
	netif_napi_add_locked(dev, napi, poll);
}

static inline void __netif_napi_del_locked(struct napi_struct *napi)
{
}
#endif

/* A NAPI is about to be freed. */
static inline void vnet_compat_napi_free(struct napi_struct *napi)
{
#ifndef VNET_HAVE_NETDEV_LOCK
	__netif_napi_del(napi);
#endif
}

/* 6.13: net_dim() takes its sample by pointer */
static inline void vnet_compat_net_dim(struct dim *dim,
				       const struct dim_sample *sample)
{
#ifdef VNET_HAVE_DIM_BY_POINTER
	net_dim(dim, sample);
#else
	net_dim(dim, *sample);
#endif
}

/*
 * 6.17: hash fields have callbacks of their own beside get_rxnfc/set_rxnfc.
 * With the comma behind, because there may be nothing to initialize.
 */
#ifdef VNET_HAVE_RXFH_FIELDS
#define VNET_COMPAT_RXFH_FIELDS_OPS(get, set) \
	.get_rxfh_fields = (get), .set_rxfh_fields = (set),
#else
#define VNET_COMPAT_RXFH_FIELDS_OPS(get, set)

struct ethtool_rxfh_fields {
	u32 data;
	u32 flow_type;
	u32 rss_context;
};
#endif

/* 6.19: the number of receive rings has a callback of its own, too */
#ifdef VNET_HAVE_RX_RING_COUNT
#define VNET_COMPAT_RX_RING_COUNT_OP(get) .get_rx_ring_count = (get),
#else
#define VNET_COMPAT_RX_RING_COUNT_OP(get)
#endif

/* 7.2: ethtool takes rtnl only for what asks for it; before, for everything */
#ifdef VNET_HAVE_ETHTOOL_NEEDS_RTNL
#define VNET_COMPAT_ETHTOOL_NEEDS_RTNL \
	.op_needs_rtnl = ETHTOOL_OP_NEEDS_RTNL_SCHANNELS | \
			 ETHTOOL_OP_NEEDS_RTNL_GLINK,
#else
#define VNET_COMPAT_ETHTOOL_NEEDS_RTNL
#endif

/* 6.18: the graceful period of a health reporter (none) is in its operations */
#ifdef VNET_HAVE_HEALTH_PERIOD_OPS
#define vnet_compat_health_create(devlink, ops, priv) \
	devlink_health_reporter_create(devlink, ops, priv)
#else
#define vnet_compat_health_create(devlink, ops, priv) \
	devlink_health_reporter_create(devlink, ops, 0, priv)
#endif

/*
 * Let @napi, which does not run, take back pages of @pool without a lock. 6.17:
 * a function; before, drivers say so when they create the pool.
 */
static inline void vnet_compat_pool_own(struct page_pool *pool,
					struct napi_struct *napi)
{
#ifdef VNET_HAVE_POOL_ENABLE_DIRECT
	page_pool_enable_direct_recycling(pool, napi);
#else
	WRITE_ONCE(pool->p.napi, napi);
#endif
}

/*
 * 7.0: receive queues are started and configured one by one, and memory providers
 * ask for it. Before, nobody asks.
 */
#ifdef VNET_HAVE_QUEUE_CONFIG
#define vnet_compat_queue_ops	netdev_queue_mgmt_ops
#define VNET_COMPAT_RX_PAGE_SIZE	QCFG_RX_PAGE_SIZE
#else
#define VNET_COMPAT_RX_PAGE_SIZE	0

struct netdev_queue_config {
	u32 rx_page_size;
};

struct vnet_compat_queue_ops {
	size_t ndo_queue_mem_size;
	int (*ndo_queue_mem_alloc)(struct net_device *dev,
				   struct netdev_queue_config *qcfg,
				   void *mem, int i);
	void (*ndo_queue_mem_free)(struct net_device *dev, void *mem);
	int (*ndo_queue_start)(struct net_device *dev,
			       struct netdev_queue_config *qcfg, void *mem,
			       int i);
	int (*ndo_queue_stop)(struct net_device *dev, void *mem, int i);
	void (*ndo_default_qcfg)(struct net_device *dev,
				 struct netdev_queue_config *qcfg);
	int (*ndo_validate_qcfg)(struct net_device *dev,
				 struct netdev_queue_config *qcfg,
				 struct netlink_ext_ack *extack);
	struct device *(*ndo_queue_get_dma_dev)(struct net_device *dev, int i);
	unsigned int supported_params;
};
#endif

static inline void
vnet_compat_queue_ops_set(struct net_device *dev,
			  const struct vnet_compat_queue_ops *ops)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	dev->queue_mgmt_ops = ops;
#endif
}

/* The bytes of a page of the memory provider of receive queue @i, 0 without one */
static inline u32 vnet_compat_rx_page_size(struct net_device *dev,
					   unsigned int i)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	struct netdev_queue_config qcfg;

	if (!netif_rxq_has_unreadable_mp(dev, i))
		return 0;

	netdev_queue_config(dev, i, &qcfg);

	return qcfg.rx_page_size;
#else
	return 0;
#endif
}

/* A page of a provider's, or 0 */
static inline netmem_ref vnet_compat_netmem_alloc(struct page_pool *pool,
						  gfp_t gfp)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	return page_pool_alloc_netmems(pool, gfp);
#else
	return 0;
#endif
}

static inline void vnet_compat_netmem_sync(struct page_pool *pool,
					   netmem_ref netmem, u32 len)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	page_pool_dma_sync_netmem_for_cpu(pool, netmem, 0, len);
#endif
}

/* Headers and data split (tcp-data-split, hds-thresh): for the same kernels */
#ifdef VNET_HAVE_QUEUE_CONFIG
#define VNET_COMPAT_RING_HDS	(ETHTOOL_RING_USE_TCP_DATA_SPLIT | \
				 ETHTOOL_RING_USE_HDS_THRS)
#else
#define VNET_COMPAT_RING_HDS	0
#endif

static inline void vnet_compat_hds_show(struct kernel_ethtool_ringparam *kring,
					u32 hds, u32 most)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	kring->tcp_data_split = hds ? ETHTOOL_TCP_DATA_SPLIT_ENABLED :
				      ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	kring->hds_thresh_max = most;
#endif
}

static inline bool
vnet_compat_hds(const struct kernel_ethtool_ringparam *kring)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	return kring->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
#else
	return false;
#endif
}

static inline u32
vnet_compat_hds_thresh(const struct kernel_ethtool_ringparam *kring)
{
#ifdef VNET_HAVE_QUEUE_CONFIG
	return kring->hds_thresh;
#else
	return 0;
#endif
}

/* 7.2: packets whose fragments only a memory provider can read can be sent. */
static inline void vnet_compat_netmem_tx(struct net_device *dev)
{
#ifdef VNET_HAVE_NETMEM_TX
	dev->netmem_tx = NETMEM_TX_DMA;
#endif
}

/* The contrary: nobody takes pages back to @pool without a lock any more. */
static inline void vnet_compat_pool_disown(struct page_pool *pool)
{
#ifdef VNET_HAVE_POOL_ENABLE_DIRECT
	page_pool_disable_direct_recycling(pool);
#else
	WRITE_ONCE(pool->p.napi, NULL);
#endif
}

/*
 * A whole page of @pool, or NULL. 6.18: asked for as netmem, the function into
 * which the kernel injects failures (pp_alloc_fail.py).
 */
static inline struct page *vnet_compat_pool_alloc(struct page_pool *pool,
						  gfp_t gfp)
{
#ifdef VNET_HAVE_NETMEM_DESC
	return netmem_to_page(page_pool_alloc_netmems(pool, gfp));
#else
	return page_pool_alloc_pages(pool, gfp);
#endif
}

/* The pool of @page. 6.18: kept in struct netmem_desc, no more in struct page */
static inline struct page_pool *vnet_compat_page_pool(struct page *page)
{
#ifdef VNET_HAVE_NETMEM_DESC
	return pp_page_to_nmdesc(page)->pp;
#else
	return page->pp;
#endif
}

/* References to @page that page_pool_unref_page() counts down. 6.18: as above */
static inline long vnet_compat_pp_users(struct page *page)
{
#ifdef VNET_HAVE_NETMEM_DESC
	return atomic_long_read(&pp_page_to_nmdesc(page)->pp_ref_count);
#else
	return atomic_long_read(&page->pp_ref_count);
#endif
}

/* 6.14: the type alone; before, it is in struct xdp_mem_info */
static inline u32 vnet_compat_frame_mem_type(const struct xdp_frame *frame)
{
#ifdef VNET_HAVE_XDP_MIXED_POOLS
	return frame->mem_type;
#else
	return frame->mem.type;
#endif
}

/*
 * 6.14: frames that are returned together may come from different page pools;
 * before, each receive queue must have one only.
 */
#ifdef VNET_HAVE_XDP_MIXED_POOLS
#define VNET_COMPAT_XDP_MIXED_POOLS	1
#else
#define VNET_COMPAT_XDP_MIXED_POOLS	0
#endif

/* 6.14: the truesize of the frags is kept with them; before, all are alike */
static inline void vnet_compat_xdp_frags_add(struct skb_shared_info *si,
					     u32 size, u32 truesize)
{
	si->xdp_frags_size += size;
#ifdef VNET_HAVE_XDP_FRAGS_TRUESIZE
	si->xdp_frags_truesize += truesize;
#endif
}

static inline void vnet_compat_xdp_frags_init(struct skb_shared_info *si)
{
	si->nr_frags = 0;
	si->xdp_frags_size = 0;
#ifdef VNET_HAVE_XDP_FRAGS_TRUESIZE
	si->xdp_frags_truesize = 0;
#endif
}

static inline u32 vnet_compat_xdp_frags_truesize(const struct xdp_buff *xdp,
						 const struct skb_shared_info *si)
{
#ifdef VNET_HAVE_XDP_FRAGS_TRUESIZE
	return si->xdp_frags_truesize;
#else
	return si->nr_frags * xdp->frame_sz;
#endif
}

/* 6.18: the frags of an XDP buffer become those of its skb by flags */
static inline void vnet_compat_xdp_frags_to_skb(struct sk_buff *skb,
						u8 nr_frags, u32 size,
						u32 truesize,
						struct xdp_buff *xdp)
{
#ifdef VNET_HAVE_XDP_SKB_FRAGS_INFO
	xdp_update_skb_frags_info(skb, nr_frags, size, truesize,
				  xdp_buff_get_skb_flags(xdp));
#else
	xdp_update_skb_shared_info(skb, nr_frags, size, truesize,
				   xdp_buff_is_frag_pfmemalloc(xdp));
#endif
}

/* 6.14: the frags of an AF_XDP frame are added to their head; before, by hand */
static inline void vnet_compat_xsk_add_frag(struct xdp_buff *head,
					    struct xdp_buff *frag)
{
#ifdef VNET_HAVE_XSK_ADD_FRAG_HEAD
	xsk_buff_add_frag(head, frag);
#else
	struct skb_shared_info *si = xdp_get_shared_info_from_buff(head);
	u32 len = frag->data_end - frag->data;

	if (!xdp_buff_has_frags(head)) {
		vnet_compat_xdp_frags_init(si);
		xdp_buff_set_frags_flag(head);
	}
	skb_frag_fill_page_desc(&si->frags[si->nr_frags++],
				virt_to_page(frag->data),
				offset_in_page(frag->data), len);
	vnet_compat_xdp_frags_add(si, len, frag->frame_sz);
	xsk_buff_add_frag(frag);
#endif
}

/* 6.18: what AF_XDP wants of a frame that it transmits is asked descriptor by descriptor */
static inline void vnet_compat_xsk_tx_ops(struct net_device *dev,
					  const struct xsk_tx_metadata_ops *ops)
{
#ifdef VNET_HAVE_XSK_TX_METADATA
	dev->xsk_tx_metadata_ops = ops;
#endif
}

static inline void
vnet_compat_xsk_tx_request(struct xsk_buff_pool *pool,
			   const struct xdp_desc *desc,
			   const struct xsk_tx_metadata_ops *ops, void *priv)
{
#ifdef VNET_HAVE_XSK_TX_METADATA
	struct xsk_tx_metadata *meta;

	meta = xsk_buff_get_metadata(pool, desc->addr, desc->options);
	xsk_tx_metadata_request(pool, &meta, ops, priv);
#endif
}

/* 7.2: the receive mode is set from process context */
#ifdef VNET_HAVE_RX_MODE_ASYNC
#define VNET_COMPAT_RX_MODE_OPS(async, atomic)	.ndo_set_rx_mode_async = (async)
#else
#define VNET_COMPAT_RX_MODE_OPS(async, atomic)	.ndo_set_rx_mode = (atomic)
#endif

/* 7.0: drivers are told of a reset by the transport (PCI FLR) */
#ifdef VNET_HAVE_VIRTIO_RESET_OPS
#define VNET_COMPAT_RESET_OPS(prepare, done) \
	.reset_prepare = (prepare), .reset_done = (done),
#else
#define VNET_COMPAT_RESET_OPS(prepare, done)
#endif

/*
 * 7.3: drivers are told of a shutdown by the virtio core. Before, it resets the
 * device behind their back, and they ask to be told of reboot, halt and kexec.
 */
#ifdef VNET_HAVE_VIRTIO_SHUTDOWN
#define VNET_COMPAT_SHUTDOWN_OP(fn)	.shutdown = (fn),

static inline void vnet_compat_reboot_register(struct notifier_block *nb)
{
}

static inline void vnet_compat_reboot_unregister(struct notifier_block *nb)
{
}
#else
#define VNET_COMPAT_SHUTDOWN_OP(fn)

static inline void vnet_compat_reboot_register(struct notifier_block *nb)
{
	register_reboot_notifier(nb);
}

static inline void vnet_compat_reboot_unregister(struct notifier_block *nb)
{
	unregister_reboot_notifier(nb);
}
#endif

#endif /* VNET_COMPAT_H */
