package netmove

import "net/netip"

// Namespace is a handle on a network namespace. It keeps the namespace and
// the devices in it alive until Close, whatever happens to the processes in
// it and to its path. There are two: package kernel drives Linux, package
// netmovetest keeps a world in memory that can fail at any step.
//
// Devices are meant by ifindex: it is the one property that a rename between
// two calls does not change. Every verb that changes something is one request
// to the kernel: it is done, or not done, except for Move.
type Namespace interface {
	Reader
	Linker
	Tabler
	Stacker
	Programmer
	Announcer

	// Cookie identifies the namespace for as long as the node runs
	// (SO_NETNS_COOKIE); it is never reused, as inode numbers are.
	Cookie() uint64

	// Inode is the namespace's inode number in nsfs, as lsns(8) shows it. It
	// identifies the namespace as long as that exists.
	Inode() uint64

	// Close gives the handle back.
	Close() error
}

// Reader reads what is in a network namespace. A device is read as netlink tells it
// (RTM_GETLINK), with its identity; what else there is of it, Fill adds.
type Reader interface {
	// ByName reads the device that has name as its name or as an altname.
	// Error: ErrNotFound.
	ByName(name string) (Snapshot, error)

	// Find reads the device with that identity, wherever its name and index are by now,
	// trying index first. Error: ErrNotFound.
	Find(id Identity, index int) (Snapshot, error)

	// List reads every device, by name.
	List() ([]Snapshot, error)

	// Fill reads the device anew, and those parts of it. Parts that are not named stay as
	// they are in dev. A dev that has no inode means the device with its ifindex, whichever
	// that is. Of a device that is down, options that the driver does not tell then are
	// left out. PartTunFile comes with PartOptions; without it, the options that it is about are
	// unknown. Error: ErrNotFound, for a device that is not there and for nothing else.
	Fill(dev *Snapshot, parts Parts) error

	// Survey prepares a look at what decides whether the devices may move. What is not one
	// device's alone is gone through once for all of them.
	Survey(devices ...Snapshot) Survey

	// Features reads the offload features of the device, by name.
	Features(index int) (map[string]Feature, error)

	// Hardware reads where the device is in the machine and how fast it is. Error:
	// ErrNotFound.
	Hardware(dev Snapshot) (Hardware, error)

	// Groups reads the multicast addresses that the device listens to, as entries
	// of TableFDB.
	Groups(index int) ([]Entry, error)

	// Rules reads the namespace's policy rules, as entries of TableRule.
	Rules() ([]Entry, error)

	// Routing reads what decides which devices carry the node's own traffic.
	Routing() (Routing, error)

	// HasRoute reports whether the namespace has a route with the destination, the metric
	// and the table of that one.
	HasRoute(r RouteRequest) (bool, error)

	// Demotions tells which default routes of the main table, of a family, have to stand
	// back if one of that metric is to count, at metrics that are not among the taken ones.
	Demotions(ipv6 bool, metric uint32, taken []uint32) ([]Replacement, error)

	// HasIPv6 reports whether a device that arrives can have IPv6 addresses.
	HasIPv6() (bool, error)

	// NameTaken reports whether a device has name as its name or altname.
	NameTaken(name string) (bool, error)
}

// Survey is a look at devices of a namespace. It is for one goroutine.
type Survey interface {
	// Facts reads what decides whether the device, one of the survey's, may move. It must
	// have all of its parts, and gets OthersRoutes, and the Place of its routes and of those of
	// its Uppers. Error: ErrNotFound.
	Facts(dev *Snapshot) (Facts, error)

	// Role reads what the device, one of the survey's, does for the node. It must have its
	// addresses and Uppers, with theirs. Error: ErrNotFound.
	Role(dev *Snapshot) (Role, error)
}

