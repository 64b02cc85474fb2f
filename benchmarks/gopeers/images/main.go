// Images is our side of the comparisons with Pillow, OpenCV and TensorFlow, on one thread: image
// files in memory to RGB, or to tensors of 224 x 224, x / 255.
//
// Each line of standard input is a library, a file, a method or "none" for decoding alone, whether
// to antialias, and seconds, with tabs between. The answer is a line: the milliseconds of the
// processor that the fastest run took, and the CRC-32 of the pixels or of the tensor's float32,
// little-endian.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

const side = 224

func main() {
	runtime.GOMAXPROCS(1)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := run(strings.Split(lines.Text(), "\t")); err != nil {
			fmt.Fprintln(os.Stderr, "images:", err)
			os.Exit(1)
		}
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("expected five arguments, got %q", args)
	}
	p, err := pipeline(args[0], args[2], args[3])
	if err != nil {
		return err
	}
	file, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[4], 64)
	if err != nil {
		return err
	}
	image, x := new(preprocess.Image), make([]float32, 0, 3*side*side)
	fastest := time.Duration(1 << 62)
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); ; {
		before := processorTime()
		if err := p.ReadImage(image, file); err != nil {
			return err
		}
		if p.Width > 0 {
			if x, err = p.AppendFloat32(x[:0], image); err != nil {
				return err
			}
		}
		fastest = min(fastest, processorTime()-before)
		if time.Now().After(end) {
			break
		}
	}
	result := image.Pix
	if p.Width > 0 {
		if result, err = binary.Append(nil, binary.LittleEndian, x); err != nil {
			return err
		}
	}
	_, err = fmt.Println(fastest.Seconds()*1e3, crc32.ChecksumIEEE(result))
	return err
}

// processorTime is how long this process has used the processor.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it has no reason to
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func pipeline(library, method, antialias string) (*preprocess.Pipeline, error) {
	by, err := preprocess.ParseLibrary(library)
	if err != nil {
		return nil, err
	}
	p := &preprocess.Pipeline{Decode: preprocess.Decode{By: by},
		Resize: preprocess.Resize{By: by, Fit: preprocess.NoFit}, DType: tensor.Float32}
	if method == "none" {
		return p, nil
	}
	p.Width, p.Height, p.Resize.Fit = side, side, preprocess.Stretch
	p.Normalize.Steps = []preprocess.Step{{Op: preprocess.Divide, Values: []float64{255}}}
	if p.Resize.Method, err = preprocess.ParseMethod(method); err != nil {
		return nil, err
	}
	p.Resize.Antialias, err = strconv.ParseBool(antialias)
	return p, err
}
