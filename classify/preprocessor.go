package classify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"kerasrun/contract"
	"kerasrun/preprocess"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Runner runs tensors: the outputs of the signature called key, by name, from its inputs. Row i of
// an output answers row i of the inputs.
//
// It must be safe for concurrent use. Its outputs must not share memory with its inputs, which is
// used again once RunSignature has returned without an error.
type Runner interface {
	RunSignature(
		ctx context.Context, key string, in map[string]tensor.Tensor,
	) (map[string]tensor.Tensor, error)
}

// Preprocessor makes a model's input of images. It is safe for concurrent use.
type Preprocessor struct {
	input    string
	pipeline preprocess.Pipeline
	decoders *Decoders
	tensors  chan []float32 // memory for the input of runs to come
}

// NewPreprocessor returns the preprocessing that a manifest states of its image. The error is
// [ErrNoImages] where there is not one. It keeps memory for so many runs at a time.
func NewPreprocessor(m *contract.Manifest, d *Decoders, runs int) (*Preprocessor, error) {
	in := m.Image()
	if in == nil {
		return nil, ErrNoImages
	}
	p, err := in.Pipeline()
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	if p.DType != tensor.Float32 || p.Layout != preprocess.NHWC || p.Width == 0 ||
		p.Decode.Color.Channels() != 3 || p.Resize.By == preprocess.TensorFlow {
		return nil, fmt.Errorf("classify: input %q: expected 8-bit images of three channels and "+
			"one size to float32 NHWC, got %v", in.Name, p)
	}
	p.MaxPixels = d.limits.ImagePixels
	return &Preprocessor{in.Name, *p, d, make(chan []float32, max(runs, 1))}, nil
}

// Input returns the name of the input that is made of images.
func (p *Preprocessor) Input() string { return p.input }

// PixelBytes returns the size of a decoded image in bytes: height x width x 3.
func (p *Preprocessor) PixelBytes() int { return p.pipeline.Height * p.pipeline.Width * 3 }

// shape returns the shape of so many images: [rows, height, width, 3].
func (p *Preprocessor) shape(rows int) tensor.Shape {
	return tensor.Shape{int64(rows), int64(p.pipeline.Height), int64(p.pipeline.Width), 3}
}

// Decode decodes images in parallel and resizes them to the model's size: uint8 RGB,
// [images, height, width, 3], row-major. The first [ImageError] ends it: the images are wanted
// together or not at all.
func (p *Preprocessor) Decode(ctx context.Context, images [][]byte) (tensor.Tensor, error) {
	size := p.PixelBytes()
	pixels := make([]uint8, len(images)*size)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.decoders.limits.Decoders)
	for i, image := range images {
		group.Go(func() error {
			row := pixels[i*size : (i+1)*size : (i+1)*size]
			if _, err := p.read(ctx, row, image); err != nil {
				return &ImageError{i, err}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.New(p.shape(len(images)), pixels)
}

// read decodes and resizes one image, into the memory of dst where that is enough.
func (p *Preprocessor) read(ctx context.Context, dst []uint8, image []byte) ([]uint8, error) {
	return p.decoders.read(ctx, &p.pipeline, dst, image)
}

// Run runs a signature whose image input may hold what [Preprocessor.Decode] made: it is normalized
// to the signature's float32 first. Other inputs are run as they are.
func (p *Preprocessor) Run(
	ctx context.Context, r Runner, s savedmodel.Signature, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	pixels, ok := in[p.input].Data.([]uint8)
	if !ok || s.Inputs[p.input].DType != tensor.Float32 {
		return r.RunSignature(ctx, s.Key, in)
	}
	size := p.PixelBytes()
	if len(pixels)%size != 0 {
		return nil, fmt.Errorf("input %q: expected images of %v, got %v",
			p.input, p.shape(1)[1:], in[p.input].Shape)
	}
	in = maps.Clone(in)
	return p.run(ctx, r, s.Key, slices.Collect(slices.Chunk(pixels, size)), in)
}

// run runs a signature on decoded images, which take their place in the inputs.
func (p *Preprocessor) run(
	ctx context.Context, r Runner, key string, rows [][]uint8, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	var memory []float32
	select {
	case memory = <-p.tensors:
	default:
	}
	values, err := p.normalize(memory[:0], rows)
	if err != nil {
		return nil, err
	}
	images, err := tensor.New(p.shape(len(rows)), values)
	if err != nil {
		return nil, err
	}
	in[p.input] = images
	out, err := r.RunSignature(ctx, key, in)
	if err != nil {
		return nil, err // the runner may read the memory still
	}
	select {
	case p.tensors <- values:
	default:
	}
	return out, nil
}

// normalize appends the rows to dst as float32, on all CPUs: a run waits for it.
func (p *Preprocessor) normalize(dst []float32, rows [][]uint8) ([]float32, error) {
	size := p.PixelBytes()
	dst = slices.Grow(dst, len(rows)*size)[:len(rows)*size]
	part := func(from, to int) error {
		image := preprocess.Image{Width: p.pipeline.Width, Height: p.pipeline.Height, Channels: 3}
		for i := from; i < to; i++ {
			image.Pix = rows[i]
			at := dst[i*size : i*size : (i+1)*size]
			if _, err := p.pipeline.AppendFloat32(at, &image); err != nil {
				return err
			}
		}
		return nil
	}
	parts := min(len(rows), runtime.GOMAXPROCS(0))
	var group errgroup.Group
	for i := 1; i < parts; i++ {
		group.Go(func() error { return part(i*len(rows)/parts, (i+1)*len(rows)/parts) })
	}
	var err error
	if parts > 0 {
		err = part(0, len(rows)/parts)
	}
	return dst, errors.Join(err, group.Wait())
}

// check returns an error unless the signature goes from this input alone to the output.
func (p *Preprocessor) check(s savedmodel.Signature, output string) error {
	names := slices.Sorted(maps.Keys(s.Inputs))
	in, ok := s.Inputs[p.input]
	switch {
	case !ok || len(s.Inputs) != 1:
		return fmt.Errorf("signature %s: expected the input %q alone, got %q", s.Key, p.input,
			names)
	case in.DType != tensor.Float32:
		return fmt.Errorf("signature %s: input %q: expected float32, got %v", s.Key, p.input,
			in.DType)
	}
	out, ok := s.Outputs[output]
	if !ok || out.DType != tensor.Float32 {
		return fmt.Errorf("signature %s: expected an output %q of float32, got %q",
			s.Key, output, slices.Sorted(maps.Keys(s.Outputs)))
	}
	if out.Shape != nil && len(out.Shape) != 2 {
		return &OutputError{output, errRows(out.Shape)}
	}
	return nil
}

func errRows(shape tensor.Shape) error {
	return fmt.Errorf("expected one row of classes an image, got shape %v", shape)
}
