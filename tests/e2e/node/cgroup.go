package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupPrefix = "nri-netdev-e2e-"
)

// newCgroupName names the cgroup that holds those of all pods of a node. It
// tells whose it is, for removeStaleCgroups.
func newCgroupName() string {
	return fmt.Sprintf("%s%d-%s", cgroupPrefix, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

// cgroupDirs are the folders of a cgroup, or of those that match: one in
// cgroup v2, one in each hierarchy in v1.
func cgroupDirs(pattern string) []string {
	unified, _ := filepath.Glob(filepath.Join(cgroupRoot, pattern))
	v1, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", pattern))
	return append(unified, v1...)
}

// removeCgroup removes a cgroup whose processes have ended.
func removeCgroup(name string) error {
	var errs []error
	for _, dir := range cgroupDirs(name) {
		errs = append(errs, removeCgroupDir(dir))
	}
	return errors.Join(errs...)
}

func removeCgroupDir(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	slices.Reverse(dirs) // children first
	for _, dir := range dirs {
		err = errors.Join(err, rmdir(dir))
	}
	return err
}

// rmdir waits for tasks that are dead but not yet gone from the cgroup.
func rmdir(dir string) error {
	const patience, pause = time.Minute, 5 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		if err := unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return fmt.Errorf("rmdir %s: %w", dir, unix.EBUSY)
}

// removeStaleCgroups removes what nodes of processes that are gone have left.
func removeStaleCgroups() {
	for _, dir := range cgroupDirs(cgroupPrefix + "*") {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), cgroupPrefix+"%d-", &pid); err != nil {
			continue
		}
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = removeCgroupDir(dir) // somebody else may be at it too
		}
	}
}
