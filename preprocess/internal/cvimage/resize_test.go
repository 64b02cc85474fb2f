package cvimage

import (
	"math/rand/v2"
	"testing"
)

// methods are cv2's numbers of the interpolations.
var methods = []struct {
	name   string
	method Interpolation
	number int
}{
	{"nearest", Nearest, 0}, {"linear", Linear, 1}, {"area", Area, 3}, {"cubic", Cubic, 2},
	{"lanczos4", Lanczos4, 4},
}

// drawn returns an image of noise, of black and white, or of a smooth slope.
func drawn(r *rand.Rand, width, height, channels int) []uint8 {
	pix := make([]uint8, width*height*channels)
	kind := r.IntN(4)
	for i := range pix {
		switch kind {
		case 0:
			pix[i] = uint8(255 * r.IntN(2))
		case 1:
			pix[i] = uint8(i/channels%width*255/width + r.IntN(3))
		default:
			pix[i] = uint8(r.IntN(256))
		}
	}
	return pix
}

// side draws a length: often one that is small, or a multiple or a fraction of another.
func side(r *rand.Rand, other int) int {
	switch r.IntN(8) {
	case 0:
		return 1 + r.IntN(4)
	case 1:
		return other * (1 + r.IntN(4))
	case 2:
		return max(1, other/(1+r.IntN(5)))
	case 3:
		return other
	case 4:
		return max(1, other+r.IntN(7)-3)
	}
	return 1 + r.IntN(160)
}

// nearly reports whether no value differs by more than 1.
func nearly(got, want []uint8) bool {
	for i, g := range got {
		if d := int(g) - int(want[i]); d < -1 || d > 1 {
			return false
		}
	}
	return true
}

// TestResizeAgainstOpenCV resizes drawn images as cv2.resize does in the same run, with and without
// vectors.
func TestResizeAgainstOpenCV(t *testing.T) {
	o := startOpenCV(t)
	for _, vectors := range vectorKinds {
		for i, m := range methods {
			t.Run(m.name+"/"+vectors.name, func(t *testing.T) {
				defer vectors.use()()
				r := rand.New(rand.NewPCG(uint64(i), 1))
				differing, values := 0, 0
				for range vectors.images {
					width, height := 1+r.IntN(160), 1+r.IntN(160)
					if r.IntN(100) == 0 { // as large as photographs, where OpenCV uses threads
						width, height = width*15, height*15
					}
					outWidth, outHeight := min(side(r, width), 2000), min(side(r, height), 2000)
					channels := []int{1, 3, 4}[r.IntN(3)]
					src := drawn(r, width, height, channels)
					got := Resize(nil, src, width, height, channels, outWidth, outHeight, m.method)
					want, _, _, _ := o.ask(t, src, askResize, width, height, channels, outWidth,
						outHeight, m.number)
					values += len(want)
					d := differ(got, want)
					if m.method == Cubic && !exactCubic && nearly(got, want) {
						d = ""
					}
					if d != "" {
						differing++
						if differing < 10 {
							t.Errorf("%d x %d x %d to %d x %d: %s", width, height, channels,
								outWidth, outHeight, d)
						}
					}
				}
				t.Logf("%d of %d images differ, %d values", differing, vectors.images, values)
			})
		}
	}
}
