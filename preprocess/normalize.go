package preprocess

import (
	"fmt"
	"math"
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

// Step is one operation with one value for all channels, or one for each in the tensor's order;
// Round has none.
type Step struct {
	Op     Op
	Values []float64
}

// equal reports whether two normalizations compute the same.
func (n Normalize) equal(other Normalize) bool {
	return n.Float64 == other.Float64 && slices.EqualFunc(n.Steps, other.Steps,
		func(a, b Step) bool { return a.Op == b.Op && slices.Equal(a.Values, b.Values) })
}

// clone returns a copy that shares no memory.
func (n Normalize) clone() Normalize {
	steps := make([]Step, len(n.Steps))
	for i, s := range n.Steps {
		steps[i] = Step{s.Op, slices.Clone(s.Values)}
	}
	return Normalize{n.Float64, steps}
}

// apply does the step to values whose channels take turns, beginning with the tensor's first.
func apply[F float32 | float64](s Step, values []F, channels int) {
	if s.Op == Round {
		for i, x := range values {
			x = F(math.RoundToEven(float64(x)))
			if x < 0 { // a zero keeps its sign, as in NumPy
				x = 0
			} else if x > 255 {
				x = 255
			}
			values[i] = x
		}
		return
	}
	if len(s.Values) == 1 {
		channels = 1 // all at once
	}
	for c := range channels {
		v := F(s.Values[c])
		switch s.Op {
		case Multiply:
			for i := c; i < len(values); i += channels {
				values[i] *= v
			}
		case Divide:
			for i := c; i < len(values); i += channels {
				values[i] /= v
			}
		case Add:
			for i := c; i < len(values); i += channels {
				values[i] += v
			}
		case Subtract:
			for i := c; i < len(values); i += channels {
				values[i] -= v
			}
		}
	}
}

// element is the Go type of a tensor's elements: float32, float16's bits, or uint8.
type element interface{ float32 | uint16 | uint8 }

// cast writes numbers as elements, step apart: to float16 rounded, halves to even, to uint8
// truncated.
func cast[T element, F float32 | float64](out []T, step int, values []F, from, channels int) {
	at := 0
	if _, half := any(out).([]uint16); half {
		for i := from; i < len(values); i += channels {
			out[at] = T(float16(float64(values[i])))
			at += step
		}
		return
	}
	for i := from; i < len(values); i += channels {
		out[at] = T(values[i])
		at += step
	}
}

// float16 returns the bits of the float16 nearest to x, halves to even.
func float16(x float64) uint16 {
	bits := math.Float64bits(x)
	sign := uint16(bits >> 48 & 0x8000)
	abs := math.Abs(x)
	switch {
	case x != x:
		return sign | 0x7e00
	case abs >= 65520: // from here on the nearest is beyond the largest, 65504
		return sign | 0x7c00
	case abs < 0x1p-14: // subnormal: multiples of 2^-24
		return sign | uint16(math.RoundToEven(abs*0x1p24))
	}
	// A fraction of 10 bits is kept; a carry out of it raises the exponent.
	fraction := bits & (1<<52 - 1)
	rounded := (fraction + 1<<41 - 1 + fraction>>42&1) >> 42
	exponent := bits>>52&0x7ff - 1023 + 15
	return sign | uint16(exponent<<10+rounded)
}

// A table holds what each of the 256 bytes becomes, for each channel of the tensor.
type table[T element] struct {
	normalize Normalize
	values    [][256]T
}

// maxTables limits those that are kept: models are few, and so are their tables.
const maxTables = 64

var (
	float32Tables atomic.Pointer[[]*table[float32]]
	float16Tables atomic.Pointer[[]*table[uint16]]
)

// tableOf returns the table of a normalization, which is computed the first time.
func tableOf[T element](
	kept *atomic.Pointer[[]*table[T]], n Normalize, channels int,
) [][256]T {
	old := kept.Load()
	if old != nil {
		for _, t := range *old {
			if len(t.values) == channels && t.normalize.equal(n) {
				return t.values
			}
		}
	}
	t := &table[T]{n.clone(), make([][256]T, channels)}
	if n.Float64 {
		tabulate[T, float64](t)
	} else {
		tabulate[T, float32](t)
	}
	next := []*table[T]{t}
	if old != nil && len(*old) < maxTables {
		next = append(next, *old...)
	}
	kept.Store(&next) // where two compute at once, one is computed again
	return t.values
}

// tabulate fills a table by arithmetic in F.
func tabulate[T element, F float32 | float64](t *table[T]) {
	channels := len(t.values)
	var x [4]F
	var row [4]T
	for i := range 256 {
		for c := range channels {
			x[c] = F(i)
		}
		for _, s := range t.normalize.Steps {
			apply(s, x[:channels], channels)
		}
		cast(row[:], 1, x[:channels], 0, 1)
		for c := range channels {
			t.values[c][i] = row[c]
		}
	}
}

// Shape returns the shape of one image's tensor, without the batch; -1 where a size is free.
func (p *Pipeline) Shape() tensor.Shape {
	if p.Height == 0 {
		return p.shape(-1, -1)
	}
	return p.shape(int64(p.Height), int64(p.Width))
}

// ShapeOf returns the shape of a resized image's tensor, without the batch.
func (p *Pipeline) ShapeOf(m *Image) tensor.Shape {
	return p.shape(int64(m.Height), int64(m.Width))
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
	switch p.DType {
	case tensor.Float16:
		t.Data, err = p.AppendFloat16(nil, m)
	case tensor.Uint8:
		t.Data, err = p.AppendUint8(nil, m)
	default:
		t.Data, err = p.AppendFloat32(nil, m)
	}
	if err != nil {
		return tensor.Tensor{}, err
	}
	t.DType, t.Shape = p.DType, p.ShapeOf(m)
	return t, nil
}

// AppendFloat32 appends the tensor of an image to dst, row-major, as [Pipeline.Tensor] makes it.
// If dst has the capacity nothing that grows with the image is allocated. On an error, of an image
// that is not the pipeline's or a DType other than float32, dst is returned as it was.
func (p *Pipeline) AppendFloat32(dst []float32, m *Image) ([]float32, error) {
	if err := p.checkImage(m, tensor.Float32); err != nil {
		return dst, err
	}
	if len(m.Values) > 0 {
		return appendValues(p, dst, m), nil
	}
	t := tableOf(&float32Tables, p.Normalize, m.Channels)
	return appendBytes(p, dst, m, t), nil
}

// AppendFloat16 is AppendFloat32 for tensors of float16, whose bits it appends.
func (p *Pipeline) AppendFloat16(dst []uint16, m *Image) ([]uint16, error) {
	if err := p.checkImage(m, tensor.Float16); err != nil {
		return dst, err
	}
	if len(m.Values) > 0 {
		return appendValues(p, dst, m), nil
	}
	t := tableOf(&float16Tables, p.Normalize, m.Channels)
	return appendBytes(p, dst, m, t), nil
}

// AppendUint8 is AppendFloat32 for tensors of uint8. Floats are truncated.
func (p *Pipeline) AppendUint8(dst []uint8, m *Image) ([]uint8, error) {
	if err := p.checkImage(m, tensor.Uint8); err != nil {
		return dst, err
	}
	if len(m.Values) > 0 {
		return appendValues(p, dst, m), nil
	}
	return appendBytes(p, dst, m, sameBytes[:m.Channels]), nil
}

// sameBytes is the table of uint8 tensors, which have no steps but Round.
var sameBytes = func() (t [4][256]uint8) {
	for c := range t {
		for i := range t[c] {
			t[c][i] = uint8(i)
		}
	}
	return t
}()

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
	}
	return p.checkSize(m)
}

