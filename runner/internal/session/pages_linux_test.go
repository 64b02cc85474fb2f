package session

import (
	"hash/crc32"
	"os"
	"regexp"
	"strconv"
	"testing"
	"unsafe"
)

// TestTrimDropsPages holds that pages that are dropped come back as they were.
func TestTrimDropsPages(t *testing.T) {
	var code []byte // the longest of TensorFlow's
	mapped := regexp.MustCompile(`(?m)^([0-9a-f]+)-([0-9a-f]+) r-xp .*/libtensorflow`)
	for _, match := range mapped.FindAllStringSubmatch(readFile(t, "/proc/self/maps"), -1) {
		begin, end := hexadecimal(t, match[1]), hexadecimal(t, match[2])
		if int(end-begin) > len(code) {
			code = unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&begin))), end-begin)
		}
	}
	if len(code) < 10<<20 {
		t.Fatalf("got %d bytes of TensorFlow's code mapped, want megabytes", len(code))
	}
	before := crc32.ChecksumIEEE(code)
	touched := fileMemory(t)
	if touched < len(code) {
		t.Fatalf("got %d bytes of files in memory, want the %d of code that were read", touched,
			len(code))
	}
	Trim()
	if left := fileMemory(t); left > touched-len(code)*9/10 {
		t.Errorf("got %d bytes of files in memory before and %d after, want %d of code gone",
			touched, left, len(code))
	}
	if after := crc32.ChecksumIEEE(code); after != before {
		t.Errorf("code: checksum %x before, %x after", before, after)
	}
}

func hexadecimal(t *testing.T, s string) uintptr {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(n)
}

// fileMemory returns how many bytes of files the process has in memory.
func fileMemory(t *testing.T) int {
	t.Helper()
	match := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindStringSubmatch(readFile(t,
		"/proc/self/status"))
	if match == nil {
		t.Fatal("/proc/self/status: got no RssFile, want one")
	}
	kib, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
