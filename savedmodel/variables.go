package savedmodel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/tensor"
)

// IndexPath is the file that says where in the shards each variable is; a model without variables
// may lack it.
const IndexPath = "variables/variables.index"

// maxIndexBytes is the largest variables.index that is read: over a million variables.
const maxIndexBytes = 256 << 20

// Variable is an entry of variables/variables.index: a tensor in a shard. Partitioned variables
// have an entry for each slice of theirs (and one without bytes for the whole).
type Variable struct {
	// Name is as stored: "layers/conv/kernel/.ATTRIBUTES/VARIABLE_VALUE". That of a slice is in
	// TensorFlow's encoding.
	Name   string
	DType  tensor.DType
	Shape  tensor.Shape
	Shard  int
	Offset int64 // of the first byte in the shard
	Bytes  int64

	crc    uint32 // masked
	slices int    // of a partitioned variable
}

// index is variables.index.
type index struct {
	shards    int
	bigEndian bool
	variables map[string]*Variable
}

// shardPath returns the path of a shard of the variables.
func (i *index) shardPath(shard int) string {
	return fmt.Sprintf("variables/variables.data-%05d-of-%05d", shard, i.shards)
}

func (m *Model) readVariables(w *work) {
	data, err := m.readFile(IndexPath, maxIndexBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		m.index, m.Variables, err = readIndex(w, data)
	}
	if err != nil {
		m.indexErr = err
	}
}

func readIndex(w *work, data []byte) (*index, []Variable, error) {
	var idx *index
	var variables []Variable
	err := readTable(data, func(key, value []byte) error {
		if !w.step() {
			return w.err
		}
		// A key shares its beginning with the one before: a few bytes may stand for a megabyte.
		if err := w.keep(keptVariable + int64(len(key))); err != nil {
			return err
		}
		d := newDecoder(w, bytes.NewReader(value), int64(len(value)))
		if idx == nil {
			if len(key) > 0 {
				return fmt.Errorf("expected the header as the first entry, got %q", key)
			}
			idx = new(index)
			return d.bundleHeader(idx)
		}
		v, err := d.bundleEntry()
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		v.Name = string(key)
		if n := len(variables); n > 0 && v.Name <= variables[n-1].Name {
			return fmt.Errorf("expected the entries sorted, got %q after %q", v.Name,
				variables[n-1].Name)
		}
		if v.Shard < 0 || v.Shard >= idx.shards {
			return fmt.Errorf("%q: expected a shard from 0 to %d, got %d", key, idx.shards-1,
				v.Shard)
		}
		variables = append(variables, v)
		return nil
	})
	if err == nil && idx == nil {
		err = errors.New("expected a header, got no entries")
	}
	if err != nil {
		return nil, nil, err
	}
	idx.variables = make(map[string]*Variable, len(variables))
	for i := range variables {
		idx.variables[variables[i].Name] = &variables[i]
	}
	return idx, variables, nil
}

// bundleHeader reads a BundleHeaderProto.
func (d *decoder) bundleHeader(idx *index) error {
	var minConsumer int32
	d.fields(func(number protowire.Number) {
		switch number {
		case 1:
			idx.shards = int(int32(d.varint()))
		case 2:
			idx.bigEndian = d.varint() != 0
		case 3: // version, a VersionDef
			d.message(func(number protowire.Number) {
				if number == 2 {
					minConsumer = int32(d.varint())
				}
			})
		}
	})
	switch {
	case d.err != nil:
		return d.err
	case idx.shards < 1 || idx.shards > 99999:
		return fmt.Errorf("expected 1 to 99999 shards, got %d", idx.shards)
	case idx.bigEndian:
		return errors.New("expected little-endian variables, got big-endian")
	case minConsumer > 1:
		return fmt.Errorf("expected variables in version 1, got one that needs version %d",
			minConsumer)
	}
	return nil
}

// bundleEntry reads a BundleEntryProto.
func (d *decoder) bundleEntry() (Variable, error) {
	v := Variable{Shape: tensor.Shape{}}
	d.fields(func(number protowire.Number) {
		switch number {
		case 1:
			v.DType = tensor.DType(d.varint())
		case 2:
			v.Shape = d.shape(v.Shape)
		case 3:
			v.Shard = int(int32(d.varint()))
		case 4:
			v.Offset = int64(d.varint())
		case 5:
			v.Bytes = int64(d.varint())
		case 6:
			v.crc = d.fixed32()
		case 7:
			v.slices++
			d.skip(number)
		}
	})
	if d.err != nil {
		return v, d.err
	}
	if v.Offset < 0 || v.Bytes < 0 || v.Offset+v.Bytes < 0 {
		return v, fmt.Errorf("expected a place in a shard, got %d bytes at byte %d", v.Bytes,
			v.Offset)
	}
	elements, err := v.Shape.Elements()
	if err != nil {
		return v, err
	}
	if size := int64(v.DType.Size()); size > 0 && v.slices == 0 && elements*size != v.Bytes {
		return v, fmt.Errorf("%v of shape %v: expected %d bytes, got %d", v.DType, v.Shape,
			elements*size, v.Bytes)
	}
	return v, nil
}
