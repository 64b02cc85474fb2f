//go:build !amd64

package simd

func weighAVX2(*int16, *byte, *byte, int) { panic("no AVX2") }
