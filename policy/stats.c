// SPDX-License-Identifier: GPL-2.0
/*
 * Every counter that a user can read, from tables: one row per counter. What
 * a queue has counted stays with it when it goes out of use, so totals never
 * run backwards; netlink gets it as the base of the active queues.
 */
#include <linux/ethtool.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <net/netdev_queues.h>
#include <net/page_pool/helpers.h>

#include "vnet.h"
#include "vnet_ctrl.h"
#include "vnet_event.h"
#include "vnet_policy.h"

/* Values that are derived from others, behind them in a snapshot */
#define VNET_RXV_DROPS		VNET_RXS_NR
#define VNET_RXV_NR		(VNET_RXS_NR + 1)

/* Counters of the device: four types per virtqueue, packed by type number. */
#define VNET_HW_TYPES		4
#define VNET_HW_CHUNK		32

/**
 * struct vnet_stat_row - one counter of a queue
 * @name: name without the queue
 * @stat: index into a snapshot
 */
struct vnet_stat_row {
	const char *name;
	u16 stat;
};

/* The first eight are what the in-tree driver has, in its order. */
static const struct vnet_stat_row vnet_rx_rows[] = {
	{ "packets",		VNET_RXS_PACKETS },
	{ "bytes",		VNET_RXS_BYTES },
	{ "drops",		VNET_RXV_DROPS },
	{ "xdp_packets",	VNET_RXS_XDP_PACKETS },
	{ "xdp_tx",		VNET_RXS_XDP_TX },
	{ "xdp_redirects",	VNET_RXS_XDP_REDIRECTS },
	{ "xdp_drops",		VNET_RXS_XDP_DROPS },
	{ "kicks",		VNET_RXS_KICKS },
	{ "csum_unnecessary",	VNET_RXS_CSUM_UNNECESSARY },
	{ "csum_none",		VNET_RXS_CSUM_NONE },
	{ "copybreak",		VNET_RXS_COPYBREAK },
	{ "gro_packets",	VNET_RXS_GRO_PACKETS },
	{ "gro_bytes",		VNET_RXS_GRO_BYTES },
	{ "gro_wire_packets",	VNET_RXS_GRO_WIRE_PACKETS },
	{ "gro_wire_bytes",	VNET_RXS_GRO_WIRE_BYTES },
	{ "large",		VNET_RXS_LARGE },
	{ "alloc_fail",		VNET_RXS_ALLOC_FAIL },
	{ "starved",		VNET_RXS_STARVED },
	{ "xsk_copies",		VNET_RXS_XSK_COPIES },
};

/* The first six are what the in-tree driver has, in its order. */
static const struct vnet_stat_row vnet_tx_rows[] = {
	{ "packets",		VNET_TXS_PACKETS },
	{ "bytes",		VNET_TXS_BYTES },
	{ "xdp_tx",		VNET_TXS_XDP_TX },
	{ "xdp_tx_drops",	VNET_TXS_XDP_TX_DROPS },
	{ "kicks",		VNET_TXS_KICKS },
	{ "tx_timeouts",	VNET_TXS_TIMEOUTS },
	{ "csum_none",		VNET_TXS_CSUM_NONE },
	{ "needs_csum",		VNET_TXS_NEEDS_CSUM },
	{ "gso_packets",	VNET_TXS_GSO_PACKETS },
	{ "gso_bytes",		VNET_TXS_GSO_BYTES },
	{ "gso_wire_packets",	VNET_TXS_GSO_WIRE_PACKETS },
	{ "gso_wire_bytes",	VNET_TXS_GSO_WIRE_BYTES },
	{ "stop",		VNET_TXS_STOP },
	{ "wake",		VNET_TXS_WAKE },
	{ "busy",		VNET_TXS_BUSY },
	{ "drops",		VNET_TXS_DROPS },
	{ "purged",		VNET_TXS_PURGED },
	{ "xsk_packets",	VNET_TXS_XSK },
	{ "xsk_drops",		VNET_TXS_XSK_DROPS },
};

