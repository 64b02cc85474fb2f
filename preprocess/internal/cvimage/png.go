package cvimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/png"
)

// maxPNGSide is PNG_USER_WIDTH_MAX.
const maxPNGSide = 1000000

func configPNG(data []byte) (codec.Config, error) {
	if err := checkPNG(data); err != nil {
		return codec.Config{}, err
	}
	c, err := png.DecodeConfig(data)
	if err == nil && (c.Width > maxPNGSide || c.Height > maxPNGSide) {
		err = fmt.Errorf("expected at most %d pixels each way, got %d x %d", maxPNGSide, c.Width,
			c.Height)
	}
	return c, forgiven(err)
}

// decodePNG is PngDecoder: alpha is dropped, 16 bits lose the low byte, grey is libpng's.
func decodePNG(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	c, err := png.DecodeConfig(data)
	if err != nil {
		return nil, 0, 0, err
	}
	output := png.HighBytes
	if grey {
		output = png.Grey
	}
	pix, err = png.DecodeTo(dst, data, output)
	return pix, c.Width, c.Height, forgiven(err)
}

// checkPNG refuses what libpng refuses but Pillow forgives, and animations: every chunk has to be
// there up to the last, with the right checksum, and in order.
func checkPNG(data []byte) error {
	const (
		atHeader = iota
		beforeData
		inData
		afterData
	)
	stage := atHeader
	palette, indexed, animated := false, false, false
	for pos := 8; ; {
		if pos+12 > len(data) {
			return errTruncated
		}
		n := int(binary.BigEndian.Uint32(data[pos:]))
		if n > len(data)-pos-12 {
			return errTruncated
		}
		name, body := string(data[pos+4:pos+8]), data[pos+8:pos+8+n]
		if crc32.ChecksumIEEE(data[pos+4:pos+8+n]) != binary.BigEndian.Uint32(data[pos+8+n:]) {
			err := fmt.Errorf("the checksum of chunk %q is wrong", name)
			if name[0]&0x20 != 0 { // libpng passes over a chunk that may be left out
				return forgiven(err)
			}
			return err
		}
		pos += 12 + n
		if (name == "IHDR") != (stage == atHeader) {
			return fmt.Errorf("chunk %q where the header is expected, or a second header", name)
		}
		if stage == inData && name != "IDAT" {
			stage = afterData
		}
		switch name {
		case "IHDR":
			if n != 13 || body[10] != 0 || body[11] != 0 || body[12] > 1 {
				return errors.New("the header is malformed")
			}
			indexed = body[9] == 3
			stage = beforeData
		case "PLTE":
			if palette || stage != beforeData || n%3 != 0 || n == 0 || n > 3*256 {
				return errors.New("the palette is malformed, out of place, or there are two")
			}
			palette = true
		case "IDAT":
			if stage == afterData || indexed && !palette {
				return errors.New("the image data is in two parts, or has no palette before it")
			}
			stage = inData
		case "acTL":
			animated = animated || stage == beforeData && n >= 4 &&
				binary.BigEndian.Uint32(body) != 1
		case "fcTL", "fdAT":
			animated = animated || stage == beforeData && (name == "fdAT" || n < 20 ||
				string(body[4:12]) != string(data[16:24]) || string(body[12:20]) != "\x00\x00\x00"+
				"\x00\x00\x00\x00\x00")
		case "IEND":
			if stage != afterData {
				return errors.New("there is no image data")
			}
			if animated {
				return codec.UnsupportedError("animation, with OpenCV's decoder")
			}
			return nil
		default:
			if name[0]&0x20 == 0 {
				return fmt.Errorf("unknown critical chunk %q", name)
			}
		}
	}
}
