package preprocess

import (
	"slices"

	"kerasrun/preprocess/internal/bmp"
	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/exif"
	"kerasrun/preprocess/internal/gif"
	"kerasrun/preprocess/internal/png"
	"kerasrun/preprocess/internal/pnm"
	"kerasrun/preprocess/internal/tiff"
	"kerasrun/preprocess/internal/webp"
)

// pillow is Image.open, exif_transpose where EXIF says so, and convert.
func (d Decode) pillow(f format) decoder {
	return decoder{f.config, func(m *Image, data []byte) error {
		if d.Color == Grayscale {
			wide, err := f.isGray16(data)
			if err != nil {
				return err
			}
			if wide {
				return codec.UnsupportedError("load_img leaves grey of 16 bits as it is; convert " +
					"the image to 8 bits, or take the color grayscale_of_rgb")
			}
		}
		orientation := exif.Upright
		if d.EXIF && f.name != "TIFF" { // of which only upright ones are read
			var err error
			if orientation, err = exif.Pillow(data); err != nil {
				return err
			}
		}
		if orientation < 2 || orientation > 8 { // nothing turns
			return d.convert(m, f, data)
		}
		upright := inners.Get().(*Image)
		defer keep(&inners, upright)
		upright.Width, upright.Height, upright.Channels = m.Width, m.Height, m.Channels
		if err := d.convert(upright, f, data); err != nil {
			return err
		}
		m.Pix, m.Width, m.Height = exif.Turn(m.Pix, upright.Pix, m.Width, m.Height, m.Channels,
			orientation)
		return nil
	}}
}

// isGray16 says whether an image is grey of 16 bits in Pillow.
func (f format) isGray16(data []byte) (bool, error) {
	switch f.name {
	case "PNG":
		return png.IsGray16(data)
	case "PNM":
		return pnm.IsGray16(data)
	}
	return false, nil
}

// convert decodes to the colour.
func (d Decode) convert(m *Image, f format, data []byte) (err error) {
	if d.Color == RGBA {
		m.Pix, err = f.decodeRGBA(m.Pix, data)
		return err
	}
	m.Pix, err = f.decode(m.Pix, data)
	if err == nil && m.Channels == 1 {
		m.Pix = luma(m.Pix)
	}
	return err
}

// luma turns RGB grey in its memory: Convert.c's rgb2l, ITU-R 601 in fixed point. Grey stays as it
// is.
func luma(pix []uint8) []uint8 {
	n := len(pix) / 3
	for i := range n {
		p := pix[3*i : 3*i+3]
		pix[i] = uint8((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 0x8000) >> 16)
	}
	return pix[:n]
}

// decodeRGBA is Image.open and convert("RGBA").
func (f format) decodeRGBA(dst, data []byte) ([]byte, error) {
	switch f.name {
	case "PNG":
		return png.DecodeTo(dst, data, png.RGBA)
	case "GIF":
		return gif.DecodeRGBA(dst, data)
	case "BMP":
		if bmp.HasAlpha(data) {
			return nil, codec.UnsupportedError("a bit mask for alpha, decoded to rgba")
		}
	case "TIFF":
		if alpha, err := tiff.HasAlpha(data); alpha || err != nil {
			return nil, codec.UnsupportedError("an alpha channel, decoded to rgba")
		}
	case "PNM":
		if wide, err := pnm.IsGray16(data); wide || err != nil {
			return nil, codec.UnsupportedError("grey of 16 bits, decoded to rgba")
		}
	case "WebP":
		if _, err := webp.DecodeTensorFlowConfig(data, 4); err == nil {
			return webp.DecodeTensorFlow(dst, data, 4) // libwebp's pixels, as Pillow has them
		}
		if _, err := webp.DecodeTensorFlowConfig(data, 3); err != nil {
			return nil, codec.UnsupportedError("an animation, decoded to rgba")
		}
	}
	rgb := inners.Get().(*Image)
	defer keep(&inners, rgb)
	var err error
	if rgb.Pix, err = f.decode(rgb.Pix, data); err != nil {
		return nil, err
	}
	n := len(rgb.Pix) / 3
	dst = slices.Grow(dst[:0], 4*n)[:4*n]
	for i := range n {
		p := dst[4*i : 4*i+4]
		copy(p, rgb.Pix[3*i:3*i+3])
		p[3] = 255
	}
	return dst, nil
}
