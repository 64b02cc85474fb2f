package cvimage

import "golang.org/x/sys/cpu"

// hasVectors reports whether the processor has what the vector code needs. What it computes is the
// same to the bit. Its callers check that all it reads and writes is there.
var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

//go:noescape
func nearest1AVX2(out, row *uint8, at *int32, count int)

//go:noescape
func nearest3AVX2(out, row *uint8, at *int32, count int)

//go:noescape
func nearest4AVX2(out, row *uint8, at *int32, count int)

//go:noescape
func linearRowAVX2(out *int16, row *uint8, at *int32, weights *int16, words *[64]uint8, count int)

//go:noescape
func linearRow1AVX2(out *int16, row *uint8, at *int32, weights *int16, count int)

//go:noescape
func linearBlendAVX2(out *uint8, upper, lower, weights *int16, blocks int, squeezed bool)

//go:noescape
func lanczosRowAVX2(out *int32, row *uint8, at *int32, weights *int16, words *[32]uint8, half,
	count int)

//go:noescape
func lanczosRow1AVX2(out *int32, row *uint8, at *int32, weights *int16, count int)

//go:noescape
func lanczosBlendAVX2(out *uint8, lines *[8]*int32, weights *[8]int32, blocks int, squeezed bool)

//go:noescape
func cubicRow1AVX2(out *float32, row *uint8, at *int32, weights *float32, count int)

//go:noescape
func cubicRow3AVX2(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int)

//go:noescape
func cubicRow4AVX2(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int)

//go:noescape
func cubicBlendAVX2(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int, squeezed bool)

//go:noescape
func areaRowAVX2(out *float32, row *uint8, runs *areaRun, weights *float32, step, outStep,
	count int)

//go:noescape
func areaAddAVX2(sum, line *float32, weight float32, blocks int)

//go:noescape
func roundAVX2(out *uint8, line *float32, blocks int, squeezed bool)

//go:noescape
func halveAVX2(out, upper, lower *uint8, pairs *[32]uint8, step, outStep, blocks int)

// hasWide reports whether the processor has AVX-512 as far as it is used.
var hasWide = hasVectors && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ &&
	cpu.X86.HasAVX512VL

// cubicPixels is how many pixels of three or four channels cubicRow3 and cubicRow4 make at a time.
func cubicPixels() int {
	if hasWide {
		return 4
	}
	return 2
}

func cubicRow3(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int) {
	if hasWide {
		cubicRow3AVX512(out, row, at, weights, dwords, count)
	} else {
		cubicRow3AVX2(out, row, at, weights, dwords, count)
	}
}

func cubicRow4(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int) {
	if hasWide {
		cubicRow4AVX512(out, row, at, weights, dwords, count)
	} else {
		cubicRow4AVX2(out, row, at, weights, dwords, count)
	}
}

func cubicBlock(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int, squeezed bool) {
	if hasWide {
		cubicBlendAVX512(out, lines, weights, blocks, squeezed)
	} else {
		cubicBlendAVX2(out, lines, weights, blocks, squeezed)
	}
}

//go:noescape
func cubicRow3AVX512(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int)

//go:noescape
func cubicRow4AVX512(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8,
	count int)

//go:noescape
func cubicBlendAVX512(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int,
	squeezed bool)
