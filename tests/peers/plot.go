package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// drawFiles draws files of samples: one in which a number varies over that number, others as
// distributions.
func drawFiles(args []string) error {
	flags := flag.NewFlagSet("peers plot", flag.ContinueOnError)
	folder := flags.String("out", ".", "`folder` for the drawings, SVG")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: peers plot [-out folder] file.csv ...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no file of samples: -csv makes one")
	}
	if err := os.MkdirAll(*folder, 0o755); err != nil {
		return err
	}
	for _, path := range flags.Args() {
		samples, err := readSamples(path)
		if err == nil {
			err = drawSamples(*folder, samples)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func drawSamples(folder string, samples []sample) error {
	if len(samples) == 0 {
		return errors.New("no samples")
	}
	over := slices.DeleteFunc(axes(), func(a axis) bool { return len(a.values(samples)) == 1 })
	switch len(over) {
	case 0:
		return errors.Join(drawDistribution(folder, attach, samples), drawDistribution(folder, giveBack, samples))
	case 1:
		return errors.Join(
			drawOver(over[0], filepath.Join(folder, "attach-by-"+over[0].name+".svg"), "Attach time", wallOf, samples),
			drawOver(over[0], filepath.Join(folder, "outside-by-"+over[0].name+".svg"), "Attach, time outside the move", sample.outside, known(samples)),
		)
	}
	return errors.New("more than one number varies in it: draw one at a time")
}

// known are the samples of which it is known what the moves took.
func known(samples []sample) []sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.inside == 0 })
}

// axis is a number of a scale, to draw over.
type axis struct {
	name, label string
	of          func(scale) int
}

func axes() []axis {
	return []axis{
		{"addresses", "addresses per device", func(s scale) int { return s.addresses }},
		{"interfaces", "other interfaces on the host", func(s scale) int { return s.interfaces }},
		{"devices", "devices per pod", func(s scale) int { return s.devices }},
	}
}

// values are the different values of the number, from the smallest.
func (a axis) values(samples []sample) []int {
	var values []int
	for _, s := range samples {
		values = append(values, a.of(s.scale))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// others tells what does not vary.
func (a axis) others(s scale) string {
	var words []string
	for _, other := range axes() {
		if other.name != a.name {
			words = append(words, fmt.Sprintf("%s: %d", other.label, other.of(s)))
		}
	}
	return strings.Join(words, ", ")
}

// drawOver draws medians over a number of the scale.
func drawOver(a axis, path, title string, of func(sample) time.Duration, samples []sample) error {
	c := newChart(fmt.Sprintf("%s: median by %s", title, a.label), a.others(samples[0].scale))
	c.X.Label.Text, c.Y.Label.Text = a.label, "ms"
	c.X.Tick.Marker = ticksAt(a.values(samples))
	for _, s := range byPeer(samples, attach) {
		var points []point
		for _, x := range a.values(s.samples) {
			at := series{name: s.name}
			for _, one := range s.samples {
				if a.of(one.scale) == x {
					at.samples = append(at.samples, one)
				}
			}
			points = append(points, point{X: float64(x), Y: median(at.ms(of))})
		}
		if err := c.add(s.name, points, true); err != nil {
			return err
		}
	}
	return c.save(path)
}

// drawDistribution draws which share of the operations has taken no longer than that.
func drawDistribution(folder string, op operation, samples []sample) error {
	const shown = 0.95 // of the operations: the few others would press together the rest
	c := newChart(fmt.Sprintf("Distribution of %s times", op), samples[0].scale.String())
	c.X.Label.Text, c.Y.Label.Text = "ms", "share of operations"
	for _, s := range byPeer(samples, op) {
		walls := s.ms(wallOf)
		slices.Sort(walls)
		points := []point{{X: walls[0]}}
		for i, wall := range walls {
			points = append(points, point{X: wall, Y: float64(i+1) / float64(len(walls))})
		}
		if err := c.add(s.name, points, false); err != nil {
			return err
		}
		c.limit = max(c.limit, quantile(walls, shown))
	}
	return c.save(filepath.Join(folder, string(op)+"-distribution.svg"))
}
