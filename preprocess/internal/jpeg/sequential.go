package jpeg

import (
	"encoding/binary"
	"math/bits"

	"kerasrun/preprocess/internal/simd"
)

// block holds the dequantized coefficients of a block, in natural order: row-major, by vertical
// frequency.
type block struct {
	coefs [64]int16
	used  uint64 // bit i: coefs[i] may be other than 0
	// size is the sum of the magnitudes, before their reduction to 16 bits. It bounds all results
	// of the inverse DCT.
	size int
}

func (b *block) clear() {
	if b.used != 0 {
		*b = block{}
	}
}

// set puts a coefficient, of which the decoder knows the product with the divisor. As in
// libjpeg-turbo's x86-64 code, coefficients have 16 bits.
func (b *block) set(i uint8, product int32) {
	b.coefs[i&63] = int16(product)
	b.used |= 1 << (i & 63)
	b.size += int(max(product, -product))
}

// dequantize takes over a block of coefficients as they were coded.
func (b *block) dequantize(coefs *coefBlock, natural *[64]int32) {
	b.clear()
	for i := 0; i < 64; i += 8 {
		row := (*[8]int16)(coefs[i : i+8])
		if row[0]|row[1]|row[2]|row[3]|row[4]|row[5]|row[6]|row[7] == 0 {
			continue
		}
		for j, v := range row {
			if v != 0 {
				b.set(uint8(i+j), int32(v)*natural[(i+j)&63])
			}
		}
	}
}

// unquantized are the divisors for reading coefficients as they were coded.
var unquantized = func() (q [128]int32) {
	for i := range q {
		q[i] = 1
	}
	return q
}()

// startSequential prepares for a scan of a baseline or extended sequential frame.
func (d *decoder) startSequential() error {
	d.decodeCoefs = (*decoder).sequentialCoefs
	for _, c := range d.scan.comps {
		if err := d.buildDC(c); err != nil {
			return err
		}
		if err := d.buildAC(c); err != nil {
			return err
		}
	}
	return nil
}

// sequentialCoefs decodes an MCU of a file with several scans.
func (d *decoder) sequentialCoefs(blocks []*coefBlock) error {
	if err := d.decodeMCU(); err != nil {
		return err
	}
	for i, to := range blocks {
		b := &d.blocks[i]
		for used := b.used; used != 0; used &= used - 1 {
			at := bits.TrailingZeros64(used)
			to[at] = b.coefs[at]
		}
	}
	return nil
}

// decodeMCU decodes the next MCU to d.blocks.
func (d *decoder) decodeMCU() error {
	for {
		for i := range d.mcu.blocks {
			d.blocks[i].clear()
		}
		if d.insufficient {
			return nil
		}
		saved, pos, pred := d.bitReader, d.pos, d.dcPred
		// libjpeg takes the fast way where no MCU can use up what has been handed over.
		if d.restartInterval == 0 && d.marker == 0 && d.limit-d.pos >= 512*d.mcu.blocks {
			d.sawMarker = false
			for i := range d.mcu.blocks {
				t := d.blockTables(i)
				if simd.AVX2 {
					decodeBlockBMI2(d, &d.blocks[i], t.dc, t.ac, t.pred, t.quant)
				} else {
					d.decodeBlockFast(&d.blocks[i], t.dc, t.ac, t.pred, t.quant)
				}
			}
			if !d.sawMarker {
				return nil
			}
			// Like libjpeg, start over and leave behind the coefficients that do not come again.
			d.bitReader, d.pos, d.dcPred = saved, pos, pred
		}
		if d.decodeBlocks() {
			return nil
		}
		if !d.more() {
			return errTruncated
		}
		d.bitReader, d.pos, d.dcPred = saved, pos, pred
	}
}

// blockTables is what a block of an MCU is decoded with.
type blockTables struct {
	dc, ac *huffTable
	pred   *int32
	quant  *[128]int32
}

func (d *decoder) blockTables(i int) blockTables {
	ci := d.mcu.comp[i] & 3
	c := d.scan.comps[ci]
	return blockTables{&d.dcTables[c.dcIndex&3], &d.acTables[c.acIndex&3], &d.dcPred[ci],
		d.mcu.quants[ci]}
}

// decodeBlocks decodes the blocks of an MCU. It returns false at the end of the data handed over.
func (d *decoder) decodeBlocks() bool {
	for i := range d.mcu.blocks {
		t := d.blockTables(i)
		if !d.decodeBlock(&d.blocks[i], t.dc, t.ac, t.pred, t.quant) {
			return false
		}
	}
	return true
}

