package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Selection says which devices an operator wants returned: the devices of one sandbox, some
// devices by their host names, or all.
type Selection struct {
	Sandbox string   `json:"sandbox,omitempty"`
	Devices []string `json:"devices,omitempty"`
	All     bool     `json:"all,omitempty"`
}

// Returned says what a return by hand has done.
type Returned struct {
	Devices  []string `json:"devices"`            // home, and as they were
	Problems []string `json:"problems,omitempty"` // one for each other device
}

// ReturnByHand returns the devices that an operator has chosen, even from running pods. It
// tries quarantined and lost devices once more, and forgets a virtual device that is still
// lost.
func (t *Table) ReturnByHand(s Selection) (Returned, error) {
	chosen, err := t.choose(s)
	if err != nil {
		return Returned{}, err
	}
	result := Returned{Devices: []string{}}
	for _, c := range chosen {
		err := t.returnSome(c.sandbox, byHand, same(c.Attachment))
		switch {
		case err != nil:
			result.Problems = append(result.Problems, strings.ReplaceAll(err.Error(), "\n", "; "))
		case t.journal.Holds(c.Before.Identity):
			result.Problems = append(result.Problems, fmt.Sprintf("device %q is being moved right now: try again", c.Before.Name))
		default:
			result.Devices = append(result.Devices, c.Before.Name)
		}
		t.missWithout(c.sandbox, returnedByHand)
	}
	return result, nil
}

// chosen is a device and the sandbox that has it.
type chosen struct {
	sandbox string
	netmove.Attachment
}

// calls reports whether name means the device.
func (c chosen) calls(name string) bool {
	return name == c.Before.Name || name == deviceKey(c.Attachment) || slices.Contains(c.Before.Altnames, name)
}

// choose finds the selected devices. Each name must mean exactly one device.
func (t *Table) choose(s Selection) ([]chosen, error) {
	var away, list []chosen
	for _, r := range t.journal.All() {
		for _, a := range r.All() {
			away = append(away, chosen{r.Sandbox, a})
		}
	}
	var errs []error
	names := slices.Clone(s.Devices)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		means := slices.DeleteFunc(slices.Clone(away), func(c chosen) bool { return !c.calls(name) })
		errs = append(errs, one(name, means))
		list = append(list, means...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, c := range away {
		if s.All || s.Sandbox == c.sandbox {
			list = append(list, c)
		}
	}
	if s.Sandbox != "" && len(list) == 0 {
		return nil, fmt.Errorf("sandbox %q has no devices", s.Sandbox)
	}
	return list, nil
}

// one refuses a name that means no device or several.
func one(name string, means []chosen) error {
	switch len(means) {
	case 1:
		return nil
	case 0:
		return fmt.Errorf("no pod has device %q, and it was not moved by hand", name)
	}
	texts := make([]string, len(means))
	for i, c := range means {
		texts[i] = fmt.Sprintf("%s of sandbox %s", deviceKey(c.Attachment), c.sandbox)
	}
	return fmt.Errorf("name %q means %d devices, %s: say which with --sandbox, or by that name", name, len(means), strings.Join(texts, " and "))
}
