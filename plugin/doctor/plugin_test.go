package doctor

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// text is the findings, a line each.
func text(f Findings) string {
	var lines []string
	for _, one := range f {
		lines = append(lines, string(one.Level)+" "+one.Check+": "+one.Text)
	}
	return strings.Join(lines, "\n")
}

func TestCheckHostNetwork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		same bool
		err  error
		want string
	}{
		{true, nil, "ok host network: this is the network namespace of pid 1"},
		{false, nil, "fail host network: this is not the network namespace of pid 1"},
		{false, fs.ErrPermission, "fail host network: permission denied"},
	} {
		if got := text(CheckHostNetwork(tc.same, tc.err)); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestCheckNodeConfig(t *testing.T) {
	t.Parallel()
	broken := errors.New("c.yaml: not YAML")
	allowing := config.Default()
	allowing.Allow = []config.AllowRule{{Namespaces: []string{"a"}}}
	for _, tc := range []struct {
		config NodeConfig
		want   string
	}{
		{NodeConfig{Err: fs.ErrNotExist}, "warn node config: there is no c.yaml"},
		{NodeConfig{File: config.Default()}, "warn node config: c.yaml allows nothing"},
		{NodeConfig{File: allowing, Running: true}, "ok node config: c.yaml is valid, allow rules: 1"},
		{NodeConfig{Err: broken}, "fail node config: c.yaml: not YAML"},
		{NodeConfig{Err: broken, Running: true}, "fail node config: the running plugin keeps the last valid one: c.yaml: not YAML"},
		{
			NodeConfig{Err: broken, Running: true, Problem: "c.yaml: not YAML"},
			"fail node config: the running plugin allows nothing, and only returns what is away: c.yaml: not YAML",
		},
		{
			NodeConfig{File: allowing, Running: true, Problem: "d.yaml: empty"},
			"fail node config: c.yaml is valid, but the running plugin allows nothing: d.yaml: empty",
		},
		{
			NodeConfig{Err: fs.ErrNotExist, Running: true, Problem: "c.yaml: empty"},
			"fail node config: the running plugin allows nothing, and only returns what is away: file does not exist",
		},
	} {
		tc.config.Path = "c.yaml"
		if got := text(CheckNodeConfig(tc.config)); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestCheckPlugin(t *testing.T) {
	t.Parallel()
	runtime := func(wait string) control.Status {
		return control.Status{Runtime: &control.Runtime{Name: "containerd", Version: "v2", RequestTimeout: wait}}
	}
	for _, tc := range []struct {
		plugin Plugin
		want   string
	}{
		{Plugin{}, "warn plugin: it does not run"},
		{Plugin{Running: true}, "fail plugin: it is not registered with the runtime"},
		{Plugin{Running: true, Err: fs.ErrPermission}, "fail plugin: permission denied"},
		{Plugin{Running: true, Status: runtime("2s")}, "ok plugin: registered with containerd v2, which waits 2s for an answer"},
		{Plugin{Running: true, Status: runtime("1s")}, "warn plugin: registered with containerd v2, which waits 1s for an answer"},
	} {
		if got := text(CheckPlugin(tc.plugin)); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestCheckDevices(t *testing.T) {
	t.Parallel()
	now := time.Now()
	long := now.Add(-2 * time.Minute)
	p := Plugin{Now: now, Status: control.Status{Status: sandbox.Status{
		Attachments: []sandbox.Attachment{
			{Device: "eth1", State: sandbox.StateAttached, Since: long},
			{Device: "eth2", State: sandbox.StateAttaching, Since: now},
			{Device: "eth3", State: sandbox.StateReturning, Since: now, Problem: "busy"},
			{Device: "eth4", State: sandbox.StateReturning, Since: long},
			{Device: "eth5", State: sandbox.StateMisnamed, Problem: "taken"},
			{Device: "eth6", State: sandbox.StateQuarantined, Problem: "XDP"},
			{Device: "eth7", State: sandbox.StateLost, Problem: "deleted"},
		},
		Altered: []sandbox.Altered{{Device: "eth8", Pod: "default/a"}},
		Missed:  []sandbox.Missed{{Pod: "default/b"}},
	}}}
	const want = `warn plugin: it does not run
warn device eth3: returning: busy
warn device eth4: returning
warn device eth5: misnamed: taken
warn device eth6: quarantined: XDP
warn device eth7: lost: deleted
warn device eth8: not as it was before default/a: 0 differences
warn pod default/b: runs without the devices that it asks for`
	if got := text(CheckPlugin(p)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
