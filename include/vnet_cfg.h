/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the user asked for. It survives down, suspend, reset and renegotiation
 * because nothing frees it; vnet_cfg_replay() tells it to the device again.
 */
#ifndef VNET_CFG_H
#define VNET_CFG_H

#include <linux/types.h>

struct bpf_prog;
struct netlink_ext_ack;
struct vnet_dev;
struct vnet_policy;
struct work_struct;
struct xsk_buff_pool;

/**
 * struct vnet_cfg - desired configuration of one device
 * @pairs: queue pairs in use, 1..caps.max_pairs
 * @rx_ring: entries of each receive ring, 0 for what the device gives
 * @tx_ring: entries of each transmit ring, 0 for what the device gives
 * @mtu: MTU in bytes, 68..caps.max_mtu
 * @rx_buf_len: largest receive buffer in bytes, a power of two, 2048..32768
 * @hds: bytes in the head of each packet, where headers and data are split, or 0
 * @rx_copybreak: packets up to this many bytes are copied out of their buffer
 * @rx_csum: use what the device says about checksums (NETIF_F_RXCSUM)
 * @rx_hash: use the hash that the device reports (NETIF_F_RXHASH)
 * @rx_gso: let the device merge packets (NETIF_F_GRO_HW)
 * @xdp: XDP program, owned reference, or NULL
 * @nr_xsk: AF_XDP pools in @xsk
 * @xsk: AF_XDP pool of each queue pair, or NULL; like @policy shared by copies
 *	and changed in place
 * @policy: what the L3 rooms keep: filters, RSS, coalescing; never NULL after
 *	vnet_policy_create()
 *
 * Protected by the netdev instance lock (rtnl on kernels without it).
 */
struct vnet_cfg {
	u16 pairs;
	u16 rx_ring;
	u16 tx_ring;
	u32 mtu;
	u32 rx_buf_len;
	u16 hds;
	u32 rx_copybreak;
	bool rx_csum;
	bool rx_hash;
	bool rx_gso;
	struct bpf_prog *xdp;
	u16 nr_xsk;
	struct xsk_buff_pool **xsk;
	struct vnet_policy *policy;
};

/* Must packets be received as they were on the wire, neither merged nor unchecked? */
static inline bool vnet_cfg_raw(const struct vnet_cfg *cfg)
{
	return cfg->xdp || cfg->nr_xsk;
}

void vnet_cfg_init(struct vnet_dev *vd);
int vnet_cfg_apply(struct vnet_dev *vd, const struct vnet_cfg *new,
		   struct netlink_ext_ack *extack);
int vnet_cfg_xsk(struct vnet_dev *vd, u16 queue, struct xsk_buff_pool *pool,
		 struct netlink_ext_ack *extack);
int vnet_cfg_replay(struct vnet_dev *vd);
void vnet_cfg_pairs_work(struct work_struct *work);

#endif /* VNET_CFG_H */
