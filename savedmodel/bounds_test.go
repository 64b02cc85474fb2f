package savedmodel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/contract"
)

// repeated returns n messages.
func repeated(n int, message func(i int) []byte) []byte {
	var all []byte
	for i := range n {
		all = append(all, message(i)...)
	}
	return all
}

// implements is the attribute of functions that may stand in for each other.
var implements = message(5, named("api_implements", message(2, []byte("it"))))

// growing are graphs whose size is about n, and whose parts all refer to each other. Each once
// cost, or might cost, the square of its size.
var growing = map[string]func(n int) []byte{
	"functions that implement each other": func(n int) []byte {
		return graphOf(nodeOf("y", "f0"), library(repeated(n, func(i int) []byte {
			return functionOf(fmt.Sprint("f", i), nil, implements)
		})))
	},
	"functions that implement and call each other": func(n int) []byte {
		return graphOf(nodeOf("y", "f0"), library(repeated(n, func(i int) []byte {
			return functionOf(fmt.Sprint("f", i), nil, implements,
				inBody("n", fmt.Sprint("f", i+1)))
		})))
	},
	"defaults of a function that many call": func(n int) []byte {
		defaults := repeated(n, func(int) []byte {
			return message(4, message(3, message(10, message(1, []byte("g")))))
		})
		return graphOf(nodeOf("y", "NoOp"),
			repeated(n, func(i int) []byte { return nodeOf(fmt.Sprint("n", i), "f") }),
			library(functionOf("f", defaults), functionOf("g", nil)))
	},
	"one node with many inputs and many functions": func(n int) []byte {
		return graphOf(nodeOf("y", "f",
			repeated(n, func(i int) []byte { return inputs("y") }),
			attribute("f", message(1, repeated(n, func(int) []byte {
				return message(9, message(1, []byte("f")))
			})))), library(functionOf("f", nil)))
	},
	"signatures": func(n int) []byte {
		signatures := repeated(n, func(i int) []byte {
			return message(5, named(fmt.Sprint("s", i),
				message(2, named("y", message(1, []byte("y:0"))))))
		})
		nodes := repeated(n, func(i int) []byte { return nodeOf(fmt.Sprint("n", i), "NoOp") })
		return message(2, slices.Concat(signatures, message(2, nodeOf("y", "NoOp")),
			message(2, nodes)))
	},
	"long names of bad nodes' function": func(n int) []byte {
		return graphOf(nodeOf("y", strings.Repeat("f", 10*n)),
			library(functionOf(strings.Repeat("f", 10*n), nil, repeated(n, func(i int) []byte {
				return inBody(fmt.Sprint("n", i), "ReadFile")
			}))))
	},
	"arguments given up one by one": func(n int) []byte {
		// f calls itself with each argument in the place of the next. It may not, but is walked.
		arguments := repeated(n, func(i int) []byte {
			return message(2, message(1, []byte(fmt.Sprint("a", i))))
		})
		shifted := repeated(n, func(i int) []byte { return inputs(fmt.Sprint("a", max(i-1, 0))) })
		first := append(inputs("elsewhere"),
			repeated(n-1, func(int) []byte { return inputs("name") })...)
		return restoring("name:0", nodeOf("name", "Placeholder"), nodeOf("elsewhere", "Const"),
			nodeOf("restore", "f", first),
			library(functionOf("f", arguments, inBody("again", "f", shifted))))
	},
	"arguments and results on the way to a convolution": func(n int) []byte {
		// Each of n calls hands on all; the results are arguments, and the shapes numbers.
		arguments := repeated(n, func(i int) []byte {
			return message(2, message(1, []byte(fmt.Sprint("a", i))))
		})
		results := repeated(n, func(i int) []byte {
			return message(4, named(fmt.Sprint("r", i), []byte(fmt.Sprint("a", i))))
		})
		all := repeated(n, func(i int) []byte { return inputs(fmt.Sprint("c:", i)) })
		ones := repeated(n, func(i int) []byte {
			return nodeOf(fmt.Sprint("n", i), "f", inputs("c:1"))
		})
		return graphOf(nodeOf("y", "Conv2D", inputs("s", "c:1")),
			nodeOf("s", "Reshape", inputs("c:0", "n0:1")),
			nodeOf("c", "PartitionedCall", all, callOf("f")), ones,
			library(functionOf("f", arguments, results)))
	},
	"chains of Identity": func(n int) []byte {
		return restoring("name:0", nodeOf("name", "Placeholder"),
			repeated(n, func(i int) []byte {
				return nodeOf(fmt.Sprint("i", i), "Identity", inputs(fmt.Sprint("i", i+1)))
			}),
			nodeOf("restore", "NoOp", repeated(n, func(i int) []byte {
				return inputs(fmt.Sprint("^r", i))
			})),
			repeated(n, func(i int) []byte {
				return nodeOf(fmt.Sprint("r", i), "RestoreV2", inputs("i0", "n", "s"))
			}))
	},
}

