package tfimage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/gif"
	"kerasrun/preprocess/internal/jpeg"
	"kerasrun/preprocess/internal/png"
	"kerasrun/preprocess/internal/webp"
)

// format is a format that TensorFlow reads.
type format struct {
	name     string
	match    func(data []byte) bool
	channels []int // that it gives
	config   func(data []byte, channels int) (codec.Config, error)
	decode   func(dst, data []byte, channels int) ([]byte, error)
}

var formats = []format{
	{"JPEG", prefix("\xff\xd8\xff"), []int{1, 3}, jpegConfig, jpegDecode},
	{"PNG", prefix("\x89PNG\r\n\x1a\n"), []int{1, 3, 4}, pngConfig, png.DecodeTensorFlow},
	{"GIF", prefix("GIF8"), []int{3}, gifConfig, gifDecode},
	{"BMP", prefix("BM"), []int{3, 4}, bmpConfig, bmpDecode},
	{"WebP", isWebP, []int{3, 4}, webp.DecodeTensorFlowConfig, webp.DecodeTensorFlow},
}

// Decode is tf.io.decode_image(data, channels=channels, expand_animations=False): an image of
// height x width x channels bytes, in the memory of dst if that is enough. channels is 1, 3 or 4;
// TensorFlow gives 1 for JPEG and PNG alone, 4 for PNG, BMP and WebP with transparency, and WebP
// with transparency only so. Orientation tags are ignored.
//
// Memory grows with the declared size: call [DecodeConfig] first. An error is a
// codec.UnsupportedError, or says how the file is malformed; what TensorFlow refuses is refused.
func Decode(dst, data []byte, channels int) ([]byte, error) {
	f, err := formatOf(data, channels)
	if err != nil {
		return nil, err
	}
	return f.decode(dst, data, channels)
}

// DecodeConfig returns the format and the size of the image that [Decode] returns.
func DecodeConfig(data []byte, channels int) (format string, size Size, err error) {
	f, err := formatOf(data, channels)
	if err != nil {
		return f.name, Size{}, err
	}
	c, err := f.config(data, channels)
	return f.name, Size{c.Height, c.Width}, err
}

func formatOf(data []byte, channels int) (format, error) {
	for _, f := range formats {
		if !f.match(data) {
			continue
		}
		for _, c := range f.channels {
			if c == channels {
				return f, nil
			}
		}
		return f, codec.UnsupportedError(fmt.Sprintf("TensorFlow decodes it to %s channels, not %d",
			strings.Trim(strings.ReplaceAll(fmt.Sprint(f.channels), " ", " or "), "[]"), channels))
	}
	return format{}, errors.New("expected a JPEG, PNG, GIF, BMP or WebP file")
}

func prefix(magic string) func([]byte) bool {
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }
}

func isWebP(data []byte) bool {
	return len(data) > 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

func pngConfig(data []byte, _ int) (codec.Config, error) {
	return png.DecodeTensorFlowConfig(data)
}

func gifConfig(data []byte, _ int) (codec.Config, error) {
	return gif.DecodeTensorFlowConfig(data)
}

func gifDecode(dst, data []byte, _ int) ([]byte, error) { return gif.DecodeTensorFlow(dst, data) }

func jpegConfig(data []byte, _ int) (codec.Config, error) {
	c, err := jpeg.DecodeTensorFlowConfig(data)
	return codec.Config{Width: c.Width, Height: c.Height}, err
}

func jpegDecode(dst, data []byte, channels int) ([]byte, error) {
	pix, _, _, err := jpeg.DecodeTensorFlow(data, dst, channels)
	return pix, err
}
