# Makes of a node what the kubelet wants; $1 is its cgroup, $2 its name.
set -eu
name=$2
hostname $name
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /run/kubernetes/manifests

# The kubelet and the runtime ask for these files by their names.
printf '127.0.0.1 localhost %s\n' $name >/run/kubernetes/hosts
mount --bind /run/kubernetes/hosts /etc/hosts

# Settings of the whole machine that the kubelet writes, with what it wants.
private() {
	mkdir -p /run/kubernetes/sysctl
	echo "$2" >"/run/kubernetes/sysctl/$1"
	mount --bind "/run/kubernetes/sysctl/$1" "/proc/sys/$(echo "$1" | tr . /)"
}
private vm.overcommit_memory 1
private kernel.panic 10
private kernel.panic_on_oops 1

for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ ! -f "$hierarchy/cgroup.procs" ] || mkdir -p "$hierarchy/$1"
done