// TestWorkIsLinear holds that a file four times as large takes about four times the steps, and four
// times the memory.
func TestWorkIsLinear(t *testing.T) {
	for name, make := range growing {
		t.Run(name, func(t *testing.T) {
			measure := func(n int) (size, steps, memory int64) {
				data := make(n)
				w := newWork(t.Context())
				memory = int64(allocated(func() {
					m, err := read(w, fstest.MapFS{GraphPath: {Data: data}})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.scan(w, nil); err != nil {
						t.Fatal(err)
					}
				}))
				return int64(len(data)), w.steps, memory
			}
			const n = 2000
			size, steps, memory := measure(n)
			size4, steps4, memory4 := measure(4 * n)
			growth := float64(size4) / float64(size)
			if got := float64(steps4) / float64(steps); got > 1.2*growth || steps < n {
				t.Errorf("steps grow %.1f times as the file does %.1f times: from %d to %d", got,
					growth, steps, steps4)
			}
			if got := float64(memory4) / float64(memory); got > 1.5*growth {
				t.Errorf("memory grows %.1f times as the file does %.1f times: from %d to %d", got,
					growth, memory, memory4)
			}
			if most := 100 * size4; steps4 > most {
				t.Errorf("got %d steps, want at most %d for %d bytes", steps4, most, size4)
			}
		})
	}
}

// TestEndedContext ends the context before reading, after each read of a file, and at many steps of
// the scan: nothing goes on, and nothing is taken for a model that passes.
func TestEndedContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	files := exported(t, nil)
	if _, err := Read(ended, files); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: got %v, want the context's end", err)
	}
	m, err := Read(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Scan(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: got %v, want the context's end", err)
	}
	if err := m.Validate(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Validate: got %v, want the context's end", err)
	}
	for name := range files {
		ctx, cancel := context.WithCancel(t.Context())
		m, err := Read(ctx, cancelFS{files, name, cancel})
		if err == nil {
			_, err = m.Scan(ctx)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended by reading %s: got %v, want the context's end", name, err)
		}
		cancel()
	}
	for name, make := range growing {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: make(20_000)}})
		if err != nil {
			t.Fatal(err)
		}
		w := newWork(ended)
		w.err = nil // as if the context had ended after the first look
		if _, err := m.scan(w, nil); !errors.Is(err, context.Canceled) ||
			w.steps > 8*stepsBetweenLooks {
			t.Errorf("%s: got %v after %d steps, want the context's end", name, err, w.steps)
		}
	}
}

// cancelFS ends a context when a file is opened.
type cancelFS struct {
	fs.FS
	name   string
	cancel func()
}

func (f cancelFS) Open(name string) (fs.File, error) {
	if name == f.name {
		f.cancel()
	}
	return f.FS.Open(name)
}

// TestStructureInMemory holds that files whose structure takes much more memory than they have
// bytes are refused before it does.
func TestStructureInMemory(t *testing.T) {
	const limit = 4 << 20
	many := func(message []byte) []byte { return bytes.Repeat(message, 1<<19) }
	graphs := map[string][]byte{
		"empty nodes":      message(2, message(2, many(message(1, nil)))),
		"empty functions":  message(2, message(2, library(many(message(1, nil))))),
		"empty signatures": message(2, many(message(5, nil))),
		"empty strings":    graphOf(nodeOf("y", "Const", constantOf(7, many(message(8, nil))))),
		"types in a list": graphOf(nodeOf("y", "NoOp",
			attribute("dtypes", message(1, message(6, many([]byte{1, 1})))))),
		"empty inputs": graphOf(nodeOf("y", "NoOp", many(message(3, nil)))),
	}
	models := map[string]fstest.MapFS{
		"long keys that share their beginnings": {
			GraphPath: {Data: modelOf(nodeOf("y", "NoOp"))},
			IndexPath: {Data: tableOf(slices.Concat(entryOf(0, "", number(1, 1)),
				entryOf(0, strings.Repeat("k", 1<<18), nil),
				repeated(100, func(i int) []byte { return entryOf(1<<18+i, "k", nil) })))},
		},
	}
	for name, graph := range graphs {
		models[name] = fstest.MapFS{GraphPath: {Data: graph}}
	}
	for name, files := range models {
		t.Run(name, func(t *testing.T) {
			w := newWork(t.Context())
			w.limit = limit
			var err error
			taken := allocated(func() {
				var m *Model
				if m, err = read(w, files); err == nil {
					err = m.indexErr
				}
			})
			want := "expected a structure of at most 4 MiB"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it refused for its size in memory", err)
			}
			if taken > 8*limit { // as it grows, a slice is copied
				t.Errorf("got %d bytes taken, want at most about %d", taken, limit)
			}
		})
	}
}

