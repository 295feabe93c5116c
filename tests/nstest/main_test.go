package nstest_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// leaveEnv tells TestLeave, run by the test of Main, to leave things behind.
const leaveEnv = "NSTEST_LEAVE"

func TestMain(m *testing.M) { nstest.Main(m) }

func TestMainReportsWhatIsLeft(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		nstest.Unavailable(t, "netns", "mounting needs root")
	}
	out, err := runTestLeave("")
	if err != nil {
		t.Errorf("nothing left: %v\n%s", err, out)
	}
	out, err = runTestLeave("1")
	if err == nil {
		t.Error("things left: the run passes")
	}
	for _, want := range []string{"mount /mnt (/ of ", "→ /dev/null\n", "(sleep)\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// runTestLeave runs TestLeave with a bare environment, so that the process
// makes a mount namespace of its own.
func runTestLeave(leave string) (string, error) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLeave$")
	cmd.Env = []string{leaveEnv + "=" + leave, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestLeave(t *testing.T) {
	if os.Getenv(leaveEnv) == "" {
		return
	}
	_, openErr := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	mountErr := unix.Mount("none", "/mnt", "tmpfs", 0, "")
	startErr := exec.Command("sleep", "5").Start()
	if err := errors.Join(openErr, mountErr, startErr); err != nil {
		t.Fatal(err)
	}
}
