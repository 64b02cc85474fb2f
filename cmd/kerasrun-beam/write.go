package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn1x2[Row, int64, Row](&shardFn{})
	register.DoFn3x1[context.Context, int64, func(*Row) bool, error](&writeFn{})
	register.Iter1[Row]()
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// writeShards writes rows to base-00000-of-0000N.jsonl and so on, each file in order of the
// indices. Beam's own textio writes a single file.
func writeShards(s beam.Scope, base string, n int, rows beam.PCollection) {
	keyed := beam.ParDo(s, &shardFn{Shards: int64(n)}, rows)
	beam.ParDo0(s, &writeFn{Base: base, Shards: n}, beam.GroupByKey(s, keyed))
}

// shardFn names the file that a row goes to.
type shardFn struct{ Shards int64 }

func (f *shardFn) ProcessElement(r Row) (int64, Row) { return r.Index % f.Shards, r }

// writeFn writes a file. A bundle that is tried again writes the same bytes over.
type writeFn struct {
	Base   string
	Shards int
}

func (f *writeFn) ProcessElement(ctx context.Context, shard int64, next func(*Row) bool) error {
	var rows []Row
	var row Row
	for next(&row) {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Index, b.Index) })
	fs, err := filesystem.New(ctx, f.Base)
	if err != nil {
		return err
	}
	defer fs.Close()
	return writeFile(ctx, fs, fmt.Sprintf("%s-%05d-of-%05d.jsonl", f.Base, shard, f.Shards),
		func(w io.Writer) error {
			for _, r := range rows {
				if _, err := io.WriteString(w, r.Line); err != nil {
					return err
				}
			}
			return nil
		})
}

// writeFile makes a file appear under its name when it is complete.
func writeFile(ctx context.Context, fs filesystem.Interface, path string,
	write func(io.Writer) error) error {
	w, err := fs.OpenWrite(ctx, path+".partial")
	if err != nil {
		return err
	}
	if err := errors.Join(write(w), w.Close()); err != nil {
		return errors.Join(err, remove(ctx, fs, path+".partial"))
	}
	return filesystem.Rename(ctx, fs, path+".partial", path)
}

// remove deletes a file where the file system can.
func remove(ctx context.Context, fs filesystem.Interface, path string) error {
	if fs, ok := fs.(filesystem.Remover); ok {
		return fs.Remove(ctx, path)
	}
	return nil
}
