package savedmodel

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/tensor"
)

type node struct {
	name, op string
	inputs   []string
	attrs    map[string]*attr
}

// attr is an AttrValue. Of tensors, the description; of function attributes, every function named
// however deep.
type attr struct {
	set     bool    // one of its values has been read
	length  int     // of its list of numbers
	numbers []int64 // the first of them, as many as paddings are
	largest uint64  // the largest magnitude in it
	number  int64
	fault   string   // what is wrong with a shape or a number in it, which TensorFlow may not look at
	texts   []string // of its list, as many as there are kinds of partitions, and short ones
	text    string   // s, or the first of a list; "" where it is longer than a name
	dtype   tensor.DType
	dtypes  []tensor.DType
	shape   tensor.Shape
	tensors []*constant
	calls   []string
}

// constant is a TensorProto without its elements, but for short strings and the integers of small
// ones.
type constant struct {
	dtype   tensor.DType
	shape   tensor.Shape
	content int64 // bytes of tensor_content
	values  int64 // elements in the typed fields; fewer than the shape's: the last is repeated
	strings []string
	small   []byte  // tensor_content, where it is as short as paddings are
	number  uint64  // the largest magnitude in the typed fields of integers
	zero    bool    // whether one of these is 0
	float   float32 // the one number of 32 bits, of a scalar
}

type function struct {
	name     string
	args     []string
	listArgs bool // an argument is a list of tensors: the caller's inputs are not one for one
	nodes    []*node
	results  []string // the names of what it returns, in order
	ret      map[string]string
	attrs    map[string]*attr
	// defaults are the values of the attributes that its body leaves to the caller and the caller
	// leaves out.
	defaults []*attr
}

// call returns the functions that the node calls: itself one (an op may be a function's name), and
// those that its attributes name. What these call by default is their own: see callees.
func (n *node) call(functions map[string]*function) []*function {
	var called []*function
	if f := functions[n.op]; f != nil {
		called = append(called, f)
	}
	for _, a := range n.attrs {
		called = appendNamed(called, a, functions)
	}
	return called
}

func appendNamed(to []*function, a *attr, functions map[string]*function) []*function {
	for _, name := range a.calls {
		if f := functions[name]; f != nil {
			to = append(to, f)
		}
	}
	return to
}

// byDefault returns the functions that the defaults of f's attributes name. A call of f that leaves
// the attributes out may run them.
func (f *function) byDefault(functions map[string]*function) (named []*function) {
	for _, a := range f.defaults {
		named = appendNamed(named, a, functions)
	}
	return named
}

// callees yields every function that running f may run at once, as often as it is named.
func (f *function) callees(functions map[string]*function) iter.Seq[*function] {
	return func(yield func(*function) bool) {
		for _, callee := range f.byDefault(functions) {
			if !yield(callee) {
				return
			}
		}
		for _, n := range f.nodes {
			for _, callee := range n.call(functions) {
				if !yield(callee) {
					return
				}
			}
		}
	}
}

// library returns the graph's functions by their names.
func (g *graph) library() map[string]*function {
	functions := make(map[string]*function, len(g.functions))
	for _, f := range g.functions {
		functions[f.name] = f
	}
	return functions
}

// hands returns whether the node calls the function with its own inputs as the arguments, one for
// one.
func (n *node) hands(f *function) bool {
	// Who is called comes first: a node that names many functions hands its inputs to none of them.
	switch n.op {
	case f.name:
	case "PartitionedCall", "StatefulPartitionedCall":
		if !slices.Equal(n.attr("f").calls, []string{f.name}) {
			return false
		}
	default:
		return false
	}
	inputs := len(slices.DeleteFunc(slices.Clone(n.inputs), isControl))
	return !f.listArgs && inputs == len(f.args)
}

// isControl returns whether an input only says what has to run before.
func isControl(input string) bool { return strings.HasPrefix(input, "^") }

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
	d.keep(keptNode)
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
	switch {
	case key == hashKey:
		a.fault = ""
	case key == explicitPaddings:
		a.fault = cmp.Or(a.fault, paddingFault(a.numbers, a.largest))
	case mostOf[key] > 0 && a.number > 0 && uint64(a.number) > mostOf[key]:
		a.fault = fmt.Sprintf("expected %s of at most %d, got %d", key, mostOf[key], a.number)
	}
	if usedAttrs[key] || a.calls != nil || a.tensors != nil || a.fault != "" {
		d.keep(keptAttr)
		into[key] = a
	} else {
		delete(into, key)
	}
}

// usedAttrs are the attributes that are kept whatever is in them. The others, most of a graph, are
// kept only for the functions and the tensors in them.
var usedAttrs = map[string]bool{
	"dtype": true, "dtypes": true, "shape": true, "api_implements": true, "squeeze_dims": true,
	"padding": true, "Tshape": true, "data_format": true, "ksize": true, "strides": true,
	"dilations": true, explicitPaddings: true, partitionTypes: true, patchSizes: true,
	partitions: true, "Index": true, growsAttr: true, shrinkMask: true, newMask: true,
	ellipsisMask: true,
}

// hashKey is the attribute whose list of numbers is no sizes: the two halves of a key.
const hashKey = "hash_key"

