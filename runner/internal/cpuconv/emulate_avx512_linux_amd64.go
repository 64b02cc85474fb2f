//go:build emulate_avx512

package cpuconv

// #cgo CFLAGS: -DKERASRUN_EMULATE_AVX512
import "C"
