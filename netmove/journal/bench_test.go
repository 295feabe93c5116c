package journal

import (
	"fmt"
	"testing"
)

// BenchmarkSandbox is the journal's part of a sandbox's life: begun, committed, removed,
// beside as many others.
func BenchmarkSandbox(b *testing.B) {
	for _, others := range []int{0, 250} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			j, _, err := Open(b.TempDir(), boot)
			if err != nil {
				b.Fatal(err)
			}
			for i := range others {
				if err := j.Begin(record(fmt.Sprint("other", i), uint64(10*i+1), uint64(10*i+2)), j.Homecomings()); err != nil {
					b.Fatal(err)
				}
			}
			r := record("a", 1<<40, 1<<40+1)
			b.ReportAllocs()
			for b.Loop() {
				if err := j.Begin(r, j.Homecomings()); err != nil {
					b.Fatal(err)
				}
				r.State = Attached
				if err := j.Put(r); err != nil {
					b.Fatal(err)
				}
				if err := j.Remove(r.Sandbox); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
