package jpeg

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// oddSegment draws something to put between two segments of a file.
func oddSegment(rng *rand.Rand) []byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	segment := func(marker byte, content string, rest []byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(2+len(content)+len(rest)))
		return append(append(b, content...), rest...)
	}
	cut := func(s string) string { return s[:len(s)-rng.IntN(2)*rng.IntN(len(s))] }
	switch rng.IntN(12) {
	case 0:
		return segment(markerAPP0, cut("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
			random(rng.IntN(4)))
	case 1:
		return segment(markerAPP14, cut("Adobe\x00\x64\x00\x00\x00\x00\x01"), random(rng.IntN(2)))
	case 2:
		return segment(markerAPP2, cut("ICC_PROFILE\x00\x01\x01"), random(rng.IntN(3)))
	case 3, 4:
		b := []byte("Photoshop 3.0\x00")
		for range rng.IntN(4) {
			b = append(b, "8BIM\x03\xED"...)
			name := random(rng.IntN(4))
			b = append(append(b, byte(len(name))), name...)
			if len(b)%2 == 1 {
				b = append(b, 0)
			}
			data := random(rng.IntN(20))
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(data)+rng.IntN(2)*rng.IntN(3))),
				data...)
			if len(b)%2 == 1 {
				b = append(b, 0)
			}
		}
		return segment(markerAPP13, "", b[:len(b)-rng.IntN(2)*rng.IntN(len(b)-13)])
	case 5:
		return segment(markerCOM, "", random(rng.IntN(300)))
	case 6:
		return slices.Repeat([]byte{0xFF}, 1+rng.IntN(5))
	case 7:
		return random(1 + rng.IntN(3))
	case 8:
		return [][]byte{{0xFF, 0}, {0xFF, markerTEM}, {0xFF, markerEOI}, {0xFF, markerSOI},
			{0xFF, markerRST0}}[rng.IntN(5)]
	case 9:
		// Tables alone, then the image.
		return []byte{0xFF, markerEOI, 0xFF, markerSOI}
	case 10:
		return segment(byte(0xC0+rng.IntN(64)), "", random(rng.IntN(30)))
	default:
		// A length too short for itself.
		return []byte{0xFF, byte(markerAPP0 + rng.IntN(16)), 0, byte(rng.IntN(3))}
	}
}

func TestHeadersEqualPillow(t *testing.T) {
	const seed = 6
	rng := rand.New(rand.NewPCG(seed, 0))
	bases := read(t, "testdata/dc-only.jpg", "testdata/arithmetic.jpg",
		"testdata/go/video-001.q50.410.jpeg",
		"testdata/go/video-001.rgb.jpeg", "testdata/go/video-005*")
	var files []file
	for i := range 2000 {
		f := bases[rng.IntN(len(bases))]
		data := slices.Clone(f.data)
		// The places where a segment starts.
		var starts []int
		for at := 2; data[at+1] != markerSOS; at += 2 + int(binary.BigEndian.Uint16(data[at+2:])) {
			starts = append(starts, at)
		}
		for range 1 + rng.IntN(2) {
			data = slices.Insert(data, starts[rng.IntN(len(starts))], oddSegment(rng)...)
		}
		files = append(files, file{fmt.Sprintf("%d: %s", i, f.name), data})
	}
	compare(t, files)
}
