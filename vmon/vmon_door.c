// SPDX-License-Identifier: GPL-2.0
/*
 * The door: through it come the packets for monitors outside of the initial
 * name space, and nothing passes that they may not see.
 *
 * The core of vsock hands each packet to every tap on the machine. So the tap of
 * these monitors is a device of nobody: it is not registered, has no name and
 * no number, and no packet socket, no qdisc and no rule of a user can be at it.
 * An egress hook takes every packet out there, before anything else is done with
 * it, and gives a clone to each monitor that may see it. What a monitor does not
 * get never was at its device.
 *
 * Whether a CID is one of this machine can only be asked where one may sleep.
 * The answer is kept for a second; a packet that needs it and comes when there
 * is none waits for the work that asks, and all that come meanwhile wait behind
 * it.
 */

#include <linux/netfilter.h>
#include <linux/if_arp.h>
#include <linux/workqueue.h>

#include "vmon.h"
#include "vmon_compat.h"

#define VMON_CIDS	256		/* places for what is known of one */
#define VMON_CID_AGE	HZ		/* how long that is believed */
#define VMON_WAITING	256		/* packets */

/* What is known of a CID; its place is by its last bits, for hosts number one by one. */
struct vmon_cid {
	unsigned long asked;
	u32 cid;
	bool known;
	bool here;
};

static struct {
	struct mutex lock;		/* who opens and closes it; inside of rtnl */
	struct list_head monitors;	/* changed under the lock, read under RCU */
	struct net_device *dev;
	struct vsock_tap tap;
	struct nf_hook_ops hook;
	struct work_struct work;
	struct sk_buff_head waiting;
	spinlock_t cid_lock;		/* what is known of CIDs */
	struct vmon_cid cids[VMON_CIDS];
} door = {
	.lock = __MUTEX_INITIALIZER(door.lock),
	.monitors = LIST_HEAD_INIT(door.monitors),
	.cid_lock = __SPIN_LOCK_UNLOCKED(door.cid_lock),
};

/*
 * What is known of @cid, in @here; false: nothing. Nobody but this machine has
 * LOCAL, and nobody at all has ANY.
 */
static bool vmon_cid_known(u32 cid, bool *here)
{
	struct vmon_cid *place = &door.cids[cid % VMON_CIDS];
	bool known;

	*here = cid == VMADDR_CID_LOCAL;
	if (*here || cid == VMADDR_CID_ANY)
		return true;

	spin_lock_bh(&door.cid_lock);
	known = place->known && place->cid == cid &&
		time_before(jiffies, place->asked + VMON_CID_AGE);
	*here = known && place->here;
	spin_unlock_bh(&door.cid_lock);

	return known;
}

/* Ask about @cid, unless it is known. Sleeps. */
static bool vmon_cid_ask(u32 cid)
{
	struct vmon_cid *place = &door.cids[cid % VMON_CIDS];
	bool here;

	if (vmon_cid_known(cid, &here))
		return here;

	here = vsock_find_cid(cid);

	spin_lock_bh(&door.cid_lock);
	*place = (struct vmon_cid){
		.asked = jiffies, .cid = cid, .known = true, .here = here,
	};
	spin_unlock_bh(&door.cid_lock);

	return here;
}

static bool vmon_ends_read(struct sk_buff *skb, struct vmon_ends *ends)
{
	struct af_vsockmon_hdr copy, *hdr;

	hdr = skb_header_pointer(skb, 0, sizeof(copy), &copy);
	if (!hdr)
		return false;

	*ends = (struct vmon_ends){
		.src = {
			.svm_family = AF_VSOCK,
			.svm_cid = le64_to_cpu(hdr->src_cid),
			.svm_port = le32_to_cpu(hdr->src_port),
		},
		.dst = {
			.svm_family = AF_VSOCK,
			.svm_cid = le64_to_cpu(hdr->dst_cid),
			.svm_port = le32_to_cpu(hdr->dst_port),
		},
	};
	return true;
}

/* Give clones of @skb to those who may see it. Softirqs off, RCU; consumes @skb. */
static void vmon_door_show(struct sk_buff *skb, const struct vmon_ends *ends)
{
	struct sk_buff *clone;
	struct vmon *vm;

	list_for_each_entry_rcu(vm, &door.monitors, node) {
		if (!vmon_may_see(ends, dev_net(vm->dev))) {
			vmon_add(vm, VMON_HIDDEN, 1);
			continue;
		}

		clone = skb_clone(skb, GFP_ATOMIC);
		if (!clone) {
			vmon_add(vm, VMON_LOST, 1);
			continue;
		}
		clone->dev = vm->dev;
		dev_queue_xmit(clone);
	}

	consume_skb(skb);
}

