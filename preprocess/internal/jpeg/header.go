package jpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// readPillowHeader reads the headers as Pillow does before it calls libjpeg (JpegImagePlugin.py,
// JpegImageFile._open): a file must pass both parsers, and Pillow's is the stricter in places.
func readPillowHeader(data []byte) (Config, error) {
	if len(data) < 3 || data[0] != 0xFF || data[1] != 0xD8 || data[2] != 0xFF {
		return Config{}, FormatError("the file does not start with FF D8 FF")
	}
	var h pillowHeader
	pos := 3
	inMarker := true // the byte before pos is 0xFF
	for pos < len(data) {
		c := data[pos]
		pos++
		switch {
		case !inMarker:
			inMarker = c == 0xFF
			continue
		case c == 0xFF:
			continue
		case c == 0:
			inMarker = false
			continue
		case c < markerSOF0:
			return Config{}, FormatError(fmt.Sprintf("unknown marker FF %02X", c))
		}
		inMarker = false
		if c == markerJPG || c >= markerRST0 && c <= markerEOI || c >= markerJPG0 && c < markerCOM {
			continue
		}
		if pos+2 > len(data) {
			return Config{}, errTruncated
		}
		n := int(binary.BigEndian.Uint16(data[pos:]))
		pos += 2
		n = max(n-2, 0)
		if pos+n > len(data) {
			return Config{}, errTruncated
		}
		if err := h.segment(c, data[pos:pos+n]); err != nil {
			return Config{}, err
		}
		pos += n
		if c == markerSOS {
			if h.cfg.Width == 0 || h.cfg.Height == 0 {
				return Config{}, FormatError("no frame header with a size before the first scan")
			}
			return h.cfg, nil
		}
	}
	return Config{}, FormatError("no scan")
}

type pillowHeader struct {
	cfg Config
	icc []byte // the smallest of the profile's segments in byte order, nil if none
}

func (h *pillowHeader) segment(marker byte, s []byte) error {
	switch {
	case marker == markerDHT, marker == markerDAC:
		return nil
	case marker >= markerSOF0 && marker <= markerSOF15, marker == markerDHP:
		return h.frame(s)
	case marker == markerDQT:
		for len(s) > 0 {
			n := 65
			if s[0]>>4 != 0 {
				n = 129
			}
			if len(s) < n {
				return FormatError("a quantization table is cut short")
			}
			s = s[n:]
		}
	case marker == markerAPP0 && bytes.HasPrefix(s, []byte("JFIF")):
		if len(s) < 7 {
			return FormatError("the JFIF segment is too short")
		}
	case marker == markerAPP2 && bytes.HasPrefix(s, []byte("ICC_PROFILE\x00")):
		if h.icc == nil || bytes.Compare(s, h.icc) < 0 {
			h.icc = s
		}
	case marker == markerAPP13 && bytes.HasPrefix(s, []byte("Photoshop 3.0\x00")):
		return checkPhotoshop(s)
	case marker == markerAPP14 && bytes.HasPrefix(s, []byte("Adobe")):
		if len(s) < 7 {
			return FormatError("the Adobe segment is too short")
		}
	}
	return nil
}

// frame reads a frame header. A later one replaces an earlier.
func (h *pillowHeader) frame(s []byte) error {
	if len(s) < 6 || len(s)%3 != 0 {
		return FormatError("the frame header has a wrong length")
	}
	if s[0] != 8 {
		return codec.UnsupportedError(fmt.Sprintf("expected 8 bits per sample, got %d", s[0]))
	}
	if n := s[5]; n != 1 && n != 3 && n != 4 {
		return codec.UnsupportedError(fmt.Sprintf("expected 1, 3 or 4 components, got %d", n))
	}
	if h.icc != nil {
		if len(h.icc) < 14 {
			return FormatError("the ICC profile segment is too short")
		}
		h.icc = nil
	}
	h.cfg = Config{
		Width:      int(binary.BigEndian.Uint16(s[3:])),
		Height:     int(binary.BigEndian.Uint16(s[1:])),
		Components: int(s[5]),
	}
	return nil
}

// checkPhotoshop walks the image resource blocks as Pillow does: where a block ends before its name
// does, Pillow refuses the file; where it ends elsewhere, Pillow ignores the rest.
func checkPhotoshop(s []byte) error {
	offset := 14
	for offset+4 <= len(s) && string(s[offset:offset+4]) == "8BIM" {
		offset += 4
		if offset+2 > len(s) {
			return nil
		}
		offset += 2
		if offset >= len(s) {
			return FormatError("a Photoshop resource is cut short")
		}
		offset += 1 + int(s[offset])
		offset += offset & 1
		if offset+4 > len(s) {
			return nil
		}
		offset += 4 + int(binary.BigEndian.Uint32(s[offset:]))
		offset += offset & 1
	}
	return nil
}
