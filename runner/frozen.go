package runner

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	"google.golang.org/protobuf/proto"

	"kerasrun/tensor"
)

// part returns the part of the session's graph that the operations named need, but not what reads of variables need, and those reads.
func (s *session) part(needed []string) (graph *graphpb.GraphDef, reads []*nodepb.NodeDef, err error) {
	var raw bytes.Buffer
	if _, err := s.graph.WriteTo(&raw); err != nil {
		return nil, nil, fmt.Errorf("runner: the graph: TensorFlow: %s", oneLine(err.Error()))
	}
	graph = new(graphpb.GraphDef)
	if err := proto.Unmarshal(raw.Bytes(), graph); err != nil {
		return nil, nil, fmt.Errorf("runner: the graph: %w", err)
	}
	byName := make(map[string]*nodepb.NodeDef, len(graph.Node))
	for _, node := range graph.Node {
		byName[node.Name] = node
	}
	graph.Node = nil
	for needed = slices.Clone(needed); len(needed) > 0; {
		name, _, _ := strings.Cut(strings.TrimPrefix(needed[0], "^"), ":") // ^ before a name is an order of running, :1 the second output
		needed = needed[1:]
		node := byName[name]
		if node == nil {
			continue
		}
		delete(byName, name)
		delete(node.Attr, "_class") // names operations that may not be in the graph any more
		graph.Node = append(graph.Node, node)
		if node.Op == "ReadVariableOp" {
			reads = append(reads, node)
			continue
		}
		needed = append(needed, node.Input...)
	}
	return graph, reads, nil
}

// frozen returns the part of the session's graph that the operations named need, with constants for variables.
func (s *session) frozen(needed []string) (*graphpb.GraphDef, error) {
	graph, reads, err := s.part(needed)
	if err != nil || len(reads) == 0 {
		return graph, err
	}
	var names []string
	for _, read := range reads {
		names = append(names, read.Name)
	}
	values, err := s.values(names)
	if err != nil {
		return nil, err
	}
	defer deleteAll(values)
	for _, read := range reads {
		value, err := fetch(values[read.Name])
		if err != nil {
			return nil, fmt.Errorf("runner: variable %s: %w", read.Name, err)
		}
		content, err := value.Bytes()
		if err != nil {
			return nil, fmt.Errorf("runner: variable %s: %w", read.Name, err)
		}
		makeConstant(read, value.Shape, &tensorpb.TensorProto{TensorContent: content})
	}
	return graph, nil
}

// makeConstant turns an operation that reads a variable into a constant of a shape with the elements of value.
func makeConstant(read *nodepb.NodeDef, shape tensor.Shape, value *tensorpb.TensorProto) {
	dtype := read.Attr["dtype"]
	value.Dtype, value.TensorShape = dtype.GetType(), shapeOf(shape)
	read.Op, read.Input = "Const", nil
	read.Attr = map[string]*attrpb.AttrValue{"dtype": dtype, "value": {Value: &attrpb.AttrValue_Tensor{Tensor: value}}}
}

func shapeOf(sizes []int64) *shapepb.TensorShapeProto {
	shape := new(shapepb.TensorShapeProto)
	for _, size := range sizes {
		shape.Dim = append(shape.Dim, &shapepb.TensorShapeProto_Dim{Size: size})
	}
	return shape
}

// sessionOf returns a session of a graph.
func sessionOf(graph *graphpb.GraphDef, config []byte) (*session, error) {
	raw, err := proto.Marshal(graph)
	if err != nil {
		return nil, err
	}
	imported := tf.NewGraph()
	if err := imported.Import(raw, ""); err != nil {
		return nil, fmt.Errorf("TensorFlow: the graph: %s", oneLine(err.Error()))
	}
	s, err := tf.NewSession(imported, &tf.SessionOptions{Config: config})
	if err != nil {
		return nil, fmt.Errorf("TensorFlow: the session: %s", oneLine(err.Error()))
	}
	return newSession(s, imported)
}

// onEach returns a session of the part of the graph that the operations named need on each of the devices, with constants for variables,
// or none where one of them fails. A device is named as TensorFlow does, "/device:GPU:1"; "" leaves the choice to TensorFlow. An operation
// that names a device itself stays there.
func (s *session) onEach(devices, needed []string, config []byte) ([]*session, error) {
	graph, err := s.frozen(needed)
	if err != nil {
		return nil, err
	}
	unplaced := slices.DeleteFunc(slices.Clone(graph.Node), func(node *nodepb.NodeDef) bool { return node.Device != "" })
	var sessions []*session
	for _, device := range devices {
		for _, node := range unplaced {
			node.Device = device
		}
		other, err := sessionOf(graph, config)
		if err != nil {
			err = fmt.Errorf("runner: device %q: %w", device, err)
			for _, opened := range sessions {
				err = errors.Join(err, opened.close())
			}
			return nil, err
		}
		sessions = append(sessions, other)
	}
	// Of the graph there have been several copies in Go.
	debug.FreeOSMemory()
	return sessions, nil
}