// attr reads an AttrValue, which holds one value of one kind. Protobuf takes more, and merges or
// replaces them by rules that depend on the kinds; nothing writes that.
func (d *decoder) attr(a *attr) {
	d.message(func(number protowire.Number) {
		if a.set && number <= 10 {
			d.fail("an attribute has two values")
			return
		}
		a.set = true
		switch number {
		case 1: // list
			d.message(func(number protowire.Number) {
				switch number {
				case 2:
					n := d.length()
					if n > 256 || len(a.texts) > maxSides {
						d.discard(n)
						break
					}
					d.keep(keptString + n)
					a.texts = append(a.texts, string(d.rawBytes(n)))
					a.text = cmp.Or(a.text, a.texts[len(a.texts)-1])
				case 3:
					d.varints(func(v uint64) {
						a.length++
						if len(a.numbers) < maxSides {
							d.keep(8)
							a.numbers = append(a.numbers, int64(v))
						}
						a.largest = max(a.largest, magnitude(int64(v)))
						if int64(v) != int64(int32(v)) {
							a.fault = fmt.Sprintf("expected numbers of 32 bits in a list, got %d",
								int64(v))
						}
					})
				case 6:
					d.varints(func(v uint64) {
						d.keep(8)
						a.dtypes = append(a.dtypes, tensor.DType(v))
					})
				case 7:
					a.hold(d.shape(tensor.Shape{}))
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
		case 3, 5: // a number, or 0 and 1 for false and true
			a.number = int64(d.varint())
		case 6:
			a.dtype = tensor.DType(d.varint())
		case 7:
			a.shape = d.shape(tensor.Shape{})
			a.hold(a.shape)
		case 8:
			a.tensors = append(a.tensors, d.constant())
		case 10:
			d.functionName(a)
		}
	})
}

// hold notes what is wrong with a shape in the attribute.
func (a *attr) hold(shape tensor.Shape) {
	known := slices.Clone(shape)
	for i, size := range known {
		if size == -1 {
			known[i] = 1
		}
	}
	if _, err := known.Elements(); err != nil && shape != nil {
		a.fault = err.Error()
	}
}

// functionName reads a NameAttrList: a function and the attributes it is called with, which may
// name functions again.
func (d *decoder) functionName(a *attr) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			a.calls = append(a.calls, d.text())
		case 2:
			inner := map[string]*attr{}
			d.namedAttr(inner)
			for _, i := range inner {
				d.keep(16*int64(len(i.calls)) + 8*int64(len(i.tensors)))
				a.calls = append(a.calls, i.calls...)
				a.tensors = append(a.tensors, i.tensors...)
				a.fault = cmp.Or(a.fault, i.fault)
			}
		}
	})
}

// shape reads a TensorShapeProto and appends its dimensions to s; nil where the rank is unknown. Of
// more dimensions than there can be, it keeps one too many.
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
			if len(s) <= tensor.MaxDims {
				d.keep(8)
				s = append(s, size)
			}
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
	d.keep(keptConstant)
	c := &constant{shape: tensor.Shape{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			c.dtype = tensor.DType(d.varint())
		case 2:
			c.shape = d.shape(c.shape)
		case 4:
			c.content = d.length()
			if c.small = nil; c.content > maxPaddingBytes {
				d.discard(c.content)
				break
			}
			d.keep(c.content)
			c.small = d.rawBytes(c.content)
			if c.dtype == tensor.Float32 && c.content == 4 {
				c.float = toFloat32(c.small)
			}
		case 5:
			n := int64(4)
			if d.typ == protowire.BytesType {
				n = d.length()
			}
			c.values += n / 4
			switch {
			case d.typ == protowire.BytesType && n != 4:
				d.discard(n)
			case d.typ == protowire.BytesType || d.want(protowire.Fixed32Type):
				c.float = d.float32()
			}
		case 6, 9, 12:
			if d.typ == protowire.BytesType {
				n := d.length()
				c.values += n / elementSizes[number]
				d.discard(n)
			} else {
				c.values++
				d.skip(number)
			}
		case 7, 10, 11, 13, 16, 17:
			d.varints(func(v uint64) {
				c.values++
				c.number = max(c.number, magnitude(int64(v)))
				c.zero = c.zero || v == 0
			})
		case 8:
			c.values++
			if n := d.length(); n <= maxText {
				d.keep(keptString + n)
				c.strings = append(c.strings, string(d.rawBytes(n)))
			} else {
				d.keep(keptString)
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

// float32 reads a number of four bytes, which are the field's or a part of it.
func (d *decoder) float32() float32 { return toFloat32(d.rawBytes(4)) }

func toFloat32(data []byte) float32 {
	if len(data) < 4 {
		return 0
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(data))
}

func (d *decoder) function() *function {
	d.keep(keptFunction)
	f := &function{ret: map[string]string{}, attrs: map[string]*attr{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1: // signature, an OpDef
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					f.name = d.text()
				case 4: // attr: its default value is the attribute's where a call gives none
					d.message(func(number protowire.Number) {
						if number == 3 {
							d.keep(keptAttr)
							a := &attr{}
							d.attr(a)
							f.defaults = append(f.defaults, a)
						}
					})
				case 2: // input_arg
					name := ""
					d.message(func(number protowire.Number) {
						switch number {
						case 1:
							name = d.text()
						case 5, 6: // number_attr, type_list_attr
							f.listArgs = d.text() != "" || f.listArgs
						}
					})
					f.args = append(f.args, name)
				case 3: // output_arg
					d.message(func(number protowire.Number) {
						if number == 1 {
							f.results = append(f.results, d.text())
						}
					})
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
		}
	})
	return f
}
