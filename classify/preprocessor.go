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
	pipeline *preprocess.Pipeline // nil: the graph decodes the bytes of image files itself
	batch    int                  // images of every run; 0: any number
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
	pipeline, err := in.Pipeline()
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	p := &Preprocessor{input: in.Name, pipeline: pipeline, decoders: d,
		batch: int(max(in.Shape[0], 0)), tensors: make(chan []float32, max(runs, 1))}
	if pipeline != nil {
		pipeline.MaxPixels = d.limits.ImagePixels
	}
	return p, nil
}

// Input returns the name of the input that is made of images.
func (p *Preprocessor) Input() string { return p.input }

// Decodes says whether images are decoded before the model is run. Otherwise its graph takes the
// bytes of image files.
func (p *Preprocessor) Decodes() bool { return p.pipeline != nil }

// FreeSize says whether the model takes images of any size. Those of one run have the same size.
func (p *Preprocessor) FreeSize() bool { return p.pipeline != nil && p.pipeline.Width == 0 }

// Batch returns the number of images that every run has to have; 0 is any number.
func (p *Preprocessor) Batch() int { return p.batch }

// waitsAsPixels says whether decoded images wait as uint8 pixels, which is a half or a quarter of
// their tensor's memory, and are normalized for their run. Others wait as tensors.
func (p *Preprocessor) waitsAsPixels() bool {
	return p.pipeline != nil && p.pipeline.DType != tensor.Uint8 && !p.pipeline.ResizesToFloats()
}

// WaitingBytes returns how many bytes the image takes once [Preprocessor.Decode] has decoded it.
// The error is that of an image of which its size cannot be told.
func (p *Preprocessor) WaitingBytes(image []byte) (int64, error) {
	if p.pipeline == nil {
		return 0, nil
	}
	height, width := int64(p.pipeline.Height), int64(p.pipeline.Width)
	if p.FreeSize() {
		config, err := preprocess.DecodeConfig(image)
		if err != nil {
			return 0, err
		}
		height, width = int64(config.Height), int64(config.Width)
	}
	size := height * width * int64(p.pipeline.Decode.Color.Channels())
	if !p.waitsAsPixels() {
		size *= int64(p.pipeline.DType.Size())
	}
	return size, nil
}

