package score

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"
)

// The library takes memory for as many fields as a schema says to have, which no allocator bounds.
// So they are counted before. The numbers of the places in tables are from Arrow's Schema.fbs,
// Message.fbs and File.fbs.

// maxFields bounds the fields of a schema, nested ones too, and the pairs of texts about them.
const maxFields = 100_000

// readSchema returns the message of a schema that a stream begins with, whose fields it has
// counted.
func readSchema(in io.Reader) ([]byte, error) {
	message := make([]byte, 4, 8)
	if _, err := io.ReadFull(in, message); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(message) == 0xffffffff { // since version 0.15
		message = message[:8]
		if _, err := io.ReadFull(in, message[4:]); err != nil {
			return nil, err
		}
	}
	start := len(message)
	length := int64(int32(binary.LittleEndian.Uint32(message[start-4:])))
	if length < 8 || length > maxDescription {
		return nil, fmt.Errorf("expected a schema of 8 to %d bytes, got one of %d", maxDescription,
			length)
	}
	message = slices.Grow(message, int(length))[:start+int(length)]
	if _, err := io.ReadFull(in, message[start:]); err != nil {
		return nil, err
	}
	return message, checkSchema(message[start:], 8)
}

// checkArrowFooter counts the fields of the schema that a file in the IPC format has in its footer,
// which its length and ARROW1 follow.
func checkArrowFooter(file io.ReaderAt, size int64) error {
	var end [4]byte
	if _, err := file.ReadAt(end[:], max(size-10, 0)); err != nil {
		return err
	}
	length := int64(int32(binary.LittleEndian.Uint32(end[:])))
	if length < 8 || length > min(maxDescription, size-10) {
		return fmt.Errorf("expected a footer of Arrow within the file's %d bytes, got one of %d", size,
			length)
	}
	data := make([]byte, length)
	if _, err := file.ReadAt(data, size-10-length); err != nil {
		return err
	}
	return checkSchema(data, 6)
}

// checkSchema counts the fields of the schema at a place of a table. Go's bounds are the other
// checks: whoever calls it recovers.
func checkSchema(data []byte, place flatbuffers.VOffsetT) error {
	root := flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}
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
