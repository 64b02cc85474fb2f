package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model is a loaded model. Its methods are safe for concurrent use. Close frees it.
type Model struct {
	directory *savedmodel.Model
	tags      []string
	key       string // of Run's and Classify's signature
	pipeline  *preprocess.Pipeline
	labels    labels.Labels
	devices   []string
	backend   *backend
	slots     chan struct{} // one for each run on the CPU; nil: a GPU has its own queue

	classifier func() (*classify.Classifier, error) // made once

	resolveMu  sync.Mutex // held while the backend looks up a signature
	mu         sync.Mutex
	signatures map[string]*signature
	running    []int // runs on each device
	closed     bool
	runs       sync.WaitGroup // of signatures and of lookups; none is added once closed is set

	closeOnce sync.Once
	closeErr  error
}

// signature is a signature with a call for each device.
type signature struct {
	savedmodel.Signature
	calls []*call
}

// Open loads the SavedModel in dir. It is an error where the directory is not what its manifest
// says, where it has none ([ErrUnverified], which [AllowUnverified] relaxes), where its graph holds
// an operation that could do more than compute, where nothing vouches for its content
// ([ErrUnvouched]: see [WithProbe] and [WithModelSHA256]), where a device, a graph or a signature
// that was chosen is not there, and where TensorFlow cannot load it. Errors name dir, except an
// [*OptionError].
//
// Where ctx ends first, Open returns its error at once. That ends a probe; what TensorFlow loads is
// closed once it is loaded. ctx says nothing of the model's runs.
func Open(ctx context.Context, dir string, options ...Option) (*Model, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	if c.precision == INT8 {
		if dir, err = Quantized(dir); err != nil {
			return nil, err
		}
	}
	type result struct {
		model *Model
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		m, err := scanAndOpen(ctx, dir, c)
		opened <- result{m, err}
	}()
	select {
	case r := <-opened:
		return r.model, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.model != nil {
				r.model.Close() // nobody is left to be told its error
			}
		}()
		return nil, fmt.Errorf("%s: %w", dir, ctx.Err())
	}
}

// Quantized returns the directory of a model's quantized graph, which Open opens with [INT8]. It is
// an error where there is none.
func Quantized(dir string) (string, error) {
	int8Dir := filepath.Join(dir, contract.Int8Dir)
	if _, err := os.Stat(int8Dir); err != nil {
		return "", fmt.Errorf("%s: precision int8: expected a model exported with "+
			"`kerasrun-export --quantize int8 --images DIR`, got none: %w", dir, err)
	}
	return int8Dir, nil
}

