package kernel_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// endingEnv has the path of the namespace that the process gets stuck in.
const endingEnv = "NRI_NETDEV_ENDING"

// A process that ends while a request of it is stuck keeps its files until the request
// ends: the lock of the state folder does not go to a fresh process, and the runtime is
// not told that the connection is closed. docs/levels.md draws its conclusion from this.
func TestEndingDoesNotHelp(t *testing.T) {
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestEndingInside$")
	cmd.Env = append(os.Environ(), endingEnv+"="+nstest.New(t).Path()+" "+lock.Name())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	release := nstest.HoldRTNL(t)
	defer release()
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	for state := ""; state != "Z"; time.Sleep(5 * time.Millisecond) {
		state = processState(t, cmd.Process.Pid)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the process has ended and its lock is free: %v", err)
	}
	reader, ok := out.(*os.File)
	if !ok {
		t.Fatalf("the pipe is a %T", out)
	}
	poll := []unix.PollFd{{Fd: int32(reader.Fd())}}
	if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
		t.Errorf("the process has ended and its pipe is closed: %x, %v", poll[0].Revents, err)
	}
	release()
	if err := cmd.Wait(); err == nil {
		t.Error("the process has ended without an error")
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("the lock is not free after the request's end: %v", err)
	}
}

// processState is the state of the process's main thread (proc_pid_stat(5)).
func processState(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestEndingInside(t *testing.T) {
	path, lockPath, ok := strings.Cut(os.Getenv(endingEnv), " ")
	if !ok {
		t.Skip("for TestEndingDoesNotHelp only")
	}
	lock, err := os.Open(lockPath)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	ns, err := kernel.Linux{Patience: 50 * time.Millisecond, Stuck: func(string) { os.Exit(1) }}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	t.Fatal("the request has ended first", ns.SetUp(netmove.LoopbackIndex, true))
}
