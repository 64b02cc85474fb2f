package webp

// convertRowAVX2 is convertRow for n pixels, n a positive multiple of 16. It
// writes 4 bytes more.
//
//go:noescape
func convertRowAVX2(out, luma *byte, us, vs *int16, n int)
