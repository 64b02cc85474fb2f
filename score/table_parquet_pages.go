package score

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The library unpacks a page to whatever it unpacks to, and takes memory for what its head says
// before that. So both are compared first, without the memory.

// maxValues bounds the values of a page, as a run of one value takes some bytes however long it is.
const maxValues = 1 << 26

// checkPage makes sure that a page of Parquet unpacks to the size that its head says. data is the
// page as it is in the file.
func checkPage(codec format.CompressionCodec, head format.PageHeader, data io.Reader) error {
	packed, unpacked := int64(head.CompressedPageSize), int64(head.UncompressedPageSize)
	values := int32(0)
	switch head.Type {
	case format.DataPage:
		values = head.DataPageHeader.V.NumValues
	case format.DataPageV2:
		v2 := head.DataPageHeaderV2.V
		values = v2.NumValues
		// its levels come first, and are not packed
		levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
		if v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 ||
			levels > min(packed, unpacked) {
			return fmt.Errorf("expected a page that has its levels, got levels of %d bytes", levels)
		}
		if _, err := io.CopyN(io.Discard, data, levels); err != nil {
			return unexpectedEOF(err)
		}
		packed, unpacked = packed-levels, unpacked-levels
		if v2.IsCompressed.Valid && !v2.IsCompressed.V {
			codec = format.Uncompressed
		}
	case format.DictionaryPage:
		values = head.DictionaryPageHeader.V.NumValues
	}
	if values < 0 || values > maxValues {
		return fmt.Errorf("expected pages of at most %d values, got %d", maxValues, values)
	}
	if packed == 0 { // nothing is what nothing unpacks to
		codec = format.Uncompressed
	}
	got, err := unpackedSize(codec, io.LimitReader(data, packed), packed, unpacked)
	if err != nil {
		return err
	}
	if got != unpacked {
		return fmt.Errorf("expected a page that unpacks to the %d bytes that its head says, got "+
			"another size", unpacked)
	}
	return nil
}

// unpackedSize is what packed bytes unpack to, or a number over expected.
func unpackedSize(
	codec format.CompressionCodec, data io.Reader, packed, expected int64,
) (size int64, err error) {
	switch codec {
	case format.Uncompressed:
		return packed, nil
	case format.Snappy: // begins with it
		size, err := binary.ReadUvarint(bufio.NewReader(data))
		return int64(min(size, 1<<62)), err
	case format.Lz4Raw:
		return lz4Unpacked(data, expected)
	case format.Gzip:
		data, err = gzip.NewReader(data)
	case format.Brotli:
		data = brotli.NewReader(data)
	case format.Zstd:
		data, err = zstd.NewReader(data, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	default:
		return 0, fmt.Errorf("expected Parquet packed by snappy, gzip, brotli, zstd or lz4_raw, got %v",
			codec)
	}
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, io.LimitReader(data, expected+1))
}

// lz4Unpacked is the size of a block of LZ4, which is unpacked where that is as expected: of a
// damaged one the library takes more and more memory.
func lz4Unpacked(data io.Reader, expected int64) (size int64, err error) {
	block, err := io.ReadAll(data)
	if err != nil {
		return 0, err
	}
	size, err = lz4Size(bufio.NewReader(bytes.NewReader(block)))
	if err != nil || size != expected {
		return size, err
	}
	n, err := lz4.UncompressBlock(block, make([]byte, size))
	if err != nil {
		err = errors.New("expected a block of LZ4, got one whose parts lie outside of it")
	}
	return int64(n), err
}

// lz4Size adds up the lengths in a block of LZ4: of literals, and of matches, which the last
// sequence has none of.
func lz4Size(in *bufio.Reader) (size int64, err error) {
	length := func(n byte) (int64, error) {
		sum := int64(n)
		for more := n == 15; more; {
			b, err := in.ReadByte()
			if err != nil {
				return 0, unexpectedEOF(err)
			}
			sum, more = sum+int64(b), b == 255
		}
		return sum, nil
	}
	for {
		token, err := in.ReadByte()
		if err != nil {
			return 0, unexpectedEOF(err)
		}
		literals, err := length(token >> 4)
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(io.Discard, in, literals); err != nil {
			return 0, unexpectedEOF(err)
		}
		size += literals
		var offset [2]byte
		if n, err := io.ReadFull(in, offset[:]); n == 0 && err == io.EOF {
			return size, nil
		} else if err != nil {
			return 0, err
		}
		match, err := length(token & 15)
		if err != nil {
			return 0, err
		}
		size += match + 4
	}
}

// checkFooter refuses a footer that is longer than its file, before memory is taken for it.
func checkFooter(file io.ReaderAt, size int64) error {
	var end [8]byte
	if size < 12 {
		return errors.New("expected Parquet, got a shorter file")
	}
	if _, err := file.ReadAt(end[:], size-8); err != nil {
		return err
	}
	if footer := int64(binary.LittleEndian.Uint32(end[:])); footer > size-12 {
		return fmt.Errorf("expected a footer of Parquet in a file of %d bytes, got one of %d", size,
			footer)
	}
	return nil
}
