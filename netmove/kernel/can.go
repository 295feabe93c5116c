package kernel

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Attributes of a CAN controller that package unix lacks (linux/can/netlink.h).
const (
	canDataBitTiming = 9  // IFLA_CAN_DATA_BITTIMING
	canTermination   = 11 // IFLA_CAN_TERMINATION
)

// canSettings are the options of a CAN controller; its other attributes report what
// it is able to, or in what state it is.
func canSettings() []uint16 {
	return []uint16{unix.IFLA_CAN_BITTIMING, unix.IFLA_CAN_CTRLMODE, unix.IFLA_CAN_RESTART_MS, canDataBitTiming, canTermination}
}

// canValue is a value as it is set. The kernel wants bit timing (struct can_bittiming)
// by bit rate or by quanta, and tells both; and the mask of modes (struct can_ctrlmode)
// is of those to change.
func canValue(typ uint16, value []byte) []byte {
	value = slices.Clone(value)
	const sizeofMode, sizeofTiming, quantum = 8, 32, 8
	switch {
	case typ == unix.IFLA_CAN_CTRLMODE && len(value) == sizeofMode:
		binary.NativeEndian.PutUint32(value, ^uint32(0))
	case (typ == unix.IFLA_CAN_BITTIMING || typ == canDataBitTiming) && len(value) == sizeofTiming && u32(value[quantum:]) != 0:
		clear(value[:quantum]) // bitrate and sample_point
	}
	return value
}
