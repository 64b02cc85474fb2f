package webp

import (
	"errors"

	"kerasrun/preprocess/internal/simd"
)

// The transforms of a lossless image, by their numbers in the bitstream.
const (
	predictor = iota
	crossColor
	subtractGreen
	colorIndexing
)

// transform is one that the encoder has applied, to be undone.
type transform struct {
	kind  int
	width int // of the rows that the encoder had
	bits  int // the size of a tile, or how many indices share a pixel, as a power of two
	// data holds a pixel for each tile, or the 256 colours.
	data []uint32
}

// readTransforms reads the transforms, and returns the width of the image that they have left.
func (d *losslessDecoder) readTransforms(width, height int) (int, error) {
	r := &d.bits
	d.transforms = d.transforms[:0]
	for seen := 0; r.read(1) != 0; {
		t := transform{kind: r.read(2), width: width}
		if seen>>t.kind&1 != 0 {
			return 0, errors.New("a transform comes twice")
		}
		seen |= 1 << t.kind
		var err error
		switch t.kind {
		case predictor, crossColor:
			t.bits = 2 + r.read(3)
			t.data, err = d.readImage(nil, tiles(width, t.bits), tiles(height, t.bits), false)
		case colorIndexing:
			colors := r.read(8) + 1
			switch {
			case colors <= 2:
				t.bits = 3
			case colors <= 4:
				t.bits = 2
			case colors <= 16:
				t.bits = 1
			}
			width = tiles(width, t.bits)
			t.data = make([]uint32, 256) // those that are not there are black
			_, err = d.readImage(t.data, colors, 1, false)
			for i := 1; i < colors; i++ {
				t.data[i] = addPixels(t.data[i], t.data[i-1])
			}
		}
		if err != nil {
			return 0, err
		}
		d.transforms = append(d.transforms, t)
	}
	return width, nil
}

// inverse undoes a transform on row y, in place or in another row of d.rows.
func (d *losslessDecoder) inverse(t *transform, row []uint32, y int) []uint32 {
	switch t.kind {
	case predictor:
		// Behind the last pixel of the row above comes the first of this one.
		above := d.rows[0][:t.width+1]
		if y == 0 {
			row[0] = addPixels(row[0], black)
			predictors[1](row[1:], row[:len(row)-1], nil)
		} else {
			row[0] = addPixels(row[0], above[0])
			above[t.width] = row[0]
			modes := t.data[y>>t.bits*tiles(t.width, t.bits):]
			for x, end := 1, 0; x < t.width; x = end {
				mode := modes[x>>t.bits] >> 8 & 15
				end = min(t.width, (x>>t.bits+1)<<t.bits)
				predictors[mode](row[x:end], row[x-1:end-1], above[x-1:end+1])
			}
		}
		copy(above, row)
	case crossColor:
		modes := t.data[y>>t.bits*tiles(t.width, t.bits):]
		for x := 0; x < t.width; x += 1 << t.bits {
			addColors(row[x:min(t.width, x+1<<t.bits)], modes[x>>t.bits])
		}
	case subtractGreen:
		addGreen(row)
	case colorIndexing:
		colors := (*[256]uint32)(t.data)
		if t.bits == 0 {
			for i, p := range row {
				row[i] = colors[p>>8&0xFF]
			}
			return row
		}
		out := d.rows[1][:t.width]
		depth := 8 >> t.bits
		packed := uint32(0)
		for x := range out {
			if x&(1<<t.bits-1) == 0 {
				packed = row[x>>t.bits] >> 8 & 0xFF
			}
			out[x] = colors[packed&(1<<depth-1)]
			packed >>= depth
		}
		return out
	}
	return row
}

const black = 0xFF000000

// addPixels adds two pixels, each byte for itself.
func addPixels(a, b uint32) uint32 {
	return (a&0xFF00FF00+b&0xFF00FF00)&0xFF00FF00 | (a&0xFF00FF+b&0xFF00FF)&0xFF00FF
}

// addRow adds to the pixels of a row those above.
func addRow(row, above []uint32) {
	above = above[:len(row)]
	if n := len(row) &^ 3; simd.AVX2 && n > 0 {
		addRowAVX2(&row[0], &above[0], n)
		row, above = row[n:], above[n:]
	}
	for i, p := range row {
		row[i] = addPixels(p, above[i])
	}
}

// addGreen adds green to red and blue.
func addGreen(row []uint32) {
	if n := len(row) &^ 7; simd.AVX2 && n > 0 {
		addGreenAVX2(&row[0], n)
		row = row[n:]
	}
	for i, p := range row {
		g := p >> 8 & 0xFF
		row[i] = p&0xFF00FF00 | (p&0xFF00FF+g<<16+g)&0xFF00FF
	}
}

