package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// machine is what a measurement was taken on.
type machine struct {
	Processor   string `json:"processor"`
	CPUs        int    `json:"cpus"` // that the process may use
	MemoryBytes int64  `json:"memory_bytes"`
	OS          string `json:"os"`
	Arch        string `json:"arch"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, %.1f GiB, %s/%s",
		m.Processor, m.CPUs, float64(m.MemoryBytes)/(1<<30), m.OS, m.Arch)
}

func thisMachine() machine {
	m := machine{
		Processor: "unknown processor", CPUs: runtime.GOMAXPROCS(0),
		OS: runtime.GOOS, Arch: runtime.GOARCH,
	}
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		m.Processor = name
	}
	m.MemoryBytes = kibibytes(procField("/proc/meminfo", "MemTotal"))
	return m
}

// peakRSS is the most memory that the process ever had, in bytes; 0 where the system does not say.
// (Not getrusage, whose figure includes that of the process which started this one.)
func peakRSS() int64 { return kibibytes(procField("/proc/self/status", "VmHWM")) }

// procField is the value of the first line "name: value" of a file in /proc, "" where there is
// none.
func procField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kibibytes(value string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
