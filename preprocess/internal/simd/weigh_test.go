package simd

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"kerasrun/internal/guarded"
)

// TestWeigh holds both versions against the sums by definition, in rows that end where memory does.
func TestWeigh(t *testing.T) {
	defer func(use bool) { AVX2 = use }(AVX2)
	rng := rand.New(rand.NewPCG(1, 0))
	for n := 1; n <= 70; n++ {
		near, far := guarded.Bytes(t, n), guarded.Bytes(t, n)
		want := make([]int16, n+2)
		for i := range near {
			near[i], far[i] = byte(rng.Uint32()), byte(rng.Uint32())
			want[i+1] = int16(near[i])*3 + int16(far[i])
		}
		want[0], want[n+1] = want[1], want[n]
		for _, use := range []bool{AVX2, false} {
			AVX2 = use
			memory := guarded.Bytes(t, 2*(n+2))
			got := unsafe.Slice((*int16)(unsafe.Pointer(&memory[0])), n+2)
			Weigh(got, near, far)
			if !slices.Equal(got, want) {
				t.Errorf("%d samples, AVX2 %v: got %v, want %v", n, use, got, want)
			}
		}
	}
}
