package preprocess_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// libraries is a Python process that answers with what the libraries make of an image; see
// testdata/pipelines.py.
type libraries struct{ *pythontest.Process }

func startLibraries(t *testing.T) *libraries {
	t.Helper()
	return &libraries{pythontest.Start(t, "testdata/pipelines.py")}
}

// made is one stage of what Python makes of an image.
type made struct {
	dtype string
	shape []int64
	bytes []byte
}

// stages are what Python makes of a file: decoded, resized, tensor; or its refusal.
func (l *libraries) stages(
	t *testing.T, p *preprocess.Pipeline, file []byte,
) (stages [3]made, refused error) {
	t.Helper()
	line, err := json.Marshal(map[string]any{"input": asInput(p), "bytes": len(file)})
	if err != nil {
		t.Fatal(err)
	}
	l.In.Write(append(line, '\n'))
	l.In.Write(file)
	if err := l.In.Flush(); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	if line, err = l.Out.ReadBytes('\n'); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(line, &head); err != nil {
		t.Fatal(err)
	}
	if reason, ok := head["error"]; ok {
		return stages, errors.New(string(reason))
	}
	for i, name := range []string{"decoded", "resized", "tensor"} {
		s := &stages[i]
		if err := json.Unmarshal(head[name], &[]any{&s.dtype, &s.shape}); err != nil {
			t.Fatal(err)
		}
		d, err := tensor.ParseDType(s.dtype)
		if err != nil {
			t.Fatal(err)
		}
		n, err := tensor.Shape(s.shape).Elements()
		if err != nil {
			t.Fatal(err)
		}
		s.bytes = make([]byte, int(n)*d.Size())
		if _, err := io.ReadFull(l.Out, s.bytes); err != nil {
			t.Fatal(err)
		}
	}
	return stages, nil
}

// asInput is a pipeline as a manifest states it.
func asInput(p *preprocess.Pipeline) map[string]any {
	arithmetic := "float32"
	if p.Normalize.Float64 {
		arithmetic = "float64"
	}
	steps := []map[string]any{}
	for _, s := range p.Normalize.Steps {
		values := s.Values
		if values == nil {
			values = []float64{}
		}
		steps = append(steps, map[string]any{"op": s.Op.String(), "values": values})
	}
	return map[string]any{
		"name": "images", "kind": "image", "dtype": p.DType.String(),
		"shape": append([]int64{-1}, p.Shape()...), "layout": p.Layout.String(),
		"decode": map[string]any{"by": p.Decode.By.String(), "color": p.Decode.Color.String(),
			"exif": p.Decode.EXIF},
		"resize": map[string]any{"by": p.Resize.By.String(), "method": p.Resize.Method.String(),
			"fit": p.Resize.Fit.String(), "antialias": p.Resize.Antialias, "fill": p.Resize.Fill,
			"short_side": p.Resize.ShortSide},
		"normalize": map[string]any{"dtype": arithmetic, "steps": steps},
	}
}

