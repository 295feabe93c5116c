package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The main thread belongs to the main goroutine. Another's could not be
// thrown away in Run: the Go runtime parks it for good instead.
func init() { runtime.LockOSThread() }

// Process is a program that runs on a node. It ends with the node at latest.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed
}

// Run starts a program on the node, in its folder /. The command is the
// Process's from here on: its own Wait must not be called.
func (n *Node) Run(cmd *exec.Cmd) (*Process, error) {
	started := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		started <- n.startInside(cmd)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s on the node: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	// A pid namespace cannot end before the last of its processes was reaped,
	// and those started here are this process's children.
	n.running.Go(func() {
		p.err = cmd.Wait()
		close(p.done)
	})
	return p, nil
}

// startInside starts the command on the calling thread, after entering the
// node's namespaces. Unlike nsenter(1) it needs no process in between, which
// would get the signals meant for the command.
func (n *Node) startInside(cmd *exec.Cmd) error {
	// A thread that shares its working folder cannot change mount namespaces.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	pidfd, err := unix.PidfdOpen(n.PID(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(pidfd)
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if err := unix.Setns(pidfd, all); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	return cmd.Start()
}

// Output runs a program on the node to its end and returns all it prints.
func (n *Node) Output(name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := n.Run(cmd)
	if err != nil {
		return "", err
	}
	if err := p.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, out.String())
	}
	return out.String(), nil
}

// PID is the process's id as the caller sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends the process a signal: os.ErrProcessDone if it has ended.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stall stops the process until SIGCONT, and waits until none of its threads runs: a busy machine
// stops them some time after kill(2) has returned, and they answer requests until then.
func (p *Process) Stall() error {
	if err := p.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("waitid", err)
		}
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the process's end, and may be called again.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}
