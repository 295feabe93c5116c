package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// runc does what runc does for linux.netDevices.
type runc struct{ *node }

func (r runc) attach() error {
	for _, d := range r.devices {
		if err := r.carry(d.onHost, podNetns, d.inPod); err != nil {
			return fmt.Errorf("device %q: %w", d.onHost, err)
		}
	}
	return nil
}

// giveBack works from within the pod, since the library's functions are about the
// namespace of the calling thread.
func (r runc) giveBack() error {
	runtime.LockOSThread()
	if err := netns.Set(r.podEnd.netns); err != nil {
		return err
	}
	var errs []error
	for _, d := range r.devices {
		errs = append(errs, r.carry(d.inPod, hostNetns, d.onHost))
	}
	if err := netns.Set(r.hostEnd.netns); err != nil {
		return errors.Join(append(errs, err)...) // the thread ends with the goroutine
	}
	runtime.UnlockOSThread()
	return errors.Join(errs...)
}

// carry moves the device out of the thread's namespace, with its permanent addresses
// of global scope.
func (r runc) carry(name, to, newName string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetDown(link); err != nil { // and its IPv6 addresses are gone
		return err
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	target, err := netns.GetFromPath(netnsPath(to))
	if err != nil {
		return err
	}
	defer target.Close()
	sock, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer sock.Close()
	if err := r.move(sock, link.Attrs().Index, target, newName); err != nil {
		return err
	}
	return setUpIn(target, newName, addrs)
}

func setUpIn(target netns.NsHandle, name string, addrs []netlink.Addr) error {
	inside, err := netlink.NewHandleAt(target)
	if err != nil {
		return err
	}
	defer inside.Close()
	link, err := inside.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a.Scope != unix.RT_SCOPE_UNIVERSE || a.Flags&unix.IFA_F_PERMANENT == 0 {
			continue
		}
		if err := inside.AddrAdd(link, &netlink.Addr{IPNet: a.IPNet}); err != nil {
			return fmt.Errorf("address %s: %w", a.IPNet, err)
		}
	}
	return inside.LinkSetUp(link)
}
