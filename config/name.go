package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Lengths in bytes, without the NUL at the end (linux/if.h).
const (
	maxName    = 15  // IFNAMSIZ - 1
	maxAltname = 127 // ALTIFNAMSIZ - 1
)

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checkHostName returns an error if no device of the host can have the name, as its
// name or as an altname. It checks what dev_valid_name checks (net/core/dev.c). The
// kernel checks only the length of an altname; here altnames have the same rules, since
// "eth0:1" is more likely the label of an address.
func checkHostName(name string) error {
	switch {
	case name == "":
		return errors.New("empty: want the name of a device")
	case len(name) > maxAltname:
		return fmt.Errorf("%s is too long: a device's name has at most %d bytes, an altname %d", quote(name), maxName, maxAltname)
	case name == ".", name == "..", strings.ContainsAny(name, "/:"), strings.ContainsFunc(name, isNotInName):
		return fmt.Errorf("%s is not the name of a device", quote(name))
	}
	return nil
}

func isNotInName(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// CheckPodName returns an error if a device must not have the name in a pod. It is
// stricter than the kernel, since programs in the pod use the name in file names, shells
// and sysctl paths; "all" and "default" are folders of sysctls.
func CheckPodName(name string) error {
	switch {
	case name == "":
		return errors.New("empty: leave it out to keep the host's name")
	case name == "lo", name == "all", name == "default":
		return fmt.Errorf("%s is reserved", quote(name))
	case len(name) > maxName:
		return fmt.Errorf("%s is too long: at most %d characters are allowed", quote(name), maxName)
	case strings.Trim(name, alphanumeric+"._-") != "", strings.Trim(name[:1], alphanumeric) != "":
		return fmt.Errorf("%s is not a name: want letters, digits, \".\", \"_\" and \"-\", and one of the first two to begin with", quote(name))
	}
	return nil
}
