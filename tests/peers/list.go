package main

import (
	"fmt"
	"strconv"
	"strings"
)

// list is a flag of numbers, separated by commas.
type list []int

func (l *list) String() string { return strings.Trim(fmt.Sprint(*l), "[]") }

func (l *list) Set(text string) error {
	*l = nil
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a number", word)
		}
		*l = append(*l, n)
	}
	return nil
}
