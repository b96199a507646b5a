/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints: what was dropped and why, what was reset and why. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vnet

#if !defined(VNET_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VNET_TRACE_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>

TRACE_EVENT(vnet_rx_drop,
	TP_PROTO(const struct net_device *dev, u16 queue, const char *reason,
		 u32 len, u16 bufs),

	TP_ARGS(dev, queue, reason, len, bufs),

	TP_STRUCT__entry(
		__string(name, dev->name)
		__string(reason, reason)
		__field(u32, len)
		__field(u16, queue)
		__field(u16, bufs)
	),

	TP_fast_assign(
		__assign_str(name);
		__assign_str(reason);
		__entry->len = len;
		__entry->queue = queue;
		__entry->bufs = bufs;
	),

	TP_printk("dev=%s queue=%u reason=%s len=%u bufs=%u",
		  __get_str(name), __entry->queue, __get_str(reason),
		  __entry->len, __entry->bufs)
);

TRACE_EVENT(vnet_reset,
	TP_PROTO(const struct net_device *dev, unsigned long reasons, int step,
		 int vq, int err),

	TP_ARGS(dev, reasons, step, vq, err),

	TP_STRUCT__entry(
		__string(name, dev->name)
		__field(unsigned long, reasons)
		__field(int, step)
		__field(int, vq)
		__field(int, err)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->reasons = reasons;
		__entry->step = step;
		__entry->vq = vq;
		__entry->err = err;
	),

	TP_printk("dev=%s reasons=0x%lx step=%s vq=%d err=%d",
		  __get_str(name), __entry->reasons,
		  __print_symbolic(__entry->step,
				   { VNET_HEAL_KICK, "kick" },
				   { VNET_HEAL_QUEUE, "queue" },
				   { VNET_HEAL_DEVICE, "device" }),
		  __entry->vq, __entry->err)
);

#endif /* VNET_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vnet_trace
#include <trace/define_trace.h>
