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

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/config/workload"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

func checkCommand(c *common) *cobra.Command {
	opts := &check{common: c}
	cmd := &cobra.Command{
		Use:   "check [POD.yaml ...]",
		Short: "check the node config, and say what pods would get",
		Long: `check validates the node config and, for each pod in the files ("-" is standard
input), says which of this node's devices would move into it under which name,
or why not. Lists, and everything with a pod template, such as Deployments, are
read like pods.

Pods of a controller are judged by the names that it will give them, such as
worker-0 of a StatefulSet. Where a part of the name is random, they are allowed
only if they are under every name; if that depends on the name, check says so,
with a name for each outcome. The names that controllers other than Kubernetes'
own give are not known: any name is tried.

A runtimeClassName is resolved only by --runtime-handler.

It changes nothing. The exit code is 1 if anything is invalid or refused.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			opts.in, opts.out = cmd.InOrStdin(), cmd.OutOrStdout()
			return opts.run(files)
		},
	}
	cmd.Flags().StringVar(&opts.hostNetns, "host-netns", "", `network namespace to look for devices in: a path, or "self"`)
	cmd.Flags().StringToStringVar(&opts.runtimeHandlers, "runtime-handler", nil, "handler of a RuntimeClass, as `CLASS=HANDLER`; may be given for several")
	return cmd
}

type check struct {
	*common
	hostNetns       string
	runtimeHandlers map[string]string // by the names of RuntimeClasses
	in              io.Reader
	out             io.Writer
	config          *config.NodeConfig
	journal         *journal.Journal
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
	mover := &netmove.Mover{Now: kernel.Linux{}.Now, Host: host, Log: slog.New(slog.DiscardHandler)}
	ok := true
	for _, file := range files {
		all, err := c.readWorkloads(file)
		if err != nil {
			return err
		}
		for _, w := range all {
			ok = c.checkWorkload(mover, file, w) && ok
		}
	}
	if !ok {
		return errRefused
	}
	return nil
}

// checkWorkload prints what becomes of the pods of an object.
func (c *check) checkWorkload(mover *netmove.Mover, file string, w workload.Workload) bool {
	fmt.Fprintf(c.out, "%s: %s %s", file, w.Kind, w)
	if names := w.Names.String(); names != w.Name && names != "" {
		fmt.Fprintf(c.out, ", pods %s", names)
	}
	fmt.Fprintln(c.out)
	ok, text := c.verdict(mover, w)
	fmt.Fprint(c.out, text)
	return ok
}

// verdict tells what becomes of the pods of an object, and whether all is well with that.
func (c *check) verdict(mover *netmove.Mover, w workload.Workload) (ok bool, text string) {
	if w.NoPods {
		return true, "  has no pod template\n"
	}
	requests, err := config.ParseAnnotations(w.Annotations)
	switch {
	case err != nil:
		return false, refusal(err)
	case len(requests) == 0:
		return true, "  asks for no devices\n"
	case w.HostNetwork:
		return false, refusal(sandbox.ErrHostNetwork)
	}
	handler, note := c.handler(w.RuntimeClassName)
	ok, text = c.decideEach(mover, w, handler, requests)
	return ok, note + text
}

// handler resolves the name of a RuntimeClass, which only the cluster knows, and
// notes if nobody has told what it is here.
func (c *check) handler(class string) (handler, note string) {
	handler, known := c.runtimeHandlers[class]
	if class != "" && !known {
		note = fmt.Sprintf("  note: judged with the default runtime handler: say --runtime-handler %s=HANDLER if runtimeClassName %q means another\n", class, class)
	}
	return handler, note
}

// decideEach decides for each name that makes a difference. If the outcomes are
// not the same, each is told with the first name that has it.
func (c *check) decideEach(mover *netmove.Mover, w workload.Workload, handler string, requests []netmove.Request) (ok bool, text string) {
	names, err := w.Names.Examples(c.podNames(w.Namespace))
	if err != nil {
		return false, refusal(err)
	}
	ok = true
	var outcomes []string
	seen := map[string]bool{}
	for _, name := range names {
		allowed, outcome := c.decide(mover, config.Pod{Namespace: w.Namespace, Name: name, RuntimeHandler: handler}, requests)
		ok = ok && allowed
		if !seen[outcome] {
			seen[outcome] = true
			outcomes = append(outcomes, fmt.Sprintf("  a pod such as %s:\n%s", name, indent(outcome)))
			text = outcome
		}
	}
	if len(outcomes) > 1 {
		text = "  depends on the pod's name:\n" + strings.Join(outcomes, "")
	}
	return ok, text
}

// indent indents each line by two more columns.
func indent(text string) string {
	return regexp.MustCompile(`(?m)^  `).ReplaceAllString(text, "    ")
}

// podNames are the podNames of each allow rule that could allow pods of a namespace.
func (c *check) podNames(namespace string) [][]string {
	var lists [][]string
	for _, r := range c.config.Allow {
		names := r.PodNames
		r.PodNames = nil
		if r.Admits(config.Pod{Namespace: namespace}) {
			lists = append(lists, names)
		}
	}
	return lists
}

// decide tells what would move for one pod, or why not.
func (c *check) decide(mover *netmove.Mover, pod config.Pod, requests []netmove.Request) (ok bool, text string) {
	d, err := sandbox.Decide(mover, c.journal, c.config, pod, requests)
	if err != nil {
		return false, refusal(err)
	}
	for i := range d.Plan {
		text += fmt.Sprintf("  %s (allow[%d])\n", strings.TrimSpace(d.Plan[i:i+1].String()), d.Grants[i].Rule)
	}
	return true, text
}

// refusal is how a refusal is printed.
func refusal(err error) string {
	var b strings.Builder
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(&b, "  refused: %s\n", line)
	}
	printRules(&b, err)
	return b.String()
}

// readJournal reads what pods have. Where there is no plugin, or one may not look, nothing
// is known of that, and devices that are away are not found.
func (c *check) readJournal() *journal.Journal {
	records, _ := state.ReadJournal(c.stateDir) // of what cannot be read, status tells
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

// readWorkloads reads every object of a file.
func (c *check) readWorkloads(file string) ([]workload.Workload, error) {
	data, err := c.read(file)
	if err != nil {
		return nil, err
	}
	all, err := workload.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no Kubernetes object in it", file)
	}
	return all, nil
}

func (c *check) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(file)
}
