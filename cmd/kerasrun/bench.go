package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kerasrun/runner"
)

func newBenchCommand() *cobra.Command {
	var model modelFlags
	var batches []int
	var seconds float64
	var images string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput and latency",
		Long: `Measure a model on this machine: the model only, from a tensor in Go to its outputs in Go,
and end to end, from image files to the top 5 classes. The first run of a batch size is timed by
itself. Then comes a warm-up that is not counted, then the measurement, of five runs at least.
Percentiles are those of runs, so of whole batches.

The model only has one run at a time for each device, so a run's latency is its own. End to end has
one more: one batch is read, decoded and preprocessed while another is computed. Its latency
includes the wait for that.

--format json prints an object a batch size, a line each:

    batch              images a run
    images_per_second  of the model only
    latency_ms         p50, p95 and p99 of the model only
    peak_rss_bytes     the most memory that the process has had so far
    load_ms            opening the model
    first_run_ms       the first run of this batch size
    runs_ms            every run of the model only, in order
    end_to_end         images_per_second, latency_ms, runs_ms
    model, precision, devices, machine, tensorflow
                       what was measured on what`,
		Example: `  kerasrun bench
  kerasrun bench --batch 8 --seconds 10 --format json | jq .images_per_second
  kerasrun bench --precision bf16 --batch 1,32 --images testdata/photos`,
		Args: noArgs,
	}
	cmd.Flags().IntSliceVar(&batches, "batch", []int{1, 8, 32},
		"images a run; several are measured one after the other")
	cmd.Flags().Float64Var(&seconds, "seconds", 5, "time for each measurement, in seconds")
	cmd.Flags().StringVar(&images, "images", "",
		"`file` or directory of images (default those of the model's goldens)")
	format := addFormat(cmd, "text", "json")
	model.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, batch := range batches {
			if batch < 1 {
				return usagef("--batch: expected 1 or more, got %d", batch)
			}
		}
		if !(seconds > 0 && seconds <= 3600) {
			return usagef("--seconds: expected over 0 and up to 3600, got %v", seconds)
		}
		start := time.Now()
		m, err := model.open(cmd.Context())
		if err != nil {
			return err
		}
		defer m.Close()
		load := time.Since(start)
		if images == "" {
			if images, err = model.goldens(cmd.Context(), m.SavedModel().Manifest); err != nil {
				return fmt.Errorf("%w; --images names other images", err)
			}
		}
		span := time.Duration(seconds * float64(time.Second))
		b, err := newBenchmark(cmd.Context(), m, images, span)
		if err != nil {
			return err
		}
		about := benchmarkResult{
			LoadMS: milliseconds(load), Model: model.dir, Precision: model.precision.value,
			Devices: m.Devices(), Machine: thisMachine(), TensorFlow: runner.Version(),
		}
		out := benchmarkWriter{w: cmd.OutOrStdout(), json: format.value == "json"}
		for _, batch := range batches {
			result := about
			if err := b.measure(cmd.Context(), batch, &result); err != nil {
				return err
			}
			if err := out.write(result); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// benchmarkResult is what one batch size gives.
type benchmarkResult struct {
	Batch int `json:"batch"`
	throughput
	PeakRSSBytes int64      `json:"peak_rss_bytes"`
	LoadMS       float64    `json:"load_ms"`
	FirstRunMS   float64    `json:"first_run_ms"`
	EndToEnd     throughput `json:"end_to_end"`
	Model        string     `json:"model"`
	Precision    string     `json:"precision"`
	Devices      []string   `json:"devices"`
	Machine      machine    `json:"machine"`
	TensorFlow   string     `json:"tensorflow"`
}

// throughput is what the runs of one measurement give.
type throughput struct {
	ImagesPerSecond float64   `json:"images_per_second"`
	LatencyMS       latency   `json:"latency_ms"`
	RunsMS          []float64 `json:"runs_ms"`
}

// latency holds percentiles of the runs: of p95, 95 % took no longer.
type latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// benchmarkWriter prints one result after the other.
type benchmarkWriter struct {
	w       io.Writer
	json    bool
	started bool
}

func (b *benchmarkWriter) write(r benchmarkResult) error {
	if b.json {
		return json.NewEncoder(b.w).Encode(r)
	}
	var text strings.Builder
	if !b.started {
		b.started = true
		fmt.Fprintf(&text, "%s, %s on %s, loaded in %.0f ms\n%s; TensorFlow %s\n\n",
			r.Model, r.Precision, strings.Join(r.Devices, ", "), r.LoadMS, r.Machine, r.TensorFlow)
		fmt.Fprintf(&text, "%-10s  %5s  %8s  %9s  %9s  %9s  %9s  %5s  %8s\n",
			"", "batch", "images/s", "p50 ms", "p95 ms", "p99 ms", "first ms", "runs", "peak MiB")
	}
	row := func(what string, t throughput, first, peak string) {
		fmt.Fprintf(&text, "%-10s  %5d  %8.2f  %9.1f  %9.1f  %9.1f  %9s  %5d  %8s\n",
			what, r.Batch, t.ImagesPerSecond,
			t.LatencyMS.P50, t.LatencyMS.P95, t.LatencyMS.P99, first, len(t.RunsMS), peak)
	}
	row("model only", r.throughput, fmt.Sprintf("%.1f", r.FirstRunMS), "")
	row("end to end", r.EndToEnd, "", strconv.FormatInt(r.PeakRSSBytes>>20, 10))
	_, err := io.WriteString(b.w, text.String())
	return err
}
