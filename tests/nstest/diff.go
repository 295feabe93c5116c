package nstest

import (
	"slices"
	"strings"
)

// Diff is the lines that one text has and another has not, each with where it is. It is
// empty if they are equal.
func Diff(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	var out strings.Builder
	place, told := "", ""
	tell := func(sign, line string) {
		if place != told {
			told = place
			out.WriteString("  " + place + "\n")
		}
		out.WriteString(sign + line + "\n")
	}
	common := commonLines(a, b)
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if !strings.HasPrefix(a[i], " ") && !strings.HasPrefix(a[i], "\t") {
				place = a[i]
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			tell("- ", a[i])
			i++
		default:
			tell("+ ", b[j])
			j++
		}
	}
	return out.String()
}

// commonLines is how many lines the rest of a, from a line on, and that of b have in
// common, in their order.
func commonLines(a, b []string) [][]int32 {
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if line == other {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}