static const char * const vnet_reset_names[VNET_RESET_NR] = {
	[VNET_RESET_TX_TIMEOUT]		= "reset_tx_timeout",
	[VNET_RESET_NEEDS_RESET]	= "reset_needs_reset",
	[VNET_RESET_BAD_CHAIN]		= "reset_bad_chain",
	[VNET_RESET_BROKEN_RING]	= "reset_broken_ring",
	[VNET_RESET_CTRL_TIMEOUT]	= "reset_ctrl_timeout",
	[VNET_RESET_RESTART]		= "reset_restart",
	[VNET_RESET_TX_STALL]		= "stalls",
	[VNET_RESET_LOST_IRQ]		= "lost_interrupts",
	[VNET_RESET_LOST_KICK]		= "lost_notifications",
	[VNET_RESET_RX_STARVED]		= "memory_starved",
	[VNET_RESET_CPU_STARVED]	= "cpu_starved",
	[VNET_RESET_LOST_STATE]		= "reset_lost_state",
	[VNET_RESET_GONE]		= "reset_gone",
	[VNET_RESET_LATE]		= "reset_late",
	[VNET_RESET_BACK]		= "reset_back",
	[VNET_RESET_USER]		= "reset_user",
};

static const char * const vnet_heal_names[VNET_HEAL_NR] = {
	[VNET_HEAL_KICK]		= "heal_kicks",
	[VNET_HEAL_QUEUE]		= "heal_queue_resets",
	[VNET_HEAL_DEVICE]		= "heal_device_resets",
	[VNET_HEAL_GIVE_UP]		= "heal_given_up",
};

/**
 * struct vnet_qstat_row - one counter of a queue as netlink wants it
 * @offset: into struct netdev_queue_stats_rx or _tx
 * @stat: index into a snapshot
 */
struct vnet_qstat_row {
	u16 offset;
	u16 stat;
};

#define VNET_QRX(field)	offsetof(struct netdev_queue_stats_rx, field)
#define VNET_QTX(field)	offsetof(struct netdev_queue_stats_tx, field)

static const struct vnet_qstat_row vnet_rx_qstats[] = {
	{ VNET_QRX(bytes),		VNET_RXS_BYTES },
	{ VNET_QRX(packets),		VNET_RXS_PACKETS },
	{ VNET_QRX(alloc_fail),		VNET_RXS_ALLOC_FAIL },
	{ VNET_QRX(csum_unnecessary),	VNET_RXS_CSUM_UNNECESSARY },
	{ VNET_QRX(csum_none),		VNET_RXS_CSUM_NONE },
	{ VNET_QRX(hw_gro_packets),	VNET_RXS_GRO_PACKETS },
	{ VNET_QRX(hw_gro_bytes),	VNET_RXS_GRO_BYTES },
	{ VNET_QRX(hw_gro_wire_packets), VNET_RXS_GRO_WIRE_PACKETS },
	{ VNET_QRX(hw_gro_wire_bytes),	VNET_RXS_GRO_WIRE_BYTES },
};

static const struct vnet_qstat_row vnet_tx_qstats[] = {
	{ VNET_QTX(bytes),		VNET_TXS_BYTES },
	{ VNET_QTX(packets),		VNET_TXS_PACKETS },
	{ VNET_QTX(csum_none),		VNET_TXS_CSUM_NONE },
	{ VNET_QTX(needs_csum),		VNET_TXS_NEEDS_CSUM },
	{ VNET_QTX(hw_gso_packets),	VNET_TXS_GSO_PACKETS },
	{ VNET_QTX(hw_gso_bytes),	VNET_TXS_GSO_BYTES },
	{ VNET_QTX(hw_gso_wire_packets), VNET_TXS_GSO_WIRE_PACKETS },
	{ VNET_QTX(hw_gso_wire_bytes),	VNET_TXS_GSO_WIRE_BYTES },
	{ VNET_QTX(stop),		VNET_TXS_STOP },
	{ VNET_QTX(wake),		VNET_TXS_WAKE },
};

/**
 * struct vnet_hw_row - one counter that the device keeps of a virtqueue
 * @name: name without the queue
 * @type: VNET_STATS_*
 * @index: number within the type (VIRTIO 1.4, 5.1.9.5.11)
 * @offset: into the queue's netlink counters, or %VNET_HW_NO_QSTAT
 */
struct vnet_hw_row {
	const char *name;
	u8 type;
	u8 index;
	u16 offset;
};

#define VNET_HW_NO_QSTAT	U16_MAX

