package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

func checkCommand(c *common) *cobra.Command {
	hostNetns := ""
	cmd := &cobra.Command{
		Use:   "check [POD.yaml ...]",
		Short: "check the node config, and say what pods would get",
		Long: `check validates the node config and, for each pod in the files ("-" is standard
input), says which of this node's devices would move into it under which name,
or why not. Workloads with a pod template, such as Deployments, are read like
pods. It changes nothing. The exit code is 1 if anything is invalid or refused.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return (&check{common: c, hostNetns: hostNetns, in: cmd.InOrStdin(), out: cmd.OutOrStdout()}).run(files)
		},
	}
	cmd.Flags().StringVar(&hostNetns, "host-netns", "", `network namespace to look for devices in: a path, or "self"`)
	return cmd
}

type check struct {
	*common
	hostNetns string
	in        io.Reader
	out       io.Writer
	config    *config.NodeConfig
	journal   *journal.Journal
}

// errRefused ends a check whose findings have been printed.
var errRefused = errors.New("not everything is valid and allowed")

func (c *check) run(files []string) (err error) {
	c.config, err = config.Load(c.common.config)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("node config: %w", err), "name another with --config FILE")
	}
	if err != nil {
		return fmt.Errorf("node config: %w", err)
	}
	fmt.Fprintf(c.out, "%s: valid, allow rules: %d\n", c.common.config, len(c.config.Allow))
	if len(files) == 0 {
		return nil
	}
	host, err := openHost(kernel.Linux{}, c.hostNetns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	c.journal = c.readJournal()
	mover := &netmove.Mover{Kernel: kernel.Linux{}, Host: host, Log: slog.New(slog.DiscardHandler)}
	ok := true
	for _, file := range files {
		pods, err := c.readPods(file)
		if err != nil {
			return err
		}
		if len(pods) == 0 {
			return fmt.Errorf("%s: no Kubernetes object in it", file)
		}
		for _, p := range pods {
			ok = c.checkPod(mover, file, p) && ok
		}
	}
	if !ok {
		return errRefused
	}
	return nil
}

// checkPod prints what becomes of one pod.
func (c *check) checkPod(mover *netmove.Mover, file string, p pod) bool {
	fmt.Fprintf(c.out, "%s: %s %s\n", file, p.Kind, p)
	refuse := func(err error) bool {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(c.out, "  refused: %s\n", line)
		}
		printRules(c.out, err)
		return false
	}
	requests, err := config.ParseAnnotations(p.annotations())
	if err != nil {
		return refuse(err)
	}
	if len(requests) == 0 {
		fmt.Fprintln(c.out, "  asks for no devices")
		return true
	}
	if p.spec().HostNetwork {
		return refuse(sandbox.ErrHostNetwork)
	}
	d, err := sandbox.Decide(mover, c.journal, c.config, config.Pod{Namespace: p.namespace(), Name: p.name(), RuntimeHandler: p.spec().RuntimeClassName}, requests)
	if err != nil {
		return refuse(err)
	}
	for i := range d.Plan {
		fmt.Fprintf(c.out, "  %s (allow[%d])\n", strings.TrimSpace(d.Plan[i:i+1].String()), d.Grants[i].Rule)
	}
	return true
}

// readJournal reads what pods have. Where there is no plugin, or one may not look, nothing
// is known of that, and devices that are away are not found.
func (c *check) readJournal() *journal.Journal {
	boot, err := bootID()
	if err != nil {
		return nil
	}
	records, _ := journal.Read(c.stateDir, boot) // of what cannot be read, status tells
	return journal.Of(records)
}

// printRules tells of refusals by the rules why each of these does not allow it.
func printRules(out io.Writer, err error) {
	if denied, ok := err.(*config.DeniedError); ok { //nolint:errorlint // the tree is gone through here
		for _, rule := range denied.Rules() {
			fmt.Fprintf(out, "    device %q: %s\n", denied.Device, rule)
		}
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			printRules(out, err)
		}
	case interface{ Unwrap() error }:
		printRules(out, e.Unwrap())
	}
}

// pod is as much of a Kubernetes object as tells what its pods ask for.
type pod struct {
	Kind     string   `json:"kind"`
	Metadata metadata `json:"metadata"`
	Spec     struct {
		podSpec
		Template template `json:"template"` // Deployment, StatefulSet, DaemonSet, Job …
		Job      struct {
			Spec struct {
				Template template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"` // CronJob
	} `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Annotations map[string]string `json:"annotations"`
}

type podSpec struct {
	HostNetwork      bool   `json:"hostNetwork"`
	RuntimeClassName string `json:"runtimeClassName"`
}

type template struct {
	Metadata metadata `json:"metadata"`
	Spec     podSpec  `json:"spec"`
}

func (p pod) template() template {
	switch p.Kind {
	case "Pod":
		return template{p.Metadata, p.Spec.podSpec}
	case "CronJob":
		return p.Spec.Job.Spec.Template
	}
	return p.Spec.Template
}

func (p pod) annotations() map[string]string { return p.template().Metadata.Annotations }
func (p pod) spec() podSpec                  { return p.template().Spec }
func (p pod) name() string                   { return p.Metadata.Name }
func (p pod) String() string                 { return p.namespace() + "/" + p.name() }

// namespace is the one that kubectl would choose.
func (p pod) namespace() string {
	if p.Metadata.Namespace == "" {
		return "default"
	}
	return p.Metadata.Namespace
}

// documentEnd is what kubectl takes for the end of a document.
var documentEnd = regexp.MustCompile(`(?m)^---.*$`)

// readPods reads every document of a file, as kubectl does.
func (c *check) readPods(file string) ([]pod, error) {
	data, err := c.read(file)
	if err != nil {
		return nil, err
	}
	var pods []pod
	for _, doc := range documentEnd.Split(string(data), -1) {
		var p pod
		if err := yaml.Unmarshal([]byte(doc), &p); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if p.Kind != "" {
			pods = append(pods, p)
		}
	}
	return pods, nil
}

func (c *check) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(file)
}
