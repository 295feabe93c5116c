package doctor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Level is how bad a finding is.
type Level string

// The levels there are.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, but something can go wrong
	Fail Level = "fail" // does not work
)

// Finding is what one check has found.
type Finding struct {
	Check  string `json:"check"` // what was looked at, such as "nri socket"
	Level  Level  `json:"level"`
	Text   string `json:"text"`             // what there is
	Advice string `json:"advice,omitempty"` // what to do; none if all is well
}

// Findings lists the findings of several checks.
type Findings []Finding

// notes collects findings.
type notes struct{ Findings }

func (n *notes) add(check string, level Level, advice, format string, args ...any) {
	if level == OK {
		advice = ""
	}
	n.Findings = append(n.Findings, Finding{check, level, fmt.Sprintf(format, args...), advice})
}

// Failed reports whether something does not work.
func (f Findings) Failed() bool {
	for _, one := range f {
		if one.Level == Fail {
			return true
		}
	}
	return false
}

// Print writes a table.
func (f Findings) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range f {
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.Level, one.Check, strings.ReplaceAll(one.Text, "\n", "; "))
		if one.Advice != "" {
			fmt.Fprintf(w, "\t\t-> %s\n", one.Advice)
		}
	}
	return w.Flush()
}
