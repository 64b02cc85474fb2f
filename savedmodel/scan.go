package savedmodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// maxExpansion limits the bytes of the graph's constants that are not in the file, because one
// value is repeated.
const maxExpansion = 1 << 30

// ScanOption relaxes Scan.
type ScanOption func(*scan)

type scan struct {
	ops     map[string]bool
	skipped map[Check]bool
}

// AllowOps lets these operations pass wherever they are.
func AllowOps(ops ...string) ScanOption {
	return func(s *scan) {
		for _, op := range ops {
			s.ops[op] = true
		}
	}
}

// Skip leaves checks out. Skipping CheckFiles leaves the hashes unread.
func Skip(checks ...Check) ScanOption {
	return func(s *scan) {
		for _, c := range checks {
			s.skipped[c] = true
		}
	}
}

// Scan returns the problems found in the model: those of [Model.Validate], and operations and
// constants that are not safe to run. A model with findings of severity [Error] must not be loaded;
// [Join] makes them one error.
//
// An operation must be on the allow-list: a function of the inputs, the constants and the
// variables, without any effect outside. Another one is an error where a signature, an initialiser
// or the restoring of the variables runs it, in the graph or in a library function. Where nothing
// runs it, it is an error if it is known to have effects outside, and otherwise a [Warning]. The
// operations that read and write checkpoints are allowed where only the saver runs them.
func (m *Model) Scan(options ...ScanOption) []Finding {
	s := newScan(options)
	findings := m.validate(s.skipped)
	for i := range m.MetaGraphs {
		g := &m.MetaGraphs[i]
		if !s.skipped[CheckConstants] {
			findings = append(findings, g.checkConstants()...)
		}
		if !s.skipped[CheckAttributes] {
			findings = append(findings, g.checkAttributes()...)
		}
		if !s.skipped[CheckCalls] {
			findings = append(findings, g.checkCalls()...)
		}
		if !s.skipped[CheckOps] {
			findings = append(findings, g.checkOps(s.ops)...)
		}
	}
	return findings
}

func newScan(options []ScanOption) scan {
	s := scan{ops: map[string]bool{}, skipped: map[Check]bool{}}
	for _, option := range options {
		option(&s)
	}
	return s
}

// Verified returns whether Scan with these options compares every file with a manifest. A manifest
// shows that the files are whole; it does not show who made them.
func (m *Model) Verified(options ...ScanOption) bool {
	return m.Manifest != nil && !newScan(options).skipped[CheckFiles]
}

// eachNode calls visit with every node of the graph and its library, with where it is and with what
// runs it.
func (g *MetaGraph) eachNode(visit func(n *node, where string, by reacher)) {
	r := g.reach()
	for _, n := range g.graph.nodes {
		visit(n, place(nil, n), r.nodes[n])
	}
	for _, f := range g.graph.functions {
		for _, n := range f.nodes {
			visit(n, place(f, n), r.functions[f])
		}
	}
}

// eachAttr calls visit with every attribute of the graph and its library, and with where it is.
func (g *MetaGraph) eachAttr(visit func(a *attr, where string)) {
	g.eachNode(func(n *node, where string, _ reacher) {
		for _, key := range slices.Sorted(maps.Keys(n.attrs)) {
			visit(n.attrs[key], where)
		}
	})
	for _, f := range g.graph.functions {
		for _, a := range slices.Concat(slices.Collect(maps.Values(f.attrs)), f.defaults) {
			visit(a, fmt.Sprintf("function %q", f.name))
		}
	}
}

func isSaver(op string) bool { return saverOps[byRestore][op] || saverOps[bySave][op] }

func (g *MetaGraph) checkOps(allowed map[string]bool) []Finding {
	r := report{check: CheckOps}
	functions := map[string]bool{}
	for _, f := range g.graph.functions {
		functions[f.name] = true
	}
	g.eachNode(func(n *node, where string, by reacher) {
		known := allowedOps[n.op] || isSaver(n.op) || danger(n.op) != ""
		changes := variableWriters[n.op] && by&bySignature != 0
		if allowed[n.op] || saverOps[by][n.op] || allowedOps[n.op] && !changes ||
			functions[n.op] && !known {
			return
		}
		what, severity := danger(n.op), Error
		unused := by == 0
		if changes {
			what = "changes a variable, so that the next answer may be another"
		} else if what == "" {
			what = "is not on the list of operations that are pure functions, or not one of " +
				"TensorFlow's"
			unused = by == 0 || by == bySave
		} else if !isSaver(n.op) { // a second graph of a model has the first one's saver, unused
			unused = false
		}
		if unused {
			severity = Warning
		}
		r.add(severity, GraphPath, where, fmt.Sprintf("%s %s; run by %v", n.op, what, by))
		r.findings[len(r.findings)-1].Op = n.op
	})
	if !allowed["RestoreV2"] {
		g.checkCheckpoints(&r)
	}
	return r.findings
}

