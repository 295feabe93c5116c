package nstest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// As in netmove/kernel: the library's first use is a data race if there are two.
var _ = nl.NativeEndian()

// World is what a move could change in the namespace, as text: a line for
// each link, and below it one for each of its addresses, in the kernel's
// order. Two worlds are equal if and only if their texts are.
//
// Not in it is what changes by itself: carrier, statistics, and the addresses
// that the kernel makes when a device comes up, link-local ones above all.
func (ns *NS) World(t testing.TB) string {
	t.Helper()
	return ns.print(t, func(string) bool { return true })
}

// Link is the part of World about one device, and empty without the device.
func (ns *NS) Link(t testing.TB, name string) string {
	t.Helper()
	return ns.print(t, func(link string) bool { return link == name })
}

func (ns *NS) print(t testing.TB, want func(name string) bool) string {
	t.Helper()
	var links []netlink.Link
	var addrs []address
	ns.Do(t, func() {
		links = dump(t, netlink.LinkList)
		addrs = dump(t, listAddresses)
	})
	masters := map[int]string{}
	for _, link := range links {
		masters[link.Attrs().Index] = link.Attrs().Name
	}
	var out strings.Builder
	for _, link := range links {
		if !want(link.Attrs().Name) {
			continue
		}
		printLink(&out, link, masters)
		for _, a := range addrs {
			if a.link == link.Attrs().Index && !a.madeByKernel() {
				fmt.Fprintf(&out, "    %s\n", a)
			}
		}
	}
	return out.String()
}

func printLink(out *strings.Builder, link netlink.Link, masters map[int]string) {
	a := link.Attrs()
	fmt.Fprintf(out, "%d: %s", a.Index, a.Name)
	if len(a.AltNames) > 0 {
		fmt.Fprintf(out, " altnames %s", strings.Join(a.AltNames, ","))
	}
	if a.Alias != "" {
		fmt.Fprintf(out, " alias %q", a.Alias)
	}
	mac := a.HardwareAddr.String()
	if mac == "" { // the library does not tell none from zero
		mac = "none"
	}
	fmt.Fprintf(out, " kind %s mac %s mtu %d txqlen %d group %d", link.Type(), mac, a.MTU, a.TxQLen, a.Group)
	if a.MasterIndex != 0 {
		fmt.Fprintf(out, " master %s", masters[a.MasterIndex])
	}
	fmt.Fprintf(out, " <%s>\n", linkFlags(a.RawFlags))
}

// linkFlags names the flags that a user sets; RUNNING and the like are the
// kernel's.
func linkFlags(flags uint32) string {
	return flagNames(flags, []flagName{
		{unix.IFF_UP, "UP"},
		{unix.IFF_PROMISC, "PROMISC"},
		{unix.IFF_ALLMULTI, "ALLMULTI"},
		{unix.IFF_NOARP, "NOARP"},
		{unix.IFF_MULTICAST, "MULTICAST"},
	})
}

type flagName struct {
	bit  uint32
	name string
}

func flagNames(flags uint32, known []flagName) string {
	var names []string
	for _, f := range known {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}

// dump repeats a dump that was interrupted by a change.
func dump[T any](t testing.TB, list func() ([]T, error)) []T {
	t.Helper()
	for {
		all, err := list()
		if errors.Is(err, nl.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
}
