// Kerasrun-beam scores images as an Apache Beam pipeline, for Flink, Spark, Dataflow or Beam's own
// runner:
//
//	kerasrun-beam --model DIR --output OUT.jsonl --runner=universal --endpoint=HOST:PORT INPUT...
//
// It answers as `kerasrun score` does, with the same batches and so the same bits: its rows, in
// order of their indices, are score's. They are written to OUT-00000-of-0000N.jsonl, those of
// images without an answer to OUT-errors-00000-of-0000N.jsonl, and OUT_SUCCESS last. The model's
// directory and the images must be where the workers can read them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/gcs"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"kerasrun/runner"
	"kerasrun/score"
)

var (
	model  = flag.String("model", "models/resnext50", "the model's directory")
	output = flag.String("output", "",
		"the output, FILE.jsonl; its shards get numbers before the ending")
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
	shards = flag.Int("output-shards", 4, "files that the output is cut in")
)

// probeCommand has this program try a model that a worker is to open.
const probeCommand = "probe"

func main() {
	if len(os.Args) == 2 && os.Args[1] == probeCommand {
		if err := runner.Probe(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	beam.Init() // a worker process goes no further
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "kerasrun-beam:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	columns, err := parseColumns()
	if err != nil {
		return err
	}
	source, err := inputs(ctx)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(*output, ".jsonl")
	fs, err := filesystem.New(ctx, base)
	if err != nil {
		return err
	}
	defer fs.Close()
	list := base + ".inputs"
	if err := writeBatches(ctx, fs, list, source, *batchSize); err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	batches := beam.ParDo(s, readBatches, beam.Create(s, list))
	// The reshuffle lets the runner spread the batches over its workers.
	rows, failures := beam.ParDo2(s, &scoreFn{Model: *model, Columns: columns, BatchSize: *batchSize},
		beam.Reshuffle(s, batches))
	writeShards(s, base, *shards, rows)
	writeShards(s, base+"-errors", *shards, failures)
	if err := beamx.Run(ctx, p); err != nil {
		return err
	}
	if err := writeFile(ctx, fs, base+"_SUCCESS",
		func(io.Writer) error { return nil }); err != nil {
		return err
	}
	return remove(ctx, fs, list)
}

func parseColumns() (c score.Columns, err error) {
	if !strings.HasSuffix(*output, ".jsonl") || *batchSize < 1 || *top < 1 || *shards < 1 {
		return c, fmt.Errorf("expected --output FILE.jsonl, and --batch, --topk and " +
			"--output-shards of 1 or more")
	}
	if *values != "prob" && *values != "logit" {
		return c, fmt.Errorf("expected an --output-type prob or logit, got %q", *values)
	}
	c.Top, c.Logits = *top, *values == "logit"
	if *outputs != "" {
		c.Outputs = strings.Split(*outputs, ",")
	}
	c.Labels, err = score.ParseLabelType(*labelType)
	return c, err
}

// inputs are what `kerasrun score` takes, and patterns of every file system that Beam knows, such
// as gs://bucket/photos/*.jpg.
func inputs(ctx context.Context) (score.Source, error) {
	switch *filesFrom {
	case "":
		args, err := expand(ctx, flag.Args())
		if err != nil {
			return nil, err
		}
		source, _, err := score.Open(ctx, args, score.InputOptions{})
		return source, err
	case "-":
		return score.List(os.Stdin)
	}
	fs, err := filesystem.New(ctx, *filesFrom)
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	list, err := fs.OpenRead(ctx, *filesFrom)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	return score.List(list)
}

func expand(ctx context.Context, args []string) (paths []string, err error) {
	for _, arg := range args {
		found := []string{arg}
		if remote(arg) && strings.ContainsAny(arg, "*?[") {
			fs, err := filesystem.New(ctx, arg)
			if err != nil {
				return nil, err
			}
			found, err = fs.List(ctx, arg)
			if err := errors.Join(err, fs.Close()); err != nil {
				return nil, err
			}
			slices.Sort(found)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: matches no file", arg)
		}
		paths = append(paths, found...)
	}
	return paths, nil
}

func remote(path string) bool { return strings.Contains(path, "://") }
