package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/plugin"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// operator does by hand what the plugin does for pods: through the plugin if one
// runs, else as the one writer of the state folder.
type operator struct {
	*common
	hostNetns string
	log       *slog.Logger
}

// operatorCommand makes a command of an operator.
func operatorCommand(c *common, cmd *cobra.Command, run func(ctx context.Context, o *operator, args []string, out io.Writer) error) *cobra.Command {
	o := &operator{common: c}
	cmd.Flags().StringVar(&o.hostNetns, "host-netns", "", `network namespace of the devices where no plugin runs: a path, or "self"`)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.log, err = newLogger(cmd.ErrOrStderr(), o.logLevel, o.logFormat); err != nil {
			return err
		}
		return run(cmd.Context(), o, args, cmd.OutOrStdout())
	}
	return cmd
}

// do asks the running plugin, by remote, or becomes the one writer for local. A
// plugin that starts or ends meanwhile is waited for.
func (o *operator) do(ctx context.Context, remote func(*http.Client) error, local func(*sandbox.Table) error) error {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	for began := time.Now(); ; {
		err := remote(controlClient(o.stateDir))
		if !notRunning(err) {
			return err
		}
		lock, err := tryLockState(o.stateDir)
		if err == nil {
			defer lock.unlock()
			return o.alone(local)
		}
		if !errors.Is(err, errLocked) || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// alone works with the journal while no plugin does.
func (o *operator) alone(work func(*sandbox.Table) error) (err error) {
	c, err := loadConfig(o.log, o.config)
	if err != nil {
		return err
	}
	if c == nil {
		c = config.Default()
	}
	k := linux(o.log)
	host, err := openHost(k, o.hostNetns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	j, err := openJournal(o.log, o.stateDir)
	if err != nil {
		return err
	}
	mover := &netmove.Mover{Kernel: k, Host: host, Log: o.log}
	t := sandbox.New(mover, j, o.stateDir, c, nil, o.log)
	t.Recover() // what an earlier process left half done
	return work(t)
}

// controlClient speaks to the running plugin.
func controlClient(state string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", plugin.ControlSocket(state))
		},
	}}
}

// notRunning reports whether nobody listens on the control socket.
func notRunning(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// call has the running plugin do something: question and answer are JSON.
func call(ctx context.Context, c *http.Client, method, verb string, question, answer any, netns *os.File) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://nri-netdev/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if netns != nil {
		req.Header.Set(plugin.NetnsFD, strconv.Itoa(int(netns.Fd())))
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running plugin: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask the running plugin: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, answer)
}
