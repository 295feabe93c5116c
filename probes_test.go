package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// An address that another process has, or that is lost later, is tried again.
func TestProbesTryAgain(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := other.Addr().String()
	said := make(chan string, 100)
	log := slog.New(slog.NewTextHandler(writerFunc(func(text []byte) { said <- string(text) }), nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveProbes(ctx, log, addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	}()
	defer func() {
		cancel()
		<-ended
	}()
	t.Logf("log: %s", <-said) // the address is taken
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	answers := func() bool {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + addr)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && string(text) == "ok"
	}
	plugintest.Eventually(t, "answers once the address is free", answers)
	shutdownListener(t, addr)
	t.Logf("log: %s", <-said) // the listener is lost
	plugintest.Eventually(t, "answers after its listener was lost", answers)
}

type writerFunc func(text []byte)

func (f writerFunc) Write(text []byte) (int, error) {
	f(text)
	return len(text), nil
}

// shutdownListener ends the socket of this process that listens at addr.
func shutdownListener(t *testing.T, addr string) {
	t.Helper()
	for fd := range 1024 {
		listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		if err != nil || listening == 0 {
			continue
		}
		name, err := syscall.Getsockname(fd)
		if at, ok := name.(*syscall.SockaddrInet4); err == nil && ok && fmt.Sprintf("127.0.0.1:%d", at.Port) == addr {
			if err := syscall.Shutdown(fd, syscall.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("nobody listens at %s", addr)
}
