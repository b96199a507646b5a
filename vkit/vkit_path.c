// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a packet through a pair.
 *
 * A packet for the host's end is shown to the programs of that end at once, in
 * the transmit function of the other: it is received there as from a wire, so
 * tcx, clsact and nft have it where they always have it, can redirect it, and
 * can assign it to a socket. What they let pass comes to the receive handler,
 * which is the last before the stack, and is queued there: the stack never runs
 * in the transmit function, where the sender may hold its socket.
 *
 * What was queued by the handler is not classified again (tc_skip_classify), and
 * the handler lets it pass, for nobody is inside of vkit_xmit() then.
 *
 * Where nothing is attached, and where the handler is somebody else's (a bridge
 * has one of its own), packets are queued before anything else is done, and
 * whatever is there runs when they are taken out.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netfilter_netdev.h>
#include <net/sock.h>

#include "vkit.h"
#include "vkit_compat.h"

#define VKIT_MAX_DEPTH	4	/* pairs that a packet may go through at once */

/**
 * struct vkit_inside - somebody is inside of vkit_xmit(), and programs run
 * @task: who
 * @outer: the next one of this CPU
 *
 * Of one CPU there can be several, of one task, when programs lead a packet from
 * pair to pair, and on real-time kernels of several tasks.
 */
struct vkit_inside {
	struct task_struct *task;
	struct vkit_inside *outer;
};

static DEFINE_PER_CPU(struct vkit_inside *, vkit_insides);

/* How deep is this task inside? Softirqs are off, so it stays on this CPU. */
static unsigned int vkit_depth(void)
{
	const struct vkit_inside *inside;
	unsigned int depth = 0;

	preempt_disable();
	inside = this_cpu_read(vkit_insides);
	for (; inside; inside = inside->outer)
		depth += inside->task == current;
	preempt_enable();

	return depth;
}

static void vkit_enter(struct vkit_inside *inside)
{
	inside->task = current;

	preempt_disable();
	inside->outer = this_cpu_read(vkit_insides);
	this_cpu_write(vkit_insides, inside);
	preempt_enable();
}

static void vkit_leave(struct vkit_inside *inside)
{
	struct vkit_inside **place;

	preempt_disable();
	place = this_cpu_ptr(&vkit_insides);
	while (*place != inside)
		place = &(*place)->outer;
	*place = inside->outer;
	preempt_enable();
}

/* Is there anything at the ingress of the host's end that has to see @skb at once? */
static bool vkit_has_programs(const struct net_device *dev)
{
	if (rcu_access_pointer(dev->tcx_ingress))
		return true;
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
	return false;
}

/*
 * A device for a VLAN is found before the handler, and with generic XDP a packet
 * that is received twice is seen twice: such packets are queued first.
 */
static bool vkit_runs_at_once(const struct net_device *dev,
			      const struct sk_buff *skb)
{
	const struct vkit *vk = netdev_priv(dev);

	return vk->primary && READ_ONCE(vk->handles) && vkit_has_programs(dev) &&
	       !skb_vlan_tag_present(skb) && !eth_type_vlan(skb->protocol) &&
	       !rcu_access_pointer(dev->xdp_prog);
}

/* With no program to decide, does the policy of the sender say that packets are dropped? */
static bool vkit_is_unwanted(const struct vkit *vk, const struct net_device *dev,
			     const struct net_device *peer)
{
	if (likely(READ_ONCE(vk->policy) == NETKIT_PASS))
		return false;

	return vk->primary ? !rcu_access_pointer(dev->tcx_egress) :
			     !rcu_access_pointer(peer->tcx_ingress);
}

static bool vkit_may_cross(struct vkit *vk, struct net_device *dev,
			   struct net_device *peer, struct sk_buff *skb,
			   enum vkit_count *count,
			   enum skb_drop_reason *reason)
{
	if (unlikely(!peer || !(peer->flags & IFF_UP))) {
		*count = VKIT_DROP_DOWN;
		*reason = SKB_DROP_REASON_DEV_READY;
	} else if (unlikely(!pskb_may_pull(skb, ETH_HLEN))) {
		*count = VKIT_DROP_SHORT;
		*reason = SKB_DROP_REASON_HDR_TRUNC;
	} else if (unlikely(skb_orphan_frags(skb, GFP_ATOMIC))) {
		*count = VKIT_DROP_MEMORY;
		*reason = SKB_DROP_REASON_NOMEM;
	} else if (unlikely(vkit_is_unwanted(vk, dev, peer))) {
		*count = VKIT_DROP_POLICY;
		*reason = SKB_DROP_REASON_TC_EGRESS;
	} else {
		return true;
	}

	return false;
}

/* What belongs to this end is taken off; the packet is as just received by the other. */
static void vkit_cross(const struct vkit *vk, struct net_device *dev,
		       struct net_device *peer, struct sk_buff *skb)
{
	skb_scrub_packet(skb, false);
	if (!net_eq(dev_net(dev), dev_net(peer))) {
		ipvs_reset(skb);
		skb_clear_tstamp(skb);
		if (vk->scrub) {
			skb->priority = 0;
			skb->mark = 0;
		}
	}

