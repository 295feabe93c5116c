package netmove

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

// A default route stands back, or is there again, before the other one goes.
func TestReplacing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		put, drop   error
		there, back string // the errors
		kept        bool   // nothing is dropped on the way back
	}{
		"done":          {},
		"done before":   {put: ErrExists, drop: ErrNotFound},
		"not reachable": {put: ErrUnreachable, there: ErrUnreachable.Error(), kept: true},
		"not put":       {put: ErrBusy, there: "the device must be down for it", back: "put back the pod's default route was: the device must be down for it", kept: true},
		"not dropped":   {drop: ErrBusy, there: "the device must be down for it", back: "put back the pod's default route was: the device must be down for it"},
	} {
		a := &Attachment{Replaced: []Replacement{{Index: 2, Was: Entry{Text: "was"}, Now: Entry{Text: "now"}}}}
		pod := &answers{to: map[string]error{"put": tc.put, "drop": tc.drop}}
		var failed []string
		for _, s := range a.replaceSteps(pod) {
			failed = append(failed, errorText(s.do()))
		}
		got := strings.Join(failed, "")
		if got != tc.there || strings.Join(pod.asked, ", ") != "put now, drop was" {
			t.Errorf("%s: asked for %v: %s", name, pod.asked, got)
		}
		pod.asked = nil
		err := errorText((&Mover{Log: slog.New(slog.DiscardHandler)}).putBackReplaced(pod, a))
		asked := "put was, drop now"
		if tc.kept {
			asked = "put was"
		}
		if err != tc.back || strings.Join(pod.asked, ", ") != asked {
			t.Errorf("%s: on the way back asked for %v: %s", name, pod.asked, err)
		}
	}
}

// What to do about a route that is there is told, where it can be done.
func TestOrReplace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		route RouteRequest
		want  bool
	}{
		"default":            {RouteRequest{To: netip.MustParsePrefix("0.0.0.0/0")}, true},
		"default of main":    {RouteRequest{To: netip.MustParsePrefix("::/0"), Table: 254}, true},
		"default of another": {RouteRequest{To: netip.MustParsePrefix("0.0.0.0/0"), Table: 7}, false},
		"half":               {RouteRequest{To: netip.MustParsePrefix("0.0.0.0/1")}, false},
	} {
		if got := tc.route.orReplace(); (got != "") != tc.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
