package plugin

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

// probe is the status of a probe's answer, and its text.
func (n *node) probe(path string) (status int, text string) {
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// The process is ready once it is registered, and nothing is left to recover.
func TestProbes(t *testing.T) {
	n := newNode(t, allowAll)
	near, far := net.Pipe()
	defer far.Close()
	c := &connection{Plugin: n.Plugin, socket: newSocket(near)}
	defer c.socket.lose()
	for _, tc := range []struct {
		path   string
		happen func()
		status int
		text   string
	}{
		{"/healthz", func() {}, 200, "ok"},
		{"/readyz", func() {}, 503, "not registered with the runtime"},
		{"/readyz", func() { c.synced.Store(true); n.registered.Store(c) }, 503, "recovering what the process before this one left"},
		{"/readyz", n.sandboxes.Recover, 200, "ok"},
	} {
		tc.happen()
		if status, text := n.probe(tc.path); status != tc.status || text != tc.text {
			t.Errorf("%s: %d %q, want %d %q", tc.path, status, text, tc.status, tc.text)
		}
	}
}
