//go:build !emulate_avx512

package cpuconv

// #cgo CFLAGS: -DNDEBUG
import "C"
