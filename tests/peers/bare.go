package main

// bare is the move alone.
type bare struct{ *node }

func (b bare) attach() error {
	for _, d := range b.devices {
		if err := b.move(b.hostEnd.sock, d.before.Identity.Index, b.podEnd.netns, d.inPod); err != nil {
			return err
		}
	}
	return nil
}

func (b bare) giveBack() error {
	for _, d := range b.devices {
		if err := b.move(b.podEnd.sock, d.before.Identity.Index, b.hostEnd.netns, d.onHost); err != nil {
			return err
		}
	}
	return nil
}
