package netmove

import (
	"errors"
	"io"
)

// Classes of error that a Namespace returns, for errors.Is. The text beside
// them says what was tried and what the kernel answered.
var (
	// ErrNotFound means that there is no such device in the namespace (ENODEV), or no
	// namespace at the path (ENOENT).
	ErrNotFound = errors.New("not found")

	// ErrNameTaken means that a device of the namespace has that name or altname (EEXIST).
	ErrNameTaken = errors.New("the name is taken")

	// ErrExists means that the table has such an entry already (EEXIST).
	ErrExists = errors.New("there is such an entry already")

	// ErrIndexTaken means that a device of the namespace has that ifindex (EBUSY of a move).
	ErrIndexTaken = errors.New("the ifindex is taken")

	// ErrBusy means that the device must be down for that change (EBUSY of a rename
	// before Linux 6.2, of some drivers' MAC change and of a new port of a team,
	// EPERM of one of a bond).
	ErrBusy = errors.New("the device must be down for it")

	// ErrCannotPin means that bind mounts cannot be made here (EPERM): the
	// process lacks CAP_SYS_ADMIN over its mount namespace.
	ErrCannotPin = errors.New("a network namespace cannot be pinned here")

	// ErrUnseen means that the kernel does not show all programs of a device to
	// this process (EPERM of bpf(2): capabilities, seccomp, lockdown).
	ErrUnseen = errors.New("BPF programs cannot be seen here")

	// ErrNotNamespace means that the file is not a network namespace.
	ErrNotNamespace = errors.New("not a network namespace")
)

// Kernel opens network namespaces. There are two: package kernel drives
// Linux, package netmovetest keeps a world in memory that can fail at any
// step.
type Kernel interface {
	// OpenNamespace opens the network namespace at path, such as
	// /var/run/netns/NAME or /proc/PID/ns/net. Errors: ErrNotFound,
	// ErrNotNamespace.
	OpenNamespace(path string) (Namespace, error)

	// Pin keeps the namespace, and the devices in it, alive until Unpin,
	// whatever becomes of this process: it bind-mounts the namespace on the
	// file at path, which OpenNamespace then opens. A pin of the same
	// namespace is left as it is, another one is replaced, so that there are
	// never two mounts on one another. Error: ErrCannotPin.
	Pin(ns Namespace, path string) error

	// Unpin ends the pin at path, which need not exist.
	Unpin(path string) error

	// HoldProgram keeps a BPF program alive until it is closed, or this process ends: one
	// that netlink has attached lives by that alone, and could not be put back.
	HoldProgram(p Program) (io.Closer, error)

	// InodeAt is the inode number of the namespace at path. Error: ErrNotFound.
	InodeAt(path string) (uint64, error)

	// Inhabits reports whether the process is in the network namespace with
	// that inode number.
	Inhabits(pid int, inode uint64) (bool, error)

	// WhenEnded calls ended, once and on a goroutine of its own, when the
	// process has ended, unless stop is called first. Error: ErrNotFound.
	WhenEnded(pid int, ended func()) (stop func(), err error)

	// Occupied reports whether any process is in the network namespace with
	// that inode number. An error means that it cannot be told.
	Occupied(inode uint64) (bool, error)

	// Now is the time since boot.
	Now() BootOffset
}

