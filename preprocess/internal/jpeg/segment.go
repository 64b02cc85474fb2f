package jpeg

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// segmentReader reads the bits of a segment of entropy-coded data: what lies between two markers,
// without the zeros that are stuffed behind each 0xFF. Behind the end it reads zeros, as libjpeg
// does.
type segmentReader struct {
	data []byte // the segment and segmentPadding zeros
	end  int    // bits in the segment
	pos  int    // in data: the first byte that is not in bits
	bits uint64 // the bits read ahead, the next one on top and zeros behind the last
	n    int    // how many they are
}

// segmentPadding is more zeros than an MCU can take, of 64 coefficients of at most 32 bits or of 10
// blocks' DC, with those that are read ahead.
const segmentPadding = 64*32/8 + 64

// openSegment takes in the segment from d.pos to the next marker, which goes to d.marker. If there
// is one already, the segment is empty. It returns false where no marker comes.
func (d *decoder) openSegment() bool {
	r := &d.segment
	data := r.data[:0]
	rest := d.data[d.pos:d.limit]
	for d.marker == 0 {
		at := bytes.IndexByte(rest, 0xFF)
		if at < 0 {
			return false
		}
		data = append(data, rest[:at]...)
		for rest = rest[at:]; len(rest) > 0 && rest[0] == 0xFF; {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return false
		}
		if d.marker = rest[0]; d.marker == 0 {
			data = append(data, 0xFF)
		}
		rest = rest[1:]
		d.pos = d.limit - len(rest)
	}
	n := len(data)
	data = slices.Grow(data, segmentPadding)[:n+segmentPadding]
	clear(data[n:])
	*r = segmentReader{data: data, end: 8 * n}
	return true
}

// refill reads bytes until there are 56 bits at least.
func (r *segmentReader) refill() {
	r.bits |= binary.BigEndian.Uint64(r.data[r.pos:]) >> (r.n & 63)
	r.pos += (63 - r.n) >> 3
	r.n |= 56
}

// take takes off n bits, n < 64.
func (r *segmentReader) take(n int) {
	r.bits <<= n & 63
	r.n -= n
}

// number takes off the n bits that follow a symbol, 0 < n < 16, and returns the number they stand
// for.
func (r *segmentReader) number(n int) int32 {
	x := int32(r.bits >> (64 - n&63))
	r.take(n)
	return extend(x, n)
}

// insufficient tells whether more bits were taken off than there are.
func (r *segmentReader) insufficient() bool { return 8*r.pos-r.n > r.end }

// longSymbol takes off a code of more than 8 bits. A code that the table does not have counts as
// symbol 0.
func (r *segmentReader) longSymbol(t *huffTable) int {
	length := 9
	code := int32(r.bits >> 55)
	for code > t.maxCode[length] {
		length++
		code = int32(r.bits >> (64 - length&63))
	}
	r.take(length)
	if length > 16 {
		return 0
	}
	return int(t.values[uint8(code+t.offset[length])])
}
