package vp8

// filterRowsAVX2 filters the edge above 16 samples, p3 to q3 being rows that
// are stride apart: an inner one as filter246 does four samples, else as it
// does six.
//
//go:noescape
func filterRowsAVX2(pix *byte, stride int, inner bool, level, ilevel, hlevel uint8)

// filterRows2AVX2 filters the edges above 8 samples of two planes.
//
//go:noescape
func filterRows2AVX2(a, b *byte, stride int, inner bool, level, ilevel, hlevel uint8)

// filterColumnsAVX2 filters the edges left of 8 rows from a on and of 8 from b
// on.
//
//go:noescape
func filterColumnsAVX2(a, b *byte, stride int, inner bool, level, ilevel, hlevel uint8)
