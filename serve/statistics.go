package serve

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"kerasrun/batch"
	"kerasrun/serve/internal/oip"
)

// statistics are what Triton counts of a version since it was loaded, whatever the protocol.
type statistics struct {
	mu         sync.Mutex
	last       time.Time // when the last request came
	inferences uint64    // rows of the runs that succeeded
	executions uint64
	requests   oip.InferStatistics
	batches    map[int]*oip.StatisticDuration // runs by their rows
}

func newStatistics() *statistics {
	s := &statistics{batches: map[int]*oip.StatisticDuration{}}
	for _, d := range []**oip.StatisticDuration{&s.requests.Success, &s.requests.Fail,
		&s.requests.Queue, &s.requests.ComputeInput, &s.requests.ComputeInfer,
		&s.requests.ComputeOutput, &s.requests.CacheHit, &s.requests.CacheMiss} {
		*d = &oip.StatisticDuration{}
	}
	return s
}

// add counts something that took so long.
func add(d *oip.StatisticDuration, took time.Duration) {
	d.Count++
	d.Ns += uint64(took)
}

// answered counts a request.
func (s *statistics) answered(start time.Time, took time.Duration, parts timing, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if start.After(s.last) {
		s.last = start
	}
	if err != nil {
		add(s.requests.Fail, took)
		return
	}
	add(s.requests.Success, took)
	add(s.requests.Queue, parts.Queue)
	if parts.Hit > 0 {
		add(s.requests.CacheHit, parts.Hit)
	}
	if parts.Miss > 0 {
		add(s.requests.CacheMiss, parts.Miss)
	}
	if parts.Hit > 0 && parts.Miss == 0 { // no task of a MultiInference was run
		return
	}
	add(s.requests.ComputeInput, parts.Preprocess)
	add(s.requests.ComputeInfer, parts.Inference)
	add(s.requests.ComputeOutput, parts.Output)
}

// ran counts a run.
func (s *statistics) ran(o batch.Observation) {
	if o.Err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inferences += uint64(o.Rows)
	s.executions++
	if s.batches[o.Rows] == nil {
		s.batches[o.Rows] = &oip.StatisticDuration{}
	}
	add(s.batches[o.Rows], o.Compute)
}

// of returns what was counted of v until now.
func (s *statistics) of(v *version) *oip.ModelStatistics {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &oip.ModelStatistics{
		Name: v.name, Version: strconv.FormatInt(v.number, 10),
		InferenceCount: s.inferences, ExecutionCount: s.executions,
		InferenceStats: proto.CloneOf(&s.requests),
	}
	if !s.last.IsZero() {
		answer.LastInference = uint64(s.last.UnixMilli())
	}
	for _, rows := range slices.Sorted(maps.Keys(s.batches)) {
		// Images are decoded before they are joined, and answers written after they are parted.
		answer.BatchStats = append(answer.BatchStats, &oip.InferBatchStatistics{
			BatchSize: uint64(rows), ComputeInput: &oip.StatisticDuration{},
			ComputeInfer: proto.CloneOf(s.batches[rows]), ComputeOutput: &oip.StatisticDuration{}})
	}
	return answer
}

// modelStatistics returns the statistics of every version, of those of a model, or of one of them.
func (s *Server) modelStatistics(c choice) (*oip.ModelStatisticsResponse, error) {
	answer := &oip.ModelStatisticsResponse{}
	if c.number != "" {
		v, release, err := s.repository.acquire(c)
		if err != nil {
			return nil, err
		}
		defer release()
		answer.ModelStats = append(answer.ModelStats, v.statistics.of(v))
		return answer, nil
	}
	if c.model != "" {
		if _, release, err := s.repository.acquire(c); err != nil {
			return nil, err
		} else {
			release()
		}
	}
	s.repository.each(func(v *version) {
		if c.model == "" || c.model == v.name {
			answer.ModelStats = append(answer.ModelStats, v.statistics.of(v))
		}
	})
	slices.SortStableFunc(answer.ModelStats, func(a, b *oip.ModelStatistics) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(len(a.Version), len(b.Version)),
			cmp.Compare(a.Version, b.Version))
	})
	return answer, nil
}

func (g *grpcService) ModelStatistics(_ context.Context, r *oip.ModelStatisticsRequest) (
	*oip.ModelStatisticsResponse, error) {
	return g.server.modelStatistics(choose(r.Name, r.Version))
}

func (s *Server) statistics(w http.ResponseWriter, r *http.Request) error {
	answer, err := s.modelStatistics(pathChoice(r))
	if err != nil {
		return err
	}
	return writeJSON(w, jsonOf(answer.ProtoReflect()))
}
