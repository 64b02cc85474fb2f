package cvimage

import (
	"math/rand/v2"
	"testing"
)

// TestGreyAgainstOpenCV turns drawn colours grey as cv2.cvtColor does in the same run.
func TestGreyAgainstOpenCV(t *testing.T) {
	o := startOpenCV(t)
	r := rand.New(rand.NewPCG(1, 1))
	const bgr2Grey, rgb2Grey = 6, 7
	for range 4 {
		src := make([]uint8, 3*1000*1000)
		for i := range src {
			src[i] = uint8(r.IntN(256))
		}
		want, _, _, _ := o.ask(t, src, askGrey, 1000, 1000, 3, rgb2Grey)
		if d := differ(GreyOfRGB(nil, src), want); d != "" {
			t.Errorf("RGB: %s", d)
		}
		want, _, _, _ = o.ask(t, bgr(src, 3), askGrey, 1000, 1000, 3, bgr2Grey)
		if d := differ(GreyOfRGB(nil, bgr(src, 3)), want); d != "" {
			t.Errorf("BGR: %s", d)
		}
	}
}
