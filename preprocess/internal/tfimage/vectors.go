package tfimage

import "kerasrun/preprocess/internal/simd"

// The functions below do in assembly what there is for it, where the processor has it, and the rest
// in Go. Those over columns read and write four values a pixel, so that of three channels they need
// one more than the pixel has.

const (
	rowsVector = 32 // values that the assembly over rows makes at a time
	lerpVector = 8
)

// gatherRows adds up rows that are stride samples apart, each times its weight, and multiplies the
// sums with scale.
func gatherRows[T pixels](out []float32, rows []T, stride int, weights []float32, scale float32) {
	n := len(weights)
	if !simd.AVX2 || n == 0 || len(out) < rowsVector {
		gatherRowsGo(out, rows, stride, weights, scale)
		return
	}
	rows = rows[:stride*(n-1)+len(out)]
	switch rows := any(rows).(type) {
	case []uint8:
		gatherRowsUint8AVX2(&out[0], &rows[0], &weights[0], stride, n, len(out), scale)
	case []float32:
		gatherRowsFloat32AVX2(&out[0], &rows[0], &weights[0], stride, n, len(out), scale)
	}
}

// gatherColumns adds up the pixels of each span of a row, each times its weight. row may go on with
// the row below.
func gatherColumns[T pixels](out []float32, row []T, channels int, all []span) {
	n := 0
	if simd.AVX2 && channels > 1 {
		n = len(all)
		for n > 0 && (n*channels+4-channels > len(out) ||
			(all[n-1].start+len(all[n-1].weights)-1)*channels+4 > len(row)) {
			n--
		}
	}
	if n > 0 {
		switch row := any(row).(type) {
		case []uint8:
			gatherColumnsUint8AVX2(&out[0], &row[0], &all[0], n, channels)
		case []float32:
			gatherColumnsFloat32AVX2(&out[0], &row[0], &all[0], n, channels)
		}
	}
	gatherColumnsGo(out[n*channels:], row, channels, all[n:])
}

// lerpColumns goes along a row from one pixel to another. row may go on with the row below.
func lerpColumns[T pixels](out []float32, row []T, channels int, lerps []lerp) {
	n := 0
	if simd.AVX2 && channels > 1 {
		n = len(lerps)
		for n > 0 && (n*channels+4-channels > len(out) || lerps[n-1].upper+4 > len(row)) {
			n--
		}
	}
	if n > 0 {
		switch row := any(row).(type) {
		case []uint8:
			lerpColumnsUint8AVX2(&out[0], &row[0], &lerps[0], n, channels)
		case []float32:
			lerpColumnsFloat32AVX2(&out[0], &row[0], &lerps[0], n, channels)
		}
	}
	lerpColumnsGo(out[n*channels:], row, channels, lerps[n:])
}

// lerpRows goes from one row to another.
func lerpRows(out, top, bottom []float32, weight float32) {
	if !simd.AVX2 || len(out) < lerpVector {
		lerpRowsGo(out, top, bottom, weight)
		return
	}
	top, bottom = top[:len(out)], bottom[:len(out)]
	lerpRowsAVX2(&out[0], &top[0], &bottom[0], weight, len(out))
}
