package main

import "fmt"

// ipProgram starts ip(8), once a device.
type ipProgram struct{ *node }

func (p ipProgram) attach() error {
	for _, d := range p.devices {
		if err := ip(fmt.Sprintf("link set %s netns %s name %s", d.onHost, podNetns, d.inPod)); err != nil {
			return err
		}
	}
	return nil
}

func (p ipProgram) giveBack() error {
	for _, d := range p.devices {
		if err := ip(fmt.Sprintf("-n %s link set %s netns %s name %s", podNetns, d.inPod, hostNetns, d.onHost)); err != nil {
			return err
		}
	}
	return nil
}
