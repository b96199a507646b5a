// SPDX-License-Identifier: GPL-2.0
/*
 * What the device is to receive and how it announces itself: MAC address,
 * receive mode, VLANs, guest offloads, announcements.
 */
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_policy.h"

/* More addresses than this of one kind: receive all of that kind. */
#define VNET_FILTER_MAX_ADDRS	4096

/* An announcement may be lost: send a few, this far apart. */
#define VNET_ANNOUNCES		3
#define VNET_ANNOUNCE_MS	250

/* What is logged unless the user says otherwise: all that there is */
#define VNET_MSG_DEFAULT	(NETIF_MSG_DRV | NETIF_MSG_TIMER | \
				 NETIF_MSG_RX_ERR | NETIF_MSG_TX_ERR | \
				 NETIF_MSG_HW)

/* Encode nothing more and send: for commands of a fixed size */
static int vnet_filter_exec(struct vnet_dev *vd, struct vnet_cmd *cmd, int err)
{
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	vnet_cmd_put(cmd);

	return err;
}

/*
 * In a replay a refusal is the device's last word on one setting and no reason
 * to give up the others; anything else means that the device is in trouble.
 */
static int vnet_filter_replayed(struct vnet_dev *vd, const char *what, int err)
{
	if (!vnet_cvq_refused(err) && err != -EOPNOTSUPP)
		return err;

	vnet_warn(vd, drv, "the device does not take %s: error %d\n", what,
		  err);

	return 0;
}

/* MAC address */

static int vnet_mac_tell(struct vnet_dev *vd, const u8 *addr)
{
	struct vnet_cmd *cmd;
	unsigned int i;

	if (vd->caps.ctrl_mac) {
		cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
		if (!cmd)
			return -ENOMEM;
		return vnet_filter_exec(vd, cmd,
					vnet_wire_mac_addr(&cmd->w, addr));
	}

	/* Legacy devices take it byte by byte, and nothing can fail. */
	if (!vd->caps.le && vd->caps.mac)
		for (i = 0; i < ETH_ALEN; i++)
			virtio_cwrite8(vd->vdev, VNET_DC_MAC + i, addr[i]);

	return 0;
}

/*
 * A modern device without the command keeps its own address. Others reach us
 * as entries of the address table, if it has one.
 */
static bool vnet_mac_in_table(const struct vnet_dev *vd)
{
	const struct vnet_caps *caps = &vd->caps;

	return !caps->ctrl_mac && caps->le &&
	       !(caps->mac &&
		 ether_addr_equal(vd->dev->dev_addr, vd->devcfg.mac));
}

static bool vnet_mac_is_own(const struct vnet_dev *vd)
{
	return vd->caps.mac &&
	       ether_addr_equal(vd->dev->dev_addr, vd->devcfg.mac);
}

/* Receive mode */

/* One kind of addresses, copied: the lists may change while we sleep. */
static int vnet_addrs_copy(struct net_device *dev,
			   struct netdev_hw_addr_list *list,
			   u8 (**addrs)[ETH_ALEN], u32 *nr)
{
	u32 max = min(netdev_hw_addr_list_count(list) + 1,
		      VNET_FILTER_MAX_ADDRS + 1);
	struct netdev_hw_addr *ha;
	u32 n = 0;

	*nr = 0;
	*addrs = kmalloc_array(max, ETH_ALEN, GFP_KERNEL);
	if (!*addrs)
		return -ENOMEM;

	netif_addr_lock_bh(dev);
	netdev_hw_addr_list_for_each(ha, list) {
		if (n == max)
			break;
		ether_addr_copy((*addrs)[n++], ha->addr);
	}
	netif_addr_unlock_bh(dev);
	*nr = n;

	return 0;
}

