package contract

import (
	"fmt"
	"slices"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// The kinds of inputs.
const (
	KindImage   = "image"   // the tensor of an image file, made as the input states
	KindEncoded = "encoded" // strings: the bytes of image files, which the graph decodes itself
	KindTensor  = "tensor"  // anything else
)

// Input is an input of the model. An image's has a layout and the three steps that make it, in
// their order; the others have none of these. The words are those that package preprocess parses.
type Input struct {
	Name  string       `json:"name"`
	Kind  string       `json:"kind"`
	DType string       `json:"dtype"`
	Shape tensor.Shape `json:"shape"` // with the batch; -1 where a size is free

	Layout    string     `json:"layout,omitempty"` // "NHWC", "NCHW" or "NHW"
	Decode    *Decode    `json:"decode,omitempty"`
	Resize    *Resize    `json:"resize,omitempty"`
	Normalize *Normalize `json:"normalize,omitempty"`
}

// Decode says whose pixels an image is decoded to; see [preprocess.Decode].
type Decode struct {
	By    string `json:"by"`
	Color string `json:"color"`
	EXIF  bool   `json:"exif"`
}

// Resize says how an image is brought to its tensor's size; see [preprocess.Resize].
type Resize struct {
	By        string  `json:"by"`
	Method    string  `json:"method"`
	Fit       string  `json:"fit"`
	Antialias bool    `json:"antialias"`
	Fill      float64 `json:"fill"`
	ShortSide int     `json:"short_side"`
}

// Normalize says what is done with an image's numbers; see [preprocess.Normalize].
type Normalize struct {
	DType string `json:"dtype"` // of the arithmetic: "float32" or "float64"
	Steps []Step `json:"steps"`
}

// Step is one operation of Normalize.
type Step struct {
	Op     string    `json:"op"`
	Values []float64 `json:"values"` // one, or one for each channel in the tensor's order
}

// Size returns the height and the width of an image's tensor; -1 where they are free.
func (i Input) Size() (height, width int) {
	shape := i.Shape[1:]
	if i.Layout == "NCHW" {
		shape = shape[1:]
	}
	return int(shape[0]), int(shape[1])
}

// Channels returns the channels of an image's tensor.
func (i Input) Channels() int {
	switch i.Layout {
	case "NHWC":
		return int(i.Shape[3])
	case "NCHW":
		return int(i.Shape[1])
	}
	return 1
}

// Pipeline returns the preprocessing that an image's input states; nil for the other kinds.
func (i Input) Pipeline() (*preprocess.Pipeline, error) {
	if i.Kind != KindImage {
		return nil, nil
	}
	p, faults := i.pipeline()
	if len(faults) == 0 {
		if err := p.Validate(); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("input %q: %w", i.Name, joined(faults))
	}
	return p, nil
}

// pipeline parses what an image's input states, and returns all of its faults that are not those of
// the pipeline itself.
func (i Input) pipeline() (*preprocess.Pipeline, []error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	failed := func(field string, err error) {
		if err != nil {
			fault("%s: %w", field, err)
		}
	}
	if i.Decode == nil || i.Resize == nil || i.Normalize == nil {
		fault("expected decode, resize and normalize of an image, got one or more missing")
		return nil, faults
	}
	p := new(preprocess.Pipeline)
	var err error
	p.Decode.By, err = preprocess.ParseLibrary(i.Decode.By)
	failed("decode.by", err)
	p.Decode.Color, err = preprocess.ParseColor(i.Decode.Color)
	failed("decode.color", err)
	p.Decode.EXIF = i.Decode.EXIF
	p.Resize.By, err = preprocess.ParseLibrary(i.Resize.By)
	failed("resize.by", err)
	p.Resize.Method, err = preprocess.ParseMethod(i.Resize.Method)
	failed("resize.method", err)
	p.Resize.Fit, err = preprocess.ParseFit(i.Resize.Fit)
	failed("resize.fit", err)
	p.Resize.Antialias, p.Resize.ShortSide = i.Resize.Antialias, i.Resize.ShortSide
	if p.Resize.Fill = float32(i.Resize.Fill); float64(p.Resize.Fill) != i.Resize.Fill {
		fault("resize.fill: expected a float32, got %v", i.Resize.Fill)
	}
	switch i.Normalize.DType {
	case "float32":
	case "float64":
		p.Normalize.Float64 = true
	default:
		fault(`normalize.dtype: expected "float32" or "float64", got %q`, i.Normalize.DType)
	}
	for n, s := range i.Normalize.Steps {
		op, err := preprocess.ParseOp(s.Op)
		failed(fmt.Sprintf("normalize.steps: step %d", n+1), err)
		p.Normalize.Steps = append(p.Normalize.Steps, preprocess.Step{Op: op, Values: s.Values})
	}
	p.DType, err = tensor.ParseDType(i.DType)
	failed("dtype", err)
	p.Layout, err = preprocess.ParseLayout(i.Layout)
	failed("layout", err)
	rank := 4
	if p.Layout == preprocess.NHW {
		rank = 3
	}
	if len(i.Shape) != rank {
		fault("shape: expected %d dimensions of layout %s, got %v", rank, i.Layout, i.Shape)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	if got, want := i.Channels(), p.Decode.Color.Channels(); got != want {
		fault("shape: expected the %d channels of color %v, got %v", want, p.Decode.Color, i.Shape)
	}
	height, width := i.Size()
	if (height == -1) != (width == -1) {
		fault("shape: expected height and width both known or both free, got %v", i.Shape)
	}
	switch {
	case i.Shape[0] == 0 || height == 0 || width == 0:
		fault("shape: expected sizes of 1 or more, -1 where one is free, got %v", i.Shape)
	case height == -1 && width == -1:
		height, width = 0, 0 // as a Pipeline says it
	}
	p.Height, p.Width = height, width
	return p, faults
}

// check returns all that is wrong with an input.
func (i Input) check() []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if i.Name == "" {
		fault("name: expected a name, got none")
	}
	dtype, err := tensor.ParseDType(i.DType)
	if err != nil {
		fault("dtype: %w", err)
	}
	if i.Shape == nil {
		fault("shape: expected the dimensions, got none")
	}
	for _, n := range i.Shape {
		if n < -1 {
			fault("shape: expected sizes of 0 or more, -1 where one is free, got %v", i.Shape)
			break
		}
	}
	if i.Kind != KindImage && (i.Layout != "" || i.Decode != nil || i.Resize != nil ||
		i.Normalize != nil) {
		fault("expected layout, decode, resize and normalize of the kind %q alone, got some of %q",
			KindImage, i.Kind)
	}
	switch i.Kind {
	case KindTensor:
	case KindEncoded:
		if err == nil && (dtype != tensor.String || len(i.Shape) != 1) {
			fault("expected strings of shape (-1,), got %v %v", dtype, i.Shape)
		}
	case KindImage:
		p, wrong := i.pipeline()
		if len(wrong) == 0 {
			if err := p.Validate(); err != nil {
				wrong = append(wrong, err)
			}
		}
		faults = append(faults, wrong...)
	default:
		fault("kind: expected one of %q, got %q", []string{KindImage, KindEncoded, KindTensor},
			i.Kind)
	}
	return slices.DeleteFunc(faults, func(err error) bool { return err == nil })
}
