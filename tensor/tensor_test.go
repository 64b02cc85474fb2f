package tensor

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDTypeNames(t *testing.T) {
	for d := range dtypes {
		for _, name := range []string{d.String(), d.Name()} {
			if got, err := ParseDType(name); err != nil || got != d {
				t.Errorf("ParseDType(%q) = %v, %v; want %v", name, got, err, d)
			}
		}
	}
	if got := DType(99).String(); got != "dtype(99)" {
		t.Errorf("DType(99) is called %q", got)
	}
	if _, err := ParseDType("float"); err == nil {
		t.Error(`ParseDType("float") found a type`)
	}
}

func TestShapeString(t *testing.T) {
	for _, c := range []struct {
		shape Shape
		want  string
	}{
		{nil, "unknown"},
		{Shape{}, "()"},
		{Shape{5}, "(5,)"},
		{Shape{-1, 224, 224, 3}, "(-1, 224, 224, 3)"},
	} {
		if got := c.shape.String(); got != c.want {
			t.Errorf("%#v is written %s, want %s", c.shape, got, c.want)
		}
	}
}

func TestShapeElements(t *testing.T) {
	ones := func(n int) Shape {
		s := make(Shape, n)
		for i := range s {
			s[i] = 1
		}
		return s
	}
	for _, c := range []struct {
		name  string
		shape Shape
		want  int64
		err   string
	}{
		{"scalar", Shape{}, 1, ""},
		{"image", Shape{2, 224, 224, 3}, 2 * 224 * 224 * 3, ""},
		{"no rows", Shape{0, 224, 224, 3}, 0, ""},
		{"largest", Shape{math.MaxInt64 / 8}, math.MaxInt64 / 8, ""},
		{"254 dimensions", ones(254), 1, ""},
		{"255 dimensions", ones(255), 0, "255 dimensions"},
		{"unknown rank", nil, 0, "unknown rank"},
		{"unknown dimension", Shape{-1, 3}, 0, "dimension 0 is negative"},
		{"negative dimension", Shape{3, math.MinInt64}, 0, "dimension 1 is negative"},
		{"negative after zero", Shape{0, -1}, 0, "dimension 1 is negative"},
		{"bytes overflow", Shape{math.MaxInt64/8 + 1}, 0, "more elements"},
		{"product overflows", Shape{1 << 32, 1 << 32}, 0, "more elements"},
		{"product overflows to small", Shape{1 << 32, 1 << 32, 3}, 0, "more elements"},
		{"overflow beside a zero", Shape{1 << 40, 1 << 40, 0}, 0, "more elements"},
		{"overflow after a zero", Shape{0, 1 << 40, 1 << 40}, 0, "more elements"},
	} {
		got, err := c.shape.Elements()
		if got != c.want || !matches(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %q", c.name, got, err, c.want, c.err)
		}
	}
}

func TestShapeAccepts(t *testing.T) {
	for _, c := range []struct {
		want, got Shape
		err       string
	}{
		{Shape{-1, 224, 224, 3}, Shape{7, 224, 224, 3}, ""},
		{Shape{-1, 3}, Shape{0, 3}, ""},
		{nil, Shape{4, 5}, ""},
		{Shape{}, Shape{}, ""},
		{Shape{-1, 224, 224, 3}, Shape{224, 224, 3},
			"expected (-1, 224, 224, 3), got (224, 224, 3)"},
		{Shape{-1, 3}, Shape{1, 4}, "expected (-1, 3), got (1, 4)"},
		{Shape{}, Shape{1}, "expected (), got (1,)"},
		{Shape{-1, 3}, Shape{-1, 3}, "negative"},
		{nil, nil, "unknown rank"},
		{nil, Shape{1 << 62, 4}, "more elements"},
	} {
		if err := c.want.Accepts(c.got); !matches(err, c.err) {
			t.Errorf("%v accepts %v: %v; want %q", c.want, c.got, err, c.err)
		}
	}
}

// samples is a tensor of each type that has a size, two elements each, with its bytes as NumPy
// writes them ('<' order).
var samples = []struct {
	tensor Tensor
	raw    string
}{
	{Tensor{Float32, Shape{2}, []float32{1, -2}}, "\x00\x00\x80\x3f\x00\x00\x00\xc0"},
	{Tensor{Float64, Shape{2}, []float64{1, -2}},
		"\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\xc0"},
	{Tensor{Float16, Shape{2}, []uint16{0x3c00, 0xc000}}, "\x00\x3c\x00\xc0"},
	{Tensor{Bfloat16, Shape{2}, []uint16{0x3f80, 0xc000}}, "\x80\x3f\x00\xc0"},
	{Tensor{Int8, Shape{2}, []int8{1, -2}}, "\x01\xfe"},
	{Tensor{Int16, Shape{2}, []int16{1, -2}}, "\x01\x00\xfe\xff"},
	{Tensor{Int32, Shape{2}, []int32{1, -2}}, "\x01\x00\x00\x00\xfe\xff\xff\xff"},
	{Tensor{Int64, Shape{2}, []int64{1, -2}},
		"\x01\x00\x00\x00\x00\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff"},
	{Tensor{Uint8, Shape{2}, []uint8{1, 254}}, "\x01\xfe"},
	{Tensor{Uint16, Shape{2}, []uint16{1, 65534}}, "\x01\x00\xfe\xff"},
	{Tensor{Uint32, Shape{2}, []uint32{1, 1 << 31}}, "\x01\x00\x00\x00\x00\x00\x00\x80"},
	{Tensor{Uint64, Shape{2}, []uint64{1, 1 << 63}},
		"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"},
	{Tensor{Bool, Shape{2}, []bool{true, false}}, "\x01\x00"},
}

