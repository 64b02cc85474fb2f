package score

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"kerasrun/tensor"
)

// Keep names a column of the input that is carried through to the output.
type Keep struct {
	Column string // of the input
	As     string // its name in the output
}

// ParseKeep reads "label", or "label=input_label", which is another name in the output.
func ParseKeep(text string) (Keep, error) {
	column, as, renamed := strings.Cut(text, "=")
	if !renamed {
		as = column
	}
	if column == "" || as == "" {
		return Keep{}, fmt.Errorf("keep: expected COLUMN, or COLUMN=NAME, got %q", text)
	}
	return Keep{column, as}, nil
}

// Kept is a column of the output that comes from the input. Its type is string, bool, one of
// NumPy's names of numbers, or, in pyarrow's words, timestamp[ms], timestamp[us] or timestamp[ns],
// with ", tz=UTC" before the bracket where it is a moment, not a clock's reading.
type Kept struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// A kept value is nil for null, or a string, a bool, an int64 (also of a timestamp, since 1970), a
// uint64 or a float64, whatever the number of bits in its column.

// keptNumbers are the types whose values are numbers, or bool.
func (k Kept) number() (tensor.DType, bool) {
	d, err := tensor.ParseDType(k.Type)
	_, ok := elements[d]
	return d, err == nil && ok
}

// timestamp returns the digits of a timestamp's fraction of a second.
func (k Kept) timestamp() (digits int, utc, ok bool) {
	unit, zone, _ := strings.Cut(strings.TrimSuffix(k.Type, "]"), ", tz=")
	digits, ok = map[string]int{"timestamp[ms": 3, "timestamp[us": 6, "timestamp[ns": 9}[unit]
	return digits, zone != "", ok
}

// keepable says whether columns of that type can be kept.
func (k Kept) keepable() bool {
	_, number := k.number()
	_, _, timestamp := k.timestamp()
	return k.Type == "string" || number || timestamp
}

// check returns an error for a value that the format cannot hold, so that it would come back as
// another.
func (k Kept) check(f outputFormat, value any) error {
	fault := ""
	switch v := value.(type) {
	case nil:
		if _, number := k.number(); f == formatNPZ && number && !strings.HasPrefix(k.Type, "float") {
			fault = "null, for which NumPy has no " + k.Type
		}
	case float64:
		if f == formatJSONL && (math.IsNaN(v) || math.IsInf(v, 0)) {
			fault = fmt.Sprintf("%v, for which JSON has no number", v)
		}
	case string:
		switch {
		case f == formatCSV && strings.Contains(v, "\r\n"):
			fault = "a line end of Windows, which a .csv does not keep"
		case f == formatNPZ && strings.HasSuffix(v, "\x00"):
			fault = "a text that ends with a zero, which NumPy does not keep"
		}
	case int64:
		if digits, _, ok := k.timestamp(); ok && f != formatParquet {
			if year := moment(digits, v).Year(); year < 1 || year > 9999 {
				fault = fmt.Sprintf("a timestamp of the year %d, which is no text", year)
			}
		}
	}
	if fault == "" {
		return nil
	}
	return fmt.Errorf("the kept column %q is %s: write .parquet, or leave the column out", k.Name,
		fault)
}

// moment is a timestamp with so many digits of fraction.
func moment(digits int, v int64) time.Time {
	switch digits {
	case 3:
		return time.UnixMilli(v).UTC()
	case 6:
		return time.UnixMicro(v).UTC()
	}
	return time.Unix(0, v).UTC()
}

// layout is a timestamp's text: ISO 8601, with Z where it is a moment.
func layout(digits int, utc bool) string {
	text := "2006-01-02T15:04:05." + strings.Repeat("0", digits)
	if utc {
		text += "Z"
	}
	return text
}

// text is a value in a cell, "" where it is null.
func (k Kept) text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		bits := 64
		if k.Type == "float32" {
			bits = 32
		}
		return strconv.FormatFloat(v, 'g', -1, bits)
	case int64:
		if digits, utc, ok := k.timestamp(); ok {
			return moment(digits, v).Format(layout(digits, utc))
		}
	}
	return fmt.Sprint(value)
}

// parse reads what text wrote. Of a column that holds no texts, "" is null.
func (k Kept) parse(text string) (any, error) {
	if k.Type == "string" {
		return text, nil
	}
	if text == "" {
		return nil, nil
	}
	if digits, utc, ok := k.timestamp(); ok {
		t, err := time.Parse(layout(digits, utc), text)
		switch digits {
		case 3:
			return t.UnixMilli(), err
		case 6:
			return t.UnixMicro(), err
		}
		return t.UnixNano(), err
	}
	d, _ := k.number()
	t, err := parseNumbers(d, tensor.Shape{}, []string{text})
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", k.Name, err)
	}
	return keptValue(reflect.ValueOf(t.Data).Index(0)), nil
}

