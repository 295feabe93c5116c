package doctor

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Node is where to look.
type Node struct {
	// Root is the host's root folder, which in a container is /proc/1/root.
	Root string

	NRISocket  string // as the plugin sees it
	StateDir   string
	NRIPlugins string // folder of plugins that the runtime launches, below Root
}

// CheckNode looks at kernel, privileges, runtime, state folder and neighbors.
func CheckNode(n Node) Findings {
	var f Findings
	n.kernel(&f)
	n.privileges(&f)
	n.socket(&f)
	n.state(&f)
	n.otherPlugins(&f)
	n.managers(&f)
	return f
}

func (n Node) kernel(f *Findings) {
	const check = "kernel"
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		f.add(check, Fail, "", "uname: %v", err)
		return
	}
	release := unix.ByteSliceToString(name.Release[:])
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err == nil {
		_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		unix.Close(fd)
	}
	if err != nil {
		f.add(check, Fail, "boot Linux 5.14 or newer", "Linux %s: SO_NETNS_COOKIE: %v", release, err)
		return
	}
	f.add(check, OK, "", "Linux %s has all that is needed", release)
}

func (n Node) privileges(f *Findings) {
	const check, advice = "privileges", "run as root; in a container privileged, as manifests/base/daemonset.yaml has it"
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		f.add(check, Fail, advice, "capget: %v", err)
		return
	}
	var lacks []string
	for name, bit := range map[string]uint{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE} {
		if data[bit/32].Effective&(1<<(bit%32)) == 0 {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		f.add(check, Fail, advice, "without %s", strings.Join(lacks, ", "))
		return
	}
	f.add(check, OK, "", "CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE")
}

// socket asks for nothing: who connects and says nothing is no plugin.
func (n Node) socket(f *Findings) {
	const check = "nri socket"
	conn, err := net.Dial("unix", n.NRISocket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(check, Fail, "start the runtime; containerd before 2.0 wants [plugins.\"io.containerd.nri.v1.nri\"] disable = false, CRI-O [crio.nri] enable_nri = true",
			"there is no %s", n.NRISocket)
	case errors.Is(err, syscall.ECONNREFUSED):
		f.add(check, Fail, "start the runtime", "nobody listens on %s", n.NRISocket)
	case err != nil:
		f.add(check, Fail, "run as root", "%v", err)
	default:
		conn.Close()
		f.add(check, OK, "", "the runtime listens on %s", n.NRISocket)
	}
}

func (n Node) state(f *Findings) {
	const check = "state folder"
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(n.StateDir, &fsinfo); err != nil {
		f.add(check, Warn, "it is made when the plugin starts", "%s: %v", n.StateDir, err)
		return
	}
	if fsinfo.Type != unix.TMPFS_MAGIC {
		f.add(check, Warn, "name one below /run with --state-dir: a journal that outlives a reboot is set aside, and disks are slow",
			"%s is not on a tmpfs", n.StateDir)
	} else {
		f.add(check, OK, "", "%s is on a tmpfs", n.StateDir)
	}
	shared, err := propagates(n.StateDir)
	switch {
	case err != nil:
		f.add("mount propagation", Fail, "", "%v", err)
	case !shared && n.Root != "/":
		f.add("mount propagation", Warn, "mount it with mountPropagation: Bidirectional: a pin that the host does not see ends with this container",
			"mounts below %s stay in this mount namespace", n.StateDir)
	default:
		f.add("mount propagation", OK, "", "pins are where they outlive the process")
	}
}

// propagates reports whether mounts below a folder are seen in other mount
// namespaces: whether the mount that it is on is shared (proc(5), mountinfo).
func propagates(dir string) (bool, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer file.Close()
	best, shared := "", false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 7 {
			continue
		}
		point := fields[4]
		if within(dir, point) && len(point) >= len(best) {
			best, shared = point, strings.HasPrefix(fields[6], "shared:")
		}
	}
	return shared, nil
}

func within(dir, point string) bool {
	return point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
}

// annotations are those that pods ask by, and that other plugins read, too.
func annotations() []string {
	return []string{"netdevices.noderesource.dev", "netdevice.noderesource.dev", "netdevices.nri.containerd.io"}
}

// otherPlugins looks at what the runtime launches. Two plugins that read the same
// annotation both move the device.
func (n Node) otherPlugins(f *Findings) {
	const check = "other plugins"
	files, _ := filepath.Glob(filepath.Join(n.Root, n.NRIPlugins, "*"))
	found := false
	for _, path := range files {
		if strings.HasSuffix(path, "-nri-netdev") {
			continue
		}
		if key := mentions(path); key != "" {
			found = true
			f.add(check, Fail, "remove it, or rename the annotation of its pods: both would move the same device",
				"%s reads the annotation %s, too", filepath.Base(path), key)
		}
	}
	if !found {
		f.add(check, OK, "", "no plugin in %s reads the same annotation", n.NRIPlugins)
	}
}

// mentions is the first of the annotations that a program has in it, "" for none.
func mentions(program string) string {
	const most = 200 << 20
	file, err := os.Open(program)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return ""
	}
	text := string(data)
	for _, key := range annotations() {
		if strings.Contains(text, key) {
			return key
		}
	}
	return ""
}

// managers looks for programs that configure whatever device appears.
func (n Node) managers(f *Findings) {
	for _, m := range []struct{ name, runs, want, ship string }{
		{"systemd-networkd", "run/systemd/netif", "etc/systemd/network/*nri-netdev*", "manifests/host/10-nri-netdev.network"},
		{"NetworkManager", "run/NetworkManager", "etc/NetworkManager/conf.d/*nri-netdev*", "manifests/host/nri-netdev-networkmanager.conf"},
	} {
		if _, err := os.Stat(filepath.Join(n.Root, m.runs)); err != nil {
			continue
		}
		if files, _ := filepath.Glob(filepath.Join(n.Root, m.want)); len(files) == 0 {
			f.add(m.name, Warn, "install "+m.ship+", if it does not leave devices alone that pods borrow",
				"it runs, and there is no file /%s", m.want)
			continue
		}
		f.add(m.name, OK, "", "it is told to leave devices alone")
	}
}
