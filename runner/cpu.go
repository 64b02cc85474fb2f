package runner

import (
	"math"
	"os"
	"runtime"
	"sync"

	"kerasrun/internal/cgroup"
)

// cpus returns how many CPUs the process may use: those of its affinity, or fewer where its control
// group has a smaller limit. It is read once.
//
// Go's GOMAXPROCS is not that: it is 2 at least, it ignores the limits of the groups above, and who
// sets it means Go's own threads.
var cpus = sync.OnceValue(func() int {
	return limitedCPUs(runtime.NumCPU(),
		cgroup.CPUs(os.DirFS("/")))
})

func limitedCPUs(affinity int, limit float64) int {
	return min(affinity, max(1, int(math.Ceil(min(limit, float64(affinity))))))
}
