package jsontensor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"kerasrun/tensor"
)

// Tensor reads nested lists, or a lone value, as a tensor of the given type. Every list of one
// level must be equally long; an empty list ends the nesting. Whole-number types take no decimal
// point and no value out of their range; float32 and float64 are rounded once, from the decimal
// text. Strings are text or {"b64": bytes}. The 16-bit float types have no JSON form.
func (d *Decoder) Tensor(dtype tensor.DType) (tensor.Tensor, error) {
	l, err := newLeaves(dtype, true)
	if err != nil {
		return tensor.Tensor{}, err
	}
	shape, err := d.nested(l)
	if err != nil {
		return tensor.Tensor{}, err
	}
	return l.tensor(shape)
}

// BytesNext says whether the next value is, or is a list that begins with, an object: bytes, where
// a tensor is expected.
func (d *Decoder) BytesNext() bool {
	ahead := *d
	for ahead.Kind() == Array {
		ahead.pos++
	}
	return ahead.Kind() == Object
}

// Base64Next says whether the next value is an object that begins with the key b64.
func (d *Decoder) Base64Next() bool {
	ahead := *d
	if ahead.Kind() != Object {
		return false
	}
	ahead.pos++
	if ahead.Kind() != String {
		return false
	}
	key, err := ahead.quoted()
	return err == nil && string(key) == "b64"
}

// Rows collects tensors of equal shapes, read one by one, as the rows of one tensor.
type Rows struct {
	leaves leaves
	shape  tensor.Shape // of a row
	n      int64
}

// NewRows returns a collector of rows of the given type.
func NewRows(dtype tensor.DType) (*Rows, error) {
	l, err := newLeaves(dtype, false)
	return &Rows{leaves: l}, err
}

// Add reads the next row.
func (r *Rows) Add(d *Decoder) error {
	shape, err := d.nested(r.leaves)
	if err != nil {
		return err
	}
	if r.n == 0 {
		r.shape = shape
	} else if !slices.Equal(shape, r.shape) {
		return fmt.Errorf("expecting shape %v but got: %v", r.shape, shape)
	}
	r.n++
	return nil
}

// Tensor returns the rows as one tensor, whose first dimension counts them.
func (r *Rows) Tensor() (tensor.Tensor, error) {
	return r.leaves.tensor(append(tensor.Shape{r.n}, r.shape...))
}

// nested reads nested lists, appends their leaves to l, and returns their shape.
func (d *Decoder) nested(l leaves) (tensor.Shape, error) {
	n := nesting{leaves: l, rank: -1, shape: tensor.Shape{}}
	err := n.read(d, 0)
	return n.shape, err
}

type nesting struct {
	leaves leaves
	shape  tensor.Shape // -1 where no list of the level has ended yet
	rank   int          // -1 until the first leaf or empty list
}

func (n *nesting) read(d *Decoder, level int) error {
	if d.Kind() != Array {
		if n.rank < 0 {
			n.rank = level
		}
		if level != n.rank {
			return fmt.Errorf(
				"value at offset: %d found at incorrect level: %d in the JSON DOM. Expected at "+
					"level: %d",
				d.base+d.pos, level+1, n.rank)
		}
		return n.leaves.read(d)
	}
	if n.rank >= 0 && level >= n.rank {
		return fmt.Errorf("encountered list at unexpected level: %d expected < %d", level, n.rank)
	}
	if level == len(n.shape) {
		n.shape = append(n.shape, -1)
	}
	var size int64
	err := d.Array(func(int) error {
		size++
		return n.read(d, level+1)
	})
	if err != nil {
		return err
	}
	if size == 0 && n.rank < 0 {
		n.rank = level + 1
	}
	if n.shape[level] < 0 {
		n.shape[level] = size
	}
	if n.shape[level] != size {
		return fmt.Errorf("encountered list at unexpected size: %d at level: %d expected size: %d",
			size, level, n.shape[level])
	}
	return nil
}

// leaves are the elements read so far.
type leaves interface {
	read(d *Decoder) error
	tensor(shape tensor.Shape) (tensor.Tensor, error)
}

// newLeaves returns a collector of elements. Where the decoder has no others, there is memory for
// all of them from the start.
func newLeaves(dtype tensor.DType, alone bool) (leaves, error) {
	switch dtype {
	case tensor.Float32:
		return &elements[float32]{alone: alone, parse: func(s string) (float32, error) {
			v, err := strconv.ParseFloat(s, 32)
			return float32(v), err
		}}, nil
	case tensor.Float64:
		return &elements[float64]{alone: alone, parse: func(s string) (float64, error) {
			return strconv.ParseFloat(s, 64)
		}}, nil
	case tensor.Int8:
		return &elements[int8]{alone: alone, parse: signed[int8](8)}, nil
	case tensor.Int16:
		return &elements[int16]{alone: alone, parse: signed[int16](16)}, nil
	case tensor.Int32:
		return &elements[int32]{alone: alone, parse: signed[int32](32)}, nil
	case tensor.Int64:
		return &elements[int64]{alone: alone, parse: signed[int64](64)}, nil
	case tensor.Uint8:
		return &elements[uint8]{alone: alone, parse: unsigned[uint8](8)}, nil
	case tensor.Uint16:
		return &elements[uint16]{alone: alone, parse: unsigned[uint16](16)}, nil
	case tensor.Uint32:
		return &elements[uint32]{alone: alone, parse: unsigned[uint32](32)}, nil
	case tensor.Uint64:
		return &elements[uint64]{alone: alone, parse: unsigned[uint64](64)}, nil
	case tensor.Bool:
		return &bools{alone: alone}, nil
	case tensor.String:
		return &texts{}, nil
	}
	return nil, fmt.Errorf("%v has no form in JSON", dtype)
}

