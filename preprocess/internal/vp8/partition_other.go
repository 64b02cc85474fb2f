//go:build !amd64

package vp8

func regionsBMI2(*partition, *[nPlane][nBand][nContext][nProb]uint8, *quant, *[9]uint8, *[9]uint8,
	bool, *[400]int16, *[25]uint8, *[256]uint64) {
	panic("no BMI2")
}

func modesBMI2(*partition, *[nPred][nPred][9]uint8, *[4]uint8, *[4]uint8, *[16]uint8,
	*[256]uint64) {
	panic("no BMI2")
}
