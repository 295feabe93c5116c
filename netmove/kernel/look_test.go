package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// These are about answers that no device of the tests gives, and so they are inside.

func veth(t *testing.T) (*nstest.NS, *Namespace, link) {
	t.Helper()
	ns := nstest.New(t)
	ns.IP(t, "link add eth1 type veth peer name eth2")
	k, err := Linux{}.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := k.linkByName("eth1")
	if err == nil {
		err = k.identify(&l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ns, k, l
}

// A driver's ENODEV about a setting does not make the device one that is gone.
func TestNotGone(t *testing.T) {
	t.Parallel()
	ns, k, l := veth(t)
	answer := classify(fmt.Errorf("settings: %w", unix.ENODEV))
	if err := k.notGone(l, answer); err == nil || errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("of a device that is there: %v", err)
	}
	for _, same := range []error{nil, unix.EINVAL} {
		if err := k.notGone(l, same); !errors.Is(err, same) {
			t.Errorf("%v became %v", same, err)
		}
	}
	ns.IP(t, "link del eth1")
	if err := k.notGone(l, answer); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("of a device that is gone: %v", err)
	}
}

// Settings that are not told of a device that is down do not keep it from being looked at,
// and what else is told of it is there.
func TestOptionsNotTold(t *testing.T) {
	t.Parallel()
	_, k, l := veth(t)
	if len(l.Options) == 0 {
		t.Fatal("a veth has options")
	}
	told := len(l.Options)
	l.Identity.Index = 1 << 20 // of which the kernel tells nothing
	if err := k.addOptions(&l); err != nil || len(l.Options) < told {
		t.Errorf("down: %d options of %d, %v", len(l.Options), told, err)
	}
	l.Flags.Up = true
	if err := k.addOptions(&l); err == nil {
		t.Error("up: no error")
	}
}

// A list of sysctls that a rename has cut short is not remembered.
func TestSysctlsOfARenamed(t *testing.T) {
	t.Parallel()
	ns, k, _ := veth(t)
	const folder = "ipv4/conf"
	list := func(between string) (files []string, err error) {
		ns.Do(t, func() {
			dir, oerr := os.Open("/proc/sys/net/" + folder + "/eth1")
			if oerr != nil {
				t.Fatal(oerr)
			}
			defer dir.Close()
			if between != "" {
				ns.IP(t, between)
			}
			files, err = k.sysctlFiles.list(folder, int(dir.Fd()))
		})
		return files, err
	}
	_, err := list("link set eth1 name eth9")
	if _, known := k.sysctlFiles.of(folder); known || !errors.Is(err, errRaced) {
		t.Errorf("of a device that was renamed: known %t, error %v", known, err)
	}
	ns.IP(t, "link set eth9 name eth1")
	files, err := list("")
	if _, known := k.sysctlFiles.of(folder); !known || err != nil || len(files) < 20 {
		t.Errorf("of one that was not: %d files, known %t, error %v", len(files), known, err)
	}
}

// A thread that has been in another namespace is where it was, whatever happens there.
func TestThreadsComeBack(t *testing.T) {
	t.Parallel()
	_, k, _ := veth(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	where := func() string {
		name, err := os.Readlink(ownPath)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	home, away, failed := where(), "", errors.New("failed")
	if err := k.do(func() error { away = where(); return failed }); !errors.Is(err, failed) {
		t.Errorf("error is %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = k.do(func() error { panic("there") })
	}()
	if want := fmt.Sprintf("net:[%d]", k.Inode()); away != want || where() != home || home == away {
		t.Errorf("was in %s, which is %s, and came from %s to %s", away, want, home, where())
	}
}

// The process's own namespace is where everything is done without a way.
func TestOwn(t *testing.T) {
	nstest.New(t) // or says that there can be none here
	k, err := Linux{}.OpenOwn()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	where := ""
	if err := k.do(func() (err error) { where, err = os.Readlink(ownPath); return err }); err != nil {
		t.Fatal(err)
	}
	lo, err := k.ByName("lo")
	if want := fmt.Sprintf("net:[%d]", k.Inode()); where != want || err != nil || lo.Identity.Index != netmove.LoopbackIndex {
		t.Errorf("in %s, want %s; lo is %+v, %v", where, want, lo.Identity, err)
	}
}
