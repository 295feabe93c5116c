package netmove

import (
	"fmt"
	"strings"
)

// Loss is state of the host's that is gone when the device moves.
type Loss struct {
	Kind LossKind
	Text string // what it is, such as "tbf"
}

// String is both.
func (l Loss) String() string { return fmt.Sprintf("%s (%s)", l.Kind, l.Text) }

// Losses names them all.
func Losses(list []Loss) string {
	words := make([]string, len(list))
	for i, l := range list {
		words[i] = l.String()
	}
	return strings.Join(words, " and ")
}

// LossKind is what the node's owner calls a loss.
type LossKind string

// The losses there are.
const (
	LossQdisc  LossKind = "qdisc"  // queueing disciplines and filters, tc(8)
	LossRoutes LossKind = "routes" // of other devices, that go or do not work while the device is away
	LossUppers LossKind = "uppers" // devices built on it, of any namespace, that the kernel deletes or takes state from
	LossRDMA   LossKind = "rdma"   // soft RDMA devices made on it: rxe, siw
	LossCANGW  LossKind = "cangw"  // rules of cangw(1) that name it
	LossDCB    LossKind = "dcb"    // entries for applications, dcb-app(8)
	LossIPsec  LossKind = "ipsec"  // states and policies that it has taken over
	LossNFT    LossKind = "nft"    // chains and flowtables that name it, nft(8)
	LossKindOf LossKind = "kind"   // state of its kind that a pod can change, and that is not put back
)

// LossKinds are all of them.
func LossKinds() []LossKind {
	return []LossKind{LossQdisc, LossRoutes, LossUppers, LossRDMA, LossCANGW, LossDCB, LossIPsec, LossNFT, LossKindOf}
}
