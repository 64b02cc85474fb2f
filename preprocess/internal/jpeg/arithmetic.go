package jpeg

// arithConditioning are the parameters of arithmetic coding that a file can set, by table, ITU-T
// T.81 section B.2.4.3.
type arithConditioning struct {
	dcLow, dcHigh, acK [16]uint8
}

func (a *arithConditioning) reset() {
	for i := range 16 {
		a.dcLow[i], a.dcHigh[i], a.acK[i] = 0, 1, 5
	}
}

// readDAC reads the conditioning of arithmetic coding.
func (d *decoder) readDAC() error {
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	for n > 0 {
		index, err := d.readByte()
		if err != nil {
			return err
		}
		value, err := d.readByte()
		if err != nil {
			return err
		}
		n -= 2
		switch {
		case index >= 32:
			return FormatError("arithmetic conditioning with a table number above 15")
		case index >= 16:
			d.arith.acK[index-16] = value
		case value&15 > value>>4:
			return FormatError("arithmetic conditioning with a lower bound above the upper")
		default:
			d.arith.dcLow[index], d.arith.dcHigh[index] = value&15, value>>4
		}
	}
	if n != 0 {
		return FormatError("the arithmetic conditioning segment has a wrong length")
	}
	return nil
}

// arithDecoder is the state of the arithmetic decoder, ITU-T T.81 annex D, arranged as in libjpeg's
// jdarith.c.
type arithDecoder struct {
	c, a int64
	// bits left in c; -1: the data is broken, the rest of the segment is left as it is
	ct        int
	dcContext [4]uint8
	dcStats   [16][64]uint8
	acStats   [16][256]uint8
	fixed     uint8 // a bin whose estimate stays at one half
}

// restart resets everything that starts anew with a scan or a restart interval.
func (a *arithDecoder) restart(d *decoder) {
	s := &d.scan
	for i, c := range s.comps {
		if !d.process.progressive || s.ss == 0 && s.ah == 0 {
			a.dcStats[c.dcIndex] = [64]uint8{}
			d.dcPred[i] = 0
			a.dcContext[i] = 0
		}
		if !d.process.progressive || s.ss != 0 {
			a.acStats[c.acIndex] = [256]uint8{}
		}
	}
	a.c, a.a, a.ct = 0, 0, -16
	a.fixed = 113
	d.restartsToGo = d.restartInterval
}

// startArithmetic prepares for a scan with arithmetic coding.
func (d *decoder) startArithmetic() error {
	s := &d.scan
	if d.process.progressive {
		if err := d.startProgression(); err != nil {
			return err
		}
	}
	switch {
	case !d.process.progressive:
		d.decodeCoefs = (*decoder).arithSequential
	case s.ss == 0 && s.ah == 0:
		d.decodeCoefs = (*decoder).arithDCFirst
	case s.ss == 0:
		d.decodeCoefs = (*decoder).arithDCRefine
	case s.ah == 0:
		d.decodeCoefs = (*decoder).arithACFirst
	default:
		d.decodeCoefs = (*decoder).arithACRefine
	}
	d.arithState.restart(d)
	return nil
}

// errArithBlock is what Pillow fails with: libjpeg cannot wait for data in arithmetic coding.
const errArithBlock = FormatError(
	"arithmetic-coded data ends, or goes on past the first 64 KiB, which Pillow cannot read")

// arithByte returns the next byte of entropy-coded data, zero behind a marker.
func (d *decoder) arithByte() (int64, error) {
	if d.marker != 0 {
		return 0, nil
	}
	c := byte(0xFF)
	for first := true; c == 0xFF; first = false {
		if d.pos >= d.limit {
			return 0, errArithBlock
		}
		c = d.data[d.pos]
		d.pos++
		if first && c != 0xFF {
			return int64(c), nil
		}
	}
	if c == 0 {
		return 0xFF, nil
	}
	d.marker = c
	return 0, nil
}

// decision decodes a binary decision with the statistics in st: the index of the estimate and, in
// the top bit, the more probable symbol. On an error it returns 0 and keeps the error in
// d.arithErr.
func (d *decoder) decision(st *uint8) int {
	e := &d.arithState
	for e.a < 0x8000 {
		if e.ct--; e.ct < 0 {
			b, err := d.arithByte()
			if err != nil {
				d.arithErr = err
			}
			e.c = e.c<<8 | b
			if e.ct += 8; e.ct < 0 {
				if e.ct++; e.ct == 0 {
					e.a = 0x8000 // the first two bytes are there
				}
			}
		}
		e.a <<= 1
	}
	sv := *st
	est := &estimates[sv&0x7F]
	qe := int64(est.qe)
	e.a -= qe
	low := e.a << (uint(e.ct) & 63)
	if e.c >= low {
		e.c -= low
		if e.a < qe {
			*st = sv&0x80 ^ est.afterMPS
		} else {
			*st = sv&0x80 ^ est.afterLPS
			sv ^= 0x80
		}
		e.a = qe
	} else if e.a < 0x8000 {
		if e.a < qe {
			*st = sv&0x80 ^ est.afterLPS
			sv ^= 0x80
		} else {
			*st = sv&0x80 ^ est.afterMPS
		}
	}
	return int(sv >> 7)
}

// magnitude decodes the bits of a nonzero value below its leading one, whose size category is m,
// ITU-T T.81 figure F.24, and applies the sign.
func (d *decoder) magnitude(st *uint8, m, sign int) int {
	v := m
	for m >>= 1; m != 0; m >>= 1 {
		if d.decision(st) != 0 {
			v |= m
		}
	}
	if v++; sign != 0 {
		return -v
	}
	return v
}

