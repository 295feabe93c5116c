# Prints what iproute2, ethtool, procfs and sysfs know of the device $1, or of the
# whole network namespace. It runs in a mount namespace of its own.
exec 2>/dev/null          # a kernel that lacks a table says so, each time
mount -t sysfs sysfs /sys # that of the network namespace

# settings prints what one device is asked for.
settings() {
	d=$1
	echo "settings of $d"
	each tc "filter show dev $d" "filter show dev $d ingress" "filter show dev $d egress" "class show dev $d" "chain show dev $d ingress" "chain show dev $d egress"
	for f in k l g c a x n T -show-priv-flags -show-eee -show-fec; do ethtool -$f "$d"; done
	ethtool "$d" | grep -E 'Advertised|Auto-neg|Port|MDI-X|Wake-on|message|^ +[0-9]+base' # not what came out of a negotiation
	[ ! -x /bin/wg ] || wg showconf "$d"
	ip tunnel prl dev "$d"
	[ ! -e "/sys/class/net/$d/tun_flags" ] || is_up "$d" || helper tap-state "$d" # which makes a carrier
	[ ! -e "/sys/class/net/$d/device" ] || helper stamp-state "$d"
	(cd "/sys/class/net/$d/" && find . -name device -prune -o -type f -perm -200 ! -name uevent ! -name flags -print | sort | xargs grep -Hs .)
	(cd "/sys/class/net/$d/" && ls -d queues/* upper_* lower_*)
	for t in ipv4/conf ipv6/conf ipv4/neigh ipv6/neigh mpls/conf; do
		[ ! -d "/proc/sys/net/$t/$d" ] || (cd "/proc/sys/net/$t/$d" && echo "$t" && grep -s . ./*)
	done
}

is_up() { [ $(($(cat "/sys/class/net/$1/flags") & 1)) = 1 ]; }

# waiting prints a line if the kernel has yet to tell protocols of a carrier (linkwatch).
waiting() {
	case "$(cat "/sys/class/net/$1/carrier") $(cat "/sys/class/net/$1/operstate")" in
	"1 down" | "1 lowerlayerdown" | "0 up") echo "unsettled: $1" ;;
	esac
}

# tables prints the kernel's tables, whole, or what the device $1 has there.
tables() {
	dev=${1:+ dev $1}
	for family in 4 6 M; do
		ip -d -o "-$family" route show table all $dev | sort # in the order in which they were made
	done
	for family in 4 6; do
		each "ip -d -$family" "neigh show $dev nud permanent" "neigh show $dev nud noarp" "neigh show proxy $dev" "rule show" "mroute show table all"
		ip "-$family" neigh show $dev nud all | grep managed
	done
	each "ip -d" "addr show $dev" "nexthop show $dev" "nexthop show groups" "token show $dev"
	ip maddr show $dev | awk '/^[0-9]/ { d = $2; next } { print "maddr of", d ":", $0 }' | sort
	ip macsec show | sed -E 's/ PN [0-9]+,?//'                                                  # it counts
	bridge fdb show $dev | grep -E 'permanent|static|self|extern_learn' | sort                   # the others are learned
	bridge -d -o link show $dev | sort
	bridge -d mdb show | grep -v ' temp' | sort # the others are learned
	each "bridge -d" "vlan show $dev" "vlan tunnelshow $dev" "vni show $dev" "mst show $dev"
	tc -d qdisc show $dev | sort | sed '/ 0: root/s/ quantum [0-9]*//' # the kernel's own: of the MTU that there was when the device first went up
}

# whole prints what is of no device.
whole() {
	each ip "addrlabel list" "xfrm state list" "xfrm policy list" "l2tp show tunnel" "l2tp show session" "fou show"
	for kind in gact mirred skbedit police vlan; do tc actions list action $kind; done
	cat /proc/net/ip_mr_vif /proc/net/ip6_mr_vif /proc/net/ptype
	nft list ruleset
}

# each runs a command with each of the arguments, one at a time: a batch ends with the
# first table that the kernel lacks.
each() {
	command=$1
	shift
	for arguments; do $command $arguments; done
}

if [ $# -gt 0 ]; then
	tables "$1"
	settings "$1"
	waiting "$1"
	exit
fi
tables
whole
for dir in /sys/class/net/*/; do
	settings "$(basename "$dir")"
	waiting "$(basename "$dir")"
done
