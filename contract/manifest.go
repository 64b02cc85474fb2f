package contract

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// ManifestPath is where kerasrun's exporter puts the manifest.
const ManifestPath = "assets.extra/kerasrun.json"

// Int8Dir is where in a model's directory its quantized graph is: a SavedModel with a manifest and
// goldens of its own.
const Int8Dir = "int8"

// Format is the version of the manifest that the exporter writes. Format 1 is read too.
const Format = 2

// MaxManifestBytes is the size of the largest manifest that is read.
const MaxManifestBytes = 16 << 20

// Manifest describes an exported directory: what the model is, what it takes and gives, and the
// hash of every file, its own included.
type Manifest struct {
	Format       int    `json:"format"`       // the version of the file's format: 1 or 2
	Architecture string `json:"architecture"` // as "resnext50"
	Graph        string `json:"graph"`        // "optimized", "reference" or "adopted"

	// Precision is that of the arithmetic: "float32", "bfloat16", "float16" or "int8". The exporter
	// writes "float32", and "int8" of a quantized graph.
	Precision string `json:"precision"`
	// Quantization is there where Precision is "int8", and nowhere else.
	Quantization *Quantization `json:"quantization,omitempty"`
	// Parameters counts those of the model before anything was folded.
	Parameters int64 `json:"parameters"`
	// FLOPs are for one image; a multiply-add is two. 0: not known, as of an adopted graph.
	FLOPs   int64   `json:"flops,omitempty"`
	Weights Weights `json:"weights"`
	// Conversion says in words what the graph does to its inputs beside what the Keras model does;
	// "" where it takes what the Keras model takes.
	Conversion string `json:"conversion"`
	// ReferenceDifference is the largest |difference| between the graph and the Python reference
	// on the images of the export: of `probs` where the model has them, else of any output,
	// divided by the image's largest |value|.
	ReferenceDifference float64 `json:"reference_difference"`

	Inputs  []Input             `json:"inputs"`
	Outputs map[string][]Output `json:"outputs"` // by signature
	// Signature is the key of the one that answers images and is called by default:
	// "serving_default" where the file leaves it out.
	Signature string `json:"signature,omitempty"`
	// Answer is the output of Signature that answers an image; "" where there is none.
	Answer string `json:"answer"`

	// Goldens is the golden pack's path in the directory, "" where there is none.
	Goldens string `json:"goldens"`
	// Recipe are the exporter's options that make the model again.
	Recipe   map[string]any    `json:"recipe"`
	Versions map[string]string `json:"versions"` // of packages, by name

	// Files are all files but the manifest, by path with slashes.
	Files map[string]File `json:"files"`
	// SHA256 is the hash of the manifest's own file with 64 zeros in place of this value. It shows
	// that the manifest is the one that was exported.
	SHA256 string `json:"sha256"`

	id string
}

// ID identifies the exported model: the SHA-256, in hexadecimal, of the manifest's file, which
// holds the hash of every other file. It is empty where the manifest does not come from [Parse].
func (m *Manifest) ID() string { return m.id }

// Weights says where the weights came from, and the SHA-256 of the file, or of the arrays drawn, in
// hexadecimal.
type Weights struct {
	Source string `json:"source"`
	SHA256 string `json:"sha256"`
}

// Quantization says how a graph of int8 was made, and how far it is from the model in Python.
type Quantization struct {
	Calibration       string   `json:"calibration"` // how the ranges were chosen, in words
	CalibrationImages int      `json:"calibration_images"`
	ImagesSHA256      string   `json:"images_sha256"`
	FloatLayers       []string `json:"float_layers"` // the layers that stayed float32
	Parity            Parity   `json:"parity"`
}

// Parity is how the graph's answers compare with those of the model in Python.
type Parity struct {
	Images  int                    `json:"images"`
	HeldOut bool                   `json:"held_out"` // the images are none of the calibration's
	Top1    float64                `json:"top1"`     // the share of images with the same class
	Top5    float64                `json:"top5"`     // whose class is among the graph's five best
	Max     float64                `json:"max"`      // of the images' largest |difference|
	Mean    float64                `json:"mean"`
	P99     float64                `json:"p99"`
	Classes map[string]ClassParity `json:"classes"` // by the class of the model in Python
}

