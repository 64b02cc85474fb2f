package cpuconv

import (
	"slices"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

// Kinds of steps, as region.h has them.
const (
	stepConv = iota
	stepDepthwise
	stepDense
	stepMaxPool
	stepAvgPool
	stepMean
	stepScale
	stepQuantize
	stepQConv
)

// Activations, as activation.h has them.
const (
	actLinear = iota
	actRelu
	actRelu6
	actSigmoid
	actSwish
)

type imageShape struct{ h, w, c int64 }

// step computes a value of a region, which is named as the TensorFlow operation whose output it is.
type step struct {
	name         string
	kind, act    int64
	rank         int64
	in, shape    imageShape // of the first image, and of what it computes
	window       [5]int64   // kh, kw, ic, oc, groups
	strides      [2]int64
	padding      [4]int64
	matrix       bool     // a product of matrices
	images       []string // one, but for concatenated ones
	filter, bias string
	scale        string    // a value
	scales       []float64 // constants, in its place
	shifts       []float64
	added        string
	region       int
	quantization quantization // of the image of a stepQConv, of the value of a stepQuantize
	dilations    [2]int64     // of a stepQConv: of the kernel that its window is made of
}

func (s *step) packed() string { return s.name + "/packed" }

func (s *step) is1x1() bool {
	return s.window[0] == 1 && s.window[1] == 1 && s.window[4] == 1 && slices.Max(s.padding[:]) == 0
}

// packing returns what Pack, or PackBytes, takes for a convolution.
func (s *step) packing(bf16 bool) *nodepb.NodeDef {
	node := &nodepb.NodeDef{Name: s.name, Attr: map[string]*attrpb.AttrValue{
		"filter": list(s.window[:]), "strides": list(s.strides[:]), "padding": list(s.padding[:]),
		"bf16": {Value: &attrpb.AttrValue_B{B: bf16 && !s.matrix && s.kind != stepQConv}},
	}}
	if s.kind == stepQConv {
		s.quantization.attrs(node.Attr)
		node.Attr["dilations"] = list(s.dilations[:])
	}
	return node
}

// operands returns the names of what it reads, in region.h's order; "" is none.
func (s *step) operands() []string {
	switch s.kind {
	case stepConv, stepQConv:
		names := []string{s.images[0], s.packed(), s.bias}
		if s.added != "" {
			names = append(names, s.added)
		}
		return names
	case stepDepthwise, stepDense:
		return []string{s.images[0], s.filter, s.bias}
	case stepScale:
		return append([]string{s.scaleName(), s.shiftName(), s.added}, s.images...)
	}
	return s.images
}

func (s *step) scaleName() string {
	if s.scales != nil {
		return s.name + "/kerasrun_scale"
	}
	return s.scale
}

func (s *step) shiftName() string {
	if s.shifts != nil {
		return s.name + "/kerasrun_shift"
	}
	return ""
}

// values returns the names of the values among its operands.
func (s *step) values() []string {
	names := slices.Clone(s.images)
	if s.added != "" {
		names = append(names, s.added)
	}
	if s.scale != "" {
		names = append(names, s.scale)
	}
	return names
}

// alone says whether it hands on its images, concatenated, but for its activation.
func (s *step) alone() bool {
	return s.kind == stepScale && s.scale+s.added == "" && s.scales == nil && s.shifts == nil
}

// plain says whether it hands on its images, concatenated.
func (s *step) plain() bool { return s.alone() && s.act == actLinear }
