package preprocess

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"kerasrun/tensor"
)

// maxSide is the largest width or height of a tensor.
const maxSide = 1<<15 - 1

// Decode says how the bytes of an image become pixels.
type Decode struct {
	By    Library
	Color Color
	EXIF  bool // whether the orientation that EXIF data states is applied
}

// Resize says how an image is brought to the size of the tensor.
type Resize struct {
	By        Library
	Method    Method
	Fit       Fit
	Antialias bool    // tf.image.resize's
	Fill      float32 // of each channel, what Pad and PadFirst fill with: 0 to 255, whole
	ShortSide int     // of the fit ShortSide, in pixels
}

// Pipeline holds what has to be known to make a tensor of an image. Its methods are safe for
// concurrent use as long as its fields are not changed.
type Pipeline struct {
	Decode    Decode
	Resize    Resize
	Normalize Normalize

	DType         tensor.DType // of the tensor: Float32, Float16 or Uint8
	Layout        Layout
	Width, Height int // of the tensor, in pixels; 1 to 32767, or both 0: as the image has them

	// MaxPixels limits width x height as declared by the file; 0 means DefaultMaxPixels.
	MaxPixels int
}

// Validate returns everything that is wrong with the fields, nil if nothing is.
func (p *Pipeline) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("preprocess: "+format, args...))
	}
	if err := p.Decode.validate(); err != nil {
		faults = append(faults, err)
	}
	free := p.Width == 0 && p.Height == 0
	if !free && (p.Width < 1 || p.Width > maxSide || p.Height < 1 || p.Height > maxSide) {
		fault("expected a tensor of 1 to %d by 1 to %d pixels, got width %d and height %d",
			maxSide, maxSide, p.Width, p.Height)
	}
	p.validateResize(free, fault)
	p.validateTensor(fault)
	if p.MaxPixels < 0 {
		fault("expected MaxPixels of 0 or more, got %d", p.MaxPixels)
	}
	return errors.Join(faults...)
}

func (d Decode) validate() error {
	var want string
	switch {
	case d.By < Pillow || d.By > OpenCV:
		want = "one of pillow, tensorflow, opencv"
	case d.Color < RGB || d.Color > RGBA:
		want = "one of rgb, bgr, grayscale, grayscale_of_rgb, rgba"
	case d.EXIF && d.By == TensorFlow:
		want = "exif false: TensorFlow does not read the orientation in EXIF"
	case d.By == OpenCV && d.Color == RGBA:
		want = "rgb, bgr, grayscale or grayscale_of_rgb of opencv"
	default:
		return nil
	}
	return fmt.Errorf("preprocess: decode: expected %s, got by %v, color %v, exif %v", want, d.By,
		d.Color, d.EXIF)
}

func (p *Pipeline) validateResize(free bool, fault func(format string, args ...any)) {
	r := p.Resize
	if r.By < Pillow || r.By > OpenCV {
		fault("resize: expected one of pillow, tensorflow, opencv, got %v", r.By)
		return
	}
	if !slices.Contains(Methods(r.By), r.Method) {
		fault("resize: expected a method of %v, one of %v, got %v", r.By, Methods(r.By), r.Method)
	}
	if !slices.Contains(Fits(r.By), r.Fit) {
		fault("resize: expected a fit of %v, one of %v, got %v", r.By, Fits(r.By), r.Fit)
	}
	if keras := []Method{Nearest, Bilinear, Bicubic, Lanczos3, Lanczos5}; r.By == TensorFlow &&
		(r.Fit == Crop || r.Fit == PadFirst) && !slices.Contains(keras, r.Method) {
		fault("resize: expected one of %v, which Keras has, for %v, got %v", keras, r.Fit, r.Method)
	}
	switch {
	case r.Fit == ShortSide && (r.ShortSide < max(p.Width, p.Height) || r.ShortSide > maxSide):
		fault("resize: expected a short side from the larger side of the tensor, %d, to %d, got %d",
			max(p.Width, p.Height), maxSide, r.ShortSide)
	case r.Fit != ShortSide && r.ShortSide != 0:
		fault("resize: expected a short side of the fit short_side alone, got %d of %v",
			r.ShortSide, r.Fit)
	case r.Fit != NoFit && free:
		fault("resize: expected the fit none where the size is free, got %v", r.Fit)
	}
	if r.Antialias && r.By != TensorFlow {
		fault("resize: expected antialias of tensorflow alone, got it of %v", r.By)
	}
	pads := r.Fit == PadFirst || r.Fit == Pad && r.By == Pillow
	switch {
	case !pads && r.Fill != 0:
		fault("resize: expected a fill of 0 but for pillow's pad and pad_first, got %v", r.Fill)
	case !(r.Fill >= 0 && r.Fill <= 255) || r.Fill != float32(int(r.Fill)):
		fault("resize: expected a fill of a whole number from 0 to 255, got %v", r.Fill)
	}
}

