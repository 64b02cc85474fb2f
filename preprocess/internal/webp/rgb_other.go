//go:build !amd64

package webp

func weighAVX2(*int16, *byte, *byte, int) { panic("no AVX2") }

func convertRowAVX2(_, _ *byte, _, _ *int16, _ int) { panic("no AVX2") }
