package jpeg

import "encoding/binary"

// bitReader holds bits of entropy-coded data that were read from the source and not yet used: the
// lowest n of buf, the next one on top.
//
// How many bytes are read ahead, and when, is libjpeg's policy to the byte (jpeg_fill_bit_buffer
// and FILL_BIT_BUFFER_FAST of jdhuff.c). In sound files this makes no difference; in a file that
// lacks its end it decides whether the last bits suffice, and in one with stray bytes after a scan
// how many of them are swallowed.
type bitReader struct {
	buf uint64
	n   int
	// insufficient is set when a marker has cut the data short. The rest of the segment is then
	// taken to be zeros.
	insufficient bool
}

// fill reads bytes until buf holds at least 57 bits or a marker comes. Behind a marker it supplies
// zeros, but only when need bits are not there. It returns false, without a change, at the end of
// the data handed over.
func (d *decoder) fill(buf uint64, n, need int) (uint64, int, bool) {
	if d.marker == 0 && n < 57 {
		if d.limit-d.pos >= 8 {
			x := binary.BigEndian.Uint64(d.data[d.pos:])
			if !hasFF(x) {
				k := (64 - n) / 8
				d.pos += k
				return buf<<(8*k) | x>>(64-8*k), n + 8*k, true
			}
		}
		data, pos := d.data[:d.limit], d.pos
		for n < 57 {
			if pos >= len(data) {
				return buf, n, false
			}
			c := data[pos]
			pos++
			if c == 0xFF {
				for c == 0xFF {
					if pos >= len(data) {
						return buf, n, false
					}
					c = data[pos]
					pos++
				}
				if c != 0 {
					d.marker = c
					break
				}
				c = 0xFF
			}
			buf = buf<<8 | uint64(c)
			n += 8
		}
		d.pos = pos
	}
	if need > n {
		d.insufficient = true
		buf <<= 57 - n
		n = 57
	}
	return buf, n, true
}

// hasFF tells whether one of the bytes of x is 0xFF.
func hasFF(x uint64) bool { return (^x-0x0101010101010101)&x&0x8080808080808080 != 0 }

// symbol decodes a Huffman code. It returns a symbol below 0 at the end of the data handed over. A
// code that the table does not have counts as symbol 0.
func (d *decoder) symbol(t *huffTable, buf uint64, n int) (int, uint64, int) {
	if n < 8 {
		var ok bool
		if buf, n, ok = d.fill(buf, n, 0); !ok {
			return -1, buf, n
		}
		if n < 8 {
			return d.longSymbol(t, buf, n, 1)
		}
	}
	e := t.look[buf>>(n-8)&255]
	if length := int(e >> 8); length <= 8 {
		return int(e & 255), buf, n - length
	}
	return d.longSymbol(t, buf, n, 9)
}

// longSymbol decodes a code of at least length bits, ITU-T T.81 figure F.16.
func (d *decoder) longSymbol(t *huffTable, buf uint64, n, length int) (int, uint64, int) {
	ok := true
	if n < length {
		if buf, n, ok = d.fill(buf, n, length); !ok {
			return -1, buf, n
		}
	}
	n -= length
	code := int32(buf>>n) & (1<<length - 1)
	for code > t.maxCode[length] {
		if n < 1 {
			if buf, n, ok = d.fill(buf, n, 1); !ok {
				return -1, buf, n
			}
		}
		n--
		code = code<<1 | int32(buf>>n)&1
		length++
	}
	if length > 16 {
		return 0, buf, n
	}
	return int(t.values[uint8(code+t.offset[length])]), buf, n
}

// nextInterval is called before each MCU. It begins a new restart interval where the last one is
// complete.
func (d *decoder) nextInterval() error {
	if d.restartInterval == 0 {
		return nil
	}
	if d.restartsToGo == 0 {
		if err := d.restart(); err != nil {
			return err
		}
	}
	d.restartsToGo--
	return nil
}

func (d *decoder) restart() error {
	d.buf, d.n = 0, 0
	if err := d.readRestart(); err != nil {
		return err
	}
	d.restartsToGo = d.restartInterval
	if d.process.arithmetic {
		d.arithState.restart(d)
		return nil
	}
	d.dcPred = [4]int32{}
	d.eobRun = 0
	// Behind a marker that could not be skipped the segment stays empty.
	if d.marker == 0 {
		d.insufficient = false
	}
	return nil
}
