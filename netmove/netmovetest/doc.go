// Package netmovetest is a kernel in memory for tests of netmove: network
// namespaces with devices that behave as Linux was measured to behave,
// partial moves included, and that fail at any step a test chooses. The world
// prints as text, to be compared as a whole.
//
// It exists to fail; that the engine works is shown on a real kernel.
package netmovetest
