package gif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"kerasrun/preprocess/internal/codec"
)

// giflib reads what precedes the data of the first frame as TensorFlow 2.21 does, with giflib 5.2:
// every block must be one, the first control extension counts, and the image has the frame's size.
func readGiflib(file []byte) (*header, error) {
	r := reader{file}
	screen := r.take(13)
	if len(screen) < 13 {
		return nil, errTruncated
	}
	h := &header{transparent: -1}
	if screen[10]&0x80 != 0 {
		if h.palette = r.take(3 << (screen[10]&7 + 1)); len(h.palette) < 3<<(screen[10]&7+1) {
			return nil, errTruncated
		}
	}
	control := false
	for {
		b := r.take(1)
		switch {
		case len(b) == 0:
			return nil, errTruncated
		case b[0] == ';':
			return nil, errNoFrame
		case b[0] == ',':
			return h, h.readGiflibFrame(&r)
		case b[0] != '!':
			return nil, errors.New("a block of an unknown kind")
		}
		label := r.take(1)
		if len(label) == 0 {
			return nil, errTruncated
		}
		for first := true; ; first = false {
			n := r.take(1)
			if len(n) == 0 {
				return nil, errTruncated
			}
			if n[0] == 0 && !first {
				break
			}
			block := r.take(int(n[0]))
			if len(block) < int(n[0]) {
				return nil, errTruncated
			}
			if first && label[0] == 0xf9 && len(block) > 0 && !control {
				control = true
				if len(block) == 4 && block[0]&1 != 0 {
					h.transparent = int(block[3])
				}
			}
		}
	}
}

func (h *header) readGiflibFrame(r *reader) error {
	d := r.take(9)
	if len(d) < 9 {
		return errTruncated
	}
	h.x0, h.y0 = int(binary.LittleEndian.Uint16(d)), int(binary.LittleEndian.Uint16(d[2:]))
	h.x1 = h.x0 + int(binary.LittleEndian.Uint16(d[4:]))
	h.y1 = h.y0 + int(binary.LittleEndian.Uint16(d[6:]))
	h.interlaced = d[8]&0x40 != 0
	if d[8]&0x80 != 0 {
		if h.palette = r.take(3 << (d[8]&7 + 1)); len(h.palette) < 3<<(d[8]&7+1) {
			return errTruncated
		}
	}
	bits := r.take(1)
	switch {
	case len(bits) == 0:
		return errTruncated
	case bits[0] > 8:
		return errors.New("the code size is over 8 bits")
	case h.x1 <= h.x0 || h.y1 <= h.y0:
		return errors.New("the first frame is empty")
	}
	h.width, h.height = h.x1-h.x0, h.y1-h.y0
	h.codeBits = int(bits[0])
	h.data = r.data
	return nil
}

// DecodeTensorFlowConfig reads a GIF up to the data of its first frame.
func DecodeTensorFlowConfig(data []byte) (codec.Config, error) {
	h, err := readGiflib(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: h.width, Height: h.height}, nil
}

// DecodeTensorFlow decodes the first frame to the same bytes as tf.io.decode_image(...,
// expand_animations=False) of TensorFlow 2.21: uint8 RGB, height x width x 3, row-major, in the
// memory of dst if that is enough. The image has the size of the frame, not of the canvas, and yet
// what the frame's offset moves beyond it is lost. What is not drawn, or transparent, is black.
// Memory grows with the declared size: call DecodeTensorFlowConfig first.
func DecodeTensorFlow(dst, data []byte) (pix []byte, err error) {
	h, err := readGiflib(data)
	if err != nil {
		return nil, err
	}
	if h.palette == nil {
		return nil, errors.New("the first frame has no palette")
	}
	indices, err := h.giflibIndices()
	if err != nil {
		return nil, err
	}
	size := 3 * h.width * h.height
	pix = slices.Grow(dst[:0], size)[:size]
	clear(pix)
	width := h.x1 - h.x0
	for y := h.y0; y < min(h.y1, h.height); y++ {
		row := indices[(y-h.y0)*width:][:width]
		for x := h.x0; x < min(h.x1, h.width); x++ {
			i := int(row[x-h.x0])
			if i == h.transparent {
				continue
			}
			if 3*i >= len(h.palette) {
				return nil, fmt.Errorf("colour %d is beyond the palette", i)
			}
			copy(pix[3*(y*h.width+x):][:3], h.palette[3*i:])
		}
	}
	return pix, nil
}

// giflibIndices decompresses the frame's pixels, and goes on to the end of its blocks.
func (h *header) giflibIndices() ([]byte, error) {
	z := decompressors.Get().(*lzw)
	defer decompressors.Put(z)
	z.reset(h.data, h.codeBits)
	defer z.reset(nil, 0)
	width, height := h.x1-h.x0, h.y1-h.y0
	// A code makes up to 4096 pixels of at least 3 bits.
	if width*height/4096 > 8*len(h.data)/3 {
		return nil, errTruncated
	}
	indices := make([]byte, 0, width*height)
	for len(indices) < width*height {
		run, err := z.nextRun()
		if err != nil {
			return nil, err
		}
		indices = append(indices, run[:min(len(run), width*height-len(indices))]...)
	}
	for blocks := z.blocks; ; {
		if len(blocks) == 0 || len(blocks) < 1+int(blocks[0]) {
			return nil, errTruncated
		}
		if blocks[0] == 0 {
			break
		}
		blocks = blocks[1+int(blocks[0]):]
	}
	if !h.interlaced {
		return indices, nil
	}
	rows := make([]byte, width*height)
	for i, y := 0, 0; i < 4; i++ {
		for to := []int{0, 4, 2, 1}[i]; to < height; to += []int{8, 8, 4, 2}[i] {
			copy(rows[to*width:(to+1)*width], indices[y*width:])
			y++
		}
	}
	return rows, nil
}