/* Does anybody need to know whether the ends are here? */
static bool vmon_door_has_to_ask(const struct vmon_ends *ends)
{
	struct vmon *vm;

	list_for_each_entry_rcu(vm, &door.monitors, node)
		if (!vmon_connected(ends, dev_net(vm->dev)))
			return true;

	return false;
}

/* Let @skb wait for the work; consumes it. Softirqs off, RCU. */
static void vmon_door_wait(struct sk_buff *skb)
{
	struct vmon *vm;

	if (skb_queue_len_lockless(&door.waiting) < VMON_WAITING) {
		skb_queue_tail(&door.waiting, skb);
		schedule_work(&door.work);
		return;
	}

	list_for_each_entry_rcu(vm, &door.monitors, node)
		vmon_add(vm, VMON_LOST, 1);
	kfree_skb(skb);
}

/* Stealing is success for whoever sends: the taps behind this one get the packet, too. */
static unsigned int vmon_door_hook(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	struct vmon_ends ends;
	bool known;

	if (!vmon_ends_read(skb, &ends)) {
		kfree_skb(skb);
		return NF_STOLEN;
	}

	known = vmon_cid_known(ends.src.svm_cid, &ends.src_here);
	known &= vmon_cid_known(ends.dst.svm_cid, &ends.dst_here);
	if (!skb_queue_empty_lockless(&door.waiting) ||
	    (!known && vmon_door_has_to_ask(&ends)))
		vmon_door_wait(skb);
	else
		vmon_door_show(skb, &ends);

	return NF_STOLEN;
}

/* A packet leaves the queue when it has been shown: what comes meanwhile waits behind it. */
static void vmon_door_work(struct work_struct *work)
{
	struct vmon_ends ends;
	struct sk_buff *skb;

	while (!skb_queue_empty_lockless(&door.waiting)) {
		skb = skb_peek(&door.waiting);
		vmon_ends_read(skb, &ends);
		ends.src_here = vmon_cid_ask(ends.src.svm_cid);
		ends.dst_here = vmon_cid_ask(ends.dst.svm_cid);

		local_bh_disable();
		rcu_read_lock();
		vmon_door_show(skb_get(skb), &ends);
		rcu_read_unlock();
		skb_unlink(skb, &door.waiting);
		local_bh_enable();
		consume_skb(skb);
	}
}

static int vmon_door_open(void)
{
	struct net_device *dev;
	int err;

	dev = alloc_netdev_dummy(0);
	if (!dev)
		return -ENOMEM;
	dev->type = ARPHRD_VSOCKMON;	/* or it gets no packets */

	skb_queue_head_init(&door.waiting);
	INIT_WORK(&door.work, vmon_door_work);
	door.hook = (struct nf_hook_ops){
		.hook = vmon_door_hook,
		.dev = dev,
		.pf = NFPROTO_NETDEV,
		.hooknum = NF_NETDEV_EGRESS,
	};
	door.tap = (struct vsock_tap){ .dev = dev };
	door.dev = dev;

	/* no packet may come while there is no hook: the device can send nothing */
	err = nf_register_net_hook(&init_net, &door.hook);
	if (err)
		goto err_free;
	err = vsock_add_tap(&door.tap);
	if (err)
		goto err_unhook;

	return 0;

err_unhook:
	nf_unregister_net_hook(&init_net, &door.hook);
err_free:
	door.dev = NULL;
	free_netdev(dev);
	return err;
}

static void vmon_door_close(void)
{
	vsock_remove_tap(&door.tap);	/* waits for those who deliver */
	nf_unregister_net_hook(&init_net, &door.hook);
	cancel_work_sync(&door.work);
	skb_queue_purge(&door.waiting);
	free_netdev(door.dev);
	door.dev = NULL;
}

/**
 * vmon_door_enter() - let a monitor have the packets that it may see
 * @vm: the monitor; it gets them by its own transmit function
 *
 * Context: rtnl.
 * Return: 0, or -EOPNOTSUPP where the kernel has no egress hooks.
 */
int vmon_door_enter(struct vmon *vm)
{
	int err = 0;

	mutex_lock(&door.lock);
	if (list_empty(&door.monitors))
		err = vmon_door_open();
	if (!err)
		list_add_tail_rcu(&vm->node, &door.monitors);
	mutex_unlock(&door.lock);

	return err;
}

/**
 * vmon_door_leave() - no packet for a monitor any more
 * @vm: the monitor; when this returns, nobody looks at it
 *
 * Context: rtnl.
 */
void vmon_door_leave(struct vmon *vm)
{
	mutex_lock(&door.lock);
	list_del_rcu(&vm->node);
	if (list_empty(&door.monitors))
		vmon_door_close();
	else
		synchronize_net();
	mutex_unlock(&door.lock);
}
