package main

import (
	"fmt"
	"os"
	"os/exec"
)

// hostDevice starts the CNI plugin host-device, once a device, as a runtime does.
type hostDevice struct {
	*node
	program string
}

func newHostDevice(n *node, program string) (peer, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf(`%w: say -host-device "$(go tool -n host-device)", or leave it out with -peers`, err)
	}
	return hostDevice{n, path}, nil
}

func (h hostDevice) attach() error   { return h.each("ADD") }
func (h hostDevice) giveBack() error { return h.each("DEL") }

func (h hostDevice) each(command string) error {
	for _, d := range h.devices {
		if err := h.call(command, d); err != nil {
			return err
		}
	}
	return nil
}

func (h hostDevice) call(command string, d device) error {
	cmd := exec.Command(h.program)
	cmd.Env = append(os.Environ(),
		"CNI_COMMAND="+command,
		"CNI_CONTAINERID=worker-0",
		"CNI_NETNS="+netnsPath(podNetns),
		"CNI_IFNAME="+d.inPod,
		"CNI_PATH=/opt/cni/bin",
	)
	return runCommand(fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "peers", "type": "host-device", "device": %q, "useInterfaceNetwork": true}`, d.onHost), cmd)
}