static const struct vnet_hw_row vnet_hw_rx_rows[] = {
	{ "hw_notifications",	VNET_STATS_RX_BASIC, 0, VNET_HW_NO_QSTAT },
	{ "hw_packets",		VNET_STATS_RX_BASIC, 1, VNET_HW_NO_QSTAT },
	{ "hw_bytes",		VNET_STATS_RX_BASIC, 2, VNET_HW_NO_QSTAT },
	{ "hw_interrupts",	VNET_STATS_RX_BASIC, 3, VNET_HW_NO_QSTAT },
	{ "hw_drops",		VNET_STATS_RX_BASIC, 4, VNET_QRX(hw_drops) },
	{ "hw_drop_overruns",	VNET_STATS_RX_BASIC, 5,
	  VNET_QRX(hw_drop_overruns) },
	{ "hw_csum_valid",	VNET_STATS_RX_CSUM, 0, VNET_HW_NO_QSTAT },
	{ "hw_needs_csum",	VNET_STATS_RX_CSUM, 1, VNET_HW_NO_QSTAT },
	{ "hw_csum_none",	VNET_STATS_RX_CSUM, 2, VNET_HW_NO_QSTAT },
	{ "hw_csum_bad",	VNET_STATS_RX_CSUM, 3, VNET_QRX(csum_bad) },
	{ "hw_gso_packets",	VNET_STATS_RX_GSO, 0, VNET_HW_NO_QSTAT },
	{ "hw_gso_bytes",	VNET_STATS_RX_GSO, 1, VNET_HW_NO_QSTAT },
	{ "hw_gso_packets_coalesced", VNET_STATS_RX_GSO, 2, VNET_HW_NO_QSTAT },
	{ "hw_gso_bytes_coalesced", VNET_STATS_RX_GSO, 3, VNET_HW_NO_QSTAT },
	{ "hw_ratelimit_packets", VNET_STATS_RX_SPEED, 0,
	  VNET_QRX(hw_drop_ratelimits) },
	{ "hw_ratelimit_bytes",	VNET_STATS_RX_SPEED, 1, VNET_HW_NO_QSTAT },
};

static const struct vnet_hw_row vnet_hw_tx_rows[] = {
	{ "hw_notifications",	VNET_STATS_TX_BASIC, 0, VNET_HW_NO_QSTAT },
	{ "hw_packets",		VNET_STATS_TX_BASIC, 1, VNET_HW_NO_QSTAT },
	{ "hw_bytes",		VNET_STATS_TX_BASIC, 2, VNET_HW_NO_QSTAT },
	{ "hw_interrupts",	VNET_STATS_TX_BASIC, 3, VNET_HW_NO_QSTAT },
	{ "hw_drops",		VNET_STATS_TX_BASIC, 4, VNET_QTX(hw_drops) },
	{ "hw_drop_malformed",	VNET_STATS_TX_BASIC, 5,
	  VNET_QTX(hw_drop_errors) },
	{ "hw_csum_none",	VNET_STATS_TX_CSUM, 0, VNET_HW_NO_QSTAT },
	{ "hw_needs_csum",	VNET_STATS_TX_CSUM, 1, VNET_HW_NO_QSTAT },
	{ "hw_gso_packets",	VNET_STATS_TX_GSO, 0, VNET_HW_NO_QSTAT },
	{ "hw_gso_bytes",	VNET_STATS_TX_GSO, 1, VNET_HW_NO_QSTAT },
	{ "hw_gso_segments",	VNET_STATS_TX_GSO, 2, VNET_HW_NO_QSTAT },
	{ "hw_gso_segments_bytes", VNET_STATS_TX_GSO, 3, VNET_HW_NO_QSTAT },
	{ "hw_gso_packets_noseg", VNET_STATS_TX_GSO, 4, VNET_HW_NO_QSTAT },
	{ "hw_gso_bytes_noseg",	VNET_STATS_TX_GSO, 5, VNET_HW_NO_QSTAT },
	{ "hw_ratelimit_packets", VNET_STATS_TX_SPEED, 0,
	  VNET_QTX(hw_drop_ratelimits) },
	{ "hw_ratelimit_bytes",	VNET_STATS_TX_SPEED, 1, VNET_HW_NO_QSTAT },
};

static const struct vnet_hw_row vnet_hw_cvq_rows[] = {
	{ "hw_command_num",	VNET_STATS_CVQ, 0, VNET_HW_NO_QSTAT },
	{ "hw_ok_num",		VNET_STATS_CVQ, 1, VNET_HW_NO_QSTAT },
};

/* Reading the queues' counters */

