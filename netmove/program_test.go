package netmove

import (
	"strings"
	"testing"
)

// A queue that a process holds is none of the programs that a pod may want to be without.
func TestTunQueueIsNoProgram(t *testing.T) {
	t.Parallel()
	queue, xdp := Program{Hook: TunQueue, ID: 1}, Program{Hook: XDPGeneric, ID: 7}
	list := detached(Request{DetachBPF: true}, []Program{queue, xdp})
	if list[0].Detached || !list[1].Detached {
		t.Errorf("taken off are %+v", list)
	}
	if text := queue.String(); !strings.Contains(text, "process") || strings.Contains(xdp.String(), "process") {
		t.Errorf("%q and %q", text, xdp)
	}
}
