// Package tiff decodes those TIFF files of which golang.org/x/image/tiff makes the same RGB bytes
// as Pillow 13's Image.open(file).convert("RGB"), and refuses the others.
//
// Read are grey of 1 and 8 bits, palettes, RGB and RGBA of 8 bits, in strips and tiles, as they are
// or compressed by PackBits, LZW or Deflate. Refused are the others, among them JPEG and fax in
// TIFF, grey of 16 bits, CMYK, other colour spaces, and images that an orientation turns. Which are
// the same was measured; see docs/parity.md.
package tiff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"slices"

	"golang.org/x/image/tiff"

	"kerasrun/preprocess/internal/codec"
)

// Match says whether a file begins as one.
func Match(data []byte) bool {
	return len(data) >= 4 && (string(data[:4]) == "II*\x00" || string(data[:4]) == "MM\x00*")
}

// The tags that say what the pixels are.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagFillOrder    = 266
	tagOrientation  = 274
	tagSamples      = 277
	tagPlanar       = 284
	tagPredictor    = 317
	tagExtraSamples = 338
	tagSampleFormat = 339
)

var errDamaged = errors.New("the file is damaged, or truncated")

// header has the values of the first image's tags.
type header map[uint16][]uint32

// readHeader reads the tags above. There are at most four values of each, as there are samples.
func readHeader(data []byte) (header, error) {
	if !Match(data) || len(data) < 8 {
		return nil, errDamaged
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return nil, errDamaged
	}
	count := uint64(order.Uint16(data[at:]))
	if at+2+12*count > uint64(len(data)) {
		return nil, errDamaged
	}
	h, last := header{}, -1
	for entry := range slices.Chunk(data[at+2:at+2+12*count], 12) {
		tag, kind := order.Uint16(entry), order.Uint16(entry[2:])
		if int(tag) <= last {
			return nil, codec.UnsupportedError("tags that are not in order, each once")
		}
		last = int(tag)
		known := []uint16{tagWidth, tagHeight, tagBits, tagCompression, tagPhotometric,
			tagFillOrder, tagOrientation, tagSamples, tagPlanar, tagPredictor, tagExtraSamples,
			tagSampleFormat}
		if !slices.Contains(known, tag) {
			continue
		}
		size := map[uint16]uint64{1: 1, 3: 2, 4: 4}[kind]
		n := uint64(order.Uint32(entry[4:]))
		if size == 0 || n < 1 || n > 4 {
			return nil, codec.UnsupportedError(fmt.Sprintf("tag %d of type %d with %d values", tag,
				kind, n))
		}
		values := entry[8:]
		if n*size > 4 {
			from := uint64(order.Uint32(values))
			if from+n*size > uint64(len(data)) {
				return nil, errDamaged
			}
			values = data[from : from+n*size]
		}
		for i := range n {
			v := values[i*size:]
			switch size {
			case 1:
				h[tag] = append(h[tag], uint32(v[0]))
			case 2:
				h[tag] = append(h[tag], uint32(order.Uint16(v)))
			case 4:
				h[tag] = append(h[tag], order.Uint32(v))
			}
		}
	}
	return h, nil
}

// first is the value of a tag that has one.
func (h header) first(tag uint16, none uint32) uint32 {
	if values := h[tag]; len(values) > 0 {
		return values[0]
	}
	return none
}

// DecodeConfig returns the size.
func DecodeConfig(data []byte) (codec.Config, error) {
	h, err := readHeader(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: int(h.first(tagWidth, 0)), Height: int(h.first(tagHeight, 0))}, nil
}

// The values of the tags that are read.
const (
	raw, lzw, deflate, oldDeflate, packBits = 1, 5, 8, 32946, 32773
	blackIsZero, rgb, palette               = 1, 2, 3
	unassociated                            = 2
	horizontal                              = 2
)

