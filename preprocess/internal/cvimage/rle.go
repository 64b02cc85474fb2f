package cvimage

import (
	"errors"

	"kerasrun/preprocess/internal/codec"
)

var (
	errRun = errors.New("a run reaches over the end of its row")
	// OpenCV takes the end of the image for the end of a row, and reads on.
	errEarly = codec.UnsupportedError("run lengths that end early, with OpenCV's decoder")
)

// rle writes the pixels of run lengths, row after row from the bottom of the image on.
type rle struct {
	*bmpHeader
	pix           []byte // RGB, the bottom row first
	width, height int
	at, y         int // the next pixel is at of row y
}

// fill writes count pixels of a colour, over the ends of rows too: FillUniColor.
func (r *rle) fill(count int, color [3]uint8) {
	for {
		n := min(count, r.width-r.at)
		count -= n
		for range n {
			r.put(color)
		}
		if r.at >= r.width {
			r.at = 0
			if r.y++; r.y >= r.height {
				return
			}
		}
		if count <= 0 {
			return
		}
	}
}

// put writes a pixel without going on to the next row.
func (r *rle) put(color [3]uint8) {
	*(*[3]uint8)(r.pix[3*(r.width*r.y+r.at):]) = color
	r.at++
}

// decodeRLE reads run lengths as BmpDecoder does: pixels that they pass over get the palette's
// first colour, and a row of four bits ends only where the file says so.
func (h *bmpHeader) decodeRLE(pix []byte, width, height int) error {
	r := &rle{bmpHeader: h, pix: pix, width: width, height: height}
	if h.bits == 4 {
		return r.decode4()
	}
	return r.decode8()
}

func (r *rle) decode4() error {
	for {
		length, code := r.byte(), r.byte()
		if r.ended {
			return errTruncated
		}
		switch {
		case length != 0:
			if r.at+length > r.width {
				return errRun
			}
			colors := [2]int{code >> 4, code & 15}
			for i := range length {
				r.put(r.palette[colors[i&1]])
			}
		case code > 2:
			if r.at+code > r.width {
				return errRun
			}
			in := r.take(((code+1)>>1 + 1) &^ 1)
			if in == nil {
				return errTruncated
			}
			for i := range code {
				r.put(r.palette[in[i/2]<<(i%2*4)>>4])
			}
		default:
			skip := r.width - r.at
			if code == 2 {
				skip = r.byte()
				r.byte()
			}
			if r.ended {
				return errTruncated
			}
			r.fill(skip, r.palette[0])
			if r.y >= r.height {
				return nil
			}
			if code == 1 {
				return errEarly
			}
		}
	}
}

func (r *rle) decode8() error {
	lineEnd := 0 // the rows that the latest run went on by
	for {
		length, code := r.byte(), r.byte()
		if r.ended {
			return errTruncated
		}
		before := r.y
		switch {
		case length != 0:
			if r.at+length > r.width {
				return errRun
			}
			r.fill(length, r.palette[code])
			lineEnd = r.y - before
			if r.y >= r.height {
				return nil
			}
		case code > 2:
			if r.at+code > r.width {
				return errRun
			}
			in := r.take((code + 1) &^ 1)
			if in == nil {
				return errTruncated
			}
			for _, v := range in[:code] {
				r.put(r.palette[v])
			}
			lineEnd = 0
		default:
			skip, down := r.width-r.at, r.height-r.y
			if code != 0 || lineEnd == 0 || skip < r.width {
				if code == 2 {
					skip, down = r.byte(), r.byte()
				}
				if r.ended {
					return errTruncated
				}
				if code != 0 {
					skip += down * r.width
				}
				r.fill(skip, r.palette[0])
				if r.y >= r.height {
					return nil
				}
			}
			lineEnd = 0
		}
	}
}
