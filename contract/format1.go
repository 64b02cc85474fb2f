package contract

import (
	"fmt"
	"io/fs"
	"slices"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// manifest1 is a manifest of format 1.
type manifest1 struct {
	Format              int                 `json:"format"`
	Architecture        string              `json:"architecture"`
	Graph               string              `json:"graph"`
	Precision           string              `json:"precision"`
	Parameters          int64               `json:"parameters"`
	FLOPs               int64               `json:"flops"`
	Weights             Weights             `json:"weights"`
	TrainedWith         string              `json:"trained_with"`
	Conversion          string              `json:"conversion"`
	ReferenceDifference float64             `json:"reference_difference"`
	Input               Input1              `json:"input"`
	Outputs             map[string][]string `json:"outputs"`
	Labels              string              `json:"labels"`
	Goldens             string              `json:"goldens"`
	Recipe              map[string]any      `json:"recipe"`
	Versions            map[string]string   `json:"versions"`
	Files               map[string]File     `json:"files"`
	SHA256              string              `json:"sha256"`
}

// Input1 is the input of a manifest, and of a golden pack, of format 1.
type Input1 struct {
	Name       string `json:"name"`
	DType      string `json:"dtype"`
	Height     int    `json:"height"`
	Width      int    `json:"width"`
	Channels   int    `json:"channels"`
	Layout     string `json:"layout"`
	ColorOrder string `json:"color_order"`
	Mode       string `json:"mode"`
	Resample   string `json:"resample"`
	Fit        string `json:"fit"`
}

// Input returns the input as format 2 states it. Format 1 could state images that nothing made,
// such as caffe mode in RGB order: those are plain tensors.
func (i Input1) Input() Input {
	height, width, channels := int64(i.Height), int64(i.Width), int64(i.Channels)
	in := Input{Name: i.Name, Kind: KindTensor, DType: i.DType,
		Shape: tensor.Shape{-1, height, width, channels}}
	if i.Layout == "NCHW" {
		in.Shape = tensor.Shape{-1, channels, height, width}
	}
	color, normalize, err := preprocess.KerasMode(i.Mode)
	order := "RGB"
	if color == preprocess.BGR {
		order = "BGR"
	}
	if err != nil || i.DType != "float32" || i.Layout != "NHWC" || channels != 3 ||
		i.ColorOrder != order {
		return in
	}
	in.Kind, in.Layout = KindImage, i.Layout
	in.Decode = &Decode{By: "pillow", Color: color.String()}
	in.Resize = &Resize{By: "pillow", Method: i.Resample, Fit: i.Fit}
	switch i.Fit {
	case "keep_aspect_ratio":
		in.Resize.Fit = "crop"
	case "center_crop": // the target is 224/256 of the short side
		in.Resize.Fit, in.Resize.ShortSide = "short_side", max(i.Width, i.Height)*8/7
	}
	in.Normalize = &Normalize{DType: "float32", Steps: []Step{}}
	for _, s := range normalize.Steps {
		in.Normalize.Steps = append(in.Normalize.Steps, Step{s.Op.String(), s.Values})
	}
	return in
}

// check returns all that is wrong with the input.
func (i Input1) check() []error {
	faults := oneOf("layout", i.Layout, "NHWC", "NCHW")
	faults = append(faults, oneOf("color_order", i.ColorOrder, "BGR", "RGB")...)
	faults = append(faults, oneOf("mode", i.Mode, "caffe", "tf", "torch", "none")...)
	faults = append(faults, oneOf("resample", i.Resample, "nearest", "box", "bilinear", "hamming",
		"bicubic", "lanczos")...)
	faults = append(faults, oneOf("fit", i.Fit, "stretch", "keep_aspect_ratio", "center_crop")...)
	if i.Name == "" {
		faults = append(faults, fmt.Errorf("name: expected a name, got none"))
	}
	if _, err := tensor.ParseDType(i.DType); err != nil {
		faults = append(faults, fmt.Errorf("dtype: %w", err))
	}
	for _, f := range []struct {
		field    string
		got, max int
	}{
		{"height", i.Height, 1<<15 - 1}, {"width", i.Width, 1<<15 - 1},
		{"channels", i.Channels, 4},
	} {
		if f.got < 1 || f.got > f.max {
			faults = append(faults, fmt.Errorf("%s: expected 1 to %d, got %d", f.field, f.max,
				f.got))
		}
	}
	return faults
}

func oneOf(field, got string, want ...string) []error {
	if slices.Contains(want, got) {
		return nil
	}
	return []error{fmt.Errorf("%s: expected one of %q, got %q", field, want, got)}
}

// output1 returns an output of the exporter's as format 2 states it.
func output1(name, labels string) Output {
	switch name {
	case OutputProbabilities:
		return Output{Name: name, Kind: Probabilities, Labels: labels}
	case OutputLogits:
		return Output{Name: name, Kind: Logits, Activation: "softmax", Labels: labels}
	case OutputFeatures:
		return Output{Name: name, Kind: Embedding}
	}
	return Output{Name: name, Kind: Tensor, Labels: labels}
}

// manifest returns the manifest as format 2 states it, and the faults that only format 1 has.
func (m *manifest1) manifest() (*Manifest, []error) {
	faults := oneOf("trained_with", m.TrainedWith, "caffe", "tf", "torch", "none")
	faults = append(faults, oneOf("graph", m.Graph, "optimized", "reference")...)
	for _, err := range m.Input.check() {
		faults = append(faults, fmt.Errorf("input.%w", err))
	}
	if m.Labels != "" && !fs.ValidPath(m.Labels) {
		faults = append(faults, fmt.Errorf("labels: expected a path in the directory, got %q",
			m.Labels))
	}
	n := &Manifest{
		Format: m.Format, Architecture: m.Architecture, Graph: m.Graph, Precision: m.Precision,
		Parameters: m.Parameters, FLOPs: m.FLOPs, Weights: m.Weights, Conversion: m.Conversion,
		ReferenceDifference: m.ReferenceDifference, Inputs: []Input{m.Input.Input()},
		Outputs: map[string][]Output{}, Signature: DefaultSignature, Goldens: m.Goldens,
		Recipe: m.Recipe, Versions: m.Versions,
		Files: m.Files, SHA256: m.SHA256,
	}
	for key, names := range m.Outputs {
		labels := "" // those of format 1 are the default signature's
		if key == DefaultSignature {
			labels = m.Labels
		}
		n.Outputs[key] = []Output{}
		for _, name := range names {
			n.Outputs[key] = append(n.Outputs[key], output1(name, labels))
			if key == DefaultSignature && name == OutputProbabilities {
				n.Answer = name
			}
		}
	}
	return n, faults
}
