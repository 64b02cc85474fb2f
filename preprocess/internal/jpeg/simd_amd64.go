package jpeg

// decodeBlockBMI2 is decodeBlockFast. It reads d.data below d.limit only.
//
//go:noescape
func decodeBlockBMI2(d *decoder, b *block, dc, ac *huffTable, pred *int32, quant *[128]int32)

// acRefineBMI2 is refineBlock for n blocks, or up to one for which there are not all bits. It
// returns how many blocks it has begun.
//
//go:noescape
func acRefineBMI2(r *segmentReader, table *huffTable, blocks *coefBlock, nonzero *uint64, n int,
	band uint64, al int, eobRun *int) (begun int)

// dequantizeAVX2 multiplies coefficients with divisors. size is block.size, or more than
// maxPlainSize where that is; ac tells whether there is a product but the first that is not 0.
//
//go:noescape
func dequantizeAVX2(dst *[64]int16, coefs *coefBlock, divisors *[64]uint16) (size int, ac bool)

// inverseDCTAVX2 is inverseDCT8. It writes 8 bytes at each of 8 places that are stride apart.
//
//go:noescape
func inverseDCTAVX2(coefs *[64]int16, dst *byte, stride int)

// fastDCTAVX2 is fastDCTGo. It writes 8 bytes at each of 8 places that are stride apart.
//
//go:noescape
func fastDCTAVX2(coefs *[64]int16, dst *byte, stride int)

// yccRowAVX2 is yccRow for n pixels, n a positive multiple of 16.
//
//go:noescape
func yccRowAVX2(dst, ys, cbs, crs *byte, n int)

// doubleAVX2 makes two samples of each of n sums, n a positive multiple of 16: (3 sum + the one
// before + even) / 16 and (3 sum + the one after + odd) / 16.
//
//go:noescape
func doubleAVX2(dst *byte, sums *int16, n int, even, odd int16)
