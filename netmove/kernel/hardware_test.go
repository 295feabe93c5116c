package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A veth has a speed and no place in the machine; a device under a name that another one has
// by now is not there.
func TestHardware(t *testing.T) {
	t.Parallel()
	ns, k, l := veth(t)
	ns.IP(t, "link set eth1 up")
	ns.IP(t, "link set eth2 up")
	h, err := k.Hardware(l.Snapshot)
	if want := (netmove.Hardware{Speed: 10000}); err != nil || h != want {
		t.Errorf("hardware of a veth is %+v, %v", h, err)
	}
	ns.IP(t, "link set eth2 name eth7")
	ns.IP(t, "link set eth1 name eth2")
	ns.IP(t, "link set eth7 name eth1")
	if h, err := k.Hardware(l.Snapshot); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("of another device: %+v, %v", h, err)
	}
}

// The PCIe root is the first part of the path in sysfs, which the test makes itself: what
// hardware it runs on is not known.
func TestPCIeRoot(t *testing.T) {
	t.Parallel()
	sys := t.TempDir()
	if err := os.MkdirAll(filepath.Join(sys, pciDevices), 0o700); err != nil {
		t.Fatal(err)
	}
	for address, path := range map[string]string{
		"0000:81:00.0": "../../../devices/pci0000:80/0000:80:01.0/0000:81:00.0",
		"0000:00:03.0": "../../../devices/pci0000:00/0000:00:03.0",
		"0001:00:00.0": "../../../devices/platform/40000000.pcie/pci0001:00/0001:00:00.0",
	} {
		if err := os.Symlink(path, filepath.Join(sys, pciDevices, address)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := unix.Open(sys, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for address, want := range map[string]string{
		"0000:81:00.0": "pci0000:80", "0000:00:03.0": "pci0000:00", "0001:00:00.0": "", "0000:99:00.0": "",
	} {
		if got := pcieRoot(root, address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}
