package kernel

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// RTM_GETLINK tells most sysctls of a device at once, as arrays of 32-bit numbers: one
// message instead of a hundred files, of which each has to be looked up anew after a move.

// inet6Conf is IFLA_INET6_CONF of linux/if_link.h.
const inet6Conf = 2

// conf is what netlink tells of a device's sysctls; nil where a protocol is not on it.
type conf struct {
	inet, inet6 []byte // arrays
	neighbors   neighborConf
}

// setConf takes over IFLA_INET_CONF, and IFLA_INET6_CONF.
func (l *link) setConf(families message) error {
	inet, err := parseMessage(families.attribute(unix.AF_INET), 0)
	if err != nil {
		return err
	}
	inet6, err := parseMessage(families.attribute(unix.AF_INET6), 0)
	l.conf = conf{inet: inet.attribute(unix.IFLA_INET_CONF), inet6: inet6.attribute(inet6Conf)}
	return err
}

// place is where a number is that a sysctl has.
type place struct {
	folder string
	at     int // in the array, from 0, or the type of the attribute
	unit   int // of the sysctl, in that of the number; 0: only its file tells it
}

// placeOf tells where the sysctl is, if that is known.
func placeOf(folder, name string) place {
	switch folder {
	case "ipv4/conf":
		if at, known := inetPlaces()[name]; known {
			return place{folder, at - 1, 1} // the first one has the number 1
		}
	case "ipv6/conf":
		if at, known := inet6Places()[name]; known {
			return place{folder, at, 1}
		}
		if at, known := inet6Times()[name]; known {
			return place{folder, at, second}
		}
	case neighborFolder(unix.AF_INET), neighborFolder(unix.AF_INET6):
		if p, known := neighborPlaces()[name]; known {
			return place{folder, p.at, p.unit}
		}
	}
	return place{}
}

// value is the sysctl as its file has it; ok is false for those that only their files
// tell, and on kernels that have less in the array.
func (c conf) value(p place) (value string, ok bool) {
	const size = 4
	var list []byte
	switch p.folder {
	case "ipv4/conf":
		list = c.inet
	case "ipv6/conf":
		list = c.inet6
	default:
		return c.neighbors.value(p)
	}
	if p.unit == 0 || len(list) < size*(p.at+1) {
		return "", false
	}
	number := u32(list[size*p.at:])
	if p.unit > 1 {
		return timeValue(uint64(number), p.unit)
	}
	return strconv.Itoa(int(int32(number))), true
}

// inetPlaces are IPV4_DEVCONF_* of linux/ip.h.
func inetPlaces() map[string]int {
	return map[string]int{
		"forwarding": 1, "proxy_arp": 3, "accept_redirects": 4, "secure_redirects": 5, "send_redirects": 6,
		"shared_media": 7, "rp_filter": 8, "accept_source_route": 9, "bootp_relay": 10, "log_martians": 11, "tag": 12,
		"arp_filter": 13, "medium_id": 14, "disable_xfrm": 15, "disable_policy": 16, "force_igmp_version": 17,
		"arp_announce": 18, "arp_ignore": 19, "promote_secondaries": 20, "arp_accept": 21, "arp_notify": 22,
		"accept_local": 23, "src_valid_mark": 24, "proxy_arp_pvlan": 25, "route_localnet": 26,
		"igmpv2_unsolicited_report_interval": 27, "igmpv3_unsolicited_report_interval": 28,
		"ignore_routes_with_linkdown": 29, "drop_unicast_in_l2_multicast": 30, "drop_gratuitous_arp": 31,
		"bc_forwarding": 32, "arp_evict_nocarrier": 33,
	}
}

// inet6Places are DEVCONF_* of linux/ipv6.h.
func inet6Places() map[string]int {
	return map[string]int{
		"forwarding": 0, "hop_limit": 1, "mtu": 2, "accept_ra": 3, "accept_redirects": 4, "autoconf": 5,
		"dad_transmits": 6, "router_solicitations": 7, "use_tempaddr": 10, "temp_valid_lft": 11,
		"temp_prefered_lft": 12, //nolint:misspell // the kernel's
		"regen_max_retry":   13, "max_desync_factor": 14, "max_addresses": 15,
		"force_mld_version": 16, "accept_ra_defrtr": 17, "accept_ra_pinfo": 18, "accept_ra_rtr_pref": 19,
		"accept_ra_rt_info_max_plen": 21, "proxy_ndp": 22, "optimistic_dad": 23, "accept_source_route": 24,
		"disable_ipv6": 26, "accept_dad": 27, "force_tllao": 28, "ndisc_notify": 29,
		"mldv1_unsolicited_report_interval": 30, "mldv2_unsolicited_report_interval": 31, "suppress_frag_ndisc": 32,
		"accept_ra_from_local": 33, "use_optimistic": 34, "accept_ra_mtu": 35, "use_oif_addrs_only": 37,
		"accept_ra_min_hop_limit": 38, "ignore_routes_with_linkdown": 39, "drop_unicast_in_l2_multicast": 40,
		"drop_unsolicited_na": 41, "keep_addr_on_down": 42, "seg6_enabled": 44, "seg6_require_hmac": 45,
		"enhanced_dad": 46, "disable_policy": 48, "accept_ra_rt_info_min_plen": 49, "ndisc_tclass": 50,
		"rpl_seg_enabled": 51, "ioam6_enabled": 53, "ndisc_evict_nocarrier": 56, "accept_untracked_na": 57,
		"accept_ra_min_lft": 58, "force_forwarding": 59,
	}
}

// inet6Times are those that are milliseconds here and seconds in their files.
func inet6Times() map[string]int {
	return map[string]int{
		"router_solicitation_interval": 8, "router_solicitation_delay": 9, "router_probe_interval": 20,
		"router_solicitation_max_interval": 43,
	}
}
