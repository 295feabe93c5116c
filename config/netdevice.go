package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// NetDeviceKind is the kind of the opaque parameters of a resource claim. Their apiVersion
// is APIVersion.
const NetDeviceKind = "NetDevice"

// maxNetDevice is the largest size of opaque parameters that Kubernetes allows, in bytes.
const maxNetDevice = 10 << 10

// NetDeviceFields returns the names of the fields of opaque parameters: the same as of one device in a pod's
// annotation, without the ones that select a device, which the scheduler does.
func NetDeviceFields() []string {
	fields := slices.DeleteFunc(RequestFields(), func(f string) bool { return slices.Contains(selectors(), f) })
	return append([]string{"apiVersion", "kind"}, fields...)
}

func selectors() []string { return []string{"name", "match", "pool"} }

// ParseNetDevice reads the opaque parameters for one device of a claim, which an error calls
// path. A field of a later text counts in place of the earlier ones'. The request selects no
// device. The error is *Problems, with the path of each.
func ParseNetDevice(path string, texts ...string) (netmove.Request, error) {
	all := map[string]value{}
	problems := &Problems{}
	for i, text := range texts {
		v := decode(fmt.Sprintf("%s[%d]", path, i), text, maxNetDevice)
		given := parseNetDevice(v)
		problems.list = append(problems.list, v.problems.list...)
		override(all, given)
	}
	if err := problems.err(); err != nil {
		return netmove.Request{}, err
	}
	for name, v := range all { // what is wrong with the fields as a set
		v.problems = problems
		all[name] = v
	}
	r := parseEntry(all, netmove.Request{})
	return r, problems.err()
}

// parseNetDevice checks one text by itself, and returns its fields.
func parseNetDevice(v value) map[string]value {
	if !v.given() {
		if v.problems.err() == nil {
			v.refuse("empty: want apiVersion: %s and kind: %s", APIVersion, NetDeviceKind)
		}
		return nil
	}
	given, ok := v.fields(schema{known: append(NetDeviceFields(), selectors()...)})
	if !ok {
		return nil
	}
	for _, name := range selectors() {
		if given[name].given() {
			given[name].refuse("not allowed: the scheduler selects the device")
		}
	}
	v.require(given, "apiVersion", "kind")
	given["apiVersion"].oneOf(APIVersion)
	given["kind"].oneOf(NetDeviceKind)
	taken := newTaken()
	taken.next()
	taken.add(v, given, parseEntry(given, netmove.Request{}))
	return given
}

// override puts the fields of a later text in the place of the earlier ones', and so also
// what the sample's form of a field calls the same.
func override(all, given map[string]value) {
	for _, forms := range [][]string{{"newName", "new_name"}, {"addresses", "address", "prefix"}} {
		if anyGiven(given, forms...) {
			for _, name := range forms {
				delete(all, name)
			}
		}
	}
	maps.Copy(all, given)
}
