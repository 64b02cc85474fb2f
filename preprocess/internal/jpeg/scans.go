package jpeg

// decodeSingleScan decodes a file that holds the whole picture in one scan, writing rows as they come.
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
				if err := d.decodeMCU(); err != nil {
					return err
				}
				d.out.planes[0].put(&d.blocks[0], x, y)
			}
		}
		return nil
	}
	for x := range d.mcu.wide {
		if err := d.decodeMCU(); err != nil {
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

// readTrailer reads on to the end of the image, as far as libjpeg does before Pillow stops it.
func (d *decoder) readTrailer() error {
	d.finishing = true
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
