// Package guarded gives tests memory that ends the program where assembly reads or writes beyond
// it.
package guarded

import (
	"os"
	"syscall"
	"testing"
)

// Bytes returns n zeros. Behind the last begins a page that can neither be read nor written.
func Bytes(t testing.TB, n int) []byte {
	t.Helper()
	page := os.Getpagesize()
	size := (n + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(memory) })
	if err := syscall.Mprotect(memory[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return memory[size-n : size : size]
}
