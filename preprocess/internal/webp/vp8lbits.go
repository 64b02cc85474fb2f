package webp

import (
	"encoding/binary"
	"slices"
)

// losslessBits reads the bits of a lossless bitstream, the lowest of a byte first. Behind the end
// it reads zeros.
type losslessBits struct {
	data []byte // the bitstream and losslessPadding zeros
	end  int    // bits in the bitstream
	pos  int    // in data: the first byte that is not in bits
	bits uint64 // the bits read ahead, the next one lowest
	n    int    // how many they are
}

// losslessPadding is how many zeros may be read ahead, and more than a pixel can take.
const losslessPadding = 48

func (r *losslessBits) reset(data []byte) {
	n := len(data)
	buf := slices.Grow(r.data[:0], n+losslessPadding)[:n+losslessPadding]
	clear(buf[copy(buf, data):])
	// libwebp takes the eight bytes that it reads first to be there.
	*r = losslessBits{data: buf, end: 8 * max(n, 8)}
}

// refill reads bytes until there are 56 bits at least.
func (r *losslessBits) refill() {
	if r.pos > len(r.data)-8 {
		// Far behind the end.
		r.bits, r.n = 0, 56
		return
	}
	r.bits |= binary.LittleEndian.Uint64(r.data[r.pos:]) << (r.n & 63)
	r.pos += (63 - r.n) >> 3
	r.n |= 56
}

// read takes off n bits, n <= 24.
func (r *losslessBits) read(n int) int {
	r.refill()
	v := int(r.bits & (1<<n - 1))
	r.bits >>= n & 63
	r.n -= n
	return v
}

// over tells whether more bits were taken off than there are.
func (r *losslessBits) over() bool { return 8*r.pos-r.n > r.end }
