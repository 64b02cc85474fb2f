//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kerasrun/internal/interrupt"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// The test program is also a worker, and a program that has one.
const (
	childWorker = "WORKER_TEST_WORKER" // a model's directory
	childParent = "WORKER_TEST_PARENT" // the same
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childWorker); dir != "" {
		signal.Ignore(interrupt.Signals()...)
		connection, err := Connection()
		if err == nil {
			err = Serve(connection, func() (Opened, error) { return openFake(dir) },
				func(err error) bool { return errors.Is(err, errFakeUsage) })
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(childParent); dir != "" {
		m, err := Open(context.Background(), testConfig(dir))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(m.current.pid)
		select {}
	}
	os.Exit(m.Run())
}

// testConfig has the test program for a worker.
func testConfig(dir string) Config {
	os.Setenv(childWorker, dir)
	os.Unsetenv(childParent)
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Config{Dir: dir, Command: []string{program}}
}

var errFakeUsage = errors.New("a wrong flag")

// fake computes y = x / 2 + 2, as TensorFlow Serving's half_plus_two does, and ends the process for
// some x.
type fake struct{ *savedmodel.Model }

func openFake(dir string) (Opened, error) {
	switch os.Getenv("WORKER_TEST_OPEN") {
	case "usage":
		return Opened{}, errFakeUsage
	case "error":
		return Opened{}, errors.New("cannot be opened")
	case "abort":
		die()
	}
	m, err := savedmodel.Open(context.Background(), dir)
	if err != nil {
		return Opened{}, err
	}
	files, err := m.SHA256(context.Background())
	return Opened{fake{m}, files}, err
}

func (f fake) SavedModel() *savedmodel.Model { return f.Model }
func (f fake) Tags() []string                { return []string{"serve"} }
func (f fake) Devices() []string             { return []string{"cpu"} }
func (f fake) Signature(key string) (savedmodel.Signature, error) {
	return f.Model.Signature(f.Tags(), key)
}

// What x has the fake do.
const (
	xAbort  = -1
	xExit   = -2
	xPanic  = -3
	xWait   = -4
	xRefuse = -5
)

func (f fake) RunSignature(_ context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	if key == "echo" {
		return in, nil
	}
	if key == "size" {
		n, err := tensor.New(tensor.Shape{}, []int64{in["x"].Shape[0]})
		return map[string]tensor.Tensor{"n": n}, err
	}
	x := in["x"].Data.([]float32)
	y := make([]float32, len(x))
	for i := range x {
		switch x[i] {
		case xAbort:
			fmt.Fprintln(os.Stderr, "F0000 00:00:1 1 fake.cc:1] Check failed: x != -1 ")
			die()
		case xExit:
			os.Exit(7)
		case xPanic:
			panic("the fake panics")
		case xWait:
			time.Sleep(time.Hour)
		case xRefuse:
			return nil, errors.New("the fake refuses")
		}
		y[i] = x[i]/2 + 2
	}
	out, err := tensor.New(in["x"].Shape, y)
	return map[string]tensor.Tensor{"y": out}, err
}

// die ends the process as abort() does in C.
func die() {
	syscall.Kill(os.Getpid(), syscall.SIGABRT)
	time.Sleep(time.Minute)
}

var halfPlusTwo = filepath.Join("..", "savedmodel", "testdata", "half_plus_two")

func BenchmarkRun(b *testing.B) {
	m, err := Open(b.Context(), testConfig(halfPlusTwo))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for _, rows := range []int64{1, 8, 32} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			images, err := tensor.New(tensor.Shape{rows, 224, 224, 3},
				make([]float32, rows*224*224*3))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(rows * 224 * 224 * 3 * 4)
			for b.Loop() {
				_, err := m.RunSignature(b.Context(), "size", map[string]tensor.Tensor{"x": images})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
