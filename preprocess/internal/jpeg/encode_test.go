package jpeg

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// An encoder writes frames that no usual encoder writes: any sampling factors, scans, tables and
// coefficients. The coefficients are drawn at random, there is no image behind them.
type encoder struct {
	rng     *rand.Rand
	out     []byte
	acc     uint64
	accBits int

	dcCodes, acCodes [256]huffCode
	magnitude        int // of coefficients, in bits
	density          float64
	smooth           bool // DC coefficients vary little
}

type huffCode struct {
	code   uint32
	length int
}

func (e *encoder) segment(marker byte, content ...byte) {
	e.out = append(e.out, 0xFF, marker)
	e.out = binary.BigEndian.AppendUint16(e.out, uint16(len(content)+2))
	e.out = append(e.out, content...)
}

// table writes a Huffman table of all symbols up to n-1, the common ones with short codes, the rest
// with codes of length bits.
func (e *encoder) table(class byte, n, length int, codes *[256]huffCode) {
	var counts [17]byte
	symbols := []byte{0x00, 0x01, 0x02, 0x03}
	if class == 1 {
		symbols = []byte{0x01, 0x00, 0x11, 0x21}
	}
	counts[2], counts[3], counts[4] = 1, 1, 2
	for s := range n {
		b := byte(s)
		if b != symbols[0] && b != symbols[1] && b != symbols[2] && b != symbols[3] {
			symbols = append(symbols, b)
			counts[length]++
		}
	}
	e.segment(markerDHT, append(append([]byte{class << 4}, counts[1:]...), symbols...)...)
	code, i := uint32(0), 0
	for l := 1; l <= 16; l++ {
		for range counts[l] {
			codes[symbols[i]] = huffCode{code, l}
			code++
			i++
		}
		code <<= 1
	}
}

func (e *encoder) put(x uint32, n int) {
	for n--; n >= 0; n-- {
		e.acc = e.acc<<1 | uint64(x>>n&1)
		if e.accBits++; e.accBits == 8 {
			e.out = append(e.out, byte(e.acc))
			if byte(e.acc) == 0xFF {
				e.out = append(e.out, 0)
			}
			e.acc, e.accBits = 0, 0
		}
	}
}

func (e *encoder) flush() {
	for e.accBits != 0 {
		e.put(1, 1)
	}
}

func (e *encoder) value(codes *[256]huffCode, run, v int) {
	size := bits.Len(uint(max(v, -v)))
	c := codes[run<<4|size]
	e.put(c.code, c.length)
	if v < 0 {
		v += 1<<size - 1
	}
	e.put(uint32(v), size)
}

func (e *encoder) draw() int {
	n := 1 << (1 + e.rng.IntN(e.magnitude))
	return e.rng.IntN(2*n-1) - n + 1
}

func (e *encoder) block() {
	diff := e.draw()
	if e.smooth {
		diff = e.rng.IntN(5) - 2
	}
	e.value(&e.dcCodes, 0, diff)
	run := 0
	for range 63 {
		v := e.draw()
		if v == 0 || e.rng.Float64() > e.density {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			e.put(e.acCodes[0xF0].code, e.acCodes[0xF0].length)
		}
		e.value(&e.acCodes, run, v)
		run = 0
	}
	if run > 0 {
		e.put(e.acCodes[0].code, e.acCodes[0].length)
	}
}

