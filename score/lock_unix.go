//go:build unix

package score

import (
	"os"
	"syscall"
)

// lock takes a file for this process alone, or fails at once. The system gives it back with the
// process, however it ends.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
