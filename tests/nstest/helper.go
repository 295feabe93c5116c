package nstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// helperEnv has this program do what no command does that the tests can rely on: a
// script calls "helper VERB DEVICE", see helperScript.
const helperEnv = "NRI_NETDEV_TEST_HELPER"

// helperScript defines helper for scripts. What a verb opens stays open until the test
// that ran the script is over: descriptor 3 is the end of a pipe of its.
const helperScript = `
helper() {
	[ -n "$` + helperEnv + `" ] || return 1
	p=$(mktemp -u) && mkfifo "$p" || return 1
	unshare -m sh -c 'mount -t sysfs sysfs /sys; exec "$@"' sh "$` + helperEnv + `" "$@" >"$p" 2>/dev/null &
	cat "$p"
	rm -f "$p"
}
`

// helped lets a command call helper. What the helpers hold they hold until end is called, or
// the test ends.
func helped(t testing.TB, cmd *exec.Cmd) (_ *exec.Cmd, end func()) {
	t.Helper()
	held, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		held.Close()
		hold.Close()
	}
	t.Cleanup(end)
	cmd.Env = append(os.Environ(), helperEnv+"="+fmt.Sprintf("/proc/%d/exe", os.Getpid()))
	cmd.ExtraFiles = []*os.File{held}
	return cmd, end
}

// verb does something to a device, and returns what is to stay open.
type verb func(device string) (*os.File, error)

func verbs() map[string]verb {
	return map[string]verb{
		"tap-queue":    func(device string) (*os.File, error) { return openTap(device, 0) },
		"tap-header":   tapHeader,
		"tap-filter":   tapFilter,
		"tap-offload":  func(device string) (*os.File, error) { return nil, setTap(device, unix.TUNSETOFFLOAD, 1) }, // TUN_F_CSUM
		"tap-size":     func(device string) (*os.File, error) { return nil, tapPointer(device, unix.TUNSETVNETHDRSZ, 12) },
		"tap-order":    func(device string) (*os.File, error) { return nil, tapPointer(device, unix.TUNSETVNETLE, 1) },
		"tap-type":     tapType,
		"tap-state":    tapState,
		"promiscuous":  promiscuous,
		"packets":      packets,
		"timestamps":   timestamps,
		"stamp-state":  stampState,
		"route-groups": routeGroups,
		"routers":      routers,
	}
}

// help is what the program does when a script calls it.
func help(args []string) int {
	if len(args) != 2 || verbs()[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "helper: no such verb")
		return 2
	}
	held, err := verbs()[args[0]](args[1])
	if err != nil {
		fmt.Println(args[0], err)
		return 1
	}
	if held == nil {
		return 0
	}
	defer held.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err == nil {
		err = unix.Dup2(int(null.Fd()), 1) // the script goes on
	}
	if err == nil {
		_, err = io.Copy(io.Discard, os.NewFile(3, "the test"))
	}
	return len(fmt.Sprint(err)) - len("<nil>")
}

// openTap attaches to the tap or tun, with flags that it has not, or without those that it
// has.
func openTap(device string, other uint16) (*os.File, error) {
	const settable = unix.IFF_TUN | unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE | unix.IFF_NAPI | unix.IFF_NAPI_FRAGS
	text, err := os.ReadFile("/sys/class/net/" + device + "/tun_flags")
	if err != nil {
		return nil, err
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(string(text)), 0, 32)
	if err != nil {
		return nil, err
	}
	return openTapAs(device, uint16(flags)&settable^other)
}

func openTapAs(device string, flags uint16) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tapHeader attaches as a program does that wants other headers, and leaves.
func tapHeader(device string) (*os.File, error) {
	f, err := openTap(device, unix.IFF_VNET_HDR|unix.IFF_NO_PI)
	if err != nil {
		return nil, err
	}
	return nil, f.Close()
}

