// Command nri-netdev is an NRI plugin that gives host network devices to pods
// and takes them back when the pods end.
//
// main.go has the flags that all commands share, and each command a file of its
// own name. Data goes to stdout; logs and errors go to stderr, an error as
// "nri-netdev: error: ..." with an optional "nri-netdev: hint: ...".
package main
