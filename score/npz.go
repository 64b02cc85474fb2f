package score

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// npzSink writes an array for each column, with a row for each record: index (n,), path (n,), kept
// columns (n,) with timestamps as texts, class, label, probability (n, k), each output (n, ...),
// error (n,), which is "" where there is an answer. What a failed image lacks is NaN, or 0 where
// the type has no NaN; a class that a row does not have is -1. As an array's header says how long
// it is and how wide its texts are, the columns wait in temporary files without names, and memory
// does not grow with the number of records.
type npzSink struct {
	out    io.Writer
	schema Schema
	rows   int64
	arrays []*npzArray
	byName map[string]*npzArray
}

// npzArray is one column. Texts are spooled with their lengths, numbers as they will stand.
type npzArray struct {
	name  string
	dtype tensor.DType // String: texts
	shape tensor.Shape // of a row
	file  *os.File
	spool *bufio.Writer
	width int // code points of the longest text
}

func newNPZ(w io.Writer, s Schema) (*npzSink, error) {
	sink := &npzSink{out: w, schema: s, byName: map[string]*npzArray{}}
	for _, c := range npzColumns(s) {
		file, err := unnamedFile("kerasrun-npz-")
		if err != nil {
			return nil, errors.Join(err, sink.release())
		}
		a := &npzArray{c.Name, c.dtype(), c.Shape, file, bufio.NewWriterSize(file, 1<<16), 1}
		sink.arrays = append(sink.arrays, a)
		sink.byName[c.Name] = a
	}
	return sink, nil
}

// npzColumns are all arrays of an output, in their order in the file.
func npzColumns(s Schema) []Column {
	text, k := tensor.String.String(), tensor.Shape{int64(s.Top)}
	columns := []Column{{"index", "int64", tensor.Shape{}}, {"path", text, tensor.Shape{}}}
	for _, kept := range s.Kept {
		columns = append(columns, kept.npzColumn())
	}
	if s.hasTop() {
		columns = append(columns, Column{"class", "int64", k})
		if s.hasLabels() {
			columns = append(columns, Column{"label", text, k})
		}
		columns = append(columns, Column{s.score(), "float32", k})
	}
	columns = append(columns, s.Outputs...)
	return append(columns, Column{"error", text, tensor.Shape{}})
}

func (s *npzSink) Write(r Record) error {
	err := errors.Join(s.numbers("index", []int64{r.Index}), s.texts("path", r.Path),
		s.texts("error", r.Error))
	for i, k := range s.schema.Kept {
		err = errors.Join(err, s.kept(k, r.Kept[i]))
	}
	if top := s.schema; top.hasTop() {
		n := top.Top
		err = errors.Join(err, s.numbers("class", padded(r.Classes, n, -1)),
			s.numbers(top.score(), padded(r.Scores, n, float32(math.NaN()))))
		if top.hasLabels() {
			err = errors.Join(err, s.texts("label", padded(r.Labels, n, "")...))
		}
	}
	for i, c := range s.schema.Outputs {
		data := missing(c)
		if r.Error == "" {
			data = r.Values[i].Data
		}
		err = errors.Join(err, s.numbers(c.Name, data))
	}
	s.rows++
	return err
}

// kept writes a kept value. Null is NaN, or "" in texts.
func (s *npzSink) kept(k Kept, value any) error {
	d, ok := k.number()
	if !ok {
		return s.texts(k.Name, k.text(value))
	}
	if value == nil {
		value = math.NaN()
	}
	return s.numbers(k.Name, reflect.ValueOf(value).Convert(elements[d]).Interface())
}

// padded is a list of n values, the last of which may be none.
func padded[T any](list []T, n int, none T) []T {
	out := append(make([]T, 0, n), list...)
	for len(out) < n {
		out = append(out, none)
	}
	return out
}

// missing is the row of a failed image.
func missing(c Column) any {
	n := c.length()
	data := reflect.MakeSlice(reflect.SliceOf(elements[c.dtype()]), n, n)
	for i := range n {
		if x := data.Index(i); x.CanFloat() {
			x.SetFloat(math.NaN())
		}
	}
	return data.Interface()
}

func (s *npzSink) numbers(name string, data any) error {
	return binary.Write(s.byName[name].spool, binary.LittleEndian, data)
}

func (s *npzSink) texts(name string, texts ...string) error {
	a := s.byName[name]
	for _, text := range texts {
		a.width = max(a.width, utf8.RuneCountInString(text))
		size := binary.AppendUvarint(nil, uint64(len(text)))
		if _, err := a.spool.WriteString(string(size) + text); err != nil {
			return err
		}
	}
	return nil
}

// Close writes the file.
func (s *npzSink) Close() error {
	z := zip.NewWriter(s.out)
	for _, a := range s.arrays {
		member, err := z.CreateHeader(&zip.FileHeader{Name: a.name + ".npy", Method: zip.Store})
		if err == nil {
			err = a.writeTo(member, s.rows)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("array %q: %w", a.name, err), s.release())
		}
	}
	return errors.Join(z.Close(), s.release())
}

// release gives the temporary files back.
func (s *npzSink) release() error {
	var err error
	for _, a := range s.arrays {
		err = errors.Join(err, a.file.Close())
	}
	return err
}

