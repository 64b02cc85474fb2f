package savedmodel

import "fmt"

// maxInlined limits the nodes of a graph with every call inlined, as TensorFlow does it. Thirty
// functions that each call the next one twice would make a billion.
const maxInlined = 10_000_000

// checkCalls refuses functions that call each other in a circle, which TensorFlow follows until its
// stack is full, and calls that come to too many nodes.
func (g *MetaGraph) checkCalls() []Finding {
	r := report{check: CheckCalls}
	c := calls{functions: map[string]*function{}, sizes: map[*function]int64{}}
	for _, f := range g.graph.functions {
		c.functions[f.name] = f
	}
	for _, f := range g.graph.functions {
		if through := c.measure(f); through != nil {
			r.errorf(GraphPath, fmt.Sprintf("function %q", through.name),
				"calls itself, through others or at once")
			return r.findings
		}
	}
	total := int64(0)
	for _, n := range g.graph.nodes {
		if total = min(total+c.cost(n), maxInlined+1); total > maxInlined {
			r.errorf(GraphPath, place(nil, n),
				"expected calls that come to at most %d nodes, got more", maxInlined)
			break
		}
	}
	return r.findings
}

// calls measures functions: how many nodes each has with its calls inlined.
type calls struct {
	functions map[string]*function
	// underWay where its measuring is not done; at most maxInlined + 1
	sizes map[*function]int64
}

const underWay = -1

// cost returns how many nodes a node is, once the functions that it calls are measured.
func (c *calls) cost(n *node) int64 {
	total := int64(1)
	for _, f := range n.call(c.functions) {
		total = min(total+c.sizes[f], maxInlined+1)
	}
	return total
}

// measure fills in the size of a function and of all that it calls. It returns a function that
// calls itself, nil where none does. It uses a list and no recursion: functions may call each other
// a million deep.
func (c *calls) measure(f *function) (circular *function) {
	todo := []*function{f}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		size, seen := c.sizes[f]
		if seen && size != underWay {
			todo = todo[:len(todo)-1]
			continue
		}
		if !seen {
			c.sizes[f] = underWay
			for _, n := range f.nodes {
				for _, callee := range n.call(c.functions) {
					if size, seen := c.sizes[callee]; seen && size == underWay {
						return callee
					} else if !seen {
						todo = append(todo, callee)
					}
				}
			}
			continue
		}
		size = 0
		for _, n := range f.nodes {
			size = min(size+c.cost(n), maxInlined+1)
		}
		c.sizes[f] = size
		todo = todo[:len(todo)-1]
	}
	return nil
}
