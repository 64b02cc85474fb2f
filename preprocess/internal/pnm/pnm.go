// Package pnm decodes PBM, PGM and PPM files, plain and raw (P1 to P6), to the same RGB bytes as
// Pillow 13's Image.open(file).convert("RGB").
//
// Samples of another range than 0 to 255 are scaled as PpmImagePlugin does it. Grey of more than 8
// bits becomes one of 16 bits there, of which convert("RGB") makes all from 255 on white.
package pnm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"kerasrun/preprocess/internal/codec"
)

var errTruncated = errors.New("the file is truncated")

const whitespace = " \t\n\v\f\r"

func isSpace(c byte) bool { return strings.IndexByte(whitespace, c) >= 0 }

// Match says whether a file begins as one.
func Match(data []byte) bool {
	return len(data) >= 3 && data[0] == 'P' && '1' <= data[1] && data[1] <= '6' &&
		isSpace(data[2])
}

// header is what precedes the pixels.
type header struct {
	kind          byte // '1' to '6'
	width, height int
	max           int    // of a sample
	data          []byte // behind the one whitespace that ends the header
}

// plain says whether the samples are texts.
func (h header) plain() bool { return h.kind <= '3' }

// channels are those of the file.
func (h header) channels() int {
	if h.kind == '3' || h.kind == '6' {
		return 3
	}
	return 1
}

func (h header) bits() bool { return h.kind == '1' || h.kind == '4' }

// wide says whether grey is of 16 bits.
func (h header) wide() bool { return h.channels() == 1 && h.max > 255 }

func readHeader(data []byte) (header, error) {
	if !Match(data) {
		return header{}, errTruncated
	}
	h := header{kind: data[1], data: data[3:], max: 1}
	fields := []*int{&h.width, &h.height, &h.max}
	if h.bits() {
		fields = fields[:2]
	}
	for _, field := range fields {
		var err error
		if *field, err = h.number(); err != nil {
			return header{}, err
		}
	}
	if h.max < 1 || h.max > 65535 {
		return header{}, fmt.Errorf("expected samples of up to 1 to 65535, got %d", h.max)
	}
	return h, nil
}

// number takes a number and one whitespace behind it off the data. A comment does not end it.
func (h *header) number() (int, error) {
	var token []byte
	for len(token) <= 10 && len(h.data) > 0 {
		c := h.data[0]
		h.data = h.data[1:]
		if isSpace(c) {
			if len(token) > 0 {
				break
			}
			continue
		}
		if c == '#' {
			end := bytes.IndexAny(h.data, "\r\n")
			if end < 0 {
				end = len(h.data) - 1
			}
			h.data = h.data[end+1:]
			continue
		}
		token = append(token, c)
	}
	return parse(token)
}

// parse reads a number of at most ten digits.
func parse(token []byte) (int, error) {
	if len(token) == 0 {
		return 0, errTruncated
	}
	n, err := strconv.ParseUint(string(token), 10, 31)
	if err != nil || len(token) > 10 {
		return 0, fmt.Errorf("expected a number of at most 10 digits, got %.12q", token)
	}
	return int(n), nil
}

// DecodeConfig returns the size.
func DecodeConfig(data []byte) (codec.Config, error) {
	h, err := readHeader(data)
	return codec.Config{Width: h.width, Height: h.height}, err
}

// IsGray16 says whether an image is grey of 16 bits in Pillow, mode I.
func IsGray16(data []byte) (bool, error) {
	h, err := readHeader(data)
	return h.wide(), err
}

// Decode returns RGB, row by row, in dst's memory where that is enough.
func Decode(dst, data []byte) ([]byte, error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	count := h.width * h.height * h.channels()
	if least := h.least(count); len(h.data) < least {
		return nil, errTruncated // before memory is taken
	}
	dst = slices.Grow(dst[:0], h.width*h.height*3)
	add := func(sample byte) {
		for range 3 / h.channels() {
			dst = append(dst, sample)
		}
	}
	switch {
	case h.kind == '4':
		row := (h.width + 7) / 8
		for y := range h.height {
			for x := range h.width {
				bit := h.data[y*row+x/8] >> (7 - x%8) & 1
				add(bit - 1) // 1 is black
			}
		}
	case h.kind == '1':
		for _, c := range withoutComments(h.data) {
			if isSpace(c) {
				continue
			}
			if c != '0' && c != '1' {
				return nil, fmt.Errorf("expected 0 and 1, got %q", c)
			}
			if count > 0 {
				add(c - '1') // 1 is black
			}
			count--
		}
		if count > 0 {
			return nil, errTruncated
		}
	case h.plain():
		rest := withoutComments(h.data)
		for range count {
			rest = bytes.TrimLeft(rest, whitespace)
			end := bytes.IndexAny(rest, whitespace)
			if end < 0 {
				end = len(rest)
			}
			n, err := parse(rest[:end])
			if err == nil && n > h.max {
				err = fmt.Errorf("expected samples of at most %d, got %d", h.max, n)
			}
			if err != nil {
				return nil, err
			}
			add(h.scale(n))
			rest = rest[end:]
		}
	case h.max > 255:
		for i := range count {
			add(h.scale(int(binary.BigEndian.Uint16(h.data[2*i:]))))
		}
	default:
		for _, b := range h.data[:count] {
			add(h.scale(int(b)))
		}
	}
	return dst, nil
}

// least is the number of bytes that so many samples take at least.
func (h header) least(samples int) int {
	switch {
	case h.kind == '4':
		return (h.width + 7) / 8 * h.height
	case h.kind == '1':
		return samples
	case h.plain():
		return 2*samples - 1
	case h.max > 255:
		return 2 * samples
	}
	return samples
}

// scale is a sample of 8 bits. Python rounds halves to even.
func (h header) scale(n int) byte {
	if h.max == 255 {
		return byte(min(n, 255))
	}
	out := 255.0
	if h.wide() {
		out = 65535
	}
	return byte(min(math.RoundToEven(float64(float64(n)/float64(h.max))*out), 255))
}

// withoutComments is plain data without what stands from a # to the end of its line.
func withoutComments(data []byte) []byte {
	if bytes.IndexByte(data, '#') < 0 {
		return data
	}
	var out []byte
	for {
		at := bytes.IndexByte(data, '#')
		if at < 0 {
			return append(out, data...)
		}
		out = append(out, data[:at]...)
		end := bytes.IndexAny(data[at:], "\r\n")
		if end < 0 {
			return out
		}
		data = data[at+end+1:]
	}
}
