package preprocess

import "kerasrun/preprocess/internal/cvimage"

// cvMethods are OpenCV's INTER_*.
var cvMethods = map[Method]cvimage.Interpolation{
	Nearest: cvimage.Nearest, Linear: cvimage.Linear, Area: cvimage.Area, Cubic: cvimage.Cubic,
	Lanczos4: cvimage.Lanczos4,
}

// openCV is cv2.imread, and COLOR_RGB2GRAY.
func (d Decode) openCV() decoder {
	options := cvimage.Options{Grey: d.Color == Grayscale, EXIF: d.EXIF}
	return decoder{
		cvimage.DecodeConfig,
		func(m *Image, data []byte) (err error) {
			m.Pix, m.Width, m.Height, err = cvimage.Decode(m.Pix, data, options)
			if err == nil && d.Color == GrayscaleOfRGB {
				m.Pix = cvimage.GreyOfRGB(m.Pix, m.Pix)
			}
			return err
		},
	}
}

// resizeOpenCV is cv2.resize, and for ShortSide the middle of its result.
func (p *Pipeline) resizeOpenCV(dst, src *Image) error {
	method, c := cvMethods[p.Resize.Method], src.Channels
	if p.Resize.Fit == Stretch {
		dst.Pix = cvimage.Resize(dst.Pix, src.Pix, src.Width, src.Height, c, p.Width, p.Height,
			method)
		dst.Width, dst.Height, dst.Channels, dst.Values = p.Width, p.Height, c, dst.Values[:0]
		return nil
	}
	w, h, err := shortSide(src.Width, src.Height, p.Resize.ShortSide)
	if err == nil {
		err = checkInner(w, h)
	}
	if err != nil {
		return err
	}
	inner := inners.Get().(*Image)
	defer keep(&inners, inner)
	inner.Pix = cvimage.Resize(inner.Pix, src.Pix, src.Width, src.Height, c, w, h, method)
	dst.grow(p.Width, p.Height, c)
	part(dst.Pix, p.Width, inner.Pix, w, c, (w-p.Width)/2, (h-p.Height)/2)
	return nil
}
