// Package jsontensor reads and writes tensors in JSON as TensorFlow Serving and the Open Inference
// Protocol spell them: nested lists, {"b64": "..."} for bytes, and NaN, Infinity and -Infinity,
// which encoding/json refuses. Numbers go from the text into the tensor's memory without a tree
// between. Hostile text is an error: nesting is bounded, and no count is believed.
package jsontensor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	MaxDepth = 100  // how deep lists and objects may be nested
	MaxKeys  = 1024 // of one object, which are kept to find those that come twice
)

// SyntaxError says where the text is no JSON.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("JSON Parse error: %s at offset: %d", e.Reason, e.Offset)
}

// Kind is what a JSON value is.
type Kind byte

// The kinds of values. A number may also be NaN, Infinity or -Infinity.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"Invalid", "Null", "Bool", "Number", "String", "Array", "Object"}[k]
}

// Decoder reads JSON values one after the other. Its copies read on their own.
type Decoder struct {
	text  []byte
	pos   int
	depth int
	base  int // offset of text in the whole, for errors

	reserve func(bytes int64) error // nil: memory is there for all
}

// NewDecoder reads text, which must not change as long as the decoder and the strings it returned
// are in use.
func NewDecoder(text []byte) *Decoder { return &Decoder{text: text} }

// Reserving has the decoder ask for memory before it takes it, and give back, as a negative number,
// what it needed only for a while. An error of reserve is the decoder's. It returns d.
func (d *Decoder) Reserving(reserve func(bytes int64) error) *Decoder {
	d.reserve = reserve
	return d
}

// take asks for memory.
func (d *Decoder) take(bytes int64) error {
	if d.reserve == nil {
		return nil
	}
	return d.reserve(bytes)
}

func (d *Decoder) fail(format string, args ...any) error {
	return &SyntaxError{Offset: d.base + d.pos, Reason: fmt.Sprintf(format, args...)}
}

func (d *Decoder) space() {
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// Kind says what the next value is, from how it begins.
func (d *Decoder) Kind() Kind {
	d.space()
	if d.pos == len(d.text) {
		return Invalid
	}
	switch c := d.text[d.pos]; c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	case 'N', 'I', '-':
		return Number
	default:
		if '0' <= c && c <= '9' {
			return Number
		}
		return Invalid
	}
}

// End is an error unless only white space is left.
func (d *Decoder) End() error {
	d.space()
	if d.pos < len(d.text) {
		return d.fail("the document should end here")
	}
	return nil
}

// Object reads an object and calls f for each key; f must read the value. A key that comes twice is
// an error.
func (d *Decoder) Object(f func(key string) error) error {
	if kind := d.Kind(); kind != Object {
		return d.unexpected(kind, "an object")
	}
	seen := map[string]bool{}
	return d.members('}', func(int) error {
		d.space()
		key, err := d.String()
		if err != nil {
			return err
		}
		if seen[key] {
			return d.fail("the key %.40q comes twice", key)
		}
		if len(seen) == MaxKeys {
			return d.fail("more than %d keys in one object", MaxKeys)
		}
		seen[key] = true
		d.space()
		if d.pos == len(d.text) || d.text[d.pos] != ':' {
			return d.fail("missing a colon after a name of object member")
		}
		d.pos++
		return f(key)
	})
}

// Array reads a list and calls f for each element, which f must read.
func (d *Decoder) Array(f func(i int) error) error {
	if kind := d.Kind(); kind != Array {
		return d.unexpected(kind, "a list")
	}
	return d.members(']', f)
}

func (d *Decoder) unexpected(kind Kind, want string) error {
	if kind == Invalid {
		return d.invalid()
	}
	return fmt.Errorf("value at offset: %d Type: %v is not %s", d.base+d.pos, kind, want)
}

func (d *Decoder) invalid() error {
	if d.pos == len(d.text) {
		if len(d.text) == 0 {
			return d.fail("the document is empty")
		}
		return d.fail("the document ends early")
	}
	return d.fail("invalid value")
}

// members reads what stands between the brackets of a list or object.
func (d *Decoder) members(end byte, f func(i int) error) error {
	if d.depth == MaxDepth {
		return d.fail("nested more than %d deep", MaxDepth)
	}
	d.depth++
	d.pos++
	for i := 0; ; i++ {
		d.space()
		if d.pos == len(d.text) {
			return d.invalid()
		}
		c := d.text[d.pos]
		if c == end {
			d.pos++
			d.depth--
			return nil
		}
		if i > 0 {
			if c != ',' {
				return d.fail("missing a comma or %q", end)
			}
			d.pos++
			if d.space(); d.pos < len(d.text) && d.text[d.pos] == end {
				return d.fail("a value should follow the comma")
			}
		}
		if err := f(i); err != nil {
			return err
		}
	}
}