// oddFrame draws a sequential frame and encodes it. The coefficients of its blocks are drawn, too.
func oddFrame(rng *rand.Rand) file {
	e := &encoder{rng: rng, magnitude: 1 + rng.IntN(15), density: rng.Float64() * rng.Float64(),
		smooth: rng.IntN(2) == 0}
	if rng.IntN(3) > 0 {
		e.magnitude = 1 + rng.IntN(6)
	}
	width, height := 1+rng.IntN(90), 1+rng.IntN(90)
	n := []int{1, 3, 3, 3, 4}[rng.IntN(5)]
	ids := [][]byte{{1, 2, 3, 4}, {'R', 'G', 'B', 'K'}, {0, 1, 2, 3}, {7, 7, 7, 7}}[rng.IntN(8)/2]
	h, v := make([]int, n), make([]int, n)
	hmax, vmax := 1, 1
	for {
		blocks := 0
		for i := range n {
			h[i], v[i] = 1+rng.IntN(4), 1+rng.IntN(4)
			if i > 0 && rng.IntN(2) == 0 {
				h[i], v[i] = 1, 1
			}
			blocks += h[i] * v[i]
			hmax, vmax = max(hmax, h[i]), max(vmax, v[i])
		}
		if blocks <= 10 || rng.IntN(20) == 0 {
			break
		}
	}
	e.out = []byte{0xFF, markerSOI}
	jfif, adobe := rng.IntN(2) == 0, rng.IntN(2) == 0
	if jfif {
		e.segment(markerAPP0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")...)
	}
	transform := byte(rng.IntN(3))
	if adobe {
		e.segment(markerAPP14, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), transform)...)
	}
	top := []int{1, 4, 40, 255, 65535}[rng.IntN(5)]
	for i := range byte(2) {
		dqt := []byte{0x10 | i}
		for range 64 {
			dqt = binary.BigEndian.AppendUint16(dqt, uint16(1+rng.IntN(top)))
		}
		e.segment(markerDQT, dqt...)
	}
	sof := binary.BigEndian.AppendUint16([]byte{8}, uint16(height))
	sof = append(binary.BigEndian.AppendUint16(sof, uint16(width)), byte(n))
	for i := range n {
		sof = append(sof, ids[i], byte(h[i]<<4|v[i]), byte(i&1))
	}
	e.segment(byte(markerSOF0+rng.IntN(2)), sof...)
	e.table(0, 16, 5+rng.IntN(12), &e.dcCodes)
	e.table(1, 256, 10+rng.IntN(7), &e.acCodes)
	interval := 0
	if rng.IntN(3) == 0 {
		interval = 1 + rng.IntN(9)
		e.segment(markerDRI, 0, byte(interval))
	}
	// The components by scan: all in one, each in its own, or two and the rest.
	scans := [][]int{[]int{0, 1, 2, 3}[:n]}
	switch kind := rng.IntN(4); {
	case kind == 0 && n > 1:
		scans = nil
		for i := range n {
			scans = append(scans, []int{i})
		}
	case kind == 1 && n > 2:
		scans = [][]int{{1, 2}, []int{0, 3}[:n-2]}
	}
	for _, scan := range scans {
		sos := []byte{byte(len(scan))}
		for _, i := range scan {
			sos = append(sos, ids[i], 0)
		}
		e.segment(markerSOS, append(sos, 0, 63, 0)...)
		wide, high, blocks := ceilDiv(width, 8*hmax), ceilDiv(height, 8*vmax), 0
		for _, i := range scan {
			blocks += h[i] * v[i]
		}
		if i := scan[0]; len(scan) == 1 {
			wide, high, blocks = ceilDiv(width*h[i], 8*hmax), ceilDiv(height*v[i], 8*vmax), 1
		}
		for mcu := range wide * high {
			if interval > 0 && mcu > 0 && mcu%interval == 0 {
				e.flush()
				e.out = append(e.out, 0xFF, byte(markerRST0+(mcu/interval-1)%8))
			}
			for range blocks {
				e.block()
			}
		}
		e.flush()
	}
	e.out = append(e.out, 0xFF, markerEOI)
	return file{
		fmt.Sprintf("%dx%d of %v by %v, ids %v, JFIF %t, Adobe %t %d, divisors to %d, scans %v, "+
			"interval %d, %d bits",
			width, height, h, v, ids[:n], jfif, adobe, transform, top, scans, interval,
			e.magnitude),
		e.out,
	}
}

func TestOddFramesEqualPillow(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	var files []file
	for range 1500 {
		files = append(files, oddFrame(rng))
	}
	compare(t, files)
}
