package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// port is a port of an mlx5 card.
func port() netmove.Device {
	return netmove.Device{Snapshot: netmove.Snapshot{
		Name:     "enp2s2f0",
		Altnames: []string{"fast0", "enp2s2f0np0"},
		MAC:      netmove.MAC{2, 0, 0, 0, 0, 9},
		Identity: netmove.Identity{
			Bus: "pci", Parent: "0000:02:02.0", Driver: "mlx5_core",
			PermMAC: netmove.MAC{2, 0, 0, 0, 0, 1},
		},
	}}
}

// changed returns the port after a change.
func changed(change func(*netmove.Device)) netmove.Device {
	dev := port()
	change(&dev)
	return dev
}

func TestAllowDevice(t *testing.T) {
	worker := Pod{Namespace: "telco-a", Name: "worker-0"}
	plain := netmove.Request{Device: "enp2s2f0"}
	everything := AllowRule{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"*"}}
	named := AllowRule{Devices: []string{"enp2s2f0"}, Namespaces: []string{"*"}}
	const (
		noRule  = `device "enp2s2f0" is not allowed in namespace "telco-a": no allow rule of this node's config matches device and pod; ask the node's operator`
		byGlob1 = `device "enp2s2f0" is not allowed in namespace "telco-a": its other end is in another network namespace, and no allow rule of this node's config writes its name out; ask the node's operator`
		byGlob3 = `device "enp2s2f0" is not allowed in namespace "telco-a": a default route of worse metric needs it (default via 192.0.2.1 metric 200 table main), and no allow rule of this node's config writes its name out; ask the node's operator`
		byGlob2 = `device "enp2s2f0" is not allowed in namespace "telco-a": it is a port of another device, and no allow rule of this node's config writes its name out; ask the node's operator`
	)
	backup := changed(func(d *netmove.Device) {
		d.Role.Backup = netmove.Uplink{Route: "default via 192.0.2.1 metric 200 table main", Device: d.Name}
	})
	cable := changed(func(d *netmove.Device) { d.Role.ForeignPeer = true })
	shaped := changed(func(d *netmove.Device) { d.Loss = []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}} })
	bridged := changed(func(d *netmove.Device) { d.Role.PortOf = "br0" })
	virtual := changed(func(d *netmove.Device) { d.Identity = netmove.Identity{Kind: "macvlan"} })

	for _, tc := range []struct {
		name    string
		protect []string
		rules   []AllowRule
		req     netmove.Request
		dev     netmove.Device
		want    Grant
		refusal string
	}{
		{name: "no rules", req: plain, dev: port(), refusal: noRule},
		{name: "everything", rules: []AllowRule{everything}, req: plain, dev: port()},
		{name: "zero rule", rules: []AllowRule{{}}, req: plain, dev: port(), refusal: noRule},

		{name: "by glob", rules: []AllowRule{{Devices: []string{"enp2s2f?"}, Namespaces: []string{"telco-*"}}}, req: plain, dev: port()},
		{name: "by name", rules: []AllowRule{named}, req: plain, dev: port()},
		{name: "by altname", rules: []AllowRule{{Devices: []string{"fast0"}, Namespaces: []string{"*"}}}, req: plain, dev: port()},
		{name: "by a glob over altnames", rules: []AllowRule{{Devices: []string{"fast*"}, Namespaces: []string{"*"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "by what the pod calls it", rules: []AllowRule{{Devices: []string{"eth9"}, Namespaces: []string{"*"}}}, req: netmove.Request{Device: "eth9"}, dev: port(), refusal: `device "eth9" is not allowed in namespace "telco-a": no allow rule of this node's config matches device and pod; ask the node's operator`},
		{name: "another namespace", rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"telco-b", "a"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "another pod", rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}, PodNames: []string{"db-*"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "this pod", rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}, PodNames: []string{"worker-*"}}}, req: plain, dev: port()},

		{name: "by driver", rules: []AllowRule{{Drivers: []string{"ice", "mlx5_core"}, Namespaces: []string{"*"}}}, req: plain, dev: port()},
		{name: "another driver", rules: []AllowRule{{Devices: []string{"*"}, Drivers: []string{"ice"}, Namespaces: []string{"*"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "by PCI address", rules: []AllowRule{{PCIAddresses: []string{"0000:02:*"}, Namespaces: []string{"*"}}}, req: plain, dev: port()},
		{name: "another PCI address", rules: []AllowRule{{PCIAddresses: []string{"0000:03:*"}, Namespaces: []string{"*"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "no PCI address", rules: []AllowRule{{PCIAddresses: []string{"*"}, Namespaces: []string{"*"}}}, req: plain, dev: virtual, refusal: noRule},
		{name: "by permanent MAC", rules: []AllowRule{{MACs: []netmove.MAC{{2, 0, 0, 0, 0, 1}}, Namespaces: []string{"*"}}}, req: plain, dev: port()},
		{name: "by a MAC it was given", rules: []AllowRule{{MACs: []netmove.MAC{{2, 0, 0, 0, 0, 9}}, Namespaces: []string{"*"}}}, req: plain, dev: port(), refusal: noRule},
		{name: "by the MAC of a virtual device", rules: []AllowRule{{MACs: []netmove.MAC{{2, 0, 0, 0, 0, 9}}, Namespaces: []string{"*"}}}, req: plain, dev: virtual},
		{name: "all selectors, one wrong", rules: []AllowRule{{Devices: []string{"enp*"}, Drivers: []string{"mlx5_core"}, PCIAddresses: []string{"*"}, MACs: []netmove.MAC{{1}}, Namespaces: []string{"*"}}}, req: plain, dev: port(), refusal: noRule},

		{name: "second rule", rules: []AllowRule{{Devices: []string{"eno*"}, Namespaces: []string{"*"}}, everything}, req: plain, dev: port(), want: Grant{Rule: 1}},
		{name: "loss that no rule accepts", rules: []AllowRule{everything, named}, req: plain, dev: shaped, refusal: `device "enp2s2f0" would lose qdisc (tbf), and no allow rule of this node's config accepts that: ask the node's operator`},
		{
			name: "loss that the second rule accepts",
			rules: []AllowRule{
				everything,
				{Devices: []string{"*"}, Namespaces: []string{"*"}, AcceptLoss: []string{"qdisc"}},
			},
			req: plain, dev: shaped, want: Grant{Rule: 1},
		},
		{
			name: "loss that a rule accepts which does not match",
			rules: []AllowRule{
				everything,
				{Devices: []string{"*"}, Namespaces: []string{"b"}, AcceptLoss: []string{"qdisc"}},
			},
			req: plain, dev: shaped, refusal: `device "enp2s2f0" would lose qdisc (tbf), and no allow rule of this node's config accepts that: ask the node's operator`,
		},

		{name: "setting", rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"mtu"}}}, req: netmove.Request{Device: "fast0", MTU: 9000}, dev: port()},
		{
			name:  "setting refused",
			rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: defaultSettings()}},
			req:   netmove.Request{Device: "fast0", MAC: netmove.MAC{2, 0, 0, 0, 0, 5}, MTU: 9000}, dev: port(),
			refusal: `setting "mac" of device "fast0" is not allowed in namespace "telco-a": leave it out, or ask the node's operator`,
		},
		{
			name: "settings refused, closest rule told",
			rules: []AllowRule{
				{Devices: []string{"*"}, Namespaces: []string{"*"}},
				{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"address"}},
				{Devices: []string{"*"}, Namespaces: []string{"*"}},
			},
			req: netmove.Request{Device: "enp2s2f0", Addresses: prefixes(), MAC: netmove.MAC{2, 0, 0, 0, 0, 5}, MTU: 9000}, dev: port(),
			refusal: `settings "mtu", "mac" of device "enp2s2f0" are not allowed in namespace "telco-a": leave them out, or ask the node's operator`,
		},
		{
			name:  "no addresses are a setting",
			rules: []AllowRule{named}, req: netmove.Request{Device: "enp2s2f0", Addresses: prefixes()}, dev: port(),
			refusal: `setting "addresses" of device "enp2s2f0" is not allowed in namespace "telco-a": leave it out, or ask the node's operator`,
		},
		{
			name: "settings of two rules do not add up",
			rules: []AllowRule{
				{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"mtu"}},
				{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"mac"}},
			},
			req: netmove.Request{Device: "enp2s2f0", MAC: netmove.MAC{2, 0, 0, 0, 0, 5}, MTU: 9000}, dev: port(),
			refusal: `setting "mac" of device "enp2s2f0" is not allowed in namespace "telco-a": leave it out, or ask the node's operator`,
		},

		{name: "cable by glob", rules: []AllowRule{everything}, req: plain, dev: cable, refusal: byGlob1},
		{name: "cable by driver", rules: []AllowRule{{Drivers: []string{"mlx5_core"}, Namespaces: []string{"*"}}}, req: plain, dev: cable, refusal: byGlob1},
		{name: "cable by name", rules: []AllowRule{everything, named}, req: plain, dev: cable, want: Grant{Rule: 1}},
		{name: "cable by altname", rules: []AllowRule{{Devices: []string{"fast0"}, Namespaces: []string{"*"}}}, req: plain, dev: cable},
		{name: "cable in another namespace", rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"b"}}}, req: plain, dev: cable, refusal: noRule},
		{name: "backup uplink by glob", rules: []AllowRule{everything}, req: plain, dev: backup, refusal: byGlob3},
		{name: "backup uplink by name", rules: []AllowRule{named}, req: plain, dev: backup},
		{name: "bridge port by glob", rules: []AllowRule{everything}, req: plain, dev: bridged, refusal: byGlob2},
		{name: "bridge port by name", rules: []AllowRule{named}, req: plain, dev: bridged},
		{
			name:  "altname that reads like a glob",
			rules: []AllowRule{{Devices: []string{"*"}, Namespaces: []string{"*"}}}, req: plain,
			dev: changed(func(d *netmove.Device) {
				d.Role.ForeignPeer, d.Altnames = true, []string{"*"}
			}),
			refusal: byGlob1,
		},

		{name: "protected", protect: []string{"eno*", "enp2*"}, rules: []AllowRule{everything, named}, req: plain, dev: port(), refusal: `device "enp2s2f0" is protected by this node's config and never moves`},
		{name: "protected by altname", protect: []string{"fast*"}, rules: []AllowRule{everything, named}, req: plain, dev: port(), refusal: `device "enp2s2f0" is protected by this node's config and never moves`},
		{name: "protected, asked for by altname", protect: []string{"enp2*"}, rules: []AllowRule{everything, named}, req: netmove.Request{Device: "fast0"}, dev: port(), refusal: `device "fast0" is protected by this node's config and never moves`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := with(func(c *NodeConfig) { c.Allow, c.Protect = tc.rules, tc.protect })
			got, err := c.AllowDevice(worker, tc.req, tc.dev)
			if errorText(err) != tc.refusal {
				t.Errorf("error %v\nwant  %v", err, tc.refusal)
			}
			if denied, ok := errors.AsType[*DeniedError](err); err != nil && (!errors.Is(err, ErrDenied) || !ok || denied.Device != tc.req.Device) {
				t.Errorf("error %#v is not ErrDenied for the device", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("grant (-want +got):\n%s", diff)
			}
			if _, may := c.AllowDevice(worker, tc.req, netmove.Device{Snapshot: tc.dev.Snapshot}); err == nil && may != nil {
				t.Errorf("allowed for its facts: without them %v", may)
			}
		})
	}
}

