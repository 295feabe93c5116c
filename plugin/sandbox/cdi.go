package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	cdi "tags.cncf.io/container-device-interface/specs-go"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// CDIKind is the kind of the CDI devices that stand for the devices of claims. A runtime
// makes no container that asks for one before there is a specification of it.
const CDIKind = "netdev.noderesource.dev/claim"

const (
	// cdiVersion is the first one that allows a device's name to begin with a digit.
	cdiVersion = "0.5.0"

	specPrefix = "netdev.noderesource.dev-claim-"
	specSuffix = ".json"
)

// specs are the CDI specifications of claims, one file each, in a folder that runtimes
// read. There is one exactly as long as a pod has all devices of the claim, so that no
// container that names the claim starts without them, whether the plugin runs or not.
//
// Invariant: the CDI specification of a claim is there only while its pod is attached.
type specs struct{ folder string }

func (s specs) path(claim string) string {
	return filepath.Join(s.folder, specPrefix+claim+specSuffix)
}

// has reports whether the specification of a claim is there.
func (s specs) has(claim string) bool {
	_, err := os.Lstat(s.path(claim))
	return err == nil
}

// write writes the specification of a claim whose devices have these names in the pod, in
// the order of the reservation.
func (s specs) write(r *journal.Reservation, names []string) error {
	data, err := json.MarshalIndent(specOf(r, names), "", "  ")
	if err == nil {
		err = os.MkdirAll(s.folder, 0o755)
	}
	if err == nil {
		// A name that does not end in .json is no specification to runtimes.
		err = renameio.WriteFile(s.path(r.Claim.UID), append(data, '\n'), 0o644, renameio.WithTempDir(s.folder))
	}
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return fmt.Errorf("write the CDI specification of claim %s: %w", r.Claim, err)
	}
	return nil
}

// specOf tells a container the name of each device by an environment variable.
func specOf(r *journal.Reservation, names []string) cdi.Spec {
	spec := cdi.Spec{Version: cdiVersion, Kind: CDIKind}
	for i, d := range r.Devices {
		name := strings.TrimPrefix(d.CDI, r.Claim.UID+"-")
		spec.Devices = append(spec.Devices, cdi.Device{
			Name:           d.CDI,
			ContainerEdits: cdi.ContainerEdits{Env: []string{"NETDEV_CLAIM_" + variable(name) + "=" + names[i]}},
		})
	}
	return spec
}

// variable is the name as a part of an environment variable's.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// remove removes the specification of a claim, which need not exist.
func (s specs) remove(claim string) error {
	err := os.Remove(s.path(claim))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return fmt.Errorf("remove the CDI specification of claim %s: %w", claim, err)
	}
	return nil
}

func (s specs) sync() error {
	folder, err := os.Open(s.folder)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// clean removes the specifications of claims for which keep is false, and what a crash has
// left of a write.
func (s specs) clean(keep func(claim string) bool) error {
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for CDI specifications: %w", err)
	}
	var errs []error
	for _, e := range entries {
		name, temporary := strings.CutPrefix(e.Name(), ".")
		claim, ours := strings.CutPrefix(name, specPrefix)
		claim, whole := strings.CutSuffix(claim, specSuffix)
		if ours && (temporary || whole && !keep(claim)) {
			errs = append(errs, os.Remove(filepath.Join(s.folder, e.Name())))
		}
	}
	return errors.Join(errs...)
}
