package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin"
)

// nodeConfig is the node config of a running plugin.
type nodeConfig struct {
	path string
	log  *slog.Logger

	// loaded is what was read at the start: nil without a file, and
	// config.Invalid if it was not valid.
	loaded *config.NodeConfig

	valid bool // a valid config was read, and stays in force until the next one
}

// loadConfig reads the node config. The plugin starts without a valid one, too: nothing
// is allowed then, but devices that are away come home.
func loadConfig(log *slog.Logger, path string) *nodeConfig {
	n := &nodeConfig{path: path, log: log}
	c, err := config.Load(path)
	switch {
	case err == nil:
		n.loaded, n.valid = c, true
	case errors.Is(err, fs.ErrNotExist):
		log.Warn("no node config: no pod may have a device", "config", path)
	default:
		n.loaded = config.Invalid(err)
		n.logInvalid(err)
	}
	return n
}

// inForce returns the config to start with.
func (n *nodeConfig) inForce() *config.NodeConfig {
	if n.loaded == nil {
		return config.Default()
	}
	return n.loaded
}

func (n *nodeConfig) logInvalid(err error) {
	n.log.Error("the node config is not valid: no pod may have a device, and what is away comes home", "config", n.path, "err", err,
		"hint", "try a config before you install it: nri-netdev check --config FILE")
}

// watch gives the plugin each valid config that appears at the path, or upon
// SIGHUP, until ctx ends.
func (n *nodeConfig) watch(ctx context.Context, p *plugin.Plugin) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	if c := n.loaded; c != nil && c.Problem != nil {
		p.AllowNothing(c.Problem)
	}
	config.Watch(ctx, n.path, n.loaded, reload, func(c *config.NodeConfig, err error) {
		if err != nil {
			n.refuse(p, err)
			return
		}
		n.valid = true
		if p.SetConfig(c) {
			n.log.Info("node config reloaded", "config", n.path)
		}
	})
}

// refuse tells the plugin and the log that a config is not valid.
func (n *nodeConfig) refuse(p *plugin.Plugin, err error) {
	if !n.valid {
		p.AllowNothing(err)
		n.logInvalid(err)
		return
	}
	p.RefuseConfig()
	n.log.Error("node config not reloaded, the one before stays in force", "config", n.path, "err", err)
}
