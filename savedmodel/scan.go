package savedmodel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// maxExpansion limits the bytes of the graph's constants that are not in the file, because one
// value is repeated.
const maxExpansion = 1 << 30

// maxHollow limits the sizes of a constant without elements, but for those of 0: a product of
// matrices makes lists that are as long. No client sends a tensor without elements.
const maxHollow = 1 << 24

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
//
// The work grows as the files do. The context ends it: then the error is the context's, and nothing
// is known of the model.
func (m *Model) Scan(ctx context.Context, options ...ScanOption) ([]Finding, error) {
	return m.scan(newWork(ctx), options)
}

func (m *Model) scan(w *work, options []ScanOption) ([]Finding, error) {
	s := newScan(options)
	findings := m.validate(w, s.skipped)
	for i := range m.MetaGraphs {
		g := &m.MetaGraphs[i]
		for _, check := range []struct {
			name  Check
			check func(*report)
		}{
			{CheckConstants, g.checkConstants},
			{CheckAttributes, g.checkAttributes},
			{CheckCalls, g.checkCalls},
			{CheckOps, func(r *report) { g.checkOps(r, s.ops) }},
		} {
			if !s.skipped[check.name] && w.err == nil {
				r := report{check: check.name, work: w}
				check.check(&r)
				findings = append(findings, r.findings...)
			}
		}
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	return findings, nil
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

// eachNode calls visit with every node of the graph and its library, with the function that it is
// in and with what runs it.
func (g *MetaGraph) eachNode(w *work, visit func(f *function, n *node, by reacher)) {
	r := g.reach(w)
	for _, n := range g.graph.nodes {
		if !w.step() {
			return
		}
		visit(nil, n, r.nodes[n])
	}
	for _, f := range g.graph.functions {
		for _, n := range f.nodes {
			if !w.step() {
				return
			}
			visit(f, n, r.functions[f])
		}
	}
}

// eachAttr calls visit with every attribute of the graph and its library, and with what says where
// it is.
func (g *MetaGraph) eachAttr(w *work, visit func(a *attr, where func() string)) {
	g.eachNode(w, func(f *function, n *node, _ reacher) {
		for _, key := range slices.Sorted(maps.Keys(n.attrs)) {
			if !w.step() {
				return
			}
			visit(n.attrs[key], func() string { return place(f, n) })
		}
	})
	for _, f := range g.graph.functions {
		if w.err != nil {
			return
		}
		for _, a := range slices.Concat(slices.Collect(maps.Values(f.attrs)), f.defaults) {
			if !w.step() {
				return
			}
			visit(a, func() string { return "function " + quote(f.name) })
		}
	}
}

func isSaver(op string) bool { return saverOps[byRestore][op] || saverOps[bySave][op] }

// decodesBytes is the danger of operations that models do have which decode images for themselves.
const decodesBytes = "decodes bytes in native code"

func (g *MetaGraph) checkOps(r *report, allowed map[string]bool) {
	functions := g.graph.library()
	g.eachNode(r.work, func(f *function, n *node, by reacher) {
		known := allowedOps[n.op] || isSaver(n.op) || trusting[n.op] || danger(n.op) != ""
		changes := variableWriters[n.op] && by&bySignature != 0
		if allowed[n.op] || saverOps[by][n.op] || allowedOps[n.op] && !changes ||
			functions[n.op] != nil && !known {
			return
		}
		what, severity := danger(n.op), Error
		unused := by == 0
		if changes {
			what = "changes a variable, so that the next answer may be another"
		} else if trusting[n.op] {
			what = fmt.Sprintf("may end the process, or never end, where an input is another "+
				"(--allow-op %s takes it)", n.op)
			unused = by == 0 || by == bySave
		} else if what == "" {
			what = "is not on the list of operations that are pure functions, or not one of " +
				"TensorFlow's"
			unused = by == 0 || by == bySave
		} else if what == decodesBytes {
			what += fmt.Sprintf(": where these are trusted, --allow-op %s takes it", n.op)
			unused = false
		} else if !isSaver(n.op) { // a second graph of a model has the first one's saver, unused
			unused = false
		}
		if unused {
			severity = Warning
		}
		r.addOp(severity, f, n, fmt.Sprintf("%s; run by %v", what, by))
	})
	g.checkTrusted(r, allowed)
	if !allowed["RestoreV2"] {
		g.checkCheckpoints(r)
	}
}

// addOp adds a finding about the operation that the node is.
func (r *report) addOp(severity Severity, f *function, n *node, what string) {
	if r.full(severity) {
		return
	}
	op := shorten(n.op, maxQuoted)
	r.add(severity, GraphPath, place(f, n), op+" "+what)
	r.findings[len(r.findings)-1].Op = op
}

// argument is an argument of a function, or with a nil function a tensor of the graph itself.
type argument struct {
	of   *function
	name string
}

// checkCheckpoints refuses a saver that restores from any other file than the one that it is given:
// the directory's variables.
//
// An argument is that file's name where every call hands on such an argument. So all are taken for
// it first. Then those that some call gives something else are struck out, and those that get
// these.
func (g *MetaGraph) checkCheckpoints(r *report) {
	filename := plainTensor(g.graph.saver.filename)
	functions, reached := g.graph.library(), g.reach(r.work)
	bodies := map[*function][]*node{}
	for _, n := range g.graph.nodes {
		if reached.nodes[n]&byRestore != 0 {
			bodies[nil] = append(bodies[nil], n)
		}
	}
	arguments := map[*function]map[string]bool{nil: {filename: true}}
	struck := map[argument]bool{}
	handed := map[*function]bool{} // by a call that hands all arguments on
	for _, f := range g.graph.functions {
		if reached.functions[f]&byRestore == 0 {
			continue
		}
		bodies[f] = f.nodes
		arguments[f] = make(map[string]bool, len(f.args))
		for _, name := range f.args {
			arguments[f][name] = true
		}
	}
	// from finds the argument that an input is, through Identity nodes.
	from := func(f *function, input string, names map[string]*node) (argument, bool) {
		for range maxDepth {
			r.work.step()
			input = plainTensor(input)
			if arguments[f][input] {
				return argument{f, input}, true
			}
			n := names[input]
			if n == nil || n.op != "Identity" || len(n.inputs) == 0 {
				break
			}
			input = n.inputs[0]
		}
		return argument{}, false
	}
	var todo []argument
	strike := func(a argument) {
		if !struck[a] {
			struck[a] = true
			todo = append(todo, a)
		}
	}
	unknown := map[*function]bool{} // what calls of it hand on
	readers := map[argument][]argument{}
	type restore struct {
		f    *function
		n    *node
		file argument
		ok   bool
	}
	var restores []restore
	visit := func(f *function) {
		names := nodeNames(bodies[f])
		if f != nil {
			for _, callee := range f.byDefault(functions) {
				unknown[callee] = true
			}
		}
		for _, n := range bodies[f] {
			if !r.work.step() {
				return
			}
			if saverOps[byRestore][n.op] {
				found := restore{f: f, n: n}
				if len(n.inputs) > 0 {
					found.file, found.ok = from(f, n.inputs[0], names)
				}
				restores = append(restores, found)
			}
			for _, callee := range n.call(functions) {
				r.work.step()
				if !n.hands(callee) {
					unknown[callee] = true
					continue
				}
				handed[callee] = true
				for i, name := range callee.args {
					to := argument{callee, name}
					if source, ok := from(f, n.inputs[i], names); ok {
						readers[source] = append(readers[source], to)
					} else {
						strike(to)
					}
				}
			}
		}
	}
	visit(nil)
	for _, f := range g.graph.functions {
		if bodies[f] != nil {
			visit(f)
		}
	}
	for f := range arguments {
		if f != nil && (unknown[f] || !handed[f]) {
			for _, name := range f.args {
				strike(argument{f, name})
			}
		}
	}
	for len(todo) > 0 && r.work.step() {
		a := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, reader := range readers[a] {
			r.work.step()
			strike(reader)
		}
	}
	for _, found := range restores {
		if !found.ok || struck[found.file] {
			r.addOp(Error, found.f, found.n, "reads another file than the model's variables")
		}
	}
}

// place says where a node is, in a function or (nil) in the graph itself.
func place(f *function, n *node) string {
	if f == nil {
		return "node " + quote(n.name)
	}
	return fmt.Sprintf("function %s: node %s", quote(f.name), quote(n.name))
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
func (g *MetaGraph) checkConstants(r *report) {
	var expanded int64
	g.eachAttr(r.work, func(a *attr, where func() string) {
		for _, c := range a.tensors {
			r.work.step()
			bytes, err := c.expansion()
			if err != nil {
				r.errorf(GraphPath, where(), "%v", err)
				continue
			}
			expanded += bytes
			if expanded > maxExpansion {
				r.errorf(GraphPath, where(),
					"expected at most %d bytes of repeated values, got more with %v of shape %v",
					maxExpansion, c.dtype, c.shape)
				expanded = 0
			}
		}
	})
}

// checkAttributes reports shapes and numbers that TensorFlow does not check: some operations abort
// the process where a shape's product overflows, others cut a number to 32 bits.
func (g *MetaGraph) checkAttributes(r *report) {
	g.eachAttr(r.work, func(a *attr, where func() string) {
		if a.fault != "" {
			r.errorf(GraphPath, where(), "%s", a.fault)
		}
	})
	g.checkSizes(r)
}

// Types of TensorFlow's that are no tensor's here.
const (
	complex64  tensor.DType = 8
	complex128 tensor.DType = 18
	resource   tensor.DType = 20
	variant    tensor.DType = 21
)

// hollow returns the product of the sizes that are not 0.
func hollow(shape tensor.Shape) int64 {
	product := int64(1)
	for _, n := range shape {
		product *= max(n, 1)
	}
	return product
}

// expansion returns how many bytes the tensor takes beyond those in the file.
func (c *constant) expansion() (int64, error) {
	elements, err := c.shape.Elements()
	if err != nil {
		return 0, err
	}
	if elements == 0 && hollow(c.shape) > maxHollow {
		return 0, fmt.Errorf("%v of shape %v: expected at most %d elements but for the sizes of 0, "+
			"got more", c.dtype, c.shape, maxHollow)
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
