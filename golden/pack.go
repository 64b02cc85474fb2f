package golden

import (
	"bytes"
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
)

// Format is the version of goldens.json that this package reads. Format 1 is read too.
const Format = 2

// The kinds of references. A pack made as a manifest says would not show that this is wrong.
const (
	FunctionReference = "function" // the user's own function made the tensors
	ManifestReference = "manifest" // they were made as the manifest says
)

const (
	maxIndexBytes = 16 << 20
	maxImageBytes = 256 << 20
)

// Pack is goldens.json: what the reference was, and where its results are.
type Pack struct {
	Dir       string `json:"-"`
	Format    int    `json:"format"`    // of the file: 1 or 2
	Reference string `json:"reference"` // what answered, in words
	// ReferenceKind is FunctionReference or ManifestReference, which those of format 1 are.
	ReferenceKind string            `json:"reference_kind"`
	Command       string            `json:"command"`  // what writes this pack
	Versions      map[string]string `json:"versions"` // of the packages it was written with
	Signature     string            `json:"signature"`
	// Inputs are what the reference took, and how its images were prepared.
	Inputs  []contract.Input `json:"-"`
	Outputs []string         `json:"outputs"`
	Top     int              `json:"top"` // the k of the top-k agreement
	// Tolerance is by stage, the largest |difference|. In format 1 that of outputs other than
	// probabilities is relative to a case's largest |value|.
	Tolerance map[string]float64 `json:"tolerance"`
	Cases     []Case             `json:"cases"`

	// MinTop1 is the share of cases, 0 to 1, whose class has to be the reference's, in each output
	// of classes, beside the tolerances.
	MinTop1 float64 `json:"-"`
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
	return fmt.Sprintf("%s: format %d, but this kerasrun reads formats 1 to %d; regenerate the pack "+
		"with this kerasrun's own %s", e.File, e.Format, Format, command)
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
		Input  contract.Input1 `json:"input"`  // of format 1
		Inputs json.RawMessage `json:"inputs"` // of format 2
	}{Pack: p}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch p.Format {
	case 1:
		p.Inputs = []contract.Input{index.Input.Input()}
		p.ReferenceKind = ManifestReference
	case Format:
		// A field that is not known could be one that changes the tensor.
		d := json.NewDecoder(bytes.NewReader(index.Inputs))
		d.DisallowUnknownFields()
		if err := d.Decode(&p.Inputs); err != nil && len(index.Inputs) > 0 {
			return nil, fmt.Errorf("%s: inputs: %w", path, err)
		}
	default:
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

// Tolerating returns the pack with other tolerances of the outputs that are named. It is an error
// where the pack has no such output.
func (p *Pack) Tolerating(tolerances map[string]float64) (*Pack, error) {
	for name := range tolerances {
		if !slices.Contains(p.Outputs, name) {
			return nil, fmt.Errorf("tolerance of %q: expected one of the outputs %q of the pack %s",
				name, p.Outputs, p.Dir)
		}
	}
	other := *p
	other.Tolerance = maps.Clone(p.Tolerance)
	maps.Copy(other.Tolerance, tolerances)
	return &other, nil
}

// image returns the input that is made of images, nil where there is none.
func (p *Pack) image() *contract.Input {
	i := slices.IndexFunc(p.Inputs, func(in contract.Input) bool {
		return in.Kind == contract.KindImage
	})
	if i < 0 {
		return nil
	}
	return &p.Inputs[i]
}

// batch returns the number of rows that the model takes, 0 where it takes any.
func (p *Pack) batch() int {
	for _, in := range p.Inputs {
		if in.Shape[0] > 0 {
			return int(in.Shape[0])
		}
	}
	return 0
}

func (p *Pack) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if p.Signature == "" {
		fault("expected a signature, got none")
	}
	if p.ReferenceKind != FunctionReference && p.ReferenceKind != ManifestReference {
		fault("expected a reference_kind of %q or %q, got %q", FunctionReference,
			ManifestReference, p.ReferenceKind)
	}
	faults = append(faults, p.validateInputs()...)
	if len(p.Outputs) == 0 {
		fault("expected outputs, got none")
	}
	if len(p.Cases) == 0 {
		fault("expected cases, got none")
	}
	if p.Top < 1 {
		fault("expected a top of 1 or more, got %d", p.Top)
	}
	stages := []string{"decode", "resize", "tensor"}
	for i, name := range p.Outputs {
		if slices.Contains(p.Outputs[:i], name) {
			fault("expected each output once, got %q twice", name)
			break // of a long list of one name
		}
		if slices.Contains(append(stages, "decoded", "resized"), name) {
			fault("expected outputs of other names than the stages and their arrays, got %q", name)
		}
	}
	for _, stage := range slices.Concat(stages, p.Outputs) {
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

// validateInputs checks what is read before the inputs are compared with a manifest's, which are
// right.
func (p *Pack) validateInputs() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if p.Format == 1 {
		in := p.Inputs[0]
		if in.Name == "" || in.Kind != contract.KindImage || in.Layout != "NHWC" ||
			in.Channels() != 3 {
			fault("expected an input with a name, of height x width x 3 (NHWC), got %+v", in)
		} else if _, err := in.Pipeline(); err != nil {
			faults = append(faults, err)
		}
		return faults
	}
	if len(p.Inputs) == 0 {
		fault("expected inputs, got none")
	}
	images, batches := 0, map[int64]bool{}
	for _, in := range p.Inputs {
		if in.Name == "" || len(in.Shape) == 0 {
			fault("expected inputs with a name and a batch dimension, got %q of %v", in.Name,
				in.Shape)
			continue
		}
		batches[in.Shape[0]] = true
		switch in.Kind {
		case contract.KindImage:
			images++
			if _, err := in.Pipeline(); err != nil {
				faults = append(faults, err)
			}
		case contract.KindEncoded, contract.KindTensor:
		default:
			fault("input %q: expected a kind image, encoded or tensor, got %q", in.Name, in.Kind)
		}
	}
	if images > 1 {
		fault("expected at most one input of images, for a case is one image, got %d", images)
	}
	if len(batches) > 1 {
		fault("expected inputs of one batch size, got %v", slices.Sorted(maps.Keys(batches)))
	}
	return faults
}

// checkRegular refuses what is not a file: opening a pipe may wait for ever.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: expected a file, got %v", path, info.Mode().Type())
	}
	return nil
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	if err := checkRegular(path); err != nil {
		return nil, err
	}
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
