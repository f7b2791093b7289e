#!/busybox/busybox sh
# The first process of a guest: makes the machine ready, runs one command, and says its status.

/busybox/busybox --install -s /busybox
PATH=/busybox
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for folder in /dev/shm /run /tmp; do
    mount -t tmpfs tmpfs "$folder"
done
chmod 1777 /tmp
mkdir /run/lock

for module in /guest/modules/*; do
    insmod "$module" || echo "guest: $module is not loaded"
done
ip link set lo up

stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox
export HOME=/root
set --
while IFS= read -r word; do
    set -- "$@" "$word"
done </guest/command
cd "$(cat /guest/folder)" || exit 1
"$@"
echo "guest: status $?"
# Whoever reads that ends the machine; this is for the case that nobody does.
sleep 30
poweroff -f
