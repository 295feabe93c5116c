package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// mostRequests bounds the devices of a claim, as Kubernetes does
// (AllocationResultsMaxSize).
const mostRequests = 32

// Prepare reserves the devices of a claim for its pod, and answers how containers ask for
// them. No device moves before the pod's sandbox is made. If it returns an error, nothing is
// reserved. It may be repeated: what is reserved already stays as it is.
//
//	parameters -> requests; names of devices -> identities; policy -> plan
//	-> the reservation is on disk and published
func (t *Table) Prepare(c claim.Claim) (claim.Prepared, error) {
	if err := checkClaim(c); err != nil {
		return claim.Prepared{}, err
	}
	r, err := t.reserve(c)
	for tries := 1; errors.Is(err, journal.ErrStale) && tries < beginTries; tries++ {
		r, err = t.reserve(c)
	}
	if err != nil {
		return claim.Prepared{}, fmt.Errorf("claim %s/%s: %w", c.Namespace, c.Name, err)
	}
	return prepared(r), nil
}

// Unprepare ends the reservation of a claim. The error is a *journal.AwayError as long as a
// device of it is not home, except for one that is lost, quarantined, or home under another
// name. It may be repeated.
func (t *Table) Unprepare(uid string) error {
	if !isUID(uid) {
		return fmt.Errorf("%q is no UID of a claim", uid)
	}
	r, ok := t.journal.Reservation(uid)
	if err := t.journal.Unreserve(uid); err != nil {
		return err
	}
	if ok {
		t.log.Info("claim unprepared", "claim", r.Claim.String(), "pod", r.Pod.String())
	}
	return t.specs.remove(uid) // of a pod whose device is lost
}

