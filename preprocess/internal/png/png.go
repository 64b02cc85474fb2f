// Package png decodes PNG files to the same RGB bytes as Pillow 13's
// Image.open(file).convert("RGB").
//
// Transparency is dropped. Samples of 16 bits lose their low byte, except grey ones, which Pillow
// clips at 255. Gamma and colour profiles are ignored. Of an APNG the first frame is returned as
// Pillow shows it. What is refused follows Pillow's PngImagePlugin and ZipDecode.c: checksums are
// verified up to the image data but not of it, an image is whole once its last row is, and bytes
// are missing wherever a chunk's length says so. (Pillow also refuses text and colour profiles that
// inflate to over a megabyte; nothing is inflated here but the image.)
package png

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"kerasrun/preprocess/internal/codec"
)

const magic = "\x89PNG\r\n\x1a\n"

var errTruncated = errors.New("the file is truncated")

// layout is how the pixels of a row are stored: the colour types that PNG allows at each depth.
type layout int

const (
	grey1 layout = iota + 1
	grey2
	grey4
	grey8
	grey16
	rgb8
	rgb16
	palette1
	palette2
	palette4
	palette8
	greyAlpha8
	greyAlpha16
	rgba8
	rgba16
)

// layouts maps bit depth and colour type to the layout of the pixels.
var layouts = map[[2]byte]layout{
	{1, 0}: grey1, {2, 0}: grey2, {4, 0}: grey4, {8, 0}: grey8, {16, 0}: grey16,
	{8, 2}: rgb8, {16, 2}: rgb16,
	{1, 3}: palette1, {2, 3}: palette2, {4, 3}: palette4, {8, 3}: palette8,
	{8, 4}: greyAlpha8, {16, 4}: greyAlpha16,
	{8, 6}: rgba8, {16, 6}: rgba16,
}

var bitsPerPixel = [...]int{
	grey1: 1, grey2: 2, grey4: 4, grey8: 8, grey16: 16, rgb8: 24, rgb16: 48,
	palette1: 1, palette2: 2, palette4: 4, palette8: 8, greyAlpha8: 16, greyAlpha16: 32, rgba8: 32,
	rgba16: 64,
}

// indexed reports whether the pixels are indices into the palette.
func (l layout) indexed() bool { return l >= palette1 && l <= palette8 }

// grey reports whether the layout is grey without alpha.
func (l layout) grey() bool { return l >= grey1 && l <= grey16 }

// chunks walks through the chunks of a file and checks them as Pillow does.
type chunks struct {
	data []byte
	pos  int // of the next chunk's header

	layout        layout
	width, height uint32
	interlaced    bool
	palette       []byte // of PLTE
	transparency  []byte // of tRNS
	// gamma is that of gAMA or sRGB before the palette, times 100000, as libpng takes it; 0
	// without.
	gamma                  uint32
	hasGamma, afterPalette bool

	// APNG
	frames   uint32 // of acTL, 0 without
	sequence int64  // number of the latest fcTL or fdAT, -1 before the first
	frame    struct{ x0, y0, x1, y1 int }
	hasFrame bool // frame was set by fcTL
	// there is more than one frame, the default image counted where it is not the first of them
	animated bool
}

func newChunks(data []byte) *chunks { return &chunks{data: data, pos: len(magic), sequence: -1} }

// header reads the header of the chunk at c.pos.
func (c *chunks) header() (id string, start, length int, err error) {
	if c.pos > len(c.data)-8 {
		return "", 0, 0, errTruncated
	}
	h := c.data[c.pos:]
	for _, b := range h[4:8] {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '_' {
			return "", 0, 0, fmt.Errorf("%q is not the name of a chunk", h[4:8])
		}
	}
	return string(h[4:8]), c.pos + 8, int(binary.BigEndian.Uint32(h)), nil
}

// readHeaders reads the chunks up to the image data and returns where the first of that begins.
func (c *chunks) readHeaders() (start, length int, err error) {
	for {
		id, start, length, err := c.header()
		if err != nil {
			return 0, 0, err
		}
		switch id {
		case "IDAT":
			return start, length, c.complete()
		case "fdAT":
			if err := c.readFrameData(start, length); err != nil {
				return 0, 0, err
			}
			return start + 4, length - 4, c.complete()
		case "IEND":
			return 0, 0, errors.New("there is no image data")
		}
		body, err := c.body(id, start, length)
		if err != nil {
			return 0, 0, err
		}
		if err := c.read(id, body); err != nil {
			return 0, 0, err
		}
		end := start + length
		if len(c.data)-end < 4 {
			return 0, 0, errTruncated
		}
		if crc32.ChecksumIEEE(c.data[start-4:end]) != binary.BigEndian.Uint32(c.data[end:]) {
			return 0, 0, fmt.Errorf("the checksum of chunk %s is wrong", id)
		}
		c.pos = end + 4
	}
}

// complete checks what was read before the image data.
func (c *chunks) complete() error {
	c.animated = c.frames > 1 || (c.frames == 1 && !c.hasFrame)
	switch {
	case c.layout == 0:
		return errors.New("no header chunk with a legal bit depth and colour type")
	case c.width == 0 || c.height == 0 || c.width > 1<<31-1 || c.height > 1<<31-1:
		return fmt.Errorf("the size is %d x %d", c.width, c.height)
	case len(c.palette)/3 > 256:
		return fmt.Errorf("the palette has %d colours", len(c.palette)/3)
	case c.hasFrame && (c.frame.x1 <= c.frame.x0 || c.frame.y1 <= c.frame.y0):
		return errors.New("the first frame is empty")
	}
	return nil
}

