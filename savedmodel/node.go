package savedmodel

import (
	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/tensor"
)

type node struct {
	name, op string
	inputs   []string
	attrs    map[string]*attr
}

// attr is an AttrValue. Of tensors, the description; of function attributes, every function named however deep.
type attr struct {
	text    string // s; "" where it is longer than a name
	flag    bool
	dtype   tensor.DType
	dtypes  []tensor.DType
	shape   tensor.Shape
	shapes  []tensor.Shape
	tensors []*constant
	calls   []string
}

// constant is a TensorProto without its elements, but for short strings.
type constant struct {
	dtype   tensor.DType
	shape   tensor.Shape
	content int64 // bytes of tensor_content
	values  int64 // elements in the typed fields; fewer than the shape's: the last is repeated
	strings []string
}

type function struct {
	name   string
	args   []string
	nodes  []*node
	ret    map[string]string
	attrs  map[string]*attr
	shapes map[int]tensor.Shape // of arguments, where known
}

// call returns the functions that the node calls: itself one (an op may be a function's name), or those that its
// attributes name.
func (n *node) call(functions map[string]*function) []*function {
	var called []*function
	if f := functions[n.op]; f != nil {
		called = append(called, f)
	}
	for _, a := range n.attrs {
		for _, name := range a.calls {
			if f := functions[name]; f != nil {
				called = append(called, f)
			}
		}
	}
	return called
}

func (n *node) attr(name string) *attr {
	if a := n.attrs[name]; a != nil {
		return a
	}
	return &attr{}
}

// value returns the tensor of a Const, nil where the node is another or has none.
func (n *node) value() *constant {
	if a := n.attr("value"); n.op == "Const" && len(a.tensors) == 1 {
		return a.tensors[0]
	}
	return nil
}

func (d *decoder) node() *node {
	n := &node{attrs: map[string]*attr{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			n.name = d.text()
		case 2:
			n.op = d.text()
		case 3:
			n.inputs = append(n.inputs, d.text())
		case 5:
			d.namedAttr(n.attrs)
		}
	})
	return n
}

func (d *decoder) namedAttr(into map[string]*attr) {
	key, a := "", &attr{}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			key = d.text()
		case 2:
			d.attr(a)
		}
	})
	if usedAttrs[key] || a.calls != nil || a.tensors != nil {
		into[key] = a
	} else {
		delete(into, key)
	}
}

// usedAttrs are the attributes that are kept whatever is in them. The others, most of a graph, are kept only for the
// functions and the tensors in them.
var usedAttrs = map[string]bool{
	"dtype": true, "dtypes": true, "shape": true, "_output_shapes": true, "transpose_b": true, "api_implements": true,
}

// attr reads an AttrValue. Everything ever named in it is kept, even by a later member of the oneof: more is seen,
// never less.
func (d *decoder) attr(a *attr) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1: // list
			d.message(func(number protowire.Number) {
				switch number {
				case 6:
					d.varints(func(v uint64) { a.dtypes = append(a.dtypes, tensor.DType(v)) })
				case 7:
					a.shapes = append(a.shapes, d.shape(tensor.Shape{}))
				case 8:
					a.tensors = append(a.tensors, d.constant())
				case 9:
					d.functionName(a)
				}
			})
		case 2:
			if n := d.length(); n <= 256 {
				a.text = string(d.rawBytes(n))
			} else {
				d.discard(n)
			}
		case 5:
			a.flag = d.varint() != 0
		case 6:
			a.dtype = tensor.DType(d.varint())
		case 7:
			a.shape = d.shape(tensor.Shape{})
		case 8:
			a.tensors = append(a.tensors, d.constant())
		case 10:
			d.functionName(a)
		}
	})
}

// functionName reads a NameAttrList: a function and the attributes it is called with, which may name functions again.
func (d *decoder) functionName(a *attr) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			a.calls = append(a.calls, d.text())
		case 2:
			inner := map[string]*attr{}
			d.namedAttr(inner)
			for _, i := range inner {
				a.calls = append(a.calls, i.calls...)
				a.tensors = append(a.tensors, i.tensors...)
			}
		}
	})
}

// shape reads a TensorShapeProto and appends its dimensions to s; nil where the rank is unknown.
func (d *decoder) shape(s tensor.Shape) tensor.Shape {
	unknown := s == nil
	d.message(func(number protowire.Number) {
		switch number {
		case 2:
			var size int64
			d.message(func(number protowire.Number) {
				if number == 1 {
					size = int64(d.varint())
				}
			})
			s = append(s, size)
		case 3:
			unknown = d.varint() != 0
		}
	})
	if unknown {
		return nil
	}
	return s
}

// elementSizes gives, for the repeated fixed-size fields of a TensorProto, the bytes of a value.
var elementSizes = map[protowire.Number]int64{5: 4, 6: 8, 9: 4, 12: 8}

func (d *decoder) constant() *constant {
	c := &constant{shape: tensor.Shape{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			c.dtype = tensor.DType(d.varint())
		case 2:
			c.shape = d.shape(c.shape)
		case 4:
			c.content = d.length()
			d.discard(c.content)
		case 5, 6, 9, 12:
			if d.typ == protowire.BytesType {
				n := d.length()
				c.values += n / elementSizes[number]
				d.discard(n)
			} else {
				c.values++
				d.skip(number)
			}
		case 7, 10, 11, 13, 16, 17:
			d.varints(func(uint64) { c.values++ })
		case 8:
			c.values++
			if n := d.length(); n <= maxText {
				c.strings = append(c.strings, string(d.rawBytes(n)))
			} else {
				c.strings = append(c.strings, "")
				d.discard(n)
			}
		case 14, 15:
			c.values++
			d.skip(number)
		}
	})
	return c
}

func (d *decoder) function() *function {
	f := &function{ret: map[string]string{}, attrs: map[string]*attr{}, shapes: map[int]tensor.Shape{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1: // signature, an OpDef
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					f.name = d.text()
				case 2: // input_arg
					name := ""
					d.message(func(number protowire.Number) {
						if number == 1 {
							name = d.text()
						}
					})
					f.args = append(f.args, name)
				}
			})
		case 3:
			f.nodes = append(f.nodes, d.node())
		case 4:
			key, value := "", ""
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					key = d.text()
				case 2:
					value = d.text()
				}
			})
			f.ret[key] = value
		case 5:
			d.namedAttr(f.attrs)
		case 7:
			d.argumentAttrs(f)
		}
	})
	return f
}

func (d *decoder) argumentAttrs(f *function) {
	var index int
	attrs := map[string]*attr{}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			index = int(uint32(d.varint()))
		case 2:
			d.message(func(number protowire.Number) {
				if number == 1 {
					d.namedAttr(attrs)
				}
			})
		}
	})
	if a := attrs["_output_shapes"]; a != nil && len(a.shapes) == 1 {
		f.shapes[index] = a.shapes[0]
	}
}
