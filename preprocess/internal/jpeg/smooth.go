package jpeg

// smoothedCoefs is how many coefficients of a block smoothing may estimate, in zigzag order.
const smoothedCoefs = 10

// A kernel weighs the DC coefficients of the 5 x 5 blocks around a block, row by row, to estimate
// one of its coefficients. The sum is in 1/256 of the coefficient.
type kernel [25]int64

// kernels5 estimate AC coefficients 1 to 5 where some are known (jdcoefct.c, after ITU-T T.81
// section K.8).
var kernels5 = [6]kernel{
	1: {10: -7, 11: 50, 13: -50, 14: 7},
	2: {2: -7, 7: 50, 17: -50, 22: 7},
	3: {2: -1, 7: 13, 12: -24, 17: 13, 22: -1},
	4: {
		0, -1, 0, 1, 0,
		-1, 10, 0, -10, 1,
		0, 0, 0, 0, 0,
		1, -10, 0, 10, -1,
		0, 1, 0, -1, 0,
	},
	5: {10: -1, 11: 13, 12: -24, 13: 13, 14: -1},
}

// kernelsDC estimate coefficients 0 to 9 where only DC coefficients are known.
var kernelsDC = [smoothedCoefs]kernel{
	{
		-2, -6, -8, -6, -2,
		-6, 6, 42, 6, -6,
		-8, 42, 152, 42, -8,
		-6, 6, 42, 6, -6,
		-2, -6, -8, -6, -2,
	},
	{
		-1, -1, 0, 1, 1,
		-3, 13, 0, -13, 3,
		-3, 38, 0, -38, 3,
		-3, 13, 0, -13, 3,
		-1, -1, 0, 1, 1,
	},
	{
		-1, -3, -3, -3, -1,
		-1, 13, 38, 13, -1,
		0, 0, 0, 0, 0,
		1, -13, -38, -13, 1,
		1, 3, 3, 3, 1,
	},
	{
		0, 0, 1, 0, 0,
		0, 2, 7, 2, 0,
		0, -5, -14, -5, 0,
		0, 2, 7, 2, 0,
		0, 0, 1, 0, 0,
	},
	{
		-1, 0, 0, 0, 1,
		0, 9, 0, -9, 0,
		0, 0, 0, 0, 0,
		0, -9, 0, 9, 0,
		1, 0, 0, 0, -1,
	},
	{
		0, 0, 0, 0, 0,
		0, 2, -5, 2, 0,
		1, 7, -14, 7, 1,
		0, 2, -5, 2, 0,
		0, 0, 0, 0, 0,
	},
	{6: 1, 8: -1, 11: 2, 13: -2, 16: 1, 18: -1},
	{6: 1, 7: -3, 8: 1, 16: -1, 17: 3, 18: -1},
	{6: 1, 8: -1, 11: -3, 13: 3, 16: 1, 18: -1},
	{6: 1, 7: 2, 8: 1, 16: -1, 17: -2, 18: -1},
}

// smoothing tells whether the image is smoothed: a progressive one whose first coefficients are not
// all known to the last bit.
func (d *decoder) smoothing() bool {
	if !d.process.progressive {
		return false
	}
	useful := false
	for i := range d.comps {
		c := &d.comps[i]
		if !c.latched || d.coefBits[i].now[0] < 0 {
			return false
		}
		for k := range smoothedCoefs {
			if c.quant[k] == 0 {
				return false
			}
			useful = useful || k > 0 && d.coefBits[i].now[k] != 0
		}
	}
	return useful
}

// smoothRow computes the samples of block row y (0 to rows-1) of MCU row m for a component, with
// estimates in place of coefficients that the file lacks.
func (d *decoder) smoothRow(c *component, m, y, rows int) {
	// Where the latest scan broke off, its contribution is missing.
	bits := d.coefBits[c.index].now
	if m > d.lastGoodRow {
		if bits = d.coefBits[c.index].before; d.scan.number == 1 {
			for k := range bits {
				bits[k] = -1
			}
		}
	}
	dcOnly := true
	for k := 1; k < smoothedCoefs; k++ {
		dcOnly = dcOnly && bits[k] == -1
	}

	line := d.smoothLines(c, m, y, rows)
	last := c.blocksWide - 1
	p, b := &d.out.planes[c.index], &d.blocks[0]
	for x := range c.blocksWide {
		var dcs kernel
		for i, l := range line {
			row := c.coefs[l*c.stride:]
			for j := range 5 {
				at := min(max(x-2+j, 0), last)
				if d.tensorflow && last == 1 && x+j > 3 {
					at = 0
				}
				dcs[5*i+j] = int64(row[at][0])
			}
		}
		coefs := c.coefs[line[2]*c.stride+x]
		if dcOnly {
			for k := 1; k < smoothedCoefs; k++ {
				if z := zigzag[k]; coefs[z] == 0 {
					coefs[z] = estimate(c, k, &kernelsDC[k], &dcs, bits[k])
				}
			}
			coefs[0] = estimate(c, 0, &kernelsDC[0], &dcs, 0)
		} else {
			for k := 1; k < len(kernels5); k++ {
				if z := zigzag[k]; bits[k] != 0 && coefs[z] == 0 {
					coefs[z] = estimate(c, k, &kernels5[k], &dcs, bits[k])
				}
			}
		}
		b.dequantize(&coefs, &c.natural)
		p.put(b, x, y)
	}
}

// smoothLines returns the block rows around block row y of MCU row m; at the edges of the image the
// nearest there is. libjpeg's count of the rows comes out short where the last MCU row has fewer.
//
// TensorFlow has libjpeg-turbo 2.1, which counts MCU rows in place of block rows for the outermost
// two, and in images of two blocks' width takes the first for what lies right of the second.
func (d *decoder) smoothLines(c *component, m, y, rows int) [5]int {
	line := [5]int{2: m*c.v + y}
	at, count := m*rows+y, d.mcuRows*rows
	above, below := at > 1, at < count-2
	if d.tensorflow {
		above, below = y > 1 || m > 1, y < rows-2 || m+1 < d.mcuRows-1
	}
	line[1], line[3] = line[2], line[2]
	if at > 0 {
		line[1]--
	}
	if at < count-1 {
		line[3]++
	}
	line[0], line[4] = line[1], line[3]
	if above {
		line[0] = line[2] - 2
	}
	if below {
		line[4] = line[2] + 2
	}
	return line
}

// estimate computes coefficient k. It is not let to be so large that the bits known would have
// shown it.
func estimate(c *component, k int, weights, dcs *kernel, bits int8) int16 {
	sum := int64(0)
	for i, w := range weights {
		sum += w * dcs[i]
	}
	sum *= int64(c.quant[0])
	q := int64(c.quant[k])
	v := (q<<7 + max(sum, -sum)) / (q << 8)
	if bits > 0 {
		v = min(v, 1<<bits-1)
	}
	if sum < 0 {
		v = -v
	}
	return int16(v)
}
