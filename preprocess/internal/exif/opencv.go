package exif

import "encoding/binary"

// OpenCV returns the orientation that cv2.imread turns an image by: 1 to 8, or any other number,
// which turns nothing. It is 1 where there is none. The source is exif.cpp of OpenCV's imgcodecs.
func OpenCV(data []byte) int {
	orientation := Upright
	switch kindOf(data) {
	case jpeg:
		eachSegment(data, func(marker byte, body []byte) bool {
			if marker != 0xe1 || len(body) <= 6 || string(body[:6]) != "Exif\x00\x00" {
				return true
			}
			o, ok := openCV(body[6:])
			if ok {
				orientation = o
			}
			return !ok // the first orientation stays
		})
	case png:
		eachChunk(data, func(name string, body []byte) bool {
			// libpng keeps the first that begins well.
			if name != "eXIf" || len(body) < 4 ||
				string(body[:4]) != "II*\x00" && string(body[:4]) != "MM\x00*" {
				return true
			}
			if o, ok := openCV(body); ok {
				orientation = o
			}
			return false
		})
	case webp:
		if o, ok := openCV(webPChunk(data, "EXIF")); ok {
			orientation = o
		}
	}
	return orientation
}

// openCV reads the orientation as ExifReader does. It reads the entries before it too, for an entry
// that reaches beyond the data ends the reading.
func openCV(data []byte) (orientation int, ok bool) {
	r := reader{data: data, order: binary.BigEndian}
	if len(data) > 1 && data[0] == 'I' && data[1] == 'I' {
		r.order = binary.LittleEndian
	}
	if r.u16(2) != 0x2a {
		return 0, false
	}
	offset := r.u32(4)
	count := r.u16(uint64(offset))
	offset += 2
	for range count {
		at := uint64(offset)
		tag := r.u16(at)
		switch tag {
		case 0x010e, 0x010f, 0x0110, 0x0131, 0x0132, 0x8298: // strings
			size, start := uint64(r.u32(at+4)), uint64(8)
			if size > 4 {
				start = uint64(r.u32(at + 8))
			}
			r.failed = r.failed || start+size > uint64(len(data))
		case tagOrientation:
			o := r.u16(at + 8)
			return int(o), !r.failed
		case 0x011a, 0x011b: // resolutions
			r.rationals(at+8, 1)
		case 0x0128, 0x0213:
			r.u16(at + 8)
		case 0x013e: // white point
			r.rationals(at+8, 2)
		case 0x013f, 0x0214: // primary chromaticities, reference black and white
			r.rationals(at+8, 6)
		case 0x0211: // coefficients of YCbCr
			r.rationals(at+8, 3)
		}
		if r.failed {
			return 0, false
		}
		offset += 12
	}
	return 0, false
}

// reader reads numbers. Beyond the data they are 0, and failed is set.
type reader struct {
	data   []byte
	order  binary.ByteOrder
	failed bool
}

func (r *reader) u16(at uint64) uint16 {
	if at+1 >= uint64(len(r.data)) {
		r.failed = true
		return 0
	}
	return r.order.Uint16(r.data[at:])
}

func (r *reader) u32(at uint64) uint32 {
	if at+3 >= uint64(len(r.data)) {
		r.failed = true
		return 0
	}
	return r.order.Uint32(r.data[at:])
}

// rationals reads count fractions at the offset that stands at a place.
func (r *reader) rationals(at uint64, count int) {
	start := r.u32(at)
	for range count {
		r.u32(uint64(start))
		r.u32(uint64(start) + 4)
		start += 8
	}
}
