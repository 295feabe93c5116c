package config

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Globs are those of path.Match: "*" for anything, "?" for one character,
// "[a-f0-9]" for one of a set, "\" before a character that is meant. None of
// the names they are for holds a "/", so "*" covers a whole name.

const globCharacters = `*?[\`

// checkGlob returns an error if the glob can match no name.
func checkGlob(glob string) error {
	switch _, err := path.Match(glob, ""); {
	case glob == "":
		return errors.New("empty: want a name or a glob")
	case err != nil:
		return fmt.Errorf("%s is not a glob: a \"[\" or a \"\\\" in it has no end", quote(glob))
	case strings.Contains(glob, "/"):
		return fmt.Errorf("%s never matches: no name has a \"/\"", quote(glob))
	}
	return nil
}

func parseGlob(item value) (string, bool) {
	text, ok := item.text()
	if !ok {
		return "", false
	}
	if err := checkGlob(text); err != nil {
		item.refuse("%v", err)
		return "", false
	}
	return text, true
}

// isExact reports whether glob writes one name out.
func isExact(glob string) bool { return !strings.ContainsAny(glob, globCharacters) }

// matchAny reports whether one of the globs matches name. No glob matches "", which
// stands for a missing name.
func matchAny(globs []string, name string) bool {
	if name == "" {
		return false
	}
	for _, glob := range globs {
		// A malformed glob matches nothing; Parse lets none through.
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}
