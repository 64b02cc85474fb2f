package savedmodel

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/tensor"
)

// graph is what is kept of a MetaGraphDef: its structure, without the contents of tensors.
type graph struct {
	tags      []string
	version   string // TensorFlow's that wrote it
	nodes     []*node
	functions []*function
	saver     saver
	// collections holds the node lists (initialisers among them) by key, as they are in TensorFlow 1's models.
	collections map[string][]string
	assets      []Asset // asset_file_def
	oldAssets   []Asset // of the collection saved_model_assets, which TensorFlow reads when there are no asset_file_def
	signatures  map[string]*signatureDef

	reachOnce sync.Once
	reached   reached
}

type signatureDef struct {
	method          string
	inputs, outputs map[string]*tensorInfo
}

// tensorInfo is a TensorInfo; encoding says what it is where it is not one dense tensor.
type tensorInfo struct {
	name, encoding string
	dtype          tensor.DType
	shape          tensor.Shape
}

type saver struct{ filename, save, restore string }

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

// call returns the functions that the node calls: itself one (an op may be a function's name), or those that its attributes name.
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

// readGraphs reads a SavedModel message. Where protobuf merges (a singular message given twice) or takes the last (a number, a string,
// a map's key given twice), so does this: the graph seen here is the graph that TensorFlow would see.
func readGraphs(d *decoder) ([]*graph, error) {
	var graphs []*graph
	d.fields(func(number protowire.Number) {
		if number == 2 {
			g := &graph{collections: map[string][]string{}, signatures: map[string]*signatureDef{}}
			d.metaGraph(g)
			graphs = append(graphs, g)
		}
	})
	if d.err != nil {
		return nil, d.err
	}
	for _, g := range graphs {
		if err := g.checkNames(); err != nil {
			return nil, err
		}
	}
	return graphs, nil
}

// checkNames returns an error where two nodes or functions share a name: TensorFlow refuses that too, and a name could mean either.
func (g *graph) checkNames() error {
	functions := make(map[string]bool, len(g.functions))
	for _, f := range g.functions {
		if functions[f.name] {
			return fmt.Errorf("two functions are called %q", f.name)
		}
		functions[f.name] = true
		if err := checkNodeNames(f.nodes); err != nil {
			return fmt.Errorf("function %s: %w", f.name, err)
		}
	}
	return checkNodeNames(g.nodes)
}

func checkNodeNames(nodes []*node) error {
	names := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		if names[n.name] {
			return fmt.Errorf("two nodes are called %q", n.name)
		}
		names[n.name] = true
	}
	return nil
}

func (d *decoder) metaGraph(g *graph) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1: // meta_info_def
			d.message(func(number protowire.Number) {
				switch number {
				case 4:
					g.tags = append(g.tags, d.text())
				case 5:
					g.version = d.text()
				}
			})
		case 2: // graph_def
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					g.nodes = append(g.nodes, d.node())
				case 2:
					d.library(g)
				}
			})
		case 3: // saver_def
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					g.saver.filename = d.text()
				case 2:
					g.saver.save = d.text()
				case 3:
					g.saver.restore = d.text()
				}
			})
		case 4:
			d.collection(g)
		case 5:
			key, value := "", (*signatureDef)(nil)
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					key = d.text()
				case 2:
					if value == nil {
						value = &signatureDef{inputs: map[string]*tensorInfo{}, outputs: map[string]*tensorInfo{}}
					}
					d.signature(value)
				}
			})
			if value == nil {
				value = &signatureDef{}
			}
			g.signatures[key] = value
		case 6:
			g.assets = append(g.assets, d.asset())
		}
	})
}

func (d *decoder) library(g *graph) {
	d.message(func(number protowire.Number) {
		if number == 1 {
			g.functions = append(g.functions, d.function())
		}
	})
}

func (d *decoder) collection(g *graph) {
	key, named := "", false
	var list []string
	var assets []Asset
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			key, named = d.text(), true
		case 2: // CollectionDef, a oneof of which these two matter
			if !named {
				d.fail("a collection's value comes before its key")
				return
			}
			d.message(func(number protowire.Number) {
				switch number {
				case 1: // node_list
					d.message(func(number protowire.Number) {
						if number == 1 {
							list = append(list, d.text())
						}
					})
				case 5: // any_list
					if key == "saved_model_assets" {
						d.message(func(number protowire.Number) {
							if number == 1 {
								d.message(func(number protowire.Number) {
									if number == 2 { // Any's value: an AssetFileDef in bytes
										assets = append(assets, d.asset())
									}
								})
							}
						})
					}
				}
			})
		}
	})
	g.collections[key] = list
	if key == "saved_model_assets" {
		g.oldAssets = assets
	}
}

func (d *decoder) signature(s *signatureDef) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			d.namedTensor(s.inputs)
		case 2:
			d.namedTensor(s.outputs)
		case 3:
			s.method = d.text()
		}
	})
}

func (d *decoder) namedTensor(into map[string]*tensorInfo) {
	key, info := "", &tensorInfo{shape: tensor.Shape{}}
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			key = d.text()
		case 2:
			d.tensorInfo(info)
		}
	})
	into[key] = info
}

func (d *decoder) tensorInfo(t *tensorInfo) {
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			t.name, t.encoding = d.text(), ""
		case 2:
			t.dtype = tensor.DType(d.varint())
		case 3:
			t.shape = d.shape(t.shape)
		case 4:
			t.name, t.encoding = "", "a sparse tensor"
		case 5:
			t.name, t.encoding = "", "a composite tensor"
		}
	})
}

func (d *decoder) asset() Asset {
	var a Asset
	var info tensorInfo
	d.message(func(number protowire.Number) {
		switch number {
		case 1:
			d.tensorInfo(&info)
		case 2:
			a.File = d.text()
		}
	})
	a.Tensor = info.name
	return a
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
	into[key] = a
}

// attr reads an AttrValue. Everything ever named in it is kept, even by a later member of the oneof: more is seen, never less.
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
