package savedmodel

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestSlices holds that a slice of a partitioned variable has the variable's type. TensorFlow ends
// the process at one of strings, and at another of a variable of strings.
func TestSlices(t *testing.T) {
	const float, int32s, text = "\x08\x01", "\x08\x03", "\x08\x07"
	for name, test := range map[string]struct {
		slice, whole string // their types
		want         string // "" where it passes
	}{
		"as it is": {float, float, ""},
		"a slice of numbers": {int32s, float,
			`variable "w": expected slices of float32, got int32`},
		"a slice of strings": {text, float,
			`variable "w": expected slices of float32, got string`},
		"a whole of strings": {float, text,
			`variable "w": expected slices of string, got float32`},
	} {
		model := load(t, "partitioned")
		var entries []byte
		first := true
		err := readTable(model[IndexPath].Data, func(key, value []byte) error {
			switch {
			case strings.HasPrefix(string(key), "\x00") && first:
				value, first = bytes.Replace(value, []byte(float), []byte(test.slice), 1), false
			case len(key) > 0 && key[0] != 0:
				value = bytes.Replace(value, []byte(float), []byte(test.whole), 1)
			}
			entries = slices.Concat(entries, entryOf(0, string(key), value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		model[IndexPath].Data = tableOf(entries)
		wantScan(t, name, test.want, model)
	}
	for entry, want := range map[string]string{"w": "", "": "", "\x00": "", "\x00w": "",
		"\x00w\x00\x01\x01\x02\x80": "w", "\x00a\x00\xffb\xff\x00c\x00\x01": "a\x00b\xffc"} {
		if got := slicedName(entry); got != want {
			t.Errorf("%q: got %q, want %q", entry, got, want)
		}
	}
}
