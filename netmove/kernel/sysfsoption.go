package kernel

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// sysfsPrefix begins the names of options that are files of the device in sysfs, and in no
// other place: how it is polled, and which CPUs work for which of its queues.
const sysfsPrefix = "sysfs."

// sysfsFiles are the files of the device. Those that netlink tells as well are not here, nor
// are those that report, or tune themselves.
func sysfsFiles() []string {
	return []string{"napi_defer_hard_irqs", "gro_flush_timeout", "threaded", "power/control"}
}

// queueFiles are the files of each queue of a direction: "rx-0", "rx-1" and so on. The limit
// of byte_queue_limits tunes itself.
func queueFiles() []queueFile {
	return []queueFile{
		{"rx", []string{"rps_cpus", "rps_flow_cnt"}},
		{"tx", []string{
			"xps_cpus", "xps_rxqs", "tx_maxrate", "byte_queue_limits/limit_max", "byte_queue_limits/limit_min",
			"byte_queue_limits/hold_time", "byte_queue_limits/stall_thrs",
		}},
	}
}

type queueFile struct {
	direction string
	names     []string
}

// sysfsOptions reads the options that are files. One of queues is for all of a direction,
// "sysfs.rx.rps_cpus": a line for each queue, or one alone if all are the same.
func (ns *Namespace) sysfsOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	dir, err := ns.folder(dev)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	defer ns.kernel.watch("reading files in sysfs")()
	var l link
	for _, file := range sysfsFiles() {
		value, ok, err := readValue(int(dir.Fd()), file)
		if err != nil {
			return nil, fmt.Errorf("%s of %q: %w", file, dev.Name, err)
		}
		if ok {
			l.addOption(sysfsPrefix+file, []byte(value))
		}
	}
	for _, q := range queueFiles() {
		for _, file := range q.names {
			values, err := readQueues(dir, q.direction, file)
			if err != nil {
				return nil, fmt.Errorf("%s of queues of %q: %w", file, dev.Name, err)
			}
			if len(values) > 0 {
				l.addOption(sysfsPrefix+q.direction+"."+file, joined(values))
			}
		}
	}
	return l.Options, nil
}

// folder opens the device's folder in sysfs, also if it has another name by now.
func (ns *Namespace) folder(dev netmove.Snapshot) (*os.File, error) {
	dir, err := ns.sysfs.device(dev.Name)
	if err == nil {
		if n, err := inode(dir); err == nil && n == dev.Identity.Inode {
			return dir, nil
		}
		dir.Close()
	}
	err = undisturbed(func() error {
		l, err := ns.linkByIndex(dev.Identity.Index)
		if err == nil {
			dir, err = ns.identifyIn(&l)
		}
		return err
	})
	return dir, err
}

// readQueues reads a file of every queue; nothing if they have no such file.
func readQueues(dir *os.File, direction, file string) (values []string, err error) {
	for queue := 0; ; queue++ {
		value, ok, err := readValue(int(dir.Fd()), queuePath(direction, queue, file))
		if !ok || err != nil {
			return values, err
		}
		values = append(values, value)
	}
}

func queuePath(direction string, queue int, file string) string {
	return path.Join("queues", direction+"-"+strconv.Itoa(queue), file)
}

func joined(values []string) []byte {
	if !slices.ContainsFunc(values, func(v string) bool { return v != values[0] }) {
		values = values[:1]
	}
	return []byte(strings.Join(values, "\n"))
}

// setSysfs sets an option by its name without the prefix: one file, or one of every queue
// that has another value.
func (ns *Namespace) setSysfs(index int, name string, value []byte) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	return ns.do(func() error {
		root, err := openSysfs(0)
		if err != nil {
			return err
		}
		defer root.Close()
		dir, err := deviceIn(int(root.Fd()), l.Name)
		if err != nil {
			return err
		}
		defer dir.Close()
		if is, err := ifindex(dir); err != nil || is != index {
			return errors.Join(err, errRaced)
		}
		if slices.Contains(sysfsFiles(), name) {
			return writeValue(dir, name, string(value))
		}
		return setQueues(dir, name, strings.Split(string(value), "\n"))
	})
}

// setQueues writes a file of the queues.
func setQueues(dir *os.File, name string, values []string) error {
	direction, file, _ := strings.Cut(name, ".")
	if !slices.ContainsFunc(queueFiles(), func(q queueFile) bool { return q.direction == direction && slices.Contains(q.names, file) }) {
		return fmt.Errorf("no option %q", sysfsPrefix+name)
	}
	has, err := readQueues(dir, direction, file)
	for queue, value := range has {
		want := values[min(queue, len(values)-1)]
		if value != want {
			err = errors.Join(err, writeValue(dir, queuePath(direction, queue, file), want))
		}
	}
	return err
}

func writeValue(dir *os.File, file, value string) error {
	fd, err := unix.Openat(int(dir.Fd()), file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, err = unix.Write(fd, []byte(value))
	return errors.Join(err, unix.Close(fd))
}
