# SPDX-License-Identifier: GPL-2.0
"""From executed addresses to figures: symbols, buckets, calls."""

import bisect
import re
from collections import Counter

# What a symbol of the kernel proper belongs to; the first that matches counts.
# "dp", the cost of the data path, is the sum of DP: the driver's own text and
# every library that it could have used more or less of.
BUCKETS = [(name, re.compile(pattern)) for name, pattern in [
    ("ring", r"(__)?(virtqueue|vring|virtio|vp)_|detach_(buf|indirect)_|more_used|"
             r"is_used_desc|update_last_used|alloc_indirect_|vm_(notify|interrupt)|sg_(init|next)"),
    ("dma", r"_*(dma|swiotlb|iommu|iova)_"),
    ("page_pool", r"_*page_pool_|napi_pp_|_*(get|put)_netmem|net_mp_"),
    ("skb", r"(?!skb_defer_rx_timestamp)_*(skb|pskb|build_skb|alloc_skb|copy_skb|slab_build_skb|"
            r"napi_(build|alloc|kfree|consume)_skb|napi_skb|napi_alloc_frag|netdev_alloc|"
            r"kfree_skb|dev_kfree_skb|sk_skb_reason|consume_skb|consume_stateless|"
            r"finalize_skb|kmalloc_reserve|eth_type_trans|virtio_net_hdr)"),
    ("slab", r"_*(kmem_cache|kmalloc|kfree|kvfree|kvmalloc|krealloc|slab_|free_slab|alloc_pages|"
             r"alloc_frozen_pages|free_frozen|free_unref|free_pages|free_one_page|"
             r"free_page_is_bad|get_page_from|rmqueue|page_frag|folio_put|folio_batch|"
             r"free_to_pcs|alloc_from_pcs|pcs_|barn_|refill_|sheaf|free_pcp|post_alloc|"
             r"prep_(new|compound)_page|cache_free|zone_watermark|get_partial|new_slab|"
             r"shuffle_freelist|setup_object|memcg_slab|put_page|ksize|get_from_partial|alloc_slab|"
             r"alloc_empty_sheaf|free_empty_sheaf|rcu_free_sheaf|decay_pcp|nr_pcp|check_new_page|"
             r"mod_zone_page_state|split_page|get_pfnblock|set_pfnblock|dec_slabs|inc_slabs)"),
    ("copy", r"_*(mem(cpy|set|move|cmp)|rep_(movs|stos)|copy_(to|from|mc)_|_copy_|copy_user|"
             r"clear_(page|user)|copyout|copyin)|clear_pages|memcpy_orig|memset_orig"),
    ("xdp", r"_*(xdp|bpf|xsk|xskq|xp)_|cpu_map_|dev_map_"),
]]
DP = ("driver", "ring", "dma", "page_pool", "skb", "slab", "copy", "xdp")
DRIVER_MODULES = ("virtio_net", "vnet")

# What a window has of memory, in the order of the plugin's lines "m".
MEMORY = ("loads", "stores", "read", "written", "l1", "l2")

# Functions whose calls are events.
EVENTS = {
    "notifications": ("vp_notify", "vp_notify_with_data"),
    "interrupts": ("vring_interrupt",),
    "polls": ("__napi_poll",),
}


class Symbols:
    """Lines of /proc/kallsyms, searchable by address."""

    def __init__(self, *texts):
        table = {}
        for line in "".join(texts).splitlines():
            words = line.split()
            if len(words) >= 3 and words[1] in "tTwW":
                module = words[3].strip("[]") if len(words) > 3 else None
                table.setdefault(int(words[0], 16), (words[2], module))
        self.addresses = sorted(table)
        self.names = [table[addr] for addr in self.addresses]

    def at(self, addr):
        """(name, module, offset) of an address."""
        i = bisect.bisect_right(self.addresses, addr) - 1
        if i < 0:
            return "?", None, addr
        name, module = self.names[i]
        return name, module, addr - self.addresses[i]


def bucket_of(name, module):
    if module in DRIVER_MODULES:
        return "driver"
    if module == "bpf":
        return "xdp"
    if module:
        return "other"
    for bucket, pattern in BUCKETS:
        if pattern.match(name):
            return bucket
    return "other"


class Window:
    """What the guest executed in one window."""

    def __init__(self, path, symbols):
        self.by_symbol = Counter()  # (name, module) -> instructions
        self.calls = Counter()		# name -> entries
        self.by_offset = {}		# (name, module) -> {offset: executions}
        self.kernel = 0
        self.user = 0
        self.memory = {}		# bucket -> Counter of MEMORY
        with open(path, encoding="ascii") as lines:
            self.user = int(next(lines).split()[1])
            for line in lines:
                if line.startswith("m "):
                    self.add_memory(line.split(), symbols)
                    continue
                addr, count = line.split()
                count = int(count)
                name, module, offset = symbols.at(int(addr, 16))
                self.by_symbol[(name, module)] += count
                self.kernel += count
                if not offset:
                    self.calls[name] += count
                    if module == "bpf" and name.endswith("_vnet_bench"):
                        self.calls["programs"] += count
                if module in DRIVER_MODULES:
                    self.by_offset.setdefault((name, module), {})[offset] = count
        self.buckets = Counter()
        for (name, module), count in self.by_symbol.items():
            self.buckets[bucket_of(name, module)] += count

    def add_memory(self, words, symbols):
        name, module, _ = symbols.at(int(words[1], 16))
        of = self.memory.setdefault(bucket_of(name, module), Counter())
        for what, count in zip(MEMORY, words[2:]):
            of[what] += int(count)

    def seen(self, event):
        """How many packets the XDP program or the IP layer saw."""
        return self.calls["programs" if event == "programs" else "ip_rcv_core"]

    def offsets(self, name, module):
        """Executions per offset of a driver's function."""
        return self.by_offset.get((name, module), {})

    def figures(self, units):
        """Everything per unit (packet or KiB)."""
        result = {bucket: self.buckets[bucket] / units for bucket in (*DP, "other")}
        result["dp"] = sum(result[bucket] for bucket in DP)
        result["kernel"] = self.kernel / units
        for what in MEMORY if self.memory else ():
            result[what] = sum(self.memory[b][what] for b in DP if b in self.memory) / units
            result[f"all-{what}"] = sum(of[what] for of in self.memory.values()) / units
        for event, names in EVENTS.items():
            result[event] = sum(self.calls[name] for name in names) / units
        return result
