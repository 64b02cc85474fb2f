package jpeg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"kerasrun/preprocess/internal/simd"
)

// Up to the largest coefficients that are not left to saturatingDCT, the two versions of the
// inverse DCT agree.
func TestInverseDCTAVX2(t *testing.T) {
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	rng := rand.New(rand.NewPCG(7, 0))
	for range 20000 {
		var b block
		for range 1 + rng.IntN(64) {
			i := rng.IntN(64)
			b.size -= max(int(b.coefs[i]), -int(b.coefs[i]))
			b.coefs[i] = 0
			limit := maxPlainSize - b.size
			if rng.IntN(3) > 0 {
				limit = min(limit, 1+rng.IntN(400))
			}
			b.set(uint8(i), int32(rng.IntN(2*limit+1)-limit))
		}
		const stride = 11
		want, got := make([]byte, 8*stride), make([]byte, 8*stride)
		inverseDCT8(&b, want, stride)
		inverseDCTAVX2(&b.coefs, &got[0], stride)
		if !bytes.Equal(got, want) {
			t.Fatalf("%v\ngot  %v\nwant %v", b.coefs, got, want)
		}
	}
}
