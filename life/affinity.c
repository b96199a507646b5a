// SPDX-License-Identifier: GPL-2.0
/*
 * Which CPU serves which queue: interrupt affinity and XPS, in groups of
 * neighbouring CPUs, kept right across CPU hotplug. What a user has set instead
 * is the user's for as long as the device lives: it is told from what was set
 * here by a hash of that, before it would get lost.
 *
 * The in-tree driver owns the one CPUHP_VIRT_NET_DEAD state; the dynamic states
 * let both drivers load.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <linux/jhash.h>
#include <linux/pci.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_queue.h"

/**
 * struct vnet_placement - where a user wants a queue pair to be
 * @xps: CPUs that send to it
 * @irqs: CPUs that its interrupts go to, receive and transmit
 * @has_xps: @xps is set, and is to be restored
 * @has_irq: @irqs is set
 */
struct vnet_placement {
	struct cpumask xps;
	struct cpumask irqs[2];
	bool has_xps;
	bool has_irq[2];
};

static enum cpuhp_state vnet_hp_online_state;
static enum cpuhp_state vnet_hp_dead_state;

/* The online CPUs of queue @i of @nr: a run of neighbours, or one of them. */
static void vnet_queue_cpus(struct cpumask *mask, u16 i, u16 nr)
{
	unsigned int cpus = num_online_cpus(), rank = 0, cpu;

	cpumask_clear(mask);
	for_each_online_cpu(cpu) {
		bool mine = nr <= cpus ? rank * nr / cpus == i :
					 i % cpus == rank;

		if (mine)
			cpumask_set_cpu(cpu, mask);
		rank++;
	}
}

/**
 * vnet_vq_irq() - the interrupt that a queue has for itself
 * @vd: device with virtqueues
 * @index: of a data queue
 *
 * virtio_pci keeps that to itself, but gives vectors to the queues in their
 * order, after the one of the configuration; or all queues share one.
 *
 * Return: the number, -1 if it has none.
 */
int vnet_vq_irq(struct vnet_dev *vd, unsigned int index)
{
	struct device *parent = vd->vdev->dev.parent;
	struct pci_dev *pdev;

	if (!parent || !dev_is_pci(parent))
		return -1;

	pdev = to_pci_dev(parent);
	if (!pdev->msix_enabled ||
	    pci_irq_vector(pdev, 2 * vd->caps.max_pairs) < 0)
		return -1;

	return pci_irq_vector(pdev, 1 + index);
}

/* Tells masks apart; 0 is that of none. */
static u32 vnet_mask_hash(const struct cpumask *mask)
{
	u32 bytes = BITS_TO_LONGS(nr_cpu_ids) * sizeof(unsigned long);

	return jhash(cpumask_bits(mask), bytes, 0) ? : 1;
}

/* Where the user's wishes are kept; NULL without memory, and they are lost. */
static struct vnet_placement *vnet_placement_get(struct vnet_rxq *rxq)
{
	if (!rxq->user)
		rxq->user = kzalloc(sizeof(*rxq->user), GFP_KERNEL);

	return rxq->user;
}

/* The CPUs that send to queue @i */
static void vnet_xps_read(struct net_device *dev, u16 i, struct cpumask *mask)
{
	cpumask_clear(mask);
#ifdef CONFIG_XPS
	{
		const struct xps_dev_maps *maps;
		const struct xps_map *map;
		unsigned int cpu, pos;

		rcu_read_lock();
		maps = rcu_dereference(dev->xps_maps[XPS_CPUS]);
		for_each_possible_cpu(cpu) {
			map = maps && cpu < maps->nr_ids ?
			      rcu_dereference(maps->attr_map[cpu *
							     maps->num_tc]) :
			      NULL;
			for (pos = 0; map && pos < map->len; pos++)
				if (map->queues[pos] == i)
					cpumask_set_cpu(cpu, mask);
		}
		rcu_read_unlock();
	}
#endif
}

/* XPS of a pair: @mask, unless the user has set or had set something else. */
static void vnet_xps_place(struct vnet_dev *vd, u16 i, struct cpumask *mask)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	u32 hash = vnet_mask_hash(mask);
	cpumask_var_t now;

	if (!zalloc_cpumask_var(&now, GFP_KERNEL))
		return;

	if (rxq->user && rxq->user->has_xps) {
		rxq->user->has_xps = false;
		mask = &rxq->user->xps;
	} else {
		vnet_xps_read(vd->dev, i, now);
		if (rxq->xps && rxq->xps != vnet_mask_hash(now))
			mask = NULL;
	}
	if (mask) {
		__netif_set_xps_queue(vd->dev, cpumask_bits(mask), i, XPS_CPUS);
		rxq->xps = hash;
	}
	free_cpumask_var(now);
}

/* The interrupts of a pair: @mask, or what the user has set. */
static void vnet_irqs_place(struct vnet_dev *vd, u16 i,
			    const struct cpumask *mask)
{
	struct vnet_rxq *rxq = &vd->rxqs[i];
	struct virtqueue *vqs[2] = { rxq->q.vq, vd->txqs[i].q.vq };
	const struct vnet_placement *user = rxq->user;
	unsigned int k;

	if (rxq->placed)
		return;

	for (k = 0; k < 2; k++)
		virtqueue_set_affinity(vqs[k], user && user->has_irq[k] ?
				       &user->irqs[k] : mask);
	rxq->irqs = vnet_mask_hash(mask);
	rxq->placed = true;
}