// ClassParity is Parity for the images of a class.
type ClassParity struct {
	Images int     `json:"images"`
	Top1   float64 `json:"top1"`
}

// check returns all that is wrong with it.
func (q *Quantization) check() (errs []error) {
	p := q.Parity
	if q.CalibrationImages < 1 || p.Images < 1 {
		errs = append(errs, fmt.Errorf("quantization: expected images, got %d and %d",
			q.CalibrationImages, p.Images))
	}
	if !isSHA256(q.ImagesSHA256) {
		errs = append(errs, fmt.Errorf("quantization: images_sha256: expected 64 lower-case "+
			"hexadecimal digits, got %q", q.ImagesSHA256))
	}
	shares := []float64{p.Top1, p.Top5}
	for _, class := range p.Classes {
		shares = append(shares, class.Top1)
	}
	for _, share := range shares {
		if !(share >= 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("quantization: parity: expected a share, got %g", share))
		}
	}
	if !(p.Max >= 0 && p.Mean >= 0 && p.P99 >= 0) {
		errs = append(errs, fmt.Errorf("quantization: parity: expected differences, got %g, %g, %g",
			p.Max, p.Mean, p.P99))
	}
	return errs
}

// Synthetic says whether the weights were drawn and never trained, so that classes mean nothing.
func (w Weights) Synthetic() bool {
	source, _, _ := strings.Cut(w.Source, ":")
	return source == "synthetic" || source == "seeded" // the word of version 0.1.0 and before
}

// Image returns the one input that takes an image: made of it, or the bytes of its file. It is nil
// where there is none, or more than one.
func (m *Manifest) Image() *Input {
	var image *Input
	for i := range m.Inputs {
		if kind := m.Inputs[i].Kind; kind != KindImage && kind != KindEncoded {
			continue
		}
		if image != nil {
			return nil
		}
		image = &m.Inputs[i]
	}
	return image
}

// Output returns the output of a signature that is called name; nil where there is none.
func (m *Manifest) Output(signature, name string) *Output {
	outputs := m.Outputs[signature]
	for i := range outputs {
		if outputs[i].Name == name {
			return &outputs[i]
		}
	}
	return nil
}

// File is what a file has to be: its SHA-256 in hexadecimal, and its size.
type File struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Parse reads a manifest strictly: a field that this package does not know is an error, and so is a
// manifest whose SHA-256 is not the one in it. The error lists everything that is wrong. A manifest
// of format 1 is returned as format 2 states the same.
func Parse(data []byte) (*Manifest, error) {
	var version struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Format == nil {
		return nil, fmt.Errorf("format: expected 1 to %d, got none", Format)
	}
	m, first := new(Manifest), new(manifest1)
	var faults []error
	switch *version.Format {
	case 1:
		if err := decode(data, first); err != nil {
			return nil, err
		}
		m, faults = first.manifest()
	case Format:
		if err := decode(data, m); err != nil {
			return nil, err
		}
		m.Signature = cmp.Or(m.Signature, DefaultSignature)
	default:
		return nil, fmt.Errorf("format: expected 1 to %d, got %d; this kerasrun is older than the "+
			"exporter", Format, *version.Format)
	}
	if err := m.checkSum(data); err != nil {
		return nil, err
	}
	if len(faults) == 0 || m.Format == 1 {
		faults = append(faults, m.check()...)
	}
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	sum := sha256.Sum256(data)
	m.id = hex.EncodeToString(sum[:])
	return m, nil
}

// decode reads JSON strictly.
func decode(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf(
			"expected the end of the file after the manifest, got more at byte %d", d.InputOffset())
	}
	return nil
}

// joined sorts faults and joins them, each once.
func joined(faults []error) error {
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(slices.CompactFunc(faults, func(a, b error) bool {
		return a.Error() == b.Error()
	})...)
}

// checkSum compares the hash of the manifest's file with the SHA-256 in it.
func (m *Manifest) checkSum(data []byte) error {
	if !isSHA256(m.SHA256) {
		return fmt.Errorf("sha256: expected 64 lower-case hexadecimal digits, got %q; export the "+
			"model again", m.SHA256)
	}
	if got := Sum(data, m.SHA256); got != m.SHA256 {
		return fmt.Errorf("sha256: expected %s, got %s: the manifest is not as it was written",
			m.SHA256, got)
	}
	return nil
}

