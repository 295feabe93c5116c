package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// ControlSocket is where the running plugin listens for the commands status,
// move and return. The state folder is root's alone.
func ControlSocket(state string) string { return filepath.Join(state, "control.sock") }

// NetnsFD is the header with the number of a descriptor of the caller's, which
// is open on the namespace that a move goes to. A path could mean something else
// where the plugin runs, in a container.
const NetnsFD = "Nri-Netdev-Netns-Fd"

// peerKey is the context key of the caller's pid.
type peerKey struct{}

// WithPeer is the http.Server.ConnContext of the control socket. It notes who is
// at the other end (SO_PEERCRED, unix(7)); 0 is a process that cannot be seen
// from here.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	pid := 0
	if u, ok := c.(*net.UnixConn); ok {
		if raw, err := u.SyscallConn(); err == nil {
			err = raw.Control(func(fd uintptr) {
				if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
					pid = int(cred.Pid)
				}
			})
			if err != nil {
				pid = 0
			}
		}
	}
	return context.WithValue(ctx, peerKey{}, pid)
}

// Control answers the commands of an operator.
func (p *Plugin) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { p.reply(w, p.Status(), nil) })
	mux.HandleFunc("POST /move", p.controlMove)
	mux.HandleFunc("POST /return", p.controlReturn)
	return mux
}

func (p *Plugin) controlMove(w http.ResponseWriter, r *http.Request) {
	var m sandbox.Move
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		p.reply(w, nil, err)
		return
	}
	path, err := peerNetns(r)
	if err != nil {
		p.reply(w, nil, err)
		return
	}
	moved, err := p.sandboxes.Move(r.Context(), m, path)
	p.reply(w, moved, err)
}

// peerNetns is the path to the namespace that the caller has open.
func peerNetns(r *http.Request) (string, error) {
	fd, err := strconv.Atoi(r.Header.Get(NetnsFD))
	if err != nil {
		return "", errors.New("no descriptor of a network namespace")
	}
	pid, ok := r.Context().Value(peerKey{}).(int)
	if !ok || pid == 0 {
		return "", errors.New("the plugin cannot see the process that asks: run it in the host's pid namespace, or ask from the plugin's container")
	}
	return filepath.Join("/proc", strconv.Itoa(pid), "fd", strconv.Itoa(fd)), nil
}

func (p *Plugin) controlReturn(w http.ResponseWriter, r *http.Request) {
	var s sandbox.Selection
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		p.reply(w, nil, err)
		return
	}
	result, err := p.sandboxes.ReturnByHand(s)
	p.reply(w, result, err)
}

// reply answers with a value, or with the words of an error.
func (p *Plugin) reply(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		p.log.Warn("answer an operator", "err", err)
	}
}
