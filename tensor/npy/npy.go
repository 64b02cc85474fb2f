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
	"slices"
	"strings"

	"kerasrun/tensor"
)

// maxHeader is NumPy's own limit (max_header_size of numpy.load).
const maxHeader = 10000

const magic = "\x93NUMPY"

// codes are the type codes of NumPy's array protocol, without the byte order.
var codes = map[string]tensor.DType{
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
	"i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"b1": tensor.Bool,
}

// Read reads one array from r, which may go on behind it. Object, string, structured, complex and
// time arrays are errors.
func Read(r io.Reader) (tensor.Tensor, error) {
	h, err := readHeader(r)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if h.dtype == tensor.String {
		return tensor.Tensor{}, errType(fmt.Sprintf("<U%d", h.width))
	}
	n, err := h.shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	size := h.dtype.Size()
	raw, err := readData(r, n*int64(size))
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%v of shape %v: %w", h.dtype, h.shape, err)
	}
	if h.bigEndian {
		for i := 0; i < len(raw); i += size {
			slices.Reverse(raw[i : i+size])
		}
	}
	if h.fortran && n > 0 {
		raw = rowMajor(raw, size, h.shape)
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

// Write writes t as numpy.save does: format 1.0, row-major, little-endian. NumPy has no type for
// bfloat16, and a tensor's strings have no fixed length: both are errors.
func Write(w io.Writer, t tensor.Tensor) error {
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	if err := WriteHeader(w, Header{DType: t.DType, Shape: t.Shape}); err != nil {
		return err
	}
	_, err = w.Write(raw)
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
	code := ""
	for c, d := range codes {
		if d == h.DType {
			code = c
		}
	}
	switch {
	case h.DType == tensor.String && h.Width > 0:
		code = fmt.Sprintf("U%d", h.Width)
	case code == "":
		return fmt.Errorf("NumPy has no type for %v", h.DType)
	}
	order := "<"
	if h.DType.Size() == 1 {
		order = "|"
	}
	header := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': %v, }", order, code,
		h.Shape)
	prefix := len(magic) + 4
	padding := 63 - (prefix+len(header))%64
	head := append([]byte(magic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(header)+padding+1))
	head = append(head, header+strings.Repeat(" ", padding)+"\n"...)
	_, err := w.Write(head)
	return err
}

// ReadHeader reads what stands before an array's data, where that is as [WriteHeader] has it.
func ReadHeader(r io.Reader) (Header, error) {
	h, err := readHeader(r)
	if err == nil && (h.bigEndian || h.fortran) {
		err = fmt.Errorf("expected an array in row-major order and little-endian")
	}
	return Header{h.dtype, h.width, h.shape}, err
}
