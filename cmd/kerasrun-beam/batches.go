package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"kerasrun/object"
	"kerasrun/score"
)

func init() {
	register.Function3x1(readBatches)
	register.Emitter1[Batch]()
	beam.RegisterType(typeOf[Batch]())
}

// Batch is a fixed cut of the input: Names[i] is how the i-th image is called in the output,
// Paths[i] where a worker opens it. Errors[i] is why there is nothing to open, as of an empty
// directory; "" for an image.
type Batch struct {
	Number int64
	Names  []string
	Paths  []string
	Errors []string
}

// writeBatches lists the batches that `kerasrun score` forms in a file, one a line; a pipeline that
// held them itself would be too long for a job server. Workers read the images by their paths, so
// archives cannot be among the inputs.
func writeBatches(ctx context.Context, list string, source score.Source, size int) error {
	return object.Write(ctx, list, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		index := int64(-1)
		var b Batch
		for item := range source {
			index++
			if item.Streamed {
				return fmt.Errorf(
					"%s: expected files, which every worker can open, got a part of one", item.Path)
			}
			if index%int64(size) == 0 && index > 0 {
				if err := lines.Encode(b); err != nil {
					return err
				}
				b = Batch{Number: index / int64(size)}
			}
			path, reason := item.Path, ""
			if !object.IsURL(path) {
				var err error
				if path, err = filepath.Abs(path); err != nil {
					return err
				}
				reason = listed(item)
			}
			b.Names, b.Paths = append(b.Names, item.Path), append(b.Paths, path)
			b.Errors = append(b.Errors, reason)
		}
		if index < 0 {
			return errors.New("the inputs hold no image")
		}
		return lines.Encode(b)
	})
}

// listed is why an item that is there is no image: a directory or an archive without one. What is
// not here may be where the workers are.
func listed(item score.Item) string {
	if item.Size >= 0 {
		return ""
	}
	if _, err := os.Stat(item.Path); err != nil {
		return ""
	}
	if _, err := item.Read(); err != nil {
		return err.Error()
	}
	return ""
}

// readBatches emits what writeBatches wrote.
func readBatches(ctx context.Context, list string, emit func(Batch)) error {
	file, err := object.Open(ctx, list)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := json.NewDecoder(file)
	for {
		var b Batch
		if err := lines.Decode(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", list, err)
		}
		emit(b)
	}
}
