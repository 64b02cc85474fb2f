package png

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"kerasrun/preprocess/internal/codec"
)

// A decoder holds what is kept between images.
type decoder struct {
	inflater
	c         *chunks
	cur, prev []byte // rows with their filter byte
	line      []byte // a row of an interlaced image
	palette   [256][3]byte
	output    Output
	grey      greyTables
	alphas    [256]byte // of the palette
	rgb       []byte    // a row before it is turned grey or gets its alpha
}

// Output is what the pixels are decoded to.
type Output int

const (
	RGB       Output = iota // as Pillow converts to RGB
	HighBytes               // RGB, and samples of 16 bits lose their low byte, those of grey too
	Grey                    // one channel, as libpng turns RGB grey
	RGBA                    // as Pillow converts to RGBA
)

// pillow reports whether the output is Pillow's, else it is libpng's.
func (o Output) pillow() bool { return o == RGB || o == RGBA }

// channels is the number of bytes of a pixel.
func (o Output) channels() int {
	switch o {
	case Grey:
		return 1
	case RGBA:
		return 4
	}
	return 3
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Decode decodes a PNG to uint8 RGB, height x width x 3, row-major, in the memory of dst if that is
// enough. Memory grows with the declared size: call DecodeConfig first.
func Decode(dst, data []byte) (pix []byte, err error) { return DecodeTo(dst, data, RGB) }

// DecodeTo is Decode to another output. But for Pillow's, the image data has to hold the whole
// image, as libpng demands; Pillow fills up what is missing. RGBA of an APNG's frame, and of grey
// of 16 bits with a transparent value, is not decoded.
func DecodeTo(dst, data []byte, output Output) (pix []byte, err error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.c = newChunks(data)
	start, length, err := d.c.readHeaders()
	if err != nil {
		return nil, err
	}
	if err := d.reset(d.c, start, length); err != nil {
		return nil, err
	}
	clear(d.palette[:]) // colours that are not in the file are black
	for i := range len(d.c.palette) / 3 {
		d.palette[i] = [3]byte(d.c.palette[3*i:])
	}
	c := d.c
	d.output = output
	if output == Grey {
		if err := d.grey.reset(c); err != nil {
			return nil, err
		}
	}
	if output == RGBA {
		if err := d.prepareAlpha(); err != nil {
			return nil, err
		}
	}
	width, height := int(c.width), int(c.height)
	size := output.channels() * width * height
	pix = slices.Grow(dst[:0], size)[:size]
	if !c.hasFrame {
		c.frame.x1, c.frame.y1 = width, height
	}
	done := 0 // bytes of pix that are written, from the start
	if c.interlaced {
		d.fill(pix)
		err = d.decodePasses(pix)
		done = len(pix)
	} else {
		if c.hasFrame {
			d.fill(pix)
		}
		done, err = d.decodeRows(pix)
	}
	switch err {
	case nil:
		err = d.close()
	case io.EOF:
		if !output.pillow() {
			return nil, errTruncated
		}
		if !c.hasFrame {
			d.fill(pix[done:])
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	d.in.end()
	transparency := c.transparency
	if err := c.readTrailer(); err != nil {
		return nil, err
	}
	if output == RGBA && !bytes.Equal(transparency, c.transparency) {
		return nil, codec.UnsupportedError("transparency that follows the image")
	}
	return pix, nil
}

// release gives the decoder back without what belongs to the caller, and without rows of unusual
// length.
func (d *decoder) release() {
	d.c, d.in, d.output = nil, imageData{}, RGB
	d.inflate.reset(nil)
	if cap(d.cur) > 1<<20 {
		d.cur, d.prev, d.line, d.rgb = nil, nil, nil, nil
	}
	decoders.Put(d)
}

// fill gives pixels the value that Pillow's images begin with: 0, which in an image with a palette
// is its first colour.
func (d *decoder) fill(pix []byte) {
	clear(pix)
	if d.output == RGBA {
		d.fillAlpha(pix)
		return
	}
	if d.output != RGB || !d.c.layout.indexed() || d.palette[0] == [3]byte{} {
		return
	}
	for len(pix) >= 3 {
		copy(pix, d.palette[0][:])
		pix = pix[3:]
	}
}

// decodeRows decodes an image that is not interlaced. It returns how many bytes of pix are written
// when the stream ends.
func (d *decoder) decodeRows(pix []byte) (done int, err error) {
	f := d.c.frame
	size := d.output.channels()
	stride := size * int(d.c.width)
	d.rows(f.x1 - f.x0)
	for y := f.y0; y < f.y1; y++ {
		if err := d.nextRow(); err != nil {
			return y * stride, err
		}
		d.unpack(pix[y*stride+size*f.x0:y*stride+size*f.x1], d.cur[1:])
	}
	return len(pix), nil
}

// passes are the seven passes of Adam7: where each begins and how far apart its pixels are.
var passes = [7]struct{ x, y, dx, dy int }{
	{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1,
		2},
}

// decodePasses decodes an interlaced image. As in Pillow, a frame that is smaller than the image
// lands in its corner.
func (d *decoder) decodePasses(pix []byte) error {
	f := d.c.frame
	w, h := f.x1-f.x0, f.y1-f.y0
	size := d.output.channels()
	for _, p := range passes {
		n := (w - p.x + p.dx - 1) / p.dx
		if n <= 0 || p.y >= h {
			continue
		}
		d.rows(n)
		d.line = slices.Grow(d.line[:0], size*n)[:size*n]
		for y := p.y; y < h; y += p.dy {
			if err := d.nextRow(); err != nil {
				return err
			}
			d.unpack(d.line, d.cur[1:])
			out := pix[size*y*int(d.c.width):]
			for i, x := 0, p.x; i < n; i, x = i+1, x+p.dx {
				copy(out[size*x:size*(x+1)], d.line[size*i:size*(i+1)])
			}
		}
	}
	return nil
}

// rows makes room for two rows of n pixels, and the earlier one black.
func (d *decoder) rows(n int) {
	size := 1 + (n*bitsPerPixel[d.c.layout]+7)/8
	d.cur = slices.Grow(d.cur[:0], size)[:size]
	d.prev = slices.Grow(d.prev[:0], size)[:size]
	clear(d.cur) // which is the earlier one once nextRow has swapped them
}

// nextRow reads a row to d.cur and undoes its filter.
func (d *decoder) nextRow() error {
	d.cur, d.prev = d.prev, d.cur
	if err := d.readRow(d.cur); err != nil {
		return err
	}
	return unfilter(d.cur[0], d.cur[1:], d.prev[1:], (bitsPerPixel[d.c.layout]+7)/8)
}

// unpack turns a row into the output.
func (d *decoder) unpack(out, row []byte) {
	switch d.output {
	case RGBA:
		d.unpackRGBA(out, row)
		return
	case Grey:
	default:
		d.unpackRGB(out, row)
		return
	}
	if d.c.layout == rgb16 || d.c.layout == rgba16 {
		grey16Row(out, row, bitsPerPixel[d.c.layout]/8)
		return
	}
	d.rgb = slices.Grow(d.rgb[:0], 3*len(out))[:3*len(out)]
	d.unpackRGB(d.rgb, row)
	d.grey.row(out, d.rgb)
}

// unpackRGB turns a row into RGB.
func (d *decoder) unpackRGB(out, row []byte) {
	switch d.c.layout {
	case grey1:
		unpackGrey(out, row, 1, 255)
	case grey2:
		unpackGrey(out, row, 2, 85)
	case grey4:
		unpackGrey(out, row, 4, 17)
	case grey8:
		unpackGrey(out, row, 8, 1)
	case grey16:
		if !d.output.pillow() {
			unpackColor(out, row, 0, 0, 0, 2)
			return
		}
		// Pillow keeps all 16 bits and clips them when it converts.
		for len(out) >= 3 && len(row) >= 2 {
			v := row[1]
			if row[0] != 0 {
				v = 255
			}
			out[0], out[1], out[2] = v, v, v
			out, row = out[3:], row[2:]
		}
	case palette1:
		d.unpackPalette(out, row, 1)
	case palette2:
		d.unpackPalette(out, row, 2)
	case palette4:
		d.unpackPalette(out, row, 4)
	case palette8:
		d.unpackPalette(out, row, 8)
	case rgb8:
		copy(out, row)
	case rgba8:
		unpackColor(out, row, 0, 1, 2, 4)
	case rgb16:
		unpackColor(out, row, 0, 2, 4, 6)
	case rgba16:
		unpackColor(out, row, 0, 2, 4, 8)
	case greyAlpha8:
		unpackColor(out, row, 0, 0, 0, 2)
	case greyAlpha16:
		unpackColor(out, row, 0, 0, 0, 4)
	}
}

// unpackColor takes the bytes r, g and b of every size bytes.
func unpackColor(out, row []byte, r, g, b, size int) {
	for len(out) >= 3 && len(row) >= size {
		out[0], out[1], out[2] = row[r], row[g], row[b]
		out, row = out[3:], row[size:]
	}
}

func unpackGrey(out, row []byte, bits int, scale byte) {
	for i := 0; len(out) >= 3; i += bits {
		v := row[i/8] << (i % 8) >> (8 - bits) * scale
		out[0], out[1], out[2] = v, v, v
		out = out[3:]
	}
}

func (d *decoder) unpackPalette(out, row []byte, bits int) {
	for i := 0; len(out) >= 3; i += bits {
		v := &d.palette[row[i/8]<<(i%8)>>(8-bits)]
		out[0], out[1], out[2] = v[0], v[1], v[2]
		out = out[3:]
	}
}