// scanAndOpen is Open, in as long as it takes.
func scanAndOpen(ctx context.Context, dir string, c config) (*Model, error) {
	directory, err := savedmodel.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	findings, err := directory.Scan(ctx, c.scan...)
	if err == nil {
		err = savedmodel.Join(findings)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := c.vouch(ctx, dir, directory); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m, err := openScanned(dir, directory, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// openScanned opens a directory that may be loaded. Its errors do not name dir.
func openScanned(dir string, directory *savedmodel.Model, c config) (m *Model, err error) {
	m = &Model{directory: directory, tags: c.tags,
		key:        cmp.Or(c.signature, directory.DefaultSignature()),
		signatures: map[string]*signature{}}
	m.classifier = sync.OnceValues(m.newClassifier)
	if directory.Manifest != nil {
		if in := directory.Manifest.Image(); in != nil {
			if m.pipeline, err = in.Pipeline(); err != nil {
				return nil, fmt.Errorf("%s: %w", contract.ManifestPath, err)
			}
		}
	}
	if m.labels, err = directory.Labels(); err != nil {
		return nil, err
	}
	gpus, err := c.chooseGPUs()
	if err != nil {
		return nil, err
	}
	if len(gpus) == 0 {
		warnWithoutOneDNN()
	}
	if m.tags == nil {
		m.tags = chooseTags(directory, len(gpus) > 0)
	}
	graph, err := directory.MetaGraph(m.tags)
	if err != nil {
		return nil, err
	}
	first, err := graph.Signature(m.key)
	if err != nil {
		return nil, err
	}
	m.devices = []string{"cpu"}
	if len(gpus) > 0 {
		m.devices = nil
		for _, gpu := range gpus {
			m.devices = append(m.devices, gpu.Name)
		}
	}
	if m.devices[0] == "cpu" {
		// One run computes while another goes from an operation to the next. More would wait for
		// CPUs with their activations in memory.
		m.slots = make(chan struct{}, max(2, cpus()))
	}
	m.backend, err = openBackend(dir, m.tags, graph, first, facts{
		options: c, gpus: gpus,
		optimized: directory.Manifest != nil && directory.Manifest.Graph == "optimized",
		state:     stateful(graph), oneDNN: session.UsesOneDNN(), own: ownConvolutions,
	})
	if err != nil {
		return nil, err
	}
	m.running = make([]int, len(m.devices))
	if _, err = m.signature(m.key); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// SavedModel returns what the model's directory holds.
func (m *Model) SavedModel() *savedmodel.Model { return m.directory }

// Tags returns the tags of the graph that the model runs, as "serve" and "gpu".
func (m *Model) Tags() []string { return slices.Clone(m.tags) }

// Signature returns the signature called key, of the graph that the model runs. Where there is none
// the error lists those that there are.
func (m *Model) Signature(key string) (savedmodel.Signature, error) {
	return m.directory.Signature(m.tags, key)
}

// Pipeline returns how the model's images are prepared; nil where the directory has no
// manifest, or one without exactly one image.
func (m *Model) Pipeline() *preprocess.Pipeline { return m.pipeline }

// Devices returns where the model runs, as WithDevice names it: "cpu" alone, or GPUs as "gpu:0". It
// never holds "auto".
func (m *Model) Devices() []string { return slices.Clone(m.devices) }

// Labels returns the model's classes, in the order of its output; nil where the directory names
// none.
func (m *Model) Labels() labels.Labels { return m.labels }

// Run computes the outputs of the signature that Open chose; see RunSignature.
func (m *Model) Run(ctx context.Context, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	return m.RunSignature(ctx, m.key, in)
}

// RunSignature computes all outputs of the signature called key, by name, from all of its inputs. A
// tensor that is not the signature's is an [*InputError].
//
// TensorFlow cannot stop a run: where ctx ends first, RunSignature returns its error at once, the
// run goes on without a receiver, and Close waits for it.
func (m *Model) RunSignature(ctx context.Context, key string,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	s, err := m.signature(key)
	if err != nil {
		return nil, err
	}
	if err := s.check(in); err != nil {
		return nil, err
	}
	if b := m.microBatches(s, in); b.count > 1 {
		return m.runMicroBatches(ctx, s, in, b)
	}
	return m.runTensors(ctx, s, in)
}

// runTensors runs a signature on tensors that it accepts.
func (m *Model) runTensors(ctx context.Context, s *signature,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	return m.run(ctx, s, func(names []string) ([]*session.Tensor, error) {
		return newTensors(s.Key, names, in)
	})
}

// check compares the tensors with the signature.
func (s *signature) check(in map[string]tensor.Tensor) error {
	names := s.calls[0].inputs
	for name := range in {
		if _, ok := s.Inputs[name]; !ok {
			return s.errorf(name, "expected one of the inputs %q", names)
		}
	}
	for _, name := range names {
		want := s.Inputs[name]
		got, ok := in[name]
		if !ok {
			return s.errorf(name, "expected %v %v, got none", want.DType, want.Shape)
		}
		if err := got.Validate(); err != nil {
			return &InputError{s.Key, name, err}
		}
		if got.DType != want.DType || want.Shape.Accepts(got.Shape) != nil {
			return s.errorf(name, "expected %v %v, got %v %v", want.DType, want.Shape, got.DType,
				got.Shape)
		}
		if n, err := got.Shape.Elements(); err != nil || n == 0 {
			return s.errorf(name, "expected elements, got none: shape %v", got.Shape)
		}
	}
	return nil
}

// errorf returns the error of an input.
func (s *signature) errorf(input, format string, args ...any) error {
	return &InputError{s.Key, input, fmt.Errorf(format, args...)}
}

// signature resolves a signature, once. Runs of others go on meanwhile, and Close waits for it as
// for a run.
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
	m.resolveMu.Lock()
	defer m.resolveMu.Unlock()
	m.mu.Lock()
	s = m.signatures[key]
	m.mu.Unlock()
	if s != nil {
		return s, nil // resolved while this waited
	}
	found, err := m.Signature(key)
	if err != nil {
		return nil, err
	}
	s = &signature{Signature: found}
	if s.calls, err = m.backend.calls(found); err != nil {
		return nil, fmt.Errorf("signature %s: %w", key, err)
	}
	m.mu.Lock()
	m.signatures[key] = s
	m.mu.Unlock()
	return s, nil
}

// run runs a signature on the device with the fewest runs. inputs makes the tensors of the inputs.
func (m *Model) run(ctx context.Context, s *signature,
	inputs func(names []string) ([]*session.Tensor, error)) (map[string]tensor.Tensor, error) {
	i, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	in, err := inputs(s.calls[i].inputs)
	if err != nil {
		m.end(i)
		return nil, err
	}
	type result struct {
		out map[string]tensor.Tensor
		err error
	}
	ended := make(chan result, 1)
	go func() {
		out, err := s.calls[i].run(in)
		m.end(i)
		ended <- result{out, err}
	}()
	select {
	case r := <-ended:
		return r.out, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin waits for a slot and counts a run in, on the device with the fewest.
func (m *Model) begin(ctx context.Context) (device int, err error) {
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
		if n < m.running[device] {
			device = i
		}
	}
	m.running[device]++
	m.runs.Add(1)
	return device, nil
}

func (m *Model) end(device int) {
	m.mu.Lock()
	m.running[device]--
	m.mu.Unlock()
	m.freeSlot()
	m.runs.Done()
}

func (m *Model) freeSlot() {
	if m.slots != nil {
		<-m.slots
	}
}

// Close waits for the runs there are, those that nobody waits for included, and frees the model's
// memory. Only the first Close does anything; all of them return its error.
func (m *Model) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.closeOnce.Do(func() {
		m.runs.Wait()
		m.closeErr = m.backend.close()
	})
	return m.closeErr
}
