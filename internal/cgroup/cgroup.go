// Package cgroup reads the limits of the process's control group, of version 1 and of version 2.
// The limits of the groups above hold too.
package cgroup

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// CPUs returns the limit of CPUs (a quota over its period), infinite where there is none. root is
// the root of the file system.
func CPUs(root fs.FS) float64 { return smallest(root, "cpu", quotaV1, quotaV2) }

// Memory returns the limit of memory in bytes, infinite where there is none. root is the root of
// the file system.
func Memory(root fs.FS) float64 {
	return smallest(root, "memory", bytesOf("memory.limit_in_bytes"), bytesOf("memory.max"))
}

// limit reads the limit of one group's directory.
type limit func(root fs.FS, group string) float64

// smallest returns the smallest limit that a controller has, of the process's group and those
// above.
func smallest(root fs.FS, controller string, v1, v2 limit) float64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return math.Inf(1)
	}
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return math.Inf(1)
	}
	least := math.Inf(1)
	for line := range strings.Lines(string(groups)) { // hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		kind, read := "cgroup", v1
		switch {
		case parts[0] == "0" && parts[1] == "":
			kind, read = "cgroup2", v2
		case !hasWord(parts[1], controller):
			continue
		}
		mount, group, ok := findMount(string(mounts), kind, controller, parts[2])
		if !ok {
			continue
		}
		for {
			least = min(least, read(root, path.Join(mount, group)))
			if group == "." {
				break
			}
			group = path.Dir(group)
		}
	}
	return least
}

// findMount returns where the hierarchy that holds the group is mounted, as a path without the
// leading slash, and the group's path below that: a container sees only a part of the hierarchy,
// from the mount's root on.
func findMount(mountinfo, kind, controller, group string) (mount, below string, ok bool) {
	for line := range strings.Lines(mountinfo) {
		// 36 35 98:0 /root /mount/point options [optional...] - type source superoptions
		before, after, found := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(kinds) < 3 || kinds[0] != kind || kind == "cgroup" &&
			!hasWord(kinds[2], controller) {
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

// bytesOf reads a number of bytes; "max", and in version 1 a number near 2^63, is no limit.
func bytesOf(file string) limit {
	return func(root fs.FS, group string) float64 {
		n := ratio(readWord(root, path.Join(group, file)), "1")
		if n >= 1<<62 {
			return math.Inf(1)
		}
		return n
	}
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
