package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// byValue compares what cmp does not look into.
func byValue() cmp.Option { return cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}) }

func prefixes(texts ...string) []netip.Prefix {
	all := []netip.Prefix{}
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// parsePod parses text as a pod's annotation.
func parsePod(text string) ([]netmove.Request, error) {
	return ParseAnnotations(map[string]string{Annotation: text})
}

func TestParseAnnotations(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []netmove.Request
	}{
		{name: "empty", text: ""},
		{name: "blank", text: " \n\n"},
		{name: "comment", text: "# nothing yet\n"},
		{name: "empty list", text: "[]"},
		{name: "empty list with a marker", text: "---\n[] # none\n...\n"},
		{
			name: "name only",
			text: "- name: eth1",
			want: []netmove.Request{{Device: "eth1"}},
		},
		{
			name: "of the documentation",
			text: `
- name: enp2s2f0      # the host device: its name or one of its altnames
  newName: net1       # its name in the pod; default: the host name
- name: enp2s2f1
  addresses: ["192.0.2.5/24", "2001:db8::5/64"]
  mtu: 9000
`,
			want: []netmove.Request{
				{Device: "enp2s2f0", PodName: "net1"},
				{Device: "enp2s2f1", Addresses: prefixes("192.0.2.5/24", "2001:db8::5/64"), MTU: 9000},
			},
		},
		{
			name: "JSON",
			text: `[{"name":"eth1","newName":"net1","addresses":[],"mac":"02:00:00:00:00:01","mtu":1280}]`,
			want: []netmove.Request{{
				Device: "eth1", PodName: "net1", Addresses: prefixes(),
				MAC: netmove.MAC{2, 0, 0, 0, 0, 1}, MTU: 1280,
			}},
		},
		{
			name: "of the NRI sample",
			text: "- {name: eth1, new_name: net1, address: 192.0.2.5, prefix: 24, mtu: 1500}",
			want: []netmove.Request{{Device: "eth1", PodName: "net1", Addresses: prefixes("192.0.2.5/24"), MTU: 1500}},
		},
		{
			name: "address without prefix",
			text: "[{name: a, address: 192.0.2.5}, {name: b, address: '2001:db8::5'}, {name: c, address: 192.0.2.6/24}]",
			want: []netmove.Request{
				{Device: "a", Addresses: prefixes("192.0.2.5/32")},
				{Device: "b", Addresses: prefixes("2001:db8::5/128")},
				{Device: "c", Addresses: prefixes("192.0.2.6/24")},
			},
		},
		{
			name: "both spellings of newName, equal",
			text: "- {name: eth1, newName: net1, new_name: net1}",
			want: []netmove.Request{{Device: "eth1", PodName: "net1"}},
		},
		{
			name: "plain MAC",
			text: "- name: eth1\n  mac: 52:54:00:12:34:56\n",
			want: []netmove.Request{{Device: "eth1", MAC: netmove.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}}},
		},
		{
			name: "swapped names",
			text: "[{name: eth1, newName: eth2}, {name: eth2, newName: eth1}]",
			want: []netmove.Request{{Device: "eth1", PodName: "eth2"}, {Device: "eth2", PodName: "eth1"}},
		},
		{
			name: "words that look like something else, quoted",
			text: `[{name: "no", newName: '5'}, {"name": "2024-01-01", newName: "on"}]`,
			want: []netmove.Request{{Device: "no", PodName: "5"}, {Device: "2024-01-01", PodName: "on"}},
		},
		{
			name: "longest names",
			text: "- {name: " + strings.Repeat("a", 127) + ", newName: a123456789.-_Zz}",
			want: []netmove.Request{{Device: strings.Repeat("a", 127), PodName: "a123456789.-_Zz"}},
		},
		{
			name: "link-local address on every link",
			text: "[{name: a, addresses: ['fe80::1/64']}, {name: b, addresses: ['fe80::1/64']}]",
			want: []netmove.Request{
				{Device: "a", Addresses: prefixes("fe80::1/64")},
				{Device: "b", Addresses: prefixes("fe80::1/64")},
			},
		},
		{
			name: "small MTU without IPv6",
			text: "- {name: eth1, addresses: [192.0.2.5/24], mtu: 68}",
			want: []netmove.Request{{Device: "eth1", Addresses: prefixes("192.0.2.5/24"), MTU: 68}},
		},
		{
			name: "Windows line ends",
			text: "- name: eth1\r\n  newName: net1\r\n",
			want: []netmove.Request{{Device: "eth1", PodName: "net1"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parsePod(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, byValue()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestYAMLTraps has everything that YAML reads in another way than it looks,
// and everything a lenient reader would pass over.
func TestYAMLTraps(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"not a list", "name: eth1", "want a list, not a mapping"},
		{"a word", "eth1", "want a list, not a string"},
		{"null", "null", "null is not allowed: write a list, or leave it out"},
		{"tilde", "~", "null is not allowed: write a list, or leave it out"},
		{"empty document", "---\n", "null is not allowed: write a list, or leave it out"},
		{"not a mapping", "- eth1", "[0]: want a mapping, not a string"},
		{"empty item", "- \n", "[0]: null is not allowed: write a mapping, or leave it out"},
		{"unclosed bracket", "[", "not YAML: line 1: did not find expected node content"},
		{"tab indentation", "- name: eth1\n\tmtu: 1500", "not YAML: line 2: found a tab character that violates indentation"},

		{"second document", "[]\n---\n[]", "more than one YAML document: only one is read"},
		{"empty second document", "[]\n---\n", "more than one YAML document: only one is read"},
		{"trailing garbage", "[] []", "not YAML: did not find expected <document start>"},
		{"trailing word", "[]\nx", "not YAML: line 1: did not find expected <document start>"},

		{"unknown field", "- {name: eth1, colour: red}", `[0]: unknown field "colour"`},
		{"unknown field in another case", "- {name: eth1, newname: a}", `[0]: unknown field "newname": did you mean "newName"?`},
		{"unknown field with a hyphen", "- {name: eth1, new-name: a}", `[0]: unknown field "new-name": did you mean "newName"?`},
		{"unknown field by a slip", "- {name: eth1, adresses: []}", `[0]: unknown field "adresses": did you mean "addresses"?`},
		{"unknown field, upper case", "- {NAME: eth1, name: eth1}", `[0]: unknown field "NAME": did you mean "name"?`},
		{"unknown field, null", "- {name: eth1, ~: 5}", `[0]: unknown field "~"`},
		{"unknown field, boolean", "- {name: eth1, no: 5}", `[0]: unknown field "no"`},
		{"unknown field, unprintable", `- {name: eth1, "a\nb\e[1m": 5}`, `[0]: unknown field "a\nb\x1b[1m"`},
		{"unknown field, long", "- {name: eth1, " + strings.Repeat("x", 99) + ": 5}", `[0]: unknown field "` + strings.Repeat("x", 40) + `…"`},
		{"unknown field in another mapping", "- {name: eth1, routes: [{to: 10.0.0.0/8, dev: eth0}]}", `[0].routes[0]: unknown field "dev"`},
		{"features by no names", "- {name: eth1, ethtool: {features: {'a\"b\\n': true}}}", `[0].ethtool.features."a\"b\\n": "a\"b\\n" is not the name of an offload feature: "ethtool -k" shows them`},
		{"duplicate field", "- {name: eth1, name: eth2}", "[0].name: given twice"},
		{"duplicate field, quoted", `- {name: eth1, "name": eth1}`, "[0].name: given twice"},
		{"list as a field's name", "- {name: eth1, [a]: b}", "[0]: line 1: the name of a field must be a string"},

		{"name: no", "- name: no", `[0].name: want a string: YAML reads "no" as a boolean, unless it is in quotes`},
		{"name: on", "- name: on", `[0].name: want a string: YAML reads "on" as a boolean, unless it is in quotes`},
		{"name: y", "- name: y", `[0].name: want a string: YAML reads "y" as a boolean, unless it is in quotes`},
		{"name: true", "- name: true", `[0].name: want a string: YAML reads "true" as a boolean, unless it is in quotes`},
		{"name: 5", "- name: 5", `[0].name: want a string: YAML reads "5" as a number, unless it is in quotes`},
		{"name: 0x10", "- name: 0x10", `[0].name: want a string: YAML reads "0x10" as a number, unless it is in quotes`},
		{"name: 1_0", "- name: 1_0", `[0].name: want a string: YAML reads "1_0" as a number, unless it is in quotes`},
		{"name: 1e3", "- name: 1e3", `[0].name: want a string: YAML reads "1e3" as a number, unless it is in quotes`},
		{"name: .inf", "- name: .inf", `[0].name: want a string: YAML reads ".inf" as a number, unless it is in quotes`},
		{"name: 2024-01-01", "- name: 2024-01-01", `[0].name: want a string: YAML reads "2024-01-01" as a date, unless it is in quotes`},
		{"name: null", "- name: null", "[0].name: null is not allowed: write a string, or leave it out"},
		{"name: ~", "- name: ~", "[0].name: null is not allowed: write a string, or leave it out"},
		{"name without a value", "- name:", "[0].name: null is not allowed: write a string, or leave it out"},
		{"name, a list", "- name: [eth1]", "[0].name: want a string, not a list"},
		{"name, a mapping", "- name: {eth1: }", "[0].name: want a string, not a mapping"},
		{"name, a block", "- name: |\n    eth1\n", `[0].name: "eth1\n" holds a line break or another control character`},
		{"name, an escaped NUL", `- name: "eth\0"`, `[0].name: "eth\x00" holds a line break or another control character`},
		{"merge key without an alias", "- {name: eth1, <<: {mtu: 1500}}", `[0]: unknown field "<<"`},

		{"mtu: string", `- {name: eth1, mtu: "1500"}`, "[0].mtu: want a number, not a string"},
		{"mtu: 1500.0", `- {name: eth1, mtu: 1500.0}`, "[0].mtu: want a whole number in plain decimal, not 1500.0"},
		{"mtu: 1.5e3", `- {name: eth1, mtu: 1.5e3}`, "[0].mtu: want a whole number in plain decimal, not 1.5e3"},
		{"mtu: 02734", `- {name: eth1, mtu: 02734}`, "[0].mtu: want a whole number in plain decimal, not 02734"},
		{"mtu: 0x5dc", `- {name: eth1, mtu: 0x5dc}`, "[0].mtu: want a whole number in plain decimal, not 0x5dc"},
		{"mtu: 1_500", `- {name: eth1, mtu: 1_500}`, "[0].mtu: want a whole number in plain decimal, not 1_500"},
		{"mtu: +1500", `- {name: eth1, mtu: +1500}`, "[0].mtu: want a whole number in plain decimal, not +1500"},
		{"mtu: huge", `- {name: eth1, mtu: 99999999999999999999}`, "[0].mtu: want a whole number in plain decimal, not 99999999999999999999"},
		{"mtu: yes", `- {name: eth1, mtu: yes}`, "[0].mtu: want a number, not a boolean"},
		{"mtu: null", `- {name: eth1, mtu: }`, "[0].mtu: null is not allowed: write a number, or leave it out"},
		{"addresses: string", "- {name: eth1, addresses: 192.0.2.5/24}", "[0].addresses: want a list, not a string"},
		{"addresses: null", "- {name: eth1, addresses: }", "[0].addresses: null is not allowed: write a list, or leave it out"},
		{"addresses: number", "- {name: eth1, addresses: [5]}", `[0].addresses[0]: want a string: YAML reads "5" as a number, unless it is in quotes`},
	} {
		t.Run(tc.name, func(t *testing.T) { wantProblems(t, tc.text, tc.want) })
	}
}

// TestMarkedNodes has all ways to write an anchor, an alias or a tag.
func TestMarkedNodes(t *testing.T) {
	for name, text := range map[string]string{
		"anchor":           "- name: &a eth1",
		"anchor on a key":  "- &a name: eth1",
		"anchor on a list": "&a\n- name: eth1",
		"alias":            "- name: &a eth1\n- name: *a",
		"alias as a key":   "- &a name: eth1\n- *a : eth2",
		"alias of itself":  "- &a [*a]",
		"merge key":        "- &a {name: eth1}\n- {<<: *a}",
		"tag":              "- name: !!str 5",
		"tag, long":        "- name: !<tag:yaml.org,2002:str> 5",
		"tag, of no type":  "- {name: eth1, mtu: ! 1500}",
		"tag on a string":  `- name: ! "eth1"`,
		"tag on a list":    "! [{name: eth1}]",
		"tag on a mapping": "- ! {name: eth1}",
		"tag on a key":     "- ! name: eth1",
		"tag on nothing":   "- name: !!null",
		"binary":           "- name: !!binary ZXRoMQ==",
		"after wide text":  "- {name: \"é漢𝕏\", mtu: ! 1500}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parsePod(text)
			if err == nil || !strings.Contains(err.Error(), "anchors (&), aliases (*) and tags (!) are not allowed") {
				t.Errorf("%s: error %v", text, err)
			}
		})
	}
}

func TestRequestProblems(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"no name", "- {}", "[0].name: required, unless match or pool is given"},
		{"empty name", "- name: ''", "[0].name: empty: want the name of a device"},
		{"name with a slash", "- name: a/b", `[0].name: "a/b" is not the name of a device`},
		{"name of an address", "- name: eth0:1", `[0].name: "eth0:1" is not the name of a device`},
		{"name with a space", "- name: a b", `[0].name: "a b" is not the name of a device`},
		{"name with a wide space", "- name: a\u00a0b", `[0].name: "a\u00a0b" is not the name of a device`},
		{"name, dots", "- name: '..'", `[0].name: ".." is not the name of a device`},
		{"name that turns text around", "- name: \"a\u202eb\"", `[0].name: "a\u202eb" is not the name of a device`},
		{"name too long", "- name: " + strings.Repeat("a", 128), `[0].name: "` + strings.Repeat("a", 40) + `…" is too long: a device's name has at most 15 bytes, an altname 127`},

		{"empty newName", "- {name: eth1, newName: ''}", "[0].newName: empty: leave it out to keep the host's name"},
		{"newName lo", "- {name: eth1, newName: lo}", `[0].newName: "lo" is reserved`},
		{"newName all", "- {name: eth1, newName: all}", `[0].newName: "all" is reserved`},
		{"newName default", "- {name: eth1, new_name: default}", `[0].new_name: "default" is reserved`},
		{"newName template", "- {name: eth1, newName: eth%d}", `[0].newName: "eth%d" is not a name: want letters, digits, ".", "_" and "-", and one of the first two to begin with`},
		{"newName dot", "- {name: eth1, newName: .a}", `[0].newName: ".a" is not a name: want letters, digits, ".", "_" and "-", and one of the first two to begin with`},
		{"newName too long", "- {name: eth1, newName: a123456789012345}", `[0].newName: "a123456789012345" is too long: at most 15 characters are allowed`},
		{"newName and new_name", "- {name: eth1, newName: a, new_name: b}", `[0].new_name: "b" differs from newName: keep one of them`},

		{"address without length", "- {name: eth1, addresses: [192.0.2.5]}", `[0].addresses[0]: "192.0.2.5" is not an address with its prefix length, such as "192.0.2.5/24"`},
		{"address with a zone", "- {name: eth1, addresses: ['fe80::1%eth0/64']}", `[0].addresses[0]: "fe80::1%eth0/64" is not an address with its prefix length, such as "192.0.2.5/24"`},
		{"address, multicast", "- {name: eth1, addresses: [224.0.0.1/24, 'ff02::1/64']}", "[0].addresses[0]: \"224.0.0.1/24\" is not an address a device can have\n[0].addresses[1]: \"ff02::1/64\" is not an address a device can have"},
		{"address, unspecified", "- {name: eth1, addresses: [0.0.0.0/24, '::/64']}", "[0].addresses[0]: \"0.0.0.0/24\" is not an address a device can have\n[0].addresses[1]: \"::/64\" is not an address a device can have"},
		{"address, loopback", "- {name: eth1, addresses: [127.0.0.1/8]}", `[0].addresses[0]: "127.0.0.1/8" is not an address a device can have`},
		{"address, broadcast", "- {name: eth1, addresses: [255.255.255.255/32]}", `[0].addresses[0]: "255.255.255.255/32" is not an address a device can have`},
		{"address, mapped", "- {name: eth1, addresses: ['::ffff:192.0.2.5/120']}", `[0].addresses[0]: "::ffff:192.0.2.5/120" is IPv4 written as IPv6: write it as IPv4`},
		{"address, whole internet", "- {name: eth1, addresses: [192.0.2.5/0]}", `[0].addresses[0]: "192.0.2.5/0" has prefix length 0: every address would be in its network`},
		{"address, octal", "- {name: eth1, addresses: [192.0.2.05/24]}", `[0].addresses[0]: "192.0.2.05/24" is not an address with its prefix length, such as "192.0.2.5/24"`},
		{"address twice", "- {name: eth1, addresses: [192.0.2.5/24, 192.0.2.5/25]}", "[0].addresses: 192.0.2.5 is given twice"},
		{"link-local address twice", "[{name: a, addresses: ['fe80::1/64']}, {name: b, addresses: ['fe80::1/64', 'fe80::1/64']}]", "[1].addresses: fe80::1 is given twice"},
		{"address and addresses", "- {name: eth1, address: 192.0.2.5, addresses: []}", "[0].address: give addresses or address, not both"},
		{"prefix without address", "- {name: eth1, prefix: 24}", "[0].prefix: is of no use without address"},
		{"prefix too long", "- {name: eth1, address: 192.0.2.5, prefix: 33}", "[0].prefix: 33 is not between 1 and 32"},
		{"prefix, string", "- {name: eth1, address: 192.0.2.5, prefix: '24'}", "[0].prefix: want a number, not a string"},
		{"prefix twice", "- {name: eth1, address: 192.0.2.5/24, prefix: 24}", `[0].prefix: address "192.0.2.5/24" has a prefix length already`},
		{"address is a name", "- {name: eth1, address: localhost}", `[0].address: "localhost" is not an address such as "192.0.2.5"`},
		{"sample address with a zone", "- {name: eth1, address: 'fe80::1%eth0'}", `[0].address: "fe80::1%eth0" has a zone, which an address on a device never has`},

		{"mtu too small", "- {name: eth1, mtu: 67}", "[0].mtu: 67 is not between 68 and 65535"},
		{"mtu too large", "- {name: eth1, mtu: 65536}", "[0].mtu: 65536 is not between 68 and 65535"},
		{"mtu negative", "- {name: eth1, mtu: -1}", "[0].mtu: -1 is not between 68 and 65535"},
		{"mtu too small for IPv6", "- {name: eth1, mtu: 1279, addresses: ['2001:db8::5/64']}", "[0].mtu: 1279 is too small for the IPv6 addresses, which need 1280"},
		{"mac, multicast", "- {name: eth1, mac: '01:00:5e:00:00:01'}", `[0].mac: "01:00:5e:00:00:01" is a multicast address: a device needs a unicast one`},
		{"mac, zero", "- {name: eth1, mac: '00:00:00:00:00:00'}", `[0].mac: "00:00:00:00:00:00" is not an address a device can have`},
		{"mac, too long", "- {name: eth1, mac: '02:00:00:00:00:00:00:01'}", `[0].mac: "02:00:00:00:00:00:00:01" is not a MAC address such as "02:00:00:00:00:01"`},

		{"device twice", "[{name: eth1}, {name: eth1, newName: a}]", `[1].name: device "eth1" is asked for by [0] already`},
		{"pod name twice", "[{name: eth1, newName: a}, {name: eth2, newName: a}]", `[1].newName: name "a" in the pod is taken by [0] already`},
		{"pod name twice by default", "[{name: eth1, new_name: eth2}, {name: eth2}]", `[1]: name "eth2" in the pod is taken by [0] already`},
		{"address on two devices", "[{name: eth1, address: 192.0.2.5}, {name: eth2, addresses: [192.0.2.5/24]}]", "[1].addresses: 192.0.2.5 is given to [0] already"},
		{"what is wrong claims nothing", "[{name: a/b, newName: a/b}, {name: a/b, newName: a/b}]", strings.Join([]string{
			`[0].name: "a/b" is not the name of a device`,
			`[0].newName: "a/b" is not a name: want letters, digits, ".", "_" and "-", and one of the first two to begin with`,
			`[1].name: "a/b" is not the name of a device`,
			`[1].newName: "a/b" is not a name: want letters, digits, ".", "_" and "-", and one of the first two to begin with`,
		}, "\n")},
		{"device twice, after one that is none", "[a, {name: eth1}, {name: eth1}]", "[0]: want a mapping, not a string\n" + `[2].name: device "eth1" is asked for by [1] already`},
		{"too many devices", strings.Repeat("- {}\n", 65), "more than 64 devices"},
		{"all that is wrong", "- {name: no, newName: lo, mtu: 1}\n- {mac: 5}", strings.Join([]string{
			`[0].name: want a string: YAML reads "no" as a boolean, unless it is in quotes`,
			`[0].newName: "lo" is reserved`,
			`[0].mtu: 1 is not between 68 and 65535`,
			`[1].name: required, unless match or pool is given`,
			`[1].mac: want a string: YAML reads "5" as a number, unless it is in quotes`,
		}, "\n")},
	} {
		t.Run(tc.name, func(t *testing.T) { wantProblems(t, tc.text, tc.want) })
	}
}

