package jpeg

import (
	"fmt"
	"math"
	"math/bits"

	"kerasrun/preprocess/internal/simd"
)

// coefBits tells how well the coefficients of a component are known: by place in the zigzag order
// the number of bits still missing, -1 where no scan has had the coefficient. before is the same
// before the latest scan of the component, and kept up only as far as smoothing needs it.
type coefBits struct {
	now, before [64]int8
}

// startProgression checks a progressive scan's header and notes what it brings, ITU-T T.81 section
// G.1.1.1. Like libjpeg, it minds neither the order of the scans nor gaps.
func (d *decoder) startProgression() error {
	s := &d.scan
	bad := s.ah != 0 && s.al != s.ah-1 || s.al > 13
	if s.ss == 0 {
		bad = bad || s.se != 0
	} else {
		bad = bad || s.ss > s.se || s.se > 63 || len(s.comps) != 1
	}
	if bad {
		return FormatError(fmt.Sprintf(
			"a scan of %d components for coefficients %d to %d, bits %d to %d",
			len(s.comps), s.ss, s.se, s.ah, s.al))
	}
	for _, c := range s.comps {
		bits := &d.coefBits[c.index]
		for k := min(s.ss, 1); k <= max(s.se, smoothedCoefs-1); k++ {
			bits.before[k] = 0
			if s.number > 1 {
				bits.before[k] = bits.now[k]
			}
		}
		for k := s.ss; k <= s.se; k++ {
			bits.now[k] = int8(s.al)
		}
	}
	return nil
}

// startProgressive prepares for a scan of a progressive frame with Huffman coding.
func (d *decoder) startProgressive() error {
	if err := d.startProgression(); err != nil {
		return err
	}
	// Where Pillow's blocks end matters to single scans only.
	d.limit = len(d.data)
	s := &d.scan
	switch {
	case s.ss == 0 && s.ah == 0:
		for _, c := range s.comps {
			if err := d.buildDC(c); err != nil {
				return err
			}
		}
		return nil
	case s.ss == 0:
		return nil
	}
	return d.buildAC(s.comps[0])
}

// decodeProgressiveScan decodes a scan of a progressive frame with Huffman coding, segment by
// segment.
func (d *decoder) decodeProgressiveScan() error {
	s, total := &d.scan, d.mcu.wide*d.mcu.high
	interval := d.restartInterval
	if interval == 0 {
		interval = total
	}
	rowOf := func(mcu int) int {
		row := mcu / d.mcu.wide
		if len(s.comps) == 1 {
			row /= s.comps[0].v
		}
		return row
	}
	for start := 0; start < total; start += interval {
		if !d.insufficient {
			d.lastGoodRow = rowOf(start)
		}
		if start > 0 {
			if err := d.restart(); err != nil {
				return err
			}
		}
		if !d.openSegment() {
			return errTruncated
		}
		for mcu, end := start, min(start+interval, total); mcu < end && !d.insufficient; {
			y, x := mcu/d.mcu.wide, mcu%d.mcu.wide
			n := min(end-mcu, d.mcu.wide-x)
			n, err := d.decodeProgressiveRow(y, x, n)
			if err != nil {
				return err
			}
			if mcu > start || n > 1 {
				d.lastGoodRow = rowOf(mcu)
			}
			mcu += n
		}
	}
	return nil
}

// decodeProgressiveRow decodes n MCUs of a row, from MCU x of row y on. It stops behind one for
// which there are not all bits, and returns how many MCUs it has begun.
func (d *decoder) decodeProgressiveRow(y, x, n int) (int, error) {
	s := &d.scan
	if s.ss > 0 {
		c := s.comps[0]
		at := y*c.stride + x
		blocks, nonzero := c.coefs[at:at+n], c.nonzero[at:at+n]
		if s.ah == 0 {
			return d.acFirst(blocks, nonzero), nil
		}
		return d.acRefine(blocks, nonzero), nil
	}
	for i := range n {
		if len(s.comps) == 1 {
			c := s.comps[0]
			d.coefsOf[0] = &c.coefs[y*c.stride+x+i]
		} else {
			d.interleaved(x+i, y)
		}
		if err := d.decodeDC(d.coefsOf[:d.mcu.blocks]); err != nil {
			return 0, err
		}
		if d.segment.insufficient() {
			d.insufficient = true
			return i + 1, nil
		}
	}
	return n, nil
}

// decodeDC decodes the upper bits of the DC coefficients of an MCU, ITU-T T.81 section G.1.2.1, or
// adds a bit to them.
func (d *decoder) decodeDC(blocks []*coefBlock) error {
	r, al := &d.segment, d.scan.al
	if d.scan.ah > 0 {
		r.refill()
		for _, b := range blocks {
			b[0] |= int16(r.bits >> 63 << al)
			r.take(1)
		}
		return nil
	}
	for i, b := range blocks {
		ci := d.mcu.comp[i] & 3
		t := &d.dcTables[d.scan.comps[ci].dcIndex&3]
		r.refill()
		e := t.look[r.bits>>56]
		s := int(e & 255)
		if length := int(e >> 8); length <= 8 {
			r.take(length)
		} else {
			s = r.longSymbol(t)
		}
		dc := int(d.dcPred[ci])
		if s > 0 {
			dc += int(r.number(s))
		}
		if dc > math.MaxInt32 || dc < math.MinInt32 {
			return FormatError("a DC coefficient out of all range")
		}
		d.dcPred[ci] = int32(dc)
		b[0] = int16(dc << al)
	}
	return nil
}

