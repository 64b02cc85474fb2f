package savedmodel

import "strings"

// reacher says from where a node is run.
type reacher uint8

const (
	bySignature reacher = 1 << iota
	byInitialiser
	byRestore // the saver's, which runs when the model is loaded
	bySave    // the saver's, which nothing here runs
)

var reachers = []struct {
	by   reacher
	name string
}{
	{bySignature, "a signature"},
	{byInitialiser, "an initialiser"},
	{byRestore, "the restoring of variables"},
	{bySave, "the saving of variables"},
}

func (r reacher) String() string {
	var names []string
	for _, known := range reachers {
		if r&known.by != 0 {
			names = append(names, known.name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// reached says of the graph's nodes, and of the library's functions, from where they are run. Of a
// function that is run all nodes may be: its stateful ones are whatever its outputs need.
type reached struct {
	nodes     map[*node]reacher
	functions map[*function]reacher
}

// reach computes it, once for a graph. Where the work has ended, it is not whole.
func (g *MetaGraph) reach(w *work) reached {
	g.graph.reachMu.Lock()
	defer g.graph.reachMu.Unlock()
	if g.graph.reached != nil {
		return *g.graph.reached
	}
	r := g.findReached(w)
	if w.err == nil {
		g.graph.reached = &r
	}
	return r
}

func (g *MetaGraph) findReached(work *work) reached {
	r := reached{map[*node]reacher{}, map[*function]reacher{}}
	w := walk{work: work, reached: r, names: g.graph.names, functions: g.graph.library(),
		implementations: map[string][]*function{}, replaced: map[string]reacher{}}
	for _, f := range g.graph.functions {
		if a := f.attrs["api_implements"]; a != nil {
			w.implementations[a.text] = append(w.implementations[a.text], f)
		}
	}
	for _, root := range g.roots() {
		if !work.step() {
			break
		}
		w.follow(g.graph.names[producer(root.tensor)], root.by)
	}
	return r
}

func nodeNames(nodes []*node) map[string]*node {
	names := make(map[string]*node, len(nodes))
	for _, n := range nodes {
		names[n.name] = n
	}
	return names
}

type root struct {
	tensor string
	by     reacher
}

func (g *MetaGraph) roots() []root {
	var roots []root
	for key, s := range g.graph.signatures {
		by := bySignature
		if key == initSignature {
			by = byInitialiser
		}
		for _, t := range s.outputs {
			roots = append(roots, root{t.name, by})
		}
	}
	for _, key := range []string{"saved_model_main_op", "legacy_init_op"} {
		for _, name := range g.graph.collections[key] {
			roots = append(roots, root{name, byInitialiser})
		}
	}
	return append(roots, root{g.graph.saver.restore, byRestore}, root{g.graph.saver.save, bySave})
}

// producer returns the node of an input as a node or a signature names it: "node", "node:1",
// "^node" (a control input), and in a function "node:output:1" or an argument.
func producer(input string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(input, "^"), ":")
	return name
}

type walk struct {
	work *work
	reached
	names     map[string]*node
	functions map[string]*function
	// by what they implement: TensorFlow may call one in place of another
	implementations map[string][]*function
	replaced        map[string]reacher // of which all implementations are reached, and by what
}

// follow marks what running n runs. It uses a list and no recursion: a graph may be a million nodes
// deep.
func (w *walk) follow(n *node, by reacher) {
	todo := []*node{n}
	for len(todo) > 0 && w.work.step() {
		n, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if n == nil || w.nodes[n]&by != 0 {
			continue
		}
		w.nodes[n] |= by
		for _, input := range n.inputs {
			todo = append(todo, w.names[producer(input)])
		}
		for _, f := range n.call(w.functions) {
			w.call(f, by)
		}
	}
}

func (w *walk) call(f *function, by reacher) {
	todo := []*function{f}
	for len(todo) > 0 && w.work.step() {
		f, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if w.reached.functions[f]&by != 0 {
			continue
		}
		w.reached.functions[f] |= by
		if a := f.attrs["api_implements"]; a != nil && w.replaced[a.text]&by == 0 {
			w.replaced[a.text] |= by
			todo = append(todo, w.implementations[a.text]...)
		}
		for callee := range f.callees(w.functions) {
			if !w.work.step() {
				return
			}
			todo = append(todo, callee)
		}
	}
}
