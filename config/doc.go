// Package config turns the text that comes in from outside into checked
// values: what a pod asks for (its annotation), what the node's operator
// allows (NodeConfig), and the verdict of the second on the first.
//
// Both texts are YAML and are read by the same strict reader, in this order:
//
//  1. scan.go refuses, before any parser sees it, a text that is too large,
//     holds characters nobody types, or might nest deeply;
//  2. decode.go parses it into nodes, never expanding an alias, and accepts
//     one document only;
//  3. value.go reads the nodes by what is expected at each place, so that a
//     field nobody knows, a field given twice, null, or "no" where a string
//     belongs is an error and never a default;
//  4. the checks of each field, and of all fields as a set.
//
// Everything wrong with a text is returned at once, as *Problems. Nothing is
// logged here, nothing is read from the kernel, and only Load and Watch touch
// a file.
package config