/* Read all counters of @rxq at one point in time into @v[VNET_RXV_NR]. */
static void vnet_rxs_read(struct vnet_rxq *rxq, u64 *v)
{
	struct vnet_rxq_stats *s = &rxq->stats;
	unsigned int seq, i;

	do {
		seq = u64_stats_fetch_begin(&s->syncp);
		for (i = 0; i < VNET_RXS_NR; i++)
			v[i] = u64_stats_read(&s->v[i]);
	} while (u64_stats_fetch_retry(&s->syncp, seq));

	v[VNET_RXV_DROPS] = 0;
	for (i = VNET_RX_FAULT_FIRST; i < VNET_RX_NR_FAULTS; i++)
		v[VNET_RXV_DROPS] += v[VNET_RXS_FAULT + i];
}

/* The same of @txq into @v[VNET_TXS_NR]. */
static void vnet_txs_read(struct vnet_txq *txq, u64 *v)
{
	struct vnet_txq_stats *s = &txq->stats;
	unsigned int seq, i;

	do {
		seq = u64_stats_fetch_begin(&s->syncp);
		for (i = 0; i < VNET_TXS_NR; i++)
			v[i] = u64_stats_read(&s->v[i]);
	} while (u64_stats_fetch_retry(&s->syncp, seq));
}

static void vnet_rxs_sum(struct vnet_dev *vd, unsigned int first, u64 *sum)
{
	u64 v[VNET_RXV_NR];
	unsigned int i, q;

	memset(sum, 0, sizeof(v));
	for (q = first; q < vd->caps.max_pairs; q++) {
		vnet_rxs_read(&vd->rxqs[q], v);
		for (i = 0; i < VNET_RXV_NR; i++)
			sum[i] += v[i];
	}
}

static void vnet_txs_sum(struct vnet_dev *vd, unsigned int first, u64 *sum)
{
	u64 v[VNET_TXS_NR];
	unsigned int i, q;

	memset(sum, 0, sizeof(v));
	for (q = first; q < vd->caps.max_pairs; q++) {
		vnet_txs_read(&vd->txqs[q], v);
		for (i = 0; i < VNET_TXS_NR; i++)
			sum[i] += v[i];
	}
}

/**
 * vnet_stats_get64() - counters for rtnl
 * @dev: net device
 * @tot: filled
 *
 * Queues that are out of use count too: totals never run backwards.
 *
 * Context: Any.
 */
void vnet_stats_get64(struct net_device *dev, struct rtnl_link_stats64 *tot)
{
	struct vnet_dev *vd = netdev_priv(dev);
	const u64 *fault;
	u64 rx[VNET_RXV_NR];
	u64 tx[VNET_TXS_NR];

	vnet_rxs_sum(vd, 0, rx);
	vnet_txs_sum(vd, 0, tx);
	fault = &rx[VNET_RXS_FAULT];

	tot->rx_packets = rx[VNET_RXS_PACKETS];
	tot->rx_bytes = rx[VNET_RXS_BYTES];
	tot->rx_length_errors = fault[VNET_RX_RUNT] + fault[VNET_RX_OVERRUN];
	tot->rx_frame_errors = fault[VNET_RX_BAD_CSUM] +
			       fault[VNET_RX_BAD_GSO] +
			       fault[VNET_RX_BAD_TUNNEL];
	tot->rx_errors = tot->rx_length_errors + tot->rx_frame_errors +
			 fault[VNET_RX_BAD_CHAIN] + fault[VNET_RX_MISSING];
	/* Not the device's doing: who adds up both counts no packet twice. */
	tot->rx_dropped = rx[VNET_RXV_DROPS] - tot->rx_errors;

	tot->tx_packets = tx[VNET_TXS_PACKETS];
	tot->tx_bytes = tx[VNET_TXS_BYTES];
	tot->tx_dropped = tx[VNET_TXS_DROPS] + tx[VNET_TXS_PURGED];
	tot->tx_errors = tx[VNET_TXS_TIMEOUTS];
}

/* Counters of the device */

/**
 * struct vnet_hw_stats - what the device has counted for some virtqueues
 * @first: first virtqueue
 * @nr: number of virtqueues
 * @v: values by virtqueue, type and index, zero where the device said nothing
 */
struct vnet_hw_stats {
	u32 first;
	u32 nr;
	u64 (*v)[VNET_HW_TYPES][VNET_STATS_MAX_VALUES];
};

