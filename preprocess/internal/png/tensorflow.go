package png

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"kerasrun/preprocess/internal/codec"
)

// libpng is what a file holds for TensorFlow 2.21, which reads it with libpng 1.6.43: it checks
// each chunk that matters, to the end of the file, passes over broken ones that do not, and knows
// nothing of animation.
type libpng struct {
	layout        layout
	width, height int
	interlaced    bool
	palette       []byte // of PLTE
	transparency  []byte // of tRNS
	gamma         int    // in 1/100,000, of gAMA or sRGB; 0 for none
	standardRGB   bool   // gamma is of sRGB
	profile       bool   // there is a colour profile that libpng may take for sRGB
	data          [][]byte
}

const (
	maxChunk   = 1<<31 - 1
	maxSide    = 1000000 // of libpng as it is built
	maxPixels  = 1 << 29 // of TensorFlow
	sRGBGamma  = 45455
	knownGamma = 100000
)

func readLibpng(data []byte) (*libpng, error) {
	p := new(libpng)
	pos := len(magic)
	for {
		if len(data)-pos < 8 {
			return nil, errTruncated
		}
		length, id := int(binary.BigEndian.Uint32(data[pos:])), string(data[pos+4:pos+8])
		for _, b := range []byte(id) {
			if (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
				return nil, fmt.Errorf("%q is not the name of a chunk", id)
			}
		}
		if length > maxChunk || length > len(data)-pos-12 {
			return nil, errTruncated
		}
		body := data[pos+8 : pos+8+length]
		whole := crc32.ChecksumIEEE(data[pos+4:pos+8+length]) ==
			binary.BigEndian.Uint32(data[pos+8+length:])
		critical := id[0] < 'a'
		if critical && !whole {
			return nil, fmt.Errorf("the checksum of chunk %s is wrong", id)
		}
		if p.layout == 0 && id != "IHDR" {
			return nil, errors.New("there is no header chunk")
		}
		if id == "IEND" {
			if p.data == nil {
				return nil, errors.New("there is no image data")
			}
			return p, nil
		}
		if whole {
			if err := p.read(id, body); err != nil {
				return nil, err
			}
		}
		pos += length + 12
	}
}

// read takes in a chunk other than the last.
func (p *libpng) read(id string, body []byte) error {
	early := p.data == nil && p.palette == nil
	switch id {
	case "IHDR":
		return p.readHeader(body)
	case "IDAT":
		if p.layout.indexed() && p.palette == nil {
			return errors.New("there is no palette")
		}
		p.data = append(p.data, body)
	case "PLTE":
		return p.readPalette(body)
	case "tRNS":
		p.readTransparency(body)
	case "gAMA":
		if early && len(body) == 4 && p.gamma == 0 {
			if g := int(binary.BigEndian.Uint32(body)); g >= 16 && g <= 625000000 {
				p.gamma = g
			}
		}
	case "sRGB":
		if early && len(body) == 1 && body[0] < 4 {
			p.gamma, p.standardRGB = sRGBGamma, true
		}
	case "iCCP":
		if early {
			p.readProfile(body)
		}
	default:
		if id[0] < 'a' {
			return fmt.Errorf("chunk %s is unknown, but critical", id)
		}
	}
	return nil
}

func (p *libpng) readHeader(body []byte) error {
	if p.layout != 0 {
		return errors.New("two header chunks")
	}
	if len(body) != 13 {
		return fmt.Errorf("chunk IHDR: expected 13 bytes, got %d", len(body))
	}
	width, height := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	l, ok := layouts[[2]byte{body[8], body[9]}]
	switch {
	case width == 0 || height == 0 || width > maxSide || height > maxSide ||
		int(width)*int(height) >= maxPixels:
		return fmt.Errorf("the size is %d x %d", width, height)
	case !ok:
		return fmt.Errorf("bit depth %d of colour type %d", body[8], body[9])
	case body[10] != 0 || body[11] != 0 || body[12] > 1:
		return errors.New("unknown compression, filter or interlace method")
	}
	p.layout, p.width, p.height, p.interlaced = l, int(width), int(height), body[12] == 1
	return nil
}

func (p *libpng) readPalette(body []byte) error {
	switch n := len(body) / 3; {
	case p.palette != nil && !p.layout.gray():
		return errors.New("two palettes")
	case p.data != nil || p.layout.gray():
	case len(body)%3 == 0 && n >= 1 && n <= 256:
		if p.layout.indexed() {
			n = min(n, 1<<bitsPerPixel[p.layout])
		}
		p.palette = body[:3*n]
	case p.layout.indexed() || len(body) == 0:
		return fmt.Errorf("a palette of %d bytes", len(body))
	}
	return nil
}

// gray reports whether pixels are grey, with alpha or without.
func (l layout) gray() bool { return l.grey() || l == greyAlpha8 || l == greyAlpha16 }