// decodeBlock decodes one block. It returns false at the end of the data handed over.
func (d *decoder) decodeBlock(b *block, dc, ac *huffTable, pred *int32, quant *[128]int32) bool {
	s, buf, n := d.symbol(dc, d.buf, d.n)
	if s < 0 {
		return false
	}
	var diff int32
	if s > 0 {
		if n < s {
			var ok bool
			if buf, n, ok = d.fill(buf, n, s); !ok {
				return false
			}
		}
		n -= s
		diff = extend(int32(buf>>(n&63)), s)
	}
	*pred += diff
	b.set(0, int32(int16(*pred))*quant[0])
	for k := 1; k < 64; k++ {
		if s, buf, n = d.symbol(ac, buf, n); s < 0 {
			return false
		}
		run := s >> 4
		s &= 15
		if s == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		k += run
		if n < s {
			var ok bool
			if buf, n, ok = d.fill(buf, n, s); !ok {
				return false
			}
		}
		n -= s
		b.set(zigzag[k&127], extend(int32(buf>>(n&63)), s)*quant[k&127])
	}
	d.buf, d.n = buf, n
	return true
}

// refill is fill for decodeBlockFast: it reads six bytes. At a marker it supplies zeros and sets
// d.sawMarker.
func (d *decoder) refill(buf uint64, n int) (uint64, int) {
	data, pos := d.data[:d.limit], d.pos
	if pos+8 <= len(data) {
		x := binary.BigEndian.Uint64(data[pos:])
		if !hasFF(x) {
			d.pos = pos + 6
			return buf<<48 | x>>16, n + 48
		}
	}
	for range 6 {
		c := byte(0)
		switch {
		case pos+1 >= len(data) || data[pos] == 0xFF && data[pos+1] != 0:
			d.sawMarker = true
		case data[pos] == 0xFF:
			c = 0xFF
			pos += 2
		default:
			c = data[pos]
			pos++
		}
		buf = buf<<8 | uint64(c)
	}
	d.pos = pos
	return buf, n + 48
}

// decodeBlockFast is decodeBlock for data without markers nearby. Where d.sawMarker is set
// afterwards, the MCU has to be decoded anew.
func (d *decoder) decodeBlockFast(b *block, dc, ac *huffTable, pred *int32, quant *[128]int32) {
	buf, n := d.buf, d.n
	if n <= 16 {
		buf, n = d.refill(buf, n)
	}
	e := dc.look[buf>>((n-8)&63)&255]
	s := int(e & 255)
	if length := int(e >> 8); length <= 8 {
		n -= length
	} else {
		s, n = dc.longCode(buf, n)
	}
	var diff int32
	if s > 0 {
		if n <= 16 {
			buf, n = d.refill(buf, n)
		}
		n -= s
		diff = extend(int32(buf>>(n&63)), s)
	}
	*pred += diff
	v := int32(int16(*pred)) * quant[0]
	b.coefs[0] = int16(v)
	used, size := uint64(1), int(max(v, -v))
	for k := 1; k < 64; k++ {
		if n <= 16 {
			buf, n = d.refill(buf, n)
		}
		e := ac.fast[buf>>((n-fastBits)&63)&(1<<fastBits-1)]
		v := int32(e) >> 16
		if v != 0 {
			n -= int(e & 255)
			k += int(e >> 8 & 255)
		} else {
			s := int(e >> 8 & 255)
			if e != 0 {
				n -= int(e & 255)
			} else {
				s, n = ac.longCode(buf, n)
			}
			run := s >> 4
			s &= 15
			if s == 0 {
				if run != 15 {
					break
				}
				k += 15
				continue
			}
			k += run
			if n <= 16 {
				buf, n = d.refill(buf, n)
			}
			n -= s
			v = extend(int32(buf>>(n&63)), s)
		}
		v *= quant[k&127]
		i := zigzag[k&127] & 63
		b.coefs[i] = int16(v)
		used |= 1 << i
		size += int(max(v, -v))
	}
	d.buf, d.n = buf, n
	b.used, b.size = used, size
}

// longCode decodes a code of more than 8 bits where there are 17 at least. Inlined it would only
// take registers from the loop around it.
//
//go:noinline
func (t *huffTable) longCode(buf uint64, n int) (symbol, rest int) {
	length := 9
	code := int32(buf>>(n-9)) & 511
	for code > t.maxCode[length] {
		length++
		code = int32(buf>>(n-length)) & (1<<length - 1)
	}
	if length > 16 {
		return 0, n - length
	}
	return int(t.values[uint8(code+t.offset[length])]), n - length
}
