package serve

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := &fakeModel{}
		s := startServer(t, model, nil)
		model.gate = make(chan struct{})
		green := pngImage(t, 0, 100, 50)
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				answer, err := s.Answer(t.Context(), "", 1, green)
				if err != nil || len(answer.Predictions) != 1 ||
					answer.Predictions[0].Name != "green" {
					t.Errorf("got %+v, %v, want green", answer, err)
				}
			})
			synctest.Wait() // the first runs by itself; the others wait, and share a run
		}
		close(model.gate)
		callers.Wait()
		metrics := request(s.Handler(), "GET", "/metrics", "").Body.String()
		for _, want := range []string{
			`kerasrun_requests_total{code="OK",model="fake",protocol="go",version="1"} 3`,
			`kerasrun_batch_size_count{model="fake",version="1"} 2`,
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %s:\n%s", want, metrics)
			}
		}
		s.Close()
	})
}

func TestAnswerErrors(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Image = 1 << 10 })
	green := pngImage(t, 0, 100, 50)
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		model string
		top   int
		image []byte
		want  int
	}{
		{"no image", t.Context(), "fake", 5, []byte("text"), 400},
		{"nothing", t.Context(), "fake", 5, nil, 400},
		{"too long", t.Context(), "fake", 5, append(green, make([]byte, 1<<10)...), 413},
		{"top 0", t.Context(), "fake", 0, green, 400},
		{"another model", t.Context(), "none", 5, green, 404},
		{"the caller has left", left, "fake", 5, green, 499},
		{"late", late, "fake", 5, green, 504},
	} {
		answer, err := s.Answer(c.ctx, c.model, c.top, c.image)
		var failed *Error
		if !errors.As(err, &failed) || failed.Status() != c.want || answer.Output != "" {
			t.Errorf("%s: got %+v, %v, want status %d", c.name, answer, err, c.want)
		}
	}
}