// tapFilter lets nothing pass to who attaches.
func tapFilter(device string) (*os.File, error) {
	f, err := openTap(device, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	program := unix.SockFprog{Len: 1, Filter: &nothing[0]}
	return nil, ioctl(f, unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&program)))
}

// tapType makes an InfiniBand device of it, which has no MAC.
func tapType(device string) (*os.File, error) {
	return nil, setTap(device, unix.TUNSETLINK, unix.ARPHRD_INFINIBAND)
}

func setTap(device string, request uint, value int) error {
	f, err := openTap(device, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetInt(int(f.Fd()), request, value)
}

func tapPointer(device string, request uint, value int) error {
	f, err := openTap(device, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), request, value)
}

func ioctl(f *os.File, request uint, arg uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(request), arg); errno != 0 {
		return errno
	}
	return nil
}

// tapState prints what only those learn of a tap that attach to it.
func tapState(device string) (*os.File, error) {
	f, err := openTap(device, unix.IFF_NO_CARRIER) // it is a flag of that attachment alone
	if err != nil {
		return nil, err
	}
	defer f.Close()
	order, _ := unix.IoctlGetInt(int(f.Fd()), unix.TUNGETVNETLE)
	header, _ := unix.IoctlGetInt(int(f.Fd()), unix.TUNGETVNETHDRSZ)
	var filter unix.SockFprog
	_ = ioctl(f, unix.TUNGETFILTER, uintptr(unsafe.Pointer(&filter)))
	fmt.Println("tap: header", header, "order", order, "filter of", filter.Len)
	return nil, nil
}

// promiscuous has a socket of AF_PACKET see everything.
func promiscuous(device string) (*os.File, error) {
	f, index, err := packetSocket(device)
	if err != nil {
		return nil, err
	}
	all := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	return f, unix.SetsockoptPacketMreq(int(f.Fd()), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all)
}

// packets has a socket of AF_PACKET bound to the device.
func packets(device string) (*os.File, error) {
	f, index, err := packetSocket(device)
	if err != nil {
		return nil, err
	}
	const everything = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
	return f, unix.Bind(int(f.Fd()), &unix.SockaddrLinklayer{Protocol: everything, Ifindex: index})
}

func packetSocket(device string) (*os.File, int, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, 0, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	return os.NewFile(uintptr(fd), "packets"), link.Index, err
}

// timestamps has the hardware put a time on every frame that it receives.
func timestamps(device string) (*os.File, error) {
	return nil, stamp(device, func(fd int) error {
		return unix.IoctlSetHwTstamp(fd, device, &unix.HwTstampConfig{Tx_type: unix.HWTSTAMP_TX_ON, Rx_filter: unix.HWTSTAMP_FILTER_ALL})
	})
}

func stampState(device string) (*os.File, error) {
	return nil, stamp(device, func(fd int) error {
		c, err := unix.IoctlGetHwTstamp(fd, device)
		if err == nil {
			fmt.Println("timestamps: sent", c.Tx_type, "received", c.Rx_filter)
		}
		return err
	})
}

func stamp(_ string, do func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd)
}

// routeGroups has multicast routed, as a daemon does.
func routeGroups(device string) (*os.File, error) {
	const mrtInit, mrtAddVIF, byIndex = 200, 202, 0x8 // MRT_INIT, MRT_ADD_VIF, VIFF_USE_IFINDEX of linux/mroute.h
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_IGMP)
	if err != nil {
		return nil, err
	}
	vif := struct { // struct vifctl
		vif              uint16
		flags, threshold uint8
		rate             uint32
		local, remote    uint32
	}{flags: byIndex, threshold: 1, local: uint32(link.Index)}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, mrtInit, 1)
	if err == nil {
		err = unix.SetsockoptString(fd, unix.IPPROTO_IP, mrtAddVIF, string(unsafe.Slice((*byte)(unsafe.Pointer(&vif)), 16)))
	}
	return os.NewFile(uintptr(fd), "groups"), err
}
