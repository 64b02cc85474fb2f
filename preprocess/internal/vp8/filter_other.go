//go:build !amd64

package vp8

func filterRowsAVX2(*byte, int, bool, uint8, uint8, uint8) { panic("no AVX2") }

func filterRows2AVX2(_, _ *byte, _ int, _ bool, _, _, _ uint8) { panic("no AVX2") }

func filterColumnsAVX2(_, _ *byte, _ int, _ bool, _, _, _ uint8) { panic("no AVX2") }
