package claim

// Inventory lists the devices that the node offers to claims.
type Inventory struct {
	// Generation is another one after every change, also after a restart of the plugin.
	Generation uint64   `json:"generation"`
	Devices    []Device `json:"devices"` // by name
}

// Device is a device of a pool. While a pod has it, it is described as it was on the host.
type Device struct {
	// Name identifies the device among those of the node: a DNS label made from the PCI
	// address, such as "pci-0000-81-00-0", else from the host name.
	Name string `json:"name"`

	Pool       string `json:"pool"`                 // of the node config, the first that has the device
	Interface  string `json:"interface"`            // its name on the host
	Kind       string `json:"kind,omitempty"`       // as in ip-link(8); "" for hardware
	Driver     string `json:"driver,omitempty"`     // as ethtool(8) -i shows it; of a virtual device its kind
	MAC        string `json:"mac,omitempty"`        // the permanent one, if there is one
	MTU        int    `json:"mtu"`                  // bytes
	Speed      int    `json:"speed,omitempty"`      // Mbit/s; 0 is not known
	PCIAddress string `json:"pciAddress,omitempty"` // such as "0000:81:00.0"
	PCIeRoot   string `json:"pcieRoot,omitempty"`   // of the PCIe root port's host bridge, such as "pci0000:80"
	NUMANode   *int   `json:"numaNode,omitempty"`   // nil is not known
	RDMA       string `json:"rdma,omitempty"`       // name of its RDMA device

	State   State  `json:"state"`
	Problem string `json:"problem,omitempty"` // why it is not as it should be
	Claim   string `json:"claim,omitempty"`   // UID of the claim that has it
}

// State is what a device is doing.
type State string

// The states of a device.
const (
	Free        State = "free"
	Reserved    State = "reserved"    // for a claim whose pod has not started
	InUse       State = "in-use"      // a pod has it, or it is on its way
	Misnamed    State = "misnamed"    // home under another name
	Quarantined State = "quarantined" // home, with something of a pod's on it
	Lost        State = "lost"        // nowhere to be found
)

// States lists every state.
func States() []State { return []State{Free, Reserved, InUse, Misnamed, Quarantined, Lost} }
