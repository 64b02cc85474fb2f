package preprocess

import (
	"fmt"
	"slices"
	"sync/atomic"

	"kerasrun/tensor"
)

// Normalize is the arithmetic between an image's numbers and the tensor's: the steps in their
// order, in float32 or float64, each rounded, with their values rounded to that type first. The
// result is then cast to the tensor's type.
type Normalize struct {
	Float64 bool
	Steps   []Step
}

// Step is one operation with one value for all channels, or one for each in the tensor's order.
type Step struct {
	Op     Op
	Values []float64
}

// equal reports whether two normalizations compute the same.
func (n Normalize) equal(other Normalize) bool {
	return n.Float64 == other.Float64 && slices.EqualFunc(n.Steps, other.Steps,
		func(a, b Step) bool { return a.Op == b.Op && slices.Equal(a.Values, b.Values) })
}

// float32 computes the steps in float32; channel is that of the tensor. The conversions keep a
// compiler from fusing two operations into one that rounds once.
func (n Normalize) float32(x float32, channel int) float32 {
	for i := range n.Steps {
		s := &n.Steps[i]
		v := float32(s.Values[min(channel, len(s.Values)-1)])
		switch s.Op {
		case Multiply:
			x = float32(x * v)
		case Divide:
			x = float32(x / v)
		case Add:
			x = float32(x + v)
		case Subtract:
			x = float32(x - v)
		}
	}
	return x
}

// float64 computes the steps in float64.
func (n Normalize) float64(x float64, channel int) float64 {
	for i := range n.Steps {
		s := &n.Steps[i]
		v := s.Values[min(channel, len(s.Values)-1)]
		switch s.Op {
		case Multiply:
			x = float64(x * v)
		case Divide:
			x = float64(x / v)
		case Add:
			x = float64(x + v)
		case Subtract:
			x = float64(x - v)
		}
	}
	return x
}

// A table holds what each of the 256 bytes becomes, for each channel of the tensor.
type table struct {
	normalize Normalize
	channels  int
	float32s  [][256]float32
}

// Models are few, and so are their tables.
const maxTables = 64

var tables atomic.Pointer[[]*table]

// tableOf returns the table of a normalization, which it computes the first time.
func tableOf(n Normalize, channels int) *table {
	old := tables.Load()
	if old != nil {
		for _, t := range *old {
			if t.channels == channels && t.normalize.equal(n) {
				return t
			}
		}
	}
	steps := make([]Step, len(n.Steps)) // of its own: the caller may change his
	for i, s := range n.Steps {
		steps[i] = Step{s.Op, slices.Clone(s.Values)}
	}
	t := &table{Normalize{n.Float64, steps}, channels, make([][256]float32, channels)}
	for c := range t.float32s {
		for x := range t.float32s[c] {
			if n.Float64 {
				t.float32s[c][x] = float32(n.float64(float64(x), c))
			} else {
				t.float32s[c][x] = n.float32(float32(x), c)
			}
		}
	}
	next := []*table{t}
	if old != nil && len(*old) < maxTables {
		next = append(next, *old...)
	}
	tables.Store(&next) // where two compute at once, the loser's is computed again
	return t
}

// Shape returns the shape of one image's tensor, without the batch; -1 where a size is free.
func (p *Pipeline) Shape() tensor.Shape {
	height, width := int64(p.Height), int64(p.Width)
	if p.Height == 0 {
		height, width = -1, -1
	}
	return p.shape(height, width)
}

func (p *Pipeline) shape(height, width int64) tensor.Shape {
	channels := int64(p.Decode.Color.Channels())
	switch p.Layout {
	case NCHW:
		return tensor.Shape{channels, height, width}
	case NHW:
		return tensor.Shape{height, width}
	}
	return tensor.Shape{height, width, channels}
}

// Tensor makes the tensor of an image that [Pipeline.Image] or [Pipeline.ResizeImage] returned:
// normalized, cast and laid out, without a batch dimension.
func (p *Pipeline) Tensor(m *Image) (t tensor.Tensor, err error) {
	t = tensor.Tensor{DType: p.DType, Shape: p.shape(int64(m.Height), int64(m.Width))}
	switch p.DType {
	case tensor.Float32:
		t.Data, err = p.AppendFloat32(nil, m)
	default:
		err = fmt.Errorf("preprocess: expected a tensor of float32, got %v", p.DType)
	}
	return t, err
}

// AppendFloat32 appends the tensor of an image to dst, row-major, as [Pipeline.Tensor] makes it.
// If dst has the capacity nothing that grows with the image is allocated. On an error, of an image
// that is not the pipeline's or a DType other than float32, dst is returned as it was.
func (p *Pipeline) AppendFloat32(dst []float32, m *Image) ([]float32, error) {
	if err := p.checkImage(m, tensor.Float32); err != nil {
		return dst, err
	}
	n, size := len(dst), len(m.Pix)
	dst = slices.Grow(dst, size)[:n+size]
	p.normalizeBytes(dst[n:], m.Pix)
	return dst, nil
}

// checkImage returns an error unless the pipeline makes tensors of such a type of such an image.
func (p *Pipeline) checkImage(m *Image, d tensor.DType) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := m.validate(); err != nil {
		return err
	}
	switch {
	case p.DType != d:
		return fmt.Errorf("preprocess: expected memory for %v, got some for %v", p.DType, d)
	case m.Channels != p.Decode.Color.Channels():
		return fmt.Errorf("preprocess: expected an image of %d channels, got %d",
			p.Decode.Color.Channels(), m.Channels)
	case p.Width != 0 && (m.Width != p.Width || m.Height != p.Height):
		return fmt.Errorf("preprocess: expected an image of %d x %d, got %d x %d", p.Width,
			p.Height, m.Width, m.Height)
	}
	return nil
}

// normalizeBytes writes the tensor of three channels of bytes.
func (p *Pipeline) normalizeBytes(out []float32, pix []uint8) {
	t := tableOf(p.Normalize, 3).float32s
	first, second, third := &t[0], &t[1], &t[2]
	if p.Decode.Color == BGR {
		for len(pix) >= 3 && len(out) >= 3 {
			out[0], out[1], out[2] = first[pix[2]], second[pix[1]], third[pix[0]]
			pix, out = pix[3:], out[3:]
		}
		return
	}
	for len(pix) >= 3 && len(out) >= 3 {
		out[0], out[1], out[2] = first[pix[0]], second[pix[1]], third[pix[2]]
		pix, out = pix[3:], out[3:]
	}
}
