// Package npy reads and writes NumPy's array files, .npy and .npz, as tensors.
//
// The files may come from anyone: a header is at most 10,000 bytes, as in NumPy, and memory is
// taken as data arrives, never because a header declares a size. Arrays in Fortran order and in
// big-endian bytes are read into row-major tensors of this machine. No pickled object is ever read.
// (codeberg.org/sbinet/npyio is not used: it takes memory as headers declare, panics on malformed
// ones, reads truncated data as zeros and leaves Fortran order to the caller.)
package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// maxHeader is NumPy's own limit (max_header_size of numpy.load).
const maxHeader = 10000

// maxString is how many characters a string may have.
const maxString = 1 << 28

const magic = "\x93NUMPY"

// codes are the type codes of NumPy's array protocol, without the byte order.
var codes = map[string]tensor.DType{
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
	"i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"b1": tensor.Bool,
}

// Read reads one array from r, which may go on behind it. Bytes (NumPy's type S) and text (U, which
// becomes UTF-8) are strings, without the zeros at their ends, as in NumPy. Object, structured,
// complex and time arrays are errors.
func Read(r io.Reader) (tensor.Tensor, error) {
	h, err := readHeader(r)
	if err != nil {
		return tensor.Tensor{}, err
	}
	n, err := h.shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	size := h.size()
	if n > math.MaxInt64/int64(size) {
		return tensor.Tensor{}, fmt.Errorf("%v of shape %v: more bytes than can be", h.dtype, h.shape)
	}
	raw, err := readData(r, n*int64(size))
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%v of shape %v: %w", h.dtype, h.shape, err)
	}
	if number := h.numberSize(); h.bigEndian && number > 1 {
		for i := 0; i < len(raw); i += number {
			slices.Reverse(raw[i : i+number])
		}
	}
	if h.fortran && n > 0 {
		raw = rowMajor(raw, size, h.shape)
	}
	if h.dtype == tensor.String {
		strings, err := cutStrings(raw, h)
		if err != nil {
			return tensor.Tensor{}, err
		}
		return tensor.New(h.shape, strings)
	}
	t, err := tensor.FromBytes(h.dtype, h.shape, raw)
	if err != nil {
		return tensor.Tensor{}, err
	}
	return t, nil
}

// readData reads want bytes. The memory grows with what has arrived.
func readData(r io.Reader, want int64) ([]byte, error) {
	data := make([]byte, 0, min(want, 1<<20))
	for int64(len(data)) < want {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(want, 2*int64(cap(data))))
			copy(grown, data)
			data = grown
		}
		n, err := io.ReadFull(r, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("expected %d bytes of data, got %d", want, len(data))
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// rowMajor reorders elements of size bytes whose first dimension runs fastest to have the last run
// fastest. No dimension is 0.
func rowMajor(raw []byte, size int, shape tensor.Shape) []byte {
	strides := make([]int, len(shape)) // bytes from one index of a dimension to the next, in raw
	stride := size
	for i, n := range shape {
		strides[i] = stride
		stride *= int(n)
	}
	out := make([]byte, 0, len(raw))
	index, from := make([]int64, len(shape)), 0
	for len(out) < len(raw) {
		out = append(out, raw[from:from+size]...)
		for i := len(shape) - 1; i >= 0; i-- {
			index[i]++
			from += strides[i]
			if index[i] < shape[i] {
				break
			}
			from -= strides[i] * int(index[i])
			index[i] = 0
		}
	}
	return out
}

// Write writes t as numpy.save does: format 1.0, row-major, little-endian; strings as NumPy's type
// S, each as long as the longest. NumPy has no type for bfloat16, and S does not keep a zero at the
// end of a string: both are errors.
func Write(w io.Writer, t tensor.Tensor) error {
	if t.DType == tensor.String {
		raw, width, err := fillStrings(t)
		if err != nil {
			return err
		}
		return write(w, fmt.Sprintf("|S%d", width), t.Shape, raw)
	}
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	descr, err := descrOf(t.DType)
	if err != nil {
		return err
	}
	return write(w, descr, t.Shape, raw)
}

// descrOf is a numeric type in NumPy's array protocol.
func descrOf(d tensor.DType) (string, error) {
	for code, dtype := range codes {
		switch {
		case dtype != d:
		case d.Size() == 1:
			return "|" + code, nil
		default:
			return "<" + code, nil
		}
	}
	return "", fmt.Errorf("NumPy has no type for %v", d)
}

// write writes an array of a type of NumPy's array protocol.
func write(w io.Writer, descr string, shape tensor.Shape, raw []byte) error {
	if err := writeHeader(w, descr, shape); err != nil {
		return err
	}
	_, err := w.Write(raw)
	return err
}

func writeHeader(w io.Writer, descr string, shape tensor.Shape) error {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %v, }", descr, shape)
	prefix := len(magic) + 4
	padding := 63 - (prefix+len(header))%64
	head := append([]byte(magic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(header)+padding+1))
	head = append(head, header+strings.Repeat(" ", padding)+"\n"...)
	_, err := w.Write(head)
	return err
}

// Header says what an array is, whose data follow: row-major and little-endian, of texts Width code
// points each, in UTF-32 and with zeros behind.
type Header struct {
	DType tensor.DType // String: texts
	Width int
	Shape tensor.Shape
}

// WriteHeader writes what stands before an array's data, as numpy.save does. It is for arrays that
// are too large to be a tensor, and for texts.
func WriteHeader(w io.Writer, h Header) error {
	if h.DType == tensor.String && h.Width > 0 {
		return writeHeader(w, fmt.Sprintf("<U%d", h.Width), h.Shape)
	}
	descr, err := descrOf(h.DType)
	if err != nil {
		return err
	}
	return writeHeader(w, descr, h.Shape)
}

// ReadHeader reads what stands before an array's data, where that is as [WriteHeader] has it.
func ReadHeader(r io.Reader) (Header, error) {
	h, err := readHeader(r)
	if err == nil && (h.bigEndian || h.fortran || h.dtype == tensor.String && !h.unicode) {
		err = fmt.Errorf("expected an array in row-major order and little-endian, of numbers or text")
	}
	return Header{h.dtype, h.width, h.shape}, err
}
