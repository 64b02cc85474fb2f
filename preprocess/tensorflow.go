package preprocess

import (
	"fmt"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/tfimage"
)

// tfMethods are tf.image.ResizeMethod's.
var tfMethods = map[Method]tfimage.Method{
	Bilinear: tfimage.Bilinear, Nearest: tfimage.Nearest, Bicubic: tfimage.Bicubic,
	Area: tfimage.Area, Lanczos3: tfimage.Lanczos3, Lanczos5: tfimage.Lanczos5,
	Gaussian: tfimage.Gaussian, MitchellCubic: tfimage.MitchellCubic,
}

// tensorFlow is tf.io.decode_image, and rgb_to_grayscale.
func (d Decode) tensorFlow() decoder {
	channels := d.Color.Channels()
	if d.Color == GrayscaleOfRGB {
		channels = 3
	}
	return decoder{
		func(data []byte) (codec.Config, error) {
			_, size, err := tfimage.DecodeConfig(data, channels)
			return codec.Config{Width: size.Width, Height: size.Height}, err
		},
		func(m *Image, data []byte) (err error) {
			m.Pix, err = tfimage.Decode(m.Pix, data, channels)
			if err == nil && d.Color == GrayscaleOfRGB {
				m.Pix = tfimage.GrayUint8(m.Pix, m.Pix)
			}
			return err
		},
	}
}

// maxInner limits the pixels of an image that is resized before it is cropped, or padded before it
// is resized, where all of it is needed in memory.
const maxInner = 1 << 25

func checkInner(width, height int) error {
	if width > maxInner/height {
		return fmt.Errorf("preprocess: the image is too long: on the way it would be %d x %d, over "+
			"the limit of %d pixels", width, height, maxInner)
	}
	return nil
}

// resizeTensorFlow writes src to dst.Values, by nearest to dst.Pix, as tf.image.resize and Keras
// on it do.
func (p *Pipeline) resizeTensorFlow(dst, src *Image) error {
	from, to := tfimage.Size{Height: src.Height, Width: src.Width},
		tfimage.Size{Height: p.Height, Width: p.Width}
	c := src.Channels
	pix := src.Pix
	values := func(memory []float32, to tfimage.Size) ([]float32, error) {
		return tfimage.Resize(memory, pix, from, to, c, tfMethods[p.Resize.Method],
			p.Resize.Antialias)
	}
	var err error
	switch p.Resize.Fit {
	case Crop: // keras.ops.image.resize's crop_to_aspect_ratio
		box := tfimage.CropBox(from, to)
		part := inners.Get().(*Image)
		defer keep(&inners, part)
		crop(part, src, box.Left, box.Top, box.Width, box.Height)
		from, pix = tfimage.Size{Height: box.Height, Width: box.Width}, part.Pix
		dst.Values, err = values(dst.Values, to)
	case PadFirst: // its pad_to_aspect_ratio
		box, size := tfimage.PadBox(from, to)
		if err := checkInner(size.Width, size.Height); err != nil {
			return err
		}
		padded := inners.Get().(*Image)
		defer keep(&inners, padded)
		padded.grow(size.Width, size.Height, c)
		fill(padded.Pix, uint8(p.Resize.Fill))
		place(padded.Pix, size.Width, src.Pix, src.Width, c, box.Left, box.Top)
		from, pix = size, padded.Pix
		dst.Values, err = values(dst.Values, to)
	case Pad: // tf.image.resize_with_pad
		box := tfimage.ResizeWithPadBox(from, to)
		if box.Height < 1 || box.Width < 1 {
			return fmt.Errorf("preprocess: an image of %d x %d is too long to be padded to %d x "+
				"%d: resized it would have no pixel", src.Width, src.Height, p.Width, p.Height)
		}
		inner := inners.Get().(*Image)
		defer keep(&inners, inner)
		inner.Values, err = values(inner.Values, tfimage.Size{Height: box.Height, Width: box.Width})
		if err != nil {
			return err
		}
		dst.growValues(p.Width, p.Height, c)
		clear(dst.Values)
		place(dst.Values, p.Width, inner.Values, box.Width, c, box.Left, box.Top)
	case ShortSide: // tf.image.resize and resize_with_crop_or_pad
		w, h, err := shortSide(src.Width, src.Height, p.Resize.ShortSide)
		if err == nil {
			err = checkInner(w, h)
		}
		if err != nil {
			return err
		}
		inner := inners.Get().(*Image)
		defer keep(&inners, inner)
		inner.Values, err = values(inner.Values, tfimage.Size{Height: h, Width: w})
		if err != nil {
			return err
		}
		dst.growValues(p.Width, p.Height, c)
		part(dst.Values, p.Width, inner.Values, w, c, (w-p.Width)/2, (h-p.Height)/2)
	default:
		dst.Values, err = values(dst.Values, to)
	}
	if err != nil {
		return fmt.Errorf("preprocess: %w", err)
	}
	dst.Width, dst.Height, dst.Channels, dst.Pix = p.Width, p.Height, c, dst.Pix[:0]
	if p.Resize.Method == Nearest { // which keeps uint8
		dst.growPix(len(dst.Values))
		for i, v := range dst.Values {
			dst.Pix[i] = uint8(v)
		}
		dst.Values = dst.Values[:0]
	}
	return nil
}

// part copies a part of an image of srcWidth, width pixels wide, until dst is full.
func part[T any](dst []T, width int, src []T, srcWidth, channels, left, top int) {
	for y := top; len(dst) > 0; y++ {
		copy(dst[:channels*width], src[channels*(srcWidth*y+left):])
		dst = dst[channels*width:]
	}
}