// bytesOf returns an image as a stage.
func bytesOf(t *testing.T, m *preprocess.Image) made {
	t.Helper()
	s := made{"uint8", []int64{int64(m.Height), int64(m.Width), int64(m.Channels)}, m.Pix}
	if len(m.Values) > 0 {
		s.dtype = "float32"
		var err error
		if s.bytes, err = binary.Append(nil, binary.LittleEndian, m.Values); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// apart says how two stages differ, "" if they do not.
func apart(got, want made) string {
	if got.dtype != want.dtype || fmt.Sprint(got.shape) != fmt.Sprint(want.shape) {
		return fmt.Sprintf("expected %s %v, got %s %v", want.dtype, want.shape, got.dtype,
			got.shape)
	}
	count, first := 0, -1
	for i := range min(len(got.bytes), len(want.bytes)) {
		if got.bytes[i] != want.bytes[i] {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if len(got.bytes) != len(want.bytes) || count > 0 {
		return fmt.Sprintf("%d of %d bytes differ, got %d bytes; the first at %d", count,
			len(want.bytes), len(got.bytes), first)
	}
	return ""
}

// compare holds each stage of a pipeline against Python's.
func compare(
	t *testing.T, l *libraries, name string, p *preprocess.Pipeline, file []byte,
) (refused bool) {
	t.Helper()
	name = fmt.Sprintf("%s: %v", name, p)
	if err := p.Validate(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	decoded, err := p.DecodeImage(file)
	want, refusal := l.stages(t, p, file)
	if err != nil {
		var unsupported *preprocess.UnsupportedError
		// OpenCV reads some damaged files that are refused here.
		if refusal == nil && p.Decode.By != preprocess.OpenCV && !errors.As(err, &unsupported) {
			t.Errorf("%s: got %v, want an image", name, err)
		}
		return true
	}
	if refusal != nil {
		if _, err := p.Image(file); err == nil {
			t.Errorf("%s: got an image, want a refusal (%v)", name, refusal)
		}
		return true
	}
	resized, err := p.Image(file)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	x, err := p.Tensor(resized)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range []made{bytesOf(t, decoded), bytesOf(t, resized),
		{x.DType.String(), x.Shape, raw}} {
		if d := apart(got, want[i]); d != "" {
			t.Errorf("%s: %s: %s", name, []string{"decoded", "resized", "tensor"}[i], d)
			break
		}
	}
	return false
}

// drawSteps draws the arithmetic of a tensor of so many channels.
func drawSteps(r *rand.Rand, channels int, d tensor.DType) preprocess.Normalize {
	var n preprocess.Normalize
	n.Float64 = r.IntN(3) == 0
	if d == tensor.Uint8 {
		n.Steps = []preprocess.Step{{Op: preprocess.Round}}
		return n
	}
	for range r.IntN(4) {
		s := preprocess.Step{Op: preprocess.Op(r.IntN(5))}
		if s.Op != preprocess.Round {
			s.Values = make([]float64, 1+r.IntN(2)*(channels-1))
			for i := range s.Values {
				s.Values[i] = []float64{255, 127.5, 1.0 / 255, 0.485, 103.939, 58.395}[r.IntN(6)]
			}
		}
		n.Steps = append(n.Steps, s)
	}
	return n
}

// drawPipeline draws a pipeline, but for how it decodes.
func drawPipeline(r *rand.Rand, decode preprocess.Decode) *preprocess.Pipeline {
	side := func() int { return 1 + int(r.ExpFloat64()*40) }
	p := &preprocess.Pipeline{Decode: decode, Width: side(), Height: side()}
	by := preprocess.Library(r.IntN(3))
	p.Resize.By = by
	p.Resize.Method = preprocess.Methods(by)[r.IntN(len(preprocess.Methods(by)))]
	p.Resize.Fit = preprocess.Fits(by)[r.IntN(len(preprocess.Fits(by)))]
	keras := []preprocess.Method{preprocess.Nearest, preprocess.Bilinear, preprocess.Bicubic,
		preprocess.Lanczos3, preprocess.Lanczos5}
	if by == preprocess.TensorFlow &&
		(p.Resize.Fit == preprocess.Crop || p.Resize.Fit == preprocess.PadFirst) {
		p.Resize.Method = keras[r.IntN(len(keras))]
	}
	p.Resize.Antialias = by == preprocess.TensorFlow && r.IntN(2) == 0
	switch p.Resize.Fit {
	case preprocess.ShortSide:
		p.Resize.ShortSide = max(p.Width, p.Height) + r.IntN(20)
	case preprocess.Pad, preprocess.PadFirst:
		if by == preprocess.Pillow || p.Resize.Fit == preprocess.PadFirst {
			p.Resize.Fill = float32([]int{0, 255, 128}[r.IntN(3)])
		}
	case preprocess.NoFit:
		if r.IntN(4) > 0 {
			p.Width, p.Height = 0, 0
		}
	}
	channels := decode.Color.Channels()
	p.DType = []tensor.DType{tensor.Float32, tensor.Float32, tensor.Float16,
		tensor.Uint8}[r.IntN(4)]
	p.Layout = preprocess.Layout(r.IntN(2))
	if channels == 1 && r.IntN(2) == 0 {
		p.Layout = preprocess.NHW
	}
	p.Normalize = drawSteps(r, channels, p.DType)
	return p
}

// TestPipelinesEqualLibraries draws pipelines, and takes files of every format through them and
// through Pillow, TensorFlow and OpenCV.
func TestPipelinesEqualLibraries(t *testing.T) {
	l := startLibraries(t)
	r := testseed.Rand(t)
	files := map[string][]byte{}
	var names []string
	for _, pattern := range []string{"../testdata/photos/*.*", "../testdata/images/generated/*.*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			switch filepath.Ext(path) {
			case ".jpg", ".png", ".gif", ".bmp", ".webp":
				files[path] = readFile(t, path)
				names = append(names, path)
			}
		}
	}
	count := 1500
	if testing.Short() {
		count = 300
	}
	compared, refused := 0, 0
	for range count {
		decode := preprocess.Decode{By: preprocess.Library(r.IntN(3)),
			Color: preprocess.Color(r.IntN(5))}
		decode.EXIF = decode.By != preprocess.TensorFlow && r.IntN(3) == 0
		if decode.By == preprocess.OpenCV && decode.Color == preprocess.RGBA {
			decode.Color = preprocess.BGR
		}
		name := names[r.IntN(len(names))]
		if compare(t, l, name, drawPipeline(r, decode), files[name]) {
			refused++
		} else {
			compared++
		}
	}
	t.Logf("%d compared in three stages, %d refused", compared, refused)
	if compared < count/2 {
		t.Errorf("got %d compared, want at least half of %d", compared, count)
	}
}
