package netmove

// Hardware is where a device is in the machine and how fast it is. It decides nothing.
type Hardware struct {
	Speed    int    // of the link, Mbit/s; 0: not known
	PCIeRoot string // host bridge of its PCIe root, such as "pci0000:80"; "": none
	NUMANode *int   // nil: not known
	RDMA     string // name of its RDMA device; "": none
}
