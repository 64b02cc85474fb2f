package savedmodel

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"kerasrun/tensor"
)

// variableOps make a variable. TensorFlow loads a graph with them from a directory without
// variables, and fails at the first run.
var variableOps = []string{"VarHandleOp", "VariableV2", "Variable"}

// checkVariables compares the graphs with the index, and the index with the shards, including every
// checksum.
func (m *Model) checkVariables(r *report) {
	if m.indexErr != nil {
		r.errorf(IndexPath, "", "%v", m.indexErr)
		return
	}
	for i := range m.MetaGraphs {
		m.checkRestored(r, &m.MetaGraphs[i])
	}
	if m.index == nil {
		return
	}
	m.checkSlices(r)
	for shard, variables := range m.byShard() {
		m.checkShard(r, m.index.shardPath(shard), variables)
	}
	slices.SortStableFunc(r.findings, func(a, b Finding) int { return cmp.Compare(a.File, b.File) })
}

// checkRestored reports variables that the graph restores and the index lacks.
func (m *Model) checkRestored(r *report, g *MetaGraph) {
	if m.index == nil {
		for _, op := range g.Ops {
			if slices.Contains(variableOps, op.Op) {
				r.errorf(IndexPath, "", "expected the variables of the graph's %d %s, got no file",
					op.Count, op.Op)
			}
		}
		return
	}
	reached := g.reach(r.work)
	stored := map[*constant][]*Variable{} // of the names in a constant, which many nodes may share
	check := func(nodes []*node, by reacher, handles map[string]*node) {
		names := nodeNames(nodes)
		restored := restoredVariables(nodes, names, handles)
		for _, n := range nodes {
			if !r.work.step() {
				return
			}
			if n.op != "RestoreV2" || len(n.inputs) < 3 || (by|reached.nodes[n])&byRestore == 0 {
				continue
			}
			from := names[producer(n.inputs[1])]
			if from == nil || from.value() == nil {
				continue
			}
			constant, dtypes := from.value(), n.attr("dtypes").dtypes
			variables, looked := stored[constant]
			if !looked {
				for _, name := range constant.strings {
					variables = append(variables, m.index.variables[name])
				}
				stored[constant] = variables
			}
			// TensorFlow refuses another number of types than of names.
			if looked {
				variables = variables[:min(len(variables), len(dtypes))]
			}
			for i, v := range variables {
				if !r.work.step() {
					return
				}
				where := "variable " + quote(constant.strings[i])
				if v == nil {
					r.errorf(IndexPath, where,
						"expected the variable that the graph restores, got none")
				} else if i < len(dtypes) && v.DType != dtypes[i] {
					r.errorf(IndexPath, where, "expected %v as the graph, got %v", dtypes[i],
						v.DType)
				} else if variable := restored[output{n, i}]; variable != nil && v.slices == 0 {
					checkVariable(r, where, v, variable)
				}
			}
		}
	}
	check(g.graph.nodes, 0, g.graph.names)
	handles := g.handles()
	for _, f := range g.graph.functions {
		check(f.nodes, reached.functions[f], handles[f])
	}
}

// checkSlices reports slices of another type than their variable's: TensorFlow reads them as the
// variable's, and ends the process where that is strings or the slices are.
func (m *Model) checkSlices(r *report) {
	for i := range m.Variables {
		if !r.work.step() {
			return
		}
		slice := &m.Variables[i]
		whole := m.index.variables[slicedName(slice.Name)]
		if whole != nil && whole.slices > 0 && slice.DType != whole.DType {
			r.errorf(IndexPath, "variable "+quote(whole.Name), "expected slices of %v, got %v",
				whole.DType, slice.DType)
		}
	}
}

// slicedName returns the name of the variable of which an entry's name says that it is a slice; ""
// for other entries. TensorFlow writes such a name as a 0, the variable's name and the slice's
// extents; in the name 0 is written as 0, 255 and 255 as 255, 0, and 0, 1 ends it
// (tensorflow/core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc).
func slicedName(entry string) string {
	rest, ok := strings.CutPrefix(entry, "\x00")
	if !ok {
		return ""
	}
	var name strings.Builder
	for len(rest) >= 2 {
		switch rest[:2] {
		case "\x00\x01":
			return name.String()
		case "\x00\xff", "\xff\x00":
			name.WriteByte(rest[0])
			rest = rest[2:]
		default:
			name.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return ""
}

// checkVariable compares what is stored with the operation that makes the variable. TensorFlow
// restores another shape without an error.
func checkVariable(r *report, where string, stored *Variable, variable *node) {
	if dtype := variable.attr("dtype").dtype; dtype != stored.DType {
		r.errorf(IndexPath, where, "expected %v as %s, got %v", dtype,
			shorten(variable.name, maxQuoted), stored.DType)
	}
	if shape := variable.attr("shape").shape; shape.Accepts(stored.Shape) != nil {
		r.errorf(IndexPath, where, "expected shape %v as %s, got %v", shape,
			shorten(variable.name, maxQuoted), stored.Shape)
	}
}

// output is one of a node's outputs.
type output struct {
	of    *node
	index int
}

// restoredVariables returns which operations make the variables that get the outputs of RestoreV2.
// Handles has those operations by the names that the nodes use for them.
func restoredVariables(nodes []*node, names, handles map[string]*node) map[output]*node {
	restored := map[output]*node{}
	for _, n := range nodes {
		if n.op != "AssignVariableOp" && n.op != "Assign" || len(n.inputs) < 2 {
			continue
		}
		variable := handles[producer(n.inputs[0])]
		value := n.inputs[1]
		from := names[producer(value)]
		// So far and no further: a graph may have a circle of them.
		for range maxDepth {
			if from == nil || from.op != "Identity" || len(from.inputs) == 0 {
				break
			}
			value = from.inputs[0]
			from = names[producer(value)]
		}
		if variable == nil || !slices.Contains(variableOps, variable.op) || from == nil ||
			from.op != "RestoreV2" {
			continue
		}
		index, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:])
		if err != nil {
			index = 0 // "node" is its first output
		}
		restored[output{from, index}] = variable
	}
	return restored
}

