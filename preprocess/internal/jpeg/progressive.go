package jpeg

import (
	"fmt"
	"math"
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
		d.decodeCoefs = (*decoder).dcFirst
		for _, c := range s.comps {
			if err := d.buildDC(c); err != nil {
				return err
			}
		}
		return nil
	case s.ss == 0:
		d.decodeCoefs = (*decoder).dcRefine
		return nil
	case s.ah == 0:
		d.decodeCoefs = (*decoder).acFirst
	default:
		d.decodeCoefs = (*decoder).acRefine
	}
	return d.buildAC(s.comps[0])
}

// dcFirst decodes the upper bits of the DC coefficients of an MCU, ITU-T T.81 section G.1.2.1.
func (d *decoder) dcFirst(blocks []*coefBlock) error {
	if d.insufficient {
		return nil
	}
	for i, b := range blocks {
		ci := d.mcu.comp[i] & 3
		s, buf, n := d.symbol(&d.dcTables[d.scan.comps[ci].dcIndex&3], d.buf, d.n)
		if s < 0 {
			return errTruncated
		}
		diff := 0
		if s > 0 {
			if n < s {
				var ok bool
				if buf, n, ok = d.fill(buf, n, s); !ok {
					return errTruncated
				}
			}
			n -= s
			diff = int(extend(int32(buf>>(n&63)), s))
		}
		d.buf, d.n = buf, n
		dc := int(d.dcPred[ci]) + diff
		if dc > math.MaxInt32 || dc < math.MinInt32 {
			return FormatError("a DC coefficient out of all range")
		}
		d.dcPred[ci] = int32(dc)
		b[0] = int16(dc << d.scan.al)
	}
	return nil
}

// dcRefine adds a bit to the DC coefficients of an MCU.
func (d *decoder) dcRefine(blocks []*coefBlock) error {
	for _, b := range blocks {
		bit, ok := d.bit()
		if !ok {
			return errTruncated
		}
		if bit != 0 {
			b[0] |= 1 << d.scan.al
		}
	}
	return nil
}

// bit reads one bit.
func (d *decoder) bit() (bit uint64, ok bool) {
	if d.n < 1 {
		if d.buf, d.n, ok = d.fill(d.buf, d.n, 1); !ok {
			return 0, false
		}
	}
	d.n--
	return d.buf >> d.n & 1, true
}

// acFirst decodes the upper bits of a block's AC coefficients, ITU-T T.81 section G.1.2.2.
func (d *decoder) acFirst(blocks []*coefBlock) error {
	if d.insufficient {
		return nil
	}
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	b, table := blocks[0], &d.acTables[d.scan.comps[0].acIndex&3]
	buf, n, al := d.buf, d.n, d.scan.al
	var s int
	ok := true
	for k := d.scan.ss; k <= d.scan.se; k++ {
		if s, buf, n = d.symbol(table, buf, n); s < 0 {
			return errTruncated
		}
		run := s >> 4
		s &= 15
		if s == 0 && run == 15 {
			k += 15
			continue
		}
		bits := s
		if s == 0 {
			bits = run
		}
		var x int32
		if bits > 0 {
			if n < bits {
				if buf, n, ok = d.fill(buf, n, bits); !ok {
					return errTruncated
				}
			}
			n -= bits
			x = int32(buf>>n) & (1<<bits - 1)
		}
		if s == 0 {
			// This block and those that follow have no more.
			d.eobRun = 1<<run + int(x) - 1
			break
		}
		k += run
		b[zigzag[k&127]&63] = int16(extend(x, s) << al)
	}
	d.buf, d.n = buf, n
	return nil
}

// acRefine adds a bit to a block's AC coefficients, ITU-T T.81 section G.1.2.3.
func (d *decoder) acRefine(blocks []*coefBlock) error {
	if d.insufficient {
		return nil
	}
	b, table := blocks[0], &d.acTables[d.scan.comps[0].acIndex&3]
	buf, n, al := d.buf, d.n, d.scan.al&15
	k, se := d.scan.ss, d.scan.se
	ok := true
	for k <= se && d.eobRun == 0 {
		var s int
		if s, buf, n = d.symbol(table, buf, n); s < 0 {
			return errTruncated
		}
		run, bits := s>>4, 1
		s &= 15
		if s == 0 {
			bits = run
			if run == 15 {
				bits = 0
			}
		}
		if n < bits {
			if buf, n, ok = d.fill(buf, n, bits); !ok {
				return errTruncated
			}
		}
		n -= bits
		x := int(buf>>(n&63)) & (1<<bits - 1)
		if s == 0 && run != 15 {
			d.eobRun = 1<<run + x
			break
		}
		// Pass over run coefficients that are still zero, refining those that are not.
		for ; k <= se; k++ {
			c := &b[zigzag[k&127]&63]
			if *c == 0 {
				run--
				if run < 0 {
					break
				}
				continue
			}
			if n < 1 {
				if buf, n, ok = d.fill(buf, n, 1); !ok {
					return errTruncated
				}
			}
			n--
			*c = refined(*c, int16(buf>>(n&63)), al)
		}
		if s != 0 {
			b[zigzag[k&127]&63] = int16(2*x-1) << al
		}
		k++
	}
	if d.eobRun > 0 {
		for ; k <= se; k++ {
			c := &b[zigzag[k&127]&63]
			if *c == 0 {
				continue
			}
			if n < 1 {
				if buf, n, ok = d.fill(buf, n, 1); !ok {
					return errTruncated
				}
			}
			n--
			*c = refined(*c, int16(buf>>(n&63)), al)
		}
		d.eobRun--
	}
	d.buf, d.n = buf, n
	return nil
}

// refined adds the lowest bit of bit to a coefficient that is not zero, at place al, away from
// zero. Without branches, for nobody can foretell the bit.
func refined(c, bit int16, al int) int16 {
	bit &= ^(c >> al) & 1
	sign := c >> 15
	return c + (bit<<al ^ sign - sign)
}
