package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
)

// serverWait is how long a job server may take to be there.
const serverWait = 10 * time.Second

// execute runs a pipeline. With LOOPBACK the workers are processes that this one starts. A job that
// is interrupted is cancelled.
func execute(ctx context.Context, p *beam.Pipeline) error {
	if *jobopts.Endpoint != "" {
		conn, err := net.DialTimeout("tcp", *jobopts.Endpoint, serverWait)
		if err != nil {
			return fmt.Errorf("--endpoint: expected a job server, found none: start it, or name "+
				"another: %w", err)
		}
		_ = conn.Close() // Beam has its own
	}
	if jobopts.IsLoopback() {
		address, err := servePool("localhost:0")
		if err != nil {
			return err
		}
		*jobopts.EnvironmentType, *jobopts.EnvironmentConfig = "EXTERNAL", address.String()
	}
	workers := strings.ToUpper(*jobopts.EnvironmentType)
	if (workers == "EXTERNAL" || workers == "PROCESS") && *jobopts.WorkerBinary == "" {
		*jobopts.WorkerBinary = os.DevNull // their hosts have the program, which need not be sent
	}
	if *jobopts.JobName == "" {
		*jobopts.JobName = fmt.Sprintf("kerasrun-%d", time.Now().UnixNano())
	}
	err := beamx.Run(ctx, p)
	if ctx.Err() != nil && *jobopts.Endpoint != "" {
		return errors.Join(errors.New("interrupted"), cancel(*jobopts.Endpoint, *jobopts.JobName))
	}
	return err
}

// cancel ends the jobs of that name at a job server.
func cancel(endpoint, name string) error {
	ctx, stop := context.WithTimeout(context.Background(), serverWait)
	defer stop()
	conn, err := grpcx.Dial(ctx, endpoint, serverWait)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := jobpb.NewJobServiceClient(conn)
	jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return fmt.Errorf("the job %s may still run: %w", name, err)
	}
	for _, job := range jobs.GetJobInfo() {
		if job.GetJobName() == name {
			_, e := client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: job.GetJobId()})
			err = errors.Join(err, e)
		}
	}
	return err
}
