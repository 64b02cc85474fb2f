package vp8

// residualsBMI2 is parseResiduals4 from coefficient n on, for a partition of
// which maxResiduals bytes are left.
//
//go:noescape
func residualsBMI2(p *partition, prob *[nBand][nContext][nProb]uint8, context uint8,
	quant *[2]uint16, n int, coeff *[16]int16) uint8
