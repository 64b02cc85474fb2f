package score

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"kerasrun/object"
)

// shardName is train-00000-of-00010, with or without an ending.
var shardName = regexp.MustCompile(`^(.*)-(\d+)-of-(\d+)((?:\.[^/]*)?)$`)

// shardPattern is train@10 or train@10.parquet, which stands for ten files.
var shardPattern = regexp.MustCompile(`^(.*)@(\d+)((?:\.[^/@]*)?)$`)

// maxShards bounds how many files a pattern may stand for.
const maxShards = 100_000

// expandShards returns the files that train@10 stands for, in their order, or nil where the
// argument is no such pattern.
func expandShards(ctx context.Context, arg string) ([]string, error) {
	parts := shardPattern.FindStringSubmatch(arg)
	if parts == nil {
		return nil, nil
	}
	count, err := strconv.Atoi(parts[2])
	if err != nil || count < 1 || count > maxShards {
		return nil, &UsageError{fmt.Sprintf("%s: expected 1 to %d shards, got %s", arg, maxShards,
			parts[2])}
	}
	var paths []string
	for i := range count {
		path := fmt.Sprintf("%s-%05d-of-%05d%s", parts[1], i, count, parts[3])
		if _, err := object.Stat(ctx, path); storeError(err) != nil {
			return nil, err
		} else if err != nil {
			return nil, &UsageError{fmt.Sprintf("%s: expected %d shards, got no %s", arg, count, path)}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// shardsIn returns the shards in a directory, in their order: TFRecord files, and with a column
// tables that are shards. A directory that has some and images too, or not all shards, is an error.
// What else there is, is counted as skipped.
func shardsIn(ctx context.Context, dir string, o InputOptions) ([]string, error) {
	entries, err := readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	var shards []string
	type set struct{ name, count, ending string }
	counts := map[set]int{} // of the shards of each set
	var image string
	skipped := map[string]int{}
	for _, entry := range entries {
		name, path := entry.name, entry.path
		parts := shardName.FindStringSubmatch(name)
		switch {
		case entry.directory:
			skipped["directories"]++
		case isHidden(name):
			skipped["hidden"]++
		case o.Column != "" && parts != nil && IsTable(name), isTFRecord(path):
			shards = append(shards, path)
			if parts != nil {
				counts[set{parts[1], parts[3], parts[4]}]++
			}
		case hasImageName(name):
			image = path
		default:
			skipped[skippedName(name)]++
		}
	}
	if len(shards) == 0 {
		return nil, nil
	}
	if image != "" {
		return nil, &UsageError{fmt.Sprintf("%s: expected shards or images, got both: %s and %s", dir,
			shards[0], image)}
	}
	for s, count := range counts {
		if want, err := strconv.Atoi(s.count); err != nil || want != count {
			return nil, &UsageError{fmt.Sprintf("%s: expected all shards %s-*-of-%s%s, got %d of "+
				"them: fetch the others, or name the files", dir, s.name, s.count, s.ending, count)}
		}
	}
	part := o.Skipped.part()
	part.reset()
	for reason, n := range skipped {
		for range n {
			part.add(reason)
		}
	}
	slices.Sort(shards)
	return shards, nil
}

// dirEntry is a file or a directory in a directory.
type dirEntry struct {
	name, path string
	directory  bool
}

func readDir(ctx context.Context, dir string) (all []dirEntry, err error) {
	if object.IsRemote(dir) {
		entries, err := object.ReadDir(ctx, dir)
		for _, e := range entries {
			all = append(all, dirEntry{path.Base(e.Path), e.Path, e.Directory})
		}
		return all, err
	}
	local, err := object.Local(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(local)
	for _, e := range entries {
		all = append(all, dirEntry{e.Name(), addressIn(dir, local, filepath.Join(local, e.Name())),
			e.IsDir()})
	}
	return all, err
}
