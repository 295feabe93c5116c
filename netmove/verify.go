package netmove

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Difference is an attribute of a device that is not as meant.
type Difference struct {
	Attribute string `json:"attribute"` // such as "mtu"
	Text      string `json:"text"`      // such as "1500, not 9000"
}

// String is both.
func (d Difference) String() string { return d.Attribute + ": " + d.Text }

// carry puts the routes and neighbors that go along on the device in the pod.
// They were not asked for, so what the kernel does not take is no reason to
// refuse the pod. What the pod has already stays.
func (m *Mover) carry(pod Namespace, a *Attachment) {
	a.Differences = nil
	for _, e := range a.Entries {
		err := pod.PutEntry(a.PodIndex, e)
		if err != nil && !errors.Is(err, ErrExists) {
			a.differs(string(e.Table), "%s: %v", e.Text, err)
		}
	}
}

// verify reads the device in the pod and notes what is not as meant. That it is ours was
// made sure of before the move; its index in the pod is all that was named since.
func (m *Mover) verify(pod Namespace, a *Attachment) error {
	dev, err := pod.LinkAt(a.PodIndex)
	if err == nil {
		dev.Addresses, err = pod.Addresses(a.PodIndex)
	}
	if err != nil {
		return &StepError{Device: a.Before.Name, Step: "look at it in the pod", Err: err}
	}
	a.compare(dev)
	return nil
}

func (a *Attachment) differs(attribute, text string, args ...any) {
	a.Differences = append(a.Differences, Difference{attribute, fmt.Sprintf(text, args...)})
}

// compare notes what of the device is not as meant.
func (a *Attachment) compare(dev Snapshot) {
	mtu, mac := a.Before.MTU, a.Before.MAC
	if a.Request.MTU != 0 {
		mtu = a.Request.MTU
	}
	if a.Request.MAC != nil {
		mac = a.Request.MAC
	}
	flags := a.Before.Flags
	flags.Up = true
	for _, c := range []struct {
		attribute  string
		have, want any
	}{
		{"name", dev.Name, a.PodName},
		{"altnames", sorted(dev.Altnames), sorted(a.Before.Altnames)},
		{"alias", dev.Alias, a.Before.Alias},
		{"mac", dev.MAC.String(), mac.String()},
		{"mtu", dev.MTU, mtu},
		{"txqueuelen", dev.TxQueueLen, a.Before.TxQueueLen},
		{"group", dev.Group, a.Before.Group},
		{"flags", dev.Flags, flags},
	} {
		if c.have != c.want {
			a.differs(c.attribute, "%v, not %v", c.have, c.want)
		}
	}
	for _, size := range a.Request.maxSizes() {
		if is, _ := dev.option(size.option); !bytes.Equal(is.Value, size.value()) {
			a.differs(size.field, "%d is not there as meant", size.bytes)
		}
	}
	for _, want := range a.Addresses {
		if !slices.ContainsFunc(dev.Addresses, want.appears) {
			a.differs("addresses", "%s is not there as meant", want)
		}
	}
}

func sorted(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), " ") }