// Sum returns the SHA-256, in hexadecimal, of a manifest with zeros in the place of sum, which its
// last field holds.
func Sum(data []byte, sum string) string {
	data = bytes.Clone(data)
	if at := bytes.LastIndex(data, []byte(sum)); at >= 0 {
		copy(data[at:], bytes.Repeat([]byte("0"), len(sum)))
	}
	got := sha256.Sum256(data)
	return hex.EncodeToString(got[:])
}

// check returns all that is wrong with the manifest itself.
func (m *Manifest) check() []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Format != 1 {
		errs = oneOf("graph", m.Graph, "optimized", "reference", "adopted")
	}
	errs = append(errs, oneOf("precision", m.Precision, "float32", "bfloat16", "float16",
		"int8")...)
	switch quantized := m.Precision == "int8"; {
	case quantized != (m.Quantization != nil):
		wrong("quantization: expected it with precision int8 and no other, got precision %s",
			m.Precision)
	case quantized:
		errs = append(errs, m.Quantization.check()...)
	}
	if m.Architecture == "" {
		wrong("architecture: expected a name, got none")
	}
	if m.Parameters < 0 || m.FLOPs < 0 {
		wrong("parameters, flops: expected counts, got %d, %d", m.Parameters, m.FLOPs)
	}
	if !(m.ReferenceDifference >= 0) {
		wrong("reference_difference: expected a difference, got %g", m.ReferenceDifference)
	}
	if m.Format != 1 {
		errs = append(errs, m.checkInputs()...)
	}
	errs = append(errs, m.checkOutputs()...)
	if m.Goldens != "" && !fs.ValidPath(m.Goldens) {
		wrong("goldens: expected a path in the directory, got %q", m.Goldens)
	}
	if !isSHA256(m.Weights.SHA256) {
		wrong("weights.sha256: expected 64 lower-case hexadecimal digits, got %q", m.Weights.SHA256)
	}
	for name, f := range m.Files {
		switch {
		case !fs.ValidPath(name) || name == ManifestPath:
			wrong("files: expected paths of other files in the directory, got %q", name)
		case !isSHA256(f.SHA256):
			wrong("files: %s: sha256: expected 64 lower-case hexadecimal digits, got %q", name,
				f.SHA256)
		case f.Bytes < 0:
			wrong("files: %s: bytes: expected a size, got %d", name, f.Bytes)
		}
	}
	return errs
}

func (m *Manifest) checkInputs() []error {
	var errs []error
	if len(m.Inputs) == 0 {
		errs = append(errs, errors.New("inputs: expected at least one, got none"))
	}
	seen := map[string]bool{}
	for n, in := range m.Inputs {
		if seen[in.Name] {
			errs = append(errs, fmt.Errorf("inputs: expected each name once, got %q twice", in.Name))
		}
		seen[in.Name] = true
		for _, err := range in.check() {
			errs = append(errs, fmt.Errorf("inputs: %d (%q): %w", n, in.Name, err))
		}
	}
	return errs
}

func (m *Manifest) checkOutputs() []error {
	var errs []error
	if len(m.Outputs) == 0 {
		errs = append(errs, errors.New("outputs: expected at least one signature, got none"))
	}
	for key, outputs := range m.Outputs {
		seen := map[string]bool{}
		for n, out := range outputs {
			if seen[out.Name] {
				errs = append(errs, fmt.Errorf("outputs: %s: expected each name once, got %q twice",
					key, out.Name))
			}
			seen[out.Name] = true
			if m.Format == 1 {
				continue
			}
			for _, err := range out.check() {
				errs = append(errs, fmt.Errorf("outputs: %s: %d (%q): %w", key, n, out.Name, err))
			}
		}
	}
	_, ok := m.Outputs[m.Signature]
	switch {
	case !ok && len(m.Outputs) > 0:
		errs = append(errs, fmt.Errorf("signature: expected one of %q, got %q",
			slices.Sorted(maps.Keys(m.Outputs)), m.Signature))
	case ok && m.Answer != "" && m.Output(m.Signature, m.Answer) == nil:
		errs = append(errs, fmt.Errorf("answer: expected an output of %s, got %q", m.Signature,
			m.Answer))
	}
	return errs
}

func isSHA256(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == 32 && s == strings.ToLower(s)
}
