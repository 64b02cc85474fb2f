package vp8

// residuesAVX2 transforms the coefficients of n 4x4 regions, across of them a
// row, and adds them to the samples of a workspace from dst on.
//
//go:noescape
func residuesAVX2(dst *uint8, coeff *int16, last *uint8, across, n int)

// predict4AVX2 predicts the 16 luma regions of a macroblock by their modes, and
// adds their coefficients. ybr is the first region in the workspace.
//
//go:noescape
func predict4AVX2(ybr *uint8, modes *[16]uint8, coeff *[400]int16, last *[25]uint8,
	masks *[nPred][3][16]uint8)
