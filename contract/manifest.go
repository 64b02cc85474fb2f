package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// ManifestPath is where kerasrun's exporter puts the manifest.
const ManifestPath = "assets.extra/kerasrun.json"

// Format is the version of the manifest that this package reads.
const Format = 1

// MaxManifestBytes is the size of the largest manifest that is read.
const MaxManifestBytes = 16 << 20

// Manifest describes an exported directory: what the model is, what it takes and gives, and the
// hash of every file, its own included.
type Manifest struct {
	Format       int    `json:"format"`       // the version of the manifest's format
	Architecture string `json:"architecture"` // as "resnext50"
	Graph        string `json:"graph"`        // "optimized" or "reference"

	// Precision is that of the arithmetic: "float32", "bfloat16" or "float16". The exporter writes
	// "float32" alone.
	Precision string `json:"precision"`
	// Parameters counts those of the model before anything was folded.
	Parameters int64 `json:"parameters"`
	// FLOPs are for one image; a multiply-add is two.
	FLOPs   int64   `json:"flops"`
	Weights Weights `json:"weights"`
	// TrainedWith is the preprocessing that the weights expect: "caffe", "tf", "torch" or "none".
	TrainedWith string `json:"trained_with"`
	// Conversion says in words what the graph does to inputs prepared in another mode.
	Conversion string `json:"conversion"`
	// ReferenceDifference is the largest difference of a probability from Keras.
	ReferenceDifference float64 `json:"reference_difference"`

	Input   Input               `json:"input"`
	Outputs map[string][]string `json:"outputs"` // names by signature

	// Labels is the class list's path in the directory, "" where there is none.
	Labels string `json:"labels"`
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

// Input is the tensor that the model takes for an image. Mode, Resample and Fit are as preprocess
// parses them. Keras's names are those of Resample (its interpolation), of Mode but for "none", and
// "keep_aspect_ratio"; "stretch" and "center_crop" are not.
//
// Format 1 has more values than kerasrun's exporter writes today: NHWC, BGR, caffe, nearest and
// stretch. The others are read; [Input.Pipeline] says which of them images can be made for.
type Input struct {
	Name       string `json:"name"`
	DType      string `json:"dtype"`
	Height     int    `json:"height"`
	Width      int    `json:"width"`
	Channels   int    `json:"channels"`
	Layout     string `json:"layout"`      // "NHWC" or "NCHW"
	ColorOrder string `json:"color_order"` // "BGR" or "RGB"
	Mode       string `json:"mode"`
	Resample   string `json:"resample"`
	Fit        string `json:"fit"`
}

// Shape returns the shape of a batch of images, the batch size free.
func (i Input) Shape() tensor.Shape {
	height, width, channels := int64(i.Height), int64(i.Width), int64(i.Channels)
	if i.Layout == "NCHW" {
		return tensor.Shape{-1, channels, height, width}
	}
	return tensor.Shape{-1, height, width, channels}
}

// File is what a file has to be: its SHA-256 in hexadecimal, and its size.
type File struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Parse reads a manifest strictly: a field that this package does not know is an error, and so is a
// manifest whose SHA-256 is not the one in it. The error lists everything that is wrong.
func Parse(data []byte) (*Manifest, error) {
	var version struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Format == nil {
		return nil, fmt.Errorf("format: expected %d, got none", Format)
	}
	if *version.Format != Format {
		return nil, fmt.Errorf("format: expected %d, got %d", Format, *version.Format)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf(
			"expected the end of the file after the manifest, got more at byte %d", d.InputOffset())
	}
	if err := m.checkSum(data); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	m.id = hex.EncodeToString(sum[:])
	return m, nil
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
func (m *Manifest) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, f := range []struct {
		field, got string
		want       []string
	}{
		{"graph", m.Graph, []string{"optimized", "reference"}},
		{"precision", m.Precision, []string{"float32", "bfloat16", "float16"}},
		{"trained_with", m.TrainedWith, []string{"caffe", "tf", "torch", "none"}},
		{"input.layout", m.Input.Layout, []string{"NHWC", "NCHW"}},
		{"input.color_order", m.Input.ColorOrder, []string{"BGR", "RGB"}},
		{"input.mode", m.Input.Mode, []string{"caffe", "tf", "torch", "none"}},
		{"input.resample", m.Input.Resample, []string{"nearest", "box", "bilinear", "hamming",
			"bicubic", "lanczos"}},
		{"input.fit", m.Input.Fit, []string{"stretch", "keep_aspect_ratio", "center_crop"}},
	} {
		if !slices.Contains(f.want, f.got) {
			wrong("%s: expected one of %q, got %q", f.field, f.want, f.got)
		}
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
	if m.Input.Name == "" {
		wrong("input.name: expected a name, got none")
	}
	if _, err := tensor.ParseDType(m.Input.DType); err != nil {
		wrong("input.dtype: %v", err)
	}
	for _, f := range []struct {
		field string
		got   int
		max   int
	}{
		{"input.height", m.Input.Height, 1 << 16},
		{"input.width", m.Input.Width, 1 << 16},
		{"input.channels", m.Input.Channels, 4},
	} {
		if f.got < 1 || f.got > f.max {
			wrong("%s: expected 1 to %d, got %d", f.field, f.max, f.got)
		}
	}
	if len(m.Outputs) == 0 {
		wrong("outputs: expected at least one signature, got none")
	}
	for field, p := range map[string]string{"labels": m.Labels, "goldens": m.Goldens} {
		if p != "" && !fs.ValidPath(p) {
			wrong("%s: expected a path in the directory, got %q", field, p)
		}
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
	slices.SortFunc(errs, func(a, b error) int {
		return bytes.Compare([]byte(a.Error()), []byte(b.Error()))
	})
	return errors.Join(errs...)
}

func isSHA256(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == 32 && s == strings.ToLower(s)
}