// TestNeverMoves: these roles win over any rule, and for moves by hand too.
func TestNeverMoves(t *testing.T) {
	c := with(func(c *NodeConfig) {
		c.Allow = []AllowRule{{Devices: []string{"*", "enp2s2f0"}, Namespaces: []string{"*"}, Settings: []string{"*"}}}
	})
	for _, tc := range []struct {
		role netmove.Role
		want string
	}{
		{netmove.Role{}, ""},
		{netmove.Role{ForeignPeer: true, PortOf: "br0"}, ""},
		{netmove.Role{Loopback: true}, `device "enp2s2f0" is the loopback device and never moves`},
		{netmove.Role{Immovable: true}, `device "enp2s2f0" is of a kind that the kernel binds to its network namespace and never moves`},
		{netmove.Role{Backup: netmove.Uplink{Route: "default metric 200 table main", Device: "enp2s2f0"}}, ""},
		{
			netmove.Role{Uplink: netmove.Uplink{Route: "default via 192.0.2.1 table main", Device: "enp2s2f0"}},
			`device "enp2s2f0" carries the node's default route and never moves: default via 192.0.2.1 table main`,
		},
		{
			netmove.Role{Uplink: netmove.Uplink{Route: "default table 100", Device: "bond0"}, PortOf: "bond0"},
			`device "enp2s2f0" is part of what carries the node's default route, "bond0", and never moves: default table 100`,
		},
		{
			netmove.Role{Uplink: netmove.Uplink{Route: "default src 203.0.113.1 table main", Source: netip.MustParseAddr("203.0.113.1")}},
			`device "enp2s2f0" has the address 203.0.113.1, which the node's default route has as its source, and never moves: default src 203.0.113.1 table main`,
		},
	} {
		dev := changed(func(d *netmove.Device) { d.Role = tc.role })
		if _, err := c.AllowDevice(Pod{Namespace: "a"}, netmove.Request{Device: dev.Name}, dev); errorText(err) != tc.want {
			t.Errorf("%+v: error %v, want %v", tc.role, err, tc.want)
		}
		if err := c.AllowMove(dev); errorText(err) != tc.want {
			t.Errorf("%+v, by hand: error %v, want %v", tc.role, err, tc.want)
		}
	}
}

