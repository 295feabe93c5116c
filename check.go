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
only if every possible name is allowed; if the outcome depends on the name, check
shows an example of each outcome. How other controllers than Kubernetes' own name
their pods is not known: any name is tried.

check does not ask the cluster: name the handler of a RuntimeClass with
--runtime-handler.

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
	runtimeHandlers map[string]string // by RuntimeClass
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

// checkWorkload prints what the object's pods would get, and reports whether all is well.
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

// verdict says what the object's pods would get. ok is false if that is invalid or refused.
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

// handler returns the handler of a RuntimeClass as --runtime-handler names it, or the
// default handler with a note.
func (c *check) handler(class string) (handler, note string) {
	handler, known := c.runtimeHandlers[class]
	if class != "" && !known {
		note = fmt.Sprintf("  note: judged with the default runtime handler: say --runtime-handler %s=HANDLER if runtimeClassName %q means another\n", class, class)
	}
	return handler, note
}

// decideEach decides for each pod name that may make a difference. If outcomes differ, it
// shows each with an example.
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

// podNames returns the podNames of each allow rule for the namespace.
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

// decide says what would move into one pod, or why nothing would.
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

// refusal formats a refusal.
func refusal(err error) string {
	var b strings.Builder
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(&b, "  refused: %s\n", line)
	}
	printRules(&b, err)
	return b.String()
}

// readJournal reads which devices pods have. If it cannot, check does not find these
// devices.
func (c *check) readJournal() *journal.Journal {
	records, _ := state.ReadJournal(c.stateDir) // the status command shows the error
	return journal.Of(records)
}

// printRules prints for each denied device why each allow rule does not allow it.
func printRules(out io.Writer, err error) {
	if denied, ok := err.(*config.DeniedError); ok { //nolint:errorlint // this walks the tree
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
