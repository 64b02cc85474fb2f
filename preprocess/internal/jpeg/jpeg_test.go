package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"kerasrun/preprocess/internal/codec"

	"kerasrun/internal/pythontest"
)

func ExampleDecode() {
	data, err := os.ReadFile("testdata/go/video-001.q50.410.jpeg")
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg, err := DecodeConfig(data)
	if err != nil || cfg.Width*cfg.Height > 1<<20 {
		fmt.Println("refused:", err)
		return
	}
	pix, width, height, err := Decode(data, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(width, height, pix[:3])
	// Output: 150 103 [124 12 1]
}

func FuzzDecode(f *testing.F) {
	for _, seed := range committed(f) {
		f.Add(seed.data)
	}
	rng := rand.New(rand.NewPCG(5, 0))
	for range 20 {
		f.Add(oddFrame(rng).data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := DecodeConfig(data)
		if err == nil && cfg.Width*cfg.Height > 1<<18 {
			return
		}
		pix, w, h, decodeErr := Decode(data, nil)
		if err != nil && decodeErr == nil {
			t.Fatalf("decoded what DecodeConfig refused: %v", err)
		}
		if decodeErr != nil {
			var format FormatError
			var unsupported codec.UnsupportedError
			if pix != nil || !errors.As(decodeErr, &format) && !errors.As(decodeErr, &unsupported) {
				t.Fatalf("%d bytes with error %v", len(pix), decodeErr)
			}
			return
		}
		if w != cfg.Width || h != cfg.Height || len(pix) != 3*w*h {
			t.Fatalf("%d bytes for %d x %d, declared %d x %d", len(pix), w, h, cfg.Width,
				cfg.Height)
		}
		// Nothing is left over from one decoding to the next.
		again, _, _, err := Decode(data, bytes.Repeat([]byte{0xA5}, len(pix)+1))
		if err != nil || !bytes.Equal(again, pix) {
			t.Fatalf("a second decoding differs: %v", err)
		}
	})
}

func TestDecodeIsConcurrent(t *testing.T) {
	files := committed(t)
	want := make([]pythontest.Image, len(files))
	for i, f := range files {
		want[i] = decode(f)
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			var buf []byte
			for i := range files {
				i = (i + g) % len(files)
				pix, _, _, err := Decode(files[i].data, buf)
				if err != nil || !bytes.Equal(pix, want[i].Pix) {
					t.Errorf("%s: differs from the first decoding: %v", files[i].name, err)
				}
				buf = pix
			}
		})
	}
	group.Wait()
}

func TestDecodeReusesItsBuffer(t *testing.T) {
	f := committed(t)[0]
	first, _, _, err := Decode(f.data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{len(first), len(first) + 1000} {
		dst := make([]byte, 0, room)
		pix, _, _, err := Decode(f.data, dst)
		if err != nil || &pix[0] != &dst[:1][0] {
			t.Errorf("room for %d bytes was not used: %v", room, err)
		}
	}
	short := make([]byte, len(first)-1)
	if pix, _, _, err := Decode(f.data, short); err != nil || !bytes.Equal(pix, first) {
		t.Errorf("into a short buffer: %v", err)
	}
}

// The size that a file declares costs nothing until Decode is called.
func TestDecodeConfigAllocatesNothing(t *testing.T) {
	data := bytes.Clone(read(t, "testdata/go/video-001.rgb.jpeg")[0].data)
	at := bytes.Index(data, []byte{0xFF, markerSOF0})
	binary.BigEndian.PutUint32(data[at+5:], 0xFFFFFFFF)
	var cfg Config
	var err error
	allocs := testing.AllocsPerRun(10, func() { cfg, err = DecodeConfig(data) })
	if want := (Config{65535, 65535, 3}); cfg != want || err != nil || allocs > 0 {
		t.Errorf("%+v, %v with %v allocations, want %+v with none", cfg, err, allocs, want)
	}
	if _, _, _, err := Decode(data, nil); !errors.As(err, new(codec.UnsupportedError)) {
		t.Errorf("Decode: %v, want an UnsupportedError", err)
	}
}

func TestErrors(t *testing.T) {
	good := read(t, "testdata/go/video-001.q50.410.jpeg")[0].data
	sof, sos := bytes.Index(good, []byte{0xFF, markerSOF0}), bytes.Index(good,
		[]byte{0xFF, markerSOS})
	edit := func(at int, b ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], b)
		return data
	}
	progressive := read(t, "testdata/dc-only.jpg")[0].data
	scan := progressive[bytes.Index(progressive, []byte{0xFF, markerSOS}) : len(progressive)-2]
	many := append(bytes.Clone(progressive[:len(progressive)-2]), bytes.Repeat(scan, maxScans)...)
	for _, test := range []struct {
		name        string
		data        []byte
		unsupported bool
		want        string
	}{
		{"empty", nil, false, "the file does not start with FF D8 FF"},
		{"PNG", []byte("\x89PNG\r\n\x1a\n"), false, "the file does not start with FF D8 FF"},
		{"headers only", good[:sos], false, "no scan"},
		{"cut in a segment", good[:sof+6], false, "the file is truncated"},
		{"cut in the scan", good[:sos+400], false, "the file is truncated"},
		{"12 bits", edit(sof+4, 12), true, "expected 8 bits per sample, got 12"},
		{"no width", edit(sof+7, 0, 0), false, "no frame header with a size before the first scan"},
		{"too wide", edit(sof+7, 0xFF, 0xFF), true,
			"expected at most 65500 pixels each way, got 65535 x 103"},
		{"lossless", edit(sof+1, markerSOF3), true, "lossless coding"},
		{"hierarchical", edit(sof+1, 0xC5), true, "frames of type FF C5"},
		{"sampling of 5", edit(sof+11, 0x51), false,
			"sampling factors: expected 1 to 4, got 5 x 1"},
		{"sampling of 3 and 4", edit(sof+14, 0x31), true, "fractional sampling: 3 x 1 of 4 x 2"},
		{"missing divisors", edit(sof+12, 3), false, "quantization table 3 is missing"},
		{"missing codes", edit(sos+6, 0x33), false, "a Huffman table is missing"},
		{"strange component", edit(sos+5, 99), false,
			"the scan has component 99, which the frame lacks"},
		{"many scans", append(many, 0xFF, markerEOI), true, "more than 500 scans"},
	} {
		_, _, _, err := Decode(test.data, nil)
		var want error = FormatError(test.want)
		if test.unsupported {
			want = codec.UnsupportedError(test.want)
		}
		if err != want {
			t.Errorf("%s: %v, want %v", test.name, err, want)
		}
	}
}
