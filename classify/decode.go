package classify

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/semaphore"

	"kerasrun/preprocess"
)

// Limits bound what images may take. A zero is the default that the field names.
type Limits struct {
	ImageBytes     int64 // of one image's file; 0 is no limit
	ImagePixels    int   // width x height of one image; 0 is [preprocess.DefaultMaxPixels]
	PixelsInFlight int64 // of all images that are being decoded, the others wait; 0 is no limit
	Decoders       int   // images decoded at a time, the others wait; 0 is GOMAXPROCS
}

// Validate returns everything that is wrong with the limits.
func (l Limits) Validate() error {
	var faults []error
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"bytes of an image", l.ImageBytes},
		{"pixels of an image", int64(l.ImagePixels)},
		{"pixels in flight", l.PixelsInFlight},
		{"decoders", int64(l.Decoders)},
	} {
		if limit.value < 0 {
			faults = append(faults, fmt.Errorf("%s: expected 0 or more, got %d", limit.name,
				limit.value))
		}
	}
	return errors.Join(faults...)
}

// Decoders bound the images that are decoded at a time. Models of one process may share them.
type Decoders struct {
	limits Limits
	number *semaphore.Weighted
	pixels *semaphore.Weighted // nil: no limit
}

// NewDecoders returns decoders that keep to the limits.
func NewDecoders(l Limits) (*Decoders, error) {
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	if l.Decoders == 0 {
		l.Decoders = runtime.GOMAXPROCS(0)
	}
	d := &Decoders{limits: l, number: semaphore.NewWeighted(int64(l.Decoders))}
	if l.PixelsInFlight > 0 {
		d.pixels = semaphore.NewWeighted(l.PixelsInFlight)
	}
	return d, nil
}

// read decodes and resizes one image as p says, into the memory of m.
func (d *Decoders) read(
	ctx context.Context, p *preprocess.Pipeline, m *preprocess.Image, image []byte,
) error {
	if err := d.checkBytes(image); err != nil {
		return err
	}
	pixels := int64(0)
	if d.pixels != nil {
		config, err := preprocess.DecodeConfig(image)
		if err != nil {
			return err
		}
		// What is over the limit of one image is refused below, before it takes any memory.
		pixels = min(int64(config.Width)*int64(config.Height), d.limits.PixelsInFlight)
	}
	if err := d.number.Acquire(ctx, 1); err != nil {
		return err
	}
	defer d.number.Release(1)
	if d.pixels != nil {
		if err := d.pixels.Acquire(ctx, pixels); err != nil {
			return err
		}
		defer d.pixels.Release(pixels)
	}
	return p.ReadImage(m, image)
}

// checkBytes returns an error for the file of an image that is too long.
func (d *Decoders) checkBytes(image []byte) error {
	if size, limit := int64(len(image)), d.limits.ImageBytes; limit > 0 && size > limit {
		return &TooLongError{size, limit}
	}
	return nil
}