static int vnet_table_send(struct vnet_dev *vd,
			   const struct vnet_wire_macs *macs)
{
	struct vnet_cmd *cmd;

	if (macs->nr_uc > VNET_FILTER_MAX_ADDRS ||
	    macs->nr_mc > VNET_FILTER_MAX_ADDRS)
		return -E2BIG;

	cmd = vnet_cmd_alloc(vnet_wire_macs_size(macs->nr_uc, macs->nr_mc), 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_filter_exec(vd, cmd,
				vnet_wire_mac_table(&cmd->w, vd->caps.le,
						    macs));
}

/* Set or clear one receive mode, unless the device has it so already. */
static int vnet_mode_set(struct vnet_dev *vd, enum vnet_wire_rx mode, bool on)
{
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;
	struct vnet_cmd *cmd;
	int err;

	if ((filter->known & BIT(mode)) &&
	    !!(filter->modes & BIT(mode)) == on)
		return 0;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	err = vnet_filter_exec(vd, cmd, vnet_wire_rx_mode(&cmd->w, mode, on));
	if (err) {
		filter->known &= ~BIT(mode);
		return err;
	}

	filter->known |= BIT(mode);
	if (on)
		filter->modes |= BIT(mode);
	else
		filter->modes &= ~BIT(mode);

	return 0;
}

/* Go through the modes that @change names; the first error is returned. */
static int vnet_modes_set(struct vnet_dev *vd, u32 change, bool on)
{
	unsigned long modes = change;
	unsigned int mode;
	int err = 0, ret;

	for_each_set_bit(mode, &modes, BITS_PER_TYPE(u32)) {
		ret = vnet_mode_set(vd, mode, on);
		err = err ?: ret;
	}

	return err;
}

/* The modes that the device has commands for */
static u32 vnet_modes_all(const struct vnet_dev *vd)
{
	u32 modes = BIT(VNET_WIRE_RX_PROMISC) | BIT(VNET_WIRE_RX_ALLMULTI);

	if (vd->caps.ctrl_rx_extra)
		modes |= BIT(VNET_WIRE_RX_ALLUNI) | BIT(VNET_WIRE_RX_NOMULTI) |
			 BIT(VNET_WIRE_RX_NOUNI) | BIT(VNET_WIRE_RX_NOBCAST);

	return modes;
}

/* The modes that say what the net device's flags say */
static u32 vnet_modes_of_flags(const struct vnet_dev *vd, u32 nr_mc)
{
	unsigned int flags = vd->dev->flags;
	u32 modes = 0;

	if (flags & IFF_PROMISC)
		modes |= BIT(VNET_WIRE_RX_PROMISC);
	if (flags & IFF_ALLMULTI)
		modes |= BIT(VNET_WIRE_RX_ALLMULTI);
	if (!vd->caps.ctrl_rx_extra)
		return modes;

	if (!nr_mc && !(flags & (IFF_PROMISC | IFF_ALLMULTI)))
		modes |= BIT(VNET_WIRE_RX_NOMULTI);
	if (!(flags & (IFF_PROMISC | IFF_BROADCAST)))
		modes |= BIT(VNET_WIRE_RX_NOBCAST);

	return modes;
}

/* The modes that stand in for an address table that the device cannot have */
static u32 vnet_modes_of_table(const struct vnet_dev *vd,
			       const struct vnet_wire_macs *macs)
{
	u32 modes = 0;

	if (macs->nr_mc)
		modes |= BIT(VNET_WIRE_RX_ALLMULTI);
	if (macs->nr_uc)
		modes |= vd->caps.ctrl_rx_extra ? BIT(VNET_WIRE_RX_ALLUNI) :
						  BIT(VNET_WIRE_RX_PROMISC);

	return modes;
}

/*
 * Widen, set the table, narrow: no frame that is wanted before and after is
 * missed in between.
 */
static int vnet_rx_mode_send(struct vnet_dev *vd,
			     const struct vnet_wire_macs *macs)
{
	u32 narrow = BIT(VNET_WIRE_RX_NOMULTI) | BIT(VNET_WIRE_RX_NOUNI) |
		     BIT(VNET_WIRE_RX_NOBCAST);
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;
	u32 modes = vnet_modes_of_flags(vd, macs->nr_mc);
	u32 all = vnet_modes_all(vd);
	int err, ret;

	err = vnet_modes_set(vd, modes & ~narrow, true);
	ret = vnet_modes_set(vd, ~modes & narrow & all, false);
	err = err ?: ret;

	ret = vnet_table_send(vd, macs);
	filter->table_refused = vnet_cvq_refused(ret) || ret == -E2BIG ||
				ret == -ENOMEM;
	if (filter->table_refused) {
		modes |= vnet_modes_of_table(vd, macs);
		ret = vnet_modes_set(vd, modes & ~narrow, true);
	}
	err = err ?: ret;

	ret = vnet_modes_set(vd, ~modes & ~narrow & all, false);
	err = err ?: ret;
	ret = vnet_modes_set(vd, modes & narrow, true);

	return err ?: ret;
}

/* Have the device receive what the net device wants. */
static int vnet_rx_mode_apply(struct vnet_dev *vd,
			      struct netdev_hw_addr_list *uc_list,
			      struct netdev_hw_addr_list *mc_list)
{
	struct vnet_wire_macs macs = {};
	u8 (*uc)[ETH_ALEN] = NULL;
	u8 (*mc)[ETH_ALEN] = NULL;
	int err;

	if (!vd->caps.ctrl_rx || !vnet_live(vd))
		return 0;

	err = vnet_addrs_copy(vd->dev, uc_list, &uc, &macs.nr_uc);
	if (!err)
		err = vnet_addrs_copy(vd->dev, mc_list, &mc, &macs.nr_mc);
	if (!err) {
		if (vnet_mac_in_table(vd))
			ether_addr_copy(uc[macs.nr_uc++], vd->dev->dev_addr);
		macs.uc = uc;
		macs.mc = mc;
		err = vnet_rx_mode_send(vd, &macs);
	}
	kfree(mc);
	kfree(uc);

	return err;
}

/**
 * vnet_filter_ping() - have the device answer a command that changes nothing
 * @vd: device, live
 * @patient: wait for the interrupt instead of looking at the ring
 *
 * Return: 0, what the device said, or -EOPNOTSUPP when there is no such
 * command.
 */
int vnet_filter_ping(struct vnet_dev *vd, bool patient)
{
	bool promisc = vd->cfg.policy->filter.modes & BIT(VNET_WIRE_RX_PROMISC);
	struct vnet_cmd *cmd;

	if (!vd->caps.ctrl_rx)
		return -EOPNOTSUPP;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	cmd->patient = patient;

	return vnet_filter_exec(vd, cmd,
				vnet_wire_rx_mode(&cmd->w, VNET_WIRE_RX_PROMISC,
						  promisc));
}

/**
 * vnet_ndo_set_rx_mode_async() - the receive mode or an address list changed
 * @dev: net device
 * @uc: unicast addresses
 * @mc: multicast addresses
 *
 * Return: 0, or an error for which the core will try again.
 */
int vnet_ndo_set_rx_mode_async(struct net_device *dev,
			       struct netdev_hw_addr_list *uc,
			       struct netdev_hw_addr_list *mc)
{
	struct vnet_dev *vd = netdev_priv(dev);
	int err;

	vnet_compat_assert_locked(dev);

	err = vnet_rx_mode_apply(vd, uc, mc);
	if (err && net_ratelimit())
		vnet_warn(vd, drv,
			  "the device does not take the receive mode: error %d\n",
			  err);

	/* A device in trouble is being reset, and is told then. */
	return vnet_cvq_refused(err) || err == -ENOMEM ? err : 0;
}

static void vnet_rx_mode_work(struct work_struct *work)
{
	struct vnet_filter_cfg *filter =
		container_of(work, struct vnet_filter_cfg, mode_work);
	struct vnet_dev *vd = filter->vd;

	vnet_compat_lock(vd->dev);
	vnet_ndo_set_rx_mode_async(vd->dev, &vd->dev->uc, &vd->dev->mc);
	vnet_compat_unlock(vd->dev);
}

/**
 * vnet_ndo_set_rx_mode() - the same on kernels that call from atomic context
 * @dev: net device
 */
void vnet_ndo_set_rx_mode(struct net_device *dev)
{
	struct vnet_dev *vd = netdev_priv(dev);

	if (!vnet_leaving(vd))
		schedule_work(&vd->cfg.policy->filter.mode_work);
}

/**
 * vnet_ndo_set_mac() - change the MAC address
 * @dev: net device
 * @addr: struct sockaddr with the address
 *
 * Return: 0, -EOPNOTSUPP for a standby device, -EADDRNOTAVAIL, or what the
 * device said; then the old address stands.
 */
int vnet_ndo_set_mac(struct net_device *dev, void *addr)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct sockaddr *sa = addr;
	int err;

	vnet_compat_assert_locked(dev);

	/* The failover master decides the address of both of its devices. */
	if (vd->caps.standby)
		return -EOPNOTSUPP;

	err = vnet_dev_usable(vd, NULL);
	if (!err)
		err = eth_prepare_mac_addr_change(dev, addr);
	if (err)
		return err;

	if (vnet_live(vd)) {
		err = vnet_mac_tell(vd, sa->sa_data);
		/* It may have done it all the same: have it undone. */
		if (vnet_cvq_refused(err))
			vnet_mac_tell(vd, dev->dev_addr);
		if (err)
			return err;
	}
	eth_commit_mac_addr_change(dev, addr);

	/* The table has the new address, or the old one not any more. */
	if (!vd->caps.ctrl_mac && vd->caps.le)
		vnet_rx_mode_apply(vd, &dev->uc, &dev->mc);

	return 0;
}

