package golden

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"kerasrun/contract"
	"kerasrun/preprocess"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// Format is the version of goldens.json that this package reads.
const Format = 1

const (
	maxIndexBytes = 16 << 20
	maxImageBytes = 256 << 20
)

// Pack is goldens.json: what the reference was, and where its results are.
type Pack struct {
	Dir       string            `json:"-"`
	Format    int               `json:"format"`
	Reference string            `json:"reference"` // the model that answered, in words
	Command   string            `json:"command"`   // what writes this pack
	Versions  map[string]string `json:"versions"`  // of the packages it was written with
	Signature string            `json:"signature"`
	// Input is what the reference took, and how its images were prepared.
	Input   contract.Input `json:"-"`
	Outputs []string       `json:"outputs"`
	Top     int            `json:"top"` // the k of the top-k agreement
	// Tolerance is by stage. That of logits and features is relative to a case's largest |value|.
	Tolerance map[string]float64 `json:"tolerance"`
	Cases     []Case             `json:"cases"`
}

// Case is one image and the npz file of what the reference made of it; both are file names in the
// pack's directory.
type Case struct {
	Name   string `json:"name"`
	Image  string `json:"image"`
	Arrays string `json:"arrays"`
}

// VersionError says that a pack has another format than this package reads, and how to write it
// again.
type VersionError struct {
	File    string
	Format  int
	Command string
}

func (e *VersionError) Error() string {
	command := e.Command
	if command == "" {
		command = "kerasrun-golden"
	}
	return fmt.Sprintf("%s: format %d, but this kerasrun reads format %d; regenerate the pack "+
		"with this kerasrun's own %s",
		e.File, e.Format, Format, command)
}

// Open reads dir's goldens.json and checks it; the error lists everything that is wrong with it.
// The cases' files are read as they are verified.
func Open(dir string) (*Pack, error) {
	path := filepath.Join(dir, contract.GoldensIndex)
	raw, err := readFile(path, maxIndexBytes)
	if err != nil {
		return nil, err
	}
	p := &Pack{Dir: dir}
	index := struct {
		*Pack
		Input contract.Input1 `json:"input"`
	}{Pack: p}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.Input = index.Input.Input()
	if p.Format != Format {
		return nil, &VersionError{File: path, Format: p.Format, Command: p.Command}
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Measured returns the pack with outputs that are measured and not judged, for an arithmetic that
// was chosen for its speed. Any finite difference passes, and any order of the classes. NaN, and
// another shape, still fail.
func (p *Pack) Measured() *Pack {
	return p.tolerating(func(float64) float64 { return math.Inf(1) })
}

// Loosened returns the pack with outputs that may differ by so many times what it tolerates.
func (p *Pack) Loosened(times float64) *Pack {
	return p.tolerating(func(tolerance float64) float64 { return times * tolerance })
}

func (p *Pack) tolerating(change func(float64) float64) *Pack {
	other := *p
	other.Tolerance = maps.Clone(p.Tolerance)
	for _, name := range p.Outputs {
		other.Tolerance[name] = change(p.Tolerance[name])
	}
	return &other
}

func (p *Pack) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if p.Signature == "" {
		fault("expected a signature, got none")
	}
	if in := p.Input; in.Name == "" || in.Kind != contract.KindImage || in.Layout != "NHWC" ||
		in.Channels() != 3 {
		fault("expected an input with a name, of height x width x 3 (NHWC), got %+v", in)
	} else if _, err := in.Pipeline(); err != nil {
		faults = append(faults, err)
	}
	if len(p.Outputs) == 0 {
		fault("expected outputs, got none")
	}
	if len(p.Cases) == 0 {
		fault("expected cases, got none")
	}
	if p.Top < 1 {
		fault("expected a top of 1 or more, got %d", p.Top)
	}
	for _, stage := range slices.Concat([]string{"decode", "resize", "tensor"}, p.Outputs) {
		if tolerance, ok := p.Tolerance[stage]; !ok {
			fault("expected a tolerance for %s, got none", stage)
		} else if !(tolerance >= 0) || math.IsInf(tolerance, 0) {
			fault("expected a tolerance of 0 or more for %s, got %v", stage, tolerance)
		}
	}
	seen := map[string]bool{}
	for i, c := range p.Cases {
		if c.Name == "" || seen[c.Name] {
			fault("case %d: expected a name of its own, got %q", i, c.Name)
		}
		seen[c.Name] = true
		for _, file := range []string{c.Image, c.Arrays} {
			if !filepath.IsLocal(file) {
				fault("case %q: expected a file name inside the pack, got %q", c.Name, file)
			}
		}
	}
	return errors.Join(faults...)
}

// checkPreprocessing returns an error unless the pack's images were prepared as pipeline does.
func (p *Pack) checkPreprocessing(pipeline *preprocess.Pipeline) error {
	own, err := p.Input.Pipeline()
	if err != nil {
		return fmt.Errorf("%s: %w", p.Dir, err)
	}
	if got, want := own.String(), pipeline.String(); got != want {
		return fmt.Errorf("%s: expected images prepared as the model does, %s, got %s", p.Dir, want,
			got)
	}
	return nil
}

// references are the arrays of one case.
type references struct {
	name    string
	image   []byte
	decoded tensor.Tensor   // uint8 (height, width, 3) of the image
	resized tensor.Tensor   // uint8 (height, width, 3) of the model's input
	tensor  tensor.Tensor   // float32, of the same shape
	outputs []tensor.Tensor // float32, in the order of Pack.Outputs, without the batch dimension
}

func (p *Pack) read(c Case) (*references, error) {
	image, err := readFile(filepath.Join(p.Dir, c.Image), maxImageBytes)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(p.Dir, c.Arrays)
	arrays, err := npy.ReadZip(path)
	if err != nil {
		return nil, err
	}
	var faults []error
	array := func(key string, dtype tensor.DType, shape tensor.Shape) tensor.Tensor {
		t, ok := arrays[key]
		if !ok {
			faults = append(faults, fmt.Errorf("%s: expected an array %q, got none", path, key))
			return t
		}
		if t.DType != dtype {
			faults = append(faults, fmt.Errorf("%s: %s: expected %v, got %v", path, key, dtype,
				t.DType))
		}
		if err := shape.Accepts(t.Shape); err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: shape: %w", path, key, err))
		}
		return t
	}
	height, width := p.Input.Size()
	h, w := int64(height), int64(width)
	r := &references{
		name:    c.Name,
		image:   image,
		decoded: array("decoded", tensor.Uint8, tensor.Shape{-1, -1, 3}),
		resized: array("resized", tensor.Uint8, tensor.Shape{h, w, 3}),
		tensor:  array("tensor", tensor.Float32, tensor.Shape{h, w, 3}),
	}
	for _, name := range p.Outputs {
		r.outputs = append(r.outputs, array(name, tensor.Float32, nil))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return r, nil
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s: expected at most %d bytes, got more", path, limit)
	}
	return raw, nil
}
