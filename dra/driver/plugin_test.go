package driver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// fakePlugin answers on a control socket as the plugin does.
type fakePlugin struct {
	folder string
	server *http.Server
	socket net.Listener

	mu        sync.Mutex
	changed   *sync.Cond
	inventory claim.Inventory
	statuses  claim.Statuses
	prepared  map[string]claim.Claim
	refusal   string // of Prepare and Unprepare
}

// newFakePlugin makes one with a folder of its own, which listens.
func newFakePlugin(t *testing.T) *fakePlugin {
	t.Helper()
	folder := shortFolder(t)
	p := &fakePlugin{folder: folder, prepared: map[string]claim.Claim{}}
	p.changed = sync.NewCond(&p.mu)
	p.inventory.Generation, p.statuses.Generation = 1, 1
	p.listen(t)
	t.Cleanup(p.goAway)
	return p
}

// shortFolder makes a folder for sockets, whose paths must be short.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "nd") //nolint:usetesting // a test's own is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func (p *fakePlugin) listen(t *testing.T) {
	t.Helper()
	socket := state.ControlSocket(p.folder)
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	p.socket = l
	mux := http.NewServeMux()
	mux.HandleFunc("GET /inventory", func(w http.ResponseWriter, r *http.Request) {
		p.await(r, func() uint64 { return p.inventory.Generation })
		reply(w, p, func() any { return p.inventory })
	})
	mux.HandleFunc("GET /claims", func(w http.ResponseWriter, r *http.Request) {
		p.await(r, func() uint64 { return p.statuses.Generation })
		reply(w, p, func() any { return p.statuses })
	})
	mux.HandleFunc("POST /claims/prepare", p.prepare)
	mux.HandleFunc("POST /claims/unprepare", p.unprepare)
	p.server = &http.Server{Handler: mux}
	go func(s *http.Server) { _ = s.Serve(l) }(p.server) // until it is closed
}

// goAway ends it, as a kill does: the socket stays, and nobody listens.
func (p *fakePlugin) goAway() {
	p.socket.Close() // by itself: the server may not have begun to serve it
	p.server.Close()
}

// await waits until a generation is not the one that the caller has, or until the caller goes.
func (p *fakePlugin) await(r *http.Request, generation func() uint64) {
	after, _ := strconv.ParseUint(r.FormValue("after"), 10, 64)
	stop := context.AfterFunc(r.Context(), p.changed.Broadcast)
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for generation() == after && r.Context().Err() == nil {
		p.changed.Wait()
	}
}

func reply(w http.ResponseWriter, p *fakePlugin, answer func() any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.NewEncoder(w).Encode(answer()) // the caller may have gone
}

// change changes what the plugin says.
func (p *fakePlugin) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.inventory.Generation++
	p.statuses.Generation++
	p.changed.Broadcast()
}

func (p *fakePlugin) prepare(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var c claim.Claim
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil || p.refusal != "" {
		http.Error(w, p.refusal, http.StatusUnprocessableEntity)
		return
	}
	p.prepared[c.UID] = c
	var answer claim.Prepared
	for _, r := range c.Requests {
		answer.Devices = append(answer.Devices, claim.PreparedDevice{
			Request: r.Name, Pool: r.Pool, Device: r.Device, CDIDevice: "netdev.noderesource.dev/claim=" + c.UID + "-" + r.Device,
		})
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *fakePlugin) unprepare(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var u claim.Unprepare
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil || p.refusal != "" {
		http.Error(w, p.refusal, http.StatusConflict)
		return
	}
	delete(p.prepared, u.UID)
	_ = json.NewEncoder(w).Encode(struct{}{})
}

// newDriver makes a driver that asks a plugin.
func newDriver(p *fakePlugin) *Driver {
	return New(Options{NodeName: "node"}, slog.New(slog.DiscardHandler), nil, control.NewClient(p.folder), NewMetrics())
}

// prepareOne has a driver prepare one claim.
func prepareOne(t *testing.T, d *Driver) kubeletplugin.PrepareResult {
	t.Helper()
	c := allocatedClaim()
	results, err := d.PrepareResourceClaims(t.Context(), []*resourceapi.ResourceClaim{c})
	if err != nil || len(results) != 1 {
		t.Fatalf("%v, %v", results, err)
	}
	return results[c.UID]
}

func TestPrepare(t *testing.T) {
	p := newFakePlugin(t)
	d := newDriver(p)
	got := prepareOne(t, d)
	if got.Err != nil || len(got.Devices) != 2 {
		t.Fatalf("%+v", got)
	}
	first := got.Devices[0]
	if first.Requests[0] != "nic/fast" || first.PoolName != "node" || first.DeviceName != "a" ||
		len(first.CDIDeviceIDs) != 1 || first.CDIDeviceIDs[0] != "netdev.noderesource.dev/claim=uid-c-a" {
		t.Errorf("%+v", first)
	}
	if p.prepared["uid-c"].Pod.Name != "p" {
		t.Errorf("the plugin was asked for %+v", p.prepared)
	}
	errs, err := d.UnprepareResourceClaims(t.Context(), []kubeletplugin.NamespacedObject{{UID: "uid-c"}})
	if problem, answered := errs["uid-c"]; err != nil || problem != nil || !answered || len(p.prepared) != 0 {
		t.Errorf("unprepare: %v, %v, left %v", errs, err, p.prepared)
	}
}

// What the plugin says is what the pod's events show, with the claim.
func TestRefused(t *testing.T) {
	p := newFakePlugin(t)
	d := newDriver(p)
	p.refusal = `device "eth7" is in use by pod a/b`
	if got := prepareOne(t, d); got.Err == nil || got.Err.Error() != `claim "c": device "eth7" is in use by pod a/b` {
		t.Errorf("prepare: %v", got.Err)
	}
	named := kubeletplugin.NamespacedObject{UID: "uid-c", NamespacedName: types.NamespacedName{Namespace: "ns", Name: "c"}}
	errs, err := d.UnprepareResourceClaims(t.Context(), []kubeletplugin.NamespacedObject{named})
	if err != nil || errs["uid-c"] == nil || errs["uid-c"].Error() != `claim "c": device "eth7" is in use by pod a/b` {
		t.Errorf("unprepare: %v, %v", errs, err)
	}
}

func TestPluginAway(t *testing.T) {
	p := newFakePlugin(t)
	d := newDriver(p)
	p.goAway()
	if got := prepareOne(t, d); got.Err == nil || !strings.Contains(got.Err.Error(), "the plugin nri-netdev of this node does not run") {
		t.Errorf("prepare: %v", got.Err)
	}
	p.listen(t)
	if got := prepareOne(t, d); got.Err != nil {
		t.Errorf("the plugin is back: %v", got.Err)
	}
}
