//go:build !amd64

package vp8

func residuesAVX2(*uint8, *int16, *uint8, int, int) { panic("no AVX2") }

func predict4AVX2(*uint8, *[16]uint8, *[400]int16, *[25]uint8, *[nPred][3][16]uint8) {
	panic("no AVX2")
}
