// Package program is what the programs of this project have in common: their logger, and what
// they say of themselves.
package program