/*
 * Ask the device once which counters it keeps. One that does not say keeps
 * none; one that cannot be asked now is asked again.
 */
static void vnet_hw_ask_types(struct vnet_dev *vd)
{
	struct vnet_policy *policy = vd->cfg.policy;
	struct vnet_cmd *cmd;
	int err;

	if (!vd->caps.device_stats || policy->stats_asked || !vnet_live(vd))
		return;

	cmd = vnet_cmd_alloc(0, VNET_WIRE_STATS_CAP_REPLY);
	if (!cmd)
		return;

	err = vnet_wire_stats_cap(&cmd->w);
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	if (!err)
		err = vnet_wire_stats_cap_reply(cmd->reply, cmd->reply_len,
						&policy->stats_caps);
	vnet_cmd_put(cmd);

	policy->stats_asked = !err || vnet_cvq_refused(err);
	if (err)
		policy->stats_errors++;
}

/* What it keeps and what goes with the features that are negotiated now */
static u64 vnet_hw_caps(struct vnet_dev *vd)
{
	return vd->cfg.policy->stats_caps & vd->caps.stats_types;
}

static u64 vnet_hw_types(struct vnet_dev *vd, unsigned int vq)
{
	u64 caps = vnet_hw_caps(vd);

	if (vq == 2 * vd->caps.max_pairs)
		return caps & VNET_STATS_CVQ_TYPES;

	return caps & (vq & 1 ? VNET_STATS_TX_TYPES : VNET_STATS_RX_TYPES);
}

/* The parser has checked all but whether the virtqueue was asked about. */
static void vnet_hw_take(void *ctx, u8 type, u16 vq, unsigned int index,
			 u64 value)
{
	struct vnet_hw_stats *hw = ctx;
	u32 q = vq - hw->first;

	if (vq < hw->first || q >= hw->nr || index >= VNET_STATS_MAX_VALUES)
		return;

	q = array_index_nospec(q, hw->nr);
	hw->v[q][type % VNET_HW_TYPES][index] = value;
}

static int vnet_hw_query_chunk(struct vnet_dev *vd, struct vnet_hw_stats *hw,
			       unsigned int first, unsigned int end)
{
	struct vnet_wire_stats_req reqs[VNET_HW_CHUNK] = {};
	struct vnet_cmd *cmd;
	unsigned int nr = 0;
	int err;

	for (; first < end; first++) {
		reqs[nr].vq = first;
		reqs[nr].types = vnet_hw_types(vd, first);
		if (reqs[nr].types)
			nr++;
	}
	if (!nr)
		return 0;

	cmd = vnet_cmd_alloc(vnet_wire_stats_size(nr),
			     vnet_wire_stats_reply_size(reqs, nr));
	if (!cmd)
		return -ENOMEM;

	err = vnet_wire_stats_get(&cmd->w, reqs, nr);
	if (!err)
		err = vnet_cvq_exec(vd, cmd);
	if (!err)
		err = vnet_wire_stats_reply(cmd->reply, cmd->reply_len,
					    vd->caps.max_pairs, vnet_hw_take,
					    hw);
	vnet_cmd_put(cmd);

	return min(err, 0);
}

static void vnet_hw_free(struct vnet_hw_stats *hw)
{
	kvfree(hw->v);
}

/* Ask the device about virtqueues @first to @end - 1; vnet_hw_free() after. */
static int vnet_hw_query(struct vnet_dev *vd, struct vnet_hw_stats *hw,
			 unsigned int first, unsigned int end)
{
	unsigned int next;
	int err = 0;

	hw->first = first;
	hw->nr = end > first ? end - first : 0;
	hw->v = NULL;
	if (!vnet_hw_caps(vd) || !hw->nr)
		return 0;

	hw->v = kvcalloc(hw->nr, sizeof(*hw->v), GFP_KERNEL);
	if (!hw->v)
		return -ENOMEM;

	for (; !err && first < end; first = next) {
		next = min(first + VNET_HW_CHUNK, end);
		err = vnet_hw_query_chunk(vd, hw, first, next);
	}
	if (err) {
		/* Half of an answer is no answer. */
		vd->cfg.policy->stats_errors++;
		kvfree(hw->v);
		hw->v = NULL;
	}

	return err;
}

