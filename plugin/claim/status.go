package claim

// Statuses tell what has become of the claims that are reserved.
type Statuses struct {
	Generation uint64   `json:"generation"` // another one after every change
	Claims     []Status `json:"claims"`     // by UID
}

// Status is what has become of one claim.
type Status struct {
	UID       string         `json:"uid"`
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Devices   []DeviceStatus `json:"devices"` // in the order of the requests
}

// DeviceStatus is what has become of the device of one request.
type DeviceStatus struct {
	Request string `json:"request"`
	Pool    string `json:"pool"`
	Device  string `json:"device"`

	Ready     bool     `json:"ready"`               // the pod has it
	Interface string   `json:"interface,omitempty"` // its name in the pod, once it is there
	MAC       string   `json:"mac,omitempty"`
	IPs       []string `json:"ips,omitempty"`     // with prefix lengths
	Problem   string   `json:"problem,omitempty"` // why it is not ready, or not as meant
}
