package cvimage

import (
	"errors"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/webp"
)

// The sizes in bytes of a WebP file that WebPDecoder reads.
const (
	minWebP = 32
	maxWebP = 64 << 20
)

func configWebP(data []byte) (codec.Config, error) {
	if len(data) < minWebP || len(data) > maxWebP {
		return codec.Config{}, errors.New("OpenCV reads WebP files of 32 bytes to 64 MiB")
	}
	c, err := webp.DecodeConfig(data)
	return c, forgiven(err)
}

// decodeWebP is WebPDecoder: libwebp's pixels without their alpha, turned grey afterwards.
func decodeWebP(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	c, err := webp.DecodeConfig(data)
	if err != nil {
		return nil, 0, 0, forgiven(err)
	}
	if pix, err = webp.Decode(dst, data); err != nil {
		return nil, 0, 0, forgiven(err)
	}
	if grey {
		pix = GreyOfRGB(pix, pix)
	}
	return pix, c.Width, c.Height, nil
}
