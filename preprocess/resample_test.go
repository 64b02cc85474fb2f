package preprocess

import (
	"bytes"
	"testing"

	"kerasrun/internal/testseed"
)

// TestVectorsEqualLoops holds the vector code against the plain loops, which are what other
// processors run.
func TestVectorsEqualLoops(t *testing.T) {
	if !hasVectors {
		t.Log("this processor runs the plain loops only")
	}
	r := testseed.Rand(t)
	random := func(n int) []uint8 {
		b := make([]uint8, n)
		for i := range b {
			b[i] = uint8(-(r.Uint32() & 1)) | uint8(r.Uint32())
		}
		return b
	}
	for range 2000 {
		width := 1 + r.IntN(80)
		var windows []window
		for range 1 + r.IntN(40) {
			start := r.IntN(width)
			w := window{start, make([]int32, r.IntN(width-start+1))}
			// as large as a filter's, with sums beyond both ends of a byte
			for i := range w.weights {
				w.weights[i] = int32(r.IntN(3<<20)-1<<20) / int32(1+len(w.weights)/8)
			}
			windows = append(windows, w)
		}
		row := random(3*width + vectorSlack)
		got, want := make([]uint8, 3*len(windows)), make([]uint8, 3*len(windows))
		horizontal(want, row, windows)
		horizontalVectors(got, row, windows)
		if !bytes.Equal(got, want) {
			t.Fatalf("horizontally: got %v, want %v", got, want)
		}

		size := vectorSize + r.IntN(200)
		stride := size + r.IntN(10)
		weights := make([]int32, 1+r.IntN(20))
		for i := range weights {
			weights[i] = int32(r.IntN(3<<20)-1<<20) / int32(1+len(weights)/8)
		}
		rows := random(stride*(len(weights)-1) + size)
		got, want = make([]uint8, size), make([]uint8, size)
		vertical(want, rows, stride, weights)
		verticalVectors(got, rows, stride, weights)
		if !bytes.Equal(got, want) {
			t.Fatalf("vertically: got %v, want %v", got, want)
		}
	}
}
