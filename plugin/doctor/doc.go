// Package doctor looks at a node, and says what keeps the plugin from its work, or may
// do so later, and what to do about it. It changes nothing.
//
// CheckNode looks at the node itself. The other checks judge what the caller has
// found out, such as what the running plugin answers.
package doctor
