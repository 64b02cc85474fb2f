//go:build prove

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kerasrun/runner"
)

var soakTime = flag.Duration("soaktime", time.Minute,
	"how long a part of the soak may go on before its count is reached")

// resident returns how much memory the process holds, in bytes, when all that is garbage is given
// back.
func resident(t *testing.T) float64 {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib * 1024
}

// descriptors returns how many files, pipes and the like the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// growth returns how memory and open descriptors grow while work is done up to count times after a
// warm-up, and an error where it is too much: 5 %, or 100 MiB, or one descriptor. It stops early
// when the time is up.
func growth(
	t *testing.T, warmUp, count int, work func(count int, until time.Time) (done int),
) (report string, err error) {
	t.Helper()
	work(warmUp, time.Now().Add(*soakTime))
	before, opened := resident(t), descriptors(t)
	begin := time.Now()
	done := work(count, begin.Add(*soakTime))
	took := time.Since(begin)
	after, left := resident(t), descriptors(t)
	report = fmt.Sprintf("%d in %.0f s: memory %.1f MiB before, %.1f MiB after (%+.2f %%), "+
		"descriptors %d and %d", done, took.Seconds(), before/(1<<20), after/(1<<20),
		100*(after/before-1), opened, left)
	if after > 1.05*before || after-before > 100<<20 || left > opened {
		err = fmt.Errorf("want memory to grow by less than 5 %% and 100 MiB, and no descriptor "+
			"left; %s", report)
	}
	return report, err
}

func openSmall(t *testing.T) *runner.Model {
	t.Helper()
	m, err := runner.Open(t.Context(), smallModel, probed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sampleImage is one whose decoding is not most of the work.
func sampleImage(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(smallModel, "assets.extra/goldens/cat.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const predictors = 16

// predict classifies from 16 goroutines, count times in each.
func predict(
	t *testing.T, m *runner.Model, image []byte, kept func(),
) func(count int, until time.Time) (done int) {
	return func(count int, until time.Time) int {
		var done atomic.Int64
		var all sync.WaitGroup
		for range predictors {
			all.Go(func() {
				for i := 0; i < count && time.Now().Before(until); i++ {
					if _, err := m.Classify(context.Background(), 5, image); err != nil {
						t.Error(err)
						return
					}
					kept()
					done.Add(1)
				}
			})
		}
		all.Wait()
		return int(done.Load())
	}
}

func TestSoakPredictions(t *testing.T) {
	inRepository(t)
	m := openSmall(t)
	defer m.Close()
	report, err := growth(t, 200, 10_000, predict(t, m, sampleImage(t), func() {}))
	t.Logf("predictions from %d goroutines: %s", predictors, report)
	if err != nil {
		t.Error(err)
	}
}

// cycle opens a model, runs it and lets go of it, count times.
func cycle(
	t *testing.T, image []byte, letGo func(*runner.Model) error,
) func(count int, until time.Time) (done int) {
	return func(count int, until time.Time) (done int) {
		for ; done < count && time.Now().Before(until); done++ {
			m := openSmall(t)
			if _, err := m.Classify(context.Background(), 5, image); err != nil {
				t.Error(err)
			}
			if err := letGo(m); err != nil {
				t.Error(err)
			}
		}
		return done
	}
}

func TestSoakOpenClose(t *testing.T) {
	inRepository(t)
	report, err := growth(t, 10, 50, cycle(t, sampleImage(t), (*runner.Model).Close))
	t.Logf("models opened, run and closed: %s", report)
	if err != nil {
		t.Error(err)
	}
}

// tinyModel has two convolutions of a few numbers: to open it is most of what it costs.
const tinyModel = "savedmodel/testdata/convolutions"

// cycleTiny opens a model, runs it and lets go of it, count times.
func cycleTiny(t *testing.T, letGo func(*runner.Model) error) func(count int, until time.Time) int {
	return func(count int, until time.Time) (done int) {
		for ; done < count && time.Now().Before(until); done++ {
			m, err := runner.Open(t.Context(), tinyModel, probed, runner.AllowUnverified())
			if err != nil {
				t.Fatal(err)
			}
			s, err := m.Signature("serving_default")
			if err != nil {
				t.Fatal(err)
			}
			in, err := s.ZeroInputs(1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.RunSignature(t.Context(), s.Key, in); err != nil {
				t.Fatal(err)
			}
			if err := letGo(m); err != nil {
				t.Fatal(err)
			}
		}
		return done
	}
}

func TestSoakThousandOpens(t *testing.T) {
	inRepository(t)
	report, err := growth(t, 300, 1000, cycleTiny(t, (*runner.Model).Close))
	t.Logf("tiny models opened, run and closed: %s", report)
	if err != nil {
		t.Error(err)
	}
}

// TestSoakFindsLeaks makes the three kinds of leaks that the soak looks for, and wants each found.
func TestSoakFindsLeaks(t *testing.T) {
	inRepository(t)
	m := openSmall(t)
	defer m.Close()
	var mu sync.Mutex
	var hoard [][]byte
	report, err := growth(t, 20, 200, predict(t, m, sampleImage(t), func() {
		block := make([]byte, 64<<10) // of each prediction
		for i := range block {
			block[i] = 1
		}
		mu.Lock()
		defer mu.Unlock()
		hoard = append(hoard, block)
	}))
	t.Logf("a leak of 64 KiB a prediction, %d kept: %s", len(hoard), report)
	if err == nil {
		t.Error("a leak of predictions was not found")
	}
	hoard = nil

	var open []*runner.Model
	report, err = growth(t, 2, 4, cycle(t, sampleImage(t),
		func(m *runner.Model) error { open = append(open, m); return nil }))
	t.Logf("models that are not closed: %s", report)
	if err == nil {
		t.Error("a leak of models was not found")
	}
	for _, m := range open {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}

	var files []*os.File
	report, err = growth(t, 1, 1, cycleTiny(t, func(m *runner.Model) error {
		f, err := os.Open(tinyModel)
		files = append(files, f)
		return errors.Join(err, m.Close())
	}))
	t.Logf("a descriptor that is not closed: %s", report)
	if err == nil || !strings.Contains(err.Error(), "no descriptor") {
		t.Error("a leak of descriptors was not found")
	}
	for _, f := range files {
		f.Close()
	}
}
