package preprocess_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess"
)

// keras is a Python process that answers with what Keras and Pillow make of an image; see
// testdata/reference.py.
type keras struct {
	mu sync.Mutex
	*pythontest.Process
	err error
}

var (
	kerasOnce   sync.Once
	sharedKeras keras
)

// startKeras starts the process on first use. It ends with the tests, when its standard input does.
func startKeras(t testing.TB) *keras {
	t.Helper()
	python := pythontest.Python(t)
	kerasOnce.Do(func() {
		sharedKeras.Process, sharedKeras.err = pythontest.NewProcess(python, "testdata/reference.py")
	})
	if sharedKeras.err != nil {
		t.Fatal(sharedKeras.err)
	}
	return &sharedKeras
}

// A refusal is Keras's reason not to load an image.
type refusal string

func (r refusal) Error() string { return string(r) }

// ask sends a request and an image file, and returns the size and the bytes of the answer.
func (k *keras) ask(t testing.TB, request map[string]any, file []byte) (width, height int,
	answer []byte, err error) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	request["bytes"] = len(file)
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	k.In.Write(line)
	k.In.WriteByte('\n')
	k.In.Write(file)
	if err := k.In.Flush(); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	line, err = k.Out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	var head struct {
		Width, Height, Bytes int
		Error                string
	}
	if err := json.Unmarshal(line, &head); err != nil {
		t.Fatal(err)
	}
	answer = make([]byte, head.Bytes)
	if _, err := io.ReadFull(k.Out, answer); err != nil {
		t.Fatal(err)
	}
	if head.Error != "" {
		return 0, 0, nil, refusal(head.Error)
	}
	return head.Width, head.Height, answer, nil
}

// decode is load_img.
func (k *keras) decode(t testing.TB, file []byte) (*preprocess.Image, error) {
	t.Helper()
	w, h, pix, err := k.ask(t, map[string]any{}, file)
	return &preprocess.Image{Width: w, Height: h, Channels: 3, Pix: pix}, err
}

// resize is load_img with p's size, filter and fit.
func (k *keras) resize(t testing.TB, p *preprocess.Pipeline, file []byte) (*preprocess.Image,
	error) {
	t.Helper()
	w, h, pix, err := k.ask(t, map[string]any{
		"width": p.Width, "height": p.Height, "filter": p.Resize.Method.String(),
		"fit": p.Resize.Fit.String(),
	}, file)
	return &preprocess.Image{Width: w, Height: h, Channels: 3, Pix: pix}, err
}

// tensor is load_img, img_to_array and preprocess_input.
func (k *keras) tensor(
	t testing.TB, p *preprocess.Pipeline, mode string, file []byte,
) ([]float32, error) {
	t.Helper()
	_, _, raw, err := k.ask(t, map[string]any{
		"width": p.Width, "height": p.Height, "filter": p.Resize.Method.String(),
		"fit":  p.Resize.Fit.String(),
		"mode": mode,
	}, file)
	x := make([]float32, len(raw)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return x, err
}

// ppm is an image as a file that Pillow reads.
func ppm(m *preprocess.Image) []byte {
	return append(fmt.Appendf(nil, "P6 %d %d 255\n", m.Width, m.Height), m.Pix...)
}

// differ says how got differs from want, "" if it does not.
func differ(got, want *preprocess.Image) string {
	if got.Width != want.Width || got.Height != want.Height {
		return fmt.Sprintf("expected %d x %d, got %d x %d", want.Width, want.Height, got.Width,
			got.Height)
	}
	if len(got.Pix) != len(want.Pix) {
		return fmt.Sprintf("expected %d bytes, got %d", len(want.Pix), len(got.Pix))
	}
	first, count, largest := -1, 0, 0
	for i, g := range got.Pix {
		if d := int(g) - int(want.Pix[i]); d != 0 {
			if first < 0 {
				first = i
			}
			count++
			largest = max(largest, d, -d)
		}
	}
	if first < 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d bytes differ, by up to %d; first channel %d of (%d, %d): "+
		"expected %d, got %d",
		count, len(want.Pix), largest, first%3, first/3%want.Width, first/3/want.Width,
		want.Pix[first], got.Pix[first])
}

// sameBits says where two tensors differ in a bit, "" if they do not.
func sameBits(got, want []float32) string {
	if len(got) != len(want) {
		return fmt.Sprintf("expected %d elements, got %d", len(want), len(got))
	}
	for i, g := range got {
		if math.Float32bits(g) != math.Float32bits(want[i]) {
			return fmt.Sprintf("element %d: expected %v, got %v", i, want[i], g)
		}
	}
	return ""
}
