// Package control is how operators and a DRA driver speak to the running plugin: JSON over HTTP
// on a Unix socket in the state folder, which is root's alone.
//
//	GET  /status   what is away, see Status
//	GET  /config   Config: why nothing is allowed, if so
//	POST /move     a Move, with the header NetnsFD; the answer is a text
//	POST /return   a Selection; the answer is a Returned
//
// A DRA driver, which is a program of its own, speaks to the plugin here as well, with the
// types of package claim:
//
//	GET  /inventory?after=GENERATION  the devices that the node offers to claims
//	GET  /claims?after=GENERATION     what has become of the claims
//	POST /claims/prepare              a Claim; the answer is a Prepared
//	POST /claims/unprepare            an Unprepare; the answer is {}
//
// An answer other than 200 is a sentence for the operator.
//
// Serve listens as long as the plugin runs, even if somebody removes the socket or
// the whole folder. Client asks. A caller that finds no plugin (NotRunning) may
// become the writer of the state folder instead, see package state.
package control
