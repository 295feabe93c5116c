package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"time"
)

// pollInterval lets a change be read twice, and be reported, within 2 s.
const pollInterval = 500 * time.Millisecond

// Watch calls onChange with every new config that appears at path, within 2 s,
// and with an error when the file becomes invalid or vanishes; the caller then
// keeps the config it has. Each problem is reported once, and its end by the
// config, though that may be the one from before. Watch returns when ctx ends.
//
// current is what the caller loaded from path before: nil if there was no file,
// Invalid with Load's error if it was not valid, which counts as reported. A signal on reload (SIGHUP, by custom; nil for never) has the file
// read at once, and onChange called whatever is found.
//
// The file is read twice a second, since nothing simpler sees every change:
// inotify watches inodes, while a ConfigMap changes by the symlink "..data"
// beside the file, and a file may appear in a folder that is not there yet;
// and a busy node does run out of inotify instances
// (fs.inotify.max_user_instances). A change is taken when two reads in a row
// see it, so that a file in the middle of being written is not.
func Watch(ctx context.Context, path string, current *NodeConfig, reload <-chan os.Signal, onChange func(*NodeConfig, error)) {
	w := newWatcher(path, current, onChange)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			w.reload()
		case <-tick.C:
			w.poll()
		}
	}
}

// watcher remembers what the file was, to tell what is new.
type watcher struct {
	path     string
	onChange func(*NodeConfig, error)

	config  *NodeConfig // last one reported; nil: none yet
	problem string      // reported since; "" for none
	last    *reading    // of the last poll
	settled bool        // last was reported, or was nothing new
}

func newWatcher(path string, current *NodeConfig, onChange func(*NodeConfig, error)) *watcher {
	w := &watcher{path: path, onChange: onChange}
	if current != nil && current.Problem != nil {
		w.problem = current.Problem.Error()
	} else {
		w.config = current
	}
	return w
}

// reading is what a file holds, or why it cannot be read.
type reading struct {
	text string
	err  error
}

func (r reading) same(other reading) bool {
	return r.text == other.text && errorText(r.err) == errorText(other.err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r reading) parse(path string) (*NodeConfig, error) {
	if r.err != nil {
		return nil, r.err
	}
	return parseFile(path, []byte(r.text))
}

func (w *watcher) read() reading {
	text, err := readFile(w.path)
	return reading{string(text), err}
}

// poll reports a change that the last two readings agree on.
func (w *watcher) poll() {
	now := w.read()
	if w.last == nil || !now.same(*w.last) {
		w.last, w.settled = &now, false
		return
	}
	if !w.settled {
		w.settled = true
		w.report(now, false)
	}
}

func (w *watcher) reload() {
	now := w.read()
	w.last, w.settled = &now, true
	w.report(now, true)
}

// report calls onChange if there is something new, or always.
func (w *watcher) report(now reading, always bool) {
	if !always && w.config == nil && w.problem == "" && errors.Is(now.err, fs.ErrNotExist) {
		return // no file at the start, and none yet
	}
	c, err := now.parse(w.path)
	switch {
	case err != nil && (always || err.Error() != w.problem):
		w.problem = err.Error()
		w.onChange(nil, err)
	case err == nil && (always || w.problem != "" || !reflect.DeepEqual(c, w.config)):
		w.config, w.problem = c, ""
		w.onChange(c, nil)
	}
}
