package vp8

// inverseDCT4AVX2 is inverseDCT4 with numbers of 16 bits, of 16 coefficients, to
// four rows of ybr.
//
//go:noescape
func inverseDCT4AVX2(coeff *[16]int16, dst *uint8)
