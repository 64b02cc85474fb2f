// Kerasrun-beam scores pictures as an Apache Beam pipeline, for Flink, Spark, Dataflow or Beam's own runner:
//
//	kerasrun-beam --model DIR --output OUT.jsonl --runner=universal --endpoint=HOST:PORT INPUT...
//
// It answers as `kerasrun score` does, with the same batches and so the same bits: its rows, in order of their indices, are score's. They are
// written to OUT-00000-of-0000N.jsonl, those of pictures without an answer to OUT-errors-00000-of-0000N.jsonl, and OUT_SUCCESS last. The model's
// directory and the pictures must be where the workers can read them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/gcs"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"kerasrun/runner/score"
)

var (
	model     = flag.String("model", "models/resnext50", "the model's directory")
	output    = flag.String("output", "", "the output, FILE.jsonl; its shards get numbers before the ending")
	filesFrom = flag.String("files-from", "", "a file with a path on each line, or - for standard input, in place of INPUTs")
	batchSize = flag.Int("batch", 32, "pictures that run together")
	top       = flag.Int("top", 5, "classes a picture")
	outputs   = flag.String("outputs", "top", "what to keep of a picture: top, probs or features")
	labelType = flag.String("label-type", "name", "what the label column holds: name, id, both or none")
	shards    = flag.Int("output-shards", 4, "files that the output is cut in")
)

func main() {
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
	source, err := inputs()
	if err != nil {
		return err
	}
	batches, err := cut(source, *batchSize)
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	// The reshuffle lets the runner spread the batches over its workers.
	rows, failures := beam.ParDo2(s, &scoreFn{Model: *model, Columns: columns}, beam.Reshuffle(s, beam.CreateList(s, batches)))
	base := strings.TrimSuffix(*output, ".jsonl")
	writeShards(s, base, *shards, rows)
	writeShards(s, base+"-errors", *shards, failures)
	if err := beamx.Run(ctx, p); err != nil {
		return err
	}
	fs, err := filesystem.New(ctx, base)
	if err != nil {
		return err
	}
	defer fs.Close()
	return writeFile(ctx, fs, base+"_SUCCESS", nil)
}

func parseColumns() (c score.Columns, err error) {
	if !strings.HasSuffix(*output, ".jsonl") || *batchSize < 1 || *top < 1 || *shards < 1 {
		return c, fmt.Errorf("want --output FILE.jsonl, and --batch, --top and --output-shards of 1 or more")
	}
	c.Top = *top
	if c.Vector, err = score.ParseOutputs(*outputs); err != nil {
		return c, err
	}
	c.Labels, err = score.ParseLabelType(*labelType)
	return c, err
}

func inputs() (score.Source, error) {
	switch *filesFrom {
	case "":
		return score.Open(flag.Args(), score.InputOptions{})
	case "-":
		return score.List(os.Stdin)
	}
	list, err := os.Open(*filesFrom)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	return score.List(list)
}

// cut forms the batches that `kerasrun score` forms. Workers read the pictures by their paths, so archives cannot be among the inputs.
func cut(source score.Source, size int) (batches []Batch, err error) {
	index := int64(-1)
	for item := range source {
		index++
		if item.Streamed {
			return nil, fmt.Errorf("%s: want files, which every worker can open, got an archive", item.Path)
		}
		if index%int64(size) == 0 {
			batches = append(batches, Batch{First: index})
		}
		path := item.Path
		if !strings.Contains(path, "://") {
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
		}
		last := &batches[len(batches)-1]
		last.Names, last.Paths = append(last.Names, item.Path), append(last.Paths, path)
	}
	if len(batches) == 0 {
		return nil, fmt.Errorf("the inputs hold no picture")
	}
	return batches, nil
}
