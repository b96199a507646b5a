// SPDX-License-Identifier: GPL-2.0
/*
 * Which CPU serves which queue: interrupt affinity and XPS, in groups of
 * neighbouring CPUs, kept right across CPU hotplug.
 *
 * The in-tree driver owns the one CPUHP_VIRT_NET_DEAD state; the dynamic states
 * let both drivers load.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/pci.h>
#include <linux/virtio_config.h>

#include "vnet.h"

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

/**
 * vnet_queues_spread() - distribute the active queue pairs over the CPUs
 * @vd: device, live
 *
 * A hint: failure costs speed, not packets. Interrupts are placed when a pair
 * is used first and when CPUs come and go; what a user has set since stays
 * when the number of pairs changes.
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
		struct vnet_rxq *rxq = &vd->rxqs[i];

		vnet_queue_cpus(mask, i, vd->cfg.pairs);
		if (!rxq->placed) {
			virtqueue_set_affinity(rxq->vq, mask);
			virtqueue_set_affinity(vd->txqs[i].vq, mask);
			rxq->placed = true;
		}
		__netif_set_xps_queue(vd->dev, cpumask_bits(mask), i, XPS_CPUS);
	}
	cpus_read_unlock();
	free_cpumask_var(mask);
}

static void vnet_spread_work(struct work_struct *work)
{
	struct vnet_dev *vd = container_of(work, struct vnet_dev, spread_work);
	u16 i;

	vnet_compat_lock(vd->dev);
	for (i = 0; i < vd->caps.max_pairs; i++)
		vd->rxqs[i].placed = false;
	if (vnet_live(vd))
		vnet_queues_spread(vd);
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
