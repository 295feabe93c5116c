package control

import (
	"context"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// Plugin does what operators ask for.
type Plugin interface {
	Status() Status

	// ConfigProblem returns why the node config in force allows nothing, nil if
	// it is valid.
	ConfigProblem() error

	// Move moves a device into the namespace at path, as this process sees it.
	Move(ctx context.Context, m sandbox.Move, path string) (moved string, err error)

	// Return returns devices by hand.
	Return(s sandbox.Selection) (sandbox.Returned, error)

	// Inventory returns the devices that the node offers to claims, when their
	// generation is another one than after, or after a while.
	Inventory(ctx context.Context, after uint64) (claim.Inventory, error)

	// Prepare reserves the devices of a claim for its pod.
	Prepare(c claim.Claim) (claim.Prepared, error)

	// Unprepare ends the reservation of a claim whose devices are home.
	Unprepare(uid string) error

	// Claims returns what has become of claims, when their generation is another one than
	// after, or after a while.
	Claims(ctx context.Context, after uint64) (claim.Statuses, error)
}

// Status is what the plugin knows of devices that are away, and of itself.
type Status struct {
	sandbox.Status
	Runtime *Runtime `json:"runtime,omitempty"` // nil while the plugin is not registered
}

// Runtime is the container runtime.
type Runtime struct {
	Name           string `json:"name"`
	Version        string `json:"version"`
	NRI            string `json:"nri,omitempty"`  // version of its NRI, if it tells
	RequestTimeout string `json:"requestTimeout"` // how long it waits for an answer
}

// Config says whether the plugin's node config is valid.
type Config struct {
	Problem string `json:"problem,omitempty"` // why it allows nothing; "" if it is valid
}
