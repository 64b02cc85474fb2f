//go:build !amd64

package vp8

func residualsBMI2(*partition, *[nBand][nContext][nProb]uint8, uint8, *[2]uint16, int,
	*[16]int16) uint8 {
	panic("no BMI2")
}
