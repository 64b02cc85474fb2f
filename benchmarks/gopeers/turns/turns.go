// Package turns is the line protocol of tools/benchmarks/peers.py for peers written in Go.
package turns

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const warmUpRuns = 3

// Predict answers one batch: a row of probabilities an image, one behind the other.
type Predict func() ([]float32, error)

// Images reads a batch of tensors, float32, little-endian.
func Images(path string) ([]float32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	images := make([]float32, len(raw)/4)
	_, err = binary.Decode(raw, binary.LittleEndian, images)
	return images, err
}

// Serve loads, warms up, says so, and then runs as many seconds as each line of standard input
// asks.
func Serve(batch int, open func() (Predict, error)) error {
	started := time.Now()
	predict, err := open()
	if err != nil {
		return err
	}
	loaded := time.Now()
	answer, err := predict()
	if err != nil {
		return err
	}
	first := time.Now()
	for range warmUpRuns {
		if _, err := predict(); err != nil {
			return err
		}
	}
	say(map[string]any{"load_ms": ms(loaded.Sub(started)), "first_run_ms": ms(first.Sub(loaded)),
		"answer": answer[:len(answer)/batch]})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		seconds, err := strconv.ParseFloat(lines.Text(), 64)
		if err != nil {
			return err
		}
		deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
		var runs []float64
		for len(runs) == 0 || time.Now().Before(deadline) {
			before := time.Now()
			if _, err := predict(); err != nil {
				return err
			}
			runs = append(runs, ms(time.Since(before)))
		}
		peak, err := peakRSS()
		if err != nil {
			return err
		}
		say(map[string]any{"runs_ms": runs, "peak_rss_bytes": peak})
	}
	return lines.Err()
}

// peakRSS is VmHWM: getrusage's figure includes that of the process which started this one.
func peakRSS() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	value, _, _ := strings.Cut(after, " kB")
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	return kilobytes * 1024, err
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

func say(v any) {
	line, _ := json.Marshal(v) // numbers and strings only: cannot fail
	fmt.Println(string(line))
}
