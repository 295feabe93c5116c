package nstest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// machine is open, and locked, as long as the tests run: whatever makes devices shares it
// with other runs on this machine, but for tests that have it alone.
var machine *os.File //nolint:gochecknoglobals // the process has the lock

// share has this process share the machine, until it ends.
func share() error {
	var err error
	// Any folder does that all runs see; nothing is written there.
	if machine, err = os.Open(os.TempDir()); err != nil {
		return err
	}
	return lock(unix.LOCK_SH)
}

// Alone waits until no other run of these tests on this machine is at work, and keeps
// others waiting until the test ends: it is for tests that hold what is the whole
// machine's, which HoldRTNL does, for longer than others can bear.
func Alone(t testing.TB) {
	t.Helper()
	if err := lock(unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock(unix.LOCK_SH); err != nil {
			t.Error(err)
		}
	})
}

// lock changes the lock, for which the kernel gives it up first: two that want to be
// alone do not wait for each other.
func lock(how int) error {
	for {
		if err := unix.Flock(int(machine.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
