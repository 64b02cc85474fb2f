package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// State is where a version is in its life; the names are TensorFlow Serving's.
type State string

// The states of a version.
const (
	StateLoading   State = "LOADING"
	StateAvailable State = "AVAILABLE"
	StateUnloading State = "UNLOADING"
	StateEnd       State = "END" // unloaded, or refused with an error
)

// Status is the state of one version of a model.
type Status struct {
	Version int64
	State   State
	Err     error // why the version was refused
	Down    error // why an available version cannot answer now; nil where it can
}

// repository holds the models and their versions.
type repository struct {
	mu     sync.RWMutex
	models map[string]*served
	names  []string // in the order of the configuration
}

// served is one model: what is known of its versions, and those that can be used.
type served struct {
	config    ModelConfig
	status    map[int64]*Status
	available map[int64]*version
	refused   map[int64]refusal
	fault     error // why versions could not be looked for the last time
}

// refusal is why a version is not served.
type refusal struct {
	mark   string // the directory's fingerprint; "" where its files could not be read
	reason string
}

func newRepository(models []ModelConfig) *repository {
	r := &repository{models: map[string]*served{}}
	for _, c := range models {
		r.names = append(r.names, c.Name)
		r.models[c.Name] = &served{
			config:    c,
			status:    map[int64]*Status{},
			available: map[int64]*version{},
			refused:   map[int64]refusal{},
		}
	}
	return r
}

// choice says which version of a model is asked for: a number, a label, or the newest.
type choice struct {
	model  string
	number string // digits, or ""
	label  string
}

func (c choice) String() string {
	if c.number != "" {
		return fmt.Sprintf("Specific(%.200s, %.40s)", c.model, c.number)
	}
	return fmt.Sprintf("Latest(%.200s)", c.model)
}

// acquire returns an available version, which stays loaded until release is called.
func (r *repository) acquire(c choice) (v *version, release func(), err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m, ok := r.models[c.model]
	if !ok {
		return nil, nil, errorf(codes.NotFound, "Servable not found for request: %v", c)
	}
	if len(m.available) == 0 {
		return nil, nil, errorf(codes.Unavailable, "model %q has no version that is ready", c.model)
	}
	number := m.newest()
	if c.number != "" || c.label != "" {
		if number, err = m.number(c); err != nil {
			return nil, nil, err
		}
	}
	if v, ok = m.available[number]; !ok {
		return nil, nil, errorf(codes.NotFound, "Servable not found for request: %v", c)
	}
	v.requests.Add(1)
	return v, v.requests.Done, nil
}

// zeroIsNewest takes the version 0 for the newest, as OpenVINO's clients write it, unless the model
// has a version 0.
func (r *repository) zeroIsNewest(c choice) choice {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m, ok := r.models[c.model]; ok && c.number == "0" && m.status[0] == nil {
		c.number = ""
	}
	return c
}

// newest returns the highest number of an available version, of which there is one.
func (m *served) newest() int64 {
	newest := int64(-1)
	for number := range m.available {
		newest = max(newest, number)
	}
	return newest
}

// number returns the version that was asked for by number or label.
func (m *served) number(c choice) (int64, error) {
	if c.label != "" {
		number, ok := m.config.Labels[c.label]
		if !ok {
			return 0, errorf(codes.InvalidArgument, "Unrecognized servable version label: %s",
				c.label)
		}
		return number, nil
	}
	number, err := strconv.ParseInt(c.number, 10, 64)
	if err != nil || number < 0 {
		return 0, errorf(codes.InvalidArgument, "Failed to convert version: %.40s to numeric.",
			c.number)
	}
	return number, nil
}

// statuses returns the states of a model's versions, newest first: of all, or of the one that was
// asked for.
func (r *repository) statuses(c choice) ([]Status, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	notFound := errorf(codes.NotFound, "Could not find any versions of model %.200s", c.model)
	m, ok := r.models[c.model]
	if !ok {
		return nil, notFound
	}
	var all []Status
	for _, s := range m.status {
		status := *s
		if v := m.available[s.Version]; v != nil {
			status.Down = v.down()
		}
		all = append(all, status)
	}
	if c.number != "" || c.label != "" {
		number, err := m.number(c)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(s Status) bool { return s.Version != number })
		if len(all) == 0 {
			return nil, errorf(codes.NotFound, "Could not find version %d of model %s", number,
				c.model)
		}
	}
	if len(all) == 0 {
		return nil, notFound
	}
	slices.SortFunc(all, func(a, b Status) int { return int(b.Version - a.Version) })
	return all, nil
}

