package jsontensor

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
)

func TestTensor(t *testing.T) {
	f32, f64 := tensor.Float32, tensor.Float64
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		text  string
		dtype tensor.DType
		shape tensor.Shape
		data  any
	}{
		{"7", f32, tensor.Shape{}, []float32{7}},
		{" [ 1 , -2.5,3e-2 ] \n", f32, tensor.Shape{3}, []float32{1, -2.5, 3e-2}},
		{"[[1, 2], [3, 4], [5, 6]]", f32, tensor.Shape{3, 2}, []float32{1, 2, 3, 4, 5, 6}},
		{"[[[1]], [[2]]]", f64, tensor.Shape{2, 1, 1}, []float64{1, 2}},
		{"[]", f32, tensor.Shape{0}, []float32(nil)},
		{"[[], []]", f32, tensor.Shape{2, 0}, []float32(nil)},
		{"[Infinity, -Infinity]", f32, tensor.Shape{2}, []float32{inf, -inf}},
		{"0.1", f32, tensor.Shape{}, []float32{0.1}},
		// Half-way between two float32 values but for the last digit: rounding twice, by way of
		// float64, would go wrong.
		{"1.00000017881393432617187499", f32, tensor.Shape{},
			[]float32{math.Float32frombits(0x3f800001)}},
		{"[-128, 127]", tensor.Int8, tensor.Shape{2}, []int8{-128, 127}},
		{"[-32768]", tensor.Int16, tensor.Shape{1}, []int16{-32768}},
		{"[2147483647]", tensor.Int32, tensor.Shape{1}, []int32{math.MaxInt32}},
		{"[-9223372036854775808]", tensor.Int64, tensor.Shape{1}, []int64{math.MinInt64}},
		{"[0, 255]", tensor.Uint8, tensor.Shape{2}, []uint8{0, 255}},
		{"[65535]", tensor.Uint16, tensor.Shape{1}, []uint16{65535}},
		{"[4294967295]", tensor.Uint32, tensor.Shape{1}, []uint32{math.MaxUint32}},
		{"[18446744073709551615]", tensor.Uint64, tensor.Shape{1}, []uint64{math.MaxUint64}},
		{"[true, false]", tensor.Bool, tensor.Shape{2}, []bool{true, false}},
		{`["a\u00e9\n", {"b64": "AP8="}, {"b64": "A\nP\r\n8 .\t"}, ""]`, tensor.String, tensor.Shape{4},
			[][]byte{[]byte("aé\n"), {0, 255}, {0, 255}, {}}},
	} {
		got, err := NewDecoder([]byte(c.text)).Tensor(c.dtype)
		if err != nil {
			t.Errorf("%s as %v: %v", c.text, c.dtype, err)
			continue
		}
		if diff := cmp.Diff(tensor.Tensor{DType: c.dtype, Shape: c.shape, Data: c.data},
			got); diff != "" {
			t.Errorf("%s as %v (-want +got):\n%s", c.text, c.dtype, diff)
		}
	}
	nan, err := NewDecoder([]byte("[NaN]")).Tensor(f32)
	if err != nil || nan.Data.([]float32)[0] == nan.Data.([]float32)[0] {
		t.Errorf("NaN: got %v, %v", nan.Data, err)
	}
}