func (p *libpng) readTransparency(body []byte) {
	ok := false
	switch {
	case p.data != nil || p.transparency != nil:
	case p.layout.grey():
		ok = len(body) == 2
	case p.layout == rgb8 || p.layout == rgb16:
		ok = len(body) == 6
	case p.layout.indexed():
		ok = len(body) >= 1 && len(body) <= len(p.palette)/3
	}
	if ok {
		p.transparency = body
	}
}

// sRGBProfiles are the lengths of the profiles that libpng knows to be sRGB.
var sRGBProfiles = []int{3024, 3048, 3052, 3144, 60960, 60988}

func (p *libpng) readProfile(body []byte) {
	name := bytes.IndexByte(body, 0)
	if name < 0 || len(body) < name+4 {
		return
	}
	var length [4]byte
	r := flate.NewReader(bytes.NewReader(body[name+4:]))
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	p.profile = p.profile || slices.Contains(sRGBProfiles, n)
}

// DecodeTensorFlowConfig reads a PNG's chunks as libpng does.
func DecodeTensorFlowConfig(data []byte) (codec.Config, error) {
	p, err := readLibpng(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: p.width, Height: p.height}, nil
}

// DecodeTensorFlow decodes a PNG to the same bytes as tf.io.decode_png and tf.io.decode_image of
// TensorFlow 2.21: height x width x channels, row-major, for 1 (grey), 3 (RGB) or 4 channels
// (RGBA), in the memory of dst if that is enough. Memory grows with the declared size: call
// DecodeTensorFlowConfig first.
//
// Samples of 16 bits lose their low byte. Grey is 0.299 R + 0.587 G + 0.114 B in libpng's
// integers, of light where the file says its gamma, of the samples themselves elsewhere. The alpha
// of an image that has none is 255, but 1, 3 or 15 at 1, 2 and 4 bits.
func DecodeTensorFlow(dst, data []byte, channels int) (pix []byte, err error) {
	p, err := readLibpng(data)
	if err != nil {
		return nil, err
	}
	c := converter{libpng: p, channels: channels}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	c.d = d
	clear(d.palette[:])
	for i := range len(p.palette) / 3 {
		d.palette[i] = [3]byte(p.palette[3*i:])
	}
	d.c = &chunks{layout: p.layout}
	if err := d.start(&segments{p.data}); err != nil {
		return nil, err
	}
	size := channels * p.width * p.height
	pix = slices.Grow(dst[:0], size)[:size]
	if err := c.decode(pix); err != nil {
		return nil, err
	}
	return pix, d.finishLibpng()
}

// segments hands over the image data.
type segments struct{ left [][]byte }

