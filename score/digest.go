package score

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
)

// inputDigest identifies an input: a first pass makes it, later passes and runs compare with it.
type inputDigest struct {
	images  int64
	digest  string   // the SHA-256 of every path, size and kept value, in order
	batches []uint64 // a hash of the paths and kept values of each batch
}

// digestInputs ends with the error of check, if there is one.
func digestInputs(
	ctx context.Context, s Source, batch int, check func(Item) error,
) (d inputDigest, err error) {
	all, paths := sha256.New(), newPathHash()
	for item := range s {
		if ctx.Err() != nil {
			return d, context.Cause(ctx)
		}
		if err := storeError(item.failure); err != nil {
			return d, err
		}
		if err := check(item); err != nil {
			return d, &UsageError{fmt.Sprintf("%s: %v", item.Path, err)}
		}
		d.images++
		fmt.Fprintf(all, "%d %d %s\n", len(item.Path), item.Size, item.Path)
		kept := keptBytes(item.Kept)
		if kept != nil {
			fmt.Fprintf(all, "%s\n", kept)
		}
		paths.add(item.Path, kept)
		if d.images%int64(batch) == 0 {
			d.batches = append(d.batches, paths.sum())
		}
	}
	if d.images%int64(batch) != 0 {
		d.batches = append(d.batches, paths.sum())
	}
	d.digest = hex.EncodeToString(all.Sum(nil))
	return d, nil
}

// pathHash hashes the paths of one batch after the other.
type pathHash struct{ h hash.Hash64 }

func newPathHash() pathHash { return pathHash{fnv.New64a()} }

// add takes a path and the [keptBytes] that belong to it. A hash takes everything.
func (p pathHash) add(path string, kept []byte) {
	fmt.Fprintf(p.h, "%d %s", len(path), path)
	p.h.Write(kept)
}

func (p pathHash) sum() uint64 {
	defer p.h.Reset()
	return p.h.Sum64()
}
