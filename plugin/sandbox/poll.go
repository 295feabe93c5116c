package sandbox

import (
	"context"
	"reflect"
	"sync"
	"time"
)

const (
	// longPoll is how long a question for news waits.
	longPoll = 30 * time.Second

	// pollEvery is how often such a question looks for what no change of the journal tells,
	// such as a device that the host has got.
	pollEvery = time.Second
)

// versioned is the last value of something, with a generation that is another one after
// every change. A process begins with one that no earlier process had.
type versioned[T any] struct {
	mu         sync.Mutex
	generation uint64
	value      T
}

// update reads the value anew. Callers wait for each other, so that one reads at a time.
func (v *versioned[T]) update(read func() (T, error)) (generation uint64, value T, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, err := read()
	if err != nil {
		return 0, value, err
	}
	switch {
	case v.generation == 0:
		v.generation, v.value = uint64(time.Now().UnixMicro()), now
	case !reflect.DeepEqual(v.value, now):
		v.generation++
		v.value = now
	}
	return v.generation, v.value, nil
}

// poll calls look until there is news or it fails, until longPoll is over or until ctx ends:
// now, when the journal changes, and every pollEvery.
func (t *Table) poll(ctx context.Context, look func() (news bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, longPoll)
	defer cancel()
	for {
		changed := t.journal.Changed()
		if news, err := look(); news || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(pollEvery):
		}
	}
}
