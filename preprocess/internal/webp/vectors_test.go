package webp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"kerasrun/internal/guarded"
	"kerasrun/preprocess/internal/simd"
)

// pixels draws a row that ends where memory does.
func pixels(t *testing.T, rng *rand.Rand, n int) []uint32 {
	row := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(guarded.Bytes(t, 4*n)))), n)
	for i := range row {
		row[i] = rng.Uint32()
	}
	return row
}

func samples(t *testing.T, rng *rand.Rand, n int) []byte {
	b := guarded.Bytes(t, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestVectors holds what is in assembly against its Go version, in rows of every small length that
// end where memory does.
func TestVectors(t *testing.T) {
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	defer func() { simd.AVX2 = true }()
	for n := 1; n <= 70; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(n), 0))
			row, above := pixels(t, rng, n), pixels(t, rng, n+2)
			left, factors := pixels(t, rng, 1), rng.Uint32()
			for name, run := range map[string]func(row []uint32){
				"addRow":    func(row []uint32) { addRow(row, above[2:]) },
				"addGreen":  addGreen,
				"addColors": func(row []uint32) { addColors(row, factors) },
				"select":    func(row []uint32) { selectPredictor(row, left, above[1:]) },
				"full":      func(row []uint32) { fullPredictor(row, left, above[1:]) },
				"half":      func(row []uint32) { halfPredictor(row, left, above[1:]) },
			} {
				got, want := pixels(t, rng, n), make([]uint32, n)
				copy(got, row)
				copy(want, row)
				simd.AVX2 = true
				run(got)
				simd.AVX2 = false
				run(want)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: got %x, want %x", name, got, want)
				}
			}

			luma := samples(t, rng, n)
			near, far := samples(t, rng, (n+1)/2), samples(t, rng, (n+1)/2)
			for name, run := range map[string]func(out []byte){
				"putRGB": func(out []byte) { putRGB(out, row) },
				"convertRow": func(out []byte) {
					sums := guarded.Bytes(t, 2*len(near)+4)
					us := unsafe.Slice((*int16)(unsafe.Pointer(&sums[0])), len(near)+2)
					simd.Weigh(us, near, far)
					convertRow(out, luma, us, us)
				},
			} {
				got, want := guarded.Bytes(t, 3*n), make([]byte, 3*n)
				simd.AVX2 = true
				run(got)
				simd.AVX2 = false
				run(want)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: got %x, want %x", name, got, want)
				}
			}
		})
	}
}
