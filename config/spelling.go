package config

import "strings"

// unknown says that there is no such name, and which one was probably meant.
func unknown(what, name string, known []string) string {
	text := "unknown " + what + " " + quote(name)
	if meant := nearest(name, known); meant != "" {
		text += ": did you mean " + quote(meant) + "?"
	}
	return text
}

// nearest returns the known name that a slip of the hand made into name: the
// same but for case and separators, or else a third of it changed at most.
// It is "" if there is none.
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

// fold removes what is easily mistaken in a name: case and separators.
func fold(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", ""))
}

// distance is the number of bytes to insert, delete or replace to make b of a
// (Levenshtein's).
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
