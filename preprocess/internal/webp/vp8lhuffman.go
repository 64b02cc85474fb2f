package webp

import "errors"

const (
	literalCodes  = 256
	lengthCodes   = 24
	distanceCodes = 40
	maxCacheBits  = 11
	maxCodeLength = 15
)

var errHuffman = errors.New("a Huffman code is broken")

// rootBits is the number of bits by which huffmanCode.root is indexed.
const rootBits = 8

// huffmanCode is a Huffman code made ready for decoding.
//
// The lowest byte of an entry is how many bits the code has, the upper half the symbol. In root it
// may be longCode with the number of bits by which a part of long is indexed; then the upper half
// is where that part begins.
type huffmanCode struct {
	root [1 << rootBits]uint32
	long []uint32
}

const longCode = 0x80

// symbol takes off a code and returns its symbol. There have to be 15 bits.
func (c *huffmanCode) symbol(r *losslessBits) int {
	e := c.root[r.bits&(1<<rootBits-1)]
	if e&longCode != 0 {
		e = c.longEntry(e, r.bits)
	}
	r.bits >>= e & 63
	r.n -= int(e & 63)
	return int(e >> 16)
}

//go:noinline
func (c *huffmanCode) longEntry(e uint32, bits uint64) uint32 {
	return c.long[int(e>>16)+int(bits>>rootBits)&(1<<(e&31)-1)]
}

// build makes a code of its symbols' lengths, as VP8LBuildHuffmanTable does: a symbol that is alone
// has no bits; else the codes have to be all that there can be.
func (c *huffmanCode) build(lengths []uint8) error {
	var count, offset [maxCodeLength + 1]int
	for _, n := range lengths {
		count[n]++
	}
	used := len(lengths) - count[0]
	if used == 0 {
		return errHuffman
	}
	count[0] = 0
	left := 1
	for n := 1; n <= maxCodeLength; n++ {
		if n < maxCodeLength {
			offset[n+1] = offset[n] + count[n]
		}
		left = 2*left - count[n]
		if left < 0 {
			return errHuffman
		}
	}
	var sorted [literalCodes + lengthCodes + 1<<maxCacheBits]uint16
	for symbol, n := range lengths {
		if n > 0 {
			sorted[offset[n]] = uint16(symbol)
			offset[n]++
		}
	}
	c.long = c.long[:0]
	if used == 1 {
		for i := range c.root {
			c.root[i] = uint32(sorted[0]) << 16
		}
		return nil
	}
	if left != 0 {
		return errHuffman
	}
	// The code, with its first bit lowest, counts up from the highest bit.
	key, at := 0, 0
	for n := 1; n <= rootBits; n++ {
		for range count[n] {
			e := uint32(sorted[at])<<16 | uint32(n)
			at++
			for i := key; i < 1<<rootBits; i += 1 << n {
				c.root[i] = e
			}
			key = nextKey(key, n)
		}
	}
	low, start, bits := -1, 0, 0
	for n := rootBits + 1; n <= maxCodeLength; n++ {
		for ; count[n] > 0; count[n]-- {
			if key&(1<<rootBits-1) != low {
				low, start, bits = key&(1<<rootBits-1), len(c.long), n-rootBits
				for room := 1 << bits; bits+rootBits < maxCodeLength; bits++ {
					if room -= count[bits+rootBits]; room <= 0 {
						break
					}
					room *= 2
				}
				for range 1 << bits {
					c.long = append(c.long, 0)
				}
				c.root[low] = uint32(start)<<16 | longCode | uint32(bits)
			}
			e := uint32(sorted[at])<<16 | uint32(n)
			at++
			for i := key >> rootBits; i < 1<<bits; i += 1 << (n - rootBits) {
				c.long[start+i] = e
			}
			key = nextKey(key, n)
		}
	}
	return nil
}

// nextKey adds one to the n bits of key, of which the lowest counts most.
func nextKey(key, n int) int {
	step := 1 << (n - 1)
	for ; key&step != 0; step >>= 1 {
		key ^= step
	}
	return key | step
}

// readCode reads a Huffman code for size symbols to c, or only checks it where c is nil.
func (d *losslessDecoder) readCode(c *huffmanCode, size int) error {
	r := &d.bits
	// A symbol of a simple code may lie behind the last there is.
	lengths := d.lengths[:max(size, 256)]
	clear(lengths)
	if r.read(1) != 0 {
		two, whole := r.read(1), r.read(1)
		lengths[r.read(1+7*whole)] = 1
		if two != 0 {
			lengths[r.read(8)] = 1
		}
	} else if err := d.readLengths(lengths[:size]); err != nil {
		return err
	}
	if r.over() {
		return errTruncated
	}
	if c == nil {
		c = &d.unused
	}
	return c.build(lengths[:size])
}

// lengthOrder is the order in which the lengths of the code of lengths come.
var lengthOrder = [19]uint8{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// readLengths reads the lengths of a code's symbols, which are Huffman-coded themselves.
func (d *losslessDecoder) readLengths(lengths []uint8) error {
	r := &d.bits
	var own [len(lengthOrder)]uint8
	for _, i := range lengthOrder[:4+r.read(4)] {
		own[i] = uint8(r.read(3))
	}
	code := &d.unused
	if err := code.build(own[:]); err != nil {
		return err
	}
	left := len(lengths)
	if r.read(1) != 0 {
		n := 2 + 2*r.read(3)
		if left = 2 + r.read(n); left > len(lengths) {
			return errHuffman
		}
	}
	last := uint8(8)
	for i := 0; i < len(lengths) && left > 0; left-- {
		r.refill()
		n := code.symbol(r)
		if n < 16 {
			lengths[i] = uint8(n)
			i++
			if n != 0 {
				last = uint8(n)
			}
			continue
		}
		repeat, value := 0, uint8(0)
		switch n {
		case 16:
			repeat, value = 3+r.read(2), last
		case 17:
			repeat = 3 + r.read(3)
		default:
			repeat = 11 + r.read(7)
		}
		if i+repeat > len(lengths) {
			return errHuffman
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	return nil
}