// entryOf returns an entry of a table's block.
func entryOf(shared int, rest string, value []byte) []byte {
	entry := protowire.AppendVarint(nil, uint64(shared))
	entry = protowire.AppendVarint(entry, uint64(len(rest)))
	entry = protowire.AppendVarint(entry, uint64(len(value)))
	return slices.Concat(entry, []byte(rest), value)
}

// blockOf returns a block of a table, with its trailer.
func blockOf(entries []byte) []byte {
	block := append(slices.Clone(entries), 0, 0, 0, 0, 0) // no restarts, no compression
	crc := crc32.Checksum(block, castagnoli)
	return binary.LittleEndian.AppendUint32(block, (crc>>15|crc<<17)+0xa282ead8)
}

// handleOf returns the place of a block.
func handleOf(offset, size int) []byte {
	return protowire.AppendVarint(protowire.AppendVarint(nil, uint64(offset)), uint64(size))
}

// tableOf returns a table with the entries in one block, which its index names so often.
func tableOf(entries []byte, again ...string) []byte {
	block := blockOf(entries)
	place := handleOf(0, len(block)-blockTrailer)
	index := entryOf(0, "z", place)
	for _, key := range again {
		index = append(index, entryOf(0, key, place)...)
	}
	indexBlock := blockOf(index)
	footer := append(handleOf(0, 0), handleOf(len(block), len(indexBlock)-blockTrailer)...)
	footer = append(footer, make([]byte, tableFooter-8-len(footer))...)
	return slices.Concat(block, indexBlock, binary.LittleEndian.AppendUint64(footer, tableMagic))
}

// TestBlocksOnce holds that a table's index names each block once: the work is that of reading the
// file.
func TestBlocksOnce(t *testing.T) {
	count := 0
	entry := func(_, _ []byte) error { count++; return nil }
	if err := readTable(tableOf(entryOf(0, "", nil)), entry); err != nil || count != 1 {
		t.Errorf("got %v and %d entries, want one", err, count)
	}
	err := readTable(tableOf(entryOf(0, "", nil), "z", "z"), entry)
	if want := "expected a block behind byte"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestCircleOfIdentity holds that the search for the variable that a value comes from ends.
func TestCircleOfIdentity(t *testing.T) {
	files := load(t, "dense")
	files[GraphPath].Data = restoring("name:0", nodeOf("name", "Placeholder"),
		nodeOf("a", "Identity", inputs("b")), nodeOf("b", "Identity", inputs("a")),
		nodeOf("restore", "AssignVariableOp", inputs("v", "a")), nodeOf("v", "VarHandleOp"))
	m, err := Read(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if err := Join(scanned(t, m)); err != nil {
		t.Errorf("got %v, want a scan that ends", err)
	}
}

// TestSparseFiles holds that files which are read whole cost nothing where they are too large.
func TestSparseFiles(t *testing.T) {
	for _, name := range []string{IndexPath, contract.ManifestPath} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/dense")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Skip(err) // the file system has no such files
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := m.SHA256(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "expected at most 64 GiB in all files") {
			t.Errorf("%s: got the hash %q, %v, want an error of its size", name, sum, err)
		}
		err = Join(scanned(t, m, Skip(CheckFiles)))
		runtime.ReadMemStats(&after)
		want := name + " is not supported: expected at most"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 {
			t.Errorf("%s: got %d bytes allocated, want at most 8 MiB", name, taken)
		}
	}
}
