package cvimage

import "sync"

// fixedCubic is interpolateCubic: the weights of the four pixels around a position that is x
// beyond the second.
func fixedCubic(x float32) (weights [4]int16) {
	const a = float32(-0.75)
	var exact [4]float32
	y := x + 1
	exact[0] = float32(float32(float32(float32(float32(a*y)-5*a)*y)+8*a)*y) - 4*a
	exact[1] = float32(float32(float32(float32((a+2)*x)-(a+3))*x)*x) + 1
	z := 1 - x
	exact[2] = float32(float32(float32(float32((a+2)*z)-(a+3))*z)*z) + 1
	exact[3] = 1 - exact[0] - exact[1] - exact[2]
	for i, w := range exact {
		weights[i] = fixed(w)
	}
	return weights
}

// fixedTap is where a pixel of the result comes from: four pixels, of which the second is before
// it.
type fixedTap struct {
	before  int
	weights [4]int16
}

type fixedBuffers struct {
	x, y  []fixedTap
	lines [4][]int32
}

var fixedPool = sync.Pool{New: func() any { return new(fixedBuffers) }}

func fixedTaps(taps []fixedTap, s scale) []fixedTap {
	taps = taps[:0]
	for i := range s.out {
		before, beyond := s.position(i)
		taps = append(taps, fixedTap{before, fixedCubic(beyond)})
	}
	return taps
}

// cubicSmall is resizeGeneric_ with HResizeCubic and VResizeCubic, which OpenCV takes where a side
// of the source has fewer than four pixels. The edges repeat. The last values of a row, which may
// be some of the channels of a pixel, are rounded in another way.
func (s size) cubicSmall(dst, src []uint8, x, y scale) {
	b := fixedPool.Get().(*fixedBuffers)
	defer fixedPool.Put(b)
	b.x, b.y = fixedTaps(b.x, x), fixedTaps(b.y, y)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	var made [4]int
	for i := range b.lines {
		made[i] = -1
		if cap(b.lines[i]) < outStride {
			b.lines[i] = make([]int32, outStride)
		}
		b.lines[i] = b.lines[i][:outStride]
	}
	for i, tap := range b.y {
		var lines [4][]int32
		for k := range lines {
			row := min(max(tap.before-1+k, 0), s.height-1)
			lines[k] = b.lines[row&3]
			if made[row&3] != row {
				made[row&3] = row
				fixedRow(lines[k], src[stride*row:][:stride], s.channels, b.x)
			}
		}
		fixedBlend(dst[outStride*i:][:outStride], &lines, &tap.weights)
	}
}

func fixedRow(out []int32, row []uint8, channels int, taps []fixedTap) {
	last := len(row)/channels - 1
	for i := range taps {
		tap := &taps[i]
		for c := range channels {
			sum := int32(0)
			for k, w := range tap.weights {
				at := min(max(tap.before-1+k, 0), last)
				sum += int32(row[at*channels+c]) * int32(w)
			}
			out[c] = sum
		}
		out = out[channels:]
	}
}

// fixedBlend is VResizeCubic: in float32 for whole vectors of eight, in integers for the rest.
func fixedBlend(out []uint8, lines *[4][]int32, weights *[4]int16) {
	const part = float32(1) / (2048 * 2048)
	var w [4]float32
	for k, v := range weights {
		w[k] = float32(v) * part
	}
	vectors := len(out) &^ 7
	for i := range out[:vectors] {
		sum := float32(float32(lines[3][i]) * w[3])
		sum = float32(float32(lines[2][i])*w[2]) + sum
		sum = float32(float32(lines[1][i])*w[1]) + sum
		sum = float32(float32(lines[0][i])*w[0]) + sum
		out[i] = roundByte(sum)
	}
	for i := vectors; i < len(out); i++ {
		sum := int32(1 << 21)
		for k, w := range weights {
			sum += lines[k][i] * int32(w)
		}
		out[i] = uint8(min(max(sum>>22, 0), 255))
	}
}