// addColors adds to red and blue what is foretold of them by green and red, in 1/32.
func addColors(row []uint32, factors uint32) {
	greenRed, greenBlue := int32(int8(factors)), int32(int8(factors>>8))
	redBlue := int32(int8(factors >> 16))
	if n := len(row) &^ 7; simd.AVX2 && n > 0 {
		addColorsAVX2(&row[0], n, greenRed, greenBlue, redBlue)
		row = row[n:]
	}
	for i, p := range row {
		green := int32(int8(p >> 8))
		red := p>>16 + uint32(greenRed*green>>5)
		blue := p + uint32(greenBlue*green>>5) + uint32(redBlue*int32(int8(red))>>5)
		row[i] = p&0xFF00FF00 | red&0xFF<<16 | blue&0xFF
	}
}

// average is the mean of two pixels, each byte for itself, rounded down.
func average(a, b uint32) uint32 { return (a^b)&0xFEFEFEFE>>1 + a&b }

// predictors add to the pixels of a row what is foretold of them. left is the row from the pixel
// before on, above the row above from there on, and has two pixels more.
var predictors = [16]func(row, left, above []uint32){
	func(row, _, _ []uint32) {
		for i, p := range row {
			row[i] = addPixels(p, black)
		}
	},
	func(row, left, _ []uint32) {
		if len(row) == 0 {
			return
		}
		l := left[0]
		for i, p := range row {
			l = addPixels(p, l)
			row[i] = l
		}
	},
	func(row, _, above []uint32) { addRow(row, above[1:]) },
	func(row, _, above []uint32) { addRow(row, above[2:]) },
	func(row, _, above []uint32) { addRow(row, above) },
	func(row, left, above []uint32) {
		l, above := left[0], above[1:][:len(row)+1]
		for i, p := range row {
			l = addPixels(p, average(average(l, above[i+1]), above[i]))
			row[i] = l
		}
	},
	func(row, left, above []uint32) {
		l, above := left[0], above[:len(row)]
		for i, p := range row {
			l = addPixels(p, average(l, above[i]))
			row[i] = l
		}
	},
	func(row, left, above []uint32) {
		l, above := left[0], above[1:][:len(row)]
		for i, p := range row {
			l = addPixels(p, average(l, above[i]))
			row[i] = l
		}
	},
	func(row, _, above []uint32) {
		for i, p := range row {
			row[i] = addPixels(p, average(above[i], above[i+1]))
		}
	},
	func(row, _, above []uint32) {
		above = above[1:]
		for i, p := range row {
			row[i] = addPixels(p, average(above[i], above[i+1]))
		}
	},
	func(row, left, above []uint32) {
		l := left[0]
		for i, p := range row {
			l = addPixels(p, average(average(l, above[i]), average(above[i+1], above[i+2])))
			row[i] = l
		}
	},
	selectPredictor,
	fullPredictor,
	halfPredictor,
	14: nil,
	15: nil,
}

func init() { predictors[14], predictors[15] = predictors[0], predictors[0] }

// selectPredictor foretells the left pixel or the one above, whichever differs less from what
// the gradient gives.
func selectPredictor(row, left, above []uint32) {
	l, above := left[0], above[:len(row)+1]
	if simd.AVX2 {
		selectAVX2(&row[0], &above[0], l, len(row))
		return
	}
	for i, p := range row {
		corner, top := above[i], above[i+1]
		choice := l
		if distanceOf(l, corner) <= distanceOf(top, corner) {
			choice = top
		}
		l = addPixels(p, choice)
		row[i] = l
	}
}

// distanceOf is the sum of the differences of two pixels' bytes.
func distanceOf(a, b uint32) (sum int32) {
	for range 4 {
		d := int32(a&0xFF) - int32(b&0xFF)
		sum += max(d, -d)
		a, b = a>>8, b>>8
	}
	return sum
}

// fullPredictor foretells the sum of the left pixel and the one above, less the one between them.
func fullPredictor(row, left, above []uint32) {
	l, above := left[0], above[:len(row)+1]
	if simd.AVX2 {
		fullAVX2(&row[0], &above[0], l, len(row))
		return
	}
	for i, p := range row {
		corner, top := above[i], above[i+1]
		var sum uint32
		for shift := 0; shift < 32; shift += 8 {
			v := int32(l>>shift&0xFF) + int32(top>>shift&0xFF) - int32(corner>>shift&0xFF)
			sum |= uint32(max(0, min(255, v))) << shift
		}
		l = addPixels(p, sum)
		row[i] = l
	}
}

// halfPredictor foretells the mean of the left pixel and the one above, and half of what that
// differs from the one between them.
func halfPredictor(row, left, above []uint32) {
	l, above := left[0], above[:len(row)+1]
	if simd.AVX2 {
		halfAVX2(&row[0], &above[0], l, len(row))
		return
	}
	for i, p := range row {
		corner, mean := above[i], average(l, above[i+1])
		var sum uint32
		for shift := 0; shift < 32; shift += 8 {
			v := int32(mean >> shift & 0xFF)
			v += (v - int32(corner>>shift&0xFF)) / 2
			sum |= uint32(max(0, min(255, v))) << shift
		}
		l = addPixels(p, sum)
		row[i] = l
	}
}