// places returns where the tensor has the channels of an image: channel c of pixel i is element
// first[c] + i*step.
func (p *Pipeline) places(m *Image) (first [4]int, step int) {
	step = m.Channels
	between := 1 // two channels of one pixel
	if p.Layout == NCHW {
		step, between = 1, m.Width*m.Height
	}
	for c := range m.Channels {
		first[c] = c * between
	}
	if p.Decode.Color == BGR {
		first[0], first[2] = first[2], first[0]
	}
	return first, step
}

// order is the tensor's channel that each of an image's channels is.
func (p *Pipeline) order() [4]int {
	if p.Decode.Color == BGR {
		return [4]int{2, 1, 0, 3}
	}
	return [4]int{0, 1, 2, 3}
}

// appendBytes appends the tensor of an image of bytes, by the table of the tensor's channels.
func appendBytes[T element](p *Pipeline, dst []T, m *Image, t [][256]T) []T {
	n, pix := len(dst), m.Pix
	dst = slices.Grow(dst, len(pix))[:n+len(pix)]
	out := dst[n:]
	if m.Channels == 3 && p.Layout == NHWC { // most models
		a, b, c := &t[0], &t[1], &t[2]
		if p.Decode.Color == BGR {
			for len(pix) >= 3 && len(out) >= 3 {
				out[0], out[1], out[2] = a[pix[2]], b[pix[1]], c[pix[0]]
				pix, out = pix[3:], out[3:]
			}
			return dst
		}
		for len(pix) >= 3 && len(out) >= 3 {
			out[0], out[1], out[2] = a[pix[0]], b[pix[1]], c[pix[2]]
			pix, out = pix[3:], out[3:]
		}
		return dst
	}
	first, step := p.places(m)
	order := p.order()
	for c := range m.Channels {
		to := &t[order[c]]
		at := first[c]
		for i := c; i < len(pix); i += m.Channels {
			out[at] = to[pix[i]]
			at += step
		}
	}
	return dst
}

// appendValues appends the tensor of an image of floats.
func appendValues[T element](p *Pipeline, dst []T, m *Image) []T {
	n := len(dst)
	dst = slices.Grow(dst, len(m.Values))[:n+len(m.Values)]
	if p.Normalize.Float64 {
		normalizeValues[T, float64](p, dst[n:], m)
	} else {
		normalizeValues[T, float32](p, dst[n:], m)
	}
	return dst
}

// normalizeValues computes a few pixels at a time, which stay in the cache from step to step.
func normalizeValues[T element, F float32 | float64](p *Pipeline, out []T, m *Image) {
	var memory [768]F // whole pixels of 1, 3 and 4 channels
	first, step := p.places(m)
	order := p.order()
	channels := m.Channels
	values := m.Values
	for pixel := 0; len(values) > 0; {
		chunk := memory[:min(len(memory), len(values))]
		count := len(chunk) / channels
		if p.Decode.Color == BGR {
			for i := range count {
				for c := range channels {
					chunk[channels*i+order[c]] = F(values[channels*i+c])
				}
			}
		} else {
			for i := range chunk {
				chunk[i] = F(values[i])
			}
		}
		for _, s := range p.Normalize.Steps {
			apply(s, chunk, channels)
		}
		if p.Layout == NCHW {
			for c := range channels {
				cast(out[first[c]+step*pixel:], step, chunk, order[c], channels)
			}
		} else {
			cast(out[channels*pixel:][:len(chunk)], 1, chunk, 0, 1)
		}
		values = values[len(chunk):]
		pixel += count
	}
}
