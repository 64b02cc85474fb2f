package png

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"kerasrun/internal/guarded"
	"kerasrun/preprocess/internal/simd"
)

// TestPaeth undoes the filter of rows that end where memory does, with assembly and without it, and
// holds both against the definition in the PNG specification.
func TestPaeth(t *testing.T) {
	defer func(use bool) { simd.AVX2 = use }(simd.AVX2)
	rng := rand.New(rand.NewPCG(1, 0))
	for size := 1; size <= 8; size++ {
		for n := 1; n <= 70; n++ {
			row, prev := guarded.Bytes(t, n*size), guarded.Bytes(t, n*size)
			for i := range row {
				row[i], prev[i] = byte(rng.Uint32()), byte(rng.Uint32())
			}
			want := make([]byte, n*size)
			for i, x := range row {
				var a, c int
				if i >= size {
					a, c = int(want[i-size]), int(prev[i-size])
				}
				b := int(prev[i])
				p := a + b - c
				pa, pb, pc := abs(p-a), abs(p-b), abs(p-c)
				nearest := c
				switch {
				case pa <= pb && pa <= pc:
					nearest = a
				case pb <= pc:
					nearest = b
				}
				want[i] = x + byte(nearest)
			}
			for _, use := range []bool{simd.AVX2, false} {
				t.Run(fmt.Sprintf("%d pixels of %d, AVX2 %v", n, size, use), func(t *testing.T) {
					simd.AVX2 = use
					got := guarded.Bytes(t, n*size)
					copy(got, row)
					if err := unfilter(4, got, prev, size); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("got %x, want %x", got, want)
					}
				})
			}
		}
	}
}