	skb->protocol = eth_type_trans(skb, peer);
	skb_postpull_rcsum(skb, eth_hdr(skb), ETH_HLEN);
}

/*
 * GRO is for what comes from elsewhere in pieces; what a socket of this machine
 * has sent is as large as it can be.
 */
static int vkit_queue(struct net_device *dev, struct sk_buff *skb)
{
	struct vkit *vk = netdev_priv(dev);

	if (skb->sk || skb_is_gso(skb))
		return __netif_rx(skb);

	return gro_cells_receive(&vk->cells, skb);
}

/* The reference of vkit_sk_pin(), where nobody has taken it back. */
static void vkit_sk_unpin(struct sk_buff *skb)
{
	sock_put(skb->sk);
}

/*
 * A program may assign a packet to a socket without a reference, if the socket
 * is freed under RCU. That does for a packet that goes up the stack at once; one
 * that is queued needs a reference until it is taken out.
 */
static void vkit_sk_pin(struct sk_buff *skb)
{
	if (!skb_sk_is_prefetched(skb) || sk_is_refcounted(skb->sk))
		return;

	if (refcount_inc_not_zero(&skb->sk->sk_refcnt)) {
		skb->destructor = vkit_sk_unpin;
	} else {
		skb->destructor = NULL;
		skb->sk = NULL;
	}
}

/* RCU holds the socket again, until the stack has found it. */
static void vkit_sk_hand_over(struct sk_buff *skb)
{
	if (skb->destructor != vkit_sk_unpin)
		return;

	skb->destructor = sock_pfree;
	sock_put(skb->sk);
}

static rx_handler_result_t vkit_handler(struct sk_buff **pskb)
{
	struct sk_buff *skb = *pskb;

	if (likely(!vkit_depth())) {
		vkit_sk_hand_over(skb);
		return RX_HANDLER_PASS;
	}

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (skb) {
		vkit_sk_pin(skb);
		skb->tc_skip_classify = 1;
		vkit_queue(skb->dev, skb);
	}

	return RX_HANDLER_CONSUMED;
}

/**
 * vkit_xmit() - send a packet to the other end
 * @skb: the packet
 * @dev: this end
 *
 * Context: softirqs off, any lock of the stack may be held.
 * Return: %NETDEV_TX_OK, or %NET_XMIT_DROP.
 */
netdev_tx_t vkit_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);
	enum skb_drop_reason reason;
	unsigned int len = skb->len;
	struct vkit_inside inside;
	struct net_device *peer;
	enum vkit_count count;
	int ret;

	rcu_read_lock();
	peer = rcu_dereference(vk->peer);
	if (!vkit_may_cross(vk, dev, peer, skb, &count, &reason))
		goto drop;

	skb_tx_timestamp(skb);
	vkit_cross(vk, dev, peer, skb);

	if (vkit_runs_at_once(peer, skb)) {
		count = VKIT_DROP_LOOP;
		reason = SKB_DROP_REASON_TC_INGRESS;
		if (unlikely(vkit_depth() >= VKIT_MAX_DEPTH))
			goto drop;

		vkit_add(vk, VKIT_RUNS);
		dev_sw_netstats_rx_add(peer, len);
		vkit_enter(&inside);
		ret = netif_receive_skb(skb);
		vkit_leave(&inside);
	} else {
		ret = vkit_queue(peer, skb);
		if (likely(ret == NET_RX_SUCCESS))
			dev_sw_netstats_rx_add(peer, len);
		vkit_add(vk, ret == NET_RX_SUCCESS ? VKIT_QUEUED : VKIT_DROP_FULL);
	}
	if (likely(ret == NET_RX_SUCCESS))
		dev_sw_netstats_tx_add(dev, 1, len);
	else
		dev_core_stats_tx_dropped_inc(dev);
	rcu_read_unlock();

	return ret == NET_RX_SUCCESS ? NETDEV_TX_OK : NET_XMIT_DROP;

drop:
	rcu_read_unlock();
	vkit_add(vk, count);
	dev_core_stats_tx_dropped_inc(dev);
	kfree_skb_reason(skb, reason);
	return NET_XMIT_DROP;
}

/**
 * vkit_handle() - take the receive handler of an end, if nobody has it
 * @dev: the end
 *
 * Context: rtnl.
 */
void vkit_handle(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);

	if (!vk->handles && !netdev_rx_handler_register(dev, vkit_handler, NULL))
		WRITE_ONCE(vk->handles, true);
}

/**
 * vkit_unhandle() - give up the receive handler of an end
 * @dev: the end; when it is being unregistered nobody sends to it any more
 *
 * Context: rtnl. When this returns, nobody counts on the handler any more.
 */
void vkit_unhandle(struct net_device *dev)
{
	struct vkit *vk = netdev_priv(dev);

	if (!vk->handles)
		return;

	WRITE_ONCE(vk->handles, false);
	if (dev->reg_state == NETREG_REGISTERED)
		synchronize_net();	/* who counts on it still finds it */
	netdev_rx_handler_unregister(dev);
}
