//go:build prove

package preprocess_test

import (
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kerasrun/internal/testseed"
)

// resident returns how much memory the process holds, in bytes, when all that is garbage is given
// back: without the pages of its program, which the system brings in and drops as it likes and
// which are most of a process as small as this, and without the free pages that Go's runtime keeps
// all the same, 1 to 6 MiB from one reading to the next.
func resident(t *testing.T) float64 {
	t.Helper()
	runtime.GC() // a sync.Pool keeps what it holds over one
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return kib*1024 - float64(m.HeapIdle-m.HeapReleased)
}

// TestProveMutants decodes 10,000 mutants of each format, and wants as much memory in the second
// half of them as in the first.
func TestProveMutants(t *testing.T) {
	r := testseed.Rand(t)
	decoded := 0
	run := func(count int) {
		for _, pattern := range patterns {
			files := seeds(t, pattern)
			names := slices.Sorted(maps.Keys(files))
			for range count {
				name := names[r.IntN(len(names))]
				if checkDecode(t, name, mutate(r, files[name])) {
					decoded++
				}
			}
		}
	}
	run(20_000) // after which Go's runtime has the tables that it makes for its own use
	decoded = 0
	const count, readings = 10_000, 40
	var halves [2][]float64
	for i := range readings {
		run(count / readings)
		halves[2*i/readings] = append(halves[2*i/readings], resident(t))
	}
	slices.Sort(halves[0])
	slices.Sort(halves[1])
	before, after := halves[0][readings/4], halves[1][readings/4]
	t.Logf("%d mutants, %d of them decode, 0 crashes: memory %.2f MiB in the first half, as the "+
		"median, %.2f MiB in the second (%+.1f %%)",
		len(patterns)*count, decoded, before/(1<<20), after/(1<<20), 100*(after/before-1))
	if after > 1.05*before {
		t.Error("want memory to grow by less than 5 %")
	}
}

// TestProveVast refuses the largest images there are within 50 ms.
func TestProveVast(t *testing.T) {
	for name, file := range vast(65535, 65535) {
		begin := time.Now()
		_, err := decode(file, 0)
		took := time.Since(begin)
		if err == nil || took > 50*time.Millisecond {
			t.Errorf("%s: %v, %v", name, took, err)
		}
		t.Logf("%s: refused in %v", name, took)
	}
}
