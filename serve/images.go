package serve

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"

	"kerasrun/preprocess"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// decoders bounds the images that are decoded at a time, by number and by pixels.
type decoders struct {
	image     int64 // bytes of one image
	number    *semaphore.Weighted
	pixels    *semaphore.Weighted
	maxPixels int64 // pixels in flight
}

func newDecoders(l Limits) *decoders {
	return &decoders{
		image:     l.Image,
		number:    semaphore.NewWeighted(int64(l.Decoders)),
		pixels:    semaphore.NewWeighted(l.PixelsInFlight),
		maxPixels: l.PixelsInFlight,
	}
}

// append decodes and resizes one image as pipeline says and appends its pixels to dst.
func (d *decoders) append(ctx context.Context, pipeline *preprocess.Pipeline, dst []uint8,
	image []byte) ([]uint8, error) {
	if int64(len(image)) > d.image {
		return dst, &Error{Code: codes.InvalidArgument, HTTP: http.StatusRequestEntityTooLarge,
			Err: fmt.Errorf("an image of %d bytes is over the limit of %d", len(image), d.image)}
	}
	config, err := preprocess.DecodeConfig(image)
	if err != nil {
		return dst, err
	}
	// What is over the limit of one image is refused below, before it takes any memory.
	pixels := min(int64(config.Width)*int64(config.Height), d.maxPixels)
	if err := d.number.Acquire(ctx, 1); err != nil {
		return dst, err
	}
	defer d.number.Release(1)
	if err := d.pixels.Acquire(ctx, pixels); err != nil {
		return dst, err
	}
	defer d.pixels.Release(pixels)
	return pipeline.AppendPixels(dst, image)
}

// decodeImages turns a tensor of encoded images, of any shape, into pixels: uint8, (n, height, width,
// 3). Pixels that wait for their run take a quarter of the memory of the model's float32 input.
// free returns their memory to the limit, and must be called in any case.
func (s *Server) decodeImages(ctx context.Context, v *version,
	encoded tensor.Tensor) (t tensor.Tensor, free func(), err error) {
	images, ok := encoded.Data.([][]byte)
	free = func() {}
	if !ok || len(images) == 0 {
		return t, free, errorf(codes.InvalidArgument, "expected one or more images, got none")
	}
	p := v.pipeline
	width := p.Height * p.Width * 3
	// The smallest images have a few dozen bytes, and the tensor has many thousands for each.
	bytes := int64(len(images)) * int64(width)
	if err := s.memory.reserve(bytes); err != nil {
		return t, free, err
	}
	free = func() { s.memory.Release(bytes) }
	pixels := make([]uint8, len(images)*width)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.config.Limits.Decoders)
	for i, image := range images {
		group.Go(func() error {
			_, err := s.decoders.append(ctx, p, pixels[i*width:i*width:(i+1)*width], image)
			if err != nil && len(images) > 1 {
				err = fmt.Errorf("image %d: %w", i, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return t, free, err
	}
	t, err = tensor.New(tensor.Shape{int64(len(images)), int64(p.Height), int64(p.Width), 3},
		pixels)
	return t, free, err
}

// normalized returns a signature's inputs with the model's own input in the place of pixels that
// decodeImages made, if there are any. free gives their memory to the next run.
func (v *version) normalized(s savedmodel.Signature,
	in map[string]tensor.Tensor) (out map[string]tensor.Tensor, free func(), err error) {
	decoded, ok := in[v.imageInput]
	if !ok || v.pipeline == nil || decoded.DType == s.Inputs[v.imageInput].DType {
		return in, func() {}, nil
	}
	var memory []float32
	select {
	case memory = <-v.tensors:
	default:
	}
	pix := decoded.Data.([]uint8)
	values := v.pipeline.Normalize(slices.Grow(memory[:0], len(pix)), &preprocess.RGB{Pix: pix})
	t, err := tensor.New(decoded.Shape, values)
	if err != nil {
		return nil, nil, err
	}
	out = maps.Clone(in)
	out[v.imageInput] = t
	return out, func() {
		select {
		case v.tensors <- values:
		default:
		}
	}, nil
}
