package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A world is a folder with a config that is watched, in time that passes as
// soon as nobody has anything to do.
type world struct {
	t      *testing.T
	path   string
	reload chan os.Signal

	mu    sync.Mutex
	calls []string // since told last
}

// watchFile runs a test with a watcher of path, below a new folder. prepare
// makes what is there at the start, and returns what the caller loaded.
func watchFile(t *testing.T, path string, prepare func(*world) *NodeConfig, test func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: filepath.Join(t.TempDir(), path), reload: make(chan os.Signal)}
		current := prepare(w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, w.path, current, w.reload, w.call)
		}()
		test(w)
		cancel()
		<-done
	})
}

func (w *world) call(c *NodeConfig, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch problems, ok := errors.AsType[*Problems](err); {
	case errors.Is(err, fs.ErrNotExist):
		w.calls = append(w.calls, "vanished")
	case ok:
		w.calls = append(w.calls, strings.TrimPrefix(problems.Error(), w.path+": "))
	case err != nil:
		w.calls = append(w.calls, err.Error())
	default:
		w.calls = append(w.calls, string(c.OnReturn))
	}
}

// expect lets the time pass in which a change has to be seen, and compares the
// calls since the last time.
func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.calls); diff != "" {
		w.t.Errorf("%s: calls (-want +got):\n%s", what, diff)
	}
	w.calls = nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(text string) {
	w.t.Helper()
	w.must(os.WriteFile(w.path, []byte(text), 0o600))
}

const (
	restoring = minimalConfig + "onReturn: restore\n"
	downing   = minimalConfig + "onReturn: down\n"
	broken    = minimalConfig + "onReturn: up\n"

	brokenProblem = `onReturn: want "restore" or "down", not "up"`
)

// loaded is a start with a valid file.
func loaded(w *world) *NodeConfig {
	w.write(restoring)
	c, err := Load(w.path)
	w.must(err)
	return c
}

func TestWatch(t *testing.T) {
	watchFile(t, "config.yaml", loaded, func(w *world) {
		w.expect("at the start")

		w.write(downing)
		w.expect("a change", "down")
		w.write(downing + "# no change\n")
		w.expect("a comment")

		w.write(broken)
		w.expect("a mistake", brokenProblem)
		w.write(broken + "# still\n")
		w.expect("the same mistake")
		w.write(downing)
		w.expect("the mistake taken back", "down")

		w.must(os.Truncate(w.path, 0))
		w.expect("a truncated file", "empty: want apiVersion: netdev.noderesource.dev/v1alpha1 and kind: NodeConfig")
		w.must(os.Remove(w.path))
		w.expect("no file", "vanished")
		w.must(os.Mkdir(w.path, 0o700))
		w.expect("a folder", "read "+w.path+": is a directory")
		w.must(os.Remove(w.path))
		w.write(restoring)
		w.expect("a file again", "restore")

		w.must(os.WriteFile(w.path+".new", []byte(downing), 0o600))
		w.must(os.Rename(w.path+".new", w.path))
		w.expect("a file in its place", "down")
	})
}

// TestWatchHalfWritten: what a writer leaves for less than half a second is
// not seen, even if it happens to be valid.
func TestWatchHalfWritten(t *testing.T) {
	watchFile(t, "config.yaml", loaded, func(w *world) {
		for _, text := range []string{"", minimalConfig, broken, downing} {
			w.write(text)
			time.Sleep(pollInterval - time.Millisecond)
		}
		w.expect("written in pieces", "down")
	})
}

// TestWatchAppears: the file and its folder need not be there at the start.
func TestWatchAppears(t *testing.T) {
	absent := func(*world) *NodeConfig { return nil }
	watchFile(t, "nri-netdev/config.yaml", absent, func(w *world) {
		w.expect("at the start")
		w.must(os.Mkdir(filepath.Dir(w.path), 0o700))
		w.write(broken)
		w.expect("a mistake", brokenProblem)
		w.must(os.Remove(w.path))
		w.expect("no file again", "vanished")
		w.write(restoring)
		w.expect("a file", "restore")
	})
}

// TestWatchInvalid: a file that was not valid at the start is not reported again,
// and the first valid one is.
func TestWatchInvalid(t *testing.T) {
	invalid := func(w *world) *NodeConfig {
		w.write(broken)
		_, err := Load(w.path)
		return Invalid(err)
	}
	watchFile(t, "config.yaml", invalid, func(w *world) {
		w.expect("at the start")
		w.write(restoring)
		w.expect("corrected", "restore")
	})
	watchFile(t, "config.yaml", invalid, func(w *world) {
		w.must(os.Remove(w.path))
		w.expect("removed", "vanished")
		w.write(broken)
		w.expect("a mistake again", brokenProblem)
		w.write(restoring)
		w.expect("corrected", "restore")
	})
}

// TestWatchStale: a change between the caller's Load and Watch is seen.
func TestWatchStale(t *testing.T) {
	stale := func(w *world) *NodeConfig {
		c := loaded(w)
		w.write(downing)
		return c
	}
	watchFile(t, "config.yaml", stale, func(w *world) { w.expect("at the start", "down") })
	gone := func(w *world) *NodeConfig {
		c := loaded(w)
		w.must(os.Remove(w.path))
		return c
	}
	watchFile(t, "config.yaml", gone, func(w *world) { w.expect("at the start", "vanished") })
}

func TestWatchReload(t *testing.T) {
	watchFile(t, "config.yaml", loaded, func(w *world) {
		w.reload <- syscall.SIGHUP
		w.expect("no change", "restore")
		w.write(broken)
		w.reload <- syscall.SIGHUP
		w.reload <- syscall.SIGHUP
		w.expect("a mistake, asked for twice", brokenProblem, brokenProblem)
		w.write(downing)
		w.reload <- syscall.SIGHUP
		w.expect("a change", "down")
	})
}

// TestWatchConfigMap changes the file as the kubelet does: config.yaml is a
// symlink to ..data/config.yaml, and ..data one to a folder of each version,
// which is put in place by a rename.
func TestWatchConfigMap(t *testing.T) {
	publish := func(w *world, version, text string) {
		folder := filepath.Dir(w.path)
		w.must(os.Mkdir(filepath.Join(folder, version), 0o700))
		w.must(os.WriteFile(filepath.Join(folder, version, "config.yaml"), []byte(text), 0o600))
		w.must(os.Symlink(version, filepath.Join(folder, "..data_tmp")))
		w.must(os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
	}
	prepare := func(w *world) *NodeConfig {
		publish(w, "..1", restoring)
		w.must(os.Symlink("..data/config.yaml", w.path))
		c, err := Load(w.path)
		w.must(err)
		return c
	}
	watchFile(t, "config.yaml", prepare, func(w *world) {
		w.expect("at the start")
		publish(w, "..2", downing)
		w.must(os.RemoveAll(filepath.Join(filepath.Dir(w.path), "..1")))
		w.expect("a new version", "down")
		publish(w, "..3", broken)
		w.expect("a mistake", brokenProblem)
		w.must(os.Remove(filepath.Join(filepath.Dir(w.path), "..data")))
		w.expect("a symlink to nothing", "vanished")
		publish(w, "..4", restoring)
		w.expect("a version again", "restore")
	})
}