static u64 vnet_hw_value(const struct vnet_hw_stats *hw, unsigned int vq,
			 const struct vnet_hw_row *row)
{
	if (!hw->v)
		return 0;

	return hw->v[vq - hw->first][row->type % VNET_HW_TYPES][row->index];
}

/* Netlink */

static void vnet_qstats_fill(void *stats, const struct vnet_qstat_row *rows,
			     unsigned int nr, const u64 *v)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		*(u64 *)(stats + rows[i].offset) = v[rows[i].stat];
}

/*
 * Fill in what the device counts: sums over every second virtqueue of @hw,
 * the first one included.
 */
static void vnet_qstats_fill_hw(struct vnet_dev *vd, void *stats,
				const struct vnet_hw_stats *hw,
				const struct vnet_hw_row *rows, unsigned int nr)
{
	unsigned int i, q;
	u64 sum;

	for (i = 0; i < nr; i++) {
		if (rows[i].offset == VNET_HW_NO_QSTAT ||
		    !(vnet_hw_caps(vd) & BIT_ULL(rows[i].type)))
			continue;

		sum = 0;
		for (q = 0; q < hw->nr; q += 2)
			sum += vnet_hw_value(hw, hw->first + q, &rows[i]);
		*(u64 *)(stats + rows[i].offset) = sum;
	}
}

static void vnet_stat_queue_rx(struct net_device *dev, int idx,
			       struct netdev_queue_stats_rx *stats)
{
	struct vnet_dev *vd = netdev_priv(dev);
	unsigned int vq = 2 * idx;
	struct vnet_hw_stats hw;
	u64 v[VNET_RXV_NR];

	vnet_hw_ask_types(vd);
	vnet_rxs_read(&vd->rxqs[idx], v);
	vnet_qstats_fill(stats, vnet_rx_qstats, ARRAY_SIZE(vnet_rx_qstats), v);

	if (!vnet_hw_query(vd, &hw, vq, vq + 1))
		vnet_qstats_fill_hw(vd, stats, &hw, vnet_hw_rx_rows,
				    ARRAY_SIZE(vnet_hw_rx_rows));
	vnet_hw_free(&hw);
}

static void vnet_stat_queue_tx(struct net_device *dev, int idx,
			       struct netdev_queue_stats_tx *stats)
{
	struct vnet_dev *vd = netdev_priv(dev);
	unsigned int vq = 2 * idx + 1;
	struct vnet_hw_stats hw;
	u64 v[VNET_TXS_NR];

	vnet_hw_ask_types(vd);
	vnet_txs_read(&vd->txqs[idx], v);
	vnet_qstats_fill(stats, vnet_tx_qstats, ARRAY_SIZE(vnet_tx_qstats), v);

	if (!vnet_hw_query(vd, &hw, vq, vq + 1))
		vnet_qstats_fill_hw(vd, stats, &hw, vnet_hw_tx_rows,
				    ARRAY_SIZE(vnet_hw_tx_rows));
	vnet_hw_free(&hw);
}

/* What the queues that are out of use have counted */
static void vnet_stat_base(struct net_device *dev,
			   struct netdev_queue_stats_rx *rx,
			   struct netdev_queue_stats_tx *tx)
{
	struct vnet_dev *vd = netdev_priv(dev);
	unsigned int end = 2 * vd->caps.max_pairs;
	unsigned int rxq = dev->real_num_rx_queues;
	unsigned int txq = dev->real_num_tx_queues;
	struct vnet_hw_stats hw;
	u64 rxs[VNET_RXV_NR];
	u64 txs[VNET_TXS_NR];

	vnet_hw_ask_types(vd);
	vnet_rxs_sum(vd, rxq, rxs);
	vnet_qstats_fill(rx, vnet_rx_qstats, ARRAY_SIZE(vnet_rx_qstats), rxs);
	if (!vnet_hw_query(vd, &hw, 2 * rxq, end))
		vnet_qstats_fill_hw(vd, rx, &hw, vnet_hw_rx_rows,
				    ARRAY_SIZE(vnet_hw_rx_rows));
	vnet_hw_free(&hw);

	vnet_txs_sum(vd, txq, txs);
	vnet_qstats_fill(tx, vnet_tx_qstats, ARRAY_SIZE(vnet_tx_qstats), txs);
	if (!vnet_hw_query(vd, &hw, 2 * txq + 1, end))
		vnet_qstats_fill_hw(vd, tx, &hw, vnet_hw_tx_rows,
				    ARRAY_SIZE(vnet_hw_tx_rows));
	vnet_hw_free(&hw);
}

