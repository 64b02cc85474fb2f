package gif

import (
	"errors"
	"sync"
)

const (
	maxBits  = 12 // of a code
	maxCodes = 1 << maxBits
)

var errCode = errors.New("the image data holds a code that means nothing")

// lzw decompresses the data of a frame, code by code. compress/lzw does not do: Pillow takes the
// codes of broken encoders that it refuses, and the other way round.
type lzw struct {
	blocks []byte
	block  []byte // what is left of the current block
	bits   uint32
	nbits  int

	codeBits, size int // of the first codes and of the next
	clear, next    int // the code that clears the table, and the first that is free
	fresh          bool
	lastCode       int
	lastData       byte
	prefix         [maxCodes]uint16
	suffix         [maxCodes]byte
	buffer         [maxCodes + 1]byte // a run, filled from its end
}

var decompressors = sync.Pool{New: func() any { return new(lzw) }}

func (z *lzw) reset(blocks []byte, codeBits int) {
	z.blocks, z.block = blocks, nil
	z.bits, z.nbits = 0, 0
	z.codeBits, z.clear = codeBits, 1<<codeBits
	z.lastData, z.lastCode = 0, 0
	z.restart()
}

// restart empties the table.
func (z *lzw) restart() {
	z.size = z.codeBits + 1
	z.next = z.clear + 2
	z.fresh = true
}

// code reads the next code.
func (z *lzw) code() (int, error) {
	for z.nbits < z.size {
		for len(z.block) == 0 {
			if len(z.blocks) == 0 {
				return 0, errTruncated
			}
			n := int(z.blocks[0])
			if len(z.blocks) < 1+n {
				return 0, errTruncated
			}
			z.block, z.blocks = z.blocks[1:1+n], z.blocks[1+n:]
		}
		z.bits |= uint32(z.block[0]) << z.nbits
		z.block = z.block[1:]
		z.nbits += 8
	}
	c := int(z.bits & (1<<z.size - 1))
	z.bits >>= z.size
	z.nbits -= z.size
	return c, nil
}

// nextRun returns the indices that the next code stands for. They are valid until the next call.
func (z *lzw) nextRun() ([]byte, error) {
	for {
		c, err := z.code()
		switch {
		case err != nil:
			return nil, err
		case c == z.clear:
			z.restart()
		case c == z.clear+1:
			return nil, errTruncated
		case z.fresh:
			if c > z.clear {
				return nil, errCode
			}
			z.fresh = false
			z.lastCode, z.lastData = c, byte(c)
			z.buffer[maxCodes] = byte(c)
			return z.buffer[maxCodes:], nil
		default:
			return z.expand(c)
		}
	}
}

func (z *lzw) expand(c int) ([]byte, error) {
	at, code := len(z.buffer), c
	if code > z.next {
		return nil, errCode
	}
	if code == z.next { // the string that this very code completes
		at--
		z.buffer[at] = z.lastData
		code = z.lastCode
	}
	for code >= z.clear {
		if at == 1 || code >= maxCodes {
			return nil, errCode
		}
		at--
		z.buffer[at] = z.suffix[code]
		code = int(z.prefix[code])
	}
	z.lastData = byte(code)
	if z.next < maxCodes {
		z.suffix[z.next] = byte(code)
		z.prefix[z.next] = uint16(z.lastCode)
		if z.next == 1<<z.size-1 && z.size < maxBits {
			z.size++
		}
		z.next++
	}
	z.lastCode = c
	at--
	z.buffer[at] = z.lastData
	return z.buffer[at:], nil
}