// Namespace is a handle on a network namespace. It keeps the namespace and
// the devices in it alive until Close, whatever happens to the processes in
// it and to its path.
//
// Devices are meant by ifindex: it is the one property that a rename between
// two calls does not change. Every verb that changes something is one request
// to the kernel: it is done, or not done, except for Move.
type Namespace interface {
	// Cookie identifies the namespace for as long as the node runs
	// (SO_NETNS_COOKIE); it is never reused, as inode numbers are.
	Cookie() uint64

	// Inode is the namespace's inode number in nsfs, as lsns(8) shows it. It
	// identifies the namespace as long as that exists.
	Inode() uint64

	// Snapshot reads the device that has name as its name or as an altname,
	// with its addresses and its role on the node. Error: ErrNotFound.
	Snapshot(name string) (Snapshot, error)

	// Locate finds the device with that identity, wherever its name and index
	// are by now, trying index first, and reads it without addresses and role.
	// Error: ErrNotFound.
	Locate(id Identity, index int) (Snapshot, error)

	// Link reads the device that has name as its name or as an altname,
	// without addresses and role. Error: ErrNotFound.
	Link(name string) (Snapshot, error)

	// LinkAt reads the device with that ifindex, whichever it is: what of its identity
	// netlink does not tell is left out. Error: ErrNotFound.
	LinkAt(index int) (Snapshot, error)

	// Links reads every device, without addresses and role.
	Links() ([]Snapshot, error)

	// Features reads the offload features of the device, by name.
	Features(index int) (map[string]Feature, error)

	// Addresses reads the addresses of one device, in the kernel's order.
	Addresses(index int) ([]Address, error)

	// Look is Locate, and reads what that does not: addresses, options of ethtool,
	// sysctls, and entries of tables in the order in which they can be put back. Of a device
	// that is down, options that the driver does not tell then are left out. Error: ErrNotFound,
	// for a device that is not there and for nothing else.
	Look(id Identity, index int) (Snapshot, error)

	// LookArrived is Look at a device that a move has just brought. The kernel takes addresses
	// and entries of tables from one that leaves (__dev_change_net_namespace tells of it as of
	// one that ends), so these are not read. Errors are those of Look.
	LookArrived(id Identity, index int) (Snapshot, error)

	// LookAgain is Look at a device, which takes over the sysctls of a look before: reading
	// them costs as much as half of the rest.
	LookAgain(dev Snapshot) (Snapshot, error)

	// Groups reads the multicast addresses that the device listens to, as entries
	// of TableFDB.
	Groups(index int) ([]Entry, error)

	// NameTaken reports whether a device has name as its name or altname.
	NameTaken(name string) (bool, error)

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

	// Uppers reads the devices of the namespace that are built on the device,
	// but not its master, without addresses and role.
	Uppers(index int) ([]Snapshot, error)

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

	// Programs reads the BPF programs on the device that follow it when it
	// moves. With ErrUnseen come those that can be seen nevertheless.
	Programs(index int) ([]Program, error)

	// Detach takes a program off the device that Programs has told of, with the
	// link that holds it.
	Detach(index int, p Program) error

	// Reattach puts a program on the device again that Detach has taken off, without
	// a link. Error: ErrNotFound if nobody has kept the program.
	Reattach(index int, p Program) error

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

	// PutAddress adds the address, or changes the attributes of the one that
	// is there with the same prefix.
	PutAddress(index int, a Address) error

	// DropAddress takes the address with that prefix and peer off the device.
	// Without a primary IPv4 address its secondaries go, too (unless
	// promote_secondaries is set). Error: ErrNotFound.
	DropAddress(index int, a Address) error

	// SetOption sets an option that a snapshot has. Error: ErrBusy.
	SetOption(index int, o Option) error

	SetSysctl(index int, name, value string) error

	// SetFeatures switches offload features that Features has told of. The error names
	// those that have not become what they were to be.
	SetFeatures(index int, features map[string]bool) error

	// AddRoute, AddNeighbor and AddRule make what a request asks for. Error: ErrExists.
	AddRoute(index int, r RouteRequest) error
	AddNeighbor(index int, n NeighborRequest) error
	AddRule(r RuleRequest) error

	// HasRule reports whether the namespace has that rule, for either family.
	HasRule(r RuleRequest) (bool, error)

	// DropRule removes that rule, for each family. Error: ErrNotFound if there is none.
	DropRule(r RuleRequest) error

	// PutEntry makes an entry. Error: ErrExists.
	PutEntry(index int, e Entry) error

	// DropEntry removes an entry, of TableVLAN.
	DropEntry(index int, e Entry) error

	// Close gives the handle back.
	Close() error
}

// LoopbackIndex is the ifindex of lo in every network namespace
// (LOOPBACK_IFINDEX).
const LoopbackIndex = 1
