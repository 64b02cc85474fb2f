package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"kerasrun/object"
	"kerasrun/runner"
	_ "kerasrun/runner/preinit"
	"kerasrun/score"
)

func init() {
	register.DoFn3x1[context.Context, Batch, func(int64, score.Answered), error](&scoreFn{})
	register.Emitter2[int64, score.Answered]()
	beam.RegisterType(typeOf[score.Answered]())
}

// Job is what every worker has to know.
type Job struct {
	Model   string // its directory or its address
	Columns score.Columns
	Output  string
	Batch   int // images
	Shards  int // files that the output is cut in
}

// shared is the worker process's model, open as long as anyone uses it.
var shared struct {
	sync.Mutex
	model  *runner.Model
	users  int
	failed error // why it cannot be opened: a bundle that is tried again does not open it again
}

// notOpened counts the processes that cannot open the model.
var notOpened = beam.NewCounter("kerasrun", "models_not_opened")

// open opens the model, once a worker process. The context has to be an element's: a worker that
// gets none opens nothing.
func (j Job) open(ctx context.Context) (*score.Answerer, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.failed != nil {
		return nil, shared.failed
	}
	if shared.users == 0 {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		dir, err := localModel(ctx, j.Model)
		if err != nil {
			return nil, fmt.Errorf("the model %s: %w", j.Model, err)
		}
		shared.model, err = runner.Open(ctx, dir, runner.WithProbe(program, probeCommand))
		if err != nil {
			return nil, j.failed(ctx, err)
		}
	}
	model, err := score.NewModel(shared.model, j.Model, "fp32")
	var answerer *score.Answerer
	if err == nil {
		answerer, err = score.NewAnswerer(model, j.Columns, j.Output, j.Batch)
	}
	if err != nil {
		if shared.users == 0 {
			err = errors.Join(err, shared.model.Close())
		}
		return nil, j.failed(ctx, err)
	}
	shared.users++
	return answerer, nil
}

// failed remembers why the model cannot be opened, unless that is the end of the context.
func (j Job) failed(ctx context.Context, err error) error {
	err = fmt.Errorf("the model %s cannot be opened: %w", j.Model, err)
	if ctx.Err() == nil {
		shared.failed = err
		notOpened.Inc(ctx, 1)
	}
	return err
}

// localModel is a model's directory on this machine, of an address a copy.
func localModel(ctx context.Context, dir string) (string, error) {
	if object.IsRemote(dir) {
		return object.CopyDirectory(ctx, dir)
	}
	return object.Local(dir)
}

// closeShared gives up an answerer, if there is one, and closes the model when nobody is left who
// uses it.
func closeShared(a *score.Answerer) error {
	if a == nil {
		return nil
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.users--; shared.users > 0 {
		return nil
	}
	return shared.model.Close()
}

// scoreFn answers batches. Beam makes several of it in a worker process.
type scoreFn struct {
	Job Job

	answerer                  *score.Answerer
	answered, failed, batches beam.Counter
}

// Setup makes the counters.
func (f *scoreFn) Setup() {
	f.answered = beam.NewCounter("kerasrun", "answered")
	f.failed = beam.NewCounter("kerasrun", "failed")
	f.batches = beam.NewCounter("kerasrun", "batches")
}

// Teardown closes the model.
func (f *scoreFn) Teardown() error { return closeShared(f.answerer) }

// ProcessElement emits the answers of a batch, under the shard that they go to. The first opens the
// model.
func (f *scoreFn) ProcessElement(
	ctx context.Context, b Batch, emit func(int64, score.Answered),
) (err error) {
	if f.answerer == nil {
		if f.answerer, err = f.Job.open(ctx); err != nil {
			return err
		}
	}
	items := make([]score.Item, len(b.Paths))
	for i, path := range b.Paths {
		items[i] = score.File(path)
		items[i].Path = b.Names[i]
		if reason := b.Errors[i]; reason != "" {
			items[i].Read = func() ([]byte, error) { return nil, errors.New(reason) }
		}
	}
	done, err := f.answerer.Answer(ctx, b.Number, items)
	if err != nil {
		return fmt.Errorf("images from %d on: %w", b.Number*int64(f.Job.Batch), err)
	}
	f.batches.Inc(ctx, 1)
	f.answered.Inc(ctx, int64(len(items))-done.Failed)
	f.failed.Inc(ctx, done.Failed)
	emit(b.Number%int64(f.Job.Shards), done)
	return nil
}