func TestTensorRefuses(t *testing.T) {
	for _, c := range []struct {
		text  string
		dtype tensor.DType
		want  string
	}{
		{"", tensor.Float32, "the document is empty at offset: 0"},
		{"[1, 2", tensor.Float32, "the document ends early at offset: 5"},
		{"[1 2]", tensor.Float32, "missing a comma"},
		{"[1,]", tensor.Float32, "a value should follow the comma"},
		{"[,1]", tensor.Float32, "invalid value"},
		{"[[1], [2, 3]]", tensor.Float32,
			"list at unexpected size: 2 at level: 1 expected size: 1"},
		{"[1, [2]]", tensor.Float32, "list at unexpected level: 1"},
		{"[[1], 2]", tensor.Float32, "found at incorrect level"},
		{"[[], 2]", tensor.Float32, "found at incorrect level"},
		{"[[], [1]]", tensor.Float32, "unexpected size"},
		{`["1"]`, tensor.Float32, "Type: String is not of expected type: float32"},
		{`[null]`, tensor.Float32, "Type: Null"},
		{`[{"b64": ""}]`, tensor.Float32, "Type: Object"},
		{"[1e39]", tensor.Float32, "out of the range"},
		{"[1e999]", tensor.Float64, "out of the range"},
		{"[01]", tensor.Float32, "invalid number"},
		{"[.5]", tensor.Float32, "invalid value"},
		{"[1.]", tensor.Float32, "fraction"},
		{"[1e]", tensor.Float32, "exponent"},
		{"[-]", tensor.Float32, "invalid number"},
		{"[-", tensor.Float32, "ends early"},
		{"[-NaN]", tensor.Float32, "invalid number"},
		{"[Nan]", tensor.Float32, "invalid value"},
		{"[Inf]", tensor.Float32, "invalid value"},
		{"[NaN]", tensor.Int32, "is not of expected type: int32"},
		{"[1.0]", tensor.Int32, "is not of expected type: int32"},
		{"[128]", tensor.Int8, "out of the range"},
		{"[-1]", tensor.Uint8, "is not of expected type: uint8"},
		{"[1]", tensor.Bool, "not true or false"},
		{"[tru]", tensor.Bool, "invalid value"},
		{"[1]", tensor.String, "not a string"},
		{`["a]`, tensor.String, "closing quotation mark"},
		{"[\"\x01\"]", tensor.String, "invalid character"},
		{"[\"\xff\"]", tensor.String, "invalid encoding"},
		{`["\x"]`, tensor.String, "invalid escape"},
		{`[{"b64": 1}]`, tensor.String, "base64"},
		{`[{"b65": ""}]`, tensor.String, "base64"},
		{`[{}]`, tensor.String, "base64"},
		{`[{"b64": "", "more": 1}]`, tensor.String, "base64"},
		{`[{"b64": "?"}]`, tensor.String, "unable to base64 decode"},
		{`[{"b64": "AP8=="}]`, tensor.String, "expected padding of 1 characters or none, got 2"},
		{`[{"b64": "AP8A="}]`, tensor.String, "expected padding of 0 characters or none, got 1"},
		{`[{"b64": "AP=8"}]`, tensor.String, "unable to base64 decode"},
		{`[{"b64": "A"}]`, tensor.String, "unable to base64 decode"},
		{strings.Repeat("[", 101) + strings.Repeat("]", 101), tensor.Float32,
			"nested more than 100 deep"},
		{"[1]", tensor.Float16, "float16 has no form in JSON"},
		{"[1]", tensor.DType(99), "dtype(99) has no form in JSON"},
	} {
		if got, err := NewDecoder([]byte(c.text)).Tensor(c.dtype); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q as %v: got %v, %v, want an error with %q", c.text, c.dtype, got, err,
				c.want)
		}
	}
}

func TestRows(t *testing.T) {
	rows, err := NewRows(tensor.Float32)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder([]byte("[[1, 2], [3, 4], [5]]"))
	err = d.Array(func(int) error { return rows.Add(d) })
	if want := "expecting shape (2,) but got: (1,)"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
	got, err := rows.Tensor()
	if err == nil {
		t.Errorf("rows of different lengths became %v", got)
	}
}

