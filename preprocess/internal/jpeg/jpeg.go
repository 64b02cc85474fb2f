// Package jpeg decodes JPEG files to the same RGB bytes as Pillow 13.
//
// Pillow decodes with libjpeg-turbo 3: the accurate integer inverse DCT, triangle-filter ("fancy")
// upsampling of the colour planes, smoothing of progressive files that end early. This package
// computes the same integers, so that its output equals Image.open(file).convert("RGB") byte for
// byte; it also accepts and refuses the same damaged files. Baseline, extended sequential and
// progressive files with Huffman or arithmetic coding are read; grey, YCbCr, RGB, CMYK and YCCK.
//
// DecodeTensorFlow gives TensorFlow 2.21's bytes: those of libjpeg-turbo 2.1 with its fast inverse
// DCT.
//
// On amd64 processors with AVX2 the Huffman decoding of a block, the inverse DCTs, the upsampling
// of halved planes and the colour conversion are in assembly, each a function over memory that Go
// has checked the bounds of. Everything else is plain Go, and so are these elsewhere.
//
// The formulas and the recovery from damage follow libjpeg-turbo 3.2 (where its C and its x86-64
// code differ, the latter) and the JPEG standard, ITU-T T.81; the checks before decoding follow
// Pillow's JpegImagePlugin. This software is based in part on the work of the Independent JPEG
// Group.
package jpeg

import (
	"fmt"
	"sync"

	"kerasrun/preprocess/internal/codec"
)

// A FormatError says why a file is not a JPEG that Pillow would decode.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// errTruncated means that the file ends before the image does.
const errTruncated = FormatError("the file is truncated")

// Config is what a JPEG's headers declare.
type Config struct {
	Width, Height int // pixels
	Components    int // 1 grey, 3 colour, 4 CMYK
}

// DecodeConfig reads the headers of a JPEG up to its first scan. It allocates nothing that grows
// with the image, so that a caller can refuse a size before Decode makes room for it. Errors are a
// FormatError or an UnsupportedError.
func DecodeConfig(data []byte) (Config, error) { return readPillowHeader(data) }

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Output is what the pixels are decoded to.
type Output int

const (
	RGB  Output = iota
	Luma        // one channel: of YCbCr the luma plane itself, as libjpeg's JCS_GRAYSCALE
	CMYK        // four channels as the file has them, of files with four components only
)

var channelsOf = [...]int{RGB: 3, Luma: 1, CMYK: 4}

// Decode decodes a JPEG to pix, uint8 RGB, height x width x 3, row-major. The pixels are written to
// dst if it has the capacity. Memory grows with the declared size: call DecodeConfig first. Errors
// are a FormatError, for what Pillow refuses too, or an UnsupportedError. Decode is safe for
// concurrent use.
func Decode(data []byte, dst []byte) (pix []byte, width, height int, err error) {
	return DecodeTo(data, dst, RGB)
}

// DecodeTo is Decode to another output than RGB, of as many channels as that has. Luma of a file
// with four components, and CMYK of one with fewer, is an UnsupportedError.
func DecodeTo(data []byte, dst []byte, output Output) (pix []byte, width, height int, err error) {
	cfg, err := readPillowHeader(data)
	if err != nil {
		return nil, 0, 0, err
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	defer d.release()
	d.reset(data)
	if err := d.readFrame(); err != nil {
		return nil, 0, 0, err
	}
	if d.width != cfg.Width || d.height != cfg.Height || len(d.comps) != cfg.Components {
		return nil, 0, 0, FormatError(
			fmt.Sprintf("two frame headers: %d x %d with %d components, then %d x %d with %d",
				d.width, d.height, len(d.comps), cfg.Width, cfg.Height, cfg.Components))
	}
	if output == Luma && len(d.comps) == 4 || output == CMYK && len(d.comps) != 4 {
		return nil, 0, 0, codec.UnsupportedError(fmt.Sprintf("this output of %d components",
			len(d.comps)))
	}
	d.output = output
	pix, err = d.decode(dst)
	return pix, d.width, d.height, err
}

// decode decodes the image that follows the headers.
func (d *decoder) decode(dst []byte) (pix []byte, err error) {
	d.pix = grow(dst, channelsOf[d.output]*d.width*d.height)
	if d.multiScan {
		err = d.decodeScans()
	} else {
		err = d.decodeSingleScan()
	}
	if err != nil {
		return nil, err
	}
	return d.pix, nil
}

// A decoder holds the state of one decoding. Its buffers are kept between images.
type decoder struct {
	source
	bitReader

	output     Output
	pix        []byte // the output
	tensorflow bool   // as TensorFlow decodes

	// From the markers.
	width, height   int
	process         process
	comps           []component
	compBuf         [4]component
	hmax, vmax      int // largest sampling factors
	mcuRows         int // rows of fully interleaved MCUs
	multiScan       bool
	sawSOI, sawSOF  bool
	jfif, adobe     bool
	adobeTransform  byte
	restartInterval int
	nextRestart     int // 0..7, the number of the restart marker to come
	quant           [4]quantTable
	dcSpecs         [4]huffSpec
	acSpecs         [4]huffSpec
	arith           arithConditioning

	// The current scan.
	scan         scanHeader
	restartsToGo int
	mcu          mcuLayout
	dcPred       [4]int32 // by position in the scan
	sawMarker    bool     // decodeBlockFast has met a marker
	dcTables     [4]huffTable
	acTables     [4]huffTable
	eobRun       int
	segment      segmentReader // of a progressive scan
	arithState   arithDecoder
	arithErr     error
	decodeCoefs  func(*decoder, []*coefBlock) error // decodes an MCU of the current scan
	coefBits     [4]coefBits
	lastGoodRow  int // the last row of MCUs that the latest scan had data for

	blocks  [maxMCUBlocks]block
	coefs   [maxMCUBlocks]coefBlock
	coefsOf [maxMCUBlocks]*coefBlock
	out     output
}

// release lets go of what belongs to the caller.
func (d *decoder) release() {
	d.data, d.pix = nil, nil
}

func (d *decoder) reset(data []byte) {
	d.output, d.tensorflow = RGB, false
	d.source = source{data: data}
	d.bitReader = bitReader{}
	d.more()
	d.process = process{}
	d.comps = nil
	d.multiScan = false
	d.sawSOI, d.sawSOF = false, false
	for i := range 4 {
		d.quant[i].defined = false
		d.dcSpecs[i].defined = false
		d.acSpecs[i].defined = false
	}
	d.scan = scanHeader{}
	d.arithErr = nil
	d.lastGoodRow = 0
}
