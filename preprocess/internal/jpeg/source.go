package jpeg

// pillowBlock is how many bytes Pillow reads from a file and hands to libjpeg at a time.
const pillowBlock = 65536

// source is the file as libjpeg sees it below Pillow: the bytes up to limit have been handed over.
// The limit matters only to damaged files: libjpeg reads the bits of the last bytes before it with
// more care, and markers after the image are looked at only as far as it.
type source struct {
	data      []byte
	pos       int
	limit     int
	marker    byte // a marker that was read but not yet acted on, or 0
	finishing bool // the image is complete: running out of data is no error
}

// more moves limit by one block. It returns false at the end of the file.
func (s *source) more() bool {
	if s.limit == len(s.data) {
		return false
	}
	s.limit = min(s.limit+pillowBlock, len(s.data))
	return true
}

// errSuspended says that the data handed over ended while looking for the end of the file's image.
const errSuspended = FormatError("out of data after the image")

// readByte reads a byte outside of entropy-coded data.
func (s *source) readByte() (byte, error) {
	if s.pos >= s.limit {
		if s.finishing {
			return 0, errSuspended
		}
		// The position can be far beyond the limit after a skip.
		for s.pos >= s.limit {
			if !s.more() {
				return 0, errTruncated
			}
		}
	}
	b := s.data[s.pos]
	s.pos++
	return b, nil
}

// readUint16 reads a big-endian 16-bit number.
func (s *source) readUint16() (int, error) {
	hi, err := s.readByte()
	if err != nil {
		return 0, err
	}
	lo, err := s.readByte()
	return int(hi)<<8 | int(lo), err
}

// nextMarker finds the next marker, skipping anything else, and leaves it in s.marker.
func (s *source) nextMarker() error {
	for {
		b, err := s.readByte()
		for err == nil && b != 0xFF {
			b, err = s.readByte()
		}
		for err == nil && b == 0xFF {
			b, err = s.readByte()
		}
		if err != nil {
			return err
		}
		if b != 0 {
			s.marker = b
			return nil
		}
	}
}
