package npy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"kerasrun/tensor"
)

// cutStrings cuts an array of NumPy's type S, or of its type U, which has 4 bytes a character and
// becomes UTF-8. As NumPy does, it takes the zeros at each end for what fills the element up.
func cutStrings(raw []byte, h header) ([][]byte, error) {
	size := h.size()
	out := make([][]byte, len(raw)/size)
	for i := range out {
		element := raw[i*size : (i+1)*size]
		if !h.unicode {
			out[i] = bytes.TrimRight(element, "\x00")
			continue
		}
		text := []byte{}
		for ; len(element) > 0; element = element[4:] {
			r := rune(binary.LittleEndian.Uint32(element)) // readers have reversed other orders
			if !utf8.ValidRune(r) {
				return nil, fmt.Errorf("string %d: expected characters, got %#x", i, uint32(r))
			}
			text = utf8.AppendRune(text, r)
		}
		out[i] = bytes.TrimRight(text, "\x00")
	}
	return out, nil
}

// fillStrings returns the strings of a tensor as NumPy's type S holds them, each as long as the
// longest.
func fillStrings(t tensor.Tensor) (raw []byte, width int, err error) {
	if err := t.Validate(); err != nil {
		return nil, 0, err
	}
	width = 1
	strings := t.Data.([][]byte)
	for i, s := range strings {
		if bytes.HasSuffix(s, []byte{0}) {
			return nil, 0, fmt.Errorf("string %d ends in a zero, which NumPy's type S does not keep", i)
		}
		width = max(width, len(s))
	}
	raw = make([]byte, width*len(strings))
	for i, s := range strings {
		copy(raw[i*width:], s)
	}
	return raw, width, nil
}
