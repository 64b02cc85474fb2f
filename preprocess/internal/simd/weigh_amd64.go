package simd

// weighAVX2 is Weigh without the ends, of n samples, n a positive multiple of 16.
//
//go:noescape
func weighAVX2(sums *int16, near, far *byte, n int)
