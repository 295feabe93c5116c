package nstest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func netnsInode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestNewIsEmpty(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	want := "1: lo kind device mac none mtu 65536 txqlen 1000 group 0 <>\n"
	if diff := cmp.Diff(want, ns.Link(t, "lo")); diff != "" {
		t.Errorf("lo (-want +got):\n%s", diff)
	}
	if netnsInode(t, ns.Path()) == netnsInode(t, "/proc/self/ns/net") {
		t.Error("the namespace is the machine's own")
	}
}

func TestNamespaceGoesWithItsTest(t *testing.T) {
	var path string
	t.Run("", func(t *testing.T) { path = nstest.New(t).Path() })
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("lstat %s: %v, want no such file", path, err)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), path) {
		t.Errorf("%s is still mounted", path)
	}
}

func TestDoComesBack(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	var inside uint64
	ns.Do(t, func() { inside = netnsInode(t, "/proc/thread-self/ns/net") })
	if want := netnsInode(t, ns.Path()); inside != want {
		t.Errorf("Do ran in %d, want %d", inside, want)
	}
	if got, want := netnsInode(t, "/proc/thread-self/ns/net"), netnsInode(t, "/proc/self/ns/net"); got != want {
		t.Errorf("after Do in %d, want %d", got, want)
	}
}

func TestCommandRunsInside(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	out, err := ns.Command("readlink", "/proc/self/ns/net").Output()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(ns.Path(), &st); err != nil {
		t.Fatal(err)
	}
	host, _ := exec.Command("readlink", "/proc/self/ns/net").Output()
	if string(out) == string(host) {
		t.Errorf("ran in %s, the machine's own namespace", out)
	}
}

func TestTryIPTellsWhatIPSaid(t *testing.T) {
	t.Parallel()
	_, err := nstest.New(t).TryIP("link set nosuch up")
	if err == nil || !strings.Contains(err.Error(), `Cannot find device "nosuch"`) {
		t.Errorf("err %v, want ip's own words", err)
	}
}

func TestUserNS(t *testing.T) {
	t.Parallel()
	ns := nstest.NewUserNS(t)
	f, err := os.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	owner, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(owner)
	var st unix.Stat_t
	if err := unix.Fstat(owner, &st); err != nil {
		t.Fatal(err)
	}
	if st.Ino == netnsInode(t, "/proc/self/ns/user") {
		t.Error("the machine's own user namespace owns it")
	}
	ns.IP(t, "link set lo up")
	nstest.New(t).Veth(t, "host0", ns, "pod0")
	if ns.Link(t, "pod0") == "" {
		t.Error("no pod0 in the namespace")
	}
}

func TestAtIsTheSameNamespace(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	ns.IP(t, "link add br0 type bridge")
	if diff := cmp.Diff(ns.World(t), nstest.At(ns.Path()).World(t)); diff != "" {
		t.Errorf("by its path (-itself +path):\n%s", diff)
	}
}

func TestRemoveEndsTheNamespace(t *testing.T) {
	t.Parallel()
	host, pod := nstest.New(t), nstest.New(t)
	host.Veth(t, "host0", pod, "pod0")
	pod.Remove(t)
	if _, err := os.Lstat(pod.Path()); !os.IsNotExist(err) {
		t.Errorf("lstat: %v, want no such file", err)
	}
	pod.Remove(t) // twice does nothing
}
