package runner

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// cpus returns how many CPUs the process may use: those of its affinity, or fewer where its control
// group has a smaller limit. It is read once.
//
// Go's GOMAXPROCS is not that: it is 2 at least, it ignores the limits of the groups above, and who
// sets it means Go's own threads.
var cpus = sync.OnceValue(func() int {
	return limitedCPUs(runtime.NumCPU(),
		cgroupCPUs(os.DirFS("/")))
})

func limitedCPUs(affinity int, limit float64) int {
	return min(affinity, max(1, int(math.Ceil(min(limit, float64(affinity))))))
}

// cgroupCPUs returns the CPU limit of the process's control group (a quota over its period),
// infinite where it has none. In version 1 and in version 2 alike the limits of the groups above
// hold too. root is the root of the file system.
func cgroupCPUs(root fs.FS) float64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return math.Inf(1)
	}
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return math.Inf(1)
	}
	limit := math.Inf(1)
	for line := range strings.Lines(string(groups)) { // hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		kind, quota := "cgroup", quotaV1
		switch {
		case parts[0] == "0" && parts[1] == "":
			kind, quota = "cgroup2", quotaV2
		case !hasWord(parts[1], "cpu"):
			continue
		}
		mount, group, ok := findMount(string(mounts), kind, parts[2])
		if !ok {
			continue
		}
		for {
			limit = min(limit, quota(root, path.Join(mount, group)))
			if group == "." {
				break
			}
			group = path.Dir(group)
		}
	}
	return limit
}

// findMount returns where the hierarchy that holds the group is mounted, as a path without the
// leading slash, and the group's path below that: a container sees only a part of the hierarchy,
// from the mount's root on.
func findMount(mountinfo, kind, group string) (mount, below string, ok bool) {
	for line := range strings.Lines(mountinfo) {
		// 36 35 98:0 /root /mount/point options [optional...] - type source superoptions
		before, after, found := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(kinds) < 3 || kinds[0] != kind || kind == "cgroup" &&
			!hasWord(kinds[2], "cpu") {
			continue
		}
		below, inside := strings.CutPrefix(group, strings.TrimSuffix(fields[3], "/"))
		if !inside || below != "" && below[0] != '/' {
			// a group outside of what is mounted: the mount's own limit is all that can be seen
			below = "/"
		}
		return strings.TrimPrefix(fields[4], "/"), path.Clean(strings.TrimPrefix(below, "/")), true
	}
	return "", "", false
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// quotaV1 returns the CPUs of one group of version 1: quota and period in microseconds, a quota of
// -1 being none.
func quotaV1(root fs.FS, group string) float64 {
	return ratio(readWord(root, path.Join(group, "cpu.cfs_quota_us")),
		readWord(root, path.Join(group, "cpu.cfs_period_us")))
}

// quotaV2 returns the CPUs of one group of version 2: "quota period" in microseconds, a quota of
// "max" being none.
func quotaV2(root fs.FS, group string) float64 {
	quota, period, _ := strings.Cut(readWord(root, path.Join(group, "cpu.max")), " ")
	return ratio(quota, period)
}

func readWord(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// ratio returns quota / period, infinite where they are not both positive numbers.
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || !(q > 0 && p > 0) {
		return math.Inf(1)
	}
	return q / p
}
