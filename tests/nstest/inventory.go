package nstest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// inventory names everything that this process can leave behind, a phrase
// for each thing. What cannot be read is not there.
func inventory() map[string]bool {
	have := map[string]bool{}
	for _, list := range []func() []string{mounts, descriptors, namedNamespaces, machineLinks, children, files} {
		for _, thing := range list() {
			have[thing] = true
		}
	}
	return have
}

func added(before, after map[string]bool) []string {
	var more []string
	for thing := range after {
		if !before[thing] {
			more = append(more, thing)
		}
	}
	slices.Sort(more)
	return more
}

// files are those of the machine that programs make without being asked.
func files() []string {
	var found []string
	for _, pattern := range []string{"/etc/*", "/opt/*", "/var/lib/*", "/var/log/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			panic(err) // ErrBadPattern is all it knows
		}
		for _, path := range paths {
			found = append(found, "file "+path)
		}
	}
	return found
}

func mounts() []string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var found []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 36 35 98:0 /root /mount/point options … - fstype source options
		fields := strings.Fields(lines.Text())
		found = append(found, fmt.Sprintf("mount %s (%s of %s)", fields[4], fields[3], fields[2]))
	}
	return found
}

func descriptors() []string {
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil { // the descriptor of dir itself
			continue
		}
		if target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue // the Go runtime opens one of each when it first polls
		}
		found = append(found, fmt.Sprintf("descriptor %s → %s", entry.Name(), target))
	}
	return found
}

func namedNamespaces() []string {
	entries, _ := os.ReadDir("/run/netns")
	var found []string
	for _, entry := range entries {
		found = append(found, "/run/netns/"+entry.Name())
	}
	return found
}

func machineLinks() []string {
	links, _ := net.Interfaces()
	var found []string
	for _, link := range links {
		found = append(found, "network device "+link.Name)
	}
	return found
}

func children() []string {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []string
	for _, path := range stats {
		stat, _ := os.ReadFile(path)
		// pid (any name) state ppid …
		end := strings.LastIndexByte(string(stat), ')')
		if end < 0 {
			continue
		}
		fields := strings.Fields(string(stat[end+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, "process "+string(stat[:end+1]))
		}
	}
	return found
}