/**
 * vnet_queues_unplace() - the interrupts of all pairs will have to be placed
 * @vd: device with virtqueues
 *
 * Because they go with the virtqueues, or because CPUs come and go. All CPUs
 * that are online is what the kernel sets itself when those of an interrupt go.
 * What a user has set is known here when the interrupt has come once since.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 */
void vnet_queues_unplace(struct vnet_dev *vd)
{
	const struct cpumask *mask;
	struct vnet_placement *user;
	struct vnet_rxq *rxq;
	unsigned int k;
	bool other;
	int irq;
	u16 i;

	for (i = 0; i < vd->caps.max_pairs; i++) {
		rxq = &vd->rxqs[i];
		for (k = 0; k < 2 && rxq->placed; k++) {
			irq = vnet_vq_irq(vd, 2 * i + k);
			mask = irq < 0 ? NULL : irq_get_affinity_mask(irq);
			other = mask && vnet_mask_hash(mask) != rxq->irqs &&
				!cpumask_subset(cpu_online_mask, mask);
			user = other ? vnet_placement_get(rxq) : rxq->user;
			if (!user)
				continue;
			user->has_irq[k] = other;
			if (other)
				cpumask_copy(&user->irqs[k], mask);
		}
		rxq->placed = false;
	}
}

/**
 * vnet_queues_remember() - the stack is about to forget XPS of some pairs
 * @vd: device
 * @from: the first of them
 *
 * Context: process, sleeps; instance lock and rtnl held.
 */
void vnet_queues_remember(struct vnet_dev *vd, u16 from)
{
	struct vnet_placement *user;
	cpumask_var_t now;
	u16 i;

	if (!zalloc_cpumask_var(&now, GFP_KERNEL))
		return;

	for (i = from; i < vd->dev->real_num_tx_queues; i++) {
		struct vnet_rxq *rxq = &vd->rxqs[i];

		vnet_xps_read(vd->dev, i, now);
		if (rxq->xps && rxq->xps != vnet_mask_hash(now)) {
			user = vnet_placement_get(rxq);
			if (user) {
				cpumask_copy(&user->xps, now);
				user->has_xps = true;
			}
		}
		rxq->xps = 0;
	}
	free_cpumask_var(now);
}

/**
 * vnet_queues_spread() - distribute the active queue pairs over the CPUs
 * @vd: device, live
 *
 * A hint: failure costs speed, not packets.
 *
 * Context: process, sleeps; instance lock held, or the net device unregistered.
 */
void vnet_queues_spread(struct vnet_dev *vd)
{
	cpumask_var_t mask;
	u16 i;

	if (!alloc_cpumask_var(&mask, GFP_KERNEL))
		return;

	cpus_read_lock();
	for (i = 0; i < vd->cfg.pairs; i++) {
		vnet_queue_cpus(mask, i, vd->cfg.pairs);
		vnet_irqs_place(vd, i, mask);
		vnet_xps_place(vd, i, mask);
	}
	cpus_read_unlock();
	free_cpumask_var(mask);
}

static void vnet_spread_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(work, struct vnet_dev, spread_work);

	vnet_compat_lock(vd->dev);
	if (vnet_live(vd)) {
		vnet_queues_unplace(vd);
		vnet_queues_spread(vd);
	}
	vnet_compat_unlock(vd->dev);
}

static int vnet_cpu_online(unsigned int cpu, struct hlist_node *node)
{
	struct vnet_dev *vd = hlist_entry(node, struct vnet_dev, hp_online);

	queue_work(system_long_wq, &vd->spread_work);
	return 0;
}

static int vnet_cpu_dead(unsigned int cpu, struct hlist_node *node)
{
	struct vnet_dev *vd = hlist_entry(node, struct vnet_dev, hp_dead);

	queue_work(system_long_wq, &vd->spread_work);
	return 0;
}

/* Module load: register the two states. Returns 0 or -errno. */
int vnet_hotplug_init(void)
{
	int state;

	state = cpuhp_setup_state_multi(CPUHP_AP_ONLINE_DYN, "net/vnet:online",
					vnet_cpu_online, NULL);
	if (state < 0)
		return state;
	vnet_hp_online_state = state;

	state = cpuhp_setup_state_multi(CPUHP_BP_PREPARE_DYN, "net/vnet:dead",
					NULL, vnet_cpu_dead);
	if (state < 0) {
		cpuhp_remove_multi_state(vnet_hp_online_state);
		return state;
	}
	vnet_hp_dead_state = state;

	return 0;
}

void vnet_hotplug_exit(void)
{
	cpuhp_remove_multi_state(vnet_hp_dead_state);
	cpuhp_remove_multi_state(vnet_hp_online_state);
}

/* Probe: follow CPU hotplug from now on. Returns 0 or -errno. */
int vnet_hotplug_add(struct vnet_dev *vd)
{
	int err;

	INIT_WORK(&vd->spread_work, vnet_spread_work);
	err = cpuhp_state_add_instance_nocalls(vnet_hp_online_state,
					       &vd->hp_online);
	if (err)
		return err;

	err = cpuhp_state_add_instance_nocalls(vnet_hp_dead_state,
					       &vd->hp_dead);
	if (err)
		cpuhp_state_remove_instance_nocalls(vnet_hp_online_state,
						    &vd->hp_online);

	return err;
}

void vnet_hotplug_del(struct vnet_dev *vd)
{
	cpuhp_state_remove_instance_nocalls(vnet_hp_dead_state, &vd->hp_dead);
	cpuhp_state_remove_instance_nocalls(vnet_hp_online_state,
					    &vd->hp_online);
	cancel_work_sync(&vd->spread_work);
}
