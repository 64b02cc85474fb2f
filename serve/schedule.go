package serve

import (
	"context"
	"fmt"
	"math"
	"time"

	"kerasrun/serve/internal/oip"
)

// schedule is Triton's extension of that name: how long a request may take, and before which others
// it is run.
type schedule struct {
	timeout  time.Duration // 0: none beside the server's own
	priority int           // 1 to priorityLevels; 0 is defaultPriority
}

// parseTimeout reads microseconds.
func (s *schedule) parseTimeout(micros int64, err error) error {
	if err != nil {
		return err
	}
	if micros < 0 {
		return fmt.Errorf("expected microseconds, 0 for no timeout, got %d", micros)
	}
	s.timeout = time.Duration(min(micros, math.MaxInt64/1000)) * time.Microsecond
	return nil
}

func (s *schedule) parsePriority(level int64, err error) error {
	if err != nil {
		return err
	}
	if level < 0 || level > priorityLevels {
		return fmt.Errorf("expected a level from 1, the first, to %d, or 0 for %d, got %d",
			priorityLevels, defaultPriority, level)
	}
	s.priority = int(level)
	return nil
}

// readSchedule reads the parameters of a call.
func readSchedule(parameters map[string]*oip.InferParameter) (s schedule, err error) {
	for name, parse := range map[string]func(int64, error) error{"timeout": s.parseTimeout,
		"priority": s.parsePriority} {
		if parameter := parameters[name]; parameter != nil {
			if err := parse(wholeNumber(parameter)); err != nil {
				return s, fmt.Errorf("parameter %s: %w", name, err)
			}
		}
	}
	return s, nil
}

func wholeNumber(p *oip.InferParameter) (int64, error) {
	switch p.ParameterChoice.(type) {
	case *oip.InferParameter_Int64Param:
		return p.GetInt64Param(), nil
	case *oip.InferParameter_Uint64Param:
		return int64(min(p.GetUint64Param(), math.MaxInt64)), nil
	}
	return 0, fmt.Errorf("expected int64_param or uint64_param, got %T", p.ParameterChoice)
}

type priorityKey struct{}

// apply bounds the time of what is done in ctx, and gives it the priority.
func (s schedule) apply(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.priority != 0 {
		ctx = context.WithValue(ctx, priorityKey{}, s.priority)
	}
	if s.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

// priorityOf is the priority of what is done in ctx.
func priorityOf(ctx context.Context) int {
	if level, ok := ctx.Value(priorityKey{}).(int); ok {
		return level
	}
	return defaultPriority
}