// versions returns the numbers of a model's available versions, ascending.
func (r *repository) versions(model string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var numbers []int64
	for number := range r.models[model].available {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	text := make([]string, len(numbers))
	for i, n := range numbers {
		text[i] = strconv.FormatInt(n, 10)
	}
	return text
}

// loaded returns an error that names every model without an available version.
func (r *repository) loaded() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var missing []error
	for _, name := range r.names {
		if len(r.models[name].available) == 0 {
			missing = append(missing, fmt.Errorf("model %q has no version that is ready", name))
		}
	}
	return errors.Join(missing...)
}

// ready returns an error that names every model without an available version, or whose newest
// cannot answer now.
func (r *repository) ready() error {
	if err := r.loaded(); err != nil {
		return err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var down []error
	for _, name := range r.names {
		m := r.models[name]
		if v := m.available[m.newest()]; v != nil {
			down = append(down, v.down())
		}
	}
	return errors.Join(down...)
}

// each calls f for every available version.
func (r *repository) each(f func(*version)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, name := range r.names {
		for _, v := range r.models[name].available {
			f(v)
		}
	}
}

func (r *repository) setStatus(m *served, number int64, state State, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.status[number] = &Status{Version: number, State: state, Err: err}
}

// refresh looks at every model's directory, loads what is new and unloads what is no longer wanted.
// It is not for concurrent use.
func (s *Server) refresh(ctx context.Context) {
	for _, name := range s.repository.names {
		if ctx.Err() == nil {
			s.refreshModel(ctx, s.repository.models[name])
		}
	}
}

func (s *Server) refreshModel(ctx context.Context, m *served) {
	found, err := m.config.directories(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil && (m.fault == nil || m.fault.Error() != err.Error()) {
		s.config.Logger.Error("cannot look for versions", "model", m.config.Name, "error", err)
	}
	if m.fault = err; err != nil {
		return
	}
	wanted := m.config.Policy.choose(found)
	missing := false
	for _, d := range wanted {
		if _, ok := m.available[d.number]; !ok && !s.load(ctx, m, d) {
			missing = true
		}
	}
	// Old versions go only when every wanted one is available: a broken version removes nothing.
	if missing || len(wanted) == 0 {
		return
	}
	for number := range m.available {
		if !slices.ContainsFunc(wanted, func(d directory) bool { return d.number == number }) {
			s.unload(m, number)
		}
	}
}

// load loads, warms and publishes a version; false where it was refused, now or before.
func (s *Server) load(ctx context.Context, m *served, d directory) bool {
	log := s.config.Logger.With("model", m.config.Name, "version", d.number, "directory", d.path)
	mark, err := m.config.fingerprint(ctx, d.path)
	last, refused := m.refused[d.number]
	if err == nil && refused && last.mark == mark {
		return false // nothing has changed since
	}
	s.repository.setStatus(m, d.number, StateLoading, nil)
	start := time.Now()
	var v *version
	if err == nil {
		d.path, err = m.config.fetch(ctx, d.path)
	}
	if err != nil {
		mark = "" // so that it is tried again
	} else {
		v, err = s.open(ctx, m.config.Name, d)
	}
	if err != nil {
		if ctx.Err() != nil {
			return false
		}
		s.repository.setStatus(m, d.number, StateEnd, err)
		now := refusal{mark, err.Error()}
		if m.refused[d.number] = now; now != last {
			log.Error("version refused", "error", err)
		}
		return false
	}
	delete(m.refused, d.number)
	s.repository.mu.Lock()
	m.available[d.number] = v
	m.status[d.number] = &Status{Version: d.number, State: StateAvailable}
	s.repository.mu.Unlock()
	log.Info("version available", "seconds", time.Since(start).Seconds())
	if warning := v.warning(); warning != "" {
		log.Warn(warning)
	}
	s.updateHealth()
	return true
}

// open loads and warms a version.
func (s *Server) open(ctx context.Context, name string, d directory) (*version, error) {
	model, err := s.config.Load(ctx, d.path)
	if err != nil {
		return nil, err
	}
	parameters := s.config.Batching
	parameters.Observe = s.metrics.observer(name, d.number)
	v, err := newVersion(name, d.number, model, s.decoders, parameters)
	if err == nil {
		if err = s.warm(ctx, v, d.path); err != nil {
			v.stop()
		}
	}
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	if m, ok := model.(Restarting); ok {
		m.Watch(s.updateHealth)
	}
	return v, nil
}

// unload takes a version away from new requests, and closes it when the last one has been answered.
func (s *Server) unload(m *served, number int64) {
	s.repository.mu.Lock()
	v := m.available[number]
	delete(m.available, number)
	m.status[number] = &Status{Version: number, State: StateUnloading}
	s.repository.mu.Unlock()
	s.updateHealth()
	s.unloading.Go(func() {
		err := v.close()
		s.metrics.unloaded(v)
		s.cache.forget(v)
		s.repository.setStatus(m, number, StateEnd, err)
		s.config.Logger.Info("version unloaded", "model", v.name, "version", number, "error", err)
	})
}
