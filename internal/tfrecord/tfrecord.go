// Package tfrecord reads TFRecord files, as TensorFlow writes them
// (tensorflow/core/lib/io/record_writer.h). A record is its length in 8 bytes, a checksum of the
// length in 4, the data, and a checksum of the data in 4, all little-endian. Data are returned as
// bytes; most files hold protobuf messages.
package tfrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Read reads the next record, of at most limit bytes. It returns io.EOF where the file ends before
// one, and io.ErrUnexpectedEOF where it ends within one.
func Read(r io.Reader, limit int64) ([]byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if !Begins(head[:]) {
		return nil, errors.New("the checksum of the length is wrong")
	}
	length := binary.LittleEndian.Uint64(head[:8])
	if length > uint64(limit) {
		return nil, fmt.Errorf("expected at most %d bytes, got %d", limit, length)
	}
	// grows with what is there, not with what the length says
	data, err := io.ReadAll(io.LimitReader(r, int64(length)+4))
	if err != nil {
		return nil, err
	}
	if uint64(len(data)) != length+4 {
		return nil, io.ErrUnexpectedEOF
	}
	data, sum := data[:length], binary.LittleEndian.Uint32(data[length:])
	if sum != masked(data) {
		return nil, errors.New("the checksum of the data is wrong")
	}
	return data, nil
}

// Begins says whether a file that begins so, with 12 bytes, is one of TFRecords: whether the
// checksum of the first length is right.
func Begins(head []byte) bool {
	return len(head) >= 12 && binary.LittleEndian.Uint32(head[8:]) == masked(head[:8])
}

// masked is the checksum as TFRecords have it: rotated and shifted, since a checksum of data that
// hold checksums is weak.
func masked(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