// Skip reads any value.
func (d *Decoder) Skip() error {
	switch kind := d.Kind(); kind {
	case Object:
		return d.Object(func(string) error { return d.Skip() })
	case Array:
		return d.Array(func(int) error { return d.Skip() })
	case String:
		_, err := d.quoted()
		return err
	case Number:
		_, err := d.number()
		return err
	case Bool:
		_, err := d.Bool()
		return err
	case Null:
		return d.word("null")
	default:
		return d.invalid()
	}
}

// Raw reads any value and returns a decoder of it alone.
func (d *Decoder) Raw() (*Decoder, error) {
	d.space()
	start := d.pos
	if err := d.Skip(); err != nil {
		return nil, err
	}
	return &Decoder{text: d.text[start:d.pos], base: d.base + start, depth: d.depth,
		reserve: d.reserve}, nil
}

// Bool reads true or false.
func (d *Decoder) Bool() (bool, error) {
	if kind := d.Kind(); kind != Bool {
		return false, d.unexpected(kind, "true or false")
	}
	if d.text[d.pos] == 't' {
		return true, d.word("true")
	}
	return false, d.word("false")
}

// word reads a word that must stand here.
func (d *Decoder) word(word string) error {
	if !bytes.HasPrefix(d.text[d.pos:], []byte(word)) {
		return d.fail("invalid value")
	}
	d.pos += len(word)
	return nil
}

// Int reads a whole number, without a decimal point or an exponent.
func (d *Decoder) Int() (int64, error) {
	if kind := d.Kind(); kind != Number {
		return 0, d.unexpected(kind, "a whole number")
	}
	start := d.pos
	token, err := d.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(token), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("value %.40s at offset: %d is not a whole number of 64 bits", token,
			d.base+start)
	}
	return n, nil
}

// number reads the token of a number, checked against JSON's grammar with NaN, Infinity and
// -Infinity added.
func (d *Decoder) number() ([]byte, error) {
	start := d.pos
	if d.text[d.pos] == '-' {
		d.pos++
	}
	rest := d.text[d.pos:]
	switch {
	case len(rest) == 0:
		return nil, d.invalid()
	case rest[0] == 'I':
		if err := d.word("Infinity"); err != nil {
			return nil, err
		}
		return d.text[start:d.pos], nil
	case rest[0] == 'N' && start == d.pos:
		if err := d.word("NaN"); err != nil {
			return nil, err
		}
		return d.text[start:d.pos], nil
	}
	whole := d.digits()
	if whole == 0 || whole > 1 && rest[0] == '0' {
		return nil, d.fail("invalid number")
	}
	if d.pos < len(d.text) && d.text[d.pos] == '.' {
		d.pos++
		if d.digits() == 0 {
			return nil, d.fail("missing the fraction of a number")
		}
	}
	if d.pos < len(d.text) && (d.text[d.pos] == 'e' || d.text[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.text) && (d.text[d.pos] == '+' || d.text[d.pos] == '-') {
			d.pos++
		}
		if d.digits() == 0 {
			return nil, d.fail("missing the exponent of a number")
		}
	}
	return d.text[start:d.pos], nil
}

// digits reads digits and returns how many there were.
func (d *Decoder) digits() int {
	start := d.pos
	for d.pos < len(d.text) && '0' <= d.text[d.pos] && d.text[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

// String reads a string, which must be valid UTF-8.
func (d *Decoder) String() (string, error) {
	text, err := d.quoted()
	if err == nil {
		err = d.take(int64(len(text)))
	}
	if err != nil {
		return "", err
	}
	return string(text), nil
}

// quoted reads a string; the result may lie in the decoder's text.
func (d *Decoder) quoted() ([]byte, error) {
	if kind := d.Kind(); kind != String {
		return nil, d.unexpected(kind, "a string")
	}
	start := d.pos
	escaped := false
	for i := start + 1; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			text := d.text[start+1 : i]
			if !utf8.Valid(text) {
				return nil, d.fail("invalid encoding in string")
			}
			if escaped {
				// a text without escapes, and a copy of it
				if err := d.take(2 * int64(len(text))); err != nil {
					return nil, err
				}
				var s string
				if err := json.Unmarshal(d.text[start:i+1], &s); err != nil {
					return nil, d.fail("invalid escape character in string")
				}
				text = []byte(s)
			}
			d.pos = i + 1
			return text, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return nil, d.fail("invalid character in string")
		}
	}
	return nil, d.fail("missing a closing quotation mark in string")
}

// errNotBytes is what an object other than {"b64": string} is in the place of bytes.
var errNotBytes = errors.New(`not formatted correctly for base64 data: expected {"b64": string}`)
