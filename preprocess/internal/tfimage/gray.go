package tfimage

// The weights of rgb_to_grayscale.
const redWeight, greenWeight, blueWeight = float32(0.2989), float32(0.5870), float32(0.1140)

// grayTables are what each value of red, green and blue adds to a grey one of 0 to 1.
var grayTables = func() (t [3][256]float32) {
	const scale = float32(1.0 / 255)
	for i := range 256 {
		v := float32(float32(i) * scale)
		t[0][i] = float32(v * redWeight)
		t[1][i] = float32(v * greenWeight)
		t[2][i] = float32(v * blueWeight)
	}
	return t
}()

// GrayUint8 is tf.image.rgb_to_grayscale of an image of uint8 with 3 channels, to one of 1 in the
// memory of dst if that is enough. dst may be rgb.
func GrayUint8(dst, rgb []uint8) []uint8 {
	n := len(rgb) / 3
	dst = grow(dst, n)
	for i := range dst {
		p := rgb[3*i : 3*i+3]
		sum := grayTables[0][p[0]] + grayTables[1][p[1]] + grayTables[2][p[2]]
		dst[i] = uint8(sum * 255.5)
	}
	return dst
}
