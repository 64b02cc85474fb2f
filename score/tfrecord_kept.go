package score

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/internal/tfrecord"
)

// keptFeatures are the columns that features of a TFRecord file make, in the type that the first
// example with a value has: bytes are texts, integers int64 and floats float32.
func keptFeatures(path string, keep []Keep) ([]Kept, error) {
	if len(keep) == 0 {
		return nil, nil
	}
	file, _, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	in, err := uncompressed(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	kept := make([]Kept, len(keep))
	for missing := len(keep); missing > 0; {
		record, err := tfrecord.Read(in, MaxImageBytes)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		features, err := exampleFeatures(record)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		missing = 0
		for i, k := range keep {
			if f := features[k.Column]; kept[i].Type == "" && len(f.values) > 0 {
				kept[i] = Kept{k.As, f.kind}
			}
			if kept[i].Type == "" {
				missing++
			}
		}
	}
	for i, k := range kept {
		if k.Type == "" {
			return nil, &UsageError{fmt.Sprintf("%s: expected a feature %q with values in its examples, "+
				"which can be kept, found none", path, keep[i].Column)}
		}
	}
	return kept, nil
}

// keptOf are an example's values of the columns, nil where it has none.
func keptOf(record []byte, keep []Keep, kept []Kept) ([]any, error) {
	if len(keep) == 0 {
		return nil, nil
	}
	features, err := exampleFeatures(record)
	if err != nil {
		return nil, err
	}
	row := make([]any, len(keep))
	var faults []error
	for i, k := range keep {
		f := features[k.Column]
		switch text, isText := at(f.values, 0).(string); {
		case len(f.values) == 0:
			continue
		case len(f.values) > 1 || f.kind != kept[i].Type:
			faults = append(faults, fmt.Errorf("feature %q: expected one value of %s, as others have, got "+
				"%d of %s", k.Column, kept[i].Type, len(f.values), f.kind))
			continue
		case isText && !utf8.ValidString(text):
			faults = append(faults, fmt.Errorf("feature %q: expected a text in UTF-8, which can be kept, "+
				"got other bytes", k.Column))
			continue
		}
		row[i] = f.values[0]
	}
	return row, errors.Join(faults...)
}

// feature is a list of values: string, int64 or float64.
type feature struct {
	kind   string // string, int64 or float32; "" of an empty one
	values []any
}

// exampleFeatures reads all features of a tf.train.Example: see [exampleBytes]. Feature{BytesList
// bytes_list = 1, FloatList float_list = 2, Int64List int64_list = 3}, each of them repeated value
// = 1, which the numbers also have packed.
func exampleFeatures(example []byte) (map[string]feature, error) {
	out := map[string]feature{}
	err := eachBytes(example, 1, func(features []byte) error {
		return eachBytes(features, 1, func(pair []byte) error {
			var key string
			var f feature
			err := errors.Join(
				eachBytes(pair, 1, func(k []byte) error { key = string(k); return nil }),
				eachBytes(pair, 2, func(message []byte) error {
					return errors.Join(
						eachBytes(message, 1, func(list []byte) error {
							f.kind = "string"
							return eachBytes(list, 1, func(v []byte) error {
								f.values = append(f.values, string(v))
								return nil
							})
						}),
						eachBytes(message, 2, func(list []byte) error {
							f.kind = "float32"
							return f.numbers(list, func(b []byte) (any, int) {
								if len(b) < 4 {
									return nil, -1
								}
								return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 4
							})
						}),
						eachBytes(message, 3, func(list []byte) error {
							f.kind = "int64"
							return f.numbers(list, func(b []byte) (any, int) {
								v, size := protowire.ConsumeVarint(b)
								return int64(v), size
							})
						}))
				}))
			out[key] = f
			return err
		})
	})
	return out, err
}

// numbers reads a list whose values are packed or not.
func (f *feature) numbers(list []byte, one func([]byte) (any, int)) error {
	for len(list) > 0 {
		number, kind, size := protowire.ConsumeTag(list)
		if size < 0 {
			return protowire.ParseError(size)
		}
		list = list[size:]
		size = protowire.ConsumeFieldValue(number, kind, list)
		if size < 0 {
			return protowire.ParseError(size)
		}
		values := list[:size]
		list = list[size:]
		if number != 1 {
			continue
		}
		if kind == protowire.BytesType {
			values, _ = protowire.ConsumeBytes(values) // it was consumed above
		}
		for len(values) > 0 {
			v, size := one(values)
			if size < 0 {
				return errors.New("a list of numbers is cut")
			}
			f.values, values = append(f.values, v), values[size:]
		}
	}
	return nil
}
