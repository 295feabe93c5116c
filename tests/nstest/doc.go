// Package nstest makes network namespaces for tests and prints what is in
// them.
//
// A namespace made here is empty but for lo, has a path like a pod's, and
// goes when its test ends. Nothing changes the namespace of a thread that
// other goroutines may get, so tests can run in parallel. A package whose
// TestMain calls Main runs in a mount namespace of its own: even a test
// process killed with SIGKILL leaves no namespace behind.
//
// Namespaces need root. Without it their tests skip, or fail if
// NRI_NETDEV_REQUIRE lists "netns", so that CI cannot pass by skipping.
package nstest
