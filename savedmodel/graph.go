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
	// collections holds the node lists (initialisers among them) by key, as they are in TensorFlow
	// 1's models.
	collections map[string][]string
	assets      []Asset // asset_file_def
	// of the collection saved_model_assets, which TensorFlow reads when there are no asset_file_def
	oldAssets  []Asset
	signatures map[string]*signatureDef

	names map[string]*node // the nodes', by their names

	reachMu sync.Mutex
	reached *reached // nil until it has been computed
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

// readGraphs reads a SavedModel message. Where protobuf merges (a singular message given twice) or
// takes the last (a number, a string, a map's key given twice), so does this: the graph seen here
// is the graph that TensorFlow would see.
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
		g.names = nodeNames(g.nodes)
	}
	return graphs, nil
}

// checkNames returns an error where two nodes or functions share a name: TensorFlow refuses that
// too, and a name could mean either.
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
			d.keep(keptTensor)
			key, value := "", (*signatureDef)(nil)
			d.message(func(number protowire.Number) {
				switch number {
				case 1:
					key = d.text()
				case 2:
					if value == nil {
						value = &signatureDef{inputs: map[string]*tensorInfo{},
							outputs: map[string]*tensorInfo{}}
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
			if named {
				d.fail("a collection has two keys")
			}
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
	d.keep(keptTensor)
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
