package config

import (
	"fmt"
	"strconv"
	"strings"
)

// The author of a pod reads problems in an event, which holds 1024 bytes.
const (
	maxProblems  = 100 // kept; reading stops then
	shownInText  = 10  // written by Problems.Error
	maxQuoted    = 40  // characters of a quoted value
	maxYAMLError = 200 // characters of what the YAML parser says
)

// Problem is one thing that is wrong with a text.
type Problem struct {
	Path string // such as "netdevices.noderesource.dev/pod[1].mtu"; "" for a whole file
	Text string // what is wrong there, and what to do
}

// Error returns the path, if there is one, and the text.
func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Problems is the error for a text. It holds all problems in the order in which they
// were found, and at least one if it is returned as an error.
type Problems struct{ list []*Problem }

// Error writes a line per problem, the first ten of them.
func (p *Problems) Error() string {
	var lines []string
	for i, problem := range p.list {
		if i == shownInText {
			lines = append(lines, fmt.Sprintf("and %d more", len(p.list)-i))
			break
		}
		lines = append(lines, problem.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each problem as a *Problem, the first hundred of them.
func (p *Problems) Unwrap() []error {
	errs := make([]error, len(p.list))
	for i, problem := range p.list {
		errs[i] = problem
	}
	return errs
}

func (p *Problems) add(path, text string) {
	if !p.full() {
		p.list = append(p.list, &Problem{Path: path, Text: text})
	}
}

func (p *Problems) count() int { return len(p.list) }

func (p *Problems) full() bool { return len(p.list) == maxProblems }

// err returns p, or nil if there is no problem.
func (p *Problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p
}

// quote returns text as an error shows it: in quotes, on one line, printable and
// shortened.
func quote(text string) string {
	return strconv.Quote(shorten(text, maxQuoted))
}

// shorten cuts text to limit characters and marks the cut.
func shorten(text string, limit int) string {
	for i := range text {
		if limit == 0 {
			return text[:i] + "…"
		}
		limit--
	}
	return text
}
