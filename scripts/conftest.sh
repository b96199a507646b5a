#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Compile probes: ask the kernel's headers what they offer and write one
# "#define VNET_HAVE_X 1" for each thing found. include/vnet_compat.h is the
# only reader.
#
# usage: conftest.sh OUTPUT COMPILER [FLAGS...]    (called by Kbuild)
#
# A probe is the body of a function that compiles when the thing is there.
# All of them are tried in one go first: on a current kernel that is one
# compiler run, on an older one each probe costs one more.

set -eu

out=$1
shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

compile() {
	"$@" -Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
		-Werror=int-conversion -Wno-unused -fsyntax-only -x c "$src" 2>"$src.log"
}

headers() {
	cat <<-'END'
	#include <linux/ethtool.h>
	#include <linux/dim.h>
	#include <linux/hrtimer.h>
	#include <linux/module.h>
	#include <linux/netdevice.h>
	#include <linux/slab.h>
	#include <linux/virtio.h>
	#include <linux/virtio_config.h>
	#include <linux/virtio_net.h>
	#include <net/devlink.h>
	#include <net/netdev_queues.h>
	#include <net/page_pool/helpers.h>
	#include <net/xdp.h>
	#include <net/xdp_sock_drv.h>
	END
}

probe() {
	names="$names $1"
	{
		printf 'static void probe_%s(void)\n{\n' "$1"
		cat
		printf '}\n'
	} >"$tmp/$1"
}

names=
# 7.0: memory for an object, by its type; long-term kernels got it later
probe KZALLOC_OBJ <<'END'
	int *number = kzalloc_obj(*number);
	(void)number;
END
# 6.13: a timer is set up by one call
probe HRTIMER_SETUP <<'END'
	hrtimer_setup(NULL, NULL, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
END
# 6.13: buffers can be premapped one by one, not only a virtqueue as a whole
probe ADD_PREMAPPED <<'END'
	virtqueue_add_inbuf_premapped(NULL, NULL, 0, NULL, NULL, 0);
END
# 6.18: what a page pool keeps of a page has a struct of its own
probe NETMEM_DESC <<'END'
	struct page *page = NULL;
	(void)pp_page_to_nmdesc(page)->pp;
END
# 6.17: a page pool gets its NAPI instance when it goes into service
probe POOL_ENABLE_DIRECT <<'END'
	page_pool_enable_direct_recycling(NULL, NULL);
END
# 6.14: frames of several page pools can be returned together
probe XDP_MIXED_POOLS <<'END'
	struct xdp_frame frame;
	frame.mem_type = MEM_TYPE_PAGE_POOL;
END
# 6.17: more than 64 feature bits
probe FEATURES128 <<'END'
	struct virtio_device vdev;
	vdev.features_array[1] = 0;
END
# 6.18: devices with a mapping of their own (VDUSE)
probe VIRTIO_MAP <<'END'
	struct virtio_device vdev;
	(void)vdev.map;
END
# 7.0: transport resets (PCI FLR) are told to the driver
probe VIRTIO_RESET_OPS <<'END'
	struct virtio_driver drv = { .reset_prepare = NULL, .reset_done = NULL };
END
# 7.3: drivers have a say in the shutdown of their device
probe VIRTIO_SHUTDOWN <<'END'
	struct virtio_driver drv = { .shutdown = NULL };
END
# 6.14: the netdev instance lock, and drivers that ask for it
probe NETDEV_LOCK <<'END'
	struct net_device *dev = NULL;
	netdev_lock(dev);
	dev->request_ops_lock = true;
	napi_enable_locked(NULL);
	netdev_unlock(dev);
END
# 7.2: receive mode set from process context
probe RX_MODE_ASYNC <<'END'
	struct net_device_ops ops = { .ndo_set_rx_mode_async = NULL };
END
# 7.2: ethtool without rtnl unless asked for
probe ETHTOOL_NEEDS_RTNL <<'END'
	struct ethtool_ops ops = { .op_needs_rtnl = ETHTOOL_OP_NEEDS_RTNL_SCHANNELS };
END
# 6.17: hash fields as callbacks of their own
probe RXFH_FIELDS <<'END'
	struct ethtool_ops ops = { .get_rxfh_fields = NULL };
END
# 6.19: number of receive rings as a callback of its own
probe RX_RING_COUNT <<'END'
	struct ethtool_ops ops = { .get_rx_ring_count = NULL };
END
# 6.13: net_dim() takes its sample by pointer
probe DIM_BY_POINTER <<'END'
	const struct dim_sample *sample = NULL;
	net_dim(NULL, sample);
END
# 6.18: the graceful period of a health reporter is part of its operations
probe HEALTH_PERIOD_OPS <<'END'
	struct devlink_health_reporter_ops ops = { .default_graceful_period = 0 };
END
# 6.14: the truesize of the frags of an XDP buffer is kept with them
probe XDP_FRAGS_TRUESIZE <<'END'
	struct skb_shared_info si;
	si.xdp_frags_truesize = 0;
END
# 6.18: skb frags of an XDP buffer by flags
probe XDP_SKB_FRAGS_INFO <<'END'
	xdp_update_skb_frags_info(NULL, 0, 0, 0, xdp_buff_get_skb_flags(NULL));
END
# 6.14: multi-buffer AF_XDP frames are chained by their head
probe XSK_ADD_FRAG_HEAD <<'END'
	struct xdp_buff *head = NULL, *xdp = NULL;
	xsk_buff_add_frag(head, xdp);
END
# 6.18: checksum completion on transmit asked of AF_XDP with its options
probe XSK_TX_METADATA <<'END'
	struct xsk_tx_metadata_ops ops = { .tmo_request_launch_time = NULL };
	struct xsk_tx_metadata *meta = xsk_buff_get_metadata(NULL, 0, 0);
	xsk_tx_metadata_request(NULL, &meta, &ops, NULL);
END
# 7.0: receive queues are configured one by one, by memory providers among others
probe QUEUE_CONFIG <<'END'
	struct netdev_queue_mgmt_ops ops = { .supported_params = QCFG_RX_PAGE_SIZE };
	struct netdev_queue_config qcfg;
	netdev_queue_config(NULL, 0, &qcfg);
	ops.ndo_queue_get_dma_dev = NULL;
	(void)netif_rxq_has_unreadable_mp(NULL, 0);
END
# 7.2: drivers say how they send what only a memory provider can read
probe NETMEM_TX <<'END'
	struct net_device *dev = NULL;
	dev->netmem_tx = NETMEM_TX_DMA;
END

src="$tmp/all.c"
{
	headers
	for name in $names; do cat "$tmp/$name"; done
} >"$src"
found=
if compile "$@"; then
	found=$names
else
	src="$tmp/none.c"
	headers >"$src"
	if ! compile "$@"; then
		echo "conftest.sh: the kernel headers do not compile:" >&2
		head -n 5 "$src.log" >&2
		exit 1
	fi
	for name in $names; do
		src="$tmp/$name.c"
		{ headers; cat "$tmp/$name"; } >"$src"
		if compile "$@"; then found="$found $name"; fi
	done
fi

{
	echo "/* Written by scripts/conftest.sh: what this kernel's headers offer. */"
	for name in $found; do echo "#define VNET_HAVE_$name 1"; done
} >"$tmp/out"
mv "$tmp/out" "$out"
