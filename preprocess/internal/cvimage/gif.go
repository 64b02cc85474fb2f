package cvimage

import (
	"errors"

	"kerasrun/preprocess/internal/codec"
)

func decodeGIF(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	return nil, 0, 0, errors.Join(codec.UnsupportedError("GIF, with OpenCV's decoder"))
}
