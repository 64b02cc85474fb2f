package classify_test

import (
	"bytes"
	"encoding/json"
	"image/color"
	"math"
	"strings"
	"testing"

	"kerasrun/classify"
	"kerasrun/tensor"
)

// TestMapImage has the first colors of PASCAL VOC's own list, and the model's where it has them.
func TestMapImage(t *testing.T) {
	m := classify.Map{Height: 2, Width: 3, Classes: []uint16{0, 1, 2, 3, 20, 255}}
	img, err := m.Image()
	if err != nil {
		t.Fatal(err)
	}
	want := []color.RGBA{{0, 0, 0, 255}, {128, 0, 0, 255}, {0, 128, 0, 255}, {128, 128, 0, 255},
		{0, 64, 128, 255}, {224, 224, 192, 255}}
	for i, c := range want {
		if got := img.At(i%3, i/3); got != c {
			t.Errorf("class %d: got %v, want %v", m.Classes[i], got, c)
		}
	}
	m.Palette = [][3]uint8{{9, 8, 7}}
	if img, err = m.Image(); err != nil || img.At(0, 0) != (color.RGBA{9, 8, 7, 255}) ||
		img.At(1, 0) != want[1] || !bytes.Equal(img.Pix[3:5], []byte{3, 20}) {
		t.Errorf("with a palette: got %v, %v", img, err)
	}
	m.Classes[5] = 256
	if _, err = m.Image(); err == nil || !strings.Contains(err.Error(), "at most 256 classes") {
		t.Errorf("257 classes: got %v", err)
	}
}

func TestNumbers(t *testing.T) {
	inf := float32(math.Inf(1))
	for want, values := range map[string]tensor.Tensor{
		`[0.1,-2,1e+09,1e-07,"Infinity","-Infinity"]`: row(t,
			[]float32{0.1, -2, 1e9, 1e-7, inf, -inf}, 6),
		`[0.1]`:                  row(t, []float64{0.1}, 1),
		`[-9007199254740993]`:    row(t, []int64{-9007199254740993}, 1),
		`[16777217]`:             row(t, []int32{16777217}, 1),
		`[18446744073709551615]`: row(t, []uint64{math.MaxUint64}, 1),
		`[255]`:                  row(t, []uint8{255}, 1),
		`[true,false]`:           row(t, []bool{true, false}, 2),
	} {
		numbers, err := classify.Numbers(values)
		if err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if got, err := json.Marshal(numbers); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if _, err := classify.Numbers(row(t, [][]byte{nil}, 1)); err == nil {
		t.Error("got no error of strings")
	}
}
