package webp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errTruncated = errors.New("the file is truncated")
	errStructure = errors.New("the chunks are out of order")
)

// The flags of a VP8X chunk.
const (
	flagAnimation = 0x02
	flagAlpha     = 0x10
	validFlags    = 0x3e // animation, XMP, EXIF, alpha, colour profile
)

const (
	maxChunk = 1<<32 - 10 // bytes of a chunk
	maxArea  = 1 << 32    // pixels of a canvas
)

// frame is where a frame lies on the canvas, and its bitstream.
type frame struct {
	x, y, width, height int
	lossless            bool
	data                []byte
	alpha               []byte // the alpha plane of a lossy bitstream, nil where there is none
	hasImage            bool
	alphaFirst          bool
}

// container is what a file holds: libwebp's WebPDemuxer, as much of it as the first frame and the
// refusal of broken files need.
type container struct {
	data          []byte // up to the end of the RIFF chunk
	pos           int
	extended      bool
	animated      bool
	width, height int
	frames        int
	first         *frame
}

func readContainer(data []byte) (*container, error) {
	if len(data) < 20 {
		return nil, errTruncated
	}
	size := int(binary.LittleEndian.Uint32(data[4:]))
	switch {
	case size < 8 || size > maxChunk:
		return nil, fmt.Errorf("the file's chunk has %d bytes", size)
	case size+8 > len(data):
		return nil, errTruncated
	}
	c := &container{data: data[:size+8], pos: 12}
	if c.left() < 8 {
		return nil, errTruncated
	}
	var err error
	switch id := string(c.data[12:16]); id {
	case "VP8 ", "VP8L":
		err = c.readSingle()
	case "VP8X":
		err = c.readExtended()
	default:
		err = fmt.Errorf("the first chunk is %q", id)
	}
	if err == nil && c.first == nil {
		err = errors.New("there is no frame")
	}
	return c, err
}

func (c *container) left() int { return len(c.data) - c.pos }

func (c *container) uint24() int {
	b := c.data[c.pos:]
	c.pos += 3
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16
}

// header reads a chunk's header. The length includes the padding; all of it is there.
func (c *container) header() (id string, length, padded int, err error) {
	if c.left() < 8 {
		return "", 0, 0, errTruncated
	}
	id, length = string(c.data[c.pos:c.pos+4]), int(binary.LittleEndian.Uint32(c.data[c.pos+4:]))
	c.pos += 8
	padded = length + length&1
	if length > maxChunk || padded > c.left() {
		return "", 0, 0, errTruncated
	}
	return id, length, padded, nil
}

// readFrame reads the chunks that make a frame: ALPH and VP8, or VP8L. It stops at the first other
// chunk.
func (c *container) readFrame(f *frame) error {
	for {
		id, length, padded, err := c.header()
		if err != nil {
			return err
		}
		switch {
		case id == "ALPH" && f.alpha == nil:
			f.alpha, f.alphaFirst = c.data[c.pos:c.pos+length], !f.hasImage
		case id == "VP8L" && f.alpha != nil:
			return errors.New("a lossless frame with a second alpha plane")
		case (id == "VP8 " || id == "VP8L") && !f.hasImage:
			f.lossless, f.data = id == "VP8L", c.data[c.pos:c.pos+padded]
			if err := f.readSize(); err != nil {
				return err
			}
			f.hasImage = true
		default:
			c.pos -= 8
			return nil
		}
		c.pos += padded
		if c.left() == 0 {
			return nil
		}
	}
}

// readSize reads the header of the bitstream: VP8GetInfo and VP8LGetInfo.
func (f *frame) readSize() error {
	if f.lossless {
		if len(f.data) < 5 || f.data[0] != 0x2f || f.data[4]>>5 != 0 {
			return errors.New("the lossless bitstream has no header")
		}
		bits := binary.LittleEndian.Uint32(f.data[1:])
		f.width, f.height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
		return nil
	}
	if len(f.data) < 10 || string(f.data[3:6]) != "\x9d\x01\x2a" {
		return errors.New("the lossy bitstream has no header")
	}
	bits := int(f.data[0]) | int(f.data[1])<<8 | int(f.data[2])<<16
	f.width, f.height = int(binary.LittleEndian.Uint16(f.data[6:]))&0x3fff,
		int(binary.LittleEndian.Uint16(f.data[8:]))&0x3fff
	switch {
	case bits&1 != 0:
		return errors.New("the frame is not a key frame")
	case bits>>1&7 > 3:
		return fmt.Errorf("unknown profile %d", bits>>1&7)
	case bits>>4&1 == 0:
		return errors.New("the frame is not to be shown")
	case bits>>5 >= len(f.data):
		return errTruncated
	case f.width == 0 || f.height == 0:
		return fmt.Errorf("the size is %d x %d", f.width, f.height)
	}
	return nil
}

// add takes in a frame that was read.
func (c *container) add(f *frame) error {
	c.frames++
	switch {
	case !f.hasImage:
		return errors.New("a frame without an image")
	case f.alpha != nil && !f.alphaFirst && c.extended:
		return errStructure
	case !c.extended:
		c.width, c.height = f.width, f.height
	case c.animated && (f.x+f.width > c.width || f.y+f.height > c.height):
		return errors.New("a frame reaches over the canvas")
	case !c.animated && (c.frames > 1 || f.width != c.width || f.height != c.height):
		return errors.New("the image does not have the size of its canvas")
	}
	if c.first == nil {
		c.first = f
	}
	return nil
}

func (c *container) readSingle() error {
	f := new(frame)
	if err := c.readFrame(f); err != nil {
		return err
	}
	return c.add(f)
}

func (c *container) readExtended() error {
	_, length, padded, err := c.header()
	if err != nil {
		return err
	}
	if length < 10 {
		return errTruncated
	}
	next := c.pos + padded
	flags := c.data[c.pos]
	c.pos += 4
	c.width, c.height = 1+c.uint24(), 1+c.uint24()
	c.pos = next
	c.extended, c.animated = true, flags&flagAnimation != 0
	switch {
	case c.width*c.height >= maxArea:
		return fmt.Errorf("the canvas is %d x %d", c.width, c.height)
	case flags&^validFlags != 0:
		return fmt.Errorf("unknown flags %#x", flags)
	}
	for hasAnimation := false; ; {
		id, _, padded, err := c.header()
		if err != nil {
			return err
		}
		next := c.pos + padded
		switch id {
		case "VP8X":
			return errStructure
		case "ALPH", "VP8 ", "VP8L":
			if hasAnimation || c.animated {
				return errStructure
			}
			c.pos -= 8
			if err := c.readSingle(); err != nil {
				return err
			}
			next = c.pos
		case "ANIM":
			if padded < 6 {
				return errTruncated
			}
			hasAnimation = true
		case "ANMF":
			if !hasAnimation {
				return errStructure
			}
			if err := c.readAnimationFrame(padded); err != nil {
				return err
			}
			next = c.pos
		}
		c.pos = next
		if c.left() == 0 {
			return nil
		}
	}
}

func (c *container) readAnimationFrame(size int) error {
	if size < 16 {
		return errTruncated
	}
	end := c.pos + size
	f := &frame{x: 2 * c.uint24(), y: 2 * c.uint24()}
	if (1+c.uint24())*(1+c.uint24()) >= maxArea {
		return errStructure
	}
	c.pos += 4
	if err := c.readFrame(f); err != nil {
		return err
	}
	if c.pos > end {
		return errStructure
	}
	if !c.animated || !f.hasImage && f.alpha == nil {
		return nil
	}
	return c.add(f)
}
