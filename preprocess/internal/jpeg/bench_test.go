package jpeg

import (
	"path/filepath"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	for _, f := range read(b, "../../../testdata/photos/*.jpg", "testdata/go/*.jpeg") {
		b.Run(filepath.Base(f.name), func(b *testing.B) {
			cfg, err := DecodeConfig(f.data)
			if err != nil {
				b.Fatal(err)
			}
			pix := make([]byte, 3*cfg.Width*cfg.Height)
			b.SetBytes(int64(len(pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := Decode(f.data, pix); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