// Linker changes a device as a link.
type Linker interface {
	// Move moves the device into another namespace and renames it, in one
	// request (RTM_NEWLINK with IFLA_NET_NS_FD, IFLA_IFNAME and
	// IFLA_NEW_IFINDEX). newIndex 0 lets the kernel choose: the device keeps
	// its index where that is free. The device is down afterwards and has no
	// addresses.
	//
	// Not atomic by itself: if name is taken in the target and the device's
	// current name is free there, the kernel moves first and then fails, with
	// ErrNameTaken. If both are taken nothing has happened. After any error
	// look for the device in both namespaces. Errors: ErrNameTaken,
	// ErrIndexTaken.
	Move(index int, to Namespace, name string, newIndex int) error

	// Rename gives the device another name. In a name such as "x%d" the kernel
	// puts the first number that makes it free. Errors: ErrNameTaken, ErrBusy.
	Rename(index int, name string) error

	// AddAltname and DropAltname change the device's altnames. A namespace's
	// names and altnames share one name space. Errors: ErrNameTaken,
	// ErrNotFound.
	AddAltname(index int, name string) error
	DropAltname(index int, name string) error

	SetMTU(index, mtu int) error     // Error: ErrBusy
	SetMAC(index int, mac MAC) error // Error: ErrBusy
	SetAlias(index int, alias string) error
	SetTxQueueLen(index, packets int) error
	SetGroup(index, group int) error
	SetMaster(index, master int) error // Error: ErrBusy

	// SetFlags sets every flag but Up.
	SetFlags(index int, flags LinkFlags) error

	// SetUp sets the device up or down. Down removes its IPv6 addresses.
	SetUp(index int, up bool) error

	// SetOption sets an option that a snapshot has. Error: ErrBusy.
	SetOption(index int, o Option) error

	SetSysctl(index int, name, value string) error

	// SetFeatures switches offload features that Features has told of. The error names
	// those that have not become what they were to be.
	SetFeatures(index int, features map[string]bool) error
}

// Tabler changes addresses, entries of tables, and policy rules.
type Tabler interface {
	// PutAddress adds the address, or changes the attributes of the one that
	// is there with the same prefix.
	PutAddress(index int, a Address) error

	// DropAddress takes the address with that prefix and peer off the device.
	// Without a primary IPv4 address its secondaries go, too (unless
	// promote_secondaries is set). Error: ErrNotFound.
	DropAddress(index int, a Address) error

	// PutEntry makes an entry; of TableRule, whatever the index. Errors: ErrExists,
	// ErrUnreachable.
	PutEntry(index int, e Entry) error

	// DropEntry removes an entry. Error: ErrNotFound.
	DropEntry(index int, e Entry) error

	// AddRoute, AddNeighbor and AddRule make what a request asks for. Error: ErrExists.
	AddRoute(index int, r RouteRequest) error
	AddNeighbor(index int, n NeighborRequest) error
	AddRule(r RuleRequest) error

	// DropRule removes that rule, for each family. Error: ErrNotFound if there is none.
	DropRule(r RuleRequest) error
}

// Stacker finds and removes devices that are built on one.
type Stacker interface {
	// Uppers reads the devices of the namespace that are built on the device,
	// but not its master.
	Uppers(dev Snapshot) ([]Snapshot, error)

	// Delete deletes a device. Error: ErrNotFound.
	Delete(index int) error

	// Stacked finds the devices that are built on a device of another
	// namespace, below: those in this namespace, and those in the namespaces
	// that this one knows, but below itself. It knows those that a device of it
	// was moved to; not those that one was created in, or was moved to from
	// there.
	Stacked(below Namespace, index int) ([]Upper, error)

	// Unstack deletes a device that Stacked has found. Error: ErrNotFound.
	Unstack(u Upper) error
}

// Programmer finds BPF programs on a device, and takes them off.
type Programmer interface {
	// Programs reads the BPF programs on the device that follow it when it
	// moves, and the queues of a tun or tap that processes hold. With ErrUnseen come those
	// that can be seen nevertheless. Linux before 6.9 does not tell of the only queue, and is
	// asked in a way that somebody may notice for a device with PartTunFile alone.
	Programs(dev Snapshot) ([]Program, error)

	// Detach takes a program off the device that Programs has told of, with the
	// link that holds it.
	Detach(index int, p Program) error

	// Reattach puts a program on the device again that Detach has taken off, without
	// a link. Error: ErrNotFound if nobody has kept the program.
	Reattach(index int, p Program) error
}

// Announcer tells the neighbors on the link of a device which addresses the device has.
type Announcer interface {
	// Announce sends for each of the addresses a gratuitous ARP request, or an unsolicited
	// neighbor advertisement. Errors: ErrNotFound, ErrNoNeighbors.
	Announce(index int, addrs []netip.Addr) error

	// WhenChanged calls changed, on a goroutine of its own, each time a device of the
	// namespace or an address may have changed, until stop is called. changed must not wait.
	WhenChanged(changed func()) (stop func(), err error)
}

// LoopbackIndex is the ifindex of lo in every network namespace
// (LOOPBACK_IFINDEX).
const LoopbackIndex = 1
