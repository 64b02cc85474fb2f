// Copyright 2011 The Go Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vp8

// Each VP8 frame consists of between 2 and 9 bitstream partitions.
// Each partition is byte-aligned and is independently arithmetic-encoded.
//
// This file implements decoding a partition's bitstream, as specified in
// chapter 7.

import (
	"encoding/binary"
	"math/bits"
)

// uniformProb represents a 50% probability that the next bit is 0.
const uniformProb = 128

// partition holds arithmetic-coded bits. What becomes of the bits of a damaged
// partition is libwebp's (VP8BitReader), whose numbers these are.
type partition struct {
	// buf is the input bytes, r how many of them have been read.
	buf []byte
	r   int
	// value holds nBits + 8 bits read but not yet consumed.
	value uint64
	nBits int
	// rangeM1 is range minus 1, where range is in the arithmetic coding sense,
	// not the Go language sense.
	rangeM1 uint32
	// unexpectedEOF tells whether we tried to read past buf.
	unexpectedEOF bool
	// overflows tells whether the first byte is beyond the range, as in damaged
	// files. Then so is all that follows, and value may have more bits.
	overflows bool
}

// rounding is 256 less a probability, times 1 << 24, for the assembly.
var rounding = func() (t [256]uint64) {
	for i := range t {
		t[i] = uint64(256-i) << 24
	}
	return t
}()

// init initializes the partition.
func (p *partition) init(buf []byte) {
	*p = partition{buf: buf, rangeM1: 254, nBits: -8, overflows: len(buf) > 0 && buf[0] == 255}
}

// fill reads bytes: seven, or one near the end.
func (p *partition) fill() {
	switch {
	case p.r+8 <= len(p.buf):
		p.value = p.value<<56 | binary.BigEndian.Uint64(p.buf[p.r:])>>8
		p.nBits += 56
		p.r += 7
	case p.r < len(p.buf):
		p.value = p.value<<8 | uint64(p.buf[p.r])
		p.nBits += 8
		p.r++
	case !p.unexpectedEOF:
		p.value <<= 8
		p.nBits += 8
		p.unexpectedEOF = true
	default:
		p.nBits = 0
	}
}

// readBit returns the next bit.
func (p *partition) readBit(prob uint8) bool {
	if p.nBits < 0 {
		p.fill()
	}
	split := p.rangeM1 * uint32(prob) >> 8
	bit := uint32(p.value>>(p.nBits&63)) > split
	rng := split + 1
	if bit {
		p.value -= uint64(rng) << (p.nBits & 63)
		rng = p.rangeM1 - split
	}
	shift := bits.LeadingZeros8(uint8(rng))
	p.rangeM1 = rng<<shift - 1
	p.nBits -= shift
	return bit
}

// readSign returns -1 or 0, with a probability of a half each. It is readBit but
// for the rounding of a range of 255.
func (p *partition) readSign() int32 {
	if p.nBits < 0 {
		p.fill()
	}
	split := p.rangeM1 >> 1
	sign := int32(split-uint32(p.value>>(p.nBits&63))) >> 31
	p.value -= uint64((split+1)&uint32(sign)) << (p.nBits & 63)
	p.rangeM1 = (p.rangeM1 + uint32(sign)) | 1
	p.nBits--
	return sign
}

// readUint returns the next n-bit unsigned integer.
func (p *partition) readUint(prob, n uint8) uint32 {
	var u uint32
	for n > 0 {
		n--
		if p.readBit(prob) {
			u |= 1 << n
		}
	}
	return u
}

// readInt returns the next n-bit signed integer.
func (p *partition) readInt(prob, n uint8) int32 {
	u := p.readUint(prob, n)
	b := p.readBit(prob)
	if b {
		return -int32(u)
	}
	return int32(u)
}

// readOptionalInt returns the next n-bit signed integer in an encoding
// where the likely result is zero.
func (p *partition) readOptionalInt(prob, n uint8) int32 {
	if !p.readBit(prob) {
		return 0
	}
	return p.readInt(prob, n)
}
