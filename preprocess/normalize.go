package preprocess

import "slices"

// normalized holds, for each mode and each channel of the image (red, green, blue), what each of
// the 256 values becomes. preprocess_input computes in float32, one rounded operation after the
// other; so do the entries here.
var normalized = [...][3][256]float32{
	Caffe: {
		tabulate(func(x float32) float32 { return x - 123.68 }),
		tabulate(func(x float32) float32 { return x - 116.779 }),
		tabulate(func(x float32) float32 { return x - 103.939 }),
	},
	TF: {tabulate(scaleTF), tabulate(scaleTF), tabulate(scaleTF)},
	Torch: {
		tabulate(func(x float32) float32 { return scaleTorch(x, 0.485, 0.229) }),
		tabulate(func(x float32) float32 { return scaleTorch(x, 0.456, 0.224) }),
		tabulate(func(x float32) float32 { return scaleTorch(x, 0.406, 0.225) }),
	},
	None: {tabulate(identity), tabulate(identity), tabulate(identity)},
}

// The conversions keep a compiler from fusing two operations into one that rounds once.
func scaleTF(x float32) float32               { return float32(x/127.5) - 1 }
func scaleTorch(x, mean, std float32) float32 { return float32(float32(x/255)-mean) / std }
func identity(x float32) float32              { return x }

func tabulate(f func(float32) float32) (t [256]float32) {
	for i := range t {
		t[i] = f(float32(i))
	}
	return t
}

// normalize appends pix (RGB, three bytes a pixel) to dst.
func (m Mode) normalize(dst []float32, pix []uint8) []float32 {
	n := len(dst)
	dst = slices.Grow(dst, len(pix))[:n+len(pix)]
	out := dst[n:]
	t := &normalized[m]
	first, second, third := &t[0], &t[1], &t[2]
	if m == Caffe {
		for len(pix) >= 3 && len(out) >= 3 {
			out[0], out[1], out[2] = third[pix[2]], second[pix[1]], first[pix[0]]
			pix, out = pix[3:], out[3:]
		}
		return dst
	}
	for len(pix) >= 3 && len(out) >= 3 {
		out[0], out[1], out[2] = first[pix[0]], second[pix[1]], third[pix[2]]
		pix, out = pix[3:], out[3:]
	}
	return dst
}