func (p *Pipeline) validateTensor(fault func(format string, args ...any)) {
	channels := p.Decode.Color.Channels()
	rounds := false
	for _, s := range p.Normalize.Steps {
		n := len(s.Values)
		switch {
		case s.Op < Multiply || s.Op > Round:
			fault("normalize: there is no %v", s.Op)
		case s.Op == Round && n != 0:
			fault("normalize: expected no values of round, got %d", n)
		case s.Op != Round && n != 1 && n != channels:
			fault("normalize: expected one value of %v, or one for each of %d channels, got %d",
				s.Op, channels, n)
		}
		for _, v := range s.Values {
			if math.IsNaN(v) || math.IsInf(v, 0) || s.Op == Divide && v == 0 {
				fault("normalize: expected numbers to %v by, got %v", s.Op, v)
			}
		}
		rounds = rounds || s.Op == Round
		if p.DType == tensor.Uint8 && s.Op != Round {
			fault("normalize: expected no step but round for a tensor of uint8, got %v", s.Op)
		}
	}
	switch p.DType {
	case tensor.Float32, tensor.Float16:
	case tensor.Uint8:
		overshoots := []Method{Bicubic, Lanczos3, Lanczos5, MitchellCubic}
		if r := p.Resize; r.By == TensorFlow && r.Fit != NoFit && !rounds &&
			slices.Contains(overshoots, r.Method) {
			fault("expected a step round for a tensor of uint8 resized by tensorflow's %v: its "+
				"values go beyond 0 to 255, which TensorFlow and NumPy cast differently", r.Method)
		}
	default:
		fault("expected a tensor of float32, float16 or uint8, got %v", p.DType)
	}
	switch {
	case p.Layout < NHWC || p.Layout > NHW:
		fault("expected the layout NHWC, NCHW or NHW, got %v", p.Layout)
	case p.Layout == NHW && channels != 1:
		fault("expected the layout NHWC or NCHW of %d channels, got NHW", channels)
	}
}

// Methods returns the methods that a library has.
func Methods(by Library) []Method {
	switch by {
	case Pillow:
		return []Method{Nearest, Box, Bilinear, Hamming, Bicubic, Lanczos}
	case TensorFlow:
		return []Method{Bilinear, Nearest, Bicubic, Area, Lanczos3, Lanczos5, Gaussian,
			MitchellCubic}
	case OpenCV:
		return []Method{Nearest, Linear, Area, Cubic, Lanczos4}
	}
	return nil
}

// Fits returns the fits that a library has.
func Fits(by Library) []Fit {
	switch by {
	case Pillow:
		return []Fit{Stretch, Crop, ImageOpsFit, Pad, ShortSide, NoFit}
	case TensorFlow:
		return []Fit{Stretch, Crop, Pad, PadFirst, ShortSide, NoFit}
	case OpenCV:
		return []Fit{Stretch, ShortSide, NoFit}
	}
	return nil
}

// ResizesToFloats says whether resized images are [Image.Values]: tf.image.resize gives floats by
// every method but nearest.
func (p *Pipeline) ResizesToFloats() bool {
	return p.Resize.By == TensorFlow && p.Resize.Method != Nearest && p.Resize.Fit != NoFit
}