func signed[T int8 | int16 | int32 | int64](bits int) func(string) (T, error) {
	return func(s string) (T, error) {
		v, err := strconv.ParseInt(s, 10, bits)
		return T(v), err
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](bits int) func(string) (T, error) {
	return func(s string) (T, error) {
		v, err := strconv.ParseUint(s, 10, bits)
		return T(v), err
	}
}

// elements are numbers.
type elements[T tensor.Element] struct {
	data  []T
	alone bool
	parse func(string) (T, error)
}

// room makes room for one more element, asking for memory first. Of all numbers that can come there
// are no more than commas; alone says that they come to data.
func room[T any](d *Decoder, data *[]T, alone bool) error {
	length, had := len(*data), cap(*data)
	if length < had {
		return nil
	}
	count := max(2*length, 16)
	if alone {
		count = length + 1 + bytes.Count(d.text[d.pos:], []byte(","))
	}
	size := int64(unsafe.Sizeof(*new(T)))
	if err := d.take(int64(count) * size); err != nil {
		return err
	}
	*data = append(make([]T, 0, count), *data...)
	return d.take(-int64(had) * size)
}

func (e *elements[T]) read(d *Decoder) error {
	kind := d.Kind()
	if kind != Number {
		return d.unexpected(kind, fmt.Sprintf("of expected type: %T", *new(T)))
	}
	start := d.pos
	token, err := d.number()
	if err != nil {
		return err
	}
	// Without a copy: an image's tensor in JSON has 150,000 numbers.
	v, err := e.parse(unsafe.String(unsafe.SliceData(token), len(token)))
	if err != nil {
		reason := "is not"
		if errors.Is(err, strconv.ErrRange) {
			reason = "is out of the range"
		}
		return fmt.Errorf("value %.40s at offset: %d %s of expected type: %T", token, d.base+start,
			reason, v)
	}
	if err := room(d, &e.data, e.alone); err != nil {
		return err
	}
	e.data = append(e.data, v)
	return nil
}

func (e *elements[T]) tensor(shape tensor.Shape) (tensor.Tensor, error) {
	return tensor.New(shape, e.data)
}

type bools struct {
	data  []bool
	alone bool
}

func (b *bools) read(d *Decoder) error {
	v, err := d.Bool()
	if err != nil {
		return err
	}
	if err := room(d, &b.data, b.alone); err != nil {
		return err
	}
	b.data = append(b.data, v)
	return nil
}

func (b *bools) tensor(shape tensor.Shape) (tensor.Tensor, error) {
	return tensor.New(shape, b.data)
}

type texts struct{ data [][]byte }

func (t *texts) read(d *Decoder) error {
	v, err := d.Bytes()
	if err != nil {
		return err
	}
	if err := room(d, &t.data, false); err != nil { // commas may stand in texts
		return err
	}
	t.data = append(t.data, v)
	return nil
}

func (t *texts) tensor(shape tensor.Shape) (tensor.Tensor, error) {
	return tensor.New(shape, t.data)
}

// Float32 reads a number, rounded once from its decimal text.
func (d *Decoder) Float32() (float32, error) {
	kind := d.Kind()
	if kind != Number {
		return 0, d.unexpected(kind, "a number")
	}
	start := d.pos
	token, err := d.number()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(string(token), 32)
	if err != nil {
		return 0, fmt.Errorf("value %.40s at offset: %d is out of the range of float32", token,
			d.base+start)
	}
	return float32(v), nil
}

// DecimalNext says whether the next value is a number with a decimal point or an exponent, or none
// that is finite.
func (d *Decoder) DecimalNext() bool {
	ahead := *d
	if ahead.Kind() != Number {
		return false
	}
	token, err := ahead.number()
	return err == nil && bytes.ContainsAny(token, ".eEIN")
}

// Bytes reads a string, or {"b64": string}. They may lie in the decoder's text.
func (d *Decoder) Bytes() ([]byte, error) {
	if d.Kind() != Object {
		return d.quoted()
	}
	var text []byte
	keys := 0
	err := d.Object(func(key string) error {
		keys++
		if key != "b64" || d.Kind() != String {
			return errNotBytes
		}
		var err error
		text, err = d.quoted()
		return err
	})
	if err != nil {
		return nil, err
	}
	if keys != 1 {
		return nil, errNotBytes
	}
	data, err := DecodeBase64(text, d.take)
	if err != nil {
		return nil, fmt.Errorf("unable to base64 decode: %w", err)
	}
	return data, nil
}

// DecodeBase64 reads standard base64 as Abseil does, and so TensorFlow Serving: with line breaks
// and other space, the padding whole or left out, and dots in its place. take is asked for memory
// first.
func DecodeBase64(text []byte, take func(bytes int64) error) ([]byte, error) {
	if slices.ContainsFunc(text, asciiSpace) {
		if err := take(int64(len(text))); err != nil {
			return nil, err
		}
		text = slices.DeleteFunc(slices.Clone(text), asciiSpace)
	}
	digits := bytes.TrimRight(text, "=.")
	if padding, want := len(text)-len(digits), -len(digits)&3; padding != 0 && padding != want {
		return nil, fmt.Errorf("expected padding of %d characters or none, got %d", want, padding)
	}
	if err := take(int64(base64.RawStdEncoding.DecodedLen(len(digits)))); err != nil {
		return nil, err
	}
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, err := base64.RawStdEncoding.Decode(data, digits)
	if err != nil {
		return nil, err
	}
	return data[:n], nil
}

// asciiSpace is what C's isspace says of ASCII.
func asciiSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
