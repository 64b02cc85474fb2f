// Decode is decoding alone in the comparison with Pillow, OpenCV and TensorFlow, on one thread.
//
// Each line of standard input is a library, a file and seconds, with tabs between. The answer is a
// line: the fastest run's milliseconds and the CRC-32 of the pixels.
package main

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

func main() {
	runtime.GOMAXPROCS(1)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := run(strings.Split(lines.Text(), "\t")); err != nil {
			fmt.Fprintln(os.Stderr, "decode:", err)
			os.Exit(1)
		}
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("expected a library, a file and seconds, got %q", args)
	}
	by, err := preprocess.ParseLibrary(args[0])
	if err != nil {
		return err
	}
	file, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	p := &preprocess.Pipeline{Decode: preprocess.Decode{By: by},
		Resize: preprocess.Resize{By: by, Fit: preprocess.NoFit}, DType: tensor.Float32}
	image := new(preprocess.Image)
	fastest := time.Duration(1 << 62)
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); ; {
		before := time.Now()
		if err := p.ReadImage(image, file); err != nil {
			return err
		}
		fastest = min(fastest, time.Since(before))
		if time.Now().After(end) {
			break
		}
	}
	_, err = fmt.Println(fastest.Seconds()*1e3, crc32.ChecksumIEEE(image.Pix))
	return err
}
