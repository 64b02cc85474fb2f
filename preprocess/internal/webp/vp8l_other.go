//go:build !amd64

package webp

func selectAVX2(_, _ *uint32, _ uint32, _ int) { panic("no AVX2") }

func fullAVX2(_, _ *uint32, _ uint32, _ int) { panic("no AVX2") }

func halfAVX2(_, _ *uint32, _ uint32, _ int) { panic("no AVX2") }

func addColorsAVX2(*uint32, int, int32, int32, int32) { panic("no AVX2") }

func addGreenAVX2(*uint32, int) { panic("no AVX2") }

func addRowAVX2(_, _ *uint32, _ int) { panic("no AVX2") }

func putRGBAVX2(*byte, *uint32, int) { panic("no AVX2") }