// String says in words what a tensor is and how it is made, as "224x224 float32 NHWC: pillow bgr,
// pillow nearest stretch, subtract 103.939 116.779 123.68".
func (p *Pipeline) String() string {
	var b strings.Builder
	if p.Width == 0 && p.Height == 0 {
		b.WriteString("any size")
	} else {
		fmt.Fprintf(&b, "%dx%d", p.Height, p.Width)
	}
	fmt.Fprintf(&b, " %v %v: %v %v", p.DType, p.Layout, p.Decode.By, p.Decode.Color)
	if p.Decode.EXIF {
		b.WriteString(" exif")
	}
	if r := p.Resize; r.Fit == NoFit {
		b.WriteString(", not resized")
	} else {
		fmt.Fprintf(&b, ", %v %v %v", r.By, r.Method, r.Fit)
		if r.Fit == ShortSide {
			fmt.Fprintf(&b, " %d", r.ShortSide)
		}
		if r.Fit == Pad || r.Fit == PadFirst {
			fmt.Fprintf(&b, " with %v", r.Fill)
		}
		if r.Antialias {
			b.WriteString(" antialias")
		}
	}
	for _, s := range p.Normalize.Steps {
		fmt.Fprintf(&b, ", %v", s.Op)
		for _, v := range s.Values {
			fmt.Fprintf(&b, " %v", v)
		}
	}
	if p.Normalize.Float64 {
		b.WriteString(" in float64")
	}
	return b.String()
}

// decoded keeps the memory of decoded images from one call to the next.
var decoded = sync.Pool{New: func() any { return new(Image) }}

// maxKept limits the bytes of one buffer that stay allocated from one image to the next.
const maxKept = 16 << 20

func keep(pool *sync.Pool, m *Image) {
	if cap(m.Pix) > maxKept {
		m.Pix = nil
	}
	if 4*cap(m.Values) > maxKept {
		m.Values = nil
	}
	pool.Put(m)
}

// Image decodes an image (the bytes of its file) and resizes it. Errors are a *FormatError, an
// *UnsupportedError, a *TooLargeError or the one of Validate.
func (p *Pipeline) Image(data []byte) (*Image, error) {
	m := new(Image)
	if err := p.ReadImage(m, data); err != nil {
		return nil, err
	}
	return m, nil
}

// ReadImage is Image into m, whose memory is used again. If it is enough nothing that grows with
// the image is allocated.
func (p *Pipeline) ReadImage(m *Image, data []byte) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if p.Resize.Fit == NoFit {
		if err := p.Decode.read(m, data, p.MaxPixels); err != nil {
			return err
		}
		return p.checkSize(m)
	}
	src := decoded.Get().(*Image)
	defer keep(&decoded, src)
	if err := p.Decode.read(src, data, p.MaxPixels); err != nil {
		return err
	}
	return p.resize(m, src)
}

// checkSize returns an error unless an image that is not resized has the size of the tensor.
func (p *Pipeline) checkSize(m *Image) error {
	if p.Width != 0 && (m.Width != p.Width || m.Height != p.Height) {
		return fmt.Errorf("preprocess: expected an image of %d x %d, got %d x %d", p.Width,
			p.Height, m.Width, m.Height)
	}
	return nil
}

// DecodeImage decodes an image and leaves its size as it is.
func (p *Pipeline) DecodeImage(data []byte) (*Image, error) {
	return p.Decode.Image(data, p.MaxPixels)
}

// ResizeImage brings a decoded image to the size of the tensor.
func (p *Pipeline) ResizeImage(src *Image) (*Image, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := src.validate(); err != nil {
		return nil, err
	}
	if want := p.Decode.Color.Channels(); src.Channels != want {
		return nil, fmt.Errorf("preprocess: expected an image of %d channels, got %d", want,
			src.Channels)
	}
	dst := new(Image)
	if err := p.resize(dst, src); err != nil {
		return nil, err
	}
	return dst, nil
}