// json is a value in JSON.
func (k Kept) json(value any) any {
	if _, number := k.number(); number && value != nil {
		return json.RawMessage(k.text(value))
	}
	if value == nil {
		return nil
	}
	return k.text(value)
}

// parseJSON reads what json wrote.
func (k Kept) parseJSON(raw json.RawMessage) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	text := string(raw)
	if _, number := k.number(); !number {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return k.parse(text)
}

// keptValue is a value of Go's type of its column as a kept one.
func keptValue(v reflect.Value) any {
	switch {
	case !v.IsValid():
		return nil
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.CanFloat():
		return v.Float()
	}
	return v.Interface()
}

// parquetValue is a value in the type that the file stores, behind a pointer; nil where it is null.
func (k Kept) parquetValue(value any) any {
	if value == nil {
		return nil
	}
	v := reflect.ValueOf(value)
	switch d, ok := k.number(); {
	case !ok:
	case d == tensor.Int8, d == tensor.Int16:
		v = v.Convert(reflect.TypeFor[int32]())
	case d == tensor.Uint8, d == tensor.Uint16:
		v = v.Convert(reflect.TypeFor[uint32]())
	default:
		v = v.Convert(elements[d])
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Interface()
}

// parquetNode is the column in a .parquet file.
func (k Kept) parquetNode() parquet.Node {
	if d, ok := k.number(); ok {
		return parquet.Optional(parquetLeaves[d])
	}
	if digits, utc, ok := k.timestamp(); ok {
		unit := map[int]parquet.TimeUnit{3: parquet.Millisecond, 6: parquet.Microsecond,
			9: parquet.Nanosecond}[digits]
		return parquet.Optional(parquet.TimestampAdjusted(unit, utc))
	}
	return parquet.Optional(parquet.String())
}

// npzColumn is the column in an .npz file: timestamps are texts.
func (k Kept) npzColumn() Column {
	if _, ok := k.number(); ok {
		return Column{k.Name, k.Type, tensor.Shape{}}
	}
	return Column{k.Name, tensor.String.String(), tensor.Shape{}}
}

// keptEntry is a kept value in the journal, with its type. A float is its bits.
type keptEntry struct {
	Text   *string `json:"s,omitempty"`
	Int    *int64  `json:"i,omitempty"`
	Uint   *uint64 `json:"u,omitempty"`
	Float  *uint64 `json:"f,omitempty"`
	Truth  *bool   `json:"b,omitempty"`
	IsNull bool    `json:"n,omitempty"`
}

func packKept(values []any) []keptEntry {
	var entries []keptEntry
	for _, value := range values {
		var e keptEntry
		switch v := value.(type) {
		case nil:
			e.IsNull = true
		case string:
			e.Text = &v
		case int64:
			e.Int = &v
		case uint64:
			e.Uint = &v
		case float64:
			bits := math.Float64bits(v)
			e.Float = &bits
		case bool:
			e.Truth = &v
		}
		entries = append(entries, e)
	}
	return entries
}

func unpackKept(entries []keptEntry) ([]any, error) {
	var values []any
	for _, e := range entries {
		switch {
		case e.IsNull:
			values = append(values, nil)
		case e.Text != nil:
			values = append(values, *e.Text)
		case e.Int != nil:
			values = append(values, *e.Int)
		case e.Uint != nil:
			values = append(values, *e.Uint)
		case e.Float != nil:
			values = append(values, math.Float64frombits(*e.Float))
		case e.Truth != nil:
			values = append(values, *e.Truth)
		default:
			return nil, errors.New("expected a kept value, got none")
		}
	}
	return values, nil
}

// keptBytes are values as bytes that no other values have; nil where nothing is kept.
func keptBytes(values []any) []byte {
	if values == nil {
		return nil
	}
	text, _ := json.Marshal(packKept(values)) // it has nothing that JSON does not
	return text
}

// checkItem returns an error where the format cannot hold what is kept of an item.
func (s Schema) checkItem(f outputFormat, item Item) error {
	if item.Kept == nil {
		item.Kept = make([]any, len(s.Kept))
	}
	if len(item.Kept) != len(s.Kept) {
		return fmt.Errorf("expected %d kept values, got %d", len(s.Kept), len(item.Kept))
	}
	for i, k := range s.Kept {
		if err := k.check(f, item.Kept[i]); err != nil {
			return err
		}
	}
	return nil
}
