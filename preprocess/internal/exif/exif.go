// Package exif finds the orientation that a file's metadata gives its image, as Pillow 13 and
// OpenCV 5 find it, and turns the pixels.
//
// The two read the same tag of Exif but not the same files: Pillow reads any number type, goes on
// after a damaged entry, and takes XMP's tiff:Orientation where Exif has none; OpenCV reads the
// first two bytes of the value whatever its type, stops at the first damaged entry, and knows no
// XMP.
package exif

import "encoding/binary"

const tagOrientation = 0x0112

// Upright is the orientation that changes nothing.
const Upright = 1

// Swaps reports whether an orientation exchanges width and height.
func Swaps(orientation int) bool { return orientation >= 5 && orientation <= 8 }

// Turn returns the image turned upright, with its size: pix is uint8, height x width x channels,
// row-major. An orientation other than 2 to 8 changes nothing, and then pix itself is returned; the
// result is otherwise in the memory of dst if that is enough, which must not overlap pix.
func Turn(dst, pix []byte, width, height, channels, orientation int) (turned []byte, w, h int) {
	if orientation < 2 || orientation > 8 {
		return pix, width, height
	}
	w, h = width, height
	if Swaps(orientation) {
		w, h = height, width
	}
	if cap(dst) < len(pix) {
		dst = make([]byte, len(pix))
	}
	dst = dst[:len(pix)]
	// The source of pixel (x, y) is origin + x*dx + y*dy.
	right, down := channels, channels*width
	lastX, lastY := right*(width-1), down*(height-1)
	var origin, dx, dy int
	switch orientation {
	case 2:
		origin, dx, dy = lastX, -right, down
	case 3:
		origin, dx, dy = lastX+lastY, -right, -down
	case 4:
		origin, dx, dy = lastY, right, -down
	case 5:
		origin, dx, dy = 0, down, right
	case 6:
		origin, dx, dy = lastY, -down, right
	case 7:
		origin, dx, dy = lastX+lastY, -down, -right
	case 8:
		origin, dx, dy = lastX, down, -right
	}
	// Blocks keep the columns that are read in the cache.
	const block = 32
	for y0 := 0; y0 < h; y0 += block {
		y1 := min(y0+block, h)
		for x0 := 0; x0 < w; x0 += block {
			x1 := min(x0+block, w)
			for y := y0; y < y1; y++ {
				at := origin + x0*dx + y*dy
				out := dst[channels*(w*y+x0) : channels*(w*y+x1)]
				switch channels {
				case 1:
					for i := range out {
						out[i] = pix[at]
						at += dx
					}
				case 3:
					for len(out) >= 3 {
						p := pix[at : at+3]
						out[0], out[1], out[2] = p[0], p[1], p[2]
						out = out[3:]
						at += dx
					}
				default:
					for len(out) >= channels {
						copy(out[:channels], pix[at:])
						out = out[channels:]
						at += dx
					}
				}
			}
		}
	}
	return dst, w, h
}

// kind is the format of a file, as far as its metadata is read.
type kind int

const (
	other kind = iota
	jpeg
	png
	webp
)

func kindOf(data []byte) kind {
	starts := func(magic string) bool {
		return len(data) >= len(magic) && string(data[:len(magic)]) == magic
	}
	switch {
	case starts("\xff\xd8\xff"):
		return jpeg
	case starts("\x89PNG\r\n\x1a\n"):
		return png
	case starts("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		return webp
	}
	return other
}

// eachSegment calls do with the marker and the body of each of a JPEG's segments before the first
// scan, until do returns false or a segment is cut short.
func eachSegment(data []byte, do func(marker byte, body []byte) bool) {
	pos, inMarker := 2, false
	for pos < len(data) {
		c := data[pos]
		pos++
		if !inMarker || c == 0xff {
			inMarker = c == 0xff
			continue
		}
		inMarker = false
		if c == 0 || c == 0x01 || c >= 0xd0 && c <= 0xd8 { // without a body
			continue
		}
		if c == 0xd9 || c == 0xda || pos+2 > len(data) {
			return
		}
		n := int(binary.BigEndian.Uint16(data[pos:]))
		if n < 2 || pos+n > len(data) || !do(c, data[pos+2:pos+n]) {
			return
		}
		pos += n
	}
}

// eachChunk calls do with the name and the body of each of a PNG's chunks, until do returns false
// or a chunk is cut short.
func eachChunk(data []byte, do func(name string, body []byte) bool) {
	for pos := 8; pos+12 <= len(data); {
		n := int(binary.BigEndian.Uint32(data[pos:]))
		if n > len(data)-pos-12 || !do(string(data[pos+4:pos+8]), data[pos+8:pos+8+n]) {
			return
		}
		pos += 12 + n
	}
}

// webPChunk returns the body of the first chunk of the name in a WebP file, nil if there is none.
func webPChunk(data []byte, name string) []byte {
	if len(data) < 12 {
		return nil
	}
	data = data[:min(uint64(len(data)), 8+uint64(binary.LittleEndian.Uint32(data[4:])))]
	for pos := 12; pos+8 <= len(data); {
		n := int(binary.LittleEndian.Uint32(data[pos+4:]))
		if n > len(data)-pos-8 {
			return nil
		}
		if string(data[pos:pos+4]) == name {
			return data[pos+8 : pos+8+n]
		}
		pos += 8 + n + n&1
	}
	return nil
}