func TestBytes(t *testing.T) {
	for _, c := range samples {
		raw, err := c.tensor.Bytes()
		if err != nil || string(raw) != c.raw {
			t.Errorf("%v: bytes %x, %v; want %x", c.tensor.DType, raw, err, c.raw)
		}
		for offset := range 2 { // an odd address cannot be kept, only copied
			padded := append(make([]byte, offset, 64), c.raw...)
			got, err := FromBytes(c.tensor.DType, c.tensor.Shape, padded[offset:])
			if err != nil {
				t.Errorf("%v at offset %d: %v", c.tensor.DType, offset, err)
			} else if diff := cmp.Diff(c.tensor, got); diff != "" {
				t.Errorf("%v at offset %d: (-want +got)\n%s", c.tensor.DType, offset, diff)
			}
		}
	}
	if !littleEndian {
		return
	}
	data := []float32{1}
	raw, _ := Tensor{Float32, Shape{1}, data}.Bytes()
	data[0] = 0
	if raw[3] != 0 {
		t.Error("Bytes copied the elements")
	}
}

func TestBytesOfNothing(t *testing.T) {
	for _, c := range samples {
		empty, err := FromBytes(c.tensor.DType, Shape{0, 3}, nil)
		if err != nil {
			t.Errorf("%v: %v", c.tensor.DType, err)
			continue
		}
		if raw, err := empty.Bytes(); err != nil || len(raw) != 0 {
			t.Errorf("%v: bytes %x, %v; want none", c.tensor.DType, raw, err)
		}
	}
}

func TestFromBytesErrors(t *testing.T) {
	for _, c := range []struct {
		dtype DType
		shape Shape
		raw   int
		want  string
	}{
		{Float32, Shape{2}, 7, "expected 8 bytes, got 7"},
		{Float32, Shape{2}, 9, "expected 8 bytes, got 9"},
		{Float32, Shape{-1}, 8, "negative"},
		{Float32, Shape{1 << 32, 1 << 32}, 0, "more elements"},
		{String, Shape{1}, 8, "string elements have no fixed size"},
		{DType(99), Shape{1}, 8, "dtype(99) elements have no fixed size"},
	} {
		if _, err := FromBytes(c.dtype, c.shape, make([]byte, c.raw)); !matches(err, c.want) {
			t.Errorf("%v %v of %d bytes: %v; want %q", c.dtype, c.shape, c.raw, err, c.want)
		}
	}
	if _, err := FromBytes(Bool, Shape{2}, []byte{1, 2}); !matches(err, "bool element 1 is 2") {
		t.Errorf("bool of value 2: %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		got  func() (Tensor, error)
		want DType
	}{
		{func() (Tensor, error) { return New(Shape{1}, []float32{1}) }, Float32},
		{func() (Tensor, error) { return New(Shape{1}, []float64{1}) }, Float64},
		{func() (Tensor, error) { return New(Shape{1}, []int8{1}) }, Int8},
		{func() (Tensor, error) { return New(Shape{1}, []int16{1}) }, Int16},
		{func() (Tensor, error) { return New(Shape{1}, []int32{1}) }, Int32},
		{func() (Tensor, error) { return New(Shape{1}, []int64{1}) }, Int64},
		{func() (Tensor, error) { return New(Shape{1}, []uint8{1}) }, Uint8},
		{func() (Tensor, error) { return New(Shape{1}, []uint16{1}) }, Uint16},
		{func() (Tensor, error) { return New(Shape{1}, []uint32{1}) }, Uint32},
		{func() (Tensor, error) { return New(Shape{1}, []uint64{1}) }, Uint64},
		{func() (Tensor, error) { return New(Shape{1}, []bool{true}) }, Bool},
		{func() (Tensor, error) { return New(Shape{1}, [][]byte{nil}) }, String},
	} {
		if got, err := c.got(); err != nil || got.DType != c.want {
			t.Errorf("New: %v, %v; want %v", got.DType, err, c.want)
		}
	}
	if _, err := New(Shape{3}, []float32{1}); !matches(err, "expected 3 elements, got 1") {
		t.Errorf("New with short data: %v", err)
	}
}

func TestValidateAndFloat32s(t *testing.T) {
	for _, c := range []struct {
		tensor Tensor
		want   string
	}{
		{Tensor{Float32, Shape{1}, []float64{1}}, "held in Go's []float64"},
		{Tensor{Float32, Shape{1}, nil}, "held in Go's <nil>"},
		{Tensor{Float32, nil, []float32{1}}, "unknown rank"},
		{Tensor{Float64, Shape{1}, []float64{1}}, "expected float32 elements, got float64"},
		{Tensor{Float32, Shape{2}, []float32{1}}, "expected 2 elements"},
		{Tensor{Float32, Shape{1}, []float32{1}}, ""},
	} {
		if _, err := c.tensor.Float32s(); !matches(err, c.want) {
			t.Errorf("%#v: %v; want %q", c.tensor, err, c.want)
		}
	}
	if _, err := (Tensor{String, Shape{1}, [][]byte{nil}}).Bytes(); !matches(err, "no fixed size") {
		t.Errorf("bytes of strings: %v", err)
	}
}

// matches says whether err is nil where want is empty, and else whether it says want.
func matches(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), want)
}
