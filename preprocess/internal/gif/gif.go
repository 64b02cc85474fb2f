// Package gif decodes the first frame of a GIF file to the same RGB bytes as Pillow 13's
// Image.open(file).convert("RGB").
//
// The frame lies on its canvas, which grows where the frame is larger. Around it is the transparent
// colour, else the first one. Transparent pixels keep their colour in the palette. What is refused
// follows Pillow's GifImagePlugin and GifDecode.c: the blocks before the frame may hold almost
// anything, its data must last to the last pixel.
package gif

import (
	"encoding/binary"
	"errors"
	"slices"

	"kerasrun/preprocess/internal/codec"
)

var (
	errTruncated = errors.New("the file is truncated")
	errNoFrame   = errors.New("there is no frame")
)

// header is what precedes the data of the first frame.
type header struct {
	width, height  int // of the canvas, grown to hold the frame
	x0, y0, x1, y1 int // the frame
	palette        []byte
	transparent    int // index, -1 for none
	interlaced     bool
	codeBits       int
	data           []byte // the frame's blocks and what follows
}

// reader reads a file from the front; at its end it returns less than asked for.
type reader struct{ data []byte }

func (r *reader) take(n int) []byte {
	n = min(n, len(r.data))
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

// block reads a data block. An empty one, the end of a sequence of blocks and the end of the file
// are all nil.
func (r *reader) block() []byte {
	n := r.take(1)
	if len(n) == 0 || n[0] == 0 {
		return nil
	}
	return r.take(int(n[0]))
}

func (r *reader) skipBlocks() {
	for len(r.block()) > 0 {
	}
}

// palette reads a colour table.
func (r *reader) palette(flags byte) ([]byte, error) {
	p := r.take(3 << (flags&7 + 1))
	if len(p)%3 != 0 {
		return nil, errTruncated
	}
	return p, nil
}

func readHeader(file []byte) (*header, error) {
	r := reader{file}
	screen := r.take(13)
	if len(screen) < 13 {
		return nil, errTruncated
	}
	h := &header{
		width:       int(binary.LittleEndian.Uint16(screen[6:])),
		height:      int(binary.LittleEndian.Uint16(screen[8:])),
		transparent: -1,
	}
	if screen[10]&0x80 != 0 {
		var err error
		if h.palette, err = r.palette(screen[10]); err != nil {
			return nil, err
		}
	}
	for {
		b := r.take(1)
		if len(b) == 0 {
			return nil, errNoFrame
		}
		switch b[0] {
		case ';':
			return nil, errNoFrame
		case '!':
			if err := h.readExtension(&r); err != nil {
				return nil, err
			}
		case ',':
			return h, h.readFrame(&r)
		}
	}
}

// readExtension reads the blocks of an extension; of an empty one it takes a block too many, as
// Pillow does.
func (h *header) readExtension(r *reader) error {
	label := r.take(1)
	if len(label) == 0 {
		return errTruncated
	}
	block := r.block()
	switch label[0] {
	case 0xf9: // graphic control
		if len(block) > 0 {
			if len(block) < 3 || (block[0]&1 != 0 && len(block) < 4) {
				return errors.New("the graphic control extension is too short")
			}
			if block[0]&1 != 0 {
				h.transparent = int(block[3])
			}
		}
	case 0xfe: // comment
		if len(block) > 0 {
			r.skipBlocks()
		}
		return nil
	case 0xff: // application
		if len(block) >= 11 && string(block[:11]) == "NETSCAPE2.0" {
			r.block()
		}
	}
	r.skipBlocks()
	return nil
}

func (h *header) readFrame(r *reader) error {
	d := r.take(9)
	if len(d) < 9 {
		return errTruncated
	}
	h.x0, h.y0 = int(binary.LittleEndian.Uint16(d)), int(binary.LittleEndian.Uint16(d[2:]))
	h.x1, h.y1 = h.x0+int(binary.LittleEndian.Uint16(d[4:])), h.y0+
		int(binary.LittleEndian.Uint16(d[6:]))
	if h.x1 <= h.x0 || h.y1 <= h.y0 {
		return errors.New("the first frame is empty")
	}
	h.width, h.height = max(h.width, h.x1), max(h.height, h.y1)
	h.interlaced = d[8]&0x40 != 0
	if d[8]&0x80 != 0 {
		var err error
		if h.palette, err = r.palette(d[8]); err != nil {
			return err
		}
	}
	bits := r.take(1)
	if len(bits) == 0 {
		return errTruncated
	}
	if bits[0] > maxBits {
		return errors.New("the code size is over 12 bits")
	}
	h.codeBits = int(bits[0])
	h.data = r.data
	return nil
}

// colors returns the palette. Colours that are not in the file are black, but without a palette, or
// with one of greys in their order, the indices are the greys themselves.
func (h *header) colors() (colors [256][3]byte) {
	grey := true
	for i := range len(h.palette) / 3 {
		colors[i] = [3]byte(h.palette[3*i:])
		grey = grey && colors[i] == [3]byte{byte(i), byte(i), byte(i)}
	}
	if grey {
		for i := range colors {
			colors[i] = [3]byte{byte(i), byte(i), byte(i)}
		}
	}
	return colors
}

// DecodeConfig reads a GIF up to the data of its first frame. The size is that of the canvas.
func DecodeConfig(data []byte) (codec.Config, error) {
	h, err := readHeader(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: h.width, Height: h.height}, nil
}

// Decode decodes the first frame to uint8 RGB, height x width x 3, row-major, in the memory of dst
// if that is enough. Memory grows with the declared size: call DecodeConfig first.
func Decode(dst, data []byte) (pix []byte, err error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	return h.decode(dst, h.colors())
}

// DecodeRGBA is Decode to RGBA, as Pillow converts to it.
func DecodeRGBA(dst, data []byte) (pix []byte, err error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	rgb, err := h.decode(nil, h.colors())
	if err != nil {
		return nil, err
	}
	var opaque [256][3]byte // by index, alpha in place of red
	for i := range opaque {
		if i != h.transparent {
			opaque[i][0] = 255
		}
	}
	alpha, err := h.decode(nil, opaque)
	if err != nil {
		return nil, err
	}
	pixels := len(rgb) / 3
	pix = slices.Grow(dst[:0], 4*pixels)[:4*pixels]
	for i := range pixels {
		copy(pix[4*i:], rgb[3*i:3*i+3])
		pix[4*i+3] = alpha[3*i]
	}
	return pix, nil
}

// decode decodes the frame with a palette.
func (h *header) decode(dst []byte, palette [256][3]byte) (pix []byte, err error) {
	size := 3 * h.width * h.height
	pix = slices.Grow(dst[:0], size)[:size]
	if h.x1-h.x0 < h.width || h.y1-h.y0 < h.height {
		background := palette[max(0, h.transparent)]
		for p := pix; len(p) >= 3; p = p[3:] {
			p[0], p[1], p[2] = background[0], background[1], background[2]
		}
	}
	z := decompressors.Get().(*lzw)
	defer decompressors.Put(z)
	z.reset(h.data, h.codeBits)
	defer z.reset(nil, 0)
	f := frame{header: h, pix: pix, palette: &palette, step: 1}
	if h.interlaced {
		f.step = 8
		f.pass = 1
	}
	f.newRow()
	for {
		run, err := z.nextRun()
		if err != nil {
			return nil, err
		}
		if f.write(run) {
			return pix, nil
		}
	}
}

// frame is where the pixels of the frame go.
type frame struct {
	*header
	pix     []byte
	palette *[256][3]byte
	y, step int    // of the current row, in the frame
	pass    int    // 1 to 3 of the interlaced passes, 0 for the last one
	row     []byte // what is left of the current row
}

func (f *frame) newRow() {
	width := 3 * (f.x1 - f.x0)
	f.row = f.pix[3*((f.y0+f.y)*f.width+f.x0):][:width]
}

// write adds indices and reports whether the frame is full.
func (f *frame) write(indices []byte) (full bool) {
	for {
		row := f.row
		for len(row) >= 3 && len(indices) > 0 {
			c := &f.palette[indices[0]]
			row[0], row[1], row[2] = c[0], c[1], c[2]
			row, indices = row[3:], indices[1:]
		}
		f.row = row
		if len(row) > 0 {
			return false
		}
		f.y += f.step
		for f.y >= f.y1-f.y0 {
			switch f.pass {
			case 1:
				f.y, f.pass = 4, 2
			case 2:
				f.y, f.step, f.pass = 2, 4, 3
			case 3:
				f.y, f.step, f.pass = 1, 2, 0
			default:
				return true
			}
		}
		f.newRow()
	}
}
