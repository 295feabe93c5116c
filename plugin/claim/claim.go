package claim

import "encoding/json"

// Claim is a ResourceClaim that the scheduler has allocated, as far as it is ours. Whoever
// sends it has made sure that it is reserved for one pod alone, and without admin access.
type Claim struct {
	UID       string    `json:"uid"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Pod       Pod       `json:"pod"`
	Requests  []Request `json:"requests"` // one for each device
}

// Pod is the pod that a claim is reserved for.
type Pod struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"` // the claim's
	Name      string `json:"name"`
}

// Request is one device of a claim.
type Request struct {
	Name   string `json:"name"`   // as the claim calls it; of a subrequest "NAME/SUB"; not always unique
	Pool   string `json:"pool"`   // Kubernetes' pool, which is the node's; told back as it is
	Device string `json:"device"` // Name of a Device

	// Parameters are the opaque parameters for our driver: those of the class first, then
	// those of the claim, whose fields count in place of the class's.
	Parameters []json.RawMessage `json:"parameters,omitempty"`
}

// Prepared is the answer to a claim whose devices are reserved.
type Prepared struct {
	Devices []PreparedDevice `json:"devices"` // in the order of the requests
}

// PreparedDevice is the device of one request.
type PreparedDevice struct {
	Request   string `json:"request"`
	Pool      string `json:"pool"`
	Device    string `json:"device"`
	CDIDevice string `json:"cdiDevice"` // qualified: "netdev.noderesource.dev/claim=UID-REQUEST"
}

// Unprepare names a claim whose reservation ends.
type Unprepare struct {
	UID string `json:"uid"`
}
