package vp8

import (
	"fmt"
	"image"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"kerasrun/internal/guarded"
	"kerasrun/preprocess/internal/simd"
)

// both runs a test with assembly and without it, and compares what is left.
func both[T any](t *testing.T, run func() T) {
	t.Helper()
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	defer func() { simd.AVX2 = true }()
	got := run()
	simd.AVX2 = false
	if want := run(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %.4000v, want %.4000v", fmt.Sprint(got), fmt.Sprint(want))
	}
}

func draw(t *testing.T, rng *rand.Rand, n int) []byte {
	b := guarded.Bytes(t, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestFilter filters planes that end where memory does, smooth ones and noise.
func TestFilter(t *testing.T) {
	for seed := range uint64(200) {
		both(t, func() [3][]byte {
			rng := rand.New(rand.NewPCG(seed, 0))
			d := NewDecoder()
			d.mbw, d.mbh = 1+rng.IntN(3), 1+rng.IntN(3)
			d.img = image.NewYCbCr(image.Rect(0, 0, 16*d.mbw, 16*d.mbh),
				image.YCbCrSubsampleRatio420)
			for _, plane := range []*[]byte{&d.img.Y, &d.img.Cb, &d.img.Cr} {
				*plane = draw(t, rng, len(*plane))
				base, noise := rng.IntN(256), 1+rng.IntN(40)
				for i := range *plane {
					if seed%4 > 0 {
						(*plane)[i] = byte(min(255, base+int((*plane)[i])%noise))
					}
				}
			}
			d.perMBFilterParams = make([]filterParam, d.mbw)
			for mby := range d.mbh {
				for mbx := range d.mbw {
					// Of level 0 to 63 and what computeFilterParams makes of it.
					ilevel := 1 + rng.IntN(63)
					d.perMBFilterParams[mbx] = filterParam{
						level:  uint8(rng.IntN(2) * (2*rng.IntN(64) + ilevel)),
						ilevel: uint8(ilevel), hlevel: uint8(rng.IntN(3)), inner: rng.IntN(2) == 0}
				}
				d.normalFilter(mby)
			}
			return [3][]byte{slices.Clone(d.img.Y), slices.Clone(d.img.Cb), slices.Clone(d.img.Cr)}
		})
	}
}

// TestReconstruct predicts macroblocks in every mode, and adds coefficients as encoders write them,
// and large ones where there are no more than three.
func TestReconstruct(t *testing.T) {
	for seed := range uint64(1000) {
		both(t, func() [26][32]uint8 {
			rng := rand.New(rand.NewPCG(seed, 1))
			d := NewDecoder()
			base, noise := rng.IntN(256), 1+rng.IntN(256)
			for y := range d.ybr {
				for x := range d.ybr[y] {
					d.ybr[y][x] = byte(min(255, base+rng.IntN(noise)))
				}
			}
			for y := 4; y < 16; y += 4 {
				copy(d.ybr[y][24:28], d.ybr[0][24:28]) // as prepareYBR does
			}
			for i := range 24 {
				d.last[i] = uint8(rng.IntN(6))
				for j := range d.last[i] {
					d.coeff[16*i+int(zigzag[j])] = int16(rng.IntN(2048) - 1024)
				}
				if d.last[i] <= 3 && i < 16 && rng.IntN(8) == 0 {
					for j := range d.last[i] {
						large := []int16{int16(rng.Uint32()), 32767 - int16(rng.IntN(8)), -32768}
						d.coeff[16*i+int(zigzag[j])] = large[rng.IntN(3)]
					}
				}
				if d.last[i] > 3 {
					d.last[i] += uint8(rng.IntN(12))
				}
			}
			d.usePredY16 = rng.IntN(4) == 0
			d.predY16, d.predC8 = uint8(rng.IntN(predHE+1)), uint8(rng.IntN(predHE+1))
			for i := range d.predY4 {
				d.predY4[i] = uint8(rng.IntN(nPred))
			}
			d.reconstructMacroblock(rng.IntN(2), rng.IntN(2))
			return d.ybr
		})
	}
}

// TestPartition reads partitions of any bits to their end, which is that of memory, with the usual
// probabilities, with any, and with those by which a region takes the most bytes.
func TestPartition(t *testing.T) {
	type state struct {
		coeff  [400]int16
		last   [25]uint8
		modes  [16]uint8
		mb     [3]mb
		fp, op partition
	}
	for seed := range uint64(100) {
		both(t, func() (left []state) {
			rng := rand.New(rand.NewPCG(seed, 2))
			d := NewDecoder()
			d.tokenProb = defaultTokenProb
			for i := range d.tokenProb {
				for j := range d.tokenProb[i] {
					for k := range d.tokenProb[i][j] {
						for l := range d.tokenProb[i][j][k] {
							switch seed % 3 {
							case 1:
								d.tokenProb[i][j][k][l] = 1
							case 2:
								d.tokenProb[i][j][k][l] = uint8(rng.Uint32())
							}
						}
					}
				}
			}
			for i := range d.quant {
				draw := func() [2]uint16 {
					return [2]uint16{uint16(4 + rng.IntN(150)), uint16(4 + rng.IntN(150))}
				}
				d.quant[i] = quant{y1: draw(), y2: draw(), uv: draw()}
			}
			d.nOP, d.upMB = 1, make([]mb, 2)
			d.fp.init(draw(t, rng, rng.IntN(1000)))
			d.op[0].init(draw(t, rng, rng.IntN(1000)))
			for i := 0; i < 100 && !(d.fp.unexpectedEOF && d.op[0].unexpectedEOF); i++ {
				d.segment, d.usePredY16 = rng.IntN(nSegment), rng.IntN(2) == 0
				d.coeff, d.last = [400]int16{}, [25]uint8{}
				d.parsePredModeY4(i % 2)
				d.parseResiduals(i%2, 0)
				now := state{d.coeff, d.last, d.predY4, [3]mb{d.leftMB, d.upMB[0], d.upMB[1]}, d.fp,
					d.op[0]}
				now.fp.buf, now.op.buf = nil, nil
				left = append(left, now)
			}
			return left
		})
	}
}
