//go:build !amd64

package webp

func convertRowAVX2(_, _ *byte, _, _ *int16, _ int) { panic("no AVX2") }
