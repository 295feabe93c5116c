package doctor

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// levels are those of the findings by what was looked at.
func levels(f Findings) map[string]Level {
	m := map[string]Level{}
	for _, one := range f {
		m[one.Check] = one.Level
	}
	return m
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := Node{Root: dir, NRISocket: filepath.Join(dir, "nri.sock"), StateDir: dir, NRIPlugins: "/opt/nri/plugins"}
	write(t, filepath.Join(dir, "opt/nri/plugins/10-nri-netdev"), annotations()[0]) // this one
	write(t, filepath.Join(dir, "opt/nri/plugins/20-other"), "nothing")
	if got := levels(CheckNode(n)); got["nri socket"] != Fail || got["other plugins"] != OK || got["kernel"] != OK {
		t.Errorf("findings: %v", got)
	}
	write(t, filepath.Join(dir, "opt/nri/plugins/30-device"), "x"+annotations()[2]+"y")
	write(t, filepath.Join(dir, "run/systemd/netif/state"), "")
	write(t, filepath.Join(dir, "run/NetworkManager/state"), "")
	write(t, filepath.Join(dir, "etc/NetworkManager/conf.d/nri-netdev-networkmanager.conf"), "")
	l, err := net.Listen("unix", n.NRISocket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := CheckNode(n)
	got := levels(f)
	for check, want := range map[string]Level{"nri socket": OK, "other plugins": Fail, "systemd-networkd": Warn, "NetworkManager": OK} {
		if got[check] != want {
			t.Errorf("%s is %q, want %q", check, got[check], want)
		}
	}
	if !f.Failed() {
		t.Error("another plugin reads the annotation, and nothing is wrong")
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dir, point string
		want       bool
	}{
		{"/run/nri-netdev", "/", true},
		{"/run/nri-netdev", "/run", true},
		{"/run/nri-netdev", "/run/nri", false},
		{"/run/nri-netdev", "/run/nri-netdev", true},
	} {
		if got := within(tc.dir, tc.point); got != tc.want {
			t.Errorf("%s within %s: %v", tc.dir, tc.point, got)
		}
	}
}
