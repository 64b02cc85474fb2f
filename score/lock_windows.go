package score

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock takes a file for this process alone, or fails at once. The system gives it back with the
// process, however it ends. It locks one byte far behind the content, which others may read.
func lock(file *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	behind := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, behind)
}
