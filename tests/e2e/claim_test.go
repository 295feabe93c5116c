package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// pools has eth1 to eth3 in a pool.
const pools = `pools: [{name: fast, devices: ["eth1", "eth2", "eth3"]}]
`

// driver asks the plugin as a DRA driver does.
type driver struct{ http *http.Client }

func (f *fixture) driver() driver {
	return driver{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", f.Path("/run/nri-netdev/control.sock"))
		},
	}}}
}

func (d driver) ask(ctx context.Context, method, verb string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://nri-netdev/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(string(text))
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (d driver) inventory(ctx context.Context) (i claim.Inventory, err error) {
	err = d.ask(ctx, http.MethodGet, "inventory", nil, &i)
	return i, err
}

func (d driver) claims(ctx context.Context) (s claim.Statuses, err error) {
	err = d.ask(ctx, http.MethodGet, "claims", nil, &s)
	return s, err
}

func (d driver) unprepare(ctx context.Context, uid string) error {
	return d.ask(ctx, http.MethodPost, "claims/unprepare", claim.Unprepare{UID: uid}, &struct{}{})
}

// prepare has a claim prepared for a pod, and returns the CDI devices.
func (f *fixture) prepare(t *testing.T, uid string, p node.Pod, device, fields string) []string {
	t.Helper()
	var prepared claim.Prepared
	err := f.driver().ask(t.Context(), http.MethodPost, "claims/prepare", claim.Claim{
		UID: uid, Namespace: "default", Name: "claim-" + uid,
		Pod: claim.Pod{UID: p.UID, Namespace: "default", Name: p.Name},
		Requests: []claim.Request{{Name: "nic", Pool: "node-1", Device: device, Parameters: []json.RawMessage{
			json.RawMessage(`{"apiVersion": "netdev.noderesource.dev/v1alpha1", "kind": "NetDevice", ` + fields + `}`),
		}}},
	}, &prepared)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range prepared.Devices {
		names = append(names, d.CDIDevice)
	}
	return names
}

// spec is the path of the CDI specification of a claim.
func (f *fixture) spec(uid string) string {
	return f.Path("/var/run/cdi/netdev.noderesource.dev-claim-" + uid + ".json")
}

func (f *fixture) hasSpec(uid string) bool {
	_, err := os.Stat(f.spec(uid))
	return err == nil
}

// unprepare lets go of claims, and checks that nothing is left of them.
func (f *fixture) unprepare(t *testing.T, uids ...string) {
	t.Helper()
	for _, uid := range uids {
		if err := f.driver().unprepare(t.Context(), uid); err != nil {
			t.Error(err)
		}
	}
	for _, folder := range []string{"/run/nri-netdev/claims", "/var/run/cdi"} {
		entries, err := os.ReadDir(f.Path(folder))
		if err != nil || len(entries) > 0 {
			t.Errorf("left in %s are %v, %v", folder, entries, err)
		}
	}
}

// A claim is prepared, and its pod runs: its device is in the pod, the container is told of
// it, and when the pod has ended the host is as before.
func TestClaim(t *testing.T) {
	t.Parallel()
	f := startNode(t, node.Options{})
	f.writeConfig(t, nodeConfig+pools)
	f.plugin = f.startPlugin(t)
	f.devices(t, 3)
	before := f.world(t)
	offers, err := f.driver().inventory(t.Context())
	if err != nil || len(offers.Devices) != 3 || offers.Devices[0].Name != "net-eth1" || offers.Devices[0].Kind != "veth" || offers.Devices[0].State != claim.Free {
		t.Fatalf("inventory: %+v, %v", offers, err)
	}
	p := node.Pod{Name: "a", UID: "uid-a"}
	cdi := f.prepare(t, "c-1", p, "net-eth1", `"newName": "net1", "mtu": 1400`)
	if f.hasSpec("c-1") {
		t.Error("the gate is open before the pod has its device")
	}
	s, _ := f.run(t, p)
	if !f.hasSpec("c-1") {
		t.Fatal("the gate is closed after the pod's start")
	}
	c, err := s.RunContainer(t.Context(), "main", cdi...)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := c.Network(t.Context())
	if err != nil || !strings.Contains(inside, "net1 mtu 1400 up") || !strings.Contains(inside, "10.1.1.1/24") {
		t.Errorf("the container sees\n%s%v", inside, err)
	}
	if env, err := c.Environment(t.Context()); err != nil || !slices.Contains(env, "NETDEV_CLAIM_NIC=net1") {
		t.Errorf("environment: %q, %v", env, err)
	}
	status, err := f.driver().claims(t.Context())
	if err != nil || len(status.Claims) != 1 || !status.Claims[0].Devices[0].Ready || status.Claims[0].Devices[0].Interface != "net1" {
		t.Errorf("status: %+v, %v", status, err)
	}
	// An annotation alone gets none of the pool, and a second pod of the claim no container.
	f.refused(t, pod("b", "- name: eth2"), `device "eth2" is of pool "fast", whose devices the cluster's scheduler gives away`)
	second, _ := f.run(t, node.Pod{Name: "c"})
	if _, err := second.RunContainer(t.Context(), "main", cdi...); err == nil || !strings.Contains(err.Error(), "claim default/claim-c-1 is for pod default/a") {
		t.Errorf("the second pod's container: %v", err)
	}
	f.end(t, second)
	if err := f.driver().unprepare(t.Context(), "c-1"); err == nil || !strings.Contains(err.Error(), "is not home yet") {
		t.Errorf("let go of while the pod has it: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if f.hasSpec("c-1") {
		t.Error("the gate is open after the pod's end")
	}
	f.end(t, s)
	f.unprepare(t, "c-1")
	f.asBefore(t, before)
}

// The plugin is killed between Prepare and the start of the pod: the sandbox is made without
// it, and no container that names the claim, until the plugin is back. Then the pod has its
// device.
func TestPluginKilledAfterPrepare(t *testing.T) {
	t.Parallel()
	f := startNode(t, node.Options{})
	f.writeConfig(t, nodeConfig+pools)
	f.plugin = f.startPlugin(t)
	f.devices(t, 1)
	before := f.world(t)
	p := node.Pod{Name: "a", UID: "uid-a"}
	cdi := f.prepare(t, "c-1", p, "net-eth1", `"newName": "net1"`)
	f.plugin.kill(t)
	s, ns := f.run(t, p)
	if _, err := s.RunContainer(t.Context(), "main", cdi...); err == nil || !strings.Contains(err.Error(), "unresolvable CDI devices") {
		t.Errorf("a container without its device: %v", err)
	}
	f.plugin = f.startPlugin(t)
	f.eventually(t, "device in the pod", func() bool { return f.hasSpec("c-1") })
	if got := ns.Link(t, "net1"); got == "" {
		t.Error("the gate is open, and the pod has no device")
	}
	c, err := s.RunContainer(t.Context(), "main", cdi...)
	if err != nil {
		t.Fatal(err)
	}
	if inside, err := c.Network(t.Context()); err != nil || !strings.Contains(inside, "net1 mtu 1500 up") {
		t.Errorf("the container sees\n%s%v", inside, err)
	}
	// It is killed while the pod runs, and the pod ends meanwhile.
	f.plugin.kill(t)
	f.end(t, s)
	f.plugin = f.startPlugin(t)
	f.eventually(t, "end of the claim", func() bool { return f.driver().unprepare(t.Context(), "c-1") == nil })
	f.unprepare(t)
	f.asBefore(t, before)
}

// The plugin is killed at any moment of the start and of the end of pods with claims: nothing
// is lost, nothing stays reserved, and no container ever runs without its device.
func TestClaimsAndKills(t *testing.T) {
	t.Parallel()
	const spread = 80 // ms, about what the start of a pod takes
	f := startNode(t, node.Options{})
	f.writeConfig(t, nodeConfig+pools)
	f.plugin = f.startPlugin(t)
	f.devices(t, 3)
	before := f.world(t)
	for i := range sample("NRI_NETDEV_CLAIMS", 4) {
		uid := fmt.Sprintf("c-%d", i)
		p := node.Pod{Name: fmt.Sprintf("pod-%d", i), UID: fmt.Sprintf("uid-%d", i)}
		cdi := f.prepare(t, uid, p, fmt.Sprintf("net-eth%d", 1+i%3), `"newName": "net1"`)
		var s *node.Sandbox
		var err error
		f.killWhile(t, time.Duration(i*37%spread)*time.Millisecond, func() { s, err = f.RunPod(t.Context(), p) })
		if err != nil { // the kubelet tries again, too
			t.Logf("sandbox %d: %v", i, err)
			s, _ = f.run(t, p)
		}
		var c *node.Container
		f.eventually(t, "container with its device", func() bool {
			c, err = s.RunContainer(t.Context(), "main", cdi...)
			return err == nil
		})
		if inside, err := c.Network(t.Context()); err != nil || !strings.Contains(inside, "net1 mtu 1500 up") {
			t.Errorf("container %d sees\n%s%v", i, inside, err)
		}
		f.killWhile(t, time.Duration(i*53%spread)*time.Millisecond, func() { f.end(t, s) })
		f.eventually(t, "end of claim "+uid, func() bool { return f.driver().unprepare(t.Context(), uid) == nil })
		f.unprepare(t)
	}
	f.asBefore(t, before)
}

// killWhile kills the plugin some time after work has begun, and then starts it again.
func (f *fixture) killWhile(t *testing.T, after time.Duration, work func()) {
	t.Helper()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(after)
		if err := f.plugin.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}()
	work()
	<-killed
	<-f.plugin.Done()
	f.plugin = f.startPlugin(t)
}
