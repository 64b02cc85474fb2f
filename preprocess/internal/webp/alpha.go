package webp

import "errors"

var errAlpha = errors.New("the alpha plane is broken")

// The ways in which an ALPH chunk holds an alpha plane.
const (
	alphaPlain = iota
	alphaLossless
)

// decodeAlpha decodes the alpha plane of a lossy frame, a byte a pixel (libwebp's alpha_dec.c).
func decodeAlpha(f *frame) ([]byte, error) {
	if len(f.alpha) < 2 {
		return nil, errAlpha
	}
	header, data := f.alpha[0], f.alpha[1:]
	if header>>6 != 0 || header>>4&3 > 1 { // reserved, and how it was prepared
		return nil, errAlpha
	}
	plane := make([]byte, f.width*f.height)
	switch header & 3 {
	case alphaPlain:
		if copy(plane, data) < len(plane) {
			return nil, errTruncated
		}
	case alphaLossless:
		d := losslessDecoders.Get().(*losslessDecoder)
		defer losslessDecoders.Put(d)
		d.bits.reset(data)
		err := d.decode(f.width, f.height, func(y int, row []uint32) {
			for x, p := range row[:f.width] {
				plane[y*f.width+x] = byte(p >> 8)
			}
		})
		if err != nil {
			return nil, err
		}
	default:
		return nil, errAlpha
	}
	unfilter(plane, f.width, header>>2&3)
	return plane, nil
}

// unfilter adds to each value what was foretold of it: by the one before, above or both. The first
// row is foretold by the one before, and the first column by the one above.
func unfilter(plane []byte, width int, filter byte) {
	if filter == 0 {
		return
	}
	for x := 1; x < width; x++ {
		plane[x] += plane[x-1]
	}
	for at := width; at < len(plane); at += width {
		row, above := plane[at:at+width], plane[at-width:at]
		row[0] += above[0]
		for x := 1; x < width; x++ {
			left, top := int(row[x-1]), int(above[x])
			switch filter {
			case 1:
				row[x] += byte(left)
			case 2:
				row[x] += byte(top)
			default:
				row[x] += byte(max(0, min(255, left+top-int(above[x-1]))))
			}
		}
	}
}