// check refuses what is not read as Pillow reads it.
func (h header) check() error {
	for _, one := range []struct {
		tag  uint16
		what string
	}{
		{tagFillOrder, "fill order"}, {tagOrientation, "orientation"},
		{tagPlanar, "planar configuration"},
	} {
		if v := h.first(one.tag, 1); v != 1 || len(h[one.tag]) > 1 {
			return codec.UnsupportedError(fmt.Sprintf("the %s %d: convert the image, to PNG for "+
				"example", one.what, v))
		}
	}
	for _, v := range h[tagSampleFormat] {
		if v != 1 {
			return codec.UnsupportedError("samples that are no unsigned integers")
		}
	}
	compression, predictor := h.first(tagCompression, raw), h.first(tagPredictor, 1)
	if !slices.Contains([]uint32{raw, lzw, deflate, oldDeflate, packBits}, compression) {
		return codec.UnsupportedError(fmt.Sprintf("the compression %d, such as JPEG or fax in "+
			"TIFF: convert the image, to PNG for example", compression))
	}
	photometric, bits := h.first(tagPhotometric, 0), h[tagBits]
	if bits == nil {
		bits = []uint32{1}
	}
	if samples := h.first(tagSamples, 1); int(samples) != len(bits) {
		return codec.UnsupportedError(fmt.Sprintf("%d samples of %v bits", samples, bits))
	}
	eight := !slices.ContainsFunc(bits, func(b uint32) bool { return b != 8 })
	extra := h[tagExtraSamples]
	ok := false
	switch {
	case photometric == blackIsZero && len(bits) == 1:
		ok = eight || bits[0] == 1
	case photometric == palette && len(bits) == 1, photometric == rgb && len(bits) == 3:
		ok = eight
	case photometric == rgb && len(bits) == 4:
		ok = eight && slices.Equal(extra, []uint32{unassociated})
		extra = nil
	}
	if !ok || len(extra) > 0 || len(h[tagPhotometric]) != 1 {
		return codec.UnsupportedError(fmt.Sprintf("the photometric interpretation %d with samples "+
			"of %v bits (and the extra samples %v): convert the image, to PNG for example",
			photometric, bits, h[tagExtraSamples]))
	}
	if predictor != 1 &&
		(predictor != horizontal || compression == raw || compression == packBits || !eight) {
		return codec.UnsupportedError(fmt.Sprintf("the predictor %d with the compression %d",
			predictor, compression))
	}
	return nil
}

// HasAlpha says whether an image has an alpha channel.
func HasAlpha(data []byte) (bool, error) {
	h, err := readHeader(data)
	return len(h[tagBits]) == 4, err
}

// Decode returns RGB, row by row, in dst's memory where that is enough.
func Decode(dst, data []byte) ([]byte, error) {
	h, err := readHeader(data)
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return nil, err
	}
	m, err := tiff.Decode(bytes.NewReader(data))
	if err != nil {
		var unsupported tiff.UnsupportedError
		if errors.As(err, &unsupported) {
			err = codec.UnsupportedError(unsupported)
		}
		return nil, err
	}
	size := m.Bounds().Size()
	dst = slices.Grow(dst[:0], 3*size.X*size.Y)
	for y := range size.Y {
		switch m := m.(type) {
		case *image.Gray:
			for _, v := range m.Pix[y*m.Stride:][:size.X] {
				dst = append(dst, v, v, v)
			}
		case *image.RGBA:
			dst = appendRGB(dst, m.Pix[y*m.Stride:][:4*size.X])
		case *image.NRGBA:
			dst = appendRGB(dst, m.Pix[y*m.Stride:][:4*size.X])
		case *image.Paletted:
			for _, v := range m.Pix[y*m.Stride:][:size.X] {
				r, g, b, _ := m.Palette[v].RGBA()
				dst = append(dst, byte(r>>8), byte(g>>8), byte(b>>8))
			}
		default:
			return nil, codec.UnsupportedError(fmt.Sprintf("an image of %T", m))
		}
	}
	return dst, nil
}

// appendRGB appends the colours of pixels of four bytes.
func appendRGB(dst, pixels []byte) []byte {
	for i := 0; i < len(pixels); i += 4 {
		dst = append(dst, pixels[i:i+3]...)
	}
	return dst
}
