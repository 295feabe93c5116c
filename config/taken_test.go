package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What one pod may have on two devices, and what not.
func TestTwoDevices(t *testing.T) {
	for _, tc := range []struct{ first, second, want string }{
		{"addresses: ['fe80::1/64']", "addresses: ['fe80::1/64']", ""},
		{"addresses: ['2001:db8::1/64']", "addresses: ['2001:db8::1/64']", "[1].addresses: 2001:db8::1 is given to [0] already"},
		{"addresses: [192.0.2.1/24]", "address: 192.0.2.1", "[1].address: 192.0.2.1 is given to [0] already"},
		{"routes: [{to: 10.0.0.0/8}]", "routes: [{to: 10.0.0.0/8, metric: 1024}]", ""},
		{"routes: [{to: '2001:db8::/32'}]", "routes: [{to: '2001:db8::/32', metric: 1024}]", "[1].routes: [0] has a route to 2001:db8::/32 with the same metric and table already"},
	} {
		want := tc.want
		if want != "" {
			want = Annotation + want
		}
		if _, err := parsePod(fmt.Sprintf("- {name: a, %s}\n- {name: b, %s}", tc.first, tc.second)); errorText(err) != want {
			t.Errorf("%s and %s: error %v, want %s", tc.first, tc.second, err, want)
		}
	}
}

// A device of a pool that is given no name has one by its place in the list.
func TestNamesByPlace(t *testing.T) {
	requests, err := parsePod("- pool: fast\n- name: eth7\n- {pool: fast, newName: net1a}\n- {pool: slow, new_name: x}\n- pool: slow")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range requests {
		names = append(names, r.PodName)
	}
	if got := strings.Join(names, " "); got != "net1  net1a x net5" {
		t.Errorf("names in the pod are %q", got)
	}
	const default2 = `a device of a pool has the name "net2" here, by its place in the list, and [0] has that name: give newName`
	for _, tc := range []struct{ text, want string }{
		{"- {name: a, newName: net2}\n- pool: fast", "[1]: " + default2},
		{"- {name: a, new_name: net2}\n- pool: fast", "[1]: " + default2},
		{"- name: net2\n- pool: fast", "[1]: " + default2},
		{"- {pool: fast, newName: net2}\n- pool: fast", "[1]: " + default2},
		{"- pool: fast\n- {name: a, newName: net1}", `[1].newName: name "net1" in the pod is taken by [0] already`},
		{"- pool: fast\n- {name: a, new_name: net1}", `[1].new_name: name "net1" in the pod is taken by [0] already`},
		{"- pool: fast\n- name: net1", `[1]: name "net1" in the pod is taken by [0] already`},
		{"- {pool: fast, newName: a/b}", `[0].newName: "a/b" is not a name`},
	} {
		requests, err := parsePod(tc.text)
		if err == nil || requests != nil || !strings.HasPrefix(err.Error(), Annotation+tc.want) {
			t.Errorf("%s:\nerror %v\nwant %s", tc.text, err, tc.want)
		}
	}
}

func TestMostDevices(t *testing.T) {
	text := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "- name: eth%d\n", i)
		}
		return b.String()
	}
	if requests, err := parsePod(text(64)); err != nil || len(requests) != 64 {
		t.Errorf("%d of 64 devices, %v", len(requests), err)
	}
	if _, err := parsePod(text(65)); err == nil {
		t.Error("65 devices are accepted")
	}
}

// "*" allows every setting, also those that are not allowed by default.
func TestAllSettings(t *testing.T) {
	c := with(func(c *NodeConfig) {
		c.Allow = []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"*"}}}
	})
	req := netmove.Request{Device: "enp2s2f0", MAC: netmove.MAC{2, 0, 0, 0, 0, 5}, DetachBPF: true, Announce: new(true)}
	if _, err := c.AllowDevice(Pod{Namespace: "a"}, req, port()); err != nil {
		t.Error(err)
	}
}
