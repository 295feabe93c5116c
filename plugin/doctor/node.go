package doctor

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

// Node says where to look.
type Node struct {
	// Root is the host's root folder, which in a container is /proc/1/root.
	Root string

	NRISocket  string // as the plugin sees it
	StateDir   string
	NRIPlugins string // folder of plugins that the runtime launches, below Root

	Protect []string // the devices that the node config protects
}

// CheckNode looks at kernel, privileges, runtime, state folder and other programs.
func CheckNode(n Node) Findings {
	var f notes
	n.kernel(&f)
	n.privileges(&f)
	n.socket(&f)
	n.state(&f)
	n.otherPlugins(&f)
	n.managers(&f)
	n.uplink(&f)
	return f.Findings
}

func (n Node) kernel(f *notes) {
	const check = "kernel"
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		f.add(check, Fail, "", "%v", err)
		return
	}
	linux := "Linux " + strings.TrimSpace(string(release))
	ns, err := kernel.Linux{}.OpenOwn()
	if err == nil {
		err = ns.Close()
	}
	switch {
	case errors.Is(err, kernel.ErrTooOld):
		f.add(check, Fail, "boot a newer one", "%s: %v", linux, err)
	case err != nil:
		f.add(check, Fail, "run as root", "%s: %v", linux, err)
	default:
		f.add(check, OK, "", "%s has all that is needed", linux)
	}
}

// capabilities returns the needed capabilities with their numbers (linux/capability.h).
func capabilities() map[string]uint {
	return map[string]uint{"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
}

func (n Node) privileges(f *notes) {
	const check, advice = "privileges", "run as root; in a container privileged, as manifests/base/daemonset.yaml has it"
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.add(check, Fail, "", "%v", err)
		return
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	effective, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		f.add(check, Fail, "", "capabilities in /proc/self/status: %v", err)
		return
	}
	var has, lacks []string
	for _, name := range slices.Sorted(maps.Keys(capabilities())) {
		if effective&(1<<capabilities()[name]) == 0 {
			lacks = append(lacks, name)
		} else {
			has = append(has, name)
		}
	}
	if len(lacks) > 0 {
		f.add(check, Fail, advice, "without %s", strings.Join(lacks, ", "))
		return
	}
	f.add(check, OK, "", "%s", strings.Join(has, ", "))
}

// socket connects and says nothing, so the runtime does not take it for a plugin.
func (n Node) socket(f *notes) {
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
		_ = conn.Close() // nothing was said
		f.add(check, OK, "", "the runtime listens on %s", n.NRISocket)
	}
}

// tmpfsMagic is the type of a tmpfs (TMPFS_MAGIC, statfs(2)).
const tmpfsMagic = 0x01021994

func (n Node) state(f *notes) {
	const check = "state folder"
	var fsinfo syscall.Statfs_t
	if err := syscall.Statfs(n.StateDir, &fsinfo); err != nil {
		f.add(check, Warn, "it is made when the plugin starts", "%s: %v", n.StateDir, err)
		return
	}
	if fsinfo.Type != tmpfsMagic {
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
		f.add("mount propagation", OK, "", "pins outlive the process")
	}
}

// propagates reports whether other mount namespaces see mounts below the folder, which
// needs a shared mount (proc(5), mountinfo).
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

// annotations returns the keys that pods ask by. Other plugins read them, too.
func annotations() []string {
	return []string{"netdevices.noderesource.dev", "netdevice.noderesource.dev", "netdevices.nri.containerd.io"}
}

// otherPlugins looks at the plugins that the runtime launches. If one of them reads the
// same annotation, both move the device.
func (n Node) otherPlugins(f *notes) {
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

// mentions returns the first of the annotations that the program contains, "" for none.
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
func (n Node) managers(f *notes) {
	for _, m := range []struct{ name, runs, want, ship string }{
		{"systemd-networkd", "run/systemd/netif", "etc/systemd/network/*nri-netdev*", "manifests/host/10-nri-netdev.network"},
		{"NetworkManager", "run/NetworkManager", "etc/NetworkManager/conf.d/*nri-netdev*", "manifests/host/nri-netdev-networkmanager.conf"},
	} {
		if _, err := os.Stat(filepath.Join(n.Root, m.runs)); err != nil {
			continue
		}
		if files, _ := filepath.Glob(filepath.Join(n.Root, m.want)); len(files) == 0 {
			f.add(m.name, Warn, "install "+m.ship+", unless it leaves alone the devices that pods borrow",
				"it runs, and there is no file /%s", m.want)
			continue
		}
		f.add(m.name, OK, "", "it is told to leave devices alone")
	}
}
