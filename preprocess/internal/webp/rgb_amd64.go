package webp

// weighAVX2 adds up 3 near + far of n samples, n a positive multiple of 8.
//
//go:noescape
func weighAVX2(sums *int16, near, far *byte, n int)

// convertRowAVX2 is convertRow for n pixels, n a positive multiple of 16. It
// writes 4 bytes more.
//
//go:noescape
func convertRowAVX2(out, luma *byte, us, vs *int16, n int)
