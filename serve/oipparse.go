package serve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

// What a request lists before its numbers takes many times the text's memory, so there is little.
const maxTensors, maxDimensions = 1024, 1024

// parsedOIP is the JSON of an inference request.
type parsedOIP struct {
	id, signature string
	schedule      schedule
	binary        bool // binary_data_output
	inputs        []parsedInput
	outputs       []parsedOutput
}

// parsedInput is an input whose data is yet to be read.
type parsedInput struct {
	name, datatype string
	contentType    string
	shape          tensor.Shape
	data           *jsontensor.Decoder // nil where the tensor comes after the JSON
	size           int64               // of that tensor in bytes, -1 where data is there
}

// parsedOutput is an output that is asked for; binary is nil where it does not say.
type parsedOutput struct {
	oipOutput
	binary *bool
}

func parseOIP(text []byte, held *account) (p parsedOIP, err error) {
	d := jsontensor.NewDecoder(text).Reserving(held.take)
	err = d.Object(func(key string) (err error) {
		switch key {
		case "id":
			p.id, err = d.String()
		case "parameters":
			err = parseParameters(d, map[string]func() error{
				"binary_data_output": func() (err error) { p.binary, err = d.Bool(); return },
				"signature_name":     func() (err error) { p.signature, err = d.String(); return },
				"content_type": func() error {
					contentType, err := d.String()
					if err != nil {
						return err
					}
					return checkContentType(contentType, "np", "str")
				},
				"timeout":  func() error { return p.schedule.parseTimeout(d.Int()) },
				"priority": func() error { return p.schedule.parsePriority(d.Int()) },
			})
		case "inputs":
			err = d.Array(func(i int) error {
				if i == maxTensors {
					return fmt.Errorf("expected at most %d inputs, got more", maxTensors)
				}
				in, err := parseInput(d)
				p.inputs = append(p.inputs, in)
				return within("inputs", i, err)
			})
		case "outputs":
			err = d.Array(func(i int) error {
				if i == maxTensors {
					return fmt.Errorf("expected at most %d outputs, got more", maxTensors)
				}
				out, err := parseOutput(d)
				p.outputs = append(p.outputs, out)
				return within("outputs", i, err)
			})
		default:
			err = d.Skip()
		}
		return err
	})
	if err != nil {
		return p, err
	}
	if len(p.inputs) == 0 {
		return p, errors.New("expected inputs, got none")
	}
	return p, d.End()
}

func within(list string, i int, err error) error {
	if err != nil {
		return fmt.Errorf("%s[%d]: %w", list, i, err)
	}
	return nil
}

// parseParameters reads the parameters that are known and skips the others, which the protocol
// leaves to each server.
func parseParameters(d *jsontensor.Decoder, known map[string]func() error) error {
	return d.Object(func(key string) error {
		if key == "shared_memory_region" {
			return errSharedMemory
		}
		if read, ok := known[key]; ok {
			if err := read(); err != nil {
				return fmt.Errorf("parameter %s: %w", key, err)
			}
			return nil
		}
		return d.Skip()
	})
}

func parseInput(d *jsontensor.Decoder) (in parsedInput, err error) {
	in.size = -1
	err = d.Object(func(key string) (err error) {
		switch key {
		case "name":
			in.name, err = d.String()
		case "datatype":
			in.datatype, err = d.String()
		case "shape":
			in.shape = tensor.Shape{}
			err = d.Array(func(int) error {
				n, err := d.Int()
				if err == nil && len(in.shape) == maxDimensions {
					err = fmt.Errorf("expected at most %d dimensions, got more", maxDimensions)
				}
				in.shape = append(in.shape, n)
				return err
			})
		case "parameters":
			err = parseParameters(d, map[string]func() error{
				"binary_data_size": func() (err error) {
					if in.size, err = d.Int(); err == nil && in.size < 0 {
						err = fmt.Errorf("expected 0 or more, got %d", in.size)
					}
					return err
				},
				"content_type": func() (err error) { in.contentType, err = d.String(); return },
			})
		case "data":
			in.data, err = d.Raw()
		default:
			err = d.Skip()
		}
		return err
	})
	switch {
	case err != nil:
	case in.name == "":
		err = errors.New("expected a name, got none")
	case in.shape == nil:
		err = errors.New("expected a shape, got none")
	case in.data != nil && in.size >= 0:
		err = errors.New("expected data or binary_data_size, got both")
	case in.data == nil && in.size < 0:
		err = errors.New("expected data or binary_data_size, got neither")
	}
	return in, err
}

