package driver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// programs are those of a cluster, in one; make test-dra builds them.
const programs = "../../.cache/bin/kubernetes"

// apiServer is a real one, with an etcd of its own. Nothing else of a cluster runs.
type apiServer struct {
	folder  string
	address string
	args    []string // of the API server
	process *exec.Cmd
	admin   kubernetes.Interface
}

// startAPIServer starts one that ends with the test.
func startAPIServer(t *testing.T, flags ...string) *apiServer {
	t.Helper()
	s := &apiServer{folder: t.TempDir(), address: freeAddress(t)}
	etcd, peer := "http://"+freeAddress(t), "http://"+freeAddress(t)
	s.start(t, "etcd", "--data-dir="+s.path("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	s.write(t, "tokens.csv", "admin,admin,admin,system:masters\n")
	s.write(t, "key", newKey(t))
	_, port, _ := net.SplitHostPort(s.address)
	s.args = append([]string{
		"kube-apiserver", "--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--secure-port=" + port, "--advertise-address=192.0.2.2",
		"--endpoint-reconciler-type=none", "--token-auth-file=" + s.path("tokens.csv"), "--authorization-mode=Node,RBAC",
		"--allow-privileged", "--cert-dir=" + s.path("cert"), "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + s.path("key"),
		"--service-account-signing-key-file=" + s.path("key"), "--service-cluster-ip-range=10.96.0.0/16",
		"--disable-admission-plugins=ServiceAccount", // its controller does not run
	}, flags...)
	s.process = s.start(t, s.args...)
	s.admin = s.client(t, "admin")
	s.awaitReady(t)
	return s
}

func (s *apiServer) path(name string) string { return filepath.Join(s.folder, name) }

func (s *apiServer) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts one of the programs, which ends with the test.
func (s *apiServer) start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := filepath.Abs(programs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = s.folder, append(os.Environ(), "HOME="+s.folder)
	log, err := os.Create(s.path(args[0] + ".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make test-dra builds it)", err)
	}
	log.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(s.path(args[0] + ".log"))
			t.Logf("== %s\n%s", args[0], text[max(0, len(text)-4000):])
		}
	})
	return cmd
}

// stop ends the API server; restart makes it anew. What it has stored stays.
func (s *apiServer) stop(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.process.Wait() // an error by nature: killed
}

func (s *apiServer) restart(t *testing.T) {
	t.Helper()
	s.process = s.start(t, s.args...)
	s.awaitReady(t)
}

func (s *apiServer) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "API server that is ready", func() bool {
		_, err := s.admin.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return err == nil
	})
}

// client makes one for whoever has a token.
func (s *apiServer) client(t *testing.T, token string) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + s.address, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// kubectl runs kubectl, with an input.
func (s *apiServer) kubectl(t *testing.T, input string, args ...string) {
	t.Helper()
	program, err := filepath.Abs(programs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{
		"kubectl", "--server=https://" + s.address, "--token=admin", "--insecure-skip-tls-verify",
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.folder)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// eventually waits for what happens by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const patience, pause = 2 * time.Minute, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("no %s", what))
		case <-time.After(pause):
		}
	}
}