func TestObject(t *testing.T) {
	d := NewDecoder([]byte(`{"a": 1, "b": {"a": [2]}, "c": "x"}`))
	var keys []string
	err := d.Object(func(key string) error {
		keys = append(keys, key+" "+d.Kind().String())
		return d.Skip()
	})
	if diff := cmp.Diff([]string{"a Number", "b Object", "c String"}, keys); err != nil ||
		diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := d.End(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ text, want string }{
		{`{"a": 1, "a": 2}`, "comes twice"},
		{`{"a" 1}`, "colon"},
		{`{1: 1}`, "not a string"},
		{`{"a": 1,}`, "should follow the comma"},
		{`[]`, "Type: Array is not an object"},
		{`{} x`, "should end here"},
	} {
		d := NewDecoder([]byte(c.text))
		err := d.Object(func(string) error { return d.Skip() })
		if err == nil {
			err = d.End()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.text, err, c.want)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	d := NewDecoder([]byte(`{"data": [1, 2, x]}`))
	var raw *Decoder
	err := d.Object(func(string) error {
		var err error
		raw, err = d.Raw()
		return err
	})
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 16 {
		t.Errorf("got %v, want a SyntaxError at 16", err)
	}
	d = NewDecoder([]byte(`{"data":  [1, 2, null]}`))
	err = d.Object(func(string) error {
		var err error
		raw, err = d.Raw()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Tensor(tensor.Float32); err == nil ||
		!strings.Contains(err.Error(), "offset: 17") {
		t.Errorf("got %v, want an error at offset 17", err)
	}
}

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		tensor tensor.Tensor
		want   string
	}{
		{tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{}, Data: []float32{3}}, "3.0"},
		{tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2, 2},
			Data: []float32{0.1, 1e-7, 9e6, -0}}, "[[0.1, 1e-07], [9e+06, 0.0]]"},
		{tensor.Tensor{DType: tensor.Float64, Shape: tensor.Shape{1}, Data: []float64{0.1}},
			"[0.1]"},
		{tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{0, 3}, Data: []float32{}}, "[]"},
		{tensor.Tensor{DType: tensor.Int64, Shape: tensor.Shape{1, 1},
			Data: []int64{math.MinInt64}}, "[[-9223372036854775808]]"},
		{tensor.Tensor{DType: tensor.Uint64, Shape: tensor.Shape{1},
			Data: []uint64{math.MaxUint64}}, "[18446744073709551615]"},
		{tensor.Tensor{DType: tensor.Uint16, Shape: tensor.Shape{1}, Data: []uint16{65535}},
			"[65535]"},
		{tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{2}, Data: []bool{true, false}},
			"[true, false]"},
		{tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{2},
			Data: [][]byte{[]byte("a\"\n"), nil}}, `["a\"\n", ""]`},
	} {
		got, err := Append(nil, c.tensor, false)
		if err != nil || string(got) != c.want {
			t.Errorf("%v: got %s, %v, want %s", c.tensor, got, err, c.want)
		}
	}
	bytes := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{1}, Data: [][]byte{{0, 255}}}
	if got, err := Append(nil, bytes, true); err != nil || string(got) != `[{"b64": "AP8="}]` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := Append(nil, bytes, false); err == nil {
		t.Errorf("bytes that are no UTF-8 were written as %q", got)
	}
	half := tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{1}, Data: []uint16{0}}
	if got, err := Append(nil, half, false); err == nil {
		t.Errorf("float16 was written as %q", got)
	}
}

// Valid JSON, as encoding/json sees it, is skipped whole; what it calls invalid is refused, but for
// the three words.
func FuzzSkip(f *testing.F) {
	for _, seed := range []string{
		`{"instances": [[1, 2.5e-3], [NaN, -Infinity]]}`,
		`{"a": {"b64": "AP8="}, "b": [true, false, null, "\u00e9\n"]}`,
		`[[], [[]], -0, 1E+2, 01, .5, 1.]`, `{"a": 1, "a": 2}`, "\"\xff\"", `[1,]`, `tru`, `"\x"`,
		"[[[[[[", `{"":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(text)
		err := d.Skip()
		if err == nil {
			err = d.End()
		}
		valid := json.Valid(text)
		if err == nil && !valid && !strings.Contains(string(text), "NaN") &&
			!strings.Contains(string(text), "Infinity") {
			t.Errorf("%q is accepted", text)
		}
		if err != nil && valid {
			for _, stricter := range []string{"comes twice", "nested more than",
				"invalid encoding"} {
				if strings.Contains(err.Error(), stricter) {
					return
				}
			}
			t.Errorf("%q: %v", text, err)
		}
	})
}

// What is read and written is read again as the same tensor.
func FuzzTensor(f *testing.F) {
	for _, seed := range []string{"7", "[[1, 2], [3, 4]]",
		"[NaN, Infinity, -Infinity, 1e-45, 3.4028235e38]", "[[], []]", `["a", {"b64": "AP8="}]`,
		"[true]"} {
		for _, dtype := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int64,
			tensor.Uint8, tensor.Bool, tensor.String} {
			f.Add([]byte(seed), int32(dtype))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, dtype int32) {
		read, err := NewDecoder(text).Tensor(tensor.DType(dtype))
		if err != nil {
			return
		}
		if err := read.Validate(); err != nil {
			t.Fatal(err)
		}
		written, err := Append(nil, read, true)
		if err != nil {
			t.Fatal(err)
		}
		again, err := NewDecoder(written).Tensor(tensor.DType(dtype))
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		same := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
		same32 := cmp.Comparer(func(a, b float32) bool { return a == b || a != a && b != b })
		if n, _ := read.Shape.Elements(); n > 0 { // lists below an empty one are not written
			if diff := cmp.Diff(read, again, same, same32); diff != "" {
				t.Errorf("%s (-read +again):\n%s", text, diff)
			}
		}
	})
}
