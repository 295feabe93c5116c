package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// image is the node's only image, of pods and containers alike.
const image = "localhost/pause:e2e"

//go:embed pause/main.go
var pauseSource []byte

// buildImage makes the image's archive in dir, and returns its path. Its name
// has the source's hash, so an archive that is there is the right one.
func buildImage(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("pause-%s-%.6x.tar", runtime.GOARCH, sha256.Sum256(pauseSource)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	program, err := buildPause(ctx)
	if err != nil {
		return "", err
	}
	archive, err := imageArchive(program)
	if err != nil {
		return "", err
	}
	return path, writeFile(path, archive)
}

func buildPause(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pause-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, pauseSource, 0o644); err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static: the image has no libc
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return os.ReadFile(program)
}

// imageArchive packs a program as docker save would.
func imageArchive(program []byte) ([]byte, error) {
	layer, err := archive(file{"pause", 0o755, program})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/pause"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config":   "config.json",
		"RepoTags": []string{image},
		"Layers":   []string{"layer.tar"},
	}})
	if err != nil {
		return nil, err
	}
	return archive(file{"manifest.json", 0o644, manifest}, file{"config.json", 0o644, config}, file{"layer.tar", 0o644, layer})
}

// importImage hands the archive to containerd, and waits until CRI, which
// learns of new images by events, has it.
func (n *Node) importImage(ctx context.Context, archive string) error {
	if err := n.Import(archive); err != nil {
		return err
	}
	for !n.cri.hasImage(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("image %s: %w", image, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

type file struct {
	name string
	mode int64
	data []byte
}

func archive(files ...file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// writeFile puts the file in place at once and whole, since other processes
// may be at it too.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // there is nothing under that name if all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
