package serve

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Limits bound what clients can make a server do. A zero is an error; DefaultLimits are meant to be
// changed.
type Limits struct {
	Body int64 // bytes of a request's body, and of what it unpacks to: 413 beyond
	// bytes of all requests that are being answered, reserved before they are taken: bodies as sent
	// and unpacked, the tensors read from them, and the pixels made of images; 503 beyond
	InFlight       int64
	Image          int64         // bytes of one image: 413 beyond
	Pixels         int           // width x height of one image: 422 beyond
	PixelsInFlight int64         // of all images that are being decoded; the others wait
	Decoders       int           // images decoded at a time; the others wait
	Rows           int           // of one request: 413 beyond
	Deadline       time.Duration // from a request's arrival to its answer: 504 beyond

	ReadHeader  time.Duration // to send a request's header
	Read        time.Duration // to send a request
	Idle        time.Duration // between two requests of a connection
	HeaderBytes int
	// of each listener; on further ones only probes are answered, and others over gRPC wait to be
	// accepted
	Connections int
	// requests of HTTP/2, and calls of gRPC, that are being answered on all connections of their
	// listener: each connection may have 250; beyond the limit a stream is refused
	Streams int
}

// DefaultLimits returns limits for images of usual sizes and a machine of usual size.
func DefaultLimits() Limits {
	return Limits{
		Body:           64 << 20,
		InFlight:       1 << 30,
		Image:          20 << 20,
		Pixels:         1 << 26, // 67 MP: a telephone's photographs
		PixelsInFlight: 1 << 26,
		Decoders:       runtime.GOMAXPROCS(0),
		Rows:           8192,
		Deadline:       30 * time.Second,
		ReadHeader:     5 * time.Second,
		Read:           30 * time.Second,
		Idle:           60 * time.Second,
		HeaderBytes:    64 << 10,
		Connections:    2048,
		Streams:        4096,
	}
}

// PixelBytes is what decoding an image takes at most for each of its pixels.
const PixelBytes = 10

// WithPixelsFor returns the limits with fewer pixels of an image where decoding it would take more
// than half of so many bytes, but 16 megapixels at least.
func (l Limits) WithPixelsFor(total int64) Limits {
	l.Pixels = max(min(l.Pixels, 1<<24), min(l.Pixels, int(total/2/PixelBytes)))
	return l
}

// LeastMemory returns the smallest total for WithMemory: that of an image that is decoded, and of a
// body while it moves to more memory.
func (l Limits) LeastMemory() int64 {
	return PixelBytes*int64(l.Pixels) + 2*l.Body
}

// WithMemory returns the limits with InFlight and PixelsInFlight such that requests take so many
// bytes in all. At most half is for images that are being decoded, but always enough for one.
func (l Limits) WithMemory(total int64) (Limits, error) {
	if least := l.LeastMemory(); total < least {
		return l, fmt.Errorf("limit of memory: expected at least the %d bytes that one image and "+
			"one body at their limits take, got %d", least, total)
	}
	l.PixelsInFlight = max(int64(l.Pixels), min(DefaultLimits().PixelsInFlight,
		total/2/PixelBytes))
	l.InFlight = total - PixelBytes*l.PixelsInFlight
	return l, nil
}

// Validate returns everything that is wrong with the limits.
func (l Limits) Validate() error {
	var faults []error
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"body", l.Body},
		{"bytes in flight", l.InFlight},
		{"image", l.Image},
		{"pixels", int64(l.Pixels)},
		{"pixels in flight", l.PixelsInFlight},
		{"decoders", int64(l.Decoders)},
		{"rows", int64(l.Rows)},
		{"deadline", int64(l.Deadline)},
		{"read header", int64(l.ReadHeader)},
		{"read", int64(l.Read)},
		{"idle", int64(l.Idle)},
		{"header bytes", int64(l.HeaderBytes)},
		{"connections", int64(l.Connections)},
		{"streams", int64(l.Streams)},
	} {
		if limit.value <= 0 {
			faults = append(faults, fmt.Errorf("limit of %s: expected more than 0, got %d",
				limit.name, limit.value))
		}
	}
	if l.PixelsInFlight < int64(l.Pixels) {
		faults = append(faults,
			fmt.Errorf("limit of pixels in flight: expected at least those of one image, "+
				"%d, got %d",
				l.Pixels, l.PixelsInFlight))
	}
	return errors.Join(faults...)
}
