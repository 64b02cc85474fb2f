package jpeg

import (
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// maxDimension is the largest width or height that libjpeg decodes.
const maxDimension = 65500

// maxMCUBlocks is the largest number of blocks in an MCU, ITU-T T.81 section B.2.3.
const maxMCUBlocks = 10

// A component is one colour plane.
type component struct {
	index            int
	id               byte
	h, v             int // sampling factors
	quantIndex       int
	dcIndex, acIndex int // entropy-coding tables in the current scan

	blocksWide, blocksHigh int // blocks that hold samples of the image
	width, height          int // samples of the image

	latched bool       // whether quant is set: at the component's first scan
	quant   [128]int32 // divisors in zigzag order, then the last one repeated (see zigzag)
	natural [64]int32  // the same in natural order
	low     [64]uint16 // the lower halves of natural

	// For files with more than one scan: all coefficients, a row of stride blocks after the other.
	coefs  []coefBlock
	stride int
	// For progressive files with Huffman coding: by block, which AC coefficients are not zero, from
	// the top bit on in zigzag order.
	nonzero []uint64
}

// coefBlock holds the coefficients of a block as they were coded, in natural order: row-major, by
// vertical frequency.
type coefBlock [64]int16

func (c *component) reset(index int) {
	*c = component{index: index, coefs: c.coefs[:0], nonzero: c.nonzero[:0]}
}

// zigzag maps the order in which coefficients are coded to natural order. A damaged file can run
// past the end of a block; such coefficients overwrite the last one, as in libjpeg.
var zigzag = func() (z [128]uint8) {
	order := [64]uint8{
		0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
		12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
		35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
		58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
	}
	for i := range z {
		z[i] = order[min(i, 63)]
	}
	return z
}()

// readFrame reads the file up to the first scan and makes out the frame's geometry.
func (d *decoder) readFrame() error {
	for {
		m, err := d.readMarkers()
		if err != nil {
			return err
		}
		if m == markerSOS {
			break
		}
		// Tables alone, before the image proper.
		if d.sawSOF {
			return FormatError("no scan")
		}
		d.sawSOI = false
		d.scan.number = 0
	}
	if d.width > maxDimension || d.height > maxDimension {
		return codec.UnsupportedError(fmt.Sprintf("expected at most %d pixels each way, got "+
			"%d x %d", maxDimension, d.width, d.height))
	}
	d.hmax, d.vmax = 1, 1
	for i := range d.comps {
		c := &d.comps[i]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return FormatError(fmt.Sprintf("sampling factors: expected 1 to 4, got %d x %d", c.h,
				c.v))
		}
		d.hmax = max(d.hmax, c.h)
		d.vmax = max(d.vmax, c.v)
	}
	for i := range d.comps {
		c := &d.comps[i]
		c.blocksWide = ceilDiv(d.width*c.h, d.hmax*8)
		c.blocksHigh = ceilDiv(d.height*c.v, d.vmax*8)
		c.width = ceilDiv(d.width*c.h, d.hmax)
		c.height = ceilDiv(d.height*c.v, d.vmax)
		if d.hmax%c.h != 0 || d.vmax%c.v != 0 {
			return codec.UnsupportedError(fmt.Sprintf("fractional sampling: %d x %d of %d x %d",
				c.h, c.v, d.hmax, d.vmax))
		}
	}
	d.mcuRows = ceilDiv(d.height, d.vmax*8)
	d.multiScan = d.process.progressive || len(d.scan.comps) < len(d.comps)
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// mcuLayout says how the blocks of the current scan follow each other, ITU-T T.81 section A.2.
type mcuLayout struct {
	wide, high int                 // MCUs
	blocks     int                 // blocks in an MCU
	comp       [maxMCUBlocks]uint8 // by block: the component's position in the scan
	// by position in the scan: what to multiply coefficients with while decoding
	quants [4]*[128]int32
}

// startScan prepares for the entropy-coded data of the scan whose header was read last.
func (d *decoder) startScan() error {
	s := &d.scan
	if len(s.comps) == 1 {
		c := s.comps[0]
		d.mcu = mcuLayout{wide: c.blocksWide, high: c.blocksHigh, blocks: 1}
	} else {
		d.mcu = mcuLayout{wide: ceilDiv(d.width, d.hmax*8), high: d.mcuRows}
		for i, c := range s.comps {
			for range c.h * c.v {
				if d.mcu.blocks == maxMCUBlocks {
					return FormatError("more than 10 blocks in an MCU")
				}
				d.mcu.comp[d.mcu.blocks] = uint8(i)
				d.mcu.blocks++
			}
		}
	}
	for i, c := range s.comps {
		d.mcu.quants[i] = &c.quant
		if d.multiScan {
			d.mcu.quants[i] = &unquantized
		}
		if c.latched {
			continue
		}
		if c.quantIndex > 3 || !d.quant[c.quantIndex].defined {
			return FormatError(fmt.Sprintf("quantization table %d is missing", c.quantIndex))
		}
		for k := range c.quant {
			q := d.quant[c.quantIndex].values[min(k, 63)]
			c.quant[k] = int32(q)
			c.natural[zigzag[k]] = c.quant[k]
			if d.tensorflow {
				c.natural[zigzag[k]] = fastDivisor(q, zigzag[k])
			}
			c.low[zigzag[k]] = uint16(c.natural[zigzag[k]])
			if !d.multiScan { // else it is for smoothing
				c.quant[k] = c.natural[zigzag[k]]
			}
		}
		c.latched = true
	}
	d.bitReader = bitReader{}
	d.dcPred = [4]int32{}
	d.eobRun = 0
	d.restartsToGo = d.restartInterval
	switch {
	case d.process.arithmetic:
		return d.startArithmetic()
	case d.process.progressive:
		return d.startProgressive()
	default:
		return d.startSequential()
	}
}
