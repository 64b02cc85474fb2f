// Kerasrun-beam scores images as an Apache Beam pipeline, for Flink, Spark, Dataflow or Beam's own
// runner:
//
//	kerasrun-beam --model DIR --output OUT.jsonl --runner=universal --endpoint=HOST:PORT INPUT...
//
// It answers as `kerasrun score` does, with the same batches and so the same bits. Its files,
// OUT-00000-of-0000N.jsonl and so on, with their manifests, are those of N runs of `score --shard`:
// `kerasrun merge` joins them to the output of a single run. OUT_SUCCESS is written last. The
// model's directory and the images must be where the workers can read them; each, and the output,
// may be an address of an object store. The exit status is that of score: 3 where images failed.
//
//	kerasrun-beam pool HOST:PORT
//
// starts workers on a machine for a runner that has --environment_type=EXTERNAL. With PROCESS a
// runner starts this program as a worker itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"kerasrun/internal/interrupt"
	"kerasrun/object"
	"kerasrun/runner"
	"kerasrun/savedmodel"
	"kerasrun/score"
)

var (
	model  = flag.String("model", "models/resnext50", "the model's directory or address")
	output = flag.String("output", "",
		"the output, OUT.jsonl, OUT.csv, OUT.parquet or OUT.npz; its shards get numbers before the "+
			"ending")
	filesFrom = flag.String("files-from", "",
		"a file with a path on each line, or - for standard input, in place of INPUTs")
	values    = flag.String("output-type", "prob", "the numbers of the classes: prob or logit")
	batchSize = flag.Int("batch", 32, "images that run together")
	top       = flag.Int("topk", 5, "classes per image")
	outputs   = flag.String("outputs", "",
		"what to keep per image: top, probs, features and names of outputs, with commas between "+
			"(default top, or the answer where it tells no classes)")
	labelType = flag.String("label-type", "name",
		"what the label column holds: name, id, both or none")
	shards = flag.Int("output-shards", 4,
		"files that the output is cut in at most, each of which is in a worker's memory when it is "+
			"written")
)

// The words that have this program do something else than run a pipeline.
const (
	probeCommand = "probe" // try a model that a worker is to open
	poolCommand  = "pool"  // start workers for runners
)

// statusFailedImages is the exit status where the output is complete, and holds images that failed.
const statusFailedImages = 3

func main() {
	ctx := interrupt.Context()
	failed, err := start(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "kerasrun-beam:", err)
		os.Exit(interrupt.Status(ctx, 1))
	case failed > 0:
		os.Exit(statusFailedImages)
	}
}

func start(ctx context.Context) (failed int64, err error) {
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == probeCommand:
		return 0, runner.Probe(ctx, os.Stdin)
	case len(args) == 2 && args[0] == poolCommand:
		address, err := servePool(args[1])
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(os.Stderr, "kerasrun-beam: starts workers for runners at %v\n", address)
		<-ctx.Done()
		return 0, nil
	}
	if id, provision, ok := parseWorker(args); ok {
		beam.Init()
		return 0, work(id, provision)
	}
	flag.Parse()
	beam.Init() // a worker that a container starts goes no further
	return run(ctx)
}

func run(ctx context.Context) (failed int64, err error) {
	job, err := parseJob()
	if err != nil {
		return 0, err
	}
	if jobopts.IsLoopback() { // a runner would try the workers again and again
		if err := checkModel(ctx, job.Model); err != nil {
			return 0, err
		}
	}
	source, err := inputs(ctx)
	if err != nil {
		return 0, err
	}
	header, err := score.NewHeader(ctx, source, job.Batch)
	if err != nil {
		return 0, err
	}
	job.Shards = min(*shards, int((header.Images+int64(job.Batch)-1)/int64(job.Batch)))
	base := strings.TrimSuffix(job.Output, filepath.Ext(job.Output))
	list := base + ".inputs"
	if err := writeBatches(ctx, list, source, job.Batch); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, object.Remove(context.WithoutCancel(ctx), list)) }()
	p, s := beam.NewPipelineWithRoot()
	batches := beam.ParDo(s, readBatches, beam.Create(s, list))
	// The reshuffle lets the runner spread the batches over its workers.
	answered := beam.ParDo(s, &scoreFn{Job: job}, beam.Reshuffle(s, batches))
	beam.ParDo0(s, &writeFn{Job: job, Header: header}, beam.GroupByKey(s, answered))
	if err := execute(ctx, p); err != nil {
		return 0, err
	}
	m, err := count(job, header)
	if err != nil {
		return 0, err
	}
	err = object.Write(ctx, base+"_SUCCESS", func(io.Writer) error { return nil })
	fmt.Fprintf(os.Stderr, "kerasrun-beam: %d images, %d scored, %d failed: %s\n", m.Images,
		m.Answered, m.Failed, score.Shard{Count: job.Shards}.Path(job.Output))
	return m.Failed, err
}

// checkModel returns an error for what is no model.
func checkModel(ctx context.Context, dir string) error {
	dir, err := localModel(ctx, dir)
	if err != nil {
		return err
	}
	_, err = savedmodel.Open(ctx, dir)
	return err
}

// count adds up what the shards' manifests say, which have to be of this run and complete.
func count(job Job, h score.Header) (sum score.Manifest, err error) {
	for i := range job.Shards {
		path := score.Shard{Index: i, Count: job.Shards}.Path(job.Output)
		m, err := score.ReadManifest(path)
		if err != nil {
			return sum, fmt.Errorf("the job ended without a shard: %w", err)
		}
		if m.Header.Inputs != h.Inputs || !m.Header.Started.Equal(h.Started) {
			return sum, fmt.Errorf("%s: expected a shard of this run, got one of another: the job "+
				"ended without it", path)
		}
		sum.Images, sum.Answered, sum.Failed = sum.Images+m.Images, sum.Answered+m.Answered,
			sum.Failed+m.Failed
	}
	if sum.Images != h.Images || sum.Answered+sum.Failed != sum.Images {
		return sum, fmt.Errorf("%s: expected rows of %d images, got %d scored and %d failed",
			job.Output, h.Images, sum.Answered, sum.Failed)
	}
	return sum, nil
}

func parseJob() (j Job, err error) {
	if min(*batchSize, *top, *shards) < 1 || *output == "-" || score.CheckOutput(*output) != nil {
		return j, errors.New("expected --output OUT.jsonl, .csv, .parquet or .npz, and --batch, --topk " +
			"and --output-shards of 1 or more")
	}
	if *values != "prob" && *values != "logit" {
		return j, fmt.Errorf("expected an --output-type prob or logit, got %q", *values)
	}
	j = Job{Model: *model, Output: *output, Batch: *batchSize}
	if !object.IsURL(j.Output) {
		if j.Output, err = filepath.Abs(j.Output); err != nil {
			return j, err
		}
	}
	j.Columns.Top, j.Columns.Logits = *top, *values == "logit"
	if *outputs != "" {
		j.Columns.Outputs = strings.Split(*outputs, ",")
	}
	j.Columns.Labels, err = score.ParseLabelType(*labelType)
	return j, err
}

// inputs are what `kerasrun score` takes.
func inputs(ctx context.Context) (score.Source, error) {
	switch *filesFrom {
	case "":
		source, _, err := score.Open(ctx, flag.Args(), score.InputOptions{})
		return source, err
	case "-":
		return score.List(os.Stdin)
	}
	list, err := object.Open(ctx, *filesFrom)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	return score.List(list)
}