static const struct netdev_stat_ops vnet_stat_ops = {
	.get_queue_stats_rx = vnet_stat_queue_rx,
	.get_queue_stats_tx = vnet_stat_queue_tx,
	.get_base_stats = vnet_stat_base,
};

/**
 * vnet_stats_set_ops() - offer per queue counters to netlink
 * @dev: net device, not registered yet
 */
void vnet_stats_set_ops(struct net_device *dev)
{
	dev->stat_ops = &vnet_stat_ops;
}

/* ethtool -S */

/**
 * struct vnet_stats_out - where a walk over all counters goes
 * @names: next name, or NULL when names are not wanted
 * @values: next value, or NULL when values are not wanted
 * @nr: counters so far
 *
 * Names, values and their number come from the same walk, so they agree.
 */
struct vnet_stats_out {
	u8 *names;
	u64 *values;
	int nr;
};

/* No queue number in a name */
#define VNET_STATS_TOTAL	-1

static void vnet_stats_emit(struct vnet_stats_out *out, const char *dir,
			    int queue, const char *name, u64 value)
{
	if (out->names && queue == VNET_STATS_TOTAL)
		ethtool_sprintf(&out->names, "%s%s", dir, name);
	else if (out->names)
		ethtool_sprintf(&out->names, "%s%d_%s", dir, queue, name);
	if (out->values)
		*out->values++ = value;
	out->nr++;
}

static void vnet_stats_emit_rows(struct vnet_stats_out *out, const char *dir,
				 int queue, const u64 *v)
{
	const struct vnet_stat_row *rows = vnet_tx_rows;
	unsigned int i, nr = ARRAY_SIZE(vnet_tx_rows);

	if (dir[0] == 'r') {
		rows = vnet_rx_rows;
		nr = ARRAY_SIZE(vnet_rx_rows);
	}

	for (i = 0; i < nr; i++)
		vnet_stats_emit(out, dir, queue, rows[i].name, v[rows[i].stat]);
}

static void vnet_stats_emit_faults(struct vnet_stats_out *out, const char *dir,
				   int queue, const u64 *v)
{
	char name[ETH_GSTRING_LEN];
	unsigned int i;

	for (i = VNET_RX_FAULT_FIRST; i < VNET_RX_NR_FAULTS; i++) {
		snprintf(name, sizeof(name), "drop_%s", vnet_rx_faults[i].name);
		vnet_stats_emit(out, dir, queue, name, v[VNET_RXS_FAULT + i]);
	}
}

static void vnet_stats_emit_hw(struct vnet_dev *vd, struct vnet_stats_out *out,
			       const struct vnet_hw_stats *hw, unsigned int vq)
{
	const struct vnet_hw_row *rows = vnet_hw_rx_rows;
	unsigned int i, nr = ARRAY_SIZE(vnet_hw_rx_rows);
	u64 types = vnet_hw_types(vd, vq);
	const char *dir = "rx";
	int queue = vq / 2;

	if (vq == 2 * vd->caps.max_pairs) {
		rows = vnet_hw_cvq_rows;
		nr = ARRAY_SIZE(vnet_hw_cvq_rows);
		queue = VNET_STATS_TOTAL;
		dir = "cq_";
	} else if (vq & 1) {
		rows = vnet_hw_tx_rows;
		nr = ARRAY_SIZE(vnet_hw_tx_rows);
		dir = "tx";
	}

	for (i = 0; i < nr; i++)
		if (types & BIT_ULL(rows[i].type))
			vnet_stats_emit(out, dir, queue, rows[i].name,
					vnet_hw_value(hw, vq, &rows[i]));
}

static void vnet_stats_emit_driver(struct vnet_dev *vd,
				   struct vnet_stats_out *out)
{
	struct vnet_ctrl_info info;
	unsigned int i;

	vnet_ctrl_get_info(vd, &info);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "ctrl_sent", info.sent);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "ctrl_refused",
			info.refused);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "ctrl_timeouts",
			info.timeouts);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "ctrl_late", info.late);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "ctrl_skipped",
			info.skipped);
	vnet_stats_emit(out, "", VNET_STATS_TOTAL, "hw_stats_errors",
			vd->cfg.policy->stats_errors);
	for (i = 0; i < VNET_RESET_NR; i++)
		vnet_stats_emit(out, "", VNET_STATS_TOTAL, vnet_reset_names[i],
				vd->heal.count[i]);
	for (i = 0; i < VNET_HEAL_NR; i++)
		vnet_stats_emit(out, "", VNET_STATS_TOTAL, vnet_heal_names[i],
				vd->heal.steps[i]);
}

