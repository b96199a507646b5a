#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Process 1 of a guest: mount what a system needs, then serve the lab. Where
# systemd is process 1 (lab/machine.py), it calls this with the word 'serve'.
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export PATH HOME LC_ALL

mounts() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
	mkdir -p /dev/pts /dev/shm
	mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs tmpfs /dev/shm
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs -o mode=1777 tmpfs /tmp
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
	mount -t bpf bpf /sys/fs/bpf
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /run/netns
	ln -sf /proc/self/fd /dev/fd
	hostname guest
	ip link set lo up
	printf '127.0.0.1 localhost guest\n' > /etc/hosts
	: > /etc/resolv.conf
	sysctl -q -w kernel.panic_on_oops=0 kernel.hung_task_timeout_secs=60 2>/dev/null
}

[ "$1" = serve ] || mounts
# everything that the kernel says from here on reaches the console log
dmesg -n 8

for port in /sys/class/virtio-ports/*; do
	case $(cat "$port/name") in
	vnet.agent) agent=/dev/${port##*/} ;;
	esac
done
echo "vnet-lab: guest is up" > /dev/console
while :; do
	qemu-ga -m virtio-serial -p "$agent" -f /run/qemu-ga.pid -t /run > /run/qemu-ga.log 2>&1
	sleep 1
done
