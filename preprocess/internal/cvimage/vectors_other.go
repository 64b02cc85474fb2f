//go:build !amd64

package cvimage

const hasVectors = false

func nearest1AVX2(out, row *uint8, at *int32, count int) { panic("cvimage: no vectors") }

func nearest3AVX2(out, row *uint8, at *int32, count int) { panic("cvimage: no vectors") }

func nearest4AVX2(out, row *uint8, at *int32, count int) { panic("cvimage: no vectors") }

func linearRowAVX2(out *int16, row *uint8, at *int32, weights *int16, words *[64]uint8, count int) {
	panic("cvimage: no vectors")
}

func linearRow1AVX2(out *int16, row *uint8, at *int32, weights *int16, count int) {
	panic("cvimage: no vectors")
}

func linearBlendAVX2(out *uint8, upper, lower, weights *int16, blocks int, squeezed bool) {
	panic("cvimage: no vectors")
}

func lanczosRowAVX2(out *int32, row *uint8, at *int32, weights *int16, words *[32]uint8, half,
	count int) {
	panic("cvimage: no vectors")
}

func lanczosRow1AVX2(out *int32, row *uint8, at *int32, weights *int16, count int) {
	panic("cvimage: no vectors")
}

func lanczosBlendAVX2(out *uint8, lines *[8]*int32, weights *[8]int32, blocks int, squeezed bool) {
	panic("cvimage: no vectors")
}

func cubicRow1AVX2(out *float32, row *uint8, at *int32, weights *float32, count int) {
	panic("cvimage: no vectors")
}

func cubicRow3(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int) {
	panic("cvimage: no vectors")
}

func cubicRow4(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int) {
	panic("cvimage: no vectors")
}

func cubicBlock(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int, squeezed bool) {
	panic("cvimage: no vectors")
}

func areaRowAVX2(out *float32, row *uint8, runs *areaRun, weights *float32, step, outStep,
	count int) {
	panic("cvimage: no vectors")
}

func areaAddAVX2(sum, line *float32, weight float32, blocks int) { panic("cvimage: no vectors") }

func roundAVX2(out *uint8, line *float32, blocks int, squeezed bool) {
	panic("cvimage: no vectors")
}

func halveAVX2(out, upper, lower *uint8, pairs *[32]uint8, step, outStep, blocks int) {
	panic("cvimage: no vectors")
}

func cubicPixels() int { panic("cvimage: no vectors") }
