package worker

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"

	"kerasrun/tensor"
)

// hello is a worker's first message: it has opened the model, or cannot.
type hello struct {
	Error    string // why it cannot
	Usage    bool   // the error is of a flag's value
	Tags     []string
	Devices  []string
	Manifest string // its ID, "" where there is none
	Files    string // a hash of all files, where the manifest's have not been compared
}

// message asks for a run, gives one up, or answers one; or asks whether the worker still answers,
// which sends it back.
type message struct {
	ID        uint64
	Ping      bool
	Cancel    bool // nobody waits for the answer any more
	Signature string
	Error     string // of an answer
	Tensors   []described
}

// described is a tensor, whose bytes follow the message.
type described struct {
	Name  string
	DType tensor.DType
	Shape []int64
	// of a String tensor's elements, whose bytes follow one after the other
	Lengths []int64
}

// sender writes messages; it is safe for concurrent use.
type sender struct {
	turn chan struct{} // holds one who writes; not a mutex, for tests have clocks of their own
	to   io.Writer
	text bytes.Buffer
	gob  *gob.Encoder
}

func newSender(to io.Writer) *sender {
	s := &sender{turn: make(chan struct{}, 1), to: to}
	s.gob = gob.NewEncoder(&s.text)
	return s
}

// send writes a message and the bytes of the tensors that it describes, which are not copied.
func (s *sender) send(m any, tensors ...[]byte) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.text.Reset()
	if err := s.gob.Encode(m); err != nil {
		return err
	}
	parts := append(net.Buffers{s.text.Bytes()}, tensors...)
	_, err := parts.WriteTo(s.to)
	return err
}

// sendTensors writes a message with tensors, by name.
func (s *sender) sendTensors(m message, tensors map[string]tensor.Tensor) error {
	var parts [][]byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		d := described{Name: name, DType: t.DType, Shape: t.Shape}
		if err := t.Validate(); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if texts, ok := t.Data.([][]byte); ok {
			for _, text := range texts {
				d.Lengths = append(d.Lengths, int64(len(text)))
			}
			parts = append(parts, texts...)
		} else {
			raw, err := t.Bytes()
			if err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
			parts = append(parts, raw)
		}
		m.Tensors = append(m.Tensors, d)
	}
	return s.send(m, parts...)
}

// receiver reads messages; it is for one goroutine.
type receiver struct {
	from *bufio.Reader
	gob  *gob.Decoder
}

func newReceiver(from io.Reader) *receiver {
	r := &receiver{from: bufio.NewReaderSize(from, 64<<10)}
	r.gob = gob.NewDecoder(r.from) // which reads no further than a message's end
	return r
}

// receive reads a message and its tensors, whose bytes are in memory of make's; of none: in memory
// that is taken as they arrive, of a side that is not trusted.
func (r *receiver) receive(m *message, make func(n int64) ([]byte, error)) (
	map[string]tensor.Tensor, error) {
	*m = message{}
	if err := r.gob.Decode(m); err != nil {
		return nil, err
	}
	tensors := map[string]tensor.Tensor{}
	for _, d := range m.Tensors {
		t, err := r.tensor(d, make)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", d.Name, err)
		}
		tensors[d.Name] = t
	}
	return tensors, nil
}

func (r *receiver) tensor(d described, make func(n int64) ([]byte, error)) (
	t tensor.Tensor, err error) {
	shape := tensor.Shape(d.Shape)
	if shape == nil {
		shape = tensor.Shape{} // gob does not tell a scalar's from none
	}
	if d.DType == tensor.String {
		texts := [][]byte{}
		for _, n := range d.Lengths {
			text, err := r.bytes(n, make)
			if err != nil {
				return t, err
			}
			texts = append(texts, text)
		}
		return tensor.New(shape, texts)
	}
	n, err := shape.Elements()
	if err != nil {
		return t, err
	}
	size := int64(d.DType.Size())
	if size == 0 || n > 1<<62/size {
		return t, fmt.Errorf("expected elements of a fixed size, got %v %v", d.DType, shape)
	}
	raw, err := r.bytes(n*size, make)
	if err != nil {
		return t, err
	}
	return tensor.FromBytes(d.DType, shape, raw)
}

func (r *receiver) bytes(n int64, make func(n int64) ([]byte, error)) ([]byte, error) {
	if make == nil {
		return arrived(r.from, n)
	}
	raw, err := make(n)
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(r.from, raw)
	return raw, err
}

// maxTensor bounds the bytes of a tensor that the other side says follow, so that what has gone mad
// there ends there. A batch of 32 photographs has 19 MB.
const maxTensor = 16 << 30

// newBytes returns memory that is the caller's.
func newBytes(n int64) ([]byte, error) {
	if err := checkBytes(n); err != nil {
		return nil, err
	}
	return make([]byte, n), nil
}

func checkBytes(n int64) error {
	if n < 0 || n > maxTensor {
		return fmt.Errorf("expected at most %d bytes of a tensor, got %d", int64(maxTensor), n)
	}
	return nil
}

// firstBytes are taken for a tensor before any of it is there.
const firstBytes = 1 << 20

// arrived reads n bytes into memory that grows with what is there, so that nothing is taken for
// what is only announced.
func arrived(from io.Reader, n int64) ([]byte, error) {
	if err := checkBytes(n); err != nil {
		return nil, err
	}
	raw := make([]byte, 0, min(n, firstBytes))
	for int64(len(raw)) < n {
		have := len(raw)
		raw = slices.Grow(raw, int(min(n-int64(have), int64(max(have, firstBytes)))))
		raw = raw[:min(n, int64(cap(raw)))]
		if _, err := io.ReadFull(from, raw[have:]); err != nil {
			return nil, err
		}
	}
	return raw, nil
}