// arithDC decodes the difference of a DC coefficient, ITU-T T.81 section F.1.4.4.1, and adds it up.
// It returns false if the data is broken.
func (d *decoder) arithDC(ci uint8) bool {
	e := &d.arithState
	table := d.scan.comps[ci].dcIndex & 15
	stats := &e.dcStats[table]
	st := e.dcContext[ci]
	if d.decision(&stats[st&63]) == 0 {
		e.dcContext[ci] = 0
		return true
	}
	sign := d.decision(&stats[(st+1)&63])
	st += 2 + uint8(sign)
	m := d.decision(&stats[st&63])
	if m != 0 {
		for st = 20; d.decision(&stats[st&63]) != 0; st++ {
			if m <<= 1; m == 0x8000 {
				e.ct = -1
				return false
			}
		}
	}
	switch {
	case m < 1<<d.arith.dcLow[table]>>1:
		e.dcContext[ci] = 0
	case m > 1<<d.arith.dcHigh[table]>>1:
		e.dcContext[ci] = 12 + 4*uint8(sign)
	default:
		e.dcContext[ci] = 4 + 4*uint8(sign)
	}
	d.dcPred[ci] = (d.dcPred[ci] + int32(d.magnitude(&stats[(st+14)&63], m, sign))) & 0xFFFF
	return true
}

// arithAC decodes AC coefficients from first to last, ITU-T T.81 section F.1.4.4.2. It returns
// false if the data is broken.
func (d *decoder) arithAC(b *coefBlock, table, first, last, shift int) bool {
	e := &d.arithState
	stats := &e.acStats[table]
	for k := first; k <= last; k++ {
		st := uint8(3 * (k - 1))
		if d.decision(&stats[st]) != 0 {
			break
		}
		for d.decision(&stats[st+1]) == 0 {
			st += 3
			if k++; k > last {
				e.ct = -1
				return false
			}
		}
		sign := d.decision(&e.fixed)
		st += 2
		m := d.decision(&stats[st])
		if m != 0 && d.decision(&stats[st]) != 0 {
			m <<= 1
			st = 217
			if k <= int(d.arith.acK[table]) {
				st = 189
			}
			for ; d.decision(&stats[st]) != 0; st++ {
				if m <<= 1; m == 0x8000 {
					e.ct = -1
					return false
				}
			}
		}
		b[zigzag[k&63]&63] = int16(d.magnitude(&stats[st+14], m, sign) << shift)
	}
	return true
}

// broken tells whether the rest of the segment cannot be decoded.
func (d *decoder) broken() bool { return d.arithState.ct == -1 }

// arithSequential decodes an MCU of a sequential frame.
func (d *decoder) arithSequential(blocks []*coefBlock) error {
	for i, b := range blocks {
		ci := d.mcu.comp[i] & 3
		if d.broken() || !d.arithDC(ci) {
			break
		}
		b[0] = int16(d.dcPred[ci])
		d.arithAC(b, d.scan.comps[ci].acIndex&15, 1, 63, 0)
	}
	return d.arithErr
}

// arithDCFirst, arithDCRefine, arithACFirst and arithACRefine are dcFirst, dcRefine, acFirst and
// acRefine for arithmetic coding, ITU-T T.81 section G.1.3.
func (d *decoder) arithDCFirst(blocks []*coefBlock) error {
	for i, b := range blocks {
		ci := d.mcu.comp[i] & 3
		if d.broken() || !d.arithDC(ci) {
			break
		}
		b[0] = int16(d.dcPred[ci] << d.scan.al)
	}
	return d.arithErr
}

func (d *decoder) arithDCRefine(blocks []*coefBlock) error {
	for _, b := range blocks {
		if d.decision(&d.arithState.fixed) != 0 {
			b[0] |= 1 << d.scan.al
		}
	}
	return d.arithErr
}

func (d *decoder) arithACFirst(blocks []*coefBlock) error {
	if !d.broken() {
		d.arithAC(blocks[0], d.scan.comps[0].acIndex&15, d.scan.ss, d.scan.se, d.scan.al)
	}
	return d.arithErr
}

func (d *decoder) arithACRefine(blocks []*coefBlock) error {
	if d.broken() {
		return d.arithErr
	}
	b, e := blocks[0], &d.arithState
	stats := &e.acStats[d.scan.comps[0].acIndex&15]
	one := int16(1) << d.scan.al
	// Up to here the block had coefficients before, so that it cannot end earlier.
	end := d.scan.se
	for end > 0 && b[zigzag[end&63]&63] == 0 {
		end--
	}
	for k := d.scan.ss; k <= d.scan.se; k++ {
		st := uint8(3 * (k - 1))
		if k > end && d.decision(&stats[st]) != 0 {
			break
		}
		for {
			c := &b[zigzag[k&63]&63]
			if *c != 0 {
				if d.decision(&stats[st+2]) != 0 {
					if *c < 0 {
						*c -= one
					} else {
						*c += one
					}
				}
				break
			}
			if d.decision(&stats[st+1]) != 0 {
				*c = one
				if d.decision(&e.fixed) != 0 {
					*c = -one
				}
				break
			}
			st += 3
			if k++; k > d.scan.se {
				e.ct = -1
				return d.arithErr
			}
		}
	}
	return d.arithErr
}
