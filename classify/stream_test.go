package classify_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kerasrun/classify"
)

// numbered yields n images, named by their number, and counts those that were taken.
func numbered(n int, taken *atomic.Int64) iter.Seq[classify.Image] {
	return func(yield func(classify.Image) bool) {
		for i := range n {
			taken.Add(1)
			image := classify.Bytes(colored(uint8(i%200), 200, 1))
			image.Name, image.Index = fmt.Sprint(i), int64(i)
			if !yield(image) {
				return
			}
		}
	}
}

// Results come in order though later batches are done first, and only so many images are taken
// ahead.
func TestStreamInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		slowly(m, time.Second)
		c := newClassifier(t, m, classify.Options{BatchSize: 4, Concurrency: 3})
		var taken atomic.Int64
		n := 0
		for result, err := range c.Stream(t.Context(), 1, numbered(103, &taken)) {
			if err != nil || result.Err != nil {
				t.Fatal(err, result.Err)
			}
			got := result.Image
			if got.Name != fmt.Sprint(n) || got.Index != int64(n) || got.Read != nil {
				t.Errorf("got %+v, want image %d", result.Image, n)
			}
			if got := result.Predictions[0]; got.Name != "green" {
				t.Errorf("image %d: got %v", n, got)
			}
			time.Sleep(10 * time.Millisecond)
			// Five batches, one image at the door, and one that is made.
			if ahead := taken.Load() - int64(n/4*4); ahead > 5*4+2 {
				t.Errorf("at image %d: %d images were taken ahead", n, ahead)
			}
			n++
		}
		if n != 103 || m.most.Load() != 3 {
			t.Errorf("got %d results of at most %d runs at a time", n, m.most.Load())
		}
		want := append(slices.Repeat([]int{4}, 25), 3)
		got := m.sizes()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got batches of %v, want %v", got, want)
		}
	})
}

// A stream without end answers as it goes, and ends its goroutines where the caller has enough.
func TestStreamIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		slowly(m, time.Second)
		c := newClassifier(t, m, classify.Options{BatchSize: 4, Concurrency: 2})
		var taken atomic.Int64
		n := 0
		for _, err := range c.Stream(t.Context(), 1, numbered(1<<40, &taken)) {
			if n++; err != nil || n == 7 {
				break
			}
		}
		if n != 7 || m.running.Load() != 0 {
			t.Errorf("%d results, %d runs that go on", n, m.running.Load())
		}
	})
}

// With MaxWait an image is answered though no other comes.
func TestStreamMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		c := newClassifier(t, m, classify.Options{BatchSize: 4, MaxWait: 10 * time.Millisecond})
		slow := func(yield func(classify.Image) bool) {
			for i := range 6 {
				if !yield(classify.Bytes(colored(1, 2, 3))) {
					return
				}
				if i > 2 {
					time.Sleep(time.Hour)
				}
			}
		}
		began, n := time.Now(), 0
		for _, err := range c.Stream(t.Context(), 1, slow) {
			if err != nil {
				t.Fatal(err)
			}
			want := time.Duration(max(0, n-3)) * time.Hour
			if took := time.Since(began); took < want || took > want+20*time.Millisecond {
				t.Errorf("image %d: got a result after %v, want %v", n, took, want)
			}
			n++
		}
		if got := m.sizes(); !slices.Equal(got, []int{4, 1, 1}) {
			t.Errorf("got batches of %v", got)
		}
	})
}

// What the model fails at comes in its place, after the results of earlier images.
func TestStreamErrorInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.run = func(_ context.Context, pixels []float32) error {
			if pixels[0] == 8 {
				return errFake
			}
			time.Sleep(time.Second)
			return nil
		}
		c := newClassifier(t, m, classify.Options{BatchSize: 4, Concurrency: 3})
		var taken atomic.Int64
		n := 0
		for result, err := range c.Stream(t.Context(), 1, numbered(100, &taken)) {
			if err != nil {
				if n != 8 || !errors.Is(err, errFake) || result.Predictions != nil {
					t.Errorf("after %d results: %v, %v", n, result, err)
				}
				continue // there is no other
			}
			n++
		}
		if n != 8 {
			t.Errorf("got %d results, want those of two batches", n)
		}
	})
}

// The end of the context ends the stream with its cause; a batch that is not full then is not run.
func TestStreamCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		c := newClassifier(t, m, classify.Options{BatchSize: 4})
		ctx, cancel := context.WithCancelCause(t.Context())
		images := func(yield func(classify.Image) bool) {
			var taken atomic.Int64
			for image := range numbered(6, &taken) {
				if !yield(image) {
					return
				}
			}
			cancel(errFake)
		}
		n := 0
		for _, err := range c.Stream(ctx, 1, images) {
			if err != nil && !errors.Is(err, errFake) {
				t.Errorf("got %v", err)
			}
			n++
		}
		if got := m.sizes(); n == 0 || len(got) > 1 || slices.Contains(got, 2) {
			t.Errorf("%d results, batches of %v", n, got)
		}
	})
}

// A reader's error is its image's.
func TestStreamReadErrors(t *testing.T) {
	c := newClassifier(t, newFake(), classify.Options{BatchSize: 2})
	images := slices.Values([]classify.Image{
		classify.File("none.jpg"),
		classify.Bytes(colored(1, 2, 3)),
		{Name: "failing", Read: func() ([]byte, error) { return nil, errFake }},
	})
	var got []string
	for result, err := range c.Stream(t.Context(), 1, images) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(result.Image.Name, ": ", result.Err))
	}
	want := []string{
		"none.jpg: open none.jpg: no such file or directory", ": <nil>", "failing: the fake failed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A caller of Batches leaves images out, runs one alone, and sees rows.
func TestBatches(t *testing.T) {
	m := newFake()
	c := newClassifier(t, m, classify.Options{BatchSize: 3})
	images := slices.Values([]classify.Image{
		classify.Bytes(colored(1, 0, 0)), classify.Bytes(nil), classify.Bytes(colored(0, 2, 0)),
		classify.Bytes(nil), classify.Bytes(nil), classify.Bytes(nil),
	})
	run := func(ctx context.Context, b *classify.Batch) error {
		if b.Good() == 0 {
			return b.Run(ctx) // does nothing
		}
		if b.Good() != 2 {
			t.Errorf("got %d good images, want 2", b.Good())
		}
		if err := b.RunAlone(ctx, 0); err != nil || b.Rows[0] != nil {
			t.Errorf("alone: got %v, %v", b.Rows[0], err)
		}
		b.Errors[2] = errFake
		return b.Run(ctx)
	}
	batches := 0
	for b, err := range c.Batches(t.Context(), images, run) {
		if err != nil {
			t.Fatal(err)
		}
		if batches == 0 && (!slices.Equal(b.Rows[0][0].Data.([]float32), []float32{1, 0, 0}) ||
			b.Errors[1] == nil ||
			b.Errors[2] != errFake || b.Rows[1] != nil || b.Rows[2] != nil) {
			t.Errorf("got %v, %v", b.Rows, b.Errors)
		}
		batches++
	}
	if got := m.sizes(); batches != 2 || !slices.Equal(got, []int{1, 1}) {
		t.Errorf("got %d batches, runs of %v", batches, got)
	}
}
