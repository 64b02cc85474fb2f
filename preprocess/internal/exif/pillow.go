package exif

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Pillow returns the orientation that PIL.ImageOps.exif_transpose turns an image by: 2 to 8, or 1
// where it turns nothing. It returns an error where exif_transpose cannot read the tag; that it
// fails to write the other tags back, once it has turned the image, is no error here. The sources
// are Image.getexif, TiffImagePlugin's ImageFileDirectory_v2 and the plugins of the formats.
func Pillow(data []byte) (orientation int, err error) {
	var info info
	switch kindOf(data) {
	case jpeg:
		info.readJPEG(data)
	case png:
		info.readPNG(data)
	case webp:
		info.exif, info.xmp = webPChunk(data, "EXIF"), webPChunk(data, "XMP ")
	}
	return info.orientation()
}

// info is the part of Pillow's Image.info that can hold an orientation. Empty fields are absent.
type info struct {
	exif       []byte // Exif, maybe after a header of its own
	rawProfile string // the text that ImageMagick puts into a PNG
	xmp        []byte
	// openReads is set where opening the file reads its Exif, to find the resolution. Pillow
	// forgives errors there, and does not look again.
	openReads bool
}

var errHeader = errors.New("the Exif data does not begin like a TIFF file")

// maxText is the most that Pillow inflates of a text: PngImagePlugin.MAX_TEXT_CHUNK.
const maxText = 1 << 20

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

func (i *info) orientation() (int, error) {
	exif := i.exif
	if exif == nil && i.rawProfile != "" {
		lines := strings.Split(i.rawProfile, "\n")
		text := strings.Join(lines[min(3, len(lines)):], "")
		var err error
		if exif, err = hex.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return 0, fmt.Errorf("the Exif data is not hexadecimal: %w", err)
		}
	}
	for range 2 {
		exif = bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))
	}
	if len(exif) > 0 {
		o, ok, err := pillow(exif)
		if err != nil {
			if i.openReads {
				return Upright, nil
			}
			return 0, err
		}
		if ok {
			return o, nil
		}
	}
	if m := xmpOrientation.FindSubmatch(i.xmp); m != nil {
		return valid(float64(m[1][0] - '0')), nil
	}
	return Upright, nil
}

// valid turns a tag's value into an orientation that turns something, or Upright.
func valid(v float64) int {
	if v >= 2 && v <= 8 && v == math.Trunc(v) {
		return int(v)
	}
	return Upright
}

// typeSizes are the bytes of a value by type; 0 for a type that Pillow does not know.
var typeSizes = [...]uint64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4,
	12: 8, 13: 4, 16: 8}

// pillow reads the orientation of Exif data. ok is false where there is none.
func pillow(data []byte) (orientation int, ok bool, err error) {
	head := data[:min(len(data), 4)]
	var order binary.ByteOrder = binary.BigEndian
	switch string(head) {
	case "MM\x00\x2a", "MM\x2a\x00":
	case "II\x2a\x00", "II\x00\x2a":
		order = binary.LittleEndian
	case "MM\x00\x2b": // BigTIFF, which Pillow reads as if it were not
	default:
		return 0, false, errHeader
	}
	if len(data) < 8 {
		return 0, false, errHeader
	}
	r := reader{data: data, order: order}
	at := uint64(r.u32(4))
	count := r.u16(at)
	if r.failed {
		return 0, false, nil
	}
	at += 2
	total := uint64(0)
	for range count {
		if at+12 > uint64(len(data)) {
			return 0, false, nil
		}
		tag, kind, n := r.u16(at), r.u16(at+2), uint64(r.u32(at+4))
		value := at + 8
		at += 12
		if int(kind) >= len(typeSizes) || typeSizes[kind] == 0 {
			continue
		}
		size := n * typeSizes[kind]
		if size > 4 {
			value = uint64(r.u32(value))
			total += size
			if total > uint64(len(data)) {
				continue
			}
			if value+size > uint64(len(data)) {
				return 0, false, nil // Pillow stops reading
			}
		}
		if size == 0 || tag != tagOrientation {
			continue
		}
		return valid(number(data[value:value+size], kind, order)), true, nil
	}
	return 0, false, nil
}

// number returns the first of the values of a tag, 0 where they are not numbers.
func number(b []byte, kind uint16, order binary.ByteOrder) float64 {
	switch kind {
	case 3:
		return float64(order.Uint16(b))
	case 4, 13:
		return float64(order.Uint32(b))
	case 5:
		return float64(order.Uint32(b)) / float64(order.Uint32(b[4:]))
	case 6:
		return float64(int8(b[0]))
	case 8:
		return float64(int16(order.Uint16(b)))
	case 9:
		return float64(int32(order.Uint32(b)))
	case 10:
		return float64(int32(order.Uint32(b))) / float64(int32(order.Uint32(b[4:])))
	case 11:
		return float64(math.Float32frombits(order.Uint32(b)))
	case 12:
		return math.Float64frombits(order.Uint64(b))
	case 16:
		return float64(order.Uint64(b))
	}
	return 0
}

func (i *info) readJPEG(data []byte) {
	hasDPI := false
	eachSegment(data, func(marker byte, body []byte) bool {
		switch {
		case marker == 0xe0 && bytes.HasPrefix(body, []byte("JFIF")):
			hasDPI = hasDPI || len(body) >= 12 && (body[7] == 1 || body[7] == 2)
		case marker == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")):
			if i.exif == nil {
				i.exif = bytes.Clone(body)
			} else { // long Exif data is spread over segments
				i.exif = append(i.exif, body[6:]...)
			}
		case marker == 0xe1 && bytes.HasPrefix(body, []byte("http://ns.adobe.com/xap/1.0/\x00")):
			_, i.xmp, _ = bytes.Cut(body, []byte{0})
		}
		return true
	})
	i.openReads = i.exif != nil && !hasDPI
}

func (i *info) readPNG(data []byte) {
	eachChunk(data, func(name string, body []byte) bool {
		switch name {
		case "eXIf":
			i.exif = append([]byte("Exif\x00\x00"), body...)
		case "tEXt":
			key, text, _ := bytes.Cut(body, []byte{0})
			i.text(string(key), latin1(text))
		case "zTXt":
			key, text, ok := bytes.Cut(body, []byte{0})
			if ok && len(text) > 0 {
				i.text(string(key), latin1(inflate(text[1:])))
			}
		case "iTXt":
			i.internationalText(body)
		case "IEND":
			return false
		}
		return true
	})
}

func (i *info) internationalText(body []byte) {
	key, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) < 2 {
		return
	}
	compressed, method := rest[0] != 0, rest[1]
	parts := bytes.SplitN(rest[2:], []byte{0}, 3)
	if len(parts) < 3 {
		return
	}
	text := parts[2]
	if compressed {
		if method != 0 {
			return
		}
		if text = inflate(text); text == nil {
			return
		}
	}
	if string(key) == "XML:com.adobe.xmp" {
		i.xmp = text
	}
	if utf8.Valid(parts[0]) && utf8.Valid(parts[1]) && utf8.Valid(text) {
		i.text(string(key), string(text))
	}
}

func (i *info) text(key, text string) {
	switch key {
	case "exif":
		i.exif = []byte(text)
	case "Raw profile type exif":
		i.rawProfile = text
	case "XML:com.adobe.xmp":
		i.xmp = []byte(text)
	}
}

// latin1 returns the text of bytes that are one character each.
func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// inflate returns what zlib data holds, nil where it is damaged.
func inflate(data []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(z, maxText+1))
	if err != nil || len(text) > maxText {
		return nil
	}
	return text
}