// acFirst decodes the upper bits of the AC coefficients of blocks, ITU-T T.81 section G.1.2.2. It
// stops behind a block for which there are not all bits, and returns how many blocks it has begun.
func (d *decoder) acFirst(blocks []coefBlock, nonzero []uint64) int {
	table := &d.acTables[d.scan.comps[0].acIndex&3]
	ss, se, al := d.scan.ss, d.scan.se, d.scan.al&15
	r := d.segment
	i := 0
	for ; i < len(blocks) && !d.insufficient; i++ {
		if d.eobRun > 0 {
			// All of these blocks have no more.
			n := min(d.eobRun, len(blocks)-i)
			d.eobRun -= n
			i += n - 1
			continue
		}
		b, known := &blocks[i], nonzero[i]
		for k := ss; k <= se; k++ {
			r.refill()
			e := table.fast[r.bits>>(64-fastBits)]
			v := int32(e) >> 16
			r.take(int(e & 255))
			if v != 0 {
				k += int(e >> 8 & 255)
			} else {
				s := int(e >> 8 & 255)
				if e == 0 {
					s = r.longSymbol(table)
				}
				run := s >> 4
				if s &= 15; s == 0 {
					if run == 15 {
						k += 15
						continue
					}
					d.eobRun = 1<<run - 1 + int(r.bits>>1>>(63-run))
					r.take(run)
					break
				}
				k += run
				v = r.number(s)
			}
			bit := uint64(1) << max(63-k, 0)
			v <<= al
			if b[zigzag[k&127]&63] = int16(v); int16(v) != 0 {
				known |= bit
			} else {
				known &^= bit // it ran over
			}
		}
		nonzero[i] = known
		d.insufficient = r.insufficient()
	}
	d.segment = r
	return i
}

// acRefine adds a bit to the AC coefficients of blocks, ITU-T T.81 section G.1.2.3. It stops and
// returns as acFirst does.
func (d *decoder) acRefine(blocks []coefBlock, nonzero []uint64) int {
	table := &d.acTables[d.scan.comps[0].acIndex&3]
	ss, se, al := d.scan.ss, d.scan.se, d.scan.al
	band := ^uint64(0) >> (ss & 63) & (^uint64(0) << (63 - se&63))
	if simd.AVX2 {
		n := len(blocks)
		i := acRefineBMI2(&d.segment, table, &blocks[0], &nonzero[0], n, band, al, &d.eobRun)
		d.insufficient = d.segment.insufficient()
		return i
	}
	i := 0
	for ; i < len(blocks) && !d.insufficient; i++ {
		nonzero[i] = d.refineBlock(table, &blocks[i], nonzero[i], band)
		d.insufficient = d.segment.insufficient()
	}
	return i
}

// refineBlock adds a bit to the coefficients of a block that are in rest. It takes and returns
// which are not zero.
func (d *decoder) refineBlock(table *huffTable, b *coefBlock, nonzero, rest uint64) uint64 {
	r, al := &d.segment, d.scan.al&15
	for d.eobRun == 0 && rest != 0 {
		r.refill()
		e := table.fast[r.bits>>(64-fastBits)]
		run, v := int(e>>8&255), int32(e)>>16
		switch v {
		case 0:
			r.take(int(e & 255))
			s := run
			if e == 0 {
				s = r.longSymbol(table)
			}
			run = s >> 4
			if s &= 15; s != 0 {
				v = 2*int32(r.bits>>63) - 1
				r.take(1)
			} else if run < 15 {
				d.eobRun = 1<<run + int(r.bits>>1>>(63-run))
				r.take(run)
				continue
			}
		case 1, -1:
			r.take(int(e & 255))
		default:
			// Whatever its size, there is but one bit.
			size := bits.Len32(uint32(max(v, -v)))
			r.take(int(e&255) - size + 1)
			v = max(-1, min(1, v))
		}
		// Pass over run coefficients that are still zero, refining those that are not.
		zeros := rest &^ nonzero
		for ; run > 0; run-- {
			zeros &^= 1 << 63 >> bits.LeadingZeros64(zeros)
		}
		at := bits.LeadingZeros64(zeros)
		place := uint64(1) << 63 >> at
		passed := rest
		if place != 0 {
			passed &= -place << 1
		} else {
			at = d.scan.se + 1 // there are too few of them
		}
		rest &^= passed | place
		r.refine(b, passed&nonzero, al)
		if v != 0 {
			b[zigzag[at&127]&63] = int16(v) << al
			nonzero |= 1 << max(63-at, 0)
		}
	}
	if d.eobRun > 0 {
		r.refine(b, rest&nonzero, al)
		d.eobRun--
	}
	return nonzero
}

// refine adds a bit to each of the coefficients of a block that are in places.
func (r *segmentReader) refine(b *coefBlock, places uint64, al int) {
	for places != 0 {
		r.refill()
		for range 32 {
			at := bits.LeadingZeros64(places) & 63
			places &^= 1 << 63 >> at
			c := &b[zigzag[at]&63]
			*c = refined(*c, int16(r.bits>>63), al)
			if r.take(1); places == 0 {
				break
			}
		}
	}
}

// refined adds the lowest bit of bit to a coefficient that is not zero, at place al, away from
// zero. Without branches, for nobody can foretell the bit.
func refined(c, bit int16, al int) int16 {
	bit &= ^(c >> al) & 1
	sign := c >> 15
	return c + (bit<<al ^ sign - sign)
}
