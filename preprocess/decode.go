package preprocess

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kerasrun/preprocess/internal/bmp"
	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/gif"
	"kerasrun/preprocess/internal/jpeg"
	"kerasrun/preprocess/internal/png"
	"kerasrun/preprocess/internal/pnm"
	"kerasrun/preprocess/internal/tiff"
	"kerasrun/preprocess/internal/webp"
)

// DefaultMaxPixels is the limit of a Pipeline without one: Pillow's MAX_IMAGE_PIXELS, beyond which
// Pillow warns of a decompression bomb. Decoding such an image takes about 270 MB.
const DefaultMaxPixels = 1024 * 1024 * 1024 / 4 / 3

// Config is what an image declares about itself.
type Config struct {
	Format string // "JPEG", "PNG", "GIF", "BMP", "WebP", "PNM" or "TIFF"
	// The size in pixels of the image that Decode.Image returns. Orientation tags are ignored, as
	// in load_img.
	Width, Height int
}

// format is a format that is read.
type format struct {
	name   string
	match  func(data []byte) bool
	config func(data []byte) (codec.Config, error)
	decode func(dst, data []byte) (pix []byte, err error)
}

var formats = []format{
	{"JPEG", prefix("\xff\xd8\xff"), jpegConfig, jpegDecode},
	{"PNG", prefix("\x89PNG\r\n\x1a\n"), png.DecodeConfig, png.Decode},
	{"GIF", prefix("GIF87a"), gif.DecodeConfig, gif.Decode},
	{"GIF", prefix("GIF89a"), gif.DecodeConfig, gif.Decode},
	{"BMP", prefix("BM"), bmp.DecodeConfig, bmp.Decode},
	{"WebP", isWebP, webp.DecodeConfig, webp.Decode},
	{"PNM", pnm.Match, pnm.DecodeConfig, pnm.Decode},
	{"TIFF", tiff.Match, tiff.DecodeConfig, tiff.Decode},
}

// ofPillow are the formats that are read as Pillow reads them alone.
var ofPillow = []string{"PNM", "TIFF"}

// DecodeConfig returns the format and size of an image without decoding it, as Pillow reads them.
// Errors are a *FormatError or an *UnsupportedError.
func DecodeConfig(image []byte) (Config, error) {
	f, err := formatOf(image, Pillow)
	if err != nil {
		return Config{}, err
	}
	c, err := f.size(func() (codec.Config, error) { return f.config(image) })
	return Config{f.name, c.Width, c.Height}, err
}

// Image decodes an image; the zero Decode is Pillow's Image.open(...).convert("RGB"). The format is
// told from the bytes. maxPixels limits the width x height that the image may declare; 0 means
// DefaultMaxPixels. Errors are a *FormatError, an *UnsupportedError or a *TooLargeError.
//
// Pillow's Grayscale is load_img's, convert("L"), but for images of 16-bit grey, which load_img
// leaves as they are and which are refused here. Its EXIF is ImageOps.exif_transpose's.
// TensorFlow's colours are decode_image's channels, OpenCV's Grayscale is IMREAD_GRAYSCALE.
// GrayscaleOfRGB is convert("RGB").convert("L"), rgb_to_grayscale and COLOR_RGB2GRAY.
func (d Decode) Image(data []byte, maxPixels int) (*Image, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	m := new(Image)
	if err := d.read(m, data, maxPixels); err != nil {
		return nil, err
	}
	return m, nil
}

// read decodes into the memory of m where that is enough.
func (d Decode) read(m *Image, data []byte, maxPixels int) error {
	f, err := formatOf(data, d.By)
	if err != nil {
		return err
	}
	if slices.Contains(ofPillow, f.name) && d.By != Pillow {
		return foreign(data, d.By)
	}
	decode := d.decoder(f)
	c, err := f.size(func() (codec.Config, error) { return decode.config(data) })
	if err != nil {
		return err
	}
	if maxPixels == 0 {
		maxPixels = DefaultMaxPixels
	}
	if c.Width > maxPixels/c.Height {
		return &TooLargeError{f.name, c.Width, c.Height, maxPixels}
	}
	m.Width, m.Height, m.Channels, m.Values = c.Width, c.Height, d.Color.Channels(), m.Values[:0]
	err = f.guard(func() error { return decode.decode(m, data) })
	if err != nil {
		return err
	}
	if err := m.validate(); err != nil {
		return &FormatError{f.name, err}
	}
	return nil
}

// A decoder decodes one format as one library does. decode is given an image of the size of config,
// and of the colour's channels.
type decoder struct {
	config func(data []byte) (codec.Config, error)
	decode func(m *Image, data []byte) error
}

func (d Decode) decoder(f format) decoder {
	switch d.By {
	case TensorFlow:
		return d.tensorFlow()
	case OpenCV:
		return d.openCV()
	}
	return d.pillow(f)
}

// formatNames lists the formats that are read as a library reads them, in words.
func formatNames(by Library) string {
	var names []string
	for _, f := range formats {
		if !slices.Contains(names, f.name) && (by == Pillow || !slices.Contains(ofPillow, f.name)) {
			names = append(names, f.name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// formatOf tells the format of an image. by: the library that is to read it.
func formatOf(image []byte, by Library) (format, error) {
	for _, f := range formats {
		if f.match(image) {
			return f, nil
		}
	}
	return format{}, foreign(image, by)
}

// size reads an image's size.
func (f format) size(config func() (codec.Config, error)) (c codec.Config, err error) {
	err = f.guard(func() error {
		c, err = config()
		return err
	})
	if err == nil && (c.Width < 1 || c.Height < 1) {
		err = &FormatError{f.name, fmt.Errorf("the size is %d x %d", c.Width, c.Height)}
	}
	return c, err
}

// guard runs a step of a decoder and turns its errors, and the panics of a decoder that trips over
// hostile data, into the errors of this package.
func (f format) guard(step func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &FormatError{f.name, fmt.Errorf("the decoder failed: %v", r)}
		}
	}()
	err = step()
	var unsupported codec.UnsupportedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unsupported):
		return &UnsupportedError{Format: f.name, Reason: string(unsupported)}
	default:
		return &FormatError{f.name, err}
	}
}

func prefix(magic string) func([]byte) bool {
	return func(data []byte) bool {
		return len(data) >= len(magic) && string(data[:len(magic)]) == magic
	}
}

func isWebP(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

func jpegConfig(data []byte) (codec.Config, error) {
	c, err := jpeg.DecodeConfig(data)
	return codec.Config{Width: c.Width, Height: c.Height}, err
}

func jpegDecode(dst, data []byte) ([]byte, error) {
	pix, _, _, err := jpeg.Decode(data, dst)
	return pix, err
}
