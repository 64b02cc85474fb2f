package cvimage

import (
	"encoding/binary"
	"errors"
)

var errTruncated = errors.New("the file is truncated")

// stream reads numbers as OpenCV's RLByteStream does. Beyond the end they are 0, and ended is set.
type stream struct {
	data  []byte
	pos   int
	ended bool
}

// take returns the next n bytes, nil where they are not all there.
func (s *stream) take(n int) []byte {
	if n > len(s.data)-s.pos {
		s.ended = true
		return nil
	}
	b := s.data[s.pos : s.pos+n]
	s.pos += n
	return b
}

func (s *stream) skip(n int) { s.pos = min(s.pos+n, len(s.data)) }

func (s *stream) byte() int {
	if b := s.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (s *stream) word() int {
	if b := s.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// long reads a number with a sign.
func (s *stream) long() int {
	if b := s.take(4); b != nil {
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	return 0
}
