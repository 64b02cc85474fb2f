package runner

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"kerasrun/runner/internal/graph"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// backend holds the sessions that a plan has opened.
type backend struct {
	sessions []*session.Session // plain and frozen: one a device
	packer   *packer            // packed: has a session for each signature
}

// openBackend opens the graph with these tags as its plan says. first is the signature that is run
// at least.
func openBackend(dir string, tags []string, g *savedmodel.MetaGraph, first savedmodel.Signature,
	f facts) (*backend, error) {
	var tried *packer // in planning
	f.supported = func(p plan) (ok bool, err error) {
		if tried, err = newPacker(dir, tags, p); err != nil {
			return false, err
		}
		return tried.supports(first)
	}
	p, err := newPlan(f)
	if err != nil {
		return nil, errors.Join(err, tried.close())
	}
	switch {
	case p.mode == packed && tried != nil:
		return &backend{packer: tried}, nil
	case p.mode == packed:
		packer, err := newPacker(dir, tags, p)
		return &backend{packer: packer}, err
	case p.mode == plain:
		s, err := session.Load(dir, tags, p.optimize)
		return &backend{sessions: []*session.Session{s}}, err
	}
	var source *session.Session
	if tried != nil {
		source = tried.source
	} else if source, err = session.Load(dir, tags, p.asIs); err != nil {
		return nil, err
	}
	sessions, err := openFrozen(source, graph.Endpoints(g.Signatures...), p.placement, p.optimize)
	return &backend{sessions: sessions}, errors.Join(err, source.Close())
}

// openFrozen returns a session on each of the devices of the part of a session's graph that the
// operations named need, with constants for variables, or none where one of them fails.
func openFrozen(source *session.Session, needed, placement []string,
	config []byte) ([]*session.Session, error) {
	whole, err := source.Graph()
	if err != nil {
		return nil, err
	}
	pruned, variables := graph.Prune(whole, needed)
	values, err := readVariables(source, variables)
	if err != nil {
		return nil, err
	}
	constant, err := graph.Freeze(pruned, values)
	if err != nil {
		return nil, err
	}
	var sessions []*session.Session
	for _, device := range placement {
		s, err := session.New(graph.Place(constant, device), config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("device %q: %w", device, err), closeAll(sessions))
		}
		sessions = append(sessions, s)
	}
	// Of the graph there have been several copies in Go.
	debug.FreeOSMemory()
	return sessions, nil
}

// readVariables returns copies of the variables' values, by the names of their reads.
func readVariables(source *session.Session, variables []graph.Variable) (
	map[string]tensor.Tensor, error) {
	var reads []string
	for _, v := range variables {
		reads = append(reads, v.Read)
	}
	read, err := source.Read(reads)
	if err != nil {
		return nil, err
	}
	defer deleteAll(read)
	values := make(map[string]tensor.Tensor, len(read))
	for name, t := range read {
		if values[name], err = t.Value(); err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
	}
	return values, nil
}

func deleteAll(tensors map[string]*session.Tensor) {
	for _, t := range tensors {
		t.Delete()
	}
}

func closeAll(sessions []*session.Session) (err error) {
	for _, s := range sessions {
		err = errors.Join(err, s.Close())
	}
	return err
}

// calls returns a signature's calls, one a device.
func (b *backend) calls(s savedmodel.Signature) ([]*call, error) {
	if b.packer != nil {
		c, err := b.packer.call(s)
		return []*call{c}, err
	}
	var calls []*call
	for _, opened := range b.sessions {
		c, err := newCall(opened, s, nil)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// close frees the sessions. Nothing may run.
func (b *backend) close() error {
	return errors.Join(b.packer.close(), closeAll(b.sessions))
}

// call is a signature in a session: what to feed and to fetch, in the order of the names.
type call struct {
	*session.Call
	inputs, outputs []string
}

// newCall looks a signature up in a session's graph. bound is fed beside its inputs.
func newCall(s *session.Session, signature savedmodel.Signature, bound []session.Bound) (
	*call, error) {
	c := &call{
		inputs:  slices.Sorted(maps.Keys(signature.Inputs)),
		outputs: slices.Sorted(maps.Keys(signature.Outputs)),
	}
	r := session.Request{Bound: bound}
	for _, name := range c.inputs {
		r.Feeds = append(r.Feeds, endpoint(signature.Inputs[name]))
	}
	for _, name := range c.outputs {
		r.Fetches = append(r.Fetches, endpoint(signature.Outputs[name]))
	}
	var err error
	c.Call, err = s.NewCall(r)
	return c, err
}

func endpoint(t savedmodel.TensorInfo) session.Endpoint {
	return session.Endpoint{Op: t.Op, Index: t.Index}
}

// run feeds tensors, in the order of c.inputs, and deletes them. It returns the outputs by name.
func (c *call) run(in []*session.Tensor) (map[string]tensor.Tensor, error) {
	out, err := c.Run(in)
	if err != nil {
		return nil, err
	}
	defer session.Delete(out)
	results := make(map[string]tensor.Tensor, len(out))
	for i, t := range out {
		result, err := t.Value()
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", c.outputs[i], err)
		}
		results[c.outputs[i]] = result
	}
	return results, nil
}

// newTensors copies the valid tensors of a signature's inputs, in the order of the names, into C
// memory.
func newTensors(key string, names []string, in map[string]tensor.Tensor) (
	[]*session.Tensor, error) {
	var tensors []*session.Tensor
	for _, name := range names {
		t, err := session.NewTensor(in[name])
		if err != nil {
			session.Delete(tensors)
			return nil, &InputError{key, name, err}
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}
