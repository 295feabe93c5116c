// Package control is how operators speak to the running plugin: JSON over HTTP
// on a Unix socket in the state folder, which is root's alone.
//
//	GET  /status   what is away, see Status
//	GET  /config   Config: why nothing is allowed, if so
//	POST /move     a Move, with the header NetnsFD; the answer is a text
//	POST /return   a Selection; the answer is a Returned
//
// An answer other than 200 is a sentence for the operator.
//
// Serve listens as long as the plugin runs, even if somebody removes the socket or
// the whole folder. Client asks. A caller that finds no plugin (NotRunning) may
// become the writer of the state folder instead, see package state.
package control
