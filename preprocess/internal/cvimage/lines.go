package cvimage

// Between the two passes of a resize a line has a value for each channel of a pixel, and an unused
// fourth for three channels: vectors hold whole pixels.

// lineStep is the number of values of a pixel in a line.
func lineStep(channels int) int {
	if channels == 1 {
		return 1
	}
	return 4
}

// lineSize is the number of values of a line of pixels, and some that vectors may write beyond.
func lineSize(pixels, channels int) int { return lineStep(channels)*pixels + 16 }

// blockSize is the number of values that vectors make bytes of at a time.
const blockSize = 32

// lineBlocks returns how many blocks of a line vectors can make bytes of, and how many pixels those
// are. Of three channels they write four bytes too many.
func lineBlocks(out []uint8, channels int) (blocks, pixels int) {
	switch {
	case !hasVectors:
		return 0, 0
	case channels == 3:
		blocks = max(0, len(out)-4) / (blockSize / 4 * 3)
	default:
		blocks = len(out) / blockSize
	}
	return blocks, blocks * blockSize / lineStep(channels)
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
