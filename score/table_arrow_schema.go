package score

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	flatbuffers "github.com/google/flatbuffers/go"
)

// The library takes memory for as many fields as a schema says to have, which no allocator bounds.
// So they are counted before. The numbers of the places in tables are from Arrow's Schema.fbs,
// Message.fbs and File.fbs.

// maxFields bounds the fields of a schema, nested ones too, and the pairs of texts about them.
const maxFields = 100_000

// checkArrowSchema counts the fields of the schema that a file begins or, in the IPC format, ends
// with. Go's bounds are the other checks: whoever calls it recovers.
func checkArrowSchema(file io.ReaderAt, size int64, ipcFormat bool) error {
	start, length := int64(8), int64(0)
	var head [8]byte
	if ipcFormat { // ends with the footer, its length and ARROW1
		if _, err := file.ReadAt(head[:4], max(size-10, 0)); err != nil {
			return err
		}
		length = int64(int32(binary.LittleEndian.Uint32(head[:])))
		start = size - 10 - length
	} else {
		if _, err := file.ReadAt(head[:], 0); err != nil {
			return err
		}
		length = int64(int32(binary.LittleEndian.Uint32(head[4:])))
		if binary.LittleEndian.Uint32(head[:]) != 0xffffffff { // as before version 0.15
			start, length = 4, int64(int32(binary.LittleEndian.Uint32(head[:])))
		}
	}
	if length < 8 || length > maxDescription || start < 0 || start+length > size {
		return fmt.Errorf("expected a schema of Arrow within the file's %d bytes, got one of %d", size,
			length)
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, start); err != nil {
		return err
	}
	root := flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}
	place := flatbuffers.VOffsetT(8) // of a message's header
	if ipcFormat {
		place = 6
	}
	at := root.Offset(place)
	if at == 0 {
		return errors.New("expected a schema of Arrow, got none")
	}
	schema := flatbuffers.Table{Bytes: data, Pos: root.Indirect(root.Pos + flatbuffers.UOffsetT(at))}
	left := maxFields
	if err := countFields(schema, 8, 0, &left); err != nil { // texts about the schema
		return err
	}
	return countFields(schema, 6, 14, &left)
}

// countFields takes the vector of a table from what is left. Where its elements are fields, theirs
// is at the place children.
func countFields(t flatbuffers.Table, place, children flatbuffers.VOffsetT, left *int) error {
	at := flatbuffers.UOffsetT(t.Offset(place))
	if at == 0 {
		return nil
	}
	n, start := t.VectorLen(at), t.Vector(at)
	if *left -= n; n < 0 || *left < 0 {
		return fmt.Errorf("expected a schema of at most %d fields, got more", maxFields)
	}
	if children == 0 {
		return nil
	}
	for i := range n {
		field := flatbuffers.Table{Bytes: t.Bytes,
			Pos: t.Indirect(start + flatbuffers.UOffsetT(4*i))}
		if err := countFields(field, 16, 0, left); err != nil { // texts about it
			return err
		}
		if err := countFields(field, children, children, left); err != nil {
			return err
		}
	}
	return nil
}
