package nstest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// routers prints the potential routers of a sit tunnel, in no order.
func routers(device string) (*os.File, error) {
	const getPRL, size, room = unix.SIOCDEVPRIVATE + 4, 16, 64 // SIOCGETPRL, of struct ip_tunnel_prl
	list := make([]byte, size*(1+room))
	binary.NativeEndian.PutUint32(list[8:], size*room)
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&list[0])}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	return nil, stamp(device, func(fd int) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), getPRL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return errno
		}
		var lines []string
		for one := range slices.Chunk(list[size:size+binary.NativeEndian.Uint32(list[8:])], size) {
			lines = append(lines, fmt.Sprintf("router %s flags %d\n", netip.AddrFrom4([4]byte(one)), binary.NativeEndian.Uint16(one[4:])))
		}
		slices.Sort(lines)
		fmt.Print(strings.Join(lines, ""))
		return nil
	})
}
