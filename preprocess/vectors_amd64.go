package preprocess

import "kerasrun/preprocess/internal/simd"

// hasVectors reports whether there is assembly. What it computes is the same to the bit.
var hasVectors = simd.AVX2

const (
	vectorSize  = 32 // verticalVectors needs rows of at least so many bytes
	vectorSlack = 8  // horizontalVectors reads up to so many bytes beyond the end of a row
)

// horizontalVectors is horizontal with AVX2. Every window must end vectorSlack bytes before the row
// does.
func horizontalVectors(out, row []uint8, windows []window) {
	if len(windows) == 0 {
		return
	}
	_ = out[3*len(windows)-1]
	horizontalAVX2(&out[0], &row[0], &windows[0], len(windows))
}

// verticalVectors is vertical with AVX2, for rows of at least vectorSize bytes and at least one
// weight.
func verticalVectors(out, rows []uint8, stride int, weights []int32) {
	_ = rows[stride*(len(weights)-1)+len(out)-1]
	verticalAVX2(&out[0], &rows[0], &weights[0], stride, len(weights), len(out))
}

//go:noescape
func horizontalAVX2(out, row *uint8, windows *window, count int)

//go:noescape
func verticalAVX2(out, rows *uint8, weights *int32, stride, taps, size int)
