package cvimage

import (
	"slices"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/jpeg"
)

func configJPEG(data []byte) (codec.Config, error) {
	c, err := jpeg.DecodeConfig(data)
	return codec.Config{Width: c.Width, Height: c.Height}, forgiven(err)
}

// decodeJPEG is JpegDecoder: libjpeg-turbo's pixels, the luma plane for grey, and OpenCV's own
// conversion of CMYK.
func decodeJPEG(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	c, err := jpeg.DecodeConfig(data)
	if err != nil {
		return nil, 0, 0, forgiven(err)
	}
	output := jpeg.RGB
	switch {
	case c.Components == 4:
		output = jpeg.CMYK
	case grey:
		output = jpeg.Luma
	}
	pix, width, height, err = jpeg.DecodeTo(data, dst, output)
	if err != nil {
		return nil, 0, 0, forgiven(err)
	}
	if output == jpeg.CMYK {
		pix = ofCMYK(pix, grey)
	}
	return pix, width, height, nil
}

// ofCMYK is icvCvt_CMYK2BGR_8u_C4C3R and icvCvt_CMYK2Gray_8u_C4C1R, in place. The inks are
// inverted.
func ofCMYK(pix []byte, grey bool) []byte {
	out := pix[:0]
	for in := range slices.Chunk(pix, 4) {
		k := int(in[3])
		less := func(ink uint8) uint8 { return uint8(k - (255-int(ink))*k>>8) }
		r, g, b := less(in[0]), less(in[1]), less(in[2])
		if grey {
			out = append(out, greyOfBGR(b, g, r))
		} else {
			out = append(out, r, g, b)
		}
	}
	return out
}
