package jpeg

import "kerasrun/preprocess/internal/simd"

// output turns decoded samples into rows of the image, one row of interleaved MCUs at a time.
type output struct {
	space  colorSpace
	planes [4]plane
	// context is set where a row of samples depends on its neighbours. The last row group of an MCU
	// row then waits for the next MCU row.
	context bool
	groups  int // row groups written; a row group is vmax rows of the image
}

// plane holds the samples of one component that are still needed.
type plane struct {
	unused     bool // the output does not depend on it
	fast       bool // the fast inverse DCT
	upsampling upsampling
	hx, vx     int // the factors for replicate
	// buf holds rows of stride bytes: kept rows of the MCU row before, then the current one.
	buf    []byte
	stride int
	kept   int
	first  int    // the number of the first row in buf
	row    []byte // an upsampled row
	sums   []int16
}

func (d *decoder) startOutput() {
	o := &d.out
	o.space = d.colorSpace()
	o.context = false
	o.groups = 0
	for i := range d.comps {
		c, p := &d.comps[i], &o.planes[i]
		p.fast = d.tensorflow
		p.unused = d.output == Luma && i > 0 && o.space != rgb
		p.upsampling = d.upsampling(c)
		if p.unused {
			p.upsampling = replicate
		}
		if p.upsampling == triangleV || p.upsampling == triangleHV {
			o.context = true
		}
	}
	for i := range d.comps {
		c, p := &d.comps[i], &o.planes[i]
		p.hx, p.vx = d.hmax/c.h, d.vmax/c.v
		p.stride = 8 * c.blocksWide
		p.kept = 0
		if o.context {
			p.kept = c.v + 1
		}
		p.first = -p.kept
		p.buf = grow(p.buf, (p.kept+8*c.v)*p.stride)
		p.row = grow(p.row, ceilDiv(d.width, d.hmax)*d.hmax)
	}
}

func grow(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// put writes the samples of a block to the current MCU row. x and y count the component's blocks; y
// is 0 to v-1.
func (p *plane) put(b *block, x, y int) {
	dst := p.buf[(p.kept+8*y)*p.stride+8*x:]
	switch {
	case p.unused:
	case p.fast:
		fastDCT(b, dst, p.stride)
	default:
		inverseDCT(b, dst, p.stride)
	}
}

// writeRows writes the rows of the image for which all samples are there, once MCU row m is
// complete.
func (d *decoder) writeRows(m int) {
	o := &d.out
	end := 8 * (m + 1)
	if o.context && m < d.mcuRows-1 {
		end--
	}
	for y := o.groups * d.vmax; y < min(end*d.vmax, d.height); y++ {
		d.writeRow(y)
	}
	o.groups = end
	for i := range d.comps {
		c, p := &d.comps[i], &o.planes[i]
		copy(p.buf[:p.kept*p.stride], p.buf[8*c.v*p.stride:])
		p.first += 8 * c.v
	}
}

func (d *decoder) writeRow(y int) {
	var s [4][]byte
	for i := range d.comps {
		if p := &d.out.planes[i]; !p.unused {
			s[i] = p.upsample(&d.comps[i], y, d.width)
		}
	}
	size := channelsOf[d.output] * d.width
	dst := d.pix[size*y : size*(y+1)]
	switch d.output {
	case Luma:
		if d.out.space == rgb {
			lumaRow(dst, s[0], s[1], s[2])
		} else {
			copy(dst, s[0])
		}
		return
	case CMYK:
		if d.out.space == ycck {
			inkRow(dst, s[0], s[1], s[2], s[3])
		} else {
			interleave(dst, s[0], s[1], s[2], s[3])
		}
		return
	}
	switch space := d.out.space; {
	case space == cmyk && d.tensorflow:
		cmykRowTensorFlow(dst, s[0], s[1], s[2], s[3], d.adobe)
		return
	case space == ycck && d.tensorflow:
		ycckRowTensorFlow(dst, s[0], s[1], s[2], s[3], d.adobe)
		return
	}
	switch d.out.space {
	case gray:
		grayRow(dst, s[0])
	case ycc:
		yccRow(dst, s[0], s[1], s[2])
	case rgb:
		rgbRow(dst, s[0], s[1], s[2])
	case cmyk:
		cmykRow(dst, s[0], s[1], s[2], s[3])
	case ycck:
		ycckRow(dst, s[0], s[1], s[2], s[3])
	}
}

// upsample returns the component's samples for row y of the image.
func (p *plane) upsample(c *component, y, width int) []byte {
	// The row below or above, at the edges the row itself.
	near := y / 2
	far := min(max(near-1+2*(y&1), 0), c.height-1)
	switch p.upsampling {
	case triangleH:
		if simd.AVX2 {
			src := p.samples(c, y)
			p.triangle(src, src, 4, 8)
		} else {
			widen(p.row, p.samples(c, y))
		}
	case triangleV:
		blend(p.row, p.samples(c, near), p.samples(c, far), uint64(1+y&1))
	case triangleHV:
		if simd.AVX2 {
			p.triangle(p.samples(c, near), p.samples(c, far), 8, 7)
		} else {
			widenBlend(p.row, p.samples(c, near), p.samples(c, far))
		}
	default:
		src := p.samples(c, y/p.vx)
		if p.hx == 1 {
			return src[:width]
		}
		repeat(p.row[:ceilDiv(width, p.hx)*p.hx], src, p.hx)
	}
	return p.row[:width]
}

// samples returns row y of the component.
func (p *plane) samples(c *component, y int) []byte {
	at := (y - p.first) * p.stride
	return p.buf[at : at+c.width]
}
