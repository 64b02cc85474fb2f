package savedmodel

// maxInlined limits the nodes of a graph with every call inlined, as TensorFlow does it. Thirty
// functions that each call the next one twice would make a billion.
const maxInlined = 10_000_000

// checkCalls refuses functions that call each other in a circle, which TensorFlow follows until its
// stack is full, and calls that come to too many nodes.
func (g *MetaGraph) checkCalls(r *report) {
	c := calls{work: r.work, functions: g.graph.library(), sizes: map[*function]int64{}}
	for _, f := range g.graph.functions {
		if r.work.err != nil {
			return
		}
		if through := c.measure(f); through != nil {
			r.errorf(GraphPath, "function "+quote(through.name),
				"calls itself, through others or at once")
			return
		}
	}
	total := int64(0)
	for _, n := range g.graph.nodes {
		if r.work.err != nil {
			return
		}
		if total = min(total+c.cost(n), maxInlined+1); total > maxInlined {
			r.errorf(GraphPath, place(nil, n),
				"expected calls that come to at most %d nodes, got more", maxInlined)
			break
		}
	}
}

// calls measures functions: how many nodes each has with its calls inlined.
type calls struct {
	work      *work
	functions map[string]*function
	// underWay where its measuring is not done; at most maxInlined + 1
	sizes map[*function]int64
}

const underWay = -1

// cost returns how many nodes a node is, once the functions that it calls are measured.
func (c *calls) cost(n *node) int64 { return c.sum(1, n.call(c.functions)) }

func (c *calls) sum(total int64, called []*function) int64 {
	for _, f := range called {
		if !c.work.step() {
			break
		}
		total = min(total+c.sizes[f], maxInlined+1)
	}
	return total
}

// measure fills in the size of a function and of all that it calls. It returns a function that
// calls itself, nil where none does. It uses a list and no recursion: functions may call each other
// a million deep.
func (c *calls) measure(f *function) (circular *function) {
	todo := []*function{f}
	for len(todo) > 0 && c.work.step() {
		f := todo[len(todo)-1]
		size, seen := c.sizes[f]
		if seen && size != underWay {
			todo = todo[:len(todo)-1]
			continue
		}
		if !seen {
			c.sizes[f] = underWay
			for callee := range f.callees(c.functions) {
				if !c.work.step() {
					return nil
				}
				if size, seen := c.sizes[callee]; seen && size == underWay {
					return callee
				} else if !seen {
					todo = append(todo, callee)
				}
			}
			continue
		}
		size = c.sum(0, f.byDefault(c.functions))
		for _, n := range f.nodes {
			size = min(size+c.cost(n), maxInlined+1)
		}
		c.sizes[f] = size
		todo = todo[:len(todo)-1]
	}
	return nil
}
