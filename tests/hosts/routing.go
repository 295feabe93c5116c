package hosts

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Routing is what netmove decides by, as the commands would make it. The indexes of devices are
// those in the list that comes with it.
func (h Host) Routing(t testing.TB) (r netmove.Routing, devices []string) {
	t.Helper()
	p := parser{t: t, nexthops: map[string][]int{}}
	for _, command := range h.Commands {
		p.words = strings.Fields(command)
		p.skip("-4")
		p.ipv6 = p.skip("-6")
		switch kind := p.next(); kind {
		case "nexthop":
			p.nexthop()
		case "rule":
			r.Rules = append(r.Rules, netmove.Entry{Table: netmove.TableRule, Rule: p.rule()})
		case "route":
			if d := p.route(); d.To.IsValid() && netmove.IsDefault(d.To.Addr().Is6(), d.To.Bits()) {
				r.Defaults = append(r.Defaults, d)
			}
		}
	}
	return r, p.devices
}

// parser takes the words of one command after the other.
type parser struct {
	t        testing.TB
	words    []string
	ipv6     bool
	devices  []string
	nexthops map[string][]int // devices by id
}

func (p *parser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word
}

func (p *parser) skip(word string) bool {
	is := len(p.words) > 0 && p.words[0] == word
	if is {
		p.next()
	}
	return is
}

func (p *parser) number() uint32 {
	n, err := strconv.ParseUint(p.next(), 0, 32)
	if err != nil {
		p.t.Fatal(err)
	}
	return uint32(n)
}

func (p *parser) table() uint32 {
	if p.skip("main") {
		return 254
	}
	return p.number()
}

func (p *parser) device() int {
	name := p.next()
	if !slices.Contains(p.devices, name) {
		p.devices = append(p.devices, name)
	}
	return slices.Index(p.devices, name)
}

func (p *parser) prefix() netip.Prefix {
	word := p.next()
	if word == "default" {
		word = "0.0.0.0/0"
		if p.ipv6 {
			word = "::/0"
		}
	}
	if to, err := netip.ParsePrefix(word); err == nil {
		return to
	}
	addr, err := netip.ParseAddr(word)
	if err != nil {
		p.t.Fatal(err)
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

func (p *parser) nexthop() {
	var id string
	for word := p.next(); word != ""; word = p.next() {
		switch word {
		case "id":
			id = p.next()
		case "dev":
			p.nexthops[id] = append(p.nexthops[id], p.device())
		case "group":
			for member := range strings.SplitSeq(p.next(), "/") {
				p.nexthops[id] = append(p.nexthops[id], p.nexthops[member]...)
			}
		}
	}
}

// route returns a route of no destination for one that is none of unicast.
func (p *parser) route() (d netmove.DefaultRoute) {
	d.Table = 254
	if p.ipv6 {
		d.Metric = 1024
	}
	if p.next(); p.skip("unreachable") { // after add, append
		return d
	}
	d.To = p.prefix()
	for word := p.next(); word != ""; word = p.next() {
		switch word {
		case "from":
			d.From = p.prefix()
		case "src":
			d.Source = p.prefix().Addr()
		case "metric":
			d.Metric = p.number()
		case "table":
			d.Table = p.table()
		case "dev":
			d.Through = append(d.Through, p.device())
		case "nhid":
			d.Through = p.nexthops[p.next()]
		}
	}
	return d
}

func (p *parser) rule() netmove.PolicyRule {
	r := netmove.PolicyRule{IPv6: p.ipv6, Suppress: -1}
	for word := p.next(); word != ""; word = p.next() {
		switch word {
		case "not":
			r.Invert = true
		case "from":
			r.From = p.prefix()
		case "to":
			r.To = p.prefix()
		case "iif", "oif":
			r.Elsewhere = p.next() != "lo"
		case "fwmark":
			p.words[0], r.Mask = strings.TrimSuffix(p.words[0], "/0xff"), 0xffffffff
			r.Mark = p.number()
		case "uidrange", "ipproto":
			r.Part = true
		case "suppress_prefixlength":
			r.Suppress = int(p.number())
		case "lookup":
			r.Table = p.table()
		}
	}
	return r
}