// handles returns, by the names of each function's arguments, the nodes of the graph that a call
// passes; nil where several calls pass different ones.
func (g *MetaGraph) handles() map[*function]map[string]*node {
	functions := g.graph.library()
	names, handles := g.graph.names, map[*function]map[string]*node{}
	for _, f := range g.graph.functions {
		for _, callee := range f.byDefault(functions) {
			handles[callee] = nil
		}
	}
	for _, n := range g.graph.nodes {
		for _, f := range n.call(functions) {
			if _, called := handles[f]; called || !n.hands(f) {
				handles[f] = nil
				continue
			}
			handles[f] = map[string]*node{}
			for i, argument := range f.args {
				handles[f][argument] = names[producer(n.inputs[i])]
			}
		}
	}
	return handles
}

// byShard returns the variables with bytes of their own, shard by shard, as they lie there.
func (m *Model) byShard() map[int][]*Variable {
	shards := map[int][]*Variable{}
	for i := range m.Variables {
		if v := &m.Variables[i]; v.slices == 0 {
			shards[v.Shard] = append(shards[v.Shard], v)
		}
	}
	for _, variables := range shards {
		slices.SortFunc(variables,
			func(a, b *Variable) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	return shards
}

func (m *Model) checkShard(r *report, name string, variables []*Variable) {
	file := m.file(name)
	if file == nil {
		r.errorf(name, "", "expected a shard with %d variables, got no file", len(variables))
		return
	}
	last := variables[len(variables)-1]
	if want := last.Offset + last.Bytes; file.Bytes < want {
		r.errorf(name, "", "expected at least %d bytes, got %d", want, file.Bytes)
		return
	}
	f, err := m.fsys.Open(name)
	if err != nil {
		r.errorf(name, "", "%v", err)
		return
	}
	defer f.Close()
	in := bufio.NewReaderSize(r.work.reader(f), 1<<18)
	var off int64
	for _, v := range variables {
		if !r.work.step() {
			return
		}
		where := "variable " + quote(v.Name)
		if v.Offset < off {
			r.errorf(name, where,
				"expected it behind byte %d, where the one before ends, got byte %d", off, v.Offset)
			return
		}
		if _, err := io.CopyN(io.Discard, in, v.Offset-off); err != nil {
			r.errorf(name, where, "%v", err)
			return
		}
		off = v.Offset + v.Bytes
		data := &io.LimitedReader{R: in, N: v.Bytes}
		got, err := v.checksum(data)
		if err != nil {
			r.errorf(name, where, "%v", err)
		} else if want := unmask(v.crc); got != want {
			r.errorf(name, where, "expected CRC-32C %08x, got %08x", want, got)
		}
		if _, err := io.Copy(io.Discard, data); err != nil {
			r.errorf(name, where, "%v", err)
			return
		}
	}
}

// checksum returns the CRC-32C of a variable as TensorFlow's tensor bundles define it: that of the
// bytes, except for strings.
func (v *Variable) checksum(data *io.LimitedReader) (uint32, error) {
	if v.DType == tensor.String {
		return v.stringChecksum(data)
	}
	h := crc32.New(castagnoli)
	_, err := io.Copy(h, data)
	return h.Sum32(), err
}

// stringChecksum reads strings: their lengths as varints, the masked checksum of the lengths, the
// bytes. Checked are the lengths as fixed-size numbers (32 bits where they fit), that first
// checksum as it is stored, the bytes.
func (v *Variable) stringChecksum(data *io.LimitedReader) (uint32, error) {
	elements, err := v.Shape.Elements()
	if err != nil {
		return 0, err
	}
	if v.Bytes == 0 && elements == 0 {
		return 0, nil
	}
	in := bufio.NewReader(data)
	var crc uint32
	var total uint64
	for range elements {
		length, err := binary.ReadUvarint(in)
		if err != nil {
			return 0, unexpected(err)
		}
		if length > uint64(v.Bytes) {
			return 0, fmt.Errorf("a string of %d bytes in %d", length, v.Bytes)
		}
		total += length
		fixed := binary.LittleEndian.AppendUint32(nil, uint32(length))
		if length > 1<<32-1 {
			fixed = binary.LittleEndian.AppendUint64(nil, length)
		}
		crc = crc32.Update(crc, castagnoli, fixed)
	}
	var stored [4]byte
	if _, err := io.ReadFull(in, stored[:]); err != nil {
		return 0, unexpected(err)
	}
	if want := unmask(binary.LittleEndian.Uint32(stored[:])); crc != want {
		return 0, fmt.Errorf("expected CRC-32C %08x of the lengths, got %08x", want, crc)
	}
	crc = crc32.Update(crc, castagnoli, stored[:])
	var n uint64
	buffer := make([]byte, 1<<15)
	for {
		read, err := in.Read(buffer)
		crc = crc32.Update(crc, castagnoli, buffer[:read])
		n += uint64(read)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if n != total {
		return 0, fmt.Errorf("expected strings of %d bytes, got %d", total, n)
	}
	return crc, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