func isUID(text string) bool {
	return regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?$`).MatchString(text)
}

// isRequest reports whether text is the name of a request, or of a subrequest.
func isRequest(text string) bool {
	const label = `[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?`
	return regexp.MustCompile(`^` + label + `(/` + label + `)?$`).MatchString(text)
}

// checkClaim refuses a claim that does not say for whom it is and what it wants.
func checkClaim(c claim.Claim) error {
	switch {
	case !isUID(c.UID):
		return fmt.Errorf("claim %s/%s: %q is no UID", c.Namespace, c.Name, c.UID)
	case c.Pod.UID == "" || c.Pod.Name == "":
		return fmt.Errorf("claim %s/%s is reserved for no pod", c.Namespace, c.Name)
	case c.Pod.Namespace != c.Namespace:
		return fmt.Errorf("claim %s/%s is reserved for a pod of namespace %q", c.Namespace, c.Name, c.Pod.Namespace)
	case len(c.Requests) == 0:
		return fmt.Errorf("claim %s/%s has no device of this driver", c.Namespace, c.Name)
	case len(c.Requests) > mostRequests:
		return fmt.Errorf("claim %s/%s has %d devices: at most %d are allowed", c.Namespace, c.Name, len(c.Requests), mostRequests)
	}
	for _, r := range c.Requests {
		if !isRequest(r.Name) {
			return fmt.Errorf("claim %s/%s: %q is no name of a request", c.Namespace, c.Name, r.Name)
		}
	}
	return nil
}

// reserve makes the reservation, or returns the one that is there.
func (t *Table) reserve(c claim.Claim) (*journal.Reservation, error) {
	if r, ok := t.journal.Reservation(c.UID); ok {
		return r, sameClaim(r, c)
	}
	since := t.journal.Homecomings()
	r, err := t.choosePromised(c)
	if err != nil {
		return nil, err
	}
	err = t.journal.Reserve(r, since)
	if errors.Is(err, journal.ErrReserved) { // by another call, meanwhile
		return t.reserve(c)
	}
	if err == nil {
		t.log.Info("claim prepared", "claim", r.Claim.String(), "pod", r.Pod.String(), "devices", hostNames(r))
	}
	return r, err
}

func hostNames(r *journal.Reservation) (names []string) {
	for _, d := range r.Devices {
		names = append(names, d.HostName)
	}
	return names
}

// sameClaim refuses a claim that is prepared for another pod, or with other devices.
func sameClaim(r *journal.Reservation, c claim.Claim) error {
	if r.Pod.UID != c.Pod.UID {
		return &journal.InUseError{Device: r.Devices[0].HostName, Holder: "pod " + r.Pod.String(), Reserved: true}
	}
	same := slices.EqualFunc(r.Devices, c.Requests, func(d journal.Reserved, q claim.Request) bool {
		return d.Request == q.Name && d.Device == q.Device
	})
	if !same {
		return errors.New("it is prepared with other devices: delete the pod, so that it starts anew")
	}
	return nil
}

// choosePromised decides about the devices of a claim. It changes nothing.
func (t *Table) choosePromised(c claim.Claim) (*journal.Reservation, error) {
	r := &journal.Reservation{
		Claim: journal.Claim{UID: c.UID, Namespace: c.Namespace, Name: c.Name},
		Pod:   journal.Pod{UID: c.Pod.UID, Namespace: c.Pod.Namespace, Name: c.Pod.Name},
		Since: time.Now(),
	}
	nodeConfig := t.config.Load()
	// The pod's handler is not known yet: the sandbox is judged with it.
	pod := config.Pod{Namespace: r.Pod.Namespace, Name: r.Pod.Name, RuntimeHandler: nodeConfig.RuntimeHandlers[0]}
	if err := nodeConfig.AllowPod(pod, len(c.Requests)); err != nil {
		return nil, err // without a valid config there are no pools either
	}
	offered, err := t.offered()
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(c.Requests))
	r.Devices = make([]journal.Reserved, len(c.Requests))
	for i, q := range c.Requests {
		r.Devices[i], errs[i] = t.promise(q, offered)
		r.Devices[i].CDI = cdiName(c.UID, q.Name, c.Requests[:i])
		if errs[i] != nil {
			errs[i] = fmt.Errorf("request %q: %w", q.Name, errs[i])
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var wishes []wish
	for i := range r.Devices {
		wishes = append(wishes, wish{r.Devices[i].Wish, &r.Devices[i]})
	}
	_, err = decide(t.mover, t.journal, nodeConfig, pod, wishes, true)
	return r, err
}

// promise reads what the claim wants of a device, and finds the device.
func (t *Table) promise(q claim.Request, offered map[string]offer) (journal.Reserved, error) {
	d := journal.Reserved{Request: q.Name, Pool: q.Pool, Device: q.Device}
	texts := make([]string, len(q.Parameters))
	for i, p := range q.Parameters {
		texts[i] = string(p)
	}
	var err error
	if d.Wish, err = config.ParseNetDevice("parameters", texts...); err != nil {
		return d, err
	}
	one, ok := offered[q.Device]
	switch {
	case !ok:
		return d, fmt.Errorf("device %q %w on this node, or is of none of its pools: delete the pod, so that it starts anew", q.Device, netmove.ErrNotFound)
	case one.record != nil:
		return d, one.record.InUse(one.dev.Name, one.dev.Identity)
	}
	d.HostName, d.Identity = one.dev.Name, one.dev.Identity
	return d, nil
}

// cdiName names the CDI device of a request. Several devices of one request have numbers.
func cdiName(uid, request string, before []claim.Request) string {
	name := uid + "-" + strings.ReplaceAll(request, "/", ".")
	n := 0
	for _, q := range before {
		if q.Name == request {
			n++
		}
	}
	if n > 0 {
		name += "_" + strconv.Itoa(n)
	}
	return name
}

func prepared(r *journal.Reservation) (p claim.Prepared) {
	for _, d := range r.Devices {
		p.Devices = append(p.Devices, claim.PreparedDevice{
			Request: d.Request, Pool: d.Pool, Device: d.Device, CDIDevice: CDIKind + "=" + d.CDI,
		})
	}
	return p
}
