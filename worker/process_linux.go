package worker

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connectionFD is the worker's end of the connection.
const connectionFD = 3

// Connection returns the connection to the program that started this one as a worker.
func Connection() (io.ReadWriteCloser, error) {
	return connection(os.NewFile(connectionFD, "worker"))
}

func connection(file *os.File) (io.ReadWriteCloser, error) {
	defer file.Close() // the connection has a duplicate
	return net.FileConn(file)
}

// launch starts a worker. The process is killed when this one ends, however it does.
func launch(command []string, stderr io.Writer) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "worker")
	defer theirs.Close()
	ours, err := connection(os.NewFile(uintptr(fds[0]), "worker"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that started the process for its parent's.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return &process{
		connection: ours,
		kill:       cmd.Process.Kill,
		pid:        cmd.Process.Pid,
		wait: func() string {
			err := <-ended
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
					return unix.SignalName(status.Signal())
				}
			}
			return cmd.ProcessState.String()
		},
	}, nil
}
