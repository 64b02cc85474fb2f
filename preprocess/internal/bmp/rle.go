package bmp

import (
	"errors"
	"slices"
)

// decodeRLE decodes run lengths of 8 or 4 bits: BmpRleDecoder. The indices are laid out row after
// row; a run that is too long for its row is cut, a literal one is not.
func (h *header) decodeRLE(dst, data []byte) ([]byte, error) {
	width, height := int(h.width), int(h.height)
	total := width * height
	// What a file can fill is bounded by its length but for the jumps, which are counted before
	// memory is taken for them.
	indices := make([]byte, 0, min(total, 64*len(data)))
	four := h.compression == compressionRLE4
	pos, x := h.offset, 0
	for len(indices) < total && pos+1 < len(data) {
		count, value := int(data[pos]), data[pos+1]
		pos += 2
		if count > 0 {
			if x+count > width {
				count = max(0, width-x)
			}
			first, second := value, value
			if four {
				first, second = value>>4, value&15
			}
			for i := range count {
				if i%2 == 0 {
					indices = append(indices, first)
				} else {
					indices = append(indices, second)
				}
			}
			x += count
			continue
		}
		switch value {
		case 0: // end of line
			if rest := len(indices) % width; rest != 0 {
				indices = append(indices, make([]byte, width-rest)...)
			}
			x = 0
			continue
		case 1: // end of image
		case 2: // jump
			if pos+1 < len(data) {
				jump := min(total-len(indices), int(data[pos])+int(data[pos+1])*width)
				indices = append(indices, make([]byte, jump)...)
				pos += 2
				x = len(indices) % width
				continue
			}
		default: // literal indices
			count = min(total-len(indices), int(value))
			size := count
			if four {
				size = (count + 1) / 2
			}
			literal := data[pos:min(pos+size, len(data))]
			for i, b := range literal {
				if !four {
					indices = append(indices, b)
					continue
				}
				indices = append(indices, b>>4)
				if 2*i+1 < count {
					indices = append(indices, b&15)
				}
			}
			pos += len(literal)
			if len(literal) == size && len(indices) < total {
				x += int(value)
				pos += pos % 2
				continue
			}
		}
		break
	}
	if len(indices) < total {
		return nil, errors.New("the run lengths end before the image does")
	}
	pix := slices.Grow(dst[:0], 3*total)[:3*total]
	for i := range height {
		y := i
		if !h.topDown {
			y = height - 1 - i
		}
		out := pix[3*width*y:][:3*width]
		for _, v := range indices[width*i:][:width] {
			c := &h.palette[v]
			out[0], out[1], out[2] = c[0], c[1], c[2]
			out = out[3:]
		}
	}
	return pix, nil
}
