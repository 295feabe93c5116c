package config

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// span holds the lowest and the highest value of a sysctl.
type span struct{ low, high int }

// sysctls returns the sysctls that a pod may set for a device, by family and name, with
// their valid values (Documentation/networking/ip-sysctl.rst, Linux 6.18). They are the
// files in the device's folder below /proc/sys/net/FAMILY/conf. Left out are mtu, which
// has a field of its own, mc_forwarding, which cannot be set, and stable_secret, which is
// a secret.
func sysctls() map[string]span {
	list := map[string]span{}
	add := func(family string, s span, names string) {
		for name := range strings.FieldsSeq(names) {
			list[family+"/"+name] = s
		}
	}
	yesNo, time := span{0, 1}, span{0, math.MaxInt32}
	add("ipv4", yesNo, `accept_local accept_redirects accept_source_route arp_evict_nocarrier arp_filter arp_notify
		disable_policy disable_xfrm drop_gratuitous_arp drop_unicast_in_l2_multicast forwarding ignore_routes_with_linkdown
		log_martians promote_secondaries proxy_arp proxy_arp_pvlan route_localnet secure_redirects send_redirects
		shared_media src_valid_mark`)
	add("ipv4", span{0, 2}, "arp_accept arp_announce rp_filter")
	add("ipv4", span{0, 3}, "force_igmp_version")
	add("ipv4", span{0, 8}, "arp_ignore")
	add("ipv4", span{-1, math.MaxInt32}, "medium_id")
	add("ipv4", time, "igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval")
	add("ipv6", yesNo, `accept_ra_defrtr accept_ra_from_local accept_ra_mtu accept_ra_pinfo accept_ra_rtr_pref
		accept_redirects autoconf disable_ipv6 disable_policy drop_unicast_in_l2_multicast drop_unsolicited_na enhanced_dad
		force_tllao forwarding ignore_routes_with_linkdown ndisc_evict_nocarrier ndisc_notify optimistic_dad proxy_ndp
		seg6_enabled suppress_frag_ndisc use_oif_addrs_only use_optimistic`)
	add("ipv6", span{0, 2}, "accept_dad accept_ra accept_untracked_na force_mld_version")
	add("ipv6", span{0, 3}, "addr_gen_mode")
	add("ipv6", span{-1, 1}, "accept_source_route keep_addr_on_down")
	add("ipv6", span{-1, 2}, "use_tempaddr")
	add("ipv6", span{0, 128}, "accept_ra_rt_info_max_plen accept_ra_rt_info_min_plen")
	add("ipv6", span{0, 255}, "accept_ra_min_hop_limit ndisc_tclass")
	add("ipv6", span{1, 255}, "hop_limit")
	add("ipv6", span{0, 255}, "dad_transmits")
	add("ipv6", span{-1, 255}, "router_solicitations")
	add("ipv6", time, `max_addresses max_desync_factor mldv1_unsolicited_report_interval
		mldv2_unsolicited_report_interval regen_max_retry router_probe_interval router_solicitation_delay
		router_solicitation_interval router_solicitation_max_interval temp_valid_lft`)
	add("ipv6", time, "temp_prefered_lft") //nolint:misspell // the kernel's
	return list
}

// Sysctl is a sysctl that a pod may set, with its lowest and its highest value.
type Sysctl struct {
	Name      string // such as "ipv4/arp_ignore"
	Low, High int
}

// Sysctls returns the sysctls that a pod may set, in alphabetical order.
func Sysctls() []Sysctl {
	var list []Sysctl
	known := sysctls()
	for _, name := range sysctlNames() {
		s := known[name]
		list = append(list, Sysctl{name, s.low, s.high})
	}
	return list
}

func sysctlNames() []string { return slices.Sorted(maps.Keys(sysctls())) }

// parseSysctls reads the sysctls of a device. It accepts only names of the list, so no
// name leads to another file.
func parseSysctls(v value) map[string]string {
	given, _ := v.fields(schema{what: "sysctl", known: sysctlNames()})
	list, known := map[string]string{}, sysctls()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if n, ok := given[name].integerOrText(known[name]); ok {
			list[name] = strconv.Itoa(n)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// integerOrText returns a number that may be in quotes.
func (v value) integerOrText(s span) (n int, ok bool) {
	if v.given() && kindOf(v.node) == aString {
		text, ok := v.text()
		if n, err := strconv.Atoi(text); ok && err == nil && strconv.Itoa(n) == text {
			return v.within(n, s.low, s.high)
		}
		if ok {
			v.refuse("want a whole number, not %s", quote(text))
		}
		return 0, false
	}
	return v.integer(s.low, s.high)
}