/* VLAN */

static int vnet_vlan_tell(struct vnet_dev *vd, u16 vid, bool add)
{
	struct vnet_cmd *cmd;
	int err;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	err = add ? vnet_wire_vlan_add(&cmd->w, vd->caps.le, vid) :
		    vnet_wire_vlan_del(&cmd->w, vd->caps.le, vid);

	return vnet_filter_exec(vd, cmd, err);
}

/**
 * vnet_ndo_vlan_add() - receive frames of a VLAN
 * @dev: net device
 * @proto: ETH_P_8021Q
 * @vid: VLAN identifier
 *
 * Called under rtnl, with or without the instance lock: the bit is set before
 * the device is asked, so that a replay that runs beside misses nothing.
 *
 * Return: 0, or what the device said; then it is not received.
 */
int vnet_ndo_vlan_add(struct net_device *dev, __be16 proto, u16 vid)
{
	struct vnet_dev *vd = netdev_priv(dev);
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;
	int err;

	if (!vd->caps.ctrl_vlan)
		return 0;

	set_bit(vid, filter->vlans);
	err = vnet_vlan_tell(vd, vid, true);

	/* A device that is being reset is told by the replay. */
	if (err == -ENODEV && !vnet_given_up(vd))
		return 0;
	if (err)
		clear_bit(vid, filter->vlans);
	if (vnet_cvq_refused(err))
		vnet_vlan_tell(vd, vid, false);

	return err;
}

