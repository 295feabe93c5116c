package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// operation is what is measured.
type operation string

const (
	attach   operation = "attach"
	giveBack operation = "return"
)

// sample is one operation of a peer.
type sample struct {
	scale
	peer      string
	operation operation
	round     int
	kept      int // addresses that the devices had afterwards

	wall   time.Duration
	inside time.Duration // the requests that move; 0: not known
	cpu    time.Duration // of this process and of those it has started, user and system
}

// want is how many addresses the devices have to begin with.
func (s sample) want() int { return s.addresses * s.devices }

// outside is what the peer adds to the move.
func (s sample) outside() time.Duration { return s.wall - s.inside }

// columns are those of a file of samples.
func columns() []string {
	return []string{
		"addresses", "interfaces", "devices", "round", "peer", "operation",
		"kept_addresses", "wall_ns", "inside_ns", "cpu_ns",
	}
}

func (s sample) row() []string {
	n := func(n int) string { return strconv.Itoa(n) }
	ns := func(d time.Duration) string { return strconv.FormatInt(d.Nanoseconds(), 10) }
	return []string{
		n(s.addresses), n(s.interfaces), n(s.devices), n(s.round), s.peer, string(s.operation),
		n(s.kept), ns(s.wall), ns(s.inside), ns(s.cpu),
	}
}

func parseRow(row []string) (sample, error) {
	var errs []error
	n := func(i int) int {
		n, err := strconv.Atoi(row[i])
		errs = append(errs, err)
		return n
	}
	s := sample{
		scale: scale{n(0), n(1), n(2)}, round: n(3), peer: row[4], operation: operation(row[5]),
		kept: n(6), wall: time.Duration(n(7)), inside: time.Duration(n(8)), cpu: time.Duration(n(9)),
	}
	return s, errors.Join(errs...)
}

// writeSamples writes them as CSV, in the order in which they were taken.
func writeSamples(path string, samples []sample) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	errs := []error{w.Write(columns())}
	for _, s := range samples {
		errs = append(errs, w.Write(s.row()))
	}
	w.Flush()
	return errors.Join(append(errs, w.Error(), file.Close())...)
}

func readSamples(path string) ([]sample, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.FieldsPerRecord = len(columns())
	if _, err := r.Read(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var samples []sample
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s, err := parseRow(row)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		samples = append(samples, s)
	}
}
