# Prints what iproute2, ethtool, procfs and sysfs know of the device $1, or of the
# whole network namespace. It runs in a mount namespace of its own.
exec 2>/dev/null          # a kernel that lacks a table says so, each time
mount -t sysfs sysfs /sys # that of the network namespace

# settings prints what devices are asked for, one by one. It starts few processes: the
# virtual machine takes long for each.
settings() {
	for d; do
		echo "settings of $d"
		case "$(tc qdisc show dev "$d")" in
		*clsact* | *ingress* | *prio* | *htb* | *tbf*)
			each tc "filter show dev $d" "filter show dev $d ingress" "filter show dev $d egress" "class show dev $d" "chain show dev $d ingress" "chain show dev $d egress"
			;;
		esac
		hardware=
		[ ! -e "/sys/class/net/$d/device" ] || hardware="a x n T -show-priv-flags -show-eee -show-fec"
		for f in k l g c $hardware; do ethtool -$f "$d"; done
		ethtool "$d" | awk '/Advertised|Auto-neg|Port|MDI-X|Wake-on|message|^ +[0-9]+base/
			/Speed|Duplex/ { fixed = fixed $0 }
			/Auto-negotiation: off/ { print fixed } # and not what came out of a negotiation'
		[ ! -x /bin/wg ] || wg showconf "$d"
		read -r type <"/sys/class/net/$d/type"
		[ "$type" != 776 ] || helper routers "$d" # of sit: ip(8) lists them for the modes that it makes itself
		[ ! -e "/sys/class/net/$d/tun_flags" ] || helper tap-state "$d"
		[ -z "$hardware" ] || helper stamp-state "$d"
		waiting "$d"
	done
	(cd /sys/class/net && for d; do
		ls -d "$d"/queues/* "$d"/upper_* "$d"/lower_*
		find "$d"/ -name device -prune -o -type f -perm -200 ! -name uevent ! -name flags ! -name limit -print
	done | sort | xargs grep -Hs .)
	(cd /proc/sys/net && for d; do
		grep -s . ipv4/conf/"$d"/* ipv6/conf/"$d"/* ipv4/neigh/"$d"/* ipv6/neigh/"$d"/* mpls/conf/"$d"/*
	done)
}

# waiting prints a line if the kernel has yet to tell protocols of a carrier (linkwatch).
waiting() {
	carrier='' operstate=''
	read -r carrier <"/sys/class/net/$1/carrier"
	read -r operstate <"/sys/class/net/$1/operstate"
	case "$carrier $operstate" in
	*dormant | *testing) echo "$1 is $operstate" ;;
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
		ip "-$family" neigh show $dev nud all | grep managed | sed -E 's, [A-Z]+ *$,,' # the kernel tries again and again
	done
	each "ip -d" "link show $dev" "-o addr show $dev" "nexthop show $dev" "nexthop show groups" "token show $dev"
	ip maddr show $dev | awk '/^[0-9]/ { d = $2; next } { print "maddr of", d ":", $0 }' | sed -E 's/ (users [0-9]+|static)//' | sort # what is put back is a user of its own
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

tables "$1"
[ $# -gt 0 ] || {
	whole
	for dir in /sys/class/net/*/; do # bonding_masters is none
		dir=${dir%/}
		set -- "$@" "${dir##*/}"
	done
}
settings "$@"
