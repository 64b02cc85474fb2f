package png

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// split hands over data in pieces of different lengths.
type split struct {
	data []byte
	rng  *rand.Rand
}

func (s *split) next() ([]byte, error) {
	if len(s.data) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	n := min(len(s.data), 1+s.rng.IntN(1<<s.rng.IntN(18)))
	piece := s.data[:n]
	s.data = s.data[n:]
	return piece, nil
}

// sameAsFlate inflates with compress/flate, too, and compares the bytes, whether they end in an
// error, and what is left of a stream without one.
func sameAsFlate(t *testing.T, data []byte, seed uint64) {
	t.Helper()
	from := bytes.NewReader(data)
	want, wantErr := io.ReadAll(flate.NewReader(from))
	s := &split{data, rand.New(rand.NewPCG(seed, 1))}
	z := new(inflate)
	z.reset(s)
	var got []byte
	var err error
	for err == nil {
		row := make([]byte, 1+s.rng.IntN(5000))
		var n int
		n, err = io.ReadFull(z, row)
		got = append(got, row[:n]...)
	}
	if z.err == io.EOF != (wantErr == nil) {
		t.Fatalf("got %v, want %v", z.err, wantErr)
	}
	// flate asks for as many bits as the end of the block has, even where a code is shorter.
	if !bytes.HasPrefix(got, want) || wantErr == nil && len(got) != len(want) {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	if left := len(s.data) + len(z.piece); wantErr == nil && left != from.Len() {
		t.Fatalf("got %d bytes left, want %d", left, from.Len())
	}
}

// streams are streams of every kind of block, each with bytes behind it.
func streams(tb testing.TB) [][]byte {
	tb.Helper()
	rng := rand.New(rand.NewPCG(3, 1))
	var all [][]byte
	for _, size := range []int{0, 1, 700, 40000, 300000} {
		for kind := range 5 {
			data := make([]byte, size)
			for i := range data {
				switch kind {
				case 0:
					data[i] = byte(rng.Uint32())
				case 1:
					data[i] = byte(rng.NormFloat64() * 9) // codes of many lengths
				case 2:
					data[i] = byte(i / 1000)
				case 3:
					data[i] = byte(rng.ExpFloat64()) // short codes
				case 4:
					if data[i] = byte(rng.Uint32()); i > 100 && i%300 > 4 {
						data[i] = data[i-1-i/300%100*300%i] // far copies
					}
				}
			}
			for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
				var b bytes.Buffer
				w, err := flate.NewWriter(&b, level)
				if err == nil {
					_, err = w.Write(data)
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					tb.Fatal(err)
				}
				all = append(all, append(b.Bytes(), "12345678901234567"...))
			}
		}
	}
	return all
}

func TestInflateIsFlate(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, stream := range streams(t) {
		sameAsFlate(t, stream, rng.Uint64())
		sameAsFlate(t, stream[:rng.IntN(len(stream))], rng.Uint64())
		for range min(20, 200000/(1+len(stream))) {
			damaged := slices.Clone(stream)
			for range 1 + rng.IntN(3) {
				damaged[rng.IntN(1+rng.IntN(len(damaged)))] ^= 1 << rng.IntN(8)
			}
			sameAsFlate(t, damaged, rng.Uint64())
		}
	}
}

func FuzzInflate(f *testing.F) {
	for _, stream := range streams(f) {
		if len(stream) < 1000 {
			f.Add(stream, uint64(1))
		}
	}
	f.Fuzz(sameAsFlate)
}
