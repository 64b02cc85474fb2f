package png

import (
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// prepareAlpha reads what tRNS says: Pillow's chunk_tRNS and putpalettealphas.
func (d *decoder) prepareAlpha() error {
	c := d.c
	for i := range d.alphas {
		d.alphas[i] = 255
	}
	switch {
	case c.hasFrame:
		return codec.UnsupportedError("transparency of an animation")
	case c.layout == grey16 && c.transparency != nil:
		return codec.UnsupportedError("transparency of 16-bit grey")
	case c.layout.indexed():
		if len(c.transparency) > len(d.alphas) {
			return fmt.Errorf("%d colours are transparent", len(c.transparency))
		}
		copy(d.alphas[:], c.transparency)
	}
	return nil
}

// transparent returns the colour that is transparent, of an image of grey or RGB.
func (c *chunks) transparent() (color [3]byte, ok bool) {
	t := c.transparency
	switch {
	case c.layout == grey1 && len(t) >= 2:
		if t[0] != 0 || t[1] != 0 {
			return [3]byte{255, 255, 255}, true
		}
		return [3]byte{}, true
	case (c.layout == grey2 || c.layout == grey4 || c.layout == grey8) && len(t) >= 2:
		return [3]byte{t[1], t[1], t[1]}, true // compared with samples scaled to 8 bits
	case (c.layout == rgb8 || c.layout == rgb16) && len(t) >= 6:
		return [3]byte{t[1], t[3], t[5]}, true
	}
	return color, false
}

// alphaAt says where in a pixel of so many bytes the alpha is; size 0 where there is none.
func (l layout) alphaAt() (at, size int) {
	switch l {
	case greyAlpha8:
		return 1, 2
	case greyAlpha16:
		return 2, 4
	case rgba8:
		return 3, 4
	case rgba16:
		return 6, 8
	}
	return 0, 0
}

// unpackRGBA turns a row into RGBA.
func (d *decoder) unpackRGBA(out, row []byte) {
	n := len(out) / 4
	if cap(d.rgb) < 3*n {
		d.rgb = make([]byte, 3*n)
	}
	rgb := d.rgb[:3*n]
	d.unpackRGB(rgb, row)
	at, size := d.c.layout.alphaAt()
	color, ok := d.c.transparent()
	bits := bitsPerPixel[d.c.layout]
	for i := range n {
		p := out[4*i : 4*i+4]
		copy(p, rgb[3*i:3*i+3])
		p[3] = 255
		switch {
		case size > 0:
			p[3] = row[size*i+at]
		case d.c.layout.indexed():
			p[3] = d.alphas[row[i*bits/8]<<(i*bits%8)>>(8-bits)]
		case ok && [3]byte(p) == color:
			p[3] = 0
		}
	}
}

// fillAlpha makes pixels what Pillow makes of the value that its images begin with.
func (d *decoder) fillAlpha(pix []byte) {
	var p [4]byte
	color, ok := d.c.transparent()
	switch _, size := d.c.layout.alphaAt(); {
	case size > 0:
	case d.c.layout.indexed():
		copy(p[:], d.palette[0][:])
		p[3] = d.alphas[0]
	case !ok || color != [3]byte{}:
		p[3] = 255
	}
	for len(pix) >= 4 {
		copy(pix, p[:])
		pix = pix[4:]
	}
}
