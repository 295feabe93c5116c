package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// The runtimes that the levels are shown on. The release of containerd has an
// NRI without failure policies.
var (
	asReleased   = node.Options{}
	validated    = node.Options{Validator: true}
	withPolicy   = node.Options{Runtime: node.NRI0125}
	policyAndVal = node.Options{Runtime: node.NRI0125, Validator: true}
)

// TestLevels is the table of docs/levels.md: what becomes of a pod, told line
// by line, when the plugin is away or does not answer. All the pods that ask for
// devices are annotated to need the plugin, which means nothing without the
// validator.
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault string
		steps func(*testing.T, *trial)
		on    map[node.Options][]string
	}{
		{"away until after the first container", awayForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "back", "container with"},
			policyAndVal: {"pod runs", "container refused: required", "other runs", "back", "container with"},
		}},
		{"back before the first container", backForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container with"},
			withPolicy:   {"pod runs", "back", "container with"},
			validated:    {"pod runs", "back", "container with"},
			policyAndVal: {"pod runs", "back", "container with"},
		}},
		{"stalled while the pod starts", stalledForThePod, map[node.Options][]string{
			asReleased:   {"pod runs", "resumed", "container with"},
			withPolicy:   {"pod refused: RunPodSandbox timed out", "resumed", "pod runs", "container with"},
			validated:    {"pod runs", "resumed", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox timed out", "resumed", "pod runs", "container with"},
		}},
		{"stalled until after the first container", stalledForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "resumed", "missed", "container refused: missed"},
			withPolicy:   {"pod refused: RunPodSandbox timed out", "pod runs", "container without", "other runs", "resumed", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "resumed", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox timed out", "pod runs", "container refused: required", "other runs", "resumed", "container with"},
		}},
		{"killed while the pod starts", killedForThePod, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod refused: RunPodSandbox lost", "pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "back", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox lost", "pod runs", "container refused: required", "other runs", "back", "container with"},
		}},
		{"away for the pod, stalled for its first container", stalledAtTheGate, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container without", "resumed", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "back", "container refused: CreateContainer timed out", "resumed", "container with"},
			validated:    {"pod runs", "back", "container without", "resumed", "missed", "container refused: missed"},
			policyAndVal: {"pod runs", "back", "container refused: CreateContainer timed out", "resumed", "container with"},
		}},
		{"away for the pod, killed by its first container", killedAtTheGate, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container without", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "back", "container refused: CreateContainer lost", "back", "container with"},
			validated:    {"pod runs", "back", "container without", "back", "missed", "container refused: missed"},
			policyAndVal: {"pod runs", "back", "container refused: CreateContainer lost", "back", "container with"},
		}},
		{"stalled for the first container of a pod with devices", stalledForAContainer, map[node.Options][]string{
			asReleased:   {"pod runs", "container with", "resumed", "container with"},
			withPolicy:   {"pod runs", "container refused: CreateContainer timed out", "container with", "resumed", "container with"},
			validated:    {"pod runs", "container with", "resumed", "container with"},
			policyAndVal: {"pod runs", "container refused: CreateContainer timed out", "container refused: required", "resumed", "container with"},
		}},
	} {
		for opts, want := range tc.on {
			t.Run(tc.fault+"/"+runtimeName(opts), func(t *testing.T) {
				t.Parallel()
				if strings.Contains(tc.fault, "killed") {
					opts.Config = patient
				}
				try(t, opts, nodeConfig, tc.steps, want)
			})
		}
	}
}

func runtimeName(opts node.Options) string {
	name := "as released"
	if opts.Runtime != "" {
		name = opts.Runtime
	}
	if opts.Validator {
		name += " and validator"
	}
	return name
}

// try runs a trial from the beginning to the end, where everything is as before.
func try(t *testing.T, opts node.Options, config string, steps func(*testing.T, *trial), want []string) {
	t.Helper()
	f := startNode(t, opts)
	f.writeConfig(t, config)
	f.plugin = f.startPlugin(t)
	f.devices(t, 1)
	tr := &trial{fixture: f, want: want}
	before := f.world(t)
	steps(t, tr)
	if diff := cmp.Diff(want, tr.story); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
	for _, s := range tr.ends {
		f.end(t, s)
	}
	f.homeWithin(t, homeLimit, before)
	if s := tr.sandbox; s != nil && tr.plugin.missed(s) != slices.Contains(tr.story, missed) {
		t.Errorf("the pod was reported as missed: %v, too late to be in the story", tr.plugin.missed(s))
	}
}

func awayForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.container(t)
	tr.other(t)
	tr.back(t)
	tr.container(t)
}

func backForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.container(t)
}

func stalledForThePod(t *testing.T, tr *trial) {
	tr.plugin.stall(t)
	tr.runPod(t)
	tr.resume(t)
	tr.runPodAgain(t)
	tr.container(t)
}

func stalledForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.stall(t)
	tr.runPod(t)
	tr.runPodAgain(t)
	tr.container(t)
	tr.other(t)
	tr.resume(t)
	tr.container(t)
}

func killedForThePod(t *testing.T, tr *trial) {
	tr.killInFlight(t, tr.runPod)
	tr.runPodAgain(t)
	tr.container(t)
	tr.other(t)
	tr.back(t)
	tr.container(t)
}

func stalledAtTheGate(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.plugin.stall(t)
	tr.container(t)
	tr.resume(t)
	tr.container(t)
}

func killedAtTheGate(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.killInFlight(t, tr.container)
	tr.back(t)
	tr.container(t)
}

func stalledForAContainer(t *testing.T, tr *trial) {
	tr.runPod(t)
	tr.plugin.stall(t)
	tr.container(t)
	tr.containerAgain(t)
	tr.resume(t)
	tr.container(t)
}

// The validator can require plugins of every pod: those of others wait as well.
func TestRequiredOfEveryPod(t *testing.T) {
	t.Parallel()
	f := startNode(t, node.Options{Config: `[plugins.'io.containerd.nri.v1.nri'.default_validator]
  enable = true
  required_plugins = ["nri-netdev"]
`})
	tr := &trial{fixture: f}
	tr.other(t)
	tr.back(t)
	tr.other(t)
	if diff := cmp.Diff([]string{"other refused: required", "back", "other runs"}, tr.story); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
}