#ifdef CONFIG_PAGE_POOL_STATS
static void vnet_stats_emit_pools(struct vnet_dev *vd,
				  struct vnet_stats_out *out)
{
	struct page_pool_stats stats = {};
	unsigned int q;

	for (q = 0; out->values && q < vd->caps.max_pairs; q++) {
		if (vd->rxqs[q].mem.pool)
			page_pool_get_stats(vd->rxqs[q].mem.pool, &stats);
		if (vd->rxqs[q].mem.pool0)
			page_pool_get_stats(vd->rxqs[q].mem.pool0, &stats);
	}

	if (out->names)
		out->names = page_pool_ethtool_stats_get_strings(out->names);
	if (out->values)
		out->values = page_pool_ethtool_stats_get(out->values, &stats);
	out->nr += page_pool_ethtool_stats_get_count();
}
#else
static void vnet_stats_emit_pools(struct vnet_dev *vd,
				  struct vnet_stats_out *out)
{
}
#endif

/* All counters, in the order of the in-tree driver: totals first */
static void vnet_stats_walk(struct vnet_dev *vd, struct vnet_stats_out *out)
{
	unsigned int q, cvq = 2 * vd->caps.max_pairs;
	unsigned int pairs = vd->cfg.pairs;
	struct vnet_hw_stats hw = {};
	struct vnet_hw_stats hw_cvq = {};
	u64 rx[VNET_RXV_NR];
	u64 tx[VNET_TXS_NR];

	/* Without an answer, what the device counts reads zero. */
	if (out->values) {
		vnet_hw_query(vd, &hw, 0, 2 * pairs);
		vnet_hw_query(vd, &hw_cvq, cvq, cvq + 1);
	}

	vnet_rxs_sum(vd, 0, rx);
	vnet_txs_sum(vd, 0, tx);
	vnet_stats_emit_rows(out, "rx_", VNET_STATS_TOTAL, rx);
	vnet_stats_emit_faults(out, "rx_", VNET_STATS_TOTAL, rx);
	vnet_stats_emit_rows(out, "tx_", VNET_STATS_TOTAL, tx);
	vnet_stats_emit_hw(vd, out, &hw_cvq, cvq);
	vnet_stats_emit_driver(vd, out);
	vnet_stats_emit_pools(vd, out);

	for (q = 0; q < pairs; q++) {
		vnet_rxs_read(&vd->rxqs[q], rx);
		vnet_stats_emit_rows(out, "rx", q, rx);
		vnet_stats_emit_faults(out, "rx", q, rx);
		vnet_stats_emit_hw(vd, out, &hw, 2 * q);
	}
	for (q = 0; q < pairs; q++) {
		vnet_txs_read(&vd->txqs[q], tx);
		vnet_stats_emit_rows(out, "tx", q, tx);
		vnet_stats_emit_hw(vd, out, &hw, 2 * q + 1);
	}

	vnet_hw_free(&hw);
	vnet_hw_free(&hw_cvq);
}

/**
 * vnet_stats_count() - number of counters of ethtool -S
 * @vd: device
 *
 * Return: as many as vnet_stats_strings() and vnet_stats_values() write.
 */
int vnet_stats_count(struct vnet_dev *vd)
{
	struct vnet_stats_out out = {};

	/* Only here: between the number and the values it must not change. */
	vnet_hw_ask_types(vd);
	vnet_stats_walk(vd, &out);

	return out.nr;
}

/**
 * vnet_stats_strings() - names of the counters of ethtool -S
 * @vd: device
 * @names: filled, %ETH_GSTRING_LEN bytes each
 */
void vnet_stats_strings(struct vnet_dev *vd, u8 *names)
{
	struct vnet_stats_out out = { .names = names };

	vnet_stats_walk(vd, &out);
}

/**
 * vnet_stats_values() - values of the counters of ethtool -S
 * @vd: device
 * @values: filled
 */
void vnet_stats_values(struct vnet_dev *vd, u64 *values)
{
	struct vnet_stats_out out = { .values = values };

	vnet_stats_walk(vd, &out);
}
