package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// decodeImages turns a tensor of encoded images, of any shape, into what waits for its run; see
// [classify.Preprocessor.Decode]. free returns their memory to the limit, and must be called in any
// case.
func (s *Server) decodeImages(
	ctx context.Context, v *version, encoded tensor.Tensor,
) (pixels tensor.Tensor, free func(), err error) {
	images, ok := encoded.Data.([][]byte)
	free = func() {}
	if !ok || len(images) == 0 {
		return pixels, free, errorf(codes.InvalidArgument, "expected one or more images, got none")
	}
	// The smallest images have a few dozen bytes, and the tensor has many thousands for each.
	bytes := int64(0)
	for i, image := range images {
		size, err := v.images.WaitingBytes(image)
		if err != nil {
			return pixels, free, imageError(len(images), &classify.ImageError{Index: i, Err: err})
		}
		bytes += size
	}
	if err := s.memory.reserve(bytes); err != nil {
		return pixels, free, err
	}
	free = func() { s.memory.Release(bytes) }
	pixels, err = v.images.Decode(ctx, images)
	return pixels, free, imageError(len(images), err)
}

// imageError is an error of Decode, without the number of an image that is the only one.
func imageError(images int, err error) error {
	if only := (*classify.ImageError)(nil); images == 1 && errors.As(err, &only) {
		return only.Err
	}
	return err
}

// separate cuts images into those that are run apart: each alone where the model takes any size,
// and a batch where that has a fixed number of rows. It is nil where they are run as they are.
func (v *version) separate(encoded tensor.Tensor) ([]imageGroup, error) {
	images, ok := encoded.Data.([][]byte)
	size := v.images.Batch()
	if v.images.FreeSize() && size == 0 {
		size = 1
	}
	if !ok || size == 0 || len(images) == size {
		return nil, nil
	}
	var groups []imageGroup
	for images := range slices.Chunk(images, size) {
		group := imageGroup{rows: int64(len(images))}
		if size > 1 { // the rest of a fixed batch repeats the last image
			last := images[len(images)-1:]
			images = slices.Concat(images, slices.Repeat(last, size-len(images)))
		}
		var err error
		group.images, err = tensor.New(tensor.Shape{int64(len(images))}, images)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// imageGroup is images that are run together, of whose outputs the first rows count.
type imageGroup struct {
	images tensor.Tensor
	rows   int64
}

// runGroups runs one group after the other, and joins their outputs.
func (s *Server) runGroups(
	ctx context.Context, v *version, sig *signature, groups []imageGroup, err error,
) (map[string]tensor.Tensor, timing, error) {
	var whole timing
	if err != nil {
		return nil, whole, err
	}
	if len(sig.inputs) != 1 {
		return nil, whole, errorf(codes.InvalidArgument, "expected one image a request beside the "+
			"other inputs %v, got %d groups", sig.inputs, len(groups))
	}
	outputs := map[string][]tensor.Tensor{}
	for _, group := range groups {
		out, took, err := s.runSpanned(ctx, v, sig,
			map[string]tensor.Tensor{v.imageInput: group.images})
		whole.add(took)
		if err != nil {
			return nil, whole, err
		}
		for name, t := range out {
			rows, err := t.Rows(0, group.rows)
			if err != nil {
				return nil, whole, fmt.Errorf("output %q: %w", name, err)
			}
			outputs[name] = append(outputs[name], rows)
		}
	}
	joined := make(map[string]tensor.Tensor, len(outputs))
	for name, ts := range outputs {
		if joined[name], err = tensor.Concat(ts); err != nil {
			return nil, whole, errorf(codes.InvalidArgument, "output %q differs in size from image to "+
				"image: send them one by one: %w", name, err)
		}
	}
	return joined, whole, nil
}
