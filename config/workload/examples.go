package workload

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxWays bounds how many ways to match the globs are followed at once.
const maxWays = 10_000

// errTooManyWays ends a search that would take too long.
var errTooManyWays = errors.New("the globs of podNames match in too many ways to try all")

// Examples returns names of pods, one for each set of lists that can match together. A
// list matches a name if one of its globs does. So a decision that depends only on which
// lists match is the same for all names if it is the same for all examples.
func (n Names) Examples(lists [][]string) ([]string, error) {
	m := newMatcher(lists)
	seen := map[string]bool{}
	var examples []string
	for _, p := range n.patterns {
		ends, err := m.walk(p)
		if err != nil {
			return nil, err
		}
		for _, w := range ends {
			if lists := m.matched(w.at); !seen[lists] {
				seen[lists] = true
				examples = append(examples, w.name)
			}
		}
	}
	return examples, nil
}

// matcher matches names against the globs of all lists at once, a character at a time.
type matcher struct {
	tokens []string // of all globs, one after the other; "" ends a glob
	lists  []int    // which list the token belongs to
	starts []int    // the first token of each glob
}

// way is one way to match the beginning of a name, with an example of the beginning.
type way struct {
	at   []int // tokens that may match the next character, in order
	name string
}

func newMatcher(lists [][]string) *matcher {
	m := &matcher{}
	for i, globs := range lists {
		for _, glob := range globs {
			m.starts = append(m.starts, len(m.tokens))
			for _, token := range append(split(glob), "") {
				m.tokens = append(m.tokens, token)
				m.lists = append(m.lists, i)
			}
		}
	}
	return m
}

// split returns the tokens of a glob: each matches one character, but for "*".
func split(glob string) []string {
	var tokens []string
	for len(glob) > 0 {
		n := tokenLength(glob)
		tokens = append(tokens, glob[:n])
		glob = glob[n:]
	}
	return tokens
}

// tokenLength returns the length of the glob's first token: "*", a set in brackets, "\"
// with a character, or a character alone.
func tokenLength(glob string) int {
	switch glob[0] {
	case '\\':
		return min(2, len(glob))
	case '[':
		for i := 1; i < len(glob); i++ {
			if glob[i] == '\\' {
				i++
			} else if glob[i] == ']' && i > 1 {
				return i + 1
			}
		}
		return len(glob)
	}
	return 1
}

// walk returns every way to match a whole name of the pattern.
func (m *matcher) walk(p pattern) ([]way, error) {
	ways := []way{{at: m.follow(m.starts)}}
	var ends []way
	for i, characters := range p.places {
		next := map[string]bool{}
		var after []way
		for _, w := range ways {
			for c := range strings.SplitSeq(characters, "") {
				at := m.step(w.at, c)
				if key := fmt.Sprint(at); !next[key] {
					next[key] = true
					after = append(after, way{at, w.name + c})
				}
			}
		}
		if ways = after; len(ways) > maxWays {
			return nil, errTooManyWays
		}
		if i+1 >= p.min {
			ends = append(ends, ways...)
		}
	}
	return ends, nil
}

// step returns where the globs are after one more character.
func (m *matcher) step(at []int, c string) []int {
	var next []int
	for _, i := range at {
		switch token := m.tokens[i]; {
		case token == "*":
			next = append(next, i)
		case token != "" && matches(token, c):
			next = append(next, i+1)
		}
	}
	return m.follow(next)
}

func matches(token, c string) bool {
	ok, _ := path.Match(token, c) // the node config has no malformed glob
	return ok
}

// follow adds the tokens after each "*", which may match nothing.
func (m *matcher) follow(at []int) []int {
	all := slices.Clone(at)
	for i := 0; i < len(all); i++ {
		if m.tokens[all[i]] == "*" {
			all = append(all, all[i]+1)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// matched returns, as text, the lists that match: the end of one of their globs is in at.
func (m *matcher) matched(at []int) string {
	var lists []int
	for _, i := range at {
		if m.tokens[i] == "" {
			lists = append(lists, m.lists[i])
		}
	}
	return fmt.Sprint(slices.Compact(lists))
}
