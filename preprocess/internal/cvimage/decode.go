package cvimage

import (
	"errors"
	"fmt"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/exif"
)

// Options say how an image is decoded.
type Options struct {
	Grey bool // IMREAD_GRAYSCALE, else IMREAD_COLOR
	EXIF bool // turned by its orientation; without, IMREAD_IGNORE_ORIENTATION
}

// Channels is the number of channels that are decoded to.
func (o Options) Channels() int {
	if o.Grey {
		return 1
	}
	return 3
}

// The limits of cv2.imread, beyond which it raises an exception.
const (
	maxSide   = 1 << 20
	maxPixels = 1 << 30
)

// format is a format that is read.
type format struct {
	config func(data []byte) (codec.Config, error)
	decode func(dst, data []byte, grey bool) (pix []byte, width, height int, err error)
}

// formatOf tells a file's format from its first bytes.
func formatOf(data []byte) (format, error) {
	switch {
	case starts(data, "\xff\xd8\xff"):
		return format{configJPEG, decodeJPEG}, nil
	case starts(data, "\x89PNG\r\n\x1a\n"):
		return format{configPNG, decodePNG}, nil
	case starts(data, "GIF87a"), starts(data, "GIF89a"):
		return format{configGIF, decodeGIF}, nil
	case starts(data, "BM"):
		return format{configBMP, decodeBMP}, nil
	case starts(data, "RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		return format{configWebP, decodeWebP}, nil
	}
	return format{}, errors.New("expected a JPEG, PNG, GIF, BMP or WebP file")
}

func starts(data []byte, magic string) bool {
	return len(data) >= len(magic) && string(data[:len(magic)]) == magic
}

// DecodeConfig returns the size that an image declares, before turning, and allocates nothing that
// grows with it. Errors are those of Decode.
func DecodeConfig(data []byte) (codec.Config, error) {
	f, err := formatOf(data)
	if err != nil {
		return codec.Config{}, err
	}
	c, err := f.config(data)
	if err == nil {
		err = checkSize(c.Width, c.Height)
	}
	return c, err
}

// Decode returns the pixels of cv2.imread, height x width x channels, but in the order red, green,
// blue; and their size, after turning. They are in the memory of dst if that is enough. The format
// is told from the bytes: JPEG, PNG, GIF, BMP and WebP are read. An error is a
// codec.UnsupportedError for what OpenCV may read but this package does not, any other for what
// OpenCV does not read, or not whole. Memory grows with the declared size: call DecodeConfig first.
func Decode(dst, data []byte, options Options) (pix []byte, width, height int, err error) {
	if _, err = DecodeConfig(data); err != nil {
		return nil, 0, 0, err
	}
	f, err := formatOf(data)
	if err != nil {
		return nil, 0, 0, err
	}
	if pix, width, height, err = f.decode(dst, data, options.Grey); err != nil {
		return nil, 0, 0, err
	}
	if options.EXIF {
		pix, width, height = exif.Turn(nil, pix, width, height, options.Channels(),
			exif.OpenCV(data))
	}
	return pix, width, height, nil
}

// checkSize refuses what is too large for cv2.imread.
func checkSize(width, height int) error {
	if width < 1 || height < 1 || width > maxSide || height > maxSide ||
		width > maxPixels/height {
		return fmt.Errorf("expected at most %d pixels each way and %d in all, as cv2.imread "+
			"takes, got %d x %d", maxSide, maxPixels, width, height)
	}
	return nil
}

// forgiven turns a decoder's refusal of a damaged file, which OpenCV may read, into an
// UnsupportedError.
func forgiven(err error) error {
	var unsupported codec.UnsupportedError
	if err == nil || errors.As(err, &unsupported) {
		return err
	}
	return codec.UnsupportedError("damage that OpenCV may forgive: " + err.Error())
}
