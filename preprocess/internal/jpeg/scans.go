package jpeg

import (
	"fmt"
	"slices"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/simd"
)

// decodeSingleScan decodes a file that holds the whole image in one scan, writing rows as they
// come.
func (d *decoder) decodeSingleScan() error {
	if !d.process.arithmetic {
		d.standardTables()
	}
	d.startOutput()
	if err := d.startScan(); err != nil {
		return err
	}
	for m := range d.mcuRows {
		if err := d.decodeMCURow(m); err != nil {
			return err
		}
		d.writeRows(m)
	}
	return d.readTrailer()
}

// decodeMCURow decodes what a row of interleaved MCUs covers to the output's planes.
func (d *decoder) decodeMCURow(m int) error {
	if len(d.comps) == 1 {
		c := &d.comps[0]
		for y := range min(c.v, c.blocksHigh-m*c.v) {
			for x := range d.mcu.wide {
				if err := d.decodeBlocksOfMCU(); err != nil {
					return err
				}
				d.out.planes[0].put(&d.blocks[0], x, y)
			}
		}
		return nil
	}
	for x := range d.mcu.wide {
		if err := d.decodeBlocksOfMCU(); err != nil {
			return err
		}
		i := 0
		for _, c := range d.scan.comps {
			p := &d.out.planes[c.index]
			for y := range c.v {
				for bx := x * c.h; bx < (x+1)*c.h; bx++ {
					// Blocks beyond the edge only fill up the MCU.
					if bx < c.blocksWide && m*c.v+y < c.blocksHigh {
						p.put(&d.blocks[i], bx, y)
					}
					i++
				}
			}
		}
	}
	return nil
}

// decodeBlocksOfMCU decodes the next MCU to d.blocks.
func (d *decoder) decodeBlocksOfMCU() error {
	if err := d.nextInterval(); err != nil {
		return err
	}
	if !d.process.arithmetic {
		return d.decodeMCU()
	}
	for i := range d.mcu.blocks {
		d.coefs[i] = coefBlock{}
		d.coefsOf[i] = &d.coefs[i]
	}
	if err := d.decodeCoefs(d, d.coefsOf[:d.mcu.blocks]); err != nil {
		return err
	}
	for i := range d.mcu.blocks {
		d.blocks[i].dequantize(&d.coefs[i], &d.scan.comps[d.mcu.comp[i]].natural)
	}
	return nil
}

// readTrailer reads on to the end of the image, as far as libjpeg does before Pillow stops it;
// TensorFlow does not.
func (d *decoder) readTrailer() error {
	d.finishing = !d.tensorflow
	switch m, err := d.readMarkers(); {
	case err == errSuspended:
		return nil
	case err != nil:
		return err
	case m == markerSOS:
		return FormatError("more than the one scan that holds all components")
	}
	return nil
}

// maxScans bounds the work that a small file can ask for. Encoders write about ten scans. Pillow
// has no such limit.
const maxScans = 500

// decodeScans decodes a file with several scans: all of them first, then the image.
func (d *decoder) decodeScans() error {
	if !d.process.arithmetic && !d.process.progressive {
		d.standardTables()
	}
	for i := range d.comps {
		c := &d.comps[i]
		c.stride = ceilDiv(c.blocksWide, c.h) * c.h
		n := c.stride * ceilDiv(c.blocksHigh, c.v) * c.v
		if cap(c.coefs) < n {
			c.coefs = make([]coefBlock, n)
		} else {
			c.coefs = c.coefs[:n]
			clear(c.coefs)
		}
		c.nonzero = c.nonzero[:0]
		if d.process.progressive && !d.process.arithmetic {
			c.nonzero = slices.Grow(c.nonzero, n)[:n]
			clear(c.nonzero)
		}
		for k := range 64 {
			d.coefBits[i].now[k] = -1
		}
	}
	for m := byte(markerSOS); m == markerSOS; {
		if d.scan.number > maxScans {
			return codec.UnsupportedError(fmt.Sprintf("more than %d scans", maxScans))
		}
		err := d.startScan()
		switch {
		case err != nil:
		case d.process.progressive && !d.process.arithmetic:
			err = d.decodeProgressiveScan()
		default:
			err = d.decodeScan()
		}
		if err == nil {
			m, err = d.readMarkers()
		}
		if err != nil {
			return err
		}
	}
	d.startOutput()
	smooth := d.smoothing()
	for m := range d.mcuRows {
		for i := range d.comps {
			c := &d.comps[i]
			rows := min(c.v, c.blocksHigh-m*c.v)
			for y := range rows {
				if smooth {
					d.smoothRow(c, m, y, rows)
				} else {
					d.plainRow(c, m, y)
				}
			}
		}
		d.writeRows(m)
	}
	return nil
}

// plainRow computes the samples of block row y of MCU row m for a component.
func (d *decoder) plainRow(c *component, m, y int) {
	row := c.coefs[(m*c.v+y)*c.stride:]
	p, b := &d.out.planes[c.index], &d.blocks[0]
	if !simd.AVX2 {
		for x := range c.blocksWide {
			b.dequantize(&row[x], &c.natural)
			p.put(b, x, y)
		}
		return
	}
	defer b.clear()
	for x := range c.blocksWide {
		b.used = 1
		var ac bool
		if b.size, ac = dequantizeAVX2(&b.coefs, &row[x], &c.low); ac {
			b.used = ^uint64(0)
		}
		if b.size > maxPlainSize {
			b.dequantize(&row[x], &c.natural)
		}
		p.put(b, x, y)
	}
}

// decodeScan decodes the current scan to the components' coefficients.
func (d *decoder) decodeScan() error {
	s := &d.scan
	for y := range d.mcu.high {
		row := y
		if len(s.comps) == 1 {
			row /= s.comps[0].v
		}
		for x := range d.mcu.wide {
			if !d.insufficient {
				d.lastGoodRow = row
			} else if d.restartInterval == 0 {
				return nil // nothing more will come
			}
			if err := d.nextInterval(); err != nil {
				return err
			}
			if len(s.comps) == 1 {
				c := s.comps[0]
				d.coefsOf[0] = &c.coefs[y*c.stride+x]
			} else {
				d.interleaved(x, y)
			}
			if err := d.decodeCoefs(d, d.coefsOf[:d.mcu.blocks]); err != nil {
				return err
			}
		}
	}
	return nil
}

// interleaved looks up the blocks of an MCU of several components.
func (d *decoder) interleaved(x, y int) {
	i := 0
	for _, c := range d.scan.comps {
		for by := y * c.v; by < (y+1)*c.v; by++ {
			for bx := x * c.h; bx < (x+1)*c.h; bx++ {
				d.coefsOf[i] = &c.coefs[by*c.stride+bx]
				i++
			}
		}
	}
}
