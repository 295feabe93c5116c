package kernel

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Attributes of a CAN controller that package unix lacks (linux/can/netlink.h).
const (
	canTDC        = 16 // IFLA_CAN_TDC
	canModeExtent = 17 // IFLA_CAN_CTRLMODE_EXT
)

// canOptions are the options of a CAN controller; its other attributes report what it is
// able to, or in what state it is. Bit timing that was not set at all the kernel does not
// tell, and nothing takes it away again.
func canOptions() []kindOption {
	options := []kindOption{
		{typ: unix.IFLA_CAN_BITTIMING, name: "bitrate", request: canTiming(unix.IFLA_CAN_BITTIMING)},
		{typ: unix.IFLA_CAN_DATA_BITTIMING, name: "dbitrate", request: canTiming(unix.IFLA_CAN_DATA_BITTIMING)},
		{typ: unix.IFLA_CAN_CTRLMODE, name: "modes", request: canModes},
		{typ: unix.IFLA_CAN_RESTART_MS, name: "restart-ms"},
		{typ: unix.IFLA_CAN_TERMINATION, name: "termination"},
	}
	for _, typ := range []uint16{
		unix.IFLA_CAN_BITTIMING_CONST, unix.IFLA_CAN_CLOCK, unix.IFLA_CAN_STATE, unix.IFLA_CAN_BERR_COUNTER,
		unix.IFLA_CAN_DATA_BITTIMING_CONST, unix.IFLA_CAN_TERMINATION_CONST, unix.IFLA_CAN_BITRATE_CONST,
		unix.IFLA_CAN_DATA_BITRATE_CONST, unix.IFLA_CAN_BITRATE_MAX, canTDC, canModeExtent,
	} {
		options = append(options, kindOption{typ: typ, use: reported})
	}
	return options
}

// canTiming makes requests for bit timing (struct can_bittiming), which the kernel wants by
// bit rate or by quanta, and tells by both.
func canTiming(typ uint16) func(*Namespace, int, []byte) ([]byte, error) {
	const sizeofTiming, quantum = 32, 8
	return func(_ *Namespace, _ int, value []byte) ([]byte, error) {
		value = slices.Clone(value)
		if len(value) == sizeofTiming && u32(value[quantum:]) != 0 {
			clear(value[:quantum]) // bitrate and sample_point
		}
		m := message{}
		m.add(typ, value)
		return m.bytes(), nil
	}
}

// canModes makes the request for modes (struct can_ctrlmode), whose mask is of those to
// change.
func canModes(_ *Namespace, _ int, value []byte) ([]byte, error) {
	const sizeofModes = 8
	value = slices.Clone(value)
	if len(value) == sizeofModes {
		binary.NativeEndian.PutUint32(value, ^uint32(0))
	}
	m := message{}
	m.add(unix.IFLA_CAN_CTRLMODE, value)
	return m.bytes(), nil
}
