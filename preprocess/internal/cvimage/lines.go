package cvimage

// Between the two passes of a resize a line has a value for each channel of a pixel, and an unused
// fourth for three channels: vectors hold whole pixels.

// columnsKey says what buffers are prepared for. Images of one camera or one collection tend to
// have the same sizes, and buffers come back from their pool as they were.
type columnsKey struct {
	scale
	channels int
	area     bool
}

// lineStep is the number of values of a pixel in a line.
func lineStep(channels int) int {
	if channels == 1 {
		return 1
	}
	return 4
}

// lineSize is the number of values of a line of pixels, and some that vectors may write beyond.
func lineSize(pixels, channels int) int { return lineStep(channels)*pixels + 32 }

// blockSize is the number of values that vectors make bytes of at a time.
const blockSize = 32

// eachBlock calls do with the places that blocks of a line are to make bytes at and with the value
// that they begin at, until all of out is made. Of three channels a block is written four bytes too
// long.
func eachBlock(out []uint8, channels int, do func(to *uint8, value, blocks int)) {
	size, slack := blockSize, 0
	if channels == 3 {
		size, slack = blockSize/4*3, 4
	}
	blocks := max(0, len(out)-slack) / size
	if blocks > 0 {
		do(&out[0], 0, blocks)
	}
	rest := out[size*blocks:]
	if len(rest) > 0 {
		var last [2*blockSize + 4]uint8
		do(&last[0], blockSize*blocks, (len(rest)+size-1)/size)
		copy(rest, last[:])
	}
}

// before returns how many of the first offsets at are followed by size bytes of a row of length
// bytes. Offsets do not fall.
func before(at []int32, size, length int) int {
	n := len(at)
	for n > 0 && int(at[n-1])+size > length {
		n--
	}
	return n
}

// grow returns a slice of n elements, in the memory of s if that is enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
