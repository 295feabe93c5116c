package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// plugin is a Plugin that has nothing.
type plugin struct{}

func (plugin) Status() Status {
	return Status{Status: sandbox.Status{Missed: []sandbox.Missed{{Pod: "default/a"}}}}
}
func (plugin) ConfigProblem() error { return errors.New("no config") }
func (plugin) Move(context.Context, sandbox.Move, string) (string, error) {
	return "", errors.New("cannot move")
}

func (plugin) Return(s sandbox.Selection) (sandbox.Returned, error) {
	return sandbox.Returned{Devices: s.Devices}, nil
}

func (plugin) Inventory(_ context.Context, after uint64) (claim.Inventory, error) {
	return claim.Inventory{Generation: after + 1, Devices: []claim.Device{{Name: "net-eth1", State: claim.Free}}}, nil
}

func (plugin) Prepare(c claim.Claim) (claim.Prepared, error) {
	if c.UID == "in-use" {
		return claim.Prepared{}, fmt.Errorf("claim: %w", &journal.InUseError{Device: "eth1", Holder: "pod a/b"})
	}
	if c.UID == "" {
		return claim.Prepared{}, errors.New("no UID")
	}
	return claim.Prepared{Devices: []claim.PreparedDevice{{Request: c.Requests[0].Name}}}, nil
}

func (plugin) Unprepare(uid string) error {
	if uid == "away" {
		return &journal.AwayError{Device: "eth1", Holder: "pod a/b"}
	}
	return nil
}

func (plugin) Claims(_ context.Context, after uint64) (claim.Statuses, error) {
	return claim.Statuses{Generation: after + 1, Claims: []claim.Status{{UID: "c-1"}}}, nil
}

// serve serves a state folder, until the test ends.
func serve(t *testing.T, folder *state.Folder) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, slog.New(slog.DiscardHandler), folder, plugin{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// answered waits until an operator is answered.
func answered(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s, err := NewClient(path).Status(t.Context())
		if err == nil && len(s.Missed) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no answer: %v", err)
		}
	}
}

func lockedFolder(t *testing.T) *state.Folder {
	t.Helper()
	folder, err := state.TryLock(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// Every verb reaches the plugin, and its words come back.
func TestVerbs(t *testing.T) {
	folder := lockedFolder(t)
	serve(t, folder)
	answered(t, folder.Path())
	c := NewClient(folder.Path())
	if got, err := c.Config(t.Context()); err != nil || got.Problem != "no config" {
		t.Errorf("config: %+v, %v", got, err)
	}
	if got, err := c.Return(t.Context(), sandbox.Selection{Devices: []string{"eth1"}}); err != nil || len(got.Devices) != 1 {
		t.Errorf("return: %+v, %v", got, err)
	}
	if _, err := c.Move(t.Context(), sandbox.Move{}, os.Stdin); err == nil || err.Error() != "cannot move" {
		t.Errorf("move: %v", err)
	}
	if got, err := c.Inventory(t.Context(), 7); err != nil || got.Generation != 8 || len(got.Devices) != 1 {
		t.Errorf("inventory: %+v, %v", got, err)
	}
	if got, err := c.Claims(t.Context(), 7); err != nil || got.Generation != 8 || len(got.Claims) != 1 {
		t.Errorf("claims: %+v, %v", got, err)
	}
	asked := claim.Claim{UID: "c-1", Requests: []claim.Request{{Name: "nic"}}}
	if got, err := c.Prepare(t.Context(), asked); err != nil || len(got.Devices) != 1 || got.Devices[0].Request != "nic" {
		t.Errorf("prepare: %+v, %v", got, err)
	}
	if err := c.Unprepare(t.Context(), "c-1"); err != nil {
		t.Errorf("unprepare: %v", err)
	}
	if err := c.Unprepare(t.Context(), "away"); err == nil || err.Error() != `device "eth1" is not home yet: pod a/b has it` {
		t.Errorf("unprepare: %v", err)
	}
	if _, err := NewClient(t.TempDir()).Status(t.Context()); !NotRunning(err) {
		t.Errorf("nobody listens: %v", err)
	}
}

// Socket, or folder, are removed while operators are served: both are made anew.
func TestRemoved(t *testing.T) {
	folder := lockedFolder(t)
	serve(t, folder)
	answered(t, folder.Path())
	for _, path := range []string{state.ControlSocket(folder.Path()), folder.Path()} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		answered(t, folder.Path())
	}
	if !folder.Held() {
		t.Error("the folder is not locked")
	}
}

// Something that cannot be removed is where the socket belongs, until it goes.
func TestSocketInTheWay(t *testing.T) {
	folder := lockedFolder(t)
	inTheWay := filepath.Join(state.ControlSocket(folder.Path()), "full")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, folder)
	if _, err := NewClient(folder.Path()).Status(t.Context()); err == nil {
		t.Fatal("who answers?")
	}
	if err := os.Rename(filepath.Dir(inTheWay), filepath.Join(folder.Path(), "away")); err != nil {
		t.Fatal(err)
	}
	answered(t, folder.Path())
}

// The status of an answer tells what to try again.
func TestCodes(t *testing.T) {
	h := Handler(plugin{}, slog.New(slog.DiscardHandler))
	for _, tc := range []struct {
		method, path, body string
		code               int
		text               string
	}{
		{"GET", "/inventory", "", 200, `"generation":1`},
		{"GET", "/inventory?after=x", "", 422, "after: "},
		{"POST", "/claims/prepare", `{"uid": "in-use"}`, 409, `claim: device "eth1" is in use by pod a/b`},
		{"POST", "/claims/prepare", `{}`, 422, "no UID"},
		{"POST", "/claims/prepare", `{"uid": 7}`, 422, "cannot unmarshal"},
		{"POST", "/claims/prepare", `{"uid": "` + strings.Repeat("x", maxQuestion) + `"}`, 422, "too large"},
		{"POST", "/claims/unprepare", `{"uid": "away"}`, 409, "is not home yet"},
		{"POST", "/claims/unprepare", `{"uid": "c-1"}`, 200, "{}"},
		{"PUT", "/claims/prepare", `{}`, 405, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		text, err := io.ReadAll(w.Body)
		if err != nil || w.Code != tc.code || !strings.Contains(string(text), tc.text) {
			t.Errorf("%s %s: %d %s, %v; want %d %s", tc.method, tc.path, w.Code, text, err, tc.code, tc.text)
		}
	}
}
