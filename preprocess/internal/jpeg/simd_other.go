//go:build !amd64

package jpeg

func decodeBlockBMI2(*decoder, *block, *huffTable, *huffTable, *int32, *[128]int32) {
	panic("no BMI2")
}

func acRefineBMI2(*segmentReader, *huffTable, *coefBlock, *uint64, int, uint64, int, *int) int {
	panic("no BMI2")
}

func dequantizeAVX2(*[64]int16, *coefBlock, *[64]uint16) (int, bool) { panic("no AVX2") }

func inverseDCTAVX2(*[64]int16, *byte, int) { panic("no AVX2") }

func fastDCTAVX2(*[64]int16, *byte, int) { panic("no AVX2") }

func yccRowAVX2(_, _, _, _ *byte, _ int) { panic("no AVX2") }

func doubleAVX2(*byte, *int16, int, int16, int16) { panic("no AVX2") }
