#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
#
# /init of the guests' initramfs (see scripts/vm): makes the host's file system the root, read-only
# below and with a tmpfs on top, mounts what a kernel tool expects, and hands over to the run's own
# script. Whatever fails here ends the guest with a line on the console, which scripts/vm shows.

fail() {
  echo "vm-init: $*"
  busybox poweroff -f
  busybox sleep 60
}

/bin/busybox mkdir -p /bin /proc /sys /dev /host /upper /root /tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc || fail "cannot mount /proc"
mount -t sysfs sysfs /sys || fail "cannot mount /sys"
mount -t devtmpfs dev /dev || fail "cannot mount /dev"
while read -r module; do
  insmod "/modules/$module" || fail "cannot load $module"
done </modules/order

mount -t virtiofs host /host || fail "cannot mount the host's file system"
mount -t tmpfs -o mode=755 upper /upper && mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/host,upperdir=/upper/data,workdir=/upper/work root /root || fail "cannot mount the root"

run=$(sed -n 's/.*retsnoop\.run=\([^ ]*\).*/\1/p' /proc/cmdline)
out='' kernel='' release='' keep=''
# Sets these; `keep` are folders, one a line, to be seen even below /tmp.
# shellcheck source=/dev/null
. "/host$run/settings" || fail "cannot read the settings of the run"

mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
# devtmpfs has no such links; shells need them for process substitution.
ln -s /proc/self/fd /root/dev/fd
ln -s fd/0 /root/dev/stdin
ln -s fd/1 /root/dev/stdout
ln -s fd/2 /root/dev/stderr
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tracefs tracefs /root/sys/kernel/tracing || echo "vm-init: no tracefs"
mount -t debugfs debugfs /root/sys/kernel/debug || echo "vm-init: no debugfs"
mount -t bpf bpf /root/sys/fs/bpf || echo "vm-init: no bpffs"
mount -t securityfs securityfs /root/sys/kernel/security || echo "vm-init: no securityfs"
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup || echo "vm-init: no cgroup2"

# /tmp and /run start empty, but for what the run needs of the host's.
for top in tmp run; do
  mkdir -p "/fresh/$top" "/root/$top"
  mount -t tmpfs -o mode=1777 tmpfs "/fresh/$top"
  echo "$keep" | while read -r folder; do
    case $folder in
      /$top/*)
        mkdir -p "/fresh$folder"
        mount --bind "/root$folder" "/fresh$folder" || fail "cannot show $folder"
        ;;
    esac
  done
  mount --move "/fresh/$top" "/root/$top"
done

# Read and written on the host: results, and the run's own folder.
for folder in "$out" "$run"; do
  mkdir -p "/root$folder"
  mount --bind "/host$folder" "/root$folder" || fail "cannot share $folder"
done

# The guest's kernel has its modules and debug files where Debian puts them.
mkdir -p /root/lib/modules /root/usr/lib/debug/boot /root/usr/lib/debug/lib/modules
mount --bind "/host$kernel/lib/modules" /root/lib/modules || fail "cannot show the modules"
mount --bind "/host$kernel/debug/boot" /root/usr/lib/debug/boot || fail "cannot show vmlinux"
if [ -d "/host$kernel/debug/lib/modules" ]; then
  mount --bind "/host$kernel/debug/lib/modules" /root/usr/lib/debug/lib/modules
fi
cp "/host$kernel/config" "/root/boot/config-$release" 2>/dev/null

ip link set lo up
echo guest >/root/proc/sys/kernel/hostname
exec switch_root /root /bin/bash "$run/guest.sh"
