package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on how deep a text can nest. Together they keep a document at less
// than 2*maxBrackets + 2*(maxIndent+1) levels, most of which the walker never
// descends into.
const (
	maxBrackets = 2048 // "[" and "{" in the whole text
	maxIndent   = 64   // columns before a line's first word
)

// scan refuses a text that is unsafe to parse: longer than maxBytes, with characters that
// are not text, or possibly nested deeply. It allocates nothing unless it refuses.
func scan(text string, maxBytes int) error {
	if len(text) > maxBytes {
		return fmt.Errorf("%d bytes long, at most %d are allowed", len(text), maxBytes)
	}
	if err := scanCharacters(text); err != nil {
		return err
	}
	return scanNesting(text)
}

// scanCharacters allows printable characters, tabs, "\n" and "\r\n". It refuses a lone
// "\r", U+0085, U+2028 and U+2029: they are line breaks to YAML 1.1, and a person does
// not see them.
func scanCharacters(text string) error {
	for i, r := range text {
		switch {
		case r == '\n', r == '\t', r == '\r' && strings.HasPrefix(text[i+1:], "\n"):
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return fmt.Errorf("line %d: not UTF-8", lineAt(text, i))
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\uFEFF':
			return fmt.Errorf("line %d: character %U is not allowed", lineAt(text, i), r)
		}
	}
	return nil
}

// scanNesting refuses a text that might nest deeply. It counts too much, since an exact
// count takes a YAML lexer, and a text that the lexer and the parser read differently
// would get past it. Quotes, comments and block scalars cannot make it count too little:
//
//   - "[" and "{" open at most two levels each (a list, and in "[a: b]" the
//     mapping), and are counted as if none was ever closed.
//   - A block list or mapping starts at the first word of a line, or at one of
//     the "- ", "? " and ": " before it. Nested ones start at different
//     columns, except a list that is not indented below its mapping; so there
//     are at most two for each column.
func scanNesting(text string) error {
	if strings.Count(text, "[")+strings.Count(text, "{") > maxBrackets {
		return fmt.Errorf("nested too deeply: more than %d opening brackets", maxBrackets)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line)-len(strings.TrimLeft(line, " \t-?:")) > maxIndent {
			return fmt.Errorf("nested too deeply: a line is indented by more than %d columns", maxIndent)
		}
	}
	return nil
}

// lineAt returns the number of the line of text[i], from 1.
func lineAt(text string, i int) int {
	return 1 + strings.Count(text[:i], "\n")
}
