package tfimage

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"testing"
	"unsafe"

	"kerasrun/internal/pythontest"
)

// tensorflow is a Python process that answers with what TensorFlow makes of an image; see
// testdata/reference.py.
type tensorflow struct {
	mu sync.Mutex
	*pythontest.Process
	err error
}

var (
	tensorflowOnce   sync.Once
	sharedTensorFlow tensorflow
)

// startTensorFlow starts the process on first use. It ends with the tests, when its standard input
// does.
func startTensorFlow(t testing.TB) *tensorflow {
	t.Helper()
	python := pythontest.Python(t)
	tensorflowOnce.Do(func() {
		sharedTensorFlow.Process, sharedTensorFlow.err = pythontest.NewProcess(python,
			"testdata/reference.py")
	})
	if sharedTensorFlow.err != nil {
		t.Fatal(sharedTensorFlow.err)
	}
	return &sharedTensorFlow
}

// An answer is an array of TensorFlow's, or the reason why there is none.
type answer struct {
	shape  []int
	dtype  string
	bytes  []byte
	reason string
}

// floats returns the elements of an array of float32 or uint8.
func (a answer) floats() []float32 {
	if a.dtype == "float32" {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(a.bytes))), len(a.bytes)/4)
	}
	x := make([]float32, len(a.bytes))
	for i, b := range a.bytes {
		x[i] = float32(b)
	}
	return x
}

// ask sends a request with a body.
func (r *tensorflow) ask(t testing.TB, request map[string]any, body []byte) answer {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	request["bytes"] = len(body)
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r.In.Write(line)
	r.In.WriteByte('\n')
	r.In.Write(body)
	if err := r.In.Flush(); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	line, err = r.Out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	var head struct {
		Shape        []int
		DType, Error string
		Bytes        int
	}
	if err := json.Unmarshal(line, &head); err != nil {
		t.Fatal(err)
	}
	a := answer{head.Shape, head.DType, make([]byte, head.Bytes), head.Error}
	if _, err := io.ReadFull(r.Out, a.bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// raw returns the bytes of samples and the name of their type.
func raw[T pixels](samples []T) (body []byte, dtype string) {
	var v T
	body = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(samples))),
		len(samples)*int(unsafe.Sizeof(v)))
	if _, ok := any(v).(uint8); ok {
		return body, "uint8"
	}
	return body, "float32"
}

// sameBits says where two results differ in a bit, "" if they do not.
func sameBits(got, want []float32) string {
	if len(got) != len(want) {
		return fmt.Sprintf("got %d values, want %d", len(got), len(want))
	}
	first, count, largest := -1, 0, 0.0
	for i, g := range got {
		if math.Float32bits(g) != math.Float32bits(want[i]) {
			if first < 0 {
				first = i
			}
			count++
			largest = max(largest, math.Abs(float64(g)-float64(want[i])))
		}
	}
	if first < 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d values differ, by up to %g; value %d: got %v, want %v", count,
		len(got), largest, first, got[first], want[first])
}
