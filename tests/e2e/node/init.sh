# Pid 1 of a node, in new mount, network, pid, ipc and uts namespaces. It makes
# the machine around it, says so, and waits for the end of its input: that is
# how the node ends, even if whoever started it was killed.
set -eu

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib # programs keep things there unasked

# A sysfs shows the devices of the namespace it was mounted in.
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
rmdir /run/cgroup

# There is nobody to have an address twice: looking for one takes two seconds.
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad

# The uplink's other end is in a namespace of its own, the network.
: > /run/network
unshare --net=/run/network true
ip link add eth0 type veth peer name node netns /run/network
nsenter --net=/run/network ip link set node up
ip link set lo up
ip link set eth0 up
ip address add 192.0.2.2/24 dev eth0
ip route add default via 192.0.2.1

# The pods' bridge, as the CNI plugin would make it for the first pod: so that
# the node looks the same before and after.
ip link add cni0 address 02:00:00:00:00:01 type bridge
ip address add 198.51.100.1/24 broadcast 198.51.100.255 dev cni0
ip link set cni0 up

echo ready
exec env --ignore-signal=CHLD cat # the kernel reaps orphans, above all shims