func parseOutput(d *jsontensor.Decoder) (out parsedOutput, err error) {
	err = d.Object(func(key string) (err error) {
		switch key {
		case "name":
			out.name, err = d.String()
		case "parameters":
			err = parseParameters(d, map[string]func() error{
				"binary_data": func() error {
					b, err := d.Bool()
					out.binary = &b
					return err
				},
				"classification": func() error {
					n, err := d.Int()
					if err == nil && (n < 0 || n > 1<<20) {
						err = fmt.Errorf("expected a number of classes, got %d", n)
					}
					out.classification = int(n)
					return err
				},
			})
		default:
			err = d.Skip()
		}
		return err
	})
	if err == nil && out.name == "" {
		err = errors.New("expected a name, got none")
	}
	return out, err
}

// tensor reads an input's elements, from its data or from the front of the bytes after the JSON, of
// which it returns the rest.
func (in parsedInput) tensor(after []byte, held *account) (t tensor.Tensor, rest []byte,
	err error) {
	if t, rest, err = in.plainTensor(after, held); err == nil {
		t, err = decodeContent(t, in.contentType, held)
	}
	return t, rest, err
}

// plainTensor is tensor, without what the parameter content_type says of the elements.
func (in parsedInput) plainTensor(after []byte, held *account) (t tensor.Tensor, rest []byte,
	err error) {
	dtype, err := parseDatatype(in.datatype)
	if err != nil {
		return t, after, err
	}
	if in.data == nil {
		if in.size > int64(len(after)) {
			return t, after, fmt.Errorf(
				"binary_data_size: expected at most the %d bytes that are left of the body, got %d",
				len(after), in.size)
		}
		t, err = parseRawTensor(dtype, in.shape, after[:in.size], held)
		return t, after[in.size:], err
	}
	if t, err = in.data.Tensor(dtype); err != nil {
		return t, after, err
	}
	// Nested as the shape says, or flat.
	flat := len(t.Shape) == 1
	want, err := in.shape.Elements()
	if err != nil {
		return t, after, err
	}
	got, err := t.Shape.Elements()
	if err != nil {
		return t, after, err
	}
	if got != want || !flat && !slices.Equal(t.Shape, in.shape) {
		return t, after, fmt.Errorf("expected data of shape %v, got %v", in.shape, t.Shape)
	}
	t.Shape = in.shape
	return t, after, nil
}

// parseRawTensor reads a tensor as the protocol has it in binary: little-endian, row-major, and for
// BYTES each element after its length in four bytes.
func parseRawTensor(dtype tensor.DType, shape tensor.Shape, raw []byte, held *account) (
	tensor.Tensor, error) {
	if dtype != tensor.String {
		return tensor.FromBytes(dtype, shape, raw)
	}
	count, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	room := min(count, int64(len(raw))/4)
	if err := held.take(room * int64(unsafe.Sizeof(raw))); err != nil {
		return tensor.Tensor{}, err
	}
	elements := make([][]byte, 0, room)
	for len(raw) > 0 {
		if int64(len(elements)) == count {
			return tensor.Tensor{}, fmt.Errorf("BYTES: expected %d elements, got more", count)
		}
		if len(raw) < 4 {
			return tensor.Tensor{}, errors.New("BYTES end within the length of an element")
		}
		size := int64(binary.LittleEndian.Uint32(raw))
		if size > int64(len(raw)-4) {
			return tensor.Tensor{}, fmt.Errorf(
				"BYTES: an element of %d bytes, of which %d are there", size, len(raw)-4)
		}
		elements = append(elements, raw[4:4+size:4+size])
		raw = raw[4+size:]
	}
	return tensor.New(shape, elements)
}

// rawTensor is parseRawTensor's inverse. The bytes are the tensor's own memory where they can be.
func rawTensor(t tensor.Tensor) ([]byte, error) {
	elements, ok := t.Data.([][]byte)
	if !ok {
		return t.Bytes()
	}
	raw := []byte{}
	for _, e := range elements {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(e)))
		raw = append(raw, e...)
	}
	return raw, nil
}
