package png

import (
	"encoding/binary"
	"errors"
	"hash"
	"hash/adler32"
	"io"
)

// pieceSize is how much of a chunk Pillow hands to zlib at a time.
const pieceSize = 1 << 16

// imageData is the zlib stream in the image data chunks, in the pieces that Pillow makes of it.
type imageData struct {
	c         *chunks
	remaining int // bytes of the current chunk after the piece handed over last
	pos       int // of the byte after that piece
}

func (s *imageData) next() ([]byte, error) {
	for s.remaining == 0 {
		s.c.pos = s.pos + 4
		id, start, length, err := s.c.header()
		switch {
		case err != nil:
			return nil, err
		case id == "fdAT":
			if err := s.c.readFrameData(start, length); err != nil {
				return nil, err
			}
			start, length = start+4, length-4
		case id != "IDAT" && id != "DDAT":
			return nil, errTruncated
		}
		s.pos, s.remaining = start, length
	}
	n := min(pieceSize, s.remaining)
	got := min(n, max(0, len(s.c.data)-s.pos))
	if got == 0 {
		return nil, errTruncated
	}
	piece := s.c.data[s.pos : s.pos+got]
	s.pos += n
	s.remaining -= n
	return piece, nil
}

// end moves the chunk reader behind the image data.
func (s *imageData) end() { s.c.pos = s.pos + s.remaining + 4 }

// An inflater reads the rows of an image out of its image data, a zlib stream, RFC 1950.
type inflater struct {
	inflate
	in     imageData
	adler  hash.Hash32
	closed bool // the stream ended, and its checksum was right
}

func (z *inflater) reset(c *chunks, start, length int) error {
	z.in = imageData{c: c, pos: start, remaining: length}
	z.closed = false
	return z.start(&z.in)
}

// start reads the stream's header.
func (z *inflater) start(src pieces) error {
	z.inflate.reset(src)
	if z.adler == nil {
		z.adler = adler32.New()
	}
	z.adler.Reset()
	cmf, err := z.ReadByte()
	if err != nil {
		return err
	}
	flg, err := z.ReadByte()
	if err != nil {
		return err
	}
	if cmf&15 != 8 || cmf>>4 > 7 || (int(cmf)<<8|int(flg))%31 != 0 || flg&0x20 != 0 {
		return errors.New("the image data is no zlib stream")
	}
	return nil
}

// readRow fills row. It returns io.EOF if the stream ended before the row, which leaves the rest of
// the image black.
func (z *inflater) readRow(row []byte) error {
	n, err := io.ReadFull(z, row)
	z.adler.Write(row[:n])
	switch {
	case err == nil:
		return nil
	case err == io.EOF:
		if err := z.finish(); err != nil {
			return err
		}
		if !z.closed {
			return errTruncated
		}
		return io.EOF
	case err == io.ErrUnexpectedEOF:
		return errTruncated
	}
	return err
}

// finish compares the checksum of a stream that has come to its end. zlib sees it together with the
// last bytes of the image only if it is in the same piece; what comes later Pillow never reads.
func (z *inflater) finish() error {
	if len(z.piece) < 4 {
		return nil
	}
	if binary.BigEndian.Uint32(z.piece) != z.adler.Sum32() {
		return errors.New("the checksum of the image data is wrong")
	}
	z.closed = true
	return nil
}

// close checks the end of the stream after the last row.
func (z *inflater) close() error {
	var b [1]byte
	if n, err := z.Read(b[:]); n == 0 && err == io.EOF {
		return z.finish()
	}
	return nil
}
