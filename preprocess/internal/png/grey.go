package png

import (
	"math"

	"kerasrun/preprocess/internal/codec"
)

// Weights of red, green and blue in 15 bits: png_set_rgb_to_gray's of 0.299 and 0.587.
const (
	redWeight   = 29900 * 32768 / 100000
	greenWeight = 58700 * 32768 / 100000
	blueWeight  = 32768 - redWeight - greenWeight
)

// greyTables turn colours grey as libpng does (png_do_rgb_to_gray). A file that declares a gamma is
// weighed in linear light.
type greyTables struct {
	linear   bool
	to, from [256]uint8 // linear light and back
}

// reset computes the tables of a file: png_build_gamma_table.
func (g *greyTables) reset(c *chunks) error {
	g.linear = c.gamma != 0 && (c.gamma < 95000 || c.gamma > 105000)
	if !g.linear {
		return nil
	}
	if c.layout == rgb16 || c.layout == rgba16 {
		return codec.UnsupportedError("grey from 16-bit colours with a gamma")
	}
	to := reciprocal(c.gamma)
	from := reciprocal(reciprocal(c.gamma))
	for i := range g.to {
		g.to[i], g.from[i] = correct(i, to), correct(i, from)
	}
	return nil
}

func reciprocal(gamma uint32) uint32 {
	r := math.Floor(1e10/float64(gamma) + 0.5)
	if r > math.MaxInt32 {
		return 0
	}
	return uint32(r)
}

// correct is png_gamma_8bit_correct.
func correct(value int, gamma uint32) uint8 {
	if value == 0 || value == 255 || gamma >= 95000 && gamma <= 105000 {
		return uint8(value)
	}
	return uint8(math.Floor(255*math.Pow(float64(value)/255, float64(gamma)*.00001) + .5))
}

// row turns a row of RGB grey. Pixels without colour stay as they are.
func (g *greyTables) row(out, rgb []byte) {
	for i := range out {
		p := rgb[3*i : 3*i+3]
		r, gr, b := uint32(p[0]), uint32(p[1]), uint32(p[2])
		switch {
		case r == gr && r == b:
			out[i] = p[0]
		case g.linear:
			r, gr, b = uint32(g.to[r]), uint32(g.to[gr]), uint32(g.to[b])
			out[i] = g.from[(redWeight*r+greenWeight*gr+blueWeight*b+1<<14)>>15]
		default:
			out[i] = uint8((redWeight*r + greenWeight*gr + blueWeight*b) >> 15)
		}
	}
}

// grey16Row turns a row of 16-bit RGB pixels of size bytes grey, and drops the low byte.
func grey16Row(out, row []byte, size int) {
	sample := func(i int) uint32 { return uint32(row[i])<<8 | uint32(row[i+1]) }
	for i := range out {
		grey := redWeight*sample(size*i) + greenWeight*sample(size*i+2) +
			blueWeight*sample(size*i+4) + 1<<14
		out[i] = uint8(grey >> 23)
	}
}