// Decode decodes images in parallel and resizes them as the manifest says. They come as uint8,
// [images, height, width, channels], row-major, where [Preprocessor.Run] normalizes them; else as
// the model's own input. Images of a model of any size have to have the same one. Where the graph
// decodes for itself, files are checked for their length alone. The first [ImageError] ends it: the
// images are wanted together or not at all.
func (p *Preprocessor) Decode(ctx context.Context, images [][]byte) (tensor.Tensor, error) {
	if p.pipeline == nil {
		for i, image := range images {
			if err := p.decoders.checkBytes(image); err != nil {
				return tensor.Tensor{}, &ImageError{i, err}
			}
		}
		return tensor.New(tensor.Shape{int64(len(images))}, images)
	}
	decoded := make([]*preprocess.Image, len(images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.decoders.limits.Decoders)
	for i, image := range images {
		group.Go(func() error {
			decoded[i] = new(preprocess.Image)
			if err := p.decoders.read(ctx, p.pipeline, decoded[i], image); err != nil {
				return &ImageError{i, err}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return tensor.Tensor{}, err
	}
	for i, m := range decoded {
		if first := decoded[0]; m.Width != first.Width || m.Height != first.Height {
			return tensor.Tensor{}, &ImageError{i, fmt.Errorf("expected images of one size in one "+
				"call, %d x %d, got %d x %d", first.Width, first.Height, m.Width, m.Height)}
		}
	}
	if !p.waitsAsPixels() {
		return p.tensor(decoded)
	}
	first := decoded[0]
	shape := tensor.Shape{int64(len(images)), int64(first.Height), int64(first.Width),
		int64(first.Channels)}
	pixels := make([]uint8, 0, len(images)*len(first.Pix))
	for _, m := range decoded {
		pixels = append(pixels, m.Pix...)
	}
	return tensor.New(shape, pixels)
}

// Run runs a signature whose image input may hold what [Preprocessor.Decode] made: it is normalized
// to the signature's type first. Other inputs are run as they are.
func (p *Preprocessor) Run(
	ctx context.Context, r Runner, s savedmodel.Signature, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	t := in[p.input]
	pixels, ok := t.Data.([]uint8)
	if !ok || !p.waitsAsPixels() || s.Inputs[p.input].DType == tensor.Uint8 {
		return r.RunSignature(ctx, s.Key, in)
	}
	if err := p.checkPixels(t); err != nil {
		return nil, fmt.Errorf("input %q: %w", p.input, err)
	}
	images := make([]*preprocess.Image, t.Shape[0])
	size := len(pixels) / len(images)
	for i := range images {
		images[i] = &preprocess.Image{Height: int(t.Shape[1]), Width: int(t.Shape[2]),
			Channels: int(t.Shape[3]), Pix: pixels[i*size : (i+1)*size]}
	}
	return p.run(ctx, r, s.Key, images, maps.Clone(in))
}

// checkPixels returns an error unless a tensor is one of uint8 images of the model's size.
func (p *Preprocessor) checkPixels(t tensor.Tensor) error {
	height, width := int64(p.pipeline.Height), int64(p.pipeline.Width)
	if p.FreeSize() {
		height, width = -1, -1
	}
	want := tensor.Shape{-1, height, width, int64(p.pipeline.Decode.Color.Channels())}
	if err := want.Accepts(t.Shape); err != nil {
		return err
	}
	return t.Validate()
}

// run runs a signature on decoded images of one size, which take their place in the inputs.
func (p *Preprocessor) run(
	ctx context.Context, r Runner, key string, images []*preprocess.Image,
	in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	t, err := p.tensor(images)
	if err != nil {
		return nil, err
	}
	in[p.input] = t
	out, err := r.RunSignature(ctx, key, in)
	if err != nil {
		return nil, err // the runner may read the memory still
	}
	if values, ok := t.Data.([]float32); ok {
		select {
		case p.tensors <- values:
		default:
		}
	}
	return out, nil
}

// tensor makes the model's input of decoded images of one size, on all CPUs: a run waits for it.
func (p *Preprocessor) tensor(images []*preprocess.Image) (tensor.Tensor, error) {
	if p.pipeline.DType != tensor.Float32 {
		rows := make([]tensor.Tensor, len(images))
		for i, m := range images {
			row, err := p.pipeline.Tensor(m)
			if err != nil {
				return tensor.Tensor{}, err
			}
			row.Shape = slices.Concat(tensor.Shape{1}, row.Shape)
			rows[i] = row
		}
		return tensor.Concat(rows)
	}
	var memory []float32
	select {
	case memory = <-p.tensors:
	default:
	}
	first := images[0]
	size := first.Width * first.Height * first.Channels
	values := slices.Grow(memory[:0], len(images)*size)[:len(images)*size]
	part := func(from, to int) error {
		for i := from; i < to; i++ {
			at := values[i*size : i*size : (i+1)*size]
			if _, err := p.pipeline.AppendFloat32(at, images[i]); err != nil {
				return err
			}
		}
		return nil
	}
	parts := min(len(images), runtime.GOMAXPROCS(0))
	var group errgroup.Group
	for i := 1; i < parts; i++ {
		group.Go(func() error { return part(i*len(images)/parts, (i+1)*len(images)/parts) })
	}
	if err := errors.Join(part(0, len(images)/parts), group.Wait()); err != nil {
		return tensor.Tensor{}, err
	}
	shape := slices.Concat(tensor.Shape{int64(len(images))}, p.pipeline.ShapeOf(first))
	return tensor.New(shape, values)
}

// check returns an error unless the signature goes from this input alone to the outputs.
func (p *Preprocessor) check(s savedmodel.Signature, outputs []string) error {
	if _, ok := s.Inputs[p.input]; !ok || len(s.Inputs) != 1 {
		return fmt.Errorf("signature %s: expected the input %q alone, got %q, so that it cannot be "+
			"answered from an image alone: run it on tensors, by `kerasrun predict` or Run", s.Key,
			p.input, slices.Sorted(maps.Keys(s.Inputs)))
	}
	want := tensor.String
	if p.pipeline != nil {
		want = p.pipeline.DType
	}
	if got := s.Inputs[p.input].DType; got != want {
		return fmt.Errorf("signature %s: input %q: expected %v, got %v", s.Key, p.input, want, got)
	}
	for _, output := range outputs {
		if _, ok := s.Outputs[output]; !ok {
			return fmt.Errorf("signature %s: expected an output %q, got %q", s.Key, output,
				slices.Sorted(maps.Keys(s.Outputs)))
		}
	}
	return nil
}
