package netmove

import (
	"fmt"
	"slices"
	"strings"
)

// Parts are parts of a Snapshot, which is read in pieces: each costs requests.
type Parts uint8

// The parts there are.
const (
	PartLink      Parts = 1 << iota // what RTM_GETLINK tells: it is always read
	PartAddresses                   // Addresses, TakenAt
	PartEntries                     // Entries
	PartOptions                     // of Options what RTM_GETLINK does not tell
	PartSysctls                     // Sysctls
	PartTunFile                     // of Options what a tun or tap tells only who attaches to it

	// AllParts are all of them.
	AllParts = quietParts | PartTunFile

	// quietParts are those that nobody notices being read.
	quietParts = PartLink | PartAddresses | PartEntries | PartOptions | PartSysctls

	// upperParts are those of a device on the one that moves, which a move can change.
	upperParts = PartLink | PartAddresses | PartEntries
)

// Has reports whether all of those parts are among these.
func (p Parts) Has(those Parts) bool { return p&those == those }

func partNames() [6]string {
	return [...]string{"link", "addresses", "entries", "options", "sysctls", "tunfile"}
}

// String names the parts.
func (p Parts) String() string {
	var words []string
	for i, name := range partNames() {
		if p.Has(1 << i) {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

// MarshalText is String.
func (p Parts) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Parts) UnmarshalText(text []byte) error {
	*p = 0
	names := partNames()
	for word := range strings.FieldsSeq(string(text)) {
		i := slices.Index(names[:], word)
		if i < 0 {
			return fmt.Errorf("part %q of a device is not known", word)
		}
		*p |= 1 << i
	}
	return nil
}
