package jpeg

import (
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// maxTensorFlow is the least number of samples that TensorFlow calls too large.
const maxTensorFlow = 1 << 29

// DecodeTensorFlowConfig is [DecodeConfig] for [DecodeTensorFlow].
func DecodeTensorFlowConfig(data []byte) (Config, error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	defer d.release()
	return d.resetTensorFlow(data)
}

// DecodeTensorFlow decodes a JPEG to the same bytes as tf.io.decode_jpeg and tf.io.decode_image of
// TensorFlow 2.21: with the fast integer inverse DCT, to 3 channels (RGB) or 1 (grey: the luma of
// YCbCr itself), height x width x channels, row-major. The pixels are written to dst if it has the
// capacity. Memory grows with the declared size: call DecodeTensorFlowConfig first.
//
// TensorFlow refuses what ends before its end marker and grey from CMYK; unlike Pillow it reads no
// header but libjpeg's. Errors are a FormatError, for what TensorFlow refuses too, or an
// UnsupportedError.
func DecodeTensorFlow(data, dst []byte, channels int) (pix []byte, width, height int, err error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	defer d.release()
	if _, err := d.resetTensorFlow(data); err != nil {
		return nil, 0, 0, err
	}
	if channels == 1 {
		d.output = Luma
		if len(d.comps) == 4 {
			return nil, 0, 0, codec.UnsupportedError("grey from CMYK")
		}
	}
	pix, err = d.decode(dst)
	return pix, d.width, d.height, err
}

func (d *decoder) resetTensorFlow(data []byte) (Config, error) {
	d.reset(data)
	d.limit = len(data)
	d.tensorflow = true
	if err := d.readFrame(); err != nil {
		return Config{}, err
	}
	if n := d.width * d.height * len(d.comps); n >= maxTensorFlow {
		return Config{}, FormatError(fmt.Sprintf("%d samples, which TensorFlow calls too large", n))
	}
	return Config{d.width, d.height, len(d.comps)}, nil
}

// cmykRowTensorFlow converts CMYK to RGB as jpeg_mem.cc does. It takes only files of Adobe's to
// hold it inverted.
func cmykRowTensorFlow(dst, cs, ms, ys, ks []byte, adobe bool) {
	ms, ys, ks = ms[:len(cs)], ys[:len(cs)], ks[:len(cs)]
	invert := byte(255)
	if adobe {
		invert = 0
	}
	for i, c := range cs {
		k := int(ks[i] ^ invert)
		dst := dst[3*i : 3*i+3]
		dst[0] = byte(k * int(c^invert) / 255)
		dst[1] = byte(k * int(ms[i]^invert) / 255)
		dst[2] = byte(k * int(ys[i]^invert) / 255)
	}
}

// ycckRowTensorFlow converts YCCK by way of CMYK: C, M and Y are R, G and B inverted.
func ycckRowTensorFlow(dst, ys, cbs, crs, ks []byte, adobe bool) {
	cbs, crs, ks = cbs[:len(ys)], crs[:len(ys)], ks[:len(ys)]
	for i, y := range ys {
		p := ^yccPixel(y, cbs[i], crs[i])
		c, m, y := [1]byte{byte(p)}, [1]byte{byte(p >> 8)}, [1]byte{byte(p >> 16)}
		cmykRowTensorFlow(dst[3*i:3*i+3], c[:], m[:], y[:], ks[i:i+1], adobe)
	}
}
