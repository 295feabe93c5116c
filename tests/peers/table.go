package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// printMachine tells what the times are those of.
func printMachine(w io.Writer) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	fmt.Fprintf(w, "Linux %s, %s, CPUs: %d\n\n", unix.ByteSliceToString(name.Release[:]), runtime.Version(), runtime.NumCPU())
	return nil
}

// printTables prints samples of one scale, a table for each operation, in Markdown.
func printTables(w io.Writer, samples []sample) {
	for _, op := range []operation{attach, giveBack} {
		printTable(w, op, samples)
	}
}

func printTable(w io.Writer, op operation, samples []sample) {
	peers := byPeer(samples, op)
	if len(peers) == 0 {
		return
	}
	first := peers[0]
	fmt.Fprintf(w, "### %s\n\n%s, rounds: %d, times in ms\n\n", op, first.samples[0].scale, len(first.samples))
	fmt.Fprintf(w, "| peer | median | p10–p90 | × %s | outside the move | CPU | addresses |\n", first.name)
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|")
	for _, p := range peers {
		walls := p.ms(wallOf)
		fmt.Fprintf(w, "| %s | %.2f | %.2f–%.2f | %.2f | %s | %.2f | %d of %d |\n", p.name,
			median(walls), quantile(walls, 0.1), quantile(walls, 0.9),
			median(walls)/median(first.ms(wallOf)),
			orDash(median(p.outside())), median(p.ms(cpuOf)), p.kept(), p.samples[0].want())
	}
	fmt.Fprintln(w)
}

func orDash(ms float64) string {
	if math.IsNaN(ms) {
		return "–"
	}
	return fmt.Sprintf("%.2f", ms)
}

// series are the samples of one peer.
type series struct {
	name    string
	samples []sample
}

// byPeer tells the samples of an operation apart by peer.
func byPeer(samples []sample, op operation) []series {
	var all []series
	for _, name := range peerNames() {
		s := series{name: name}
		for _, one := range samples {
			if one.peer == name && one.operation == op {
				s.samples = append(s.samples, one)
			}
		}
		if len(s.samples) > 0 {
			all = append(all, s)
		}
	}
	return all
}

func wallOf(s sample) time.Duration { return s.wall }
func cpuOf(s sample) time.Duration  { return s.cpu }

// ms is something of each sample, in milliseconds.
func (s series) ms(of func(sample) time.Duration) []float64 {
	values := make([]float64, len(s.samples))
	for i, one := range s.samples {
		values[i] = float64(of(one)) / float64(time.Millisecond)
	}
	return values
}

// outside is what was outside the moves, where that is known.
func (s series) outside() []float64 {
	if s.samples[0].inside == 0 {
		return nil
	}
	return s.ms(sample.outside)
}

// kept is how many addresses came along, in the worst case.
func (s series) kept() int {
	least := s.samples[0].kept
	for _, one := range s.samples {
		least = min(least, one.kept)
	}
	return least
}
