package kernel_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// refusedEnv has the errno that every bpf(2) of the process shall fail with.
const refusedEnv = "KERNEL_TEST_BPF_ERRNO"

// Devices come and go where bpf(2) is refused, or is not there.
func TestWithoutBPF(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS, unix.EINVAL} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			t.Parallel()
			newNode(t) // skips where there are no namespaces
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestWithoutBPFInside$", "-test.v")
			// Mounts that tests make meanwhile are not what it leaves behind.
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			cmd.Env = append(os.Environ(), refusedEnv+"="+strconv.Itoa(int(errno)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestWithoutBPFInside(t *testing.T) {
	errno, err := strconv.Atoi(os.Getenv(refusedEnv))
	if err != nil {
		t.Skip("for TestWithoutBPF only")
	}
	refuseBPF(t, uint32(errno))
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
	list, err := n.hostNS.Programs(plan[0].Before)
	if refused := errors.Is(err, netmove.ErrUnseen); refused != (syscall.Errno(errno) == unix.EPERM) || len(list) > 0 {
		t.Errorf("programs are %v, %v", list, err)
	}
	if !errors.Is(err, netmove.ErrUnseen) && err != nil {
		t.Error(err)
	}
}

// refuseBPF has every bpf(2) of the process fail (seccomp(2)).
func refuseBPF(t *testing.T, errno uint32) {
	t.Helper()
	const loadNumber, jumpEqual, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: loadNumber}, // seccomp_data.nr
		{Code: jumpEqual, K: unix.SYS_BPF, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		t.Fatalf("seccomp: %v", e)
	}
}
