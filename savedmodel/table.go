package savedmodel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/snappy"
)

// The format of variables.index is that of LevelDB's tables (doc/table_format.md there;
// tensorflow/core/lib/io/table.cc): blocks of sorted keys with shared prefixes, an index block of
// the blocks' last keys and places, and a footer with the index block's place.
const (
	tableFooter  = 48
	tableMagic   = 0xdb4775248b80fb57
	blockTrailer = 5 // a byte for the compression, four for the checksum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// unmask undoes LevelDB's masking of a stored CRC-32C.
func unmask(crc uint32) uint32 {
	rotated := crc - 0xa282ead8
	return rotated>>17 | rotated<<15
}

// readTable calls entry for every key and value of the table, in order. The slices are valid during
// the call.
func readTable(data []byte, entry func(key, value []byte) error) error {
	if len(data) < tableFooter {
		return fmt.Errorf("expected a footer of %d bytes, got a file of %d", tableFooter, len(data))
	}
	footer := data[len(data)-tableFooter:]
	if magic := binary.LittleEndian.Uint64(footer[tableFooter-8:]); magic != tableMagic {
		return fmt.Errorf("expected the magic number %#x, got %#x", uint64(tableMagic), magic)
	}
	_, rest, err := blockHandle(footer) // of the meta-index, which TensorFlow leaves empty
	if err != nil {
		return err
	}
	place, _, err := blockHandle(rest)
	if err != nil {
		return err
	}
	blocks := data[:len(data)-tableFooter]
	indexBlock, err := readBlock(blocks, place)
	if err != nil {
		return fmt.Errorf("index block: %w", err)
	}
	end := uint64(0) // of the block before: read twice, a block would cost what the file does not
	return readEntries(indexBlock, func(_, value []byte) error {
		place, _, err := blockHandle(value)
		if err != nil {
			return err
		}
		if place.offset < end {
			return fmt.Errorf("expected a block behind byte %d, where the one before ends, got "+
				"byte %d", end, place.offset)
		}
		end = place.offset + place.size
		block, err := readBlock(blocks, place)
		if err != nil {
			return err
		}
		return readEntries(block, entry)
	})
}

type handle struct{ offset, size uint64 }

func blockHandle(b []byte) (h handle, rest []byte, err error) {
	if h.offset, b, err = uvarint(b); err == nil {
		h.size, b, err = uvarint(b)
	}
	return h, b, err
}

func uvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errors.New("a number is cut off or does not fit 64 bits")
	}
	return v, b[n:], nil
}

// readBlock returns the contents of the block at p, checked and decompressed.
func readBlock(data []byte, p handle) ([]byte, error) {
	size := uint64(len(data))
	if size < blockTrailer || p.size > size-blockTrailer || p.offset > size-blockTrailer-p.size {
		return nil, fmt.Errorf("a block of %d bytes at byte %d, past the end of the blocks at %d",
			p.size, p.offset, size)
	}
	block := data[p.offset : p.offset+p.size+blockTrailer]
	checked, stored := block[:p.size+1], unmask(binary.LittleEndian.Uint32(block[p.size+1:]))
	if got := crc32.Checksum(checked, castagnoli); got != stored {
		return nil, fmt.Errorf("block at byte %d: expected the checksum %08x, got %08x", p.offset,
			stored, got)
	}
	contents, compression := block[:p.size], block[p.size]
	switch compression {
	case 0:
		return contents, nil
	case 1:
		// The most that Snappy makes of a byte is under 32: three bytes copy at most 64.
		length, err := snappy.DecodedLen(contents)
		if err == nil && length > 32*len(contents) {
			err = fmt.Errorf("%d bytes cannot become %d", len(contents), length)
		}
		if err != nil {
			return nil, fmt.Errorf("block at byte %d: Snappy: %w", p.offset, err)
		}
		return snappy.Decode(nil, contents)
	}
	return nil, fmt.Errorf("block at byte %d: expected the compression 0 or 1, got %d", p.offset,
		compression)
}

// readEntries reads the entries of a block: three numbers (bytes of the key shared with the one
// before, bytes of the key that follow, bytes of the value), the rest of the key, the value. Behind
// them are the places where no prefix is shared, not needed here.
func readEntries(block []byte, entry func(key, value []byte) error) error {
	if len(block) < 4 {
		return fmt.Errorf("a block of %d bytes", len(block))
	}
	restarts := uint64(binary.LittleEndian.Uint32(block[len(block)-4:]))
	if restarts > uint64(len(block)-4)/4 {
		return fmt.Errorf("a block of %d bytes with %d restarts", len(block), restarts)
	}
	rest := block[:uint64(len(block)-4)-4*restarts]
	var key []byte
	for len(rest) > 0 {
		var lengths [3]uint64
		for i := range lengths {
			var err error
			if lengths[i], rest, err = uvarint(rest); err != nil {
				return err
			}
		}
		shared, unshared, value := lengths[0], lengths[1], lengths[2]
		if size := uint64(len(rest)); shared > uint64(len(key)) || unshared > size ||
			value > size-unshared {
			return fmt.Errorf("an entry of %d + %d bytes of key and %d of value, with %d left",
				shared, unshared, value, size)
		}
		key = append(key[:shared], rest[:unshared]...)
		if err := entry(key, rest[unshared:unshared+value]); err != nil {
			return err
		}
		rest = rest[unshared+value:]
	}
	return nil
}
