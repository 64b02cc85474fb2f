package simd

// Weigh sums up 3 near + far, samples of two rows of a colour plane, as enlarging planes does for
// JPEG and WebP. sums has one more at each end: the outermost sums are repeated there.
func Weigh(sums []int16, near, far []byte) {
	n := len(near)
	sums, far = sums[:n+2], far[:n]
	inner := sums[1 : n+1]
	i := 0
	if whole := n &^ 15; AVX2 && whole > 0 {
		weighAVX2(&inner[0], &near[0], &far[0], whole)
		i = whole
	}
	for ; i < n; i++ {
		inner[i] = 3*int16(near[i]) + int16(far[i])
	}
	sums[0], sums[n+1] = inner[0], inner[n-1]
}
