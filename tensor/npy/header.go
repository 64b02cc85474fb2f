package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"kerasrun/tensor"
)

// header is what stands before an array's data.
type header struct {
	dtype     tensor.DType // String: texts of width code points
	width     int
	bigEndian bool
	fortran   bool
	shape     tensor.Shape
}

var errShort = errors.New("not a .npy file: it ends within the header")

func readHeader(r io.Reader) (header, error) {
	var start [len(magic) + 2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return header{}, errShort
	}
	if string(start[:len(magic)]) != magic {
		return header{}, fmt.Errorf("not a .npy file: expected it to begin with %q, got %q", magic,
			start[:len(magic)])
	}
	var length uint32
	switch major, minor := start[6], start[7]; {
	case major == 1 && minor == 0:
		var n uint16
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return header{}, errShort
		}
		length = uint32(n)
	case (major == 2 || major == 3) && minor == 0:
		if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
			return header{}, errShort
		}
	default:
		return header{}, fmt.Errorf("format version %d.%d: expected 1.0, 2.0 or 3.0", major, minor)
	}
	if length > maxHeader {
		return header{}, fmt.Errorf("the header declares %d bytes: expected at most %d", length,
			maxHeader)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return header{}, errShort
	}
	return parseHeader(string(text))
}

// parseHeader reads the Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3),
// }, keys in any order.
func parseHeader(text string) (header, error) {
	bad := fmt.Errorf("header %.80q: expected {'descr': '<f4', 'fortran_order': False, 'shape': "+
		"(2, 3), }", text)
	rest := strings.TrimSpace(text)
	inner, ok := strings.CutPrefix(rest, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !ok || !closed {
		return header{}, bad
	}
	var h header
	seen := map[string]bool{}
	for rest = strings.TrimSpace(inner); rest != ""; {
		key, after, ok := quoted(rest)
		if !ok || seen[key] {
			return header{}, bad
		}
		seen[key] = true
		if after, ok = strings.CutPrefix(strings.TrimSpace(after), ":"); !ok {
			return header{}, bad
		}
		after = strings.TrimSpace(after)
		var err error
		switch key {
		case "descr":
			var descr string
			if descr, rest, ok = quoted(after); !ok {
				return header{}, fmt.Errorf("header %.80q: only arrays of one number type are read",
					text)
			}
			err = h.parseDescr(descr)
		case "fortran_order":
			if rest, h.fortran = strings.CutPrefix(after, "True"); !h.fortran {
				if rest, ok = strings.CutPrefix(after, "False"); !ok {
					return header{}, bad
				}
			}
		case "shape":
			end := strings.IndexByte(after, ')')
			if end < 0 || after[0] != '(' {
				return header{}, bad
			}
			h.shape, err = parseShape(after[1:end])
			rest = after[end+1:]
		default:
			return header{}, bad
		}
		if err != nil {
			return header{}, err
		}
		rest = strings.TrimSpace(rest)
		if rest == "" {
			break
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return header{}, bad
		}
		rest = strings.TrimSpace(rest)
	}
	if len(seen) != 3 {
		return header{}, bad
	}
	return h, nil
}

// quoted takes a quoted word, without escapes, from the beginning of text.
func quoted(text string) (word, rest string, ok bool) {
	if text == "" || text[0] != '\'' && text[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(text[1:], text[0])
	if end < 0 {
		return "", "", false
	}
	return text[1 : 1+end], text[2+end:], true
}

// parseDescr reads a type of NumPy's array protocol: byte order, kind and bytes, as "<f4" or "|u1";
// or texts and their code points, as "<U12".
func (h *header) parseDescr(descr string) error {
	if text, ok := strings.CutPrefix(descr, "<U"); ok {
		width, err := strconv.ParseUint(text, 10, 31)
		h.dtype, h.width = tensor.String, int(width)
		if err != nil {
			return errType(descr)
		}
		return nil
	}
	if len(descr) == 3 {
		h.dtype = codes[descr[1:]]
	}
	if h.dtype == 0 || !strings.Contains("<>|", descr[:1]) || descr[0] == '|' && h.dtype.Size() > 1 {
		return errType(descr)
	}
	h.bigEndian = descr[0] == '>'
	return nil
}

func errType(descr string) error {
	return fmt.Errorf("type %.40q: expected one of bool, float16 to 64, int8 to 64, uint8 to 64", descr)
}

// parseShape reads what stands in a tuple's parentheses: "", "5,", "2, 3" or "2, 3,".
func parseShape(text string) (tensor.Shape, error) {
	shape := tensor.Shape{}
	text = strings.TrimSpace(text)
	if text == "" {
		return shape, nil
	}
	for dim := range strings.SplitSeq(strings.TrimSuffix(text, ","), ",") {
		dim = strings.TrimSpace(dim)
		n, err := strconv.ParseUint(dim, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("shape (%.80s): dimension %.40q is not a size", text, dim)
		}
		shape = append(shape, int64(n))
	}
	return shape, nil
}
