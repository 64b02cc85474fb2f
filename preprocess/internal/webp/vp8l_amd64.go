package webp

// selectAVX2 is selectPredictor for n pixels, n > 0, fullAVX2 fullPredictor and halfAVX2
// halfPredictor. above points to the pixel above the one before the first.
//
//go:noescape
func selectAVX2(row, above *uint32, left uint32, n int)

//go:noescape
func fullAVX2(row, above *uint32, left uint32, n int)

//go:noescape
func halfAVX2(row, above *uint32, left uint32, n int)

// addColorsAVX2 is addColors for n pixels, n a positive multiple of 8.
//
//go:noescape
func addColorsAVX2(row *uint32, n int, greenRed, greenBlue, redBlue int32)

// addGreenAVX2 adds green to red and blue of n pixels, n a positive multiple of 8.
//
//go:noescape
func addGreenAVX2(row *uint32, n int)

// addRowAVX2 is addRow for n pixels, n a positive multiple of 4.
//
//go:noescape
func addRowAVX2(row, above *uint32, n int)

// putRGBAVX2 writes n pixels, n a positive multiple of 4, and 4 bytes more.
//
//go:noescape
func putRGBAVX2(out *byte, row *uint32, n int)
