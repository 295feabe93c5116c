package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

func devicesCommand(c *common) *cobra.Command {
	hostNetns, as := "", output("")
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "show the node's devices, who may have them, and who has them",
		Long: `devices shows the network devices of this node: what they are, and which pods may
have them by which rule, or why none may. For a device that is away it shows
which pod has the device under which name. It changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.devices(cmd.Context(), cmd.ErrOrStderr(), hostNetns)
			if err != nil {
				return err
			}
			return as.print(cmd.OutOrStdout(), list, func(out io.Writer) error { return printDevices(out, list) })
		},
	}
	as.flag(cmd)
	cmd.Flags().StringVar(&hostNetns, "host-netns", "", `network namespace to look for devices in: a path, or "self"`)
	return cmd
}

// device is a device of the node, as devices -o json prints it.
type device struct {
	Name       string   `json:"name"`
	Altnames   []string `json:"altnames,omitempty"`
	Kind       string   `json:"kind,omitempty"` // as in ip-link(8); absent for hardware
	Driver     string   `json:"driver,omitempty"`
	PCIAddress string   `json:"pciAddress,omitempty"`
	MAC        string   `json:"mac,omitempty"` // the permanent one, if there is one
	Addresses  []string `json:"addresses,omitempty"`
	State      string   `json:"state"` // up or down; as in status if the device is away
	Pod        string   `json:"pod,omitempty"`
	PodName    string   `json:"podName,omitempty"` // its name in that pod

	Allowed *config.Verdict `json:"allowed,omitempty"` // nil if the device is away
}

func (c *common) devices(ctx context.Context, stderr io.Writer, hostNetns string) (list []device, err error) {
	nodeConfig, err := config.Load(c.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		nodeConfig = config.Default()
		fmt.Fprintf(stderr, "nri-netdev: no %s: nothing is allowed\n", c.config)
	case err != nil:
		nodeConfig = config.Invalid(err)
		fmt.Fprintf(stderr, "nri-netdev: the node config is not valid, so nothing is allowed: %v\n", err)
	}
	host, err := openHost(kernel.Linux{}, hostNetns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	// Facts are reasons against a move, and none for it.
	mayGo := func(dev netmove.Snapshot) bool {
		return len(nodeConfig.Explain(netmove.Device{Snapshot: dev}).Rules) > 0
	}
	here, err := netmove.ReadAll(host, mayGo)
	if err != nil {
		return nil, err
	}
	for _, dev := range here {
		verdict := nodeConfig.Explain(dev)
		list = append(list, deviceOf(dev, &verdict))
	}
	// Devices on the host are shown without a plugin and without root, too.
	status, err := c.status(ctx, stderr)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	for _, a := range status.Attachments {
		list = append(list, device{Name: a.Device, State: string(a.State), Pod: cmp.Or(a.Pod, a.Netns), PodName: a.PodName})
	}
	return list, nil
}

func deviceOf(dev netmove.Device, verdict *config.Verdict) device {
	d := device{
		Name: dev.Name, Altnames: dev.Altnames, Kind: dev.Identity.Kind, Driver: dev.Identity.Driver,
		PCIAddress: dev.Identity.PCIAddress(), MAC: dev.MAC.String(), State: "down", Allowed: verdict,
	}
	if dev.Identity.PermMAC != nil {
		d.MAC = dev.Identity.PermMAC.String()
	}
	if dev.Flags.Up {
		d.State = "up"
	}
	for _, a := range dev.Addresses {
		if a.Scope == netmove.ScopeGlobal {
			d.Addresses = append(d.Addresses, a.Local.String())
		}
	}
	return d
}

func printDevices(out io.Writer, list []device) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tKIND\tDRIVER\tPCI ADDRESS\tMAC\tADDRESSES\tSTATE\tMAY GO TO, OR IS IN")
	for _, d := range list {
		where := fmt.Sprintf("%s as %s", d.Pod, d.PodName)
		if d.Allowed != nil {
			where = d.Allowed.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", strings.Join(append([]string{d.Name}, d.Altnames...), ", "),
			cmp.Or(d.Kind, "-"), cmp.Or(d.Driver, "-"), cmp.Or(d.PCIAddress, "-"), cmp.Or(d.MAC, "-"),
			cmp.Or(strings.Join(d.Addresses, ", "), "-"), d.State, where)
	}
	return w.Flush()
}
