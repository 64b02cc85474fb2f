package jpeg

import "golang.org/x/sys/cpu"

// useAVX2 selects the assembly versions of the functions that take most of the time outside of
// entropy decoding. Tests switch it off to hold the Go versions against Pillow, too.
var useAVX2 = cpu.X86.HasAVX2

// inverseDCTAVX2 is inverseDCT8. It writes 8 bytes at each of 8 places that are stride apart.
//
//go:noescape
func inverseDCTAVX2(coefs *[64]int32, dst *byte, stride int)

// fastDCTAVX2 is fastDCTGo. It writes 8 bytes at each of 8 places that are stride apart.
//
//go:noescape
func fastDCTAVX2(coefs *[64]int32, dst *byte, stride int)

// yccRowAVX2 is yccRow for n pixels, n a positive multiple of 16.
//
//go:noescape
func yccRowAVX2(dst, ys, cbs, crs *byte, n int)

// weighAVX2 adds up 3 near + far of n samples, n a positive multiple of 16.
//
//go:noescape
func weighAVX2(sums *int16, near, far *byte, n int)

// doubleAVX2 makes two samples of each of n sums, n a positive multiple of 16: (3 sum + the one
// before + even) / 16 and (3 sum + the one after + odd) / 16.
//
//go:noescape
func doubleAVX2(dst *byte, sums *int16, n int, even, odd int16)
