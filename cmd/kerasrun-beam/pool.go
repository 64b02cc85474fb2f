package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
)

// pool starts workers, each a process of this program, for runners that ask for them: Beam's
// external worker pool. Workers of several task managers may have one name, which Beam's own pool
// refuses.
type pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer
}

// servePool listens on an address for runners, and serves them until the process ends.
func servePool(address string) (net.Addr, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("worker pool: expected a free address of this machine, as "+
			"localhost:50000: %w", err)
	}
	server := grpc.NewServer()
	fnpb.RegisterBeamFnExternalWorkerPoolServer(server, pool{})
	go func() { _ = server.Serve(listener) }()
	return listener.Addr(), nil
}

// StartWorker starts a worker for a runner.
func (pool) StartWorker(
	_ context.Context, r *fnpb.StartWorkerRequest,
) (*fnpb.StartWorkerResponse, error) {
	if err := startWorker(r); err != nil {
		return &fnpb.StartWorkerResponse{Error: err.Error()}, nil
	}
	return &fnpb.StartWorkerResponse{}, nil
}

func startWorker(r *fnpb.StartWorkerRequest) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, workerID+r.GetWorkerId(),
		workerProvision+r.GetProvisionEndpoint().GetUrl())
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	alive, err := cmd.StdinPipe() // it ends with this process, however that ends
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait() // the worker has said why
		_ = alive.Close()
	}()
	return nil
}

// StopWorker has nothing to do: a worker ends when its runner ends the stream of instructions.
func (pool) StopWorker(
	context.Context, *fnpb.StopWorkerRequest,
) (*fnpb.StopWorkerResponse, error) {
	return &fnpb.StopWorkerResponse{}, nil
}

// What a runner starts a worker with: PROCESS by itself, the others by a pool.
const (
	workerID        = "--id="
	workerProvision = "--provision_endpoint="
)

// parseWorker returns a worker's name and where it learns the rest, if the arguments are a
// worker's.
func parseWorker(args []string) (id, provision string, ok bool) {
	if len(args) != 2 {
		return "", "", false
	}
	id, isID := strings.CutPrefix(args[0], workerID)
	provision, isProvision := strings.CutPrefix(args[1], workerProvision)
	// Beam's own runner has quotes around the name.
	return strings.Trim(id, "'"), provision, isID && isProvision
}

// work is a worker's process, to the end of a runner's stream of instructions, or of the pool or
// runner that started it.
func work(id, provision string) error {
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	ctx := grpcx.WriteWorkerID(context.Background(), id)
	info, err := tools.ProvisionInfo(ctx, provision)
	if err != nil {
		return fmt.Errorf("worker %s: %w", id, err)
	}
	return harness.MainWithOptions(ctx, info.GetLoggingEndpoint().GetUrl(),
		info.GetControlEndpoint().GetUrl(), harness.Options{
			StatusEndpoint:     info.GetStatusEndpoint().GetUrl(),
			RunnerCapabilities: info.GetRunnerCapabilities(),
		})
}
