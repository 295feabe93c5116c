package program

import "runtime/debug"

// Set by the linker, see the Makefile.
//
//nolint:gochecknoglobals // there is no other way for a linker
var (
	release  string // such as v1.2.3
	revision string // commit; "" leaves it to what the go command recorded
)

// Version returns the release, "devel" if the program is none.
func Version() string {
	if release != "" {
		return release
	}
	return "devel"
}

// Commit returns the commit that the program was built from, "unknown" if nobody has noted it.
func Commit() string {
	if revision != "" {
		return revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
