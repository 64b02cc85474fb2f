package jpeg

import (
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// Marker codes, ITU-T T.81 table B.1: the byte after 0xFF.
const (
	markerTEM   = 0x01
	markerSOF0  = 0xC0 // baseline
	markerSOF1  = 0xC1 // extended sequential
	markerSOF2  = 0xC2 // progressive
	markerSOF3  = 0xC3 // lossless
	markerDHT   = 0xC4
	markerJPG   = 0xC8
	markerSOF9  = 0xC9 // extended sequential, arithmetic coding
	markerSOF10 = 0xCA // progressive, arithmetic coding
	markerSOF11 = 0xCB // lossless, arithmetic coding
	markerDAC   = 0xCC
	markerSOF15 = 0xCF
	markerRST0  = 0xD0
	markerRST7  = 0xD7
	markerSOI   = 0xD8
	markerEOI   = 0xD9
	markerSOS   = 0xDA
	markerDQT   = 0xDB
	markerDNL   = 0xDC
	markerDRI   = 0xDD
	markerDHP   = 0xDE
	markerAPP0  = 0xE0
	markerAPP2  = 0xE2
	markerAPP13 = 0xED
	markerAPP14 = 0xEE
	markerAPP15 = 0xEF
	markerJPG0  = 0xF0
	markerCOM   = 0xFE
)

// process is which of JPEG's processes the frame was coded with.
type process struct {
	progressive, arithmetic bool
}

// quantTable holds the divisors of one table in zigzag order.
type quantTable struct {
	defined bool
	values  [64]uint16
}

// scanHeader is the content of an SOS segment.
type scanHeader struct {
	number         int // 1 for the first scan
	comps          []*component
	compBuf        [4]*component
	ss, se, ah, al int // spectral selection, successive approximation
}

// readMarkers reads segments until a scan or the end of the image. It returns markerSOS or
// markerEOI.
func (d *decoder) readMarkers() (byte, error) {
	for {
		if d.marker == 0 {
			if err := d.anyMarker(); err != nil {
				return 0, err
			}
		}
		m := d.marker
		err := d.readSegment(m)
		if err != nil {
			return 0, err
		}
		d.marker = 0
		if m == markerSOS || m == markerEOI {
			return m, nil
		}
	}
}

// anyMarker reads the next marker, which has to be SOI, without anything before it, where an image
// starts.
func (d *decoder) anyMarker() error {
	if d.sawSOI {
		return d.nextMarker()
	}
	n, err := d.readUint16()
	if err != nil {
		return err
	}
	if n != 0xFF00|markerSOI {
		return FormatError("no start of image where one was expected")
	}
	d.marker = markerSOI
	return nil
}

func (d *decoder) readSegment(m byte) error {
	switch {
	case m == markerSOI:
		if d.sawSOI {
			return FormatError("two starts of image")
		}
		d.sawSOI = true
		d.restartInterval = 0
		d.jfif, d.adobe = false, false
		d.adobeTransform = 0
		d.arith.reset()
		return nil
	case m == markerSOF0, m == markerSOF1, m == markerSOF2, m == markerSOF9, m == markerSOF10:
		d.process = process{
			progressive: m == markerSOF2 || m == markerSOF10,
			arithmetic:  m == markerSOF9 || m == markerSOF10,
		}
		return d.readSOF()
	case m == markerSOF3:
		return codec.UnsupportedError("lossless coding")
	case m == markerSOS:
		return d.readSOS()
	case m == markerEOI, m >= markerRST0 && m <= markerRST7, m == markerTEM:
		return nil
	case m == markerDAC:
		return d.readDAC()
	case m == markerDHT:
		return d.readDHT()
	case m == markerDQT:
		return d.readDQT()
	case m == markerDRI:
		return d.readDRI()
	case m >= markerAPP0 && m <= markerAPP15, m == markerCOM, m == markerDNL:
		return d.readApp(m)
	case m >= markerSOF0 && m <= markerSOF15:
		return codec.UnsupportedError(fmt.Sprintf("frames of type FF %02X", m))
	}
	return FormatError(fmt.Sprintf("unknown marker FF %02X", m))
}

// segmentLength reads a segment's length, less the two bytes of the length itself.
func (d *decoder) segmentLength() (int, error) {
	n, err := d.readUint16()
	return n - 2, err
}

func (d *decoder) readSOF() error {
	if d.sawSOF {
		return FormatError("two frame headers")
	}
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	precision, err := d.readByte()
	if err != nil {
		return err
	}
	if d.height, err = d.readUint16(); err != nil {
		return err
	}
	if d.width, err = d.readUint16(); err != nil {
		return err
	}
	nComps, err := d.readByte()
	if err != nil {
		return err
	}
	if precision != 8 {
		return codec.UnsupportedError(fmt.Sprintf("expected 8 bits per sample, got %d", precision))
	}
	if d.width == 0 || d.height == 0 || nComps == 0 {
		return FormatError(fmt.Sprintf("an empty frame, %d x %d with %d components", d.width,
			d.height, nComps))
	}
	if n != 6+3*int(nComps) {
		return FormatError("the frame header has a wrong length")
	}
	if nComps != 1 && nComps != 3 && nComps != 4 {
		return codec.UnsupportedError(fmt.Sprintf("expected 1, 3 or 4 components, got %d", nComps))
	}
	d.comps = d.compBuf[:nComps]
	for i := range d.comps {
		var b [3]byte
		for j := range b {
			if b[j], err = d.readByte(); err != nil {
				return err
			}
		}
		c := &d.comps[i]
		c.reset(i)
		c.id, c.h, c.v, c.quantIndex = b[0], int(b[1]>>4), int(b[1]&15), int(b[2])
	}
	d.sawSOF = true
	return nil
}

func (d *decoder) readSOS() error {
	if !d.sawSOF {
		return FormatError("a scan before the frame header")
	}
	length, err := d.segmentLength()
	if err != nil {
		return err
	}
	n, err := d.readByte()
	if err != nil {
		return err
	}
	if n < 1 || n > 4 || length != 2*int(n)+4 {
		return FormatError("the scan header has a wrong length")
	}
	s := &d.scan
	s.compBuf = [4]*component{}
	for i := range int(n) {
		id, err := d.readByte()
		if err != nil {
			return err
		}
		tables, err := d.readByte()
		if err != nil {
			return err
		}
		// As in libjpeg, a component that stands where the scan has one already is passed over:
		// with repeated ids each is found in turn.
		var found *component
		for j := range d.comps {
			if d.comps[j].id == id && s.compBuf[j] == nil {
				found = &d.comps[j]
				break
			}
		}
		if found == nil {
			return FormatError(fmt.Sprintf("the scan has component %d, which the frame lacks", id))
		}
		for _, other := range s.compBuf[:i] {
			if other == found {
				return FormatError(fmt.Sprintf("the scan has component %d twice", id))
			}
		}
		s.compBuf[i] = found
		found.dcIndex, found.acIndex = int(tables>>4), int(tables&15)
	}
	s.comps = s.compBuf[:n]
	var b [3]byte
	for i := range b {
		if b[i], err = d.readByte(); err != nil {
			return err
		}
	}
	s.ss, s.se, s.ah, s.al = int(b[0]), int(b[1]), int(b[2]>>4), int(b[2]&15)
	s.number++
	d.nextRestart = 0
	return nil
}

func (d *decoder) readDHT() error {
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	for n > 16 {
		index, err := d.readByte()
		if err != nil {
			return err
		}
		spec := huffSpec{defined: true}
		count := 0
		for i := 1; i <= 16; i++ {
			if spec.counts[i], err = d.readByte(); err != nil {
				return err
			}
			count += int(spec.counts[i])
		}
		n -= 17
		if count > 256 || count > n {
			return FormatError("a Huffman table with too many codes")
		}
		for i := range count {
			if spec.values[i], err = d.readByte(); err != nil {
				return err
			}
		}
		n -= count
		specs := &d.dcSpecs
		if index&0x10 != 0 {
			specs = &d.acSpecs
			index -= 0x10
		}
		if index > 3 {
			return FormatError(fmt.Sprintf("a Huffman table numbered %d", index))
		}
		specs[index] = spec
	}
	if n != 0 {
		return FormatError("the Huffman table segment has a wrong length")
	}
	return nil
}

func (d *decoder) readDQT() error {
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	for n > 0 {
		b, err := d.readByte()
		if err != nil {
			return err
		}
		wide := b>>4 != 0
		index := b & 15
		if index > 3 {
			return FormatError(fmt.Sprintf("a quantization table numbered %d", index))
		}
		q := &d.quant[index]
		q.defined = true
		for i := range q.values {
			var v int
			if wide {
				v, err = d.readUint16()
			} else {
				var b byte
				b, err = d.readByte()
				v = int(b)
			}
			if err != nil {
				return err
			}
			q.values[i] = uint16(v)
		}
		n -= 65
		if wide {
			n -= 64
		}
	}
	if n != 0 {
		return FormatError("the quantization table segment has a wrong length")
	}
	return nil
}

func (d *decoder) readDRI() error {
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	if n != 2 {
		return FormatError("the restart interval segment has a wrong length")
	}
	d.restartInterval, err = d.readUint16()
	return err
}

// readApp reads from an application segment what decides the colour space, and skips the rest of
// it.
func (d *decoder) readApp(m byte) error {
	n, err := d.segmentLength()
	if err != nil {
		return err
	}
	n = max(n, 0)
	if m == markerAPP0 || m == markerAPP14 {
		var buf [14]byte
		b := buf[:min(n, len(buf))]
		for i := range b {
			if b[i], err = d.readByte(); err != nil {
				return err
			}
		}
		n -= len(b)
		if m == markerAPP0 && len(b) == 14 && string(b[:5]) == "JFIF\x00" {
			d.jfif = true
		}
		if m == markerAPP14 && len(b) >= 12 && string(b[:5]) == "Adobe" {
			d.adobe = true
			d.adobeTransform = b[11]
		}
	}
	d.pos += n
	return nil
}

// readRestart reads the restart marker that is due. Where it is not there, it does what libjpeg
// does (jpeg_resync_to_restart): it reads on to a marker that makes sense, or leaves the one found,
// so that the decoder takes the interval to be empty.
func (d *decoder) readRestart() error {
	if d.marker == 0 {
		if err := d.nextMarker(); err != nil {
			return err
		}
	}
	want := d.nextRestart
	d.nextRestart = (want + 1) & 7
	if d.marker == byte(markerRST0+want) {
		d.marker = 0
		return nil
	}
	for {
		switch m := d.marker; {
		case m < markerSOF0:
			// Not a marker that can stand here: read on.
		case m < markerRST0 || m > markerRST7:
			return nil // the end of the scan
		default:
			switch (int(m) - markerRST0 - want) & 7 {
			case 1, 2:
				return nil // the one wanted was lost
			case 6, 7:
				// One that is past: read on.
			default:
				d.marker = 0 // the one wanted, or one too far off to tell
				return nil
			}
		}
		if err := d.nextMarker(); err != nil {
			return err
		}
	}
}
