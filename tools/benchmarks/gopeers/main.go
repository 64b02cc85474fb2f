// Gopeers are the Go programs of the comparison, as their users would write them: tfgo alone, and ONNX Runtime from Go.
// They speak the line protocol of tools/benchmarks/peers.py. They are a module of their own, so that the project does not
// depend on what it is measured against.
//
//	gopeers tfgo DIR IMAGES.f32 BATCH OUTPUT_OP
//	gopeers onnxruntime LIBRARY MODEL.onnx IMAGES.f32 BATCH
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

const warmUpRuns = 3

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gopeers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 5 && args[0] == "tfgo":
		return serve(args[2], args[3], func(images []float32, batch int) (func() ([]float32, error), error) {
			return openTFGo(args[1], args[4], images, batch)
		})
	case len(args) == 5 && args[0] == "onnxruntime":
		return serve(args[3], args[4], func(images []float32, batch int) (func() ([]float32, error), error) {
			return openONNX(args[1], args[2], images, batch)
		})
	}
	return fmt.Errorf("want tfgo or onnxruntime and four arguments, got %q", args)
}

// serve loads, warms up, says so, and then runs as many seconds as each line of standard input asks.
func serve(imagesPath, batchText string, open func([]float32, int) (func() ([]float32, error), error)) error {
	batch, err := strconv.Atoi(batchText)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(imagesPath)
	if err != nil {
		return err
	}
	images := make([]float32, len(raw)/4)
	if _, err := binary.Decode(raw, binary.LittleEndian, images); err != nil {
		return err
	}
	started := time.Now()
	predict, err := open(images, batch)
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
	say(map[string]any{"load_ms": ms(loaded.Sub(started)), "first_run_ms": ms(first.Sub(loaded)), "answer": answer[:len(answer)/batch]})
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
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		say(map[string]any{"runs_ms": runs, "peak_rss_bytes": usage.Maxrss * 1024})
	}
	return lines.Err()
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

func say(v any) {
	line, _ := json.Marshal(v) // numbers and strings only: cannot fail
	fmt.Println(string(line))
}
