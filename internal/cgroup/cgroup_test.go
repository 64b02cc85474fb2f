package cgroup

import (
	"math"
	"testing"
	"testing/fstest"
)

func tree(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

const (
	mountV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - " +
		"cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1 = "22 28 0:20 / /proc rw - proc proc rw\n" +
		"33 32 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:3 - " +
		"cgroup cgroup rw,cpu,cpuacct\n"
	mountDocker = "34 32 0:30 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"
)

func TestCPUs(t *testing.T) {
	none := math.Inf(1)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  float64
	}{
		{"no control groups", nil, none},
		{"version 2", map[string]string{
			"proc/self/cgroup":                    "0::/app.slice/job\n",
			"proc/self/mountinfo":                 mountV2,
			"sys/fs/cgroup/app.slice/cpu.max":     "max 100000\n",
			"sys/fs/cgroup/app.slice/job/cpu.max": "150000 100000\n",
		}, 1.5},
		{"version 2, a limit above", map[string]string{
			"proc/self/cgroup":                    "0::/app.slice/job\n",
			"proc/self/mountinfo":                 mountV2,
			"sys/fs/cgroup/app.slice/cpu.max":     "50000 100000\n",
			"sys/fs/cgroup/app.slice/job/cpu.max": "max 100000\n",
		}, 0.5},
		{"version 2, in a container of its own name space", map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"proc/self/mountinfo":   mountV2,
			"sys/fs/cgroup/cpu.max": "400000 100000\n",
		}, 4},
		{"version 2, no limit", map[string]string{
			"proc/self/cgroup":          "0::/job\n",
			"proc/self/mountinfo":       mountV2,
			"sys/fs/cgroup/job/cpu.max": "max 100000\n",
		}, none},
		{"version 2, nonsense", map[string]string{
			"proc/self/cgroup":          "0::/job\nnonsense\n",
			"proc/self/mountinfo":       "x - y\n" + mountV2,
			"sys/fs/cgroup/job/cpu.max": "100000 0\n",
			"sys/fs/cgroup/cpu.max":     "-5 100000\n",
		}, none},
		{"version 2, mounted elsewhere", map[string]string{
			"proc/self/cgroup":           "0::/job\n",
			"proc/self/mountinfo":        "30 23 0:26 / /run/groups rw - cgroup2 cgroup2 rw\n",
			"run/groups/job/cpu.max":     "200000 100000\n",
			"sys/fs/cgroup/job/cpu.max":  "100000 100000\n",
			"run/groups/job/sub/cpu.max": "100000 100000\n",
		}, 2},
		{"version 1", map[string]string{
			"proc/self/cgroup":    "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
			"proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us":  "250000\n",
			"sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":             "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":            "100000\n",
		}, 2.5},
		{"version 1, the container's group mounted as the root", map[string]string{
			"proc/self/cgroup":                    "4:cpu,cpuacct:/docker/abc\n",
			"proc/self/mountinfo":                 mountDocker + ",cpuacct\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
		}, 2},
		{"version 1, a group outside of what is mounted", map[string]string{
			"proc/self/cgroup":                    "4:cpu:/other\n",
			"proc/self/mountinfo":                 mountDocker + "\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 1},
		{"version 1, no limit", map[string]string{
			"proc/self/cgroup":                                "4:cpu:/job\n",
			"proc/self/mountinfo":                             mountV1,
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, none},
		{"version 2, nested, the smallest of the limits holds", map[string]string{
			"proc/self/cgroup":    "0::/kubepods.slice/pod.slice/container\n",
			"proc/self/mountinfo": mountV2,
			// a root has none, some kernels' do
			"sys/fs/cgroup/cpu.max":                                    "max 100000\n",
			"sys/fs/cgroup/kubepods.slice/cpu.max":                     "800000 100000\n",
			"sys/fs/cgroup/kubepods.slice/pod.slice/cpu.max":           "125000 50000\n",
			"sys/fs/cgroup/kubepods.slice/pod.slice/container/cpu.max": "300000 100000\n",
		}, 2.5},
		{"version 1, nested, the smallest of the limits holds", map[string]string{
			"proc/self/cgroup":    "4:cpu,cpuacct:/kubepods/pod/container\n",
			"proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/cpu,cpuacct/kubepods/pod/container/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/kubepods/pod/container/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/kubepods/pod/cpu.cfs_quota_us":            "70000\n",
			"sys/fs/cgroup/cpu,cpuacct/kubepods/pod/cpu.cfs_period_us":           "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/kubepods/cpu.cfs_quota_us":                "400000\n",
			"sys/fs/cgroup/cpu,cpuacct/kubepods/cpu.cfs_period_us":               "100000\n",
		}, 0.7},
		{"version 1, a sibling whose name begins with the mount's", map[string]string{
			"proc/self/cgroup":                    "4:cpu:/docker/abcdef\n",
			"proc/self/mountinfo":                 mountDocker + "\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 1},
		{"both versions, the CPU in version 1", map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/job\n0::/job\n",
			"proc/self/mountinfo": mountV1 +
				"35 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us":  "300000\n",
			"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, 3},
	} {
		if got := CPUs(tree(c.files)); got != c.want {
			t.Errorf("%s: %v CPUs, want %v", c.name, got, c.want)
		}
	}
}

func TestMemory(t *testing.T) {
	none := math.Inf(1)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  float64
	}{
		{"no control groups", nil, none},
		{"version 2, a limit above", map[string]string{
			"proc/self/cgroup":                       "0::/app.slice/job\n",
			"proc/self/mountinfo":                    mountV2,
			"sys/fs/cgroup/app.slice/memory.max":     "3221225472\n",
			"sys/fs/cgroup/app.slice/job/memory.max": "max\n",
		}, 3 << 30},
		{"version 2, no limit", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"proc/self/mountinfo":      mountV2,
			"sys/fs/cgroup/memory.max": "max\n",
		}, none},
		{"version 2, nonsense", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"proc/self/mountinfo":      mountV2,
			"sys/fs/cgroup/memory.max": "-5\n",
		}, none},
		{"version 1", map[string]string{
			"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
			"proc/self/mountinfo": mountV1 +
				"35 32 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
		}, 1 << 30},
		{"version 1, no limit", map[string]string{
			"proc/self/cgroup": "5:memory:/\n",
			"proc/self/mountinfo": "35 32 0:31 / /sys/fs/cgroup/memory rw - " +
				"cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, none},
	} {
		if got := Memory(tree(c.files)); got != c.want {
			t.Errorf("%s: %v bytes, want %v", c.name, got, c.want)
		}
	}
}
