package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model is a loaded model. Its methods are safe for concurrent use.
type Model struct {
	directory *savedmodel.Model
	tags      []string
	key       string // of Run's and Classify's signature
	pipeline  *preprocess.Pipeline
	labels    labels.Labels
	devices   []string
	sessions  []*session    // one a device
	slots     chan struct{} // one for each run on the CPU; nil: a GPU has its own queue

	classifier func() (*classify.Classifier, error) // made once

	finding    sync.Mutex // a signature, which changes the sessions' graphs
	mu         sync.Mutex
	signatures map[string]*signature
	running    []int // runs in each session
	closed     bool
	runs       sync.WaitGroup // all of them, and what finds a signature; none is added once closed is set

	closeOnce sync.Once
	closeErr  error
}

// signature is a signature with its tensors in each session's graph.
type signature struct {
	savedmodel.Signature
	calls []*call
}

// Open loads the SavedModel in dir. It is an error where the directory is not what its manifest says, where it has none (ErrUnverified,
// which WithUnverified relaxes), where its graph holds an operation that could do more than compute, where a device, a graph or a
// signature that was chosen is not there, and where TensorFlow cannot load it.
func Open(dir string, options ...Option) (*Model, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	directory, err := savedmodel.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	if err := savedmodel.Join(directory.Scan(c.scan...)); err != nil {
		return nil, fmt.Errorf("runner: %s: %w", dir, err)
	}
	if !directory.Verified(c.scan...) {
		if c.trial == nil {
			return nil, fmt.Errorf("runner: %s: %s: %w", dir, contract.ManifestPath, ErrUnverified)
		}
		if err := c.try(dir); err != nil {
			return nil, err
		}
	}
	return openScanned(dir, directory, c)
}

