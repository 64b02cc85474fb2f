package png

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
)

// pieces hands over compressed data piece by piece. A piece has at least a byte.
type pieces interface{ next() ([]byte, error) }

// An inflate decompresses a DEFLATE stream, RFC 1951. It refuses what compress/flate refuses, and
// like that takes no byte from its source that it does not need; but it looks at eight bytes of a
// piece at a time and writes where it can copy from, which takes half the time.
type inflate struct {
	src   pieces
	piece []byte // what is left of the current piece

	bits uint64 // bits taken and not yet used, the next one lowest, zeros behind the last
	n    uint   // how many they are

	err       error    // once the stream has ended or failed
	final     bool     // the current block is the last
	inBlock   bool     // of Huffman codes
	stored    int      // bytes left of a stored block
	lit, dist *huffman // of the current block
	codes     [2]huffman

	window        [windowSize]byte
	read, written int // bytes of the window
	lengths       [maxLitLen + maxDist]uint8
}

const (
	history    = 1 << 15 // how far back a copy may begin
	maxMatch   = 258
	windowSize = 4 * history

	maxLitLen  = 286 // that may be defined; the two others of the fixed code are not valid
	maxDist    = 30
	endOfBlock = 256
)

var errDeflate = errors.New("the image data is damaged")

func (z *inflate) reset(src pieces) {
	z.src, z.piece = src, nil
	z.bits, z.n = 0, 0
	z.err, z.final, z.inBlock, z.stored = nil, false, false, 0
	z.read, z.written = 0, 0
}

// ReadByte takes the next byte of the source.
func (z *inflate) ReadByte() (byte, error) {
	if len(z.piece) == 0 {
		var err error
		if z.piece, err = z.src.next(); err != nil {
			z.piece = nil
			return 0, err
		}
	}
	b := z.piece[0]
	z.piece = z.piece[1:]
	return b, nil
}

// Read decompresses no more than it has to. Its error is io.EOF at the end of the stream.
func (z *inflate) Read(p []byte) (int, error) {
	if z.read == z.written && z.err == nil {
		if z.written > windowSize-history {
			copy(z.window[:], z.window[z.written-history:z.written])
			z.read, z.written = history, history
		}
		z.err = z.decode(min(z.written+len(p), windowSize-2*maxMatch))
	}
	n := copy(p, z.window[z.read:z.written])
	z.read += n
	if n == 0 {
		return 0, z.err
	}
	return n, nil
}

