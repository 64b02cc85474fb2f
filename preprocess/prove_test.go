//go:build prove

package preprocess_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kerasrun/preprocess"
)

// resident returns how much memory the process has taken, in bytes, when all that is garbage is given back: without the pages of its
// program, which the system brings in and drops as it likes and which are most of a process as small as this.
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
	return kib * 1024
}

// TestProveMutants decodes 10,000 mutants of each format, and wants as much memory in the second half of them as in the first.
func TestProveMutants(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
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
	run(5000)
	decoded = 0
	// The runtime's own comings and goings are a MiB or two in a process as small as this: hence the least of many readings.
	const count, readings = 10_000, 40
	least := [2]float64{math.Inf(1), math.Inf(1)}
	for i := range readings {
		run(count / readings)
		least[2*i/readings] = min(least[2*i/readings], resident(t))
	}
	before, after := least[0], least[1]
	t.Logf("%d mutants, %d of them decode, 0 crashes: memory %.1f MiB at least in the first half, %.1f MiB in the second (%+.1f %%)",
		len(patterns)*count, decoded, before/(1<<20), after/(1<<20), 100*(after/before-1))
	if after > max(1.05*before, before+(1<<20)) {
		t.Error("want memory to grow by less than 5 %, or 1 MiB")
	}
}

// TestProveVast refuses the largest pictures there are within 50 ms.
func TestProveVast(t *testing.T) {
	for name, file := range vast(65535, 65535) {
		begin := time.Now()
		_, err := preprocess.Decode(file, 0)
		took := time.Since(begin)
		if err == nil || took > 50*time.Millisecond {
			t.Errorf("%s: %v, %v", name, took, err)
		}
		t.Logf("%s: refused in %v", name, took)
	}
}