// openScanned is Open of a directory that may be loaded.
func openScanned(dir string, directory *savedmodel.Model, c config) (m *Model, err error) {
	m = &Model{directory: directory, tags: c.tags, key: c.signature, signatures: map[string]*signature{}}
	m.classifier = sync.OnceValues(m.newClassifier)
	if directory.Manifest != nil {
		if m.pipeline, err = directory.Manifest.Input.Pipeline(); err != nil {
			return nil, fmt.Errorf("runner: %s: %s: %w", dir, contract.ManifestPath, err)
		}
	}
	if m.labels, err = readLabels(dir, directory.Manifest); err != nil {
		return nil, fmt.Errorf("runner: %s: %w", dir, err)
	}
	gpus, err := c.chooseGPUs()
	if err != nil {
		return nil, err
	}
	if m.tags == nil {
		m.tags = chooseTags(directory, len(gpus) > 0)
	}
	if _, err := directory.Signature(m.tags, m.key); err != nil {
		return nil, fmt.Errorf("runner: %s: %w", dir, err)
	}
	m.devices = []string{"cpu"}
	if len(gpus) > 0 {
		m.devices = nil
		for _, gpu := range gpus {
			m.devices = append(m.devices, gpu.Name)
		}
	}
	if m.devices[0] == "cpu" {
		// One run computes while another goes from an operation to the next. More would wait for CPUs with their activations in memory.
		m.slots = make(chan struct{}, max(2, cpus()))
	}
	ownBF16 := ownConvolutions[BF16]
	for {
		if m.sessions, err = openSessions(dir, directory, m.tags, c, gpus, ownBF16); err != nil {
			return nil, err
		}
		m.running = make([]int, len(m.sessions))
		_, err = m.signature(m.key)
		if !errors.Is(err, errForeign) {
			break
		}
		// So TensorFlow computes all of them in bfloat16.
		ownBF16 = false
		if err = m.sessions[0].close(); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// chooseTags returns the tags of the graph for the device: TensorFlow's convention is a graph for GPUs beside the one for all.
func chooseTags(m *savedmodel.Model, gpu bool) []string {
	if gpu && slices.ContainsFunc(m.MetaGraphs, func(g savedmodel.MetaGraph) bool { return slices.Equal(g.Tags, []string{"gpu", "serve"}) }) {
		return []string{"serve", "gpu"}
	}
	return []string{"serve"}
}

// openSessions returns a session for each GPU, or the one on the CPU where there are none. ownBF16 has our convolutions compute in bfloat16.
func openSessions(dir string, directory *savedmodel.Model, tags []string, c config, gpus []Device, ownBF16 bool) ([]*session, error) {
	graph, err := directory.MetaGraph(tags)
	if err != nil {
		return nil, fmt.Errorf("runner: %s: %w", dir, err)
	}
	gpu, state := len(gpus) > 0, stateful(graph)
	// TensorFlow places what names no device on the first GPU; for another the graph is read once, on the CPU, and placed anew.
	placed := len(gpus) > 1 || gpu && gpus[0].Name != "gpu:0"
	optimized := directory.Manifest != nil && directory.Manifest.Graph == "optimized"
	if placed && state != "" && !optimized {
		return nil, fmt.Errorf("runner: %s: device %s: want a graph without state, such as a frozen one, got the operation %s",
			dir, strings.Join(c.devices, ", "), state)
	}
	// The exporter's graphs have their kernels in variables, which never change. TensorFlow prepares only constants for other precisions.
	kernels := optimized && state != ""
	bf16 := ownBF16 && kernels && !gpu && c.precision == BF16
	if bf16 {
		c.precision = FP32 // of all that TensorFlow computes
	}
	frozen := placed || kernels && (gpu || c.precision != FP32)
	packing := kernels && !frozen && usesOneDNN()
	config, err := sessionConfig(c, gpu, optimized, false)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	loading := config
	if frozen || packing {
		if loading, err = sessionConfig(c, gpu && !frozen, optimized, true); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
	}
	first, err := load(dir, tags, loading)
	if err != nil {
		return nil, err
	}
	if !frozen {
		if packing {
			first.packing, first.loading, first.bf16 = config, loading, bf16
		}
		return []*session{first}, nil
	}
	defer first.close()
	devices := []string{""}
	if placed {
		devices = nil
		for _, gpu := range gpus {
			devices = append(devices, "/device:"+strings.ToUpper(gpu.Name))
		}
	}
	return first.onEach(devices, endpointOps(graph.Signatures...), config)
}

// endpointOps returns the operations that the inputs and outputs of signatures come from.
func endpointOps(signatures ...savedmodel.Signature) []string {
	var ops []string
	for _, signature := range signatures {
		for _, tensors := range []map[string]savedmodel.TensorInfo{signature.Inputs, signature.Outputs} {
			for _, t := range tensors {
				ops = append(ops, t.Op)
			}
		}
	}
	return ops
}

// stateful returns an operation of the graph that keeps something from one run to the next, "" where none does.
func stateful(g *savedmodel.MetaGraph) string {
	for _, op := range g.Ops {
		if slices.Contains([]string{"VarHandleOp", "Variable", "VariableV2"}, op.Op) || strings.Contains(op.Op, "HashTable") {
			return op.Op
		}
	}
	return ""
}

// SavedModel returns what the model's directory holds.
func (m *Model) SavedModel() *savedmodel.Model { return m.directory }

// Tags returns the tags of the graph that the model runs.
func (m *Model) Tags() []string { return slices.Clone(m.tags) }

// Signature returns the signature called key of the graph that the model runs.
func (m *Model) Signature(key string) (savedmodel.Signature, error) {
	s, err := m.directory.Signature(m.tags, key)
	if err != nil {
		return savedmodel.Signature{}, fmt.Errorf("runner: %w", err)
	}
	return s, nil
}

// Pipeline returns how the model's pictures are prepared; nil where the directory has no manifest.
func (m *Model) Pipeline() *preprocess.Pipeline { return m.pipeline }

// Devices returns where the model runs, as WithDevice names it: "cpu" alone, or GPUs as "gpu:0". It never holds "auto".
func (m *Model) Devices() []string { return slices.Clone(m.devices) }

// Labels returns the model's classes, in the order of its output; nil where the directory names none.
func (m *Model) Labels() labels.Labels { return m.labels }

// Run computes the outputs of the signature that Open chose; see RunSignature.
func (m *Model) Run(ctx context.Context, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	return m.RunSignature(ctx, m.key, in)
}

// RunSignature computes all outputs of the signature called key, by name, from all of its inputs. A tensor that is not the
// signature's is an *InputError. TensorFlow cannot stop a run: where ctx ends first, RunSignature returns its error at once, the run
// goes on without a receiver, and Close waits for it.
func (m *Model) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	s, err := m.signature(key)
	if err != nil {
		return nil, err
	}
	if err := s.check(in); err != nil {
		return nil, err
	}
	if rows, parts, atATime := m.parts(s, in); parts > 1 {
		return m.runParts(ctx, s, in, rows, parts, atATime)
	}
	return m.runTensors(ctx, s, in)
}

// runTensors runs a signature on tensors that it accepts.
func (m *Model) runTensors(ctx context.Context, s *signature, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	return m.run(ctx, s, func(names []string) ([]*feed, error) {
		return newFeeds(s.Key, names, in)
	})
}

// check holds the tensors against the signature. The message of a wrong one says what is wanted.
func (s *signature) check(in map[string]tensor.Tensor) error {
	names := s.calls[0].inputs
	for name := range in {
		if _, ok := s.Inputs[name]; !ok {
			return &InputError{s.Key, name, fmt.Errorf("there is no such input: want %q", names)}
		}
	}
	for _, name := range names {
		want := s.Inputs[name]
		got, ok := in[name]
		if !ok {
			return &InputError{s.Key, name, fmt.Errorf("want %v %v, got nothing", want.DType, want.Shape)}
		}
		if err := got.Validate(); err != nil {
			return &InputError{s.Key, name, err}
		}
		if got.DType != want.DType || want.Shape.Accepts(got.Shape) != nil {
			return &InputError{s.Key, name, fmt.Errorf("want %v %v, got %v %v", want.DType, want.Shape, got.DType, got.Shape)}
		}
		if n, err := got.Shape.Elements(); err != nil || n == 0 {
			return &InputError{s.Key, name, fmt.Errorf("want elements, got none: shape %v", got.Shape)}
		}
	}
	return nil
}

// signature finds a signature's tensors, once. Runs of others go on meanwhile, and Close waits for it as for a run.
func (m *Model) signature(key string) (*signature, error) {
	m.mu.Lock()
	s, closed := m.signatures[key], m.closed
	if s == nil && !closed {
		m.runs.Add(1)
		defer m.runs.Done()
	}
	m.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if s != nil {
		return s, nil
	}
	m.finding.Lock()
	defer m.finding.Unlock()
	m.mu.Lock()
	s = m.signatures[key]
	m.mu.Unlock()
	if s != nil {
		return s, nil // found while this waited
	}
	found, err := m.directory.Signature(m.tags, key)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	s = &signature{Signature: found}
	for _, session := range m.sessions {
		c, err := session.call(found)
		if err != nil {
			return nil, err
		}
		s.calls = append(s.calls, c)
	}
	m.mu.Lock()
	m.signatures[key] = s
	m.mu.Unlock()
	return s, nil
}

// run runs a signature in the session with the fewest runs. feeds makes the tensors of the inputs.
func (m *Model) run(ctx context.Context, s *signature, feeds func(names []string) ([]*feed, error)) (map[string]tensor.Tensor, error) {
	i, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	first, err := s.calls[i].awaitFirst(ctx)
	if err != nil {
		m.end(i)
		return nil, err
	}
	fed, err := feeds(s.calls[i].inputs)
	if err != nil {
		first()
		m.end(i)
		return nil, err
	}
	type answer struct {
		out map[string]tensor.Tensor
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		out, err := s.calls[i].run(fed)
		first()
		m.end(i)
		answered <- answer{out, err}
	}()
	select {
	case a := <-answered:
		return a.out, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// awaitFirst waits for a call's first run, if another one is at it: two first runs would optimise the
// graph twice, in memory of several times its size each. done is called when the run has ended.
func (c *call) awaitFirst(ctx context.Context) (done func(), err error) {
	if c.ran.Load() {
		return func() {}, nil
	}
	select {
	case c.first <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.ran.Load() {
		<-c.first
		return func() {}, nil
	}
	return func() { <-c.first }, nil
}

// begin waits for a slot and counts a run in, in the session with the fewest.
func (m *Model) begin(ctx context.Context) (session int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.slots != nil {
		select {
		case m.slots <- struct{}{}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.freeSlot()
		return 0, ErrClosed
	}
	for i, n := range m.running {
		if n < m.running[session] {
			session = i
		}
	}
	m.running[session]++
	m.runs.Add(1)
	return session, nil
}

func (m *Model) end(session int) {
	m.mu.Lock()
	m.running[session]--
	m.mu.Unlock()
	m.freeSlot()
	m.runs.Done()
}

func (m *Model) freeSlot() {
	if m.slots != nil {
		<-m.slots
	}
}

// Close waits for the runs there are, those that nobody waits for included, and frees the model's memory. Only the first Close does
// anything; all of them return its error.
func (m *Model) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.closeOnce.Do(func() {
		m.runs.Wait()
		for _, s := range m.sessions {
			m.closeErr = errors.Join(m.closeErr, s.close())
		}
	})
	return m.closeErr
}

func readLabels(dir string, manifest *contract.Manifest) (labels.Labels, error) {
	if manifest == nil || manifest.Labels == "" {
		return nil, nil
	}
	f, err := os.OpenInRoot(dir, manifest.Labels)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := labels.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifest.Labels, err)
	}
	return l, nil
}
