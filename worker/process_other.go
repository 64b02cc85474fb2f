//go:build !linux

package worker

import (
	"errors"
	"io"
)

var errLinux = errors.New("expected Linux, where a model can run in a process of its own")

// Connection returns the connection to the program that started this one as a worker.
func Connection() (io.ReadWriteCloser, error) { return nil, errLinux }

func launch([]string, io.Writer) (*process, error) { return nil, errLinux }
