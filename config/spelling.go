package config

import "strings"

// unknown returns the text for a name that is not known, with the known name that was
// probably meant.
func unknown(what, name string, known []string) string {
	text := "unknown " + what + " " + quote(name)
	if meant := nearest(name, known); meant != "" {
		text += ": did you mean " + quote(meant) + "?"
	}
	return text
}

// nearest returns the known name that name is probably a misspelling of, "" if there is
// none. Case and separators do not count, and at most a third of the bytes may differ.
func nearest(name string, known []string) string {
	if len(name) > maxQuoted {
		return ""
	}
	name = fold(name)
	best, fewest := "", maxQuoted
	for _, k := range known {
		if d := distance(name, fold(k)); d < fewest && d <= len(k)/3 {
			best, fewest = k, d
		}
	}
	return best
}

// fold removes case and separators from a name.
func fold(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", ""))
}

// distance returns how many bytes to insert, delete or replace to turn a into b
// (Levenshtein's distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
