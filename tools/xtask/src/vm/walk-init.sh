#!/bin/busybox sh
# The first process of the guest that is a fresh Debian: finds its disk and hands over to systemd.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    [ ! -f "/$module.ko" ] || insmod "/$module.ko"
done < /modules
for _ in $(seq 100); do [ -b /dev/vda ] && break; sleep 0.2; done
mount -t ext4 /dev/vda /disk || { echo "no disk to boot from"; poweroff -f; }
mount --move /dev /disk/dev
umount /proc /sys
exec switch_root /disk /sbin/init
