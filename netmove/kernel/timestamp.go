package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// timestampPrefix begins the name of the option that says which frames hardware stamps with
// the time (hwtstamp_ctl(8)), for which there is an ioctl alone before Linux 6.14.
const timestampPrefix = "timestamp."

// sizeofTimestampConfig is the size of struct hwtstamp_config of linux/net_tstamp.h.
const sizeofTimestampConfig = 12

// timestampOptions reads it of hardware. What is built on a NIC tells that one's, and only
// the first network namespace may set it there.
func (ns *Namespace) timestampOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	if dev.Identity.Kind != "" {
		return nil, nil
	}
	config := make([]byte, sizeofTimestampConfig)
	err := ns.deviceIoctl(dev.Name, unix.SIOCGHWTSTAMP, config)
	if is(err, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOTTY) {
		return nil, nil
	}
	if err != nil { // a driver whose clock does not run answers EIO, say
		return []netmove.Option{{Name: timestampPrefix + "config", Unknown: true}}, notThere(err)
	}
	return []netmove.Option{{Name: timestampPrefix + "config", Value: config}}, nil
}

// notThere is the error if it says that the device is gone. Any other one is no reason to
// refuse a device for an option that its driver does not tell now.
func notThere(err error) error {
	if is(err, unix.ENODEV) {
		return classify(err)
	}
	return nil
}

func (ns *Namespace) setTimestamp(index int, name string, value []byte) error {
	if name != "config" || len(value) != sizeofTimestampConfig {
		return fmt.Errorf("no option %q of %d bytes", timestampPrefix+name, len(value))
	}
	dev, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	return classify(ns.deviceIoctl(dev.Name, unix.SIOCSHWTSTAMP, append([]byte(nil), value...)))
}