func TestAllowPod(t *testing.T) {
	c := Default()
	for _, tc := range []struct {
		handler string
		devices int
		want    string
	}{
		{"", 16, ""},
		{"runc", 1, ""},
		{"", 17, "pod asks for 17 devices: this node allows 16 to a pod"},
		{"kata", 1, `runtime handler "kata" is not allowed to have host devices on this node: a device moved in after the start may be invisible to its pods`},
	} {
		err := c.AllowPod(Pod{RuntimeHandler: tc.handler}, tc.devices)
		if errorText(err) != tc.want {
			t.Errorf("%q with %d devices: error %v, want %v", tc.handler, tc.devices, err, tc.want)
		}
		if err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("%v is not ErrDenied", err)
		}
	}
	if (&NodeConfig{}).AllowPod(Pod{}, 1) == nil {
		t.Error("the zero config allows a pod devices")
	}
}

// TestInvalid: nothing is allowed by a config that is not valid, and every refusal
// names the reason.
func TestInvalid(t *testing.T) {
	_, err := Parse([]byte("kind: NodeConfig\n"))
	c := Invalid(err)
	const reason = "this node's config is not valid (apiVersion: required)"
	for what, got := range map[string]error{
		"pod may not have devices: " + reason + "; ask the node's operator": c.AllowPod(Pod{Namespace: "a"}, 1),
		`device "enp2s2f0" may be one that this node protects: ` + reason:   c.AllowMove(port()),
		`device "enp2s2f0" is not allowed in namespace "a": ` + reason + "; ask the node's operator": func() error {
			_, err := c.AllowDevice(Pod{Namespace: "a"}, netmove.Request{Device: "enp2s2f0"}, port())
			return err
		}(),
		`device "enp2s2f0" carries the node's default route and never moves: default table main`: c.AllowMove(changed(func(d *netmove.Device) {
			d.Role.Uplink = netmove.Uplink{Route: "default table main", Device: d.Name}
		})),
	} {
		if got == nil || got.Error() != what || !errors.Is(got, ErrDenied) {
			t.Errorf("got  %v\nwant %s", got, what)
		}
	}
	if got := c.Explain(port()).String(); got != "nobody: the node config is not valid" {
		t.Error(got)
	}
	if c.OnReturn != Restore {
		t.Errorf("what comes home is left %q", c.OnReturn)
	}
	long := Invalid(errors.New(strings.Repeat("long\n", 1000))).AllowPod(Pod{}, 1).Error()
	if len(long) > 500 || strings.Contains(long, "\n") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}
