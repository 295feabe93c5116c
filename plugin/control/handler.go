package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// NetnsFD is the header with the caller's open descriptor of the namespace that a move
// goes to. A path could mean something else in the plugin's container.
const NetnsFD = "Nri-Netdev-Netns-Fd"

// maxQuestion bounds a claim: 32 devices with the parameters of class and claim, in bytes.
const maxQuestion = 2 << 20

// handler answers operators.
type handler struct {
	plugin Plugin
	log    *slog.Logger
}

// Handler answers operators on a server whose ConnContext is WithPeer.
func Handler(p Plugin, log *slog.Logger) http.Handler {
	h := &handler{p, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { h.reply(w, p.Status(), nil) })
	mux.HandleFunc("GET /config", h.config)
	mux.HandleFunc("POST /move", h.move)
	mux.HandleFunc("POST /return", h.returnDevices)
	mux.HandleFunc("GET /inventory", poll(h, p.Inventory))
	mux.HandleFunc("GET /claims", poll(h, p.Claims))
	mux.HandleFunc("POST /claims/prepare", question(h, p.Prepare))
	mux.HandleFunc("POST /claims/unprepare", question(h, func(u claim.Unprepare) (struct{}, error) {
		return struct{}{}, p.Unprepare(u.UID)
	}))
	return mux
}

func (h *handler) config(w http.ResponseWriter, _ *http.Request) {
	var c Config
	if err := h.plugin.ConfigProblem(); err != nil {
		c.Problem = err.Error()
	}
	h.reply(w, c, nil)
}

func (h *handler) move(w http.ResponseWriter, r *http.Request) {
	var m sandbox.Move
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		h.reply(w, nil, err)
		return
	}
	path, err := peerNetns(r)
	if err != nil {
		h.reply(w, nil, err)
		return
	}
	moved, err := h.plugin.Move(r.Context(), m, path)
	h.reply(w, moved, err)
}

// peerNetns returns the path to the namespace that the caller has open.
func peerNetns(r *http.Request) (string, error) {
	fd, err := strconv.Atoi(r.Header.Get(NetnsFD))
	if err != nil {
		return "", errors.New("no descriptor of a network namespace")
	}
	pid := peer(r.Context())
	if pid == 0 {
		return "", errors.New("the plugin cannot see the process that asks: run it in the host's pid namespace, or ask from the plugin's container")
	}
	return filepath.Join("/proc", strconv.Itoa(pid), "fd", strconv.Itoa(fd)), nil
}

func (h *handler) returnDevices(w http.ResponseWriter, r *http.Request) {
	var s sandbox.Selection
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		h.reply(w, nil, err)
		return
	}
	result, err := h.plugin.Return(s)
	h.reply(w, result, err)
}

// question answers a question that is asked as JSON.
func question[Q, A any](h *handler, answer func(Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
			h.reply(w, nil, err)
			return
		}
		a, err := answer(q)
		h.reply(w, a, err)
	}
}

// poll answers a question for news that waits until there are some.
func poll[A any](h *handler, answer func(context.Context, uint64) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var after uint64
		if text := r.FormValue("after"); text != "" {
			var err error
			if after, err = strconv.ParseUint(text, 10, 64); err != nil {
				h.reply(w, nil, fmt.Errorf("after: %w", err))
				return
			}
		}
		a, err := answer(r.Context(), after)
		h.reply(w, a, err)
	}
}

// codeOf returns the status that tells what kind of error it is.
func codeOf(err error) int {
	if _, inUse := errors.AsType[*journal.InUseError](err); inUse {
		return http.StatusConflict
	}
	if _, away := errors.AsType[*journal.AwayError](err); away {
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// reply answers with a value, or with the text of an error.
func (h *handler) reply(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), codeOf(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		h.log.Warn("answer an operator", "err", err)
	}
}