/**
 * vnet_ndo_vlan_kill() - receive frames of a VLAN no more
 * @dev: net device
 * @proto: ETH_P_8021Q
 * @vid: VLAN identifier
 *
 * Called under rtnl. The VLAN is gone for the stack whatever is returned.
 *
 * Return: 0, or what the device said; it may still pass such frames on then.
 */
int vnet_ndo_vlan_kill(struct net_device *dev, __be16 proto, u16 vid)
{
	struct vnet_dev *vd = netdev_priv(dev);
	int err;

	if (!vd->caps.ctrl_vlan)
		return 0;

	clear_bit(vid, vd->cfg.policy->filter.vlans);
	err = vnet_vlan_tell(vd, vid, false);

	return err == -ENODEV ? 0 : err;
}

static int vnet_vlan_replay(struct vnet_dev *vd)
{
	unsigned long *vlans = vd->cfg.policy->filter.vlans;
	unsigned int vid;
	int err;

	if (!vd->caps.ctrl_vlan)
		return 0;

	for_each_set_bit(vid, vlans, VLAN_N_VID) {
		err = vnet_filter_replayed(vd, "a VLAN filter",
					   vnet_vlan_tell(vd, vid, true));
		if (err)
			return err;
	}

	return 0;
}

/* Guest offloads */

