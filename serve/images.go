package serve

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"kerasrun/classify"
	"kerasrun/tensor"
)

// newDecoders returns what bounds the images that all models decode at a time.
func newDecoders(l Limits) (*classify.Decoders, error) {
	return classify.NewDecoders(classify.Limits{
		ImageBytes:     l.Image,
		ImagePixels:    l.Pixels,
		PixelsInFlight: l.PixelsInFlight,
		Decoders:       l.Decoders,
	})
}

// decodeImages turns a tensor of encoded images, of any shape, into pixels: uint8,
// (n, height, width, 3). Pixels that wait for their run take a quarter of the memory of the model's
// float32 input. free returns their memory to the limit, and must be called in any case.
func (s *Server) decodeImages(
	ctx context.Context, v *version, encoded tensor.Tensor,
) (pixels tensor.Tensor, free func(), err error) {
	images, ok := encoded.Data.([][]byte)
	free = func() {}
	if !ok || len(images) == 0 {
		return pixels, free, errorf(codes.InvalidArgument, "expected one or more images, got none")
	}
	// The smallest images have a few dozen bytes, and the tensor has many thousands for each.
	bytes := int64(len(images)) * int64(v.images.PixelBytes())
	if err := s.memory.reserve(bytes); err != nil {
		return pixels, free, err
	}
	free = func() { s.memory.Release(bytes) }
	pixels, err = v.images.Decode(ctx, images)
	if only := (*classify.ImageError)(nil); len(images) == 1 && errors.As(err, &only) {
		err = only.Err
	}
	return pixels, free, err
}
