package journal

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const (
	claimsFolder = "claims"

	// reservationVersion is that of the reservation's format.
	reservationVersion = 1
)

// Reservation is what the journal keeps of a claim whose devices are promised to a pod. It
// stays while the pod has the devices, and until the claim is unprepared.
type Reservation struct {
	Version int       `json:"version"`
	BootID  string    `json:"bootID"` // /proc/sys/kernel/random/boot_id
	Claim   Claim     `json:"claim"`
	Pod     Pod       `json:"pod"`
	Since   time.Time `json:"since"`

	Devices []Reserved `json:"devices"`
}

// Claim is a ResourceClaim.
type Claim struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is namespace/name.
func (c Claim) String() string { return c.Namespace + "/" + c.Name }

// Reserved is a device that is promised to a pod.
type Reserved struct {
	Request string `json:"request"` // of the claim
	Pool    string `json:"pool"`    // as the scheduler calls it
	Device  string `json:"device"`  // as the scheduler calls it
	CDI     string `json:"cdi"`     // name of the CDI device that containers ask for

	HostName string           `json:"hostName"`
	Identity netmove.Identity `json:"identity"`
	Wish     netmove.Request  `json:"wish"` // without a selector
}

// Has reports whether the reservation has the device.
func (r *Reservation) Has(id netmove.Identity) bool {
	return slices.ContainsFunc(r.Devices, func(d Reserved) bool { return d.Identity.Same(id) })
}

// InUse is the refusal of a device of the reservation to whom calls it that.
func (r *Reservation) InUse(device string) *InUseError {
	return &InUseError{Device: device, Holder: "pod " + r.Pod.String(), Reserved: true}
}

// AwayError tells that a claim cannot be let go of, since a device of it is not home.
type AwayError struct {
	Device  string // host name
	Holder  string // who has it, in words
	Problem string // why it is not home yet, if that is known
}

func (e *AwayError) Error() string {
	if e.Problem != "" {
		return fmt.Sprintf("device %q is not home yet from %s: %s", e.Device, e.Holder, e.Problem)
	}
	return fmt.Sprintf("device %q is not home yet: %s has it", e.Device, e.Holder)
}

// reservations are those of all claims. They are never changed in place.
type reservations struct {
	byClaim map[string]*Reservation   // by UID
	byPod   map[string][]*Reservation // by the pod's UID; in the order of the claims' UIDs
}

func reservationsOf(byClaim map[string]*Reservation) *reservations {
	all := &reservations{byClaim, make(map[string][]*Reservation, len(byClaim))}
	for _, uid := range slices.Sorted(maps.Keys(byClaim)) {
		r := byClaim[uid]
		all.byPod[r.Pod.UID] = append(all.byPod[r.Pod.UID], r)
	}
	return all
}

// Reserved returns the reservations for a pod. It costs one load and one look-up.
func (j *Journal) Reserved(podUID string) []*Reservation { return j.reserved.Load().byPod[podUID] }

// Reservation returns the reservation of a claim.
func (j *Journal) Reservation(claim string) (*Reservation, bool) {
	r, ok := j.reserved.Load().byClaim[claim]
	return r, ok
}

// Reservations returns every reservation, ordered by the claim's UID.
func (j *Journal) Reservations() []*Reservation {
	all := j.reserved.Load().byClaim
	list := make([]*Reservation, 0, len(all))
	for _, uid := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[uid])
	}
	return list
}

// ReservedFor returns the reservation that has the device, nil for none.
func (j *Journal) ReservedFor(id netmove.Identity) *Reservation {
	for _, r := range j.reserved.Load().byClaim {
		if r.Has(id) {
			return r
		}
	}
	return nil
}