// decode decompresses until the window is written up to the byte want or beyond.
func (z *inflate) decode(want int) error {
	for z.written < want {
		var err error
		switch {
		case z.stored > 0:
			err = z.copyStored(want)
		case z.inBlock:
			if z.fast(want); z.written < want && z.inBlock {
				err = z.slow()
			}
		case z.final:
			return io.EOF
		default:
			err = z.nextBlock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// need takes bytes until there are n bits, n at most 57.
func (z *inflate) need(n uint) error {
	for z.n < n {
		b, err := z.ReadByte()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		z.bits |= uint64(b) << z.n
		z.n += 8
	}
	return nil
}

// take reads n bits.
func (z *inflate) take(n uint) (int, error) {
	if err := z.need(n); err != nil {
		return 0, err
	}
	v := int(z.bits & (1<<n - 1))
	z.bits >>= n
	z.n -= n
	return v, nil
}

// nextBlock reads the header of a block, section 3.2.3.
func (z *inflate) nextBlock() error {
	v, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = v&1 != 0
	switch v >> 1 {
	case 0:
		z.bits, z.n = 0, 0 // up to the next byte
		v, err := z.take(32)
		if err != nil {
			return err
		}
		if v&0xFFFF != ^v>>16&0xFFFF {
			return errDeflate
		}
		z.stored = v & 0xFFFF
		return nil
	case 1:
		z.lit, z.dist = &fixedLit, &fixedDist
	case 2:
		if err := z.readCodes(); err != nil {
			return err
		}
	default:
		return errDeflate
	}
	z.inBlock = true
	return nil
}

func (z *inflate) copyStored(want int) error {
	b, err := z.ReadByte()
	if err != nil {
		return err
	}
	z.window[z.written] = b
	z.written++
	z.stored--
	n := copy(z.window[z.written:min(want, z.written+z.stored)], z.piece)
	z.piece = z.piece[n:]
	z.written += n
	z.stored -= n
	return nil
}

// lengthOrder is the order in which the lengths of the codes for lengths come.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes of a block, section 3.2.7.
func (z *inflate) readCodes() error {
	v, err := z.take(14)
	if err != nil {
		return err
	}
	lits, dists := v&31+257, v>>5&31+1
	if lits > maxLitLen || dists > maxDist {
		return errDeflate
	}
	var orders [19]uint8
	for i := range v>>10 + 4 {
		n, err := z.take(3)
		if err != nil {
			return err
		}
		orders[lengthOrder[i]] = uint8(n)
	}
	z.lit, z.dist = &z.codes[0], &z.codes[1]
	if !z.lit.build(orders[:], plainEntry) {
		return errDeflate
	}
	lengths := z.lengths[:lits+dists]
	for i := 0; i < len(lengths); {
		e, err := z.symbol(z.lit)
		if err != nil {
			return err
		}
		var value uint8
		var base, extra int
		switch v := int(e >> 16); v {
		case 16:
			if i == 0 {
				return errDeflate
			}
			value, base, extra = lengths[i-1], 3, 2
		case 17:
			base, extra = 3, 3
		case 18:
			base, extra = 11, 7
		default:
			value, base = uint8(v), 1
		}
		times, err := z.take(uint(extra))
		if err != nil {
			return err
		}
		if times += base; times > len(lengths)-i {
			return errDeflate
		}
		for range times {
			lengths[i] = value
			i++
		}
	}
	if !z.lit.build(lengths[:lits], litEntry) || !z.dist.build(lengths[lits:], distEntry) {
		return errDeflate
	}
	return nil
}

// An entry of a table says what a code stands for: in bits 0 to 3 the length of the code, 0 for
// none, in bits 4 to 7 how many more bits belong to it, in bits 8 to 15 what it is, in bits 16 to
// 31 the literal, or what to add to those bits.
const (
	entryLiteral = 0 << 8 // of a plain code: every symbol
	entryLength  = 1 << 8 // or a distance
	entryEnd     = 2 << 8 // of the block
	entryBad     = 3 << 8
	entryKind    = 3 << 8
)

func plainEntry(symbol int) uint32 { return uint32(symbol) << 16 }

// litEntry is the entry of a literal or of a length, section 3.2.5.
func litEntry(symbol int) uint32 {
	switch {
	case symbol < endOfBlock:
		return uint32(symbol)<<16 | entryLiteral
	case symbol == endOfBlock:
		return entryEnd
	case symbol < 265:
		return uint32(symbol-257+3)<<16 | entryLength
	case symbol < 285:
		extra := uint32(symbol-261) / 4
		return ((4+uint32(symbol-261)%4)<<extra+3)<<16 | extra<<4 | entryLength
	case symbol == 285:
		return maxMatch<<16 | entryLength
	}
	return entryBad
}

// distEntry is the entry of a distance.
func distEntry(symbol int) uint32 {
	switch {
	case symbol < 4:
		return uint32(symbol+1)<<16 | entryLength
	case symbol < maxDist:
		extra := uint32(symbol-2) / 2
		return ((2+uint32(symbol)%2)<<extra+1)<<16 | extra<<4 | entryLength
	}
	return entryBad
}

const (
	tableBits = 11
	maxBits   = 15 // of a code
)

// A huffman is a Huffman code, section 3.2.2, ready for decoding.
type huffman struct {
	table [1 << tableBits]uint32 // by the next bits: entries of codes that they hold whole
	// For longer codes, by length: the first code and how many there are, and the entries of all
	// in the order of their codes.
	first, count [maxBits + 1]uint16
	at           [maxBits + 1]uint16
	entries      [288]uint32
}

// build makes a code of the lengths of its symbols' codes. It returns false unless the code is
// complete, or a single code of one bit, or empty.
func (h *huffman) build(lengths []uint8, entry func(int) uint32) bool {
	clear(h.table[:])
	clear(h.count[:])
	for _, n := range lengths {
		h.count[n&maxBits]++
	}
	h.count[0] = 0
	code, at, longest := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		code <<= 1
		h.first[n], h.at[n] = uint16(code), uint16(at)
		code += int(h.count[n])
		at += int(h.count[n])
		if h.count[n] > 0 {
			longest = n
		}
		if code > 1<<n {
			return false
		}
	}
	single := at == 1 && longest == 1
	if at > 0 && code != 1<<maxBits && !single {
		return false
	}
	var placed [maxBits + 1]uint16
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		i := placed[n&maxBits]
		placed[n&maxBits]++
		e := entry(symbol) | uint32(n)
		h.entries[h.at[n&maxBits]+i] = e
		if n > tableBits {
			continue
		}
		from := bits.Reverse16(h.first[n&maxBits]+i) >> (16 - n)
		for ; from < 1<<tableBits; from += 1 << n {
			h.table[from&(1<<tableBits-1)] = e
		}
	}
	return true
}

// long looks up a code of more than tableBits bits among n bits. It returns 0 if they hold none.
func (h *huffman) long(x uint64, n uint) uint32 {
	code := int(bits.Reverse16(uint16(x)))
	for length := tableBits + 1; length <= min(int(n), maxBits); length++ {
		i := code>>(16-length) - int(h.first[length])
		if 0 <= i && i < int(h.count[length]) {
			return h.entries[(int(h.at[length])+i)%len(h.entries)]
		}
	}
	return 0
}

// symbol decodes a code. Bits that the entry calls for are left.
func (z *inflate) symbol(h *huffman) (uint32, error) {
	for {
		e := h.table[z.bits&(1<<tableBits-1)]
		if e == 0 {
			e = h.long(z.bits, z.n)
		}
		if n := uint(e & 15); n != 0 && n <= z.n {
			z.bits >>= n
			z.n -= n
			if e&entryKind == entryBad {
				return 0, errDeflate
			}
			return e, nil
		}
		if z.n >= maxBits {
			return 0, errDeflate
		}
		if err := z.need(z.n + 1); err != nil {
			return 0, err
		}
	}
}

// slow decodes one literal or copy, or the end of the block, taking the bytes that it needs.
func (z *inflate) slow() error {
	e, err := z.symbol(z.lit)
	if err != nil {
		return err
	}
	switch e & entryKind {
	case entryLiteral:
		z.window[z.written] = byte(e >> 16)
		z.written++
		return nil
	case entryEnd:
		z.inBlock = false
		return nil
	}
	more, err := z.take(uint(e >> 4 & 15))
	if err != nil {
		return err
	}
	length := int(e>>16) + more
	if e, err = z.symbol(z.dist); err != nil {
		return err
	}
	if more, err = z.take(uint(e >> 4 & 15)); err != nil {
		return err
	}
	distance := int(e>>16) + more
	if distance > z.written || distance > history {
		return errDeflate
	}
	z.repeat(distance, length)
	return nil
}

// repeat copies what was written before. There is room for it.
func (z *inflate) repeat(distance, length int) {
	from := z.window[z.written-distance : z.written]
	to := z.window[z.written : z.written+length]
	z.written += length
	for len(to) > 0 {
		// What is written repeats, so twice as much can be copied each time.
		n := copy(to, from)
		to = to[n:]
		from = z.window[z.written-length-distance : z.written-len(to)]
	}
}

// fast is slow as long as eight bytes of a piece are at hand and the window is not written up to
// want. Where the stream is damaged it stops before the damage, which slow then meets.
func (z *inflate) fast(want int) {
	const mask = 1<<tableBits - 1
	piece, pos := z.piece, 0
	x, n, end := z.bits, z.n, z.written
	lit, dist, window := &z.lit.table, &z.dist.table, &z.window
loop:
	for end < want && pos+8 <= len(piece) {
		// Bits behind the nth are there, too, and come again.
		x |= binary.LittleEndian.Uint64(piece[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		e := lit[x&mask]
		if e&entryKind == entryLiteral && e != 0 {
			x >>= e & 15
			n -= uint(e & 15)
			window[end&(windowSize-1)] = byte(e >> 16)
			end++
			if e = lit[x&mask]; e&entryKind == entryLiteral && e != 0 {
				x >>= e & 15
				n -= uint(e & 15)
				window[end&(windowSize-1)] = byte(e >> 16)
				end++
				if e = lit[x&mask]; e&entryKind == entryLiteral && e != 0 {
					x >>= e & 15
					n -= uint(e & 15)
					window[end&(windowSize-1)] = byte(e >> 16)
					end++
					continue
				}
			}
			if n < maxBits+5+maxBits+13 { // bits of a copy
				continue
			}
		}
		if e == 0 {
			if e = z.lit.long(x, n); e == 0 {
				break
			}
		}
		y, left := x>>(e&15), n-uint(e&15)
		switch e & entryKind {
		case entryLiteral:
			x, n = y, left
			window[end&(windowSize-1)] = byte(e >> 16)
			end++
			continue
		case entryEnd:
			x, n = y, left
			z.inBlock = false
			break loop
		case entryBad:
			break loop
		}
		extra := e >> 4 & 15
		length := int(e>>16) + int(y&(1<<extra-1))
		y, left = y>>extra, left-uint(extra)

		if e = dist[y&mask]; e == 0 {
			e = z.dist.long(y, left)
		}
		if e&entryKind != entryLength {
			break
		}
		y, left = y>>(e&15), left-uint(e&15)
		extra = e >> 4 & 15
		distance := int(e>>16) + int(y&(1<<extra-1))
		if distance > end || distance > history {
			break
		}
		x, n = y>>extra, left-uint(extra)
		if distance < 8 {
			z.written = end
			z.repeat(distance, length)
			end = z.written
			continue
		}
		from, to := window[end-distance:], window[end:]
		for i := 0; i < length; i += 8 { // up to seven bytes too many, which are written anew
			binary.LittleEndian.PutUint64(to[i:], binary.LittleEndian.Uint64(from[i:]))
		}
		end += length
	}
	// Give back whole bytes.
	z.piece = piece[pos-int(n>>3):]
	z.n = n & 7
	z.bits = x & (1<<z.n - 1)
	z.written = end
}

var fixedLit, fixedDist = func() (lit, dist huffman) {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	lit.build(lengths[:], litEntry)
	for i := range 32 {
		lengths[i] = 5
	}
	dist.build(lengths[:32], distEntry)
	return lit, dist
}()
