// Package hosts is how hosts of several kinds route their own traffic, for tests: as commands of
// ip(8), which a kernel carries out, and as what netmove decides by.
package hosts
