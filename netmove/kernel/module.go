package kernel

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// modules knows which modules are part of the kernel itself.
type modules struct {
	once    sync.Once
	none    bool // the kernel loads no modules: asking it for something loads nothing
	builtIn map[string]bool
}

// has reports whether the module is loaded or built in. Many requests load the one that
// answers them, which is not ours to do: what needs a module that is not there, the host has
// none of. A kernel that does not say what is built in is asked only about what is loaded.
func (ns *Namespace) has(module string) (bool, error) {
	if loaded, err := ns.loaded(module); loaded || err != nil {
		return loaded, err
	}
	m := &ns.modules
	m.once.Do(func() { ns.readBuiltIn(m) })
	return m.none || m.builtIn[module], nil
}

// loaded reports whether the module is loaded.
func (ns *Namespace) loaded(module string) (bool, error) {
	root, err := ns.sysfs.open()
	if err != nil {
		return false, err
	}
	return unix.Faccessat(root, path.Join("module", module), unix.F_OK, 0) == nil, nil
}

// readBuiltIn reads what does not change while the kernel runs. The plugin's container has no
// modules of its own, and process 1 is the host's.
func (ns *Namespace) readBuiltIn(m *modules) {
	defer ns.kernel.watch("reading what is built into the kernel")()
	if _, err := os.Stat("/proc/modules"); errors.Is(err, os.ErrNotExist) {
		m.none = true
		return
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return
	}
	m.builtIn = map[string]bool{}
	list := path.Join("/lib/modules", unix.ByteSliceToString(name.Release[:]), "modules.builtin")
	for _, root := range []string{"/proc/1/root", "/"} {
		data, err := os.ReadFile(path.Join(root, list))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			file := strings.TrimSuffix(path.Base(lines.Text()), ".ko")
			m.builtIn[strings.ReplaceAll(file, "-", "_")] = true
		}
		return
	}
}
