package cvimage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// fastest returns the fastest of the runs of 20 ms, at least one.
func fastest(run func()) time.Duration {
	best := time.Duration(1 << 62)
	for end := time.Now().Add(20 * time.Millisecond); ; {
		before := time.Now()
		run()
		best = min(best, time.Since(before))
		if time.Now().After(end) {
			return best
		}
	}
}

// compare reports how much faster run is than cv2, which answers a request, round by round.
func compare(b *testing.B, o *opencv, run func(), data []byte, request ...int) {
	request[0] += 4
	var ratios, ours, theirs []float64
	for range 9 {
		mine := fastest(run)
		answer, _, _, _ := o.ask(b, data, request...)
		his := time.Duration(binary.LittleEndian.Uint64(answer))
		ratios = append(ratios, float64(his)/float64(mine))
		ours = append(ours, float64(mine.Microseconds()))
		theirs = append(theirs, float64(his.Microseconds()))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "times-as-fast")
	b.ReportMetric(slices.Min(ours), "ours-us")
	b.ReportMetric(slices.Min(theirs), "cv2-us")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAgainstOpenCV runs both in turns: `go test -run XXX -bench OpenCV -benchtime 1x`.
// CVIMAGE_THREADS=1 holds cv2 to one thread.
func BenchmarkAgainstOpenCV(b *testing.B) {
	o := startOpenCV(b)
	r := rand.New(rand.NewPCG(1, 1))
	var out []uint8
	for _, m := range methods {
		for _, size := range [][5]int{
			{640, 480, 3, 224, 224}, {500, 375, 3, 299, 299}, {64, 48, 3, 224, 224},
			{1920, 1080, 3, 224, 224}, {640, 480, 1, 224, 224}, {640, 480, 4, 224, 224},
			{448, 448, 3, 224, 224},
		} {
			w, h, c, ow, oh := size[0], size[1], size[2], size[3], size[4]
			src := make([]uint8, w*h*c)
			for i := range src {
				src[i] = uint8(r.IntN(256))
			}
			b.Run(fmt.Sprintf("%s/%dx%dx%d-%dx%d", m.name, w, h, c, ow, oh), func(b *testing.B) {
				compare(b, o, func() { out = Resize(out, src, w, h, c, ow, oh, m.method) }, src,
					askResize, w, h, c, ow, oh, m.number)
			})
		}
	}
	paths, err := filepath.Glob("../../../testdata/photos/*.*[gp]")
	if err != nil || len(paths) == 0 {
		b.Fatalf("got no photographs: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range modes[:2] {
			b.Run(fmt.Sprintf("decode/%s/%s", filepath.Base(path), m.name), func(b *testing.B) {
				compare(b, o, func() {
					if out, _, _, err = Decode(out, data, m.options); err != nil {
						b.Fatal(err)
					}
				}, data, askDecode, m.flags)
			})
		}
	}
}