static int vnet_offloads_tell(struct vnet_dev *vd, u64 mask)
{
	struct vnet_cmd *cmd;

	cmd = vnet_cmd_alloc(VNET_WIRE_MAX_FIXED, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_filter_exec(vd, cmd,
				vnet_wire_guest_offloads(&cmd->w, vd->caps.le,
							 mask));
}

/**
 * vnet_offloads_wanted() - what a configuration lets the device do
 * @caps: capabilities
 * @cfg: configuration
 *
 * XDP and AF_XDP must see every packet as it was on the wire. Merged packets
 * need checksum offload, so they go with it.
 *
 * Return: VNET_OFFLOAD_* that the device is to use; 0 without the command.
 */
u64 vnet_offloads_wanted(const struct vnet_caps *caps,
			 const struct vnet_cfg *cfg)
{
	u64 mask = caps->guest_offloads;

	if (vnet_cfg_raw(cfg) || !cfg->rx_csum)
		return 0;
	if (!cfg->rx_gso)
		mask &= ~VNET_OFFLOADS_GSO;

	return mask;
}

/**
 * vnet_offloads_set() - switch the receive offloads of the device
 * @vd: device
 * @mask: VNET_OFFLOAD_*, a subset of caps.guest_offloads
 *
 * Return: 0, or what the device said; then the old set stands.
 */
int vnet_offloads_set(struct vnet_dev *vd, u64 mask)
{
	struct vnet_policy *policy = vd->cfg.policy;
	int err;

	vnet_compat_assert_locked(vd->dev);

	if (mask & ~vd->caps.guest_offloads)
		return -EOPNOTSUPP;
	if (mask == policy->offloads)
		return 0;

	if (vnet_live(vd)) {
		err = vnet_offloads_tell(vd, mask);
		if (vnet_cvq_refused(err))
			vnet_offloads_tell(vd, policy->offloads);
		if (err)
			return err;
	}
	policy->offloads = mask;

	return 0;
}

/**
 * vnet_offloads_replay() - tell a reset device of them again
 * @vd: device, live
 *
 * Refused, it goes on with all: a program can pass merged packets, not send them.
 *
 * Return: 0, also when the device refuses; -ETIMEDOUT and the like.
 */
int vnet_offloads_replay(struct vnet_dev *vd)
{
	int err;

	/* What a device uses after a reset is everything negotiated. */
	vd->cfg.policy->offloads = vd->caps.guest_offloads;
	err = vnet_offloads_set(vd, vnet_offloads_wanted(&vd->caps, &vd->cfg));
	if (!vnet_cvq_refused(err))
		return err;

	vnet_warn(vd, drv,
		  "the device does not take the receive offloads: error %d\n",
		  err);

	return 0;
}

/* Announcements */

static int vnet_announce_ack(struct vnet_dev *vd)
{
	struct vnet_cmd *cmd;

	cmd = vnet_cmd_alloc(0, 0);
	if (!cmd)
		return -ENOMEM;

	return vnet_filter_exec(vd, cmd, vnet_wire_announce_ack(&cmd->w));
}

static void vnet_announce_work(struct work_struct *work)
{
	struct vnet_filter_cfg *filter =
		container_of(to_delayed_work(work), struct vnet_filter_cfg,
			     announce_work);
	struct vnet_dev *vd = filter->vd;

	rtnl_lock();
	if (vd->dev->reg_state == NETREG_REGISTERED && netif_running(vd->dev))
		__netdev_notify_peers(vd->dev);
	rtnl_unlock();

	if (xchg(&filter->ack, 0))
		vnet_announce_ack(vd);

	if (atomic_dec_if_positive(&filter->announces) > 0 && !vnet_leaving(vd))
		queue_delayed_work(system_long_wq, &filter->announce_work,
				   msecs_to_jiffies(VNET_ANNOUNCE_MS));
}

static void vnet_announce_start(struct vnet_dev *vd)
{
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;

	atomic_set(&filter->announces, VNET_ANNOUNCES);
	if (!vnet_leaving(vd))
		mod_delayed_work(system_long_wq, &filter->announce_work, 0);
}

/**
 * vnet_filter_announce() - the device asks to be announced to the network
 * @vd: device
 *
 * Sends gratuitous ARP and the like a few times and acknowledges.
 *
 * Context: Process, any lock.
 */
void vnet_filter_announce(struct vnet_dev *vd)
{
	if (!vd->caps.announce)
		return;

	WRITE_ONCE(vd->cfg.policy->filter.ack, 1);
	vnet_announce_start(vd);
}

/**
 * vnet_filter_replay() - tell a reset device all of this again
 * @vd: device, live
 *
 * Return: 0, also when the device refuses some of it (that is logged);
 * -ETIMEDOUT and the like when it is in trouble.
 */
int vnet_filter_replay(struct vnet_dev *vd)
{
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;
	struct net_device *dev = vd->dev;
	int err = 0;

	vnet_compat_assert_locked(dev);

	if (!vnet_mac_is_own(vd))
		err = vnet_filter_replayed(vd, "the MAC address",
					   vnet_mac_tell(vd, dev->dev_addr));
	if (err)
		return err;

	/* At probe there are no lists yet: ndo_open brings them. */
	filter->known = 0;
	if (dev->reg_state == NETREG_REGISTERED)
		err = vnet_filter_replayed(vd, "the receive mode",
					   vnet_rx_mode_apply(vd, &dev->uc,
							      &dev->mc));
	if (err)
		return err;

	err = vnet_vlan_replay(vd);
	if (err)
		return err;

	/* Switches may have forgotten us while the device was away. */
	if (filter->replayed && netif_running(dev))
		vnet_announce_start(vd);
	filter->replayed = true;

	return 0;
}

/* Life of the policy rooms' state */

static void vnet_filter_init(struct vnet_dev *vd)
{
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;

	filter->vd = vd;
	INIT_WORK(&filter->mode_work, vnet_rx_mode_work);
	INIT_DELAYED_WORK(&filter->announce_work, vnet_announce_work);
}

static void vnet_filter_exit(struct vnet_dev *vd)
{
	struct vnet_filter_cfg *filter = &vd->cfg.policy->filter;

	cancel_work_sync(&filter->mode_work);
	cancel_delayed_work_sync(&filter->announce_work);
}

/**
 * vnet_policy_create() - allocate what the policy rooms keep
 * @vd: device; caps and devcfg are resolved
 *
 * Context: probe.
 * Return: 0 or -ENOMEM.
 */
int vnet_policy_create(struct vnet_dev *vd)
{
	int err;

	vd->cfg.policy = kzalloc_obj(*vd->cfg.policy);
	if (!vd->cfg.policy)
		return -ENOMEM;

	vd->cfg.policy->offloads = vd->caps.guest_offloads;
	vd->msg_enable = VNET_MSG_DEFAULT;
	vnet_filter_init(vd);

	err = vnet_rss_create(vd);
	if (err)
		goto err_filter_exit;

	err = vnet_coalesce_create(vd);
	if (err)
		goto err_rss_destroy;

	return 0;

err_rss_destroy:
	vnet_rss_destroy(vd);
err_filter_exit:
	vnet_filter_exit(vd);
	kfree(vd->cfg.policy);
	vd->cfg.policy = NULL;
	return err;
}

/**
 * vnet_policy_destroy() - free what the policy rooms keep
 * @vd: device; the net device is unregistered, no lock is held
 */
void vnet_policy_destroy(struct vnet_dev *vd)
{
	if (!vd->cfg.policy)
		return;

	vnet_filter_exit(vd);
	vnet_coalesce_destroy(vd);
	vnet_rss_destroy(vd);
	kfree(vd->cfg.policy);
	vd->cfg.policy = NULL;
}