func (s *segments) next() ([]byte, error) {
	for len(s.left) > 0 {
		piece := s.left[0]
		if s.left = s.left[1:]; len(piece) > 0 {
			return piece, nil
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// finishLibpng reads what follows the last row: more of the stream, which libpng passes over, and
// its checksum. (libpng also takes some streams that are damaged here.)
func (z *inflater) finishLibpng() error {
	if _, err := io.Copy(z.adler, io.LimitReader(z, 1<<20)); err != nil {
		return fmt.Errorf("the image data is damaged after the last row: %w", err)
	}
	var sum [4]byte
	for i := range sum {
		var err error
		if sum[i], err = z.ReadByte(); err != nil {
			return errTruncated
		}
	}
	if binary.BigEndian.Uint32(sum[:]) != z.adler.Sum32() {
		return errors.New("the checksum of the image data is wrong")
	}
	return nil
}

// A converter turns rows into pixels of so many channels.
type converter struct {
	*libpng
	channels int
	d        *decoder
	line     []byte // a row as RGB
	// to light and back, nil for none
	linear, encoded *[256]byte
}

func (c *converter) prepare() error {
	if c.channels != 1 || c.layout.gray() || c.gamma == 0 && !c.profile {
		return nil
	}
	if c.profile && !c.standardRGB {
		return codec.UnsupportedError("grey from colours with a colour profile that may be sRGB")
	}
	screen := inverse(c.gamma)
	if !significant(c.gamma) && !significant(screen) {
		return nil
	}
	if c.layout == rgb16 || c.layout == rgba16 {
		return codec.UnsupportedError("grey from colours of 16 bits with a gamma")
	}
	c.linear, c.encoded = gammaTable(screen), gammaTable(inverse(screen))
	return nil
}

// inverse is 1 / gamma, both in 1/100,000.
func inverse(gamma int) int { return int(math.Floor(1e10/float64(gamma) + 0.5)) }

// significant reports whether a gamma is far enough from 1.
func significant(gamma int) bool { return gamma < knownGamma-5000 || gamma > knownGamma+5000 }

// gammaTable is png_build_8bit_table.
func gammaTable(gamma int) *[256]byte {
	t := new([256]byte)
	for i := range t {
		t[i] = byte(i)
		if significant(gamma) && i > 0 && i < 255 {
			t[i] = byte(math.Floor(255*math.Pow(float64(i)/255, float64(gamma)*.00001) + .5))
		}
	}
	return t
}

func (c *converter) decode(pix []byte) error {
	d, stride := c.d, c.channels*c.width
	if !c.interlaced {
		d.rows(c.width)
		for y := range c.height {
			if err := c.nextRow(); err != nil {
				return err
			}
			c.convert(pix[y*stride:(y+1)*stride], d.cur[1:])
		}
		return nil
	}
	out := make([]byte, stride)
	for _, p := range passes {
		n := (c.width - p.x + p.dx - 1) / p.dx
		if n <= 0 || p.y >= c.height {
			continue
		}
		d.rows(n)
		for y := p.y; y < c.height; y += p.dy {
			if err := c.nextRow(); err != nil {
				return err
			}
			c.convert(out[:c.channels*n], d.cur[1:])
			to := pix[y*stride:]
			for i, x := 0, p.x; i < n; i, x = i+1, x+p.dx {
				copy(to[c.channels*x:c.channels*(x+1)], out[c.channels*i:])
			}
		}
	}
	return nil
}

// nextRow is the decoder's, without its leave to end early.
func (c *converter) nextRow() error {
	d := c.d
	d.cur, d.prev = d.prev, d.cur
	if _, err := io.ReadFull(d, d.cur); err != nil {
		return fmt.Errorf("the image data ends early or is damaged: %w", err)
	}
	d.adler.Write(d.cur)
	return unfilter(d.cur[0], d.cur[1:], d.prev[1:], (bitsPerPixel[c.layout]+7)/8)
}

// convert turns a row into pixels.
func (c *converter) convert(out, row []byte) {
	switch c.channels {
	case 3:
		c.colors(out, row)
	case 1:
		c.grays(out, row)
	default:
		n := len(out) / 4
		c.line = slices.Grow(c.line[:0], 3*n)[:3*n]
		c.colors(c.line, row)
		for i := range n {
			copy(out[4*i:4*i+3], c.line[3*i:])
		}
		c.alphas(out, row)
	}
}

func (c *converter) colors(out, row []byte) {
	if c.layout == grey16 {
		unpackColor(out, row, 0, 0, 0, 2)
		return
	}
	c.d.unpack(out, row)
}

// grays is png_set_rgb_to_gray with the weights that TensorFlow gives it.
func (c *converter) grays(out, row []byte) {
	const red, green, blue = 29900 * 32768 / 100000, 58700 * 32768 / 100000, 32768 - 9797 - 19234
	if size := bitsPerPixel[c.layout] / 8; c.layout == rgb16 || c.layout == rgba16 {
		for i := range out {
			p := row[size*i:]
			v := red*int(binary.BigEndian.Uint16(p)) + green*int(binary.BigEndian.Uint16(p[2:])) +
				blue*int(binary.BigEndian.Uint16(p[4:]))
			out[i] = byte((v + 1<<14) >> 23)
		}
		return
	}
	c.line = slices.Grow(c.line[:0], 3*len(out))[:3*len(out)]
	c.colors(c.line, row)
	for i := range out {
		switch r, g, b := c.line[3*i], c.line[3*i+1], c.line[3*i+2]; {
		case r == g && r == b:
			out[i] = r
		case c.linear != nil:
			v := red*int(c.linear[r]) + green*int(c.linear[g]) + blue*int(c.linear[b])
			out[i] = c.encoded[(v+1<<14)>>15]
		default:
			out[i] = byte((red*int(r) + green*int(g) + blue*int(b)) >> 15)
		}
	}
}

// alphas fills in each fourth byte.
func (c *converter) alphas(out, row []byte) {
	bits := bitsPerPixel[c.layout]
	n := len(out) / 4
	size := bits / 8
	var opaque func(i int) bool
	switch t := c.transparency; {
	case c.layout == greyAlpha8 || c.layout == rgba8:
		for i := range n {
			out[4*i+3] = row[size*(i+1)-1]
		}
		return
	case c.layout == greyAlpha16 || c.layout == rgba16:
		for i := range n {
			out[4*i+3] = row[size*(i+1)-2]
		}
		return
	case t == nil:
		alpha := byte(255)
		if bits < 8 {
			alpha = 1<<bits - 1
		}
		for i := range n {
			out[4*i+3] = alpha
		}
		return
	case c.layout.indexed():
		for i := range n {
			out[4*i+3] = 255
			if at := int(row[i*bits/8] << (i * bits % 8) >> (8 - bits)); at < len(t) {
				out[4*i+3] = t[at]
			}
		}
		return
	case c.layout == grey16 || c.layout == rgb16:
		opaque = func(i int) bool { return !bytes.Equal(row[size*i:size*(i+1)], t) }
	case c.layout == rgb8:
		opaque = func(i int) bool {
			p := row[3*i : 3*i+3]
			return p[0] != t[1] || p[1] != t[3] || p[2] != t[5]
		}
	default:
		value := t[1] & (1<<bits - 1)
		opaque = func(i int) bool { return row[i*bits/8]<<(i*bits%8)>>(8-bits) != value }
	}
	for i := range n {
		out[4*i+3] = 0
		if opaque(i) {
			out[4*i+3] = 255
		}
	}
}
