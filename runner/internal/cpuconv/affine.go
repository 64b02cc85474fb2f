package cpuconv

import (
	"slices"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"

	"kerasrun/runner/internal/graph"
	"kerasrun/tensor"
)

// Images of other than a multiple of eight channels may have as many, as isa.h has it.
const maxOddChannels = 256

// affine returns the step of a product, a sum, a difference or a quotient of images and a constant,
// one number or one a channel; nil where it is another. A quotient is a product with the
// reciprocal. The images may come from outside, by a Reshape that says their size.
func (l *lowering) affine(node *nodepb.NodeDef) *step {
	if len(node.Input) != 2 {
		return nil
	}
	for i := range 2 {
		x := l.imagesOf(node, i)
		if x == nil {
			continue
		}
		c := l.perChannel(node.Input[1-i], x.shape.c)
		if c == nil {
			continue
		}
		s := &step{kind: stepScale, rank: 4, in: x.shape, shape: x.shape, images: []string{x.name},
			strides: [2]int64{1, 1}}
		switch node.Op {
		case "Mul", "_MklMul":
			s.scales = c
		case "Sub", "_MklSub":
			s.shifts = c
			if i == 0 {
				s.shifts = mapped(c, func(v float64) float64 { return -v })
			} else {
				s.scales = mapped(c, func(float64) float64 { return -1 })
			}
		case "RealDiv":
			if i == 1 || slices.Contains(c, 0) {
				return nil
			}
			s.scales = mapped(c, func(v float64) float64 { return 1 / v })
		default:
			s.shifts = c
		}
		return s
	}
	return nil
}

// imagesOf returns the step whose value an input is, or one that stands for a value from outside,
// nil where it is no images.
func (l *lowering) imagesOf(node *nodepb.NodeDef, i int) *step {
	x := l.valueOf(node.Input[i])
	if x == nil {
		name := l.resolve(node.Input[i])
		from := l.node[name]
		if from == nil || from.Op != "Reshape" || len(from.Input) != 2 {
			return nil
		}
		sizes, ok := l.integers(from.Input[1])
		if !ok || len(sizes) != 4 || slices.Min(sizes[1:]) < 1 {
			return nil
		}
		x = &step{name: name, rank: 4, shape: imageShape{sizes[1], sizes[2], sizes[3]}}
	}
	if x.rank != 4 || x.shape.c%8 != 0 && x.shape.c > maxOddChannels {
		return nil
	}
	return x
}

// perChannel returns the numbers of a constant, one a channel, nil where it is none.
func (l *lowering) perChannel(input string, channels int64) []float64 {
	t := l.constant(input)
	sizes := sizesOf(t.GetTensorShape())
	if t == nil || len(sizes) != len(t.GetTensorShape().GetDim()) || len(sizes) > 4 {
		return nil
	}
	n := int64(1)
	for i, size := range sizes {
		if i < len(sizes)-1 && size != 1 {
			return nil
		}
		n = size
	}
	numbers := floats(t)
	if n != 1 && n != channels || numbers == nil || int64(len(numbers)) > n {
		return nil
	}
	c := make([]float64, channels)
	for i := range c {
		c[i] = float64(numbers[min(i, len(numbers)-1)]) // the last stands for those left out
	}
	return c
}

func mapped(c []float64, f func(v float64) float64) []float64 {
	y := make([]float64, len(c))
	for i, v := range c {
		y[i] = f(v)
	}
	return y
}

// constantsOf returns the constants that steps read: scales and shifts.
func (l *lowering) constantsOf(steps []*step) (nodes []*nodepb.NodeDef) {
	for _, s := range steps {
		for name, numbers := range map[string][]float64{s.scaleName(): s.scales,
			s.shiftName(): s.shifts} {
			value := &tensorpb.TensorProto{}
			for _, v := range numbers {
				value.FloatVal = append(value.FloatVal, float32(v))
			}
			if numbers != nil {
				nodes = append(nodes, graph.Constant(name, tensor.Float32,
					tensor.Shape{int64(len(numbers))}, value))
			}
		}
	}
	return nodes
}

// scaleBy has a step do what one of constants does with its value, if it can.
func (s *step) scaleBy(scales, shifts []float64) bool {
	if s.scale != "" && scales != nil {
		return false
	}
	for i, v := range scales {
		if s.scales != nil {
			scales[i] = s.scales[i] * v
		}
		if s.shifts != nil {
			s.shifts[i] *= v
		}
	}
	for i, v := range s.shifts {
		if shifts == nil {
			shifts = make([]float64, len(s.shifts))
		}
		shifts[i] += v
	}
	if scales != nil {
		s.scales = scales
	}
	s.shifts = shifts
	return true
}
