package vp8

// regionsBMI2 is parseRegions, of a partition that does not overflow.
//
//go:noescape
func regionsBMI2(p *partition, prob *[nPlane][nBand][nContext][nProb]uint8, quant *quant,
	left, up *[9]uint8, hasWHT bool, coeff *[400]int16, last *[25]uint8,
	rounding *[256]uint64)

// modesBMI2 reads the modes of the 4x4 regions, as parsePredModeY4 does, of a
// partition that does not overflow.
//
//go:noescape
func modesBMI2(p *partition, prob *[nPred][nPred][9]uint8, left, up *[4]uint8, modes *[16]uint8,
	rounding *[256]uint64)