// checkCheckpoints refuses a saver that restores from any other file than the one that it is given:
// the directory's variables.
func (g *MetaGraph) checkCheckpoints(r *report) {
	reached := g.reach()
	functions := map[string]*function{}
	for _, f := range g.graph.functions {
		functions[f.name] = f
	}
	// Of every function, the arguments that are the file's name in each call of it seen so far. A
	// function is looked at again when a call leaves fewer. nil stands for the graph itself.
	given := map[*function]map[string]bool{nil: {plainTensor(g.graph.saver.filename): true}}
	body := func(f *function) []*node {
		if f != nil {
			return f.nodes
		}
		return slices.DeleteFunc(slices.Clone(g.graph.nodes),
			func(n *node) bool { return reached.nodes[n]&byRestore == 0 })
	}
	todo := []*function{nil}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		nodes := body(f)
		names := nodeNames(nodes)
		for _, n := range nodes {
			for _, callee := range n.call(functions) {
				before, seen := given[callee]
				args := map[string]bool{}
				if n.hands(callee) {
					for i, arg := range callee.args {
						if (!seen || before[arg]) && isGiven(n.inputs[i], names, given[f]) {
							args[arg] = true
						}
					}
				}
				if !seen || len(args) < len(before) {
					given[callee] = args
					todo = append(todo, callee)
				}
			}
		}
	}
	for _, f := range append([]*function{nil}, g.graph.functions...) {
		if _, called := given[f]; !called {
			continue
		}
		nodes := body(f)
		names := nodeNames(nodes)
		for _, n := range nodes {
			if saverOps[byRestore][n.op] &&
				(len(n.inputs) == 0 || !isGiven(n.inputs[0], names, given[f])) {
				r.errorf(GraphPath, place(f, n), "%s reads another file than the model's variables",
					n.op)
				r.findings[len(r.findings)-1].Op = n.op
			}
		}
	}
}

// place says where a node is, in a function or (nil) in the graph itself.
func place(f *function, n *node) string {
	if f == nil {
		return fmt.Sprintf("node %q", n.name)
	}
	return fmt.Sprintf("function %q: node %q", f.name, n.name)
}

// isGiven returns whether an input is, through Identity nodes, one of the known tensors or
// arguments.
func isGiven(input string, names map[string]*node, known map[string]bool) bool {
	for range maxDepth {
		input = plainTensor(input)
		if known[input] {
			return true
		}
		n := names[input]
		if n == nil || n.op != "Identity" || len(n.inputs) == 0 {
			return false
		}
		input = n.inputs[0]
	}
	return false
}

// plainTensor returns the name alone of a node's first output or of an argument, which TensorFlow
// spells "node", "node:0", and in a function "node:output:0". Other tensors' names are returned
// whole.
func plainTensor(input string) string {
	name, output, _ := strings.Cut(input, ":")
	if index := output[strings.LastIndex(output, ":")+1:]; index == "" || index == "0" {
		return name
	}
	return input
}

// checkConstants compares the shapes of constants with their elements. TensorFlow trusts a shape: a
// product that overflows aborts the process, and a single value is repeated to fill the shape.
func (g *MetaGraph) checkConstants() []Finding {
	r := report{check: CheckConstants}
	var expanded int64
	g.eachAttr(func(a *attr, where string) {
		for _, c := range a.tensors {
			bytes, err := c.expansion()
			if err != nil {
				r.errorf(GraphPath, where, "%v", err)
				continue
			}
			expanded += bytes
			if expanded > maxExpansion {
				r.errorf(GraphPath, where,
					"expected at most %d bytes of repeated values, got more with %v of shape %v",
					maxExpansion, c.dtype, c.shape)
				expanded = 0
			}
		}
	})
	return r.findings
}

// checkAttributes reports shapes and numbers that TensorFlow does not check: some operations abort
// the process where a shape's product overflows, others cut a number to 32 bits.
func (g *MetaGraph) checkAttributes() []Finding {
	r := report{check: CheckAttributes}
	g.eachAttr(func(a *attr, where string) {
		if a.fault != "" {
			r.errorf(GraphPath, where, "%s", a.fault)
		}
	})
	return r.findings
}

// Types of TensorFlow's that are no tensor's here.
const (
	complex64  tensor.DType = 8
	complex128 tensor.DType = 18
	resource   tensor.DType = 20
	variant    tensor.DType = 21
)

// expansion returns how many bytes the tensor takes beyond those in the file.
func (c *constant) expansion() (int64, error) {
	elements, err := c.shape.Elements()
	if err != nil {
		return 0, err
	}
	size := int64(c.dtype.Size())
	values := c.values
	if c.dtype == complex64 || c.dtype == complex128 {
		values /= 2
	}
	switch {
	case c.dtype == resource || c.dtype == variant:
		return 0, fmt.Errorf("expected a constant of numbers or strings, got %v", c.dtype)
	case c.content > 0 && size > 0 && c.content != elements*size:
		return 0, fmt.Errorf("%v of shape %v: expected %d bytes, got %d", c.dtype, c.shape,
			elements*size, c.content)
	case values > elements && elements > 0:
		return 0, fmt.Errorf("%v of shape %v: expected %d elements, got %d", c.dtype, c.shape,
			elements, values)
	case c.content > 0 && size > 0:
		return 0, nil
	case size == 0:
		size = 24           // of a string's header; no other type's element is larger
		values += c.content // each of them takes a byte at least
	}
	return size * (elements - min(values, elements)), nil
}

// AllowedOps returns the names of the operations that Scan lets pass everywhere, sorted.
func AllowedOps() []string { return slices.Sorted(maps.Keys(allowedOps)) }
