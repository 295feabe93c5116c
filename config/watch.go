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

// Watch calls onChange within 2 s with each new config at path, and with an error when
// the file becomes invalid or vanishes; the caller then keeps its config. Watch reports
// each problem once, and when the problem is over, the config, even an unchanged one. It
// returns when ctx ends.
//
// current is the config that the caller has loaded: nil if there was no file, Invalid if
// the file was not valid. The problem of an Invalid counts as reported. After a signal on
// reload (SIGHUP, by custom; nil for never) Watch reads the file at once and calls
// onChange in any case.
//
// Watch reads the file twice a second, since inotify misses changes: it watches inodes,
// while a ConfigMap changes by the symlink "..data" beside the file; the folder may not
// exist yet; and a busy node runs out of inotify instances
// (fs.inotify.max_user_instances). A change counts when two reads in a row see it: a file
// that is half written must not.
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

// watcher remembers the last reading of the file, and what it reported.
type watcher struct {
	path     string
	onChange func(*NodeConfig, error)

	config  *NodeConfig // reported last; nil: none yet
	problem string      // reported after config; "" for none
	last    *reading    // of the last poll
	settled bool        // report was called for last
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

// report calls onChange if the reading says something new, or in any case with always.
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