func (a *npzArray) writeTo(w io.Writer, rows int64) error {
	if err := a.spool.Flush(); err != nil {
		return err
	}
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	shape := append(tensor.Shape{rows}, a.shape...)
	out := bufio.NewWriterSize(w, 1<<16)
	if a.dtype != tensor.String {
		if err := npy.WriteHeader(out, npy.Header{DType: a.dtype, Shape: shape}); err != nil {
			return err
		}
		if _, err := io.Copy(out, a.file); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := npy.WriteHeader(out,
		npy.Header{DType: a.dtype, Width: a.width, Shape: shape}); err != nil {
		return err
	}
	in := bufio.NewReaderSize(a.file, 1<<16)
	count, err := shape.Elements()
	if err != nil {
		return err
	}
	var cell []byte
	for range count {
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return unexpectedEOF(err)
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(in, text); err != nil {
			return unexpectedEOF(err)
		}
		cell = cell[:0]
		for _, r := range string(text) {
			cell = binary.LittleEndian.AppendUint32(cell, uint32(r))
		}
		cell = append(cell, make([]byte, 4*a.width-len(cell))...)
		if _, err := out.Write(cell); err != nil {
			return err
		}
	}
	return out.Flush()
}

// readNPZ reads the arrays side by side.
func readNPZ(path string, s Schema) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		file, size, err := openWhole(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer file.Close()
		z, err := zip.NewReader(file, size)
		if err != nil {
			yield(Record{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		arrays, rows, err := openNPZ(z, s)
		for n := int64(0); err == nil && n < rows; n++ {
			var r Record
			if r, err = arrays.record(s); err == nil && !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("%s: %w", path, err))
		}
	}
}

// npzReaders read the rows of arrays, by name.
type npzReaders map[string]*npzReader

type npzReader struct {
	in    *bufio.Reader
	dtype tensor.DType
	shape tensor.Shape // of a row
	width int          // bytes of a text
}

func openNPZ(z *zip.Reader, s Schema) (npzReaders, int64, error) {
	members := map[string]*zip.File{}
	for _, f := range z.File {
		members[f.Name] = f
	}
	readers, rows := npzReaders{}, int64(-1)
	for _, c := range npzColumns(s) {
		f := members[c.Name+".npy"]
		if f == nil {
			return nil, 0, fmt.Errorf("expected an array %q, found none", c.Name)
		}
		member, err := f.Open() // closing it would only compare the checksum, which the manifest does
		if err != nil {
			return nil, 0, err
		}
		r := &npzReader{in: bufio.NewReaderSize(member, 1<<16), dtype: c.dtype(), shape: c.Shape}
		h, err := npy.ReadHeader(r.in)
		if err != nil {
			return nil, 0, fmt.Errorf("array %q: %w", c.Name, err)
		}
		r.width = 4 * h.Width
		want := append(tensor.Shape{rows}, c.Shape...)
		if err := want.Accepts(h.Shape); err != nil || h.DType != r.dtype {
			return nil, 0, fmt.Errorf("array %q: expected %v of shape %v, got %v of shape %v", c.Name,
				r.dtype, want, h.DType, h.Shape)
		}
		rows = h.Shape[0]
		readers[c.Name] = r
	}
	return readers, rows, nil
}

func (readers npzReaders) record(s Schema) (r Record, err error) {
	row := func(name string) any {
		data, e := readers[name].row()
		if e != nil {
			err = errors.Join(err, fmt.Errorf("array %q: %w", name, e))
			return nil
		}
		return data
	}
	index, path, failure := row("index"), row("path"), row("error")
	var classes, scores, names any
	if s.hasTop() {
		classes, scores = row("class"), row(s.score())
		if s.hasLabels() {
			names = row("label")
		}
	}
	var kept []any
	for _, k := range s.Kept {
		value := row(k.Name)
		if err != nil {
			return r, err
		}
		if _, number := k.number(); number {
			kept = append(kept, keptValue(reflect.ValueOf(value).Index(0)))
			continue
		}
		text, e := k.parse(value.([]string)[0])
		if e != nil {
			return r, e
		}
		kept = append(kept, text)
	}
	var values []any
	for _, c := range s.Outputs {
		values = append(values, row(c.Name))
	}
	if err != nil {
		return r, err
	}
	r.Index, r.Path, r.Error = index.([]int64)[0], path.([]string)[0], failure.([]string)[0]
	r.Kept = kept
	if r.Error != "" {
		return r, nil
	}
	if s.hasTop() {
		for k, class := range classes.([]int64) {
			if class < 0 {
				break
			}
			r.Classes, r.Scores = append(r.Classes, class), append(r.Scores, scores.([]float32)[k])
			if names != nil {
				r.Labels = append(r.Labels, names.([]string)[k])
			}
		}
	}
	for i, c := range s.Outputs {
		r.Values = append(r.Values, tensor.Tensor{DType: c.dtype(), Shape: c.Shape, Data: values[i]})
	}
	return r, nil
}

// row returns the next row: texts, or a slice of the type of numbers.
func (r *npzReader) row() (any, error) {
	count, err := r.shape.Elements()
	if err != nil {
		return nil, err
	}
	size := r.dtype.Size()
	if r.dtype == tensor.String {
		size = r.width
	}
	raw := make([]byte, int(count)*size)
	if _, err := io.ReadFull(r.in, raw); err != nil {
		return nil, unexpectedEOF(err)
	}
	if r.dtype != tensor.String {
		t, err := tensor.FromBytes(r.dtype, r.shape, raw)
		return t.Data, err
	}
	texts := make([]string, count)
	for i := range texts {
		var text []rune
		for cell := raw[i*size : (i+1)*size]; len(cell) >= 4; cell = cell[4:] {
			text = append(text, rune(binary.LittleEndian.Uint32(cell)))
		}
		texts[i] = strings.TrimRight(string(text), "\x00") // as NumPy has it
	}
	return texts, nil
}
