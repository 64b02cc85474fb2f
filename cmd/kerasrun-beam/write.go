package main

import (
	"context"
	"reflect"
	"runtime"
	"runtime/debug"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"kerasrun/runner"
	"kerasrun/score"
)

func init() {
	register.DoFn3x1[context.Context, int64, func(*score.Answered) bool, error](&writeFn{})
	register.Iter1[score.Answered]()
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// writeFn writes the shards of the output. A bundle that is tried again writes the same rows over.
type writeFn struct {
	Job    Job
	Header score.Header

	answerer *score.Answerer
}

// Teardown closes the model.
func (f *writeFn) Teardown() error { return closeShared(f.answerer) }

// ProcessElement writes a shard, which is in memory. The first opens the model, of which a format
// has to know the columns.
func (f *writeFn) ProcessElement(
	ctx context.Context, shard int64, next func(*score.Answered) bool,
) (err error) {
	if f.answerer == nil {
		if f.answerer, err = f.Job.open(ctx); err != nil {
			return err
		}
	}
	var batches []score.Answered
	for {
		var b score.Answered
		if !next(&b) {
			break
		}
		batches = append(batches, b)
	}
	_, err = f.answerer.WriteShard(f.Job.Output, f.Header,
		score.Shard{Index: int(shard), Count: f.Job.Shards}, batches, versions())
	return err
}

func versions() map[string]string {
	v := map[string]string{"tensorflow": runner.Version(), "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["kerasrun"] = info.Main.Version
	}
	return v
}