// wantProblems parses text as a pod's annotation. A line of want that begins
// with "[" goes on from the annotation's key, another one follows a colon.
func wantProblems(t *testing.T, text, want string) {
	t.Helper()
	requests, err := parsePod(text)
	if problems, ok := errors.AsType[*Problems](err); !ok || len(problems.Unwrap()) != 1+strings.Count(want, "\n") {
		t.Fatalf("error %v, want %d problems", err, 1+strings.Count(want, "\n"))
	}
	if requests != nil {
		t.Errorf("requests %v beside an error", requests)
	}
	var lines []string
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.HasPrefix(line, "[") {
			line = ": " + line
		}
		lines = append(lines, Annotation+line)
	}
	if diff := cmp.Diff(strings.Join(lines, "\n"), err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestTwoAnnotations(t *testing.T) {
	annotations := map[string]string{AnnotationBare: "- name: eth1", AnnotationNRI: "- name: eth1"}
	got, err := ParseAnnotations(annotations)
	if diff := cmp.Diff([]netmove.Request{{Device: "eth1"}}, got); err != nil || diff != "" {
		t.Errorf("equal annotations: error %v, requests (-want +got):\n%s", err, diff)
	}

	annotations[AnnotationNRI] += "\n"
	_, err = ParseAnnotations(annotations)
	want := "netdevices.nri.containerd.io/pod: differs from the annotation netdevices.noderesource.dev: keep one of them"
	if err == nil || err.Error() != want {
		t.Errorf("unequal annotations: error %v, want %v", err, want)
	}
}

func TestAsks(t *testing.T) {
	for _, key := range annotationKeys() {
		if !Asks(map[string]string{"a": "b", key: ""}) {
			t.Errorf("a pod with %s does not ask", key)
		}
	}
	others := map[string]string{"netdevices.noderesource.dev/container.c0": "[]", "a": "b"}
	if Asks(others) || Asks(nil) {
		t.Error("a pod without the annotation asks")
	}
	if n := testing.AllocsPerRun(100, func() { Asks(others) }); n != 0 {
		t.Errorf("%v allocations to ask", n)
	}
}

// TestProblemsText: an event holds 1024 bytes, the error value all there is.
func TestProblemsText(t *testing.T) {
	_, err := parsePod(strings.Repeat("- {name: eth1, newname: a}\n", 60))
	if got := strings.Count(err.Error(), "\n"); got != shownInText {
		t.Errorf("%d lines beside the first, want %d", got, shownInText)
	}
	if !strings.HasSuffix(err.Error(), "\nand 90 more") {
		t.Errorf("error %v, want the number of those left out", err)
	}
	if problem, ok := errors.AsType[*Problem](err); !ok || problem.Path != Annotation+"[0]" {
		t.Errorf("first problem %v", problem)
	}
}

// TestWords holds the types of plain words against those of kubectl's reader:
// what is not a string there must not be one here.
func TestWords(t *testing.T) {
	for word := range strings.FieldsSeq(`
		y Y yes Yes YES yEs n N no No NO nO on On ON oN off Off OFF oFF true True TRUE tRUE false False FALSE
		~ null Null NULL nULL .nan .NaN .NAN .inf +.inf -.inf -.Inf inf nan Infinity
		0 -0 +5 05 0o7 0x1F 0b11 -0b11 0B1 1_000 0x_1 1. .5 5.e3 1e3 1E-3 +1e+3 12e03 -1.5 0.0 1_0.5 0x1p-2 0.1.2
		2024-01-01 2024-1-1 2024-01-01T00:00:00Z 12:30:45 190:20:30 02:00:00:00:00:01 52:54:00:12:34:56 0a:00:00:00:00:01
		<< = eth0 192.0.2.5 192.0.2.5/24 2001:db8::5/64 net1 e1 1e -1a +a .a a. _1 1_ 99999999999999999999 1e999`) {
		var other any // nil on an error, as for .nan, which JSON does not have
		_ = k8syaml.Unmarshal([]byte(word), &other)
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(word), &node); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		_, isString := other.(string)
		if got := kindOf(node.Content[0]); !isString && got == aString {
			t.Errorf("%s is a string here and %T to kubectl", word, other)
		} else if isString && got != aString && got != aDate && fmt.Sprint(other) != "<<" && !strings.HasPrefix(word, "0o") {
			t.Errorf("%s is %s here and a string to kubectl", word, got)
		}
	}
}
