package control

import (
	"context"
	"net"
	"syscall"
)

// peerKey is the context key of the caller's pid.
type peerKey struct{}

// WithPeer notes the caller's pid (SO_PEERCRED, unix(7)). It is the
// http.Server.ConnContext of the control socket.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

// peer returns the pid that WithPeer has noted, 0 for a process that this one cannot see.
func peer(ctx context.Context) int {
	pid, _ := ctx.Value(peerKey{}).(int)
	return pid
}

func peerOf(c net.Conn) (pid int) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
}
