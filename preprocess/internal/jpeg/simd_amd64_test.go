package jpeg

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"kerasrun/internal/guarded"
	"kerasrun/preprocess/internal/simd"
)

// Up to the largest coefficients that are not left to saturatingDCT, the two versions of the
// inverse DCT agree.
func TestInverseDCTAVX2(t *testing.T) {
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	rng := rand.New(rand.NewPCG(7, 0))
	for range 20000 {
		var b block
		for range 1 + rng.IntN(64) {
			i := rng.IntN(64)
			b.size -= max(int(b.coefs[i]), -int(b.coefs[i]))
			b.coefs[i] = 0
			limit := maxPlainSize - b.size
			if rng.IntN(3) > 0 {
				limit = min(limit, 1+rng.IntN(400))
			}
			b.set(uint8(i), int32(rng.IntN(2*limit+1)-limit))
		}
		const stride = 11
		want, got := make([]byte, 8*stride), make([]byte, 8*stride)
		inverseDCT8(&b, want, stride)
		inverseDCTAVX2(&b.coefs, &got[0], stride)
		if !bytes.Equal(got, want) {
			t.Fatalf("%v\ngot  %v\nwant %v", b.coefs, got, want)
		}
	}
}

// The two versions of refining read the same bits, in segments, blocks and maps that end where
// memory does, and leave the same.
func TestRefineBMI2(t *testing.T) {
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	defer func() { simd.AVX2 = true }()
	for seed := range uint64(300) {
		type state struct {
			Blocks       []coefBlock
			Nonzero      []uint64
			EOBRun       int
			Insufficient bool
			Begun, Bits  int
		}
		run := func() state {
			rng := rand.New(rand.NewPCG(seed, 11))
			d := new(decoder)
			d.scan.comps = []*component{{}}
			d.scan.ss = 1 + rng.IntN(10)
			d.scan.se, d.scan.al, d.scan.ah = d.scan.ss+rng.IntN(64-d.scan.ss), rng.IntN(4), 1
			spec := huffSpec{defined: true,
				counts: [17]uint8{2: 1, 3: 1, 4: 2, 6: 4, 9: 8, 12: 10, 16: 20}}
			for i, v := range rng.Perm(256) {
				spec.values[i] = uint8(v)
				if rng.IntN(3) == 0 {
					spec.values[i] = uint8(v&0xF0 | v&1) // as encoders write them
				}
			}
			if err := d.acTables[0].build(&spec, acTable); err != nil {
				t.Fatal(err)
			}
			size, count := rng.IntN(200), 1+rng.IntN(40)
			data := guarded.Bytes(t, size+segmentPadding)
			for i := range size {
				data[i] = byte(rng.Uint32())
			}
			d.segment = segmentReader{data: data, end: 8 * size}
			memory := guarded.Bytes(t, 64*2*count)
			blocks := unsafe.Slice((*coefBlock)(unsafe.Pointer(&memory[0])), count)
			memory = guarded.Bytes(t, 8*count)
			nonzero := unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), count)
			for i := range blocks {
				known := rng.IntN(64)
				for k := 1; k < 64; k++ {
					if rng.IntN(64) < known {
						blocks[i][zigzag[k]] = int16(1+rng.IntN(100)) << d.scan.al
						if rng.IntN(2) == 0 {
							blocks[i][zigzag[k]] *= -1
						}
						nonzero[i] |= 1 << (63 - k)
					}
				}
			}
			begun := d.acRefine(blocks, nonzero)
			return state{slices.Clone(blocks), slices.Clone(nonzero), d.eobRun, d.insufficient, begun,
				8*d.segment.pos - d.segment.n}
		}
		simd.AVX2 = true
		got := run()
		simd.AVX2 = false
		if want := run(); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
		}
	}
}

// Where all products fit, the two versions of multiplying with divisors agree, and agree on whether
// they do.
func TestDequantizeAVX2(t *testing.T) {
	if !simd.AVX2 {
		t.Log("no AVX2 here: nothing to compare")
		return
	}
	rng := rand.New(rand.NewPCG(12, 0))
	plain := 0
	for range 5000 {
		var coefs coefBlock
		var natural [64]int32
		var low [64]uint16
		most := 1 + rng.IntN(1<<rng.IntN(16))
		for i := range natural {
			natural[i] = int32(1 + rng.IntN(most))
			low[i] = uint16(natural[i])
			if rng.IntN(8) == 0 {
				coefs[i] = int16(rng.IntN(2*most+1) - most)
			}
		}
		var want block
		want.dequantize(&coefs, &natural)
		var got [64]int16
		size, ac := dequantizeAVX2(&got, &coefs, &low)
		if (size > maxPlainSize) != (want.size > maxPlainSize) {
			t.Fatalf("%v times %v: got size %d, want %d", coefs, natural, size, want.size)
		}
		if want.size > maxPlainSize {
			continue
		}
		plain++
		if size != want.size || got != want.coefs || ac != slices.ContainsFunc(got[1:],
			func(v int16) bool { return v != 0 }) {
			t.Fatalf("%v times %v: got %v, size %d, AC %v, want %v, %d", coefs, natural, got, size,
				ac, want.coefs, want.size)
		}
	}
	if plain == 0 {
		t.Error("got no block whose products fit")
	}
}
