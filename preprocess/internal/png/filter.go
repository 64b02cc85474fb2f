package png

import (
	"fmt"

	"kerasrun/preprocess/internal/simd"
)

// unfilter undoes the filter of a row whose pixels, or whole bytes of pixels, are size bytes long.
// prev is the row above.
func unfilter(filter byte, cur, prev []byte, size int) error {
	prev = prev[:len(cur)]
	switch filter {
	case 0:
	case 1:
		for i := size; i < len(cur); i++ {
			cur[i] += cur[i-size]
		}
	case 2:
		for i, p := range prev {
			cur[i] += p
		}
	case 3:
		for i := range min(size, len(cur)) {
			cur[i] += prev[i] / 2
		}
		for i := size; i < len(cur); i++ {
			cur[i] += byte((int(cur[i-size]) + int(prev[i])) / 2)
		}
	case 4:
		switch size {
		case 3:
			paeth3(cur, prev)
		case 4:
			paeth4(cur, prev)
		default:
			paethN(cur, prev, size)
		}
	default:
		return fmt.Errorf("unknown filter %d", filter)
	}
	return nil
}

// paeth adds to x the one of a (left), b (above) and c (above left) that is nearest to a + b - c.
func paeth(x byte, a, b, c int) int {
	pa, pb := b-c, a-c
	pc := abs(pa + pb)
	pa, pb = abs(pa), abs(pb)
	if pb < pa {
		pa, a = pb, b
	}
	if pc < pa {
		a = c
	}
	return (a + int(x)) & 0xff
}

func abs(x int) int {
	sign := x >> 63
	return (x ^ sign) - sign
}

func paethN(cur, prev []byte, size int) {
	for i, x := range cur {
		a, c := 0, 0
		if i >= size {
			a, c = int(cur[i-size]), int(prev[i-size])
		}
		cur[i] = byte(paeth(x, a, int(prev[i]), c))
	}
}

// paeth3 and paeth4 do the most common sizes. Each byte waits for the one a pixel before; the
// channels side by side fill the wait.
func paeth3(cur, prev []byte) {
	var a0, a1, a2, c0, c1, c2 int
	if n := len(cur)/3 - 2; simd.AVX2 && n > 0 {
		prev = prev[:len(cur)]
		paeth3AVX2(&cur[0], &prev[0], n)
		at := 3 * (n - 1)
		a0, a1, a2 = int(cur[at]), int(cur[at+1]), int(cur[at+2])
		c0, c1, c2 = int(prev[at]), int(prev[at+1]), int(prev[at+2])
		cur, prev = cur[3*n:], prev[3*n:]
	}
	for len(cur) >= 3 && len(prev) >= 3 {
		b0, b1, b2 := int(prev[0]), int(prev[1]), int(prev[2])
		a0, a1, a2 = paeth(cur[0], a0, b0, c0), paeth(cur[1], a1, b1, c1), paeth(cur[2], a2, b2, c2)
		cur[0], cur[1], cur[2] = byte(a0), byte(a1), byte(a2)
		c0, c1, c2 = b0, b1, b2
		cur, prev = cur[3:], prev[3:]
	}
}

func paeth4(cur, prev []byte) {
	if n := len(cur) / 4; simd.AVX2 && n > 0 {
		prev = prev[:len(cur)]
		paeth4AVX2(&cur[0], &prev[0], n)
		return
	}
	var a0, a1, a2, a3, c0, c1, c2, c3 int
	for len(cur) >= 4 && len(prev) >= 4 {
		b0, b1, b2, b3 := int(prev[0]), int(prev[1]), int(prev[2]), int(prev[3])
		a0, a1 = paeth(cur[0], a0, b0, c0), paeth(cur[1], a1, b1, c1)
		a2, a3 = paeth(cur[2], a2, b2, c2), paeth(cur[3], a3, b3, c3)
		cur[0], cur[1], cur[2], cur[3] = byte(a0), byte(a1), byte(a2), byte(a3)
		c0, c1, c2, c3 = b0, b1, b2, b3
		cur, prev = cur[4:], prev[4:]
	}
}