func (c *chunks) body(id string, start, length int) ([]byte, error) {
	if length > len(c.data)-start {
		return nil, fmt.Errorf("chunk %s is cut short: %w", id, errTruncated)
	}
	return c.data[start : start+length], nil
}

// minLength is the length below which Pillow calls a chunk truncated.
var minLength = map[string]int{"IHDR": 13, "gAMA": 4, "cHRM": 32, "sRGB": 1, "pHYs": 9, "acTL": 8,
	"fcTL": 26}

// read takes in one chunk other than image data.
func (c *chunks) read(id string, body []byte) error {
	if len(body) < minLength[id] {
		return fmt.Errorf("chunk %s: expected at least %d bytes, got %d", id, minLength[id],
			len(body))
	}
	switch id {
	case "IHDR":
		c.width, c.height = binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
		if l, ok := layouts[[2]byte{body[8], body[9]}]; ok {
			c.layout = l
		}
		c.interlaced = c.interlaced || body[12] != 0
		if body[11] != 0 {
			return fmt.Errorf("unknown filter method %d", body[11])
		}
	case "PLTE":
		c.afterPalette = true
		if c.layout.indexed() {
			c.palette = body
		}
	case "gAMA":
		gamma := binary.BigEndian.Uint32(body)
		if c.hasGamma || c.afterPalette || len(body) != 4 || gamma >= 1<<31 {
			break
		}
		c.hasGamma = true
		if c.gamma == 0 {
			c.gamma = gamma
		}
	case "sRGB":
		if !c.afterPalette && len(body) == 1 && body[0] < 4 {
			c.gamma = 45455
		}
	case "tRNS":
		if (c.layout.grey() && len(body) < 2) ||
			((c.layout == rgb8 || c.layout == rgb16) && len(body) < 6) {
			return fmt.Errorf("chunk tRNS has only %d bytes", len(body))
		}
		if c.layout != 0 {
			c.transparency = body
		}
	case "iCCP":
		i := 0
		for i < len(body) && body[i] != 0 {
			i++
		}
		if i == len(body) {
			i = -1
		}
		if i+1 >= len(body) || body[i+1] != 0 {
			return errors.New("the colour profile's compression method is unknown")
		}
	case "zTXt":
		for i, b := range body {
			if b == 0 {
				if i+1 < len(body) && body[i+1] != 0 {
					return errors.New("a text's compression method is unknown")
				}
				break
			}
		}
	case "acTL":
		n := binary.BigEndian.Uint32(body)
		switch {
		case c.frames != 0:
			c.frames = 0
		case n <= 1<<31:
			c.frames = n
		}
	case "fcTL":
		return c.readFrameControl(body)
	}
	return nil
}

func (c *chunks) readFrameControl(body []byte) error {
	if err := c.next(binary.BigEndian.Uint32(body)); err != nil {
		return err
	}
	w, h := uint64(binary.BigEndian.Uint32(body[4:])), uint64(binary.BigEndian.Uint32(body[8:]))
	x, y := uint64(binary.BigEndian.Uint32(body[12:])), uint64(binary.BigEndian.Uint32(body[16:]))
	if x+w > uint64(c.width) || y+h > uint64(c.height) {
		return errors.New("a frame reaches over the image's edge")
	}
	c.frame.x0, c.frame.y0, c.frame.x1, c.frame.y1 = int(x), int(y), int(x+w), int(y+h)
	c.hasFrame = true
	return nil
}

// readFrameData takes in the sequence number with which a chunk fdAT begins.
func (c *chunks) readFrameData(start, length int) error {
	if length < 4 || len(c.data)-start < 4 {
		return errTruncated
	}
	if c.sequence < 0 {
		return errors.New("animation data before a frame's header")
	}
	return c.next(binary.BigEndian.Uint32(c.data[start:]))
}

func (c *chunks) next(sequence uint32) error {
	if int64(sequence) != c.sequence+1 {
		return fmt.Errorf("frame chunk %d follows %d", sequence, c.sequence)
	}
	c.sequence++
	return nil
}

// readTrailer checks the chunks that follow the image data. As in Pillow, the file may end between
// two chunks, and something that is no chunk ends it too.
func (c *chunks) readTrailer() error {
	for {
		id, start, length, err := c.header()
		if err != nil || id == "IEND" || (id == "fcTL" && c.animated) {
			return nil
		}
		if id == "fdAT" {
			if err := c.readFrameData(start, length); err != nil {
				return err
			}
		}
		body, err := c.body(id, start, length)
		if err != nil {
			return err
		}
		if id != "IDAT" && id != "fdAT" {
			if err := c.read(id, body); err != nil {
				return err
			}
		}
		c.pos = start + length + 4
	}
}

// DecodeConfig reads the headers of a PNG up to its image data.
func DecodeConfig(data []byte) (codec.Config, error) {
	c := newChunks(data)
	if _, _, err := c.readHeaders(); err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: int(c.width), Height: int(c.height)}, nil
}

// IsGray16 reports whether a PNG is grey of 16 bits without alpha: Pillow's mode I;16.
func IsGray16(data []byte) (bool, error) {
	c := newChunks(data)
	_, _, err := c.readHeaders()
	return c.layout == grey16, err
}
