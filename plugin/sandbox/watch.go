package sandbox

import (
	"log/slog"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// watch wakes the sweep when a pod with devices may have ended: the pause process
// ends (pidfd_open(2)), or the file of the network namespace is removed (inotify(7)).
// The sweep works without it, only later. While no pod has devices, nothing is watched.
// Only one goroutine may use a watch.
type watch struct {
	kernel Kernel
	log    *slog.Logger

	died    chan struct{}
	files   *fsnotify.Watcher // nil where there is no inotify
	folders map[string]bool   // watched
	paths   map[string]bool   // files whose removal matters
	pauses  map[string]func() // by sandbox; each ends the watch of a pause process
}

func newWatch(kernel Kernel, log *slog.Logger) *watch {
	w := &watch{
		kernel: kernel, log: log, died: make(chan struct{}, 1),
		folders: map[string]bool{}, paths: map[string]bool{}, pauses: map[string]func(){},
	}
	var err error
	if w.files, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("ends of pods that no hook tells are found a second later", "err", err)
	}
	return w
}

// events returns the events of the watched folders, also about files of other pods.
func (w *watch) events() <-chan fsnotify.Event {
	if w.files == nil {
		return nil
	}
	return w.files.Events
}

// overflows tells that events were lost.
func (w *watch) overflows() <-chan error {
	if w.files == nil {
		return nil
	}
	return w.files.Errors
}

// matters reports whether the event is the removal of a watched file.
func (w *watch) matters(e fsnotify.Event) bool { return e.Has(fsnotify.Remove) && w.paths[e.Name] }

// follow watches the pods of the records that have devices, and no others.
func (w *watch) follow(records []*journal.Record) {
	clear(w.paths)
	folders, sandboxes := map[string]bool{}, map[string]bool{}
	for _, r := range records {
		if r.State != journal.Attached || r.Manual() {
			continue
		}
		sandboxes[r.Sandbox] = true
		w.followPause(r)
		w.paths[filepath.Clean(r.Netns.Path)] = true
		folders[filepath.Dir(r.Netns.Path)] = true
	}
	for sandbox, stop := range w.pauses {
		if !sandboxes[sandbox] {
			stop()
			delete(w.pauses, sandbox)
		}
	}
	w.followFolders(folders)
}

func (w *watch) followPause(r *journal.Record) {
	if _, ok := w.pauses[r.Sandbox]; ok || r.Netns.Pause == 0 {
		return
	}
	stop, err := w.kernel.WhenEnded(r.Netns.Pause, w.now)
	if err != nil {
		w.log.Debug("the pause process is not watched", "sandbox", r.Sandbox, "err", err)
		stop = func() {}
	}
	w.pauses[r.Sandbox] = stop
}

func (w *watch) followFolders(folders map[string]bool) {
	if w.files == nil {
		return
	}
	for folder := range folders {
		if !w.folders[folder] {
			w.folders[folder] = true
			if err := w.files.Add(folder); err != nil {
				w.log.Debug("the folder of network namespaces is not watched", "folder", folder, "err", err)
			}
		}
	}
	for folder := range w.folders {
		if !folders[folder] {
			delete(w.folders, folder)
			_ = w.files.Remove(folder) // the watch of one that is gone has ended
		}
	}
}

// now wakes the sweep.
func (w *watch) now() {
	select {
	case w.died <- struct{}{}:
	default: // it will look anyway
	}
}

func (w *watch) close() {
	w.follow(nil)
	if w.files != nil {
		_ = w.files.Close() // nobody waits for its events any more
	}
}
