package preprocess

import "sync"

// passBuffers holds images between the two passes of a resampling.
var passBuffers = sync.Pool{New: func() any { return new(Image) }}

// resample scales src to dst with one of the filters that weigh: ImagingResample in Pillow's
// Resample.c. It makes two passes, each rounded to 8 bits; the vertical one comes first where the
// height shrinks by more than twice what the width does, as in Pillow since version 13.
func resample(dst, src *Image, x, y axis, f Method) {
	switch {
	case x.identity() && y.identity():
		crop(dst, src, int(x.lo)+x.first, int(y.lo)+y.first, x.wanted(), y.wanted())
		return
	case x.identity():
		resampleVertical(dst, src, y, f, 0, int(x.lo)+x.first, x.wanted())
		return
	case y.identity():
		resampleHorizontal(dst, src, x, f, int(y.lo)+y.first, y.wanted())
		return
	}
	between := passBuffers.Get().(*Image)
	defer keep(&passBuffers, between)
	if lost := src.Height - y.out; lost > 0 && lost > 2*(src.Width-x.out) {
		resampleVertical(between, src, y, f, 0, 0, src.Width)
		resampleHorizontal(dst, between, x, f, 0, between.Height)
		return
	}
	_, top, _ := y.bounds(f, y.first)
	_, _, bottom := y.bounds(f, y.last-1)
	resampleHorizontal(between, src, x, f, top, bottom-top)
	resampleVertical(dst, between, y, f, top, 0, between.Width)
}

// crop copies a part of src.
func crop(dst, src *Image, left, top, width, height int) {
	channels := src.Channels
	dst.grow(width, height, channels)
	for y := range height {
		copy(dst.Pix[channels*width*y:][:channels*width],
			src.Pix[channels*(src.Width*(top+y)+left):])
	}
}

// half is what a fixed-point sum begins with, so that dropping its fraction rounds it.
const half = 1 << (precisionBits - 1)

// clip8 rounds a fixed-point sum to a byte.
func clip8(sum int32) uint8 {
	v := sum >> precisionBits
	if uint32(v) > 255 {
		return uint8(^v >> 31)
	}
	return uint8(v)
}

// resampleHorizontal scales count rows of src, from the row top on, to the width wanted.
func resampleHorizontal(dst, src *Image, x axis, f Method, top, count int) {
	channels := src.Channels
	dst.grow(x.wanted(), count, channels)
	stride := channels * src.Width
	x.eachWindows(f, func(first int, windows []window) {
		for y := range count {
			row := src.Pix[stride*(top+y):]
			out := dst.Pix[channels*(dst.Width*y+first-x.first):][:channels*len(windows)]
			// The vector code reads a little beyond a window; the last row, where that would be
			// beyond the image, goes without.
			switch {
			case channels == 1:
				horizontal1(out, row, windows)
			case channels == 4:
				horizontal4(out, row, windows)
			case hasVectors && len(row) >= stride+vectorSlack:
				horizontalVectors(out, row, windows)
			default:
				horizontal(out, row, windows)
			}
		}
	})
}

// horizontal makes one row of the windows of another.
func horizontal(out, row []uint8, windows []window) {
	for i := range windows {
		w := &windows[i]
		r, g, b := int32(half), int32(half), int32(half)
		pix := row[3*w.start:]
		for _, k := range w.weights {
			p := pix[:3]
			r += int32(p[0]) * k
			g += int32(p[1]) * k
			b += int32(p[2]) * k
			pix = pix[3:]
		}
		out[0], out[1], out[2] = clip8(r), clip8(g), clip8(b)
		out = out[3:]
	}
}

// horizontal1 is horizontal of one channel.
func horizontal1(out, row []uint8, windows []window) {
	for i := range windows {
		w := &windows[i]
		sum := int32(half)
		pix := row[w.start:][:len(w.weights)]
		for j, k := range w.weights {
			sum += int32(pix[j]) * k
		}
		out[i] = clip8(sum)
	}
}

// horizontal4 is horizontal of four channels.
func horizontal4(out, row []uint8, windows []window) {
	for i := range windows {
		w := &windows[i]
		r, g, b, a := int32(half), int32(half), int32(half), int32(half)
		pix := row[4*w.start:]
		for _, k := range w.weights {
			p := pix[:4]
			r += int32(p[0]) * k
			g += int32(p[1]) * k
			b += int32(p[2]) * k
			a += int32(p[3]) * k
			pix = pix[4:]
		}
		out[0], out[1], out[2], out[3] = clip8(r), clip8(g), clip8(b), clip8(a)
		out = out[4:]
	}
}

// resampleVertical scales width columns of src, from the column left on, to the height wanted. The
// first row of src is number top of the axis.
func resampleVertical(dst, src *Image, y axis, f Method, top, left, width int) {
	channels := src.Channels
	dst.grow(width, y.wanted(), channels)
	stride := channels * src.Width
	y.eachWindows(f, func(first int, windows []window) {
		for i := range windows {
			w := &windows[i]
			out := dst.Pix[channels*width*(first-y.first+i):][:channels*width]
			rows := src.Pix[stride*(w.start-top)+channels*left:]
			if hasVectors && len(out) >= vectorSize && len(w.weights) > 0 {
				verticalVectors(out, rows, stride, w.weights)
			} else {
				vertical(out, rows, stride, w.weights)
			}
		}
	})
}

// vertical makes one row of the sum of others, which begin stride bytes apart.
func vertical(out, rows []uint8, stride int, weights []int32) {
	const block = 64
	for len(out) > 0 {
		n := min(block, len(out))
		var sums [block]int32
		for i := range sums {
			sums[i] = half
		}
		for i, k := range weights {
			for c, v := range rows[stride*i:][:n] {
				sums[c&(block-1)] += int32(v) * k
			}
		}
		for c := range out[:n] {
			out[c] = clip8(sums[c&(block-1)])
		}
		out, rows = out[n:], rows[min(n, len(rows)):]
	}
}
