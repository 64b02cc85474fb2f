package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"kerasrun/runner"
	_ "kerasrun/runner/preinit"
	"kerasrun/score"
)

func init() {
	register.DoFn4x1[context.Context, Batch, func(Row), func(Row), error](&scoreFn{})
	register.Emitter1[Row]()
	beam.RegisterType(typeOf[Row]())
}

// Row is a line of the output.
type Row struct {
	Index int64
	Line  string
}

// scoreFn answers batches. Beam makes several of it in a worker process; they share one model.
type scoreFn struct {
	Model     string
	Columns   score.Columns
	BatchSize int

	answerer                  *score.Answerer
	answered, failed, batches beam.Counter
}

// shared is the worker process's model, open as long as any scoreFn is set up.
var shared struct {
	sync.Mutex
	model *runner.Model
	users int
}

// Setup opens the model, once a worker process.
func (f *scoreFn) Setup(ctx context.Context) error {
	shared.Lock()
	defer shared.Unlock()
	if shared.users == 0 {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		m, err := runner.Open(ctx, f.Model, runner.WithProbe(program, probeCommand))
		if err != nil {
			return err
		}
		shared.model = m
	}
	shared.users++
	f.answered = beam.NewCounter("kerasrun", "answered")
	f.failed = beam.NewCounter("kerasrun", "failed")
	f.batches = beam.NewCounter("kerasrun", "batches")
	model, err := score.NewModel(shared.model, f.Model, "fp32")
	if err != nil {
		return err
	}
	f.answerer, err = score.NewAnswerer(model, f.Columns, f.BatchSize)
	return err
}

// Teardown closes the model when nobody is left who uses it.
func (f *scoreFn) Teardown() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.users--; shared.users > 0 {
		return nil
	}
	return shared.model.Close()
}

// ProcessElement emits the rows of a batch: answers, and images without one.
func (f *scoreFn) ProcessElement(ctx context.Context, b Batch, answer, failure func(Row)) error {
	items := make([]score.Item, len(b.Paths))
	for i, path := range b.Paths {
		items[i] = score.Item{Path: b.Names[i], Read: func() ([]byte, error) {
			if b.Errors[i] != "" {
				return nil, errors.New(b.Errors[i])
			}
			return readFile(ctx, path)
		}}
	}
	records, err := f.answerer.Answer(ctx, b.First, items)
	if err != nil {
		return fmt.Errorf("images from %d on: %w", b.First, err)
	}
	f.batches.Inc(ctx, 1)
	for _, r := range records {
		row := Row{r.Index, string(f.answerer.AppendJSON(nil, r))}
		if r.Error == "" {
			f.answered.Inc(ctx, 1)
			answer(row)
		} else {
			f.failed.Inc(ctx, 1)
			failure(row)
		}
	}
	return nil
}

func readFile(ctx context.Context, path string) ([]byte, error) {
	fs, err := filesystem.New(ctx, path)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	r, err := fs.OpenRead(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
