package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// options are what the command line says.
type options struct {
	rounds                         int
	addresses, interfaces, devices list
	peers                          []string
	hostDevice                     string
	csv                            string
}

func parseOptions(args []string) (*options, error) {
	b := base()
	o := &options{addresses: list{b.addresses}, interfaces: list{b.interfaces}, devices: list{b.devices}}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 200, "how often each peer gives and takes the devices")
	flags.Var(&o.addresses, "addresses", "`numbers` of addresses per device, one after the other")
	flags.Var(&o.interfaces, "interfaces", "`numbers` of other interfaces on the host")
	flags.Var(&o.devices, "devices", "`numbers` of devices per pod")
	peers := flags.String("peers", strings.Join(peerNames(), ","), "`names` of those that are measured")
	flags.StringVar(&o.hostDevice, "host-device", "host-device", "`program`, the CNI plugin")
	flags.StringVar(&o.csv, "csv", "", "`file` for all samples")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("what is %q?", flags.Arg(0))
	}
	if slices.Contains(o.devices, 0) {
		return nil, errors.New("-devices 0: a pod without devices costs nothing")
	}
	o.peers = strings.Split(*peers, ",")
	return o, nil
}

// scales are all combinations of the numbers.
func (o *options) scales() []scale {
	var scales []scale
	for _, a := range o.addresses {
		for _, i := range o.interfaces {
			for _, d := range o.devices {
				scales = append(scales, scale{addresses: a, interfaces: i, devices: d})
			}
		}
	}
	return scales
}

// measure prints a table for each scale.
func measure(args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if err := isolate(); err != nil {
		return err
	}
	if err := printMachine(os.Stdout); err != nil {
		return err
	}
	var all []sample
	for _, s := range o.scales() {
		samples, err := o.measureAt(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		printTables(os.Stdout, samples)
		if all = append(all, samples...); o.csv == "" {
			continue
		}
		if err := writeSamples(o.csv, all); err != nil {
			return err
		}
	}
	return nil
}

// measureAt takes all samples at one scale. The first round only warms up.
func (o *options) measureAt(s scale) ([]sample, error) {
	n, err := newNode(s)
	if err != nil {
		return nil, err
	}
	peers := map[string]peer{}
	for _, name := range o.peers {
		if peers[name], err = newPeer(name, n, o.hostDevice); err != nil {
			return nil, err
		}
	}
	var samples []sample
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(o.peers)) {
			name := o.peers[i]
			pair, err := n.roundTrip(peers[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, one := range pair {
				one.scale, one.peer, one.round = n.scale, name, round
				if round > 0 {
					samples = append(samples, one)
				}
			}
		}
	}
	return samples, n.close()
}

// roundTrip has the peer give the devices to the pod and take them back.
func (n *node) roundTrip(p peer) ([]sample, error) {
	there, err := n.timed(p.attach)
	if err == nil {
		there.operation = attach
		there.kept, err = n.arrived()
	}
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	back, err := n.timed(p.giveBack)
	if err == nil {
		back.operation = giveBack
		back.kept, err = n.returned()
	}
	if err != nil {
		return nil, fmt.Errorf("return: %w", err)
	}
	return []sample{there, back}, nil
}

// timed measures one operation.
func (n *node) timed(do func() error) (s sample, err error) {
	if err := n.settle(); err != nil {
		return s, err
	}
	n.inside = 0
	cpu := cpuTime()
	began := time.Now()
	err = do()
	s.wall = time.Since(began)
	s.cpu = cpuTime() - cpu
	s.inside = n.inside
	return s, err
}

// cpuTime is what this process and the processes that it has waited for have used.
func cpuTime() time.Duration {
	var sum int64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			panic(err) // EINVAL and EFAULT are all it knows, getrusage(2)
		}
		sum += usage.Utime.Nano() + usage.Stime.Nano()
	}
	return time.Duration(sum)
}
