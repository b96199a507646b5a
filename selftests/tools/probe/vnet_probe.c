// SPDX-License-Identifier: GPL-2.0
/*
 * For tests: refuses large pages to page pools, and looks at the moment of calls
 * whether what the driver promises holds. Kernels of distributions have no
 * fault injection; probes on their functions they have.
 *
 * Parameters in /sys/module/vnet_probe/parameters: what is wanted is written,
 * counts are read.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <net/page_pool/types.h>
#include <net/xdp_sock_drv.h>

static char *alloc = "page_pool_alloc_netmems";
module_param(alloc, charp, 0444);
MODULE_PARM_DESC(alloc, "the function by which the driver asks for pages");

static uint refuse_order;
module_param(refuse_order, uint, 0644);
MODULE_PARM_DESC(refuse_order, "no pages of this order and above; 0: refuse none");

static uint refused;
module_param(refused, uint, 0644);
MODULE_PARM_DESC(refused, "pages that were refused");

static uint asked;
module_param(asked, uint, 0644);
MODULE_PARM_DESC(asked, "large pages that were asked for");

static uint greedy;
module_param(greedy, uint, 0644);
MODULE_PARM_DESC(greedy, "of these: with reserves, or by work for the caller");

static uint flags_held;
module_param(flags_held, uint, 0644);
MODULE_PARM_DESC(flags_held, "changes of AF_XDP's wake-up flags under the xmit lock");

static uint flags_free;
module_param(flags_free, uint, 0644);
MODULE_PARM_DESC(flags_free, "the same without it");

static int answer_length = -1;
module_param(answer_length, int, 0644);
MODULE_PARM_DESC(answer_length, "used length of answers to commands; -1: the device's");

static uint answers;
module_param(answers, uint, 0644);
MODULE_PARM_DESC(answers, "answers whose used length was changed");

/* A refused call returns by way of this to its caller. */
static noinline notrace void *vnet_probe_nothing(void)
{
	return NULL;
}

/* page_pool_alloc_*(pool, gfp); true when it is not to run. */
static int vnet_probe_page(struct kprobe *kp, struct pt_regs *regs)
{
	struct page_pool *pool = (void *)regs_get_kernel_argument(regs, 0);
	gfp_t gfp = regs_get_kernel_argument(regs, 1);

	if (pool->p.order < 3)
		return 0;

	asked++;
	if (gfp & (__GFP_HIGH | __GFP_DIRECT_RECLAIM))
		greedy++;
	if (!refuse_order || pool->p.order < refuse_order)
		return 0;

	refused++;
	instruction_pointer_set(regs, (unsigned long)vnet_probe_nothing);

	return 1;
}

/* xsk_{set,clear}_{rx,tx}_need_wakeup(pool), called by a poll */
static int vnet_probe_flags(struct kprobe *kp, struct pt_regs *regs)
{
	struct xsk_buff_pool *pool = (void *)regs_get_kernel_argument(regs, 0);
	struct netdev_queue *nq;

	if (!in_serving_softirq() || !pool->netdev)
		return 0;

	nq = netdev_get_tx_queue(pool->netdev, pool->queue_id);
	if (READ_ONCE(nq->xmit_lock_owner) == smp_processor_id())
		flags_held++;
	else
		flags_free++;

	return 0;
}

/**
 * struct vnet_probe_answer - one call of virtqueue_get_buf(vq, len)
 * @len: where the used length goes
 */
struct vnet_probe_answer {
	unsigned int *len;
};

static int vnet_probe_get(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct virtqueue *vq = (void *)regs_get_kernel_argument(regs, 0);
	struct vnet_probe_answer *a = (void *)ri->data;

	a->len = (void *)regs_get_kernel_argument(regs, 1);

	/* What other queues are told is of no interest. */
	return answer_length < 0 || !vq->name || strcmp(vq->name, "control");
}

static int vnet_probe_got(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct vnet_probe_answer *a = (void *)ri->data;

	if (!regs_return_value(regs))
		return 0;

	*a->len = answer_length;
	answers++;

	return 0;
}

static struct kretprobe answer_probe = {
	.kp.symbol_name = "virtqueue_get_buf",
	.entry_handler = vnet_probe_get,
	.handler = vnet_probe_got,
	.data_size = sizeof(struct vnet_probe_answer),
	.maxactive = 16,
};

static struct kprobe page_probe = {
	.pre_handler = vnet_probe_page,
};

static struct kprobe flag_probes[] = {
	{ .symbol_name = "xsk_set_rx_need_wakeup" },
	{ .symbol_name = "xsk_clear_rx_need_wakeup" },
	{ .symbol_name = "xsk_set_tx_need_wakeup" },
	{ .symbol_name = "xsk_clear_tx_need_wakeup" },
};

static void vnet_probe_remove(unsigned int nr)
{
	while (nr--)
		unregister_kprobe(&flag_probes[nr]);
	unregister_kretprobe(&answer_probe);
	unregister_kprobe(&page_probe);
}

static int __init vnet_probe_init(void)
{
	unsigned int i;
	int err;

	page_probe.symbol_name = alloc;
	err = register_kprobe(&page_probe);
	if (err)
		return err;

	err = register_kretprobe(&answer_probe);
	if (err) {
		unregister_kprobe(&page_probe);
		return err;
	}

	for (i = 0; i < ARRAY_SIZE(flag_probes); i++) {
		flag_probes[i].pre_handler = vnet_probe_flags;
		err = register_kprobe(&flag_probes[i]);
		if (err) {
			vnet_probe_remove(i);
			return err;
		}
	}

	return 0;
}
module_init(vnet_probe_init);

static void __exit vnet_probe_exit(void)
{
	vnet_probe_remove(ARRAY_SIZE(flag_probes));
}
module_exit(vnet_probe_exit);

MODULE_DESCRIPTION("Refuses pages and looks at calls, for tests of vnet");
MODULE_LICENSE("GPL");
