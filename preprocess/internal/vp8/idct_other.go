//go:build !amd64

package vp8

func inverseDCT4AVX2(*[16]int16, *uint8) { panic("no AVX2") }
