package pythontest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Process is a Python program that answers on its standard output what comes on its standard input.
// What it writes to standard error is the test's.
type Process struct {
	In  *bufio.Writer
	Out *bufio.Reader

	cmd *exec.Cmd
	in  io.Closer
}

// Start starts a program, given by its path and arguments, that ends with the test. It is an error
// of the test where the program fails.
func Start(t testing.TB, program ...string) *Process {
	t.Helper()
	p, err := NewProcess(Python(t), program...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("%q: %v", program, err)
		}
	})
	return p
}

// NewProcess starts a program, given by its path and arguments. It ends when its standard input
// does: with Close, or with the tests.
func NewProcess(python string, program ...string) (*Process, error) {
	cmd := exec.Command(python, program...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Process{bufio.NewWriterSize(in, 1<<16), bufio.NewReaderSize(out, 1<<16), cmd, in}, nil
}

// Close ends the program's input and waits for it. The error is that of its exit status.
func (p *Process) Close() error {
	p.in.Close()
	return p.cmd.Wait()
}
