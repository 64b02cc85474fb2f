package serve

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"kerasrun/batch"
	"kerasrun/tensor"
)

// timing says where a request's time went.
type timing struct {
	Preprocess time.Duration // decoding images
	Queue      time.Duration // waiting for the run
	Inference  time.Duration // in the run
	Batch      int           // rows of the run
	Output     time.Duration // writing the answer
	Hit, Miss  time.Duration // in the cache: finding an answer, or looking and keeping one
	ran        time.Time     // when the run had ended
}

// add adds another run of the same request, which came after.
func (t *timing) add(part timing) {
	t.Preprocess += part.Preprocess
	t.Queue += part.Queue
	t.Inference += part.Inference
	t.Batch = max(t.Batch, part.Batch)
	t.Hit += part.Hit
	t.Miss += part.Miss
	t.ran = part.ran
}

// header writes the timing as the standard header, in milliseconds.
func (t timing) header(h http.Header) {
	h.Set("Server-Timing", fmt.Sprintf("preprocess;dur=%.3f, queue;dur=%.3f, inference;dur=%.3f",
		milliseconds(t.Preprocess), milliseconds(t.Queue), milliseconds(t.Inference)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// run answers one request to a signature, whatever its protocol. Images become tensors, every
// tensor is checked against the signature, and the rows join a batch.
func (s *Server) run(ctx context.Context, v *version, sig *signature,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, timing, error) {
	ctx, span := startSpan(ctx, "run", v, sig)
	defer span.End()
	out, took, err := s.runCached(ctx, v, sig, in)
	if err == nil && sig.watched != nil {
		o := sig.watched
		fault := s.metrics.predicted(v, o, v.labels[outputKey{sig.Key, o.Name}], out[o.Name])
		if fault != nil {
			s.logger(ctx).Warn("the classes of an answer are not counted", "error", fault)
		}
	}
	took.ran = time.Now()
	s.reportDeath(ctx, v, sig, err)
	endSpan(span, took, err)
	return out, took, err
}

func (s *Server) runSpanned(ctx context.Context, v *version, sig *signature,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, timing, error) {
	var took timing
	if err := v.down(); err != nil {
		return nil, took, err
	}
	if err := sig.checkRows(s.config.Limits.Rows, in); err != nil {
		return nil, took, err
	}
	var place *batch.Reservation // nil: none is needed, or not yet
	pixels := ""                 // the input that was made of images
	if image, ok := in[v.imageInput]; ok && sig.takesImages(v, image) {
		if groups, err := v.separate(image); err != nil || groups != nil {
			return s.runGroups(ctx, v, sig, groups, err)
		}
		var err error
		// The place is reserved first: decoding what is then refused would waste the cores.
		if place, err = sig.reserve(image); err != nil {
			return nil, took, err
		}
		if place != nil {
			defer place.Release()
		}
		start := time.Now()
		decoded, free, err := s.decodeImages(ctx, v, image)
		defer free()
		if err != nil {
			return nil, took, err
		}
		pixels = v.imageInput
		in[pixels], took.Preprocess = decoded, time.Since(start)
		s.metrics.preprocessed(v, took.Preprocess)
	}
	if err := v.checkFiles(ctx, in); err != nil {
		return nil, took, err
	}
	if err := sig.check(in, pixels); err != nil {
		return nil, took, err
	}
	if sig.batcher == nil {
		start := time.Now()
		out, err := sig.run(ctx, in)
		took.Inference = time.Since(start)
		v.observe(batch.Observation{Rows: 1, Compute: took.Inference, Err: err})
		return out, took, err
	}
	if place == nil {
		var err error
		if place, err = sig.batcher.Reserve(int(in[sig.inputs[0]].Shape[0])); err != nil {
			return nil, took, err
		}
	}
	place.Priority = priorityOf(ctx)
	r, err := place.Run(ctx, in)
	took.Queue, took.Inference, took.Batch = r.Queue, r.Compute, r.Batch
	return r.Outputs, took, err
}

// checkRows is an error for a request of more rows than may be. Its images are rows, whatever their
// shape.
func (sig *signature) checkRows(limit int, in map[string]tensor.Tensor) error {
	for name, t := range in {
		if sig.batcher == nil || len(t.Shape) == 0 {
			continue
		}
		rows := t.Shape[0]
		if images, ok := t.Data.([][]byte); ok {
			rows = max(rows, int64(len(images)))
		}
		if rows > int64(limit) {
			return &Error{Code: codes.InvalidArgument, HTTP: http.StatusRequestEntityTooLarge,
				Err: fmt.Errorf("input %q: expected at most %d rows a request, got %d", name,
					limit, rows)}
		}
	}
	return nil
}

// reserve takes a place in the queue for images; nil where there is no queue, or there are no
// images, which is an error later.
func (sig *signature) reserve(images tensor.Tensor) (*batch.Reservation, error) {
	n, err := images.Shape.Elements()
	if sig.batcher == nil || err != nil || n < 1 {
		return nil, nil
	}
	return sig.batcher.Reserve(int(n))
}

// checkAdmission returns an error where even a request of one row would be refused now. It is asked
// before a long body is parsed.
func (v *version) checkAdmission(sig *signature) error {
	if err := v.down(); err != nil {
		return err
	}
	if sig.batcher == nil {
		return nil
	}
	if err := sig.batcher.CheckAdmission(1); err != nil {
		return asError(err) // not the client's fault
	}
	return nil
}

// takesImages says whether bytes came for an input that is made from images.
func (sig *signature) takesImages(v *version, t tensor.Tensor) bool {
	return v.images != nil && v.images.Decodes() && t.DType == tensor.String &&
		sig.Inputs[v.imageInput].DType != tensor.String
}

// checkFiles holds the files of images that the graph decodes to the limit of an image.
func (v *version) checkFiles(ctx context.Context, in map[string]tensor.Tensor) error {
	files, ok := in[v.imageInput].Data.([][]byte)
	if !ok || v.images == nil || v.images.Decodes() {
		return nil
	}
	_, err := v.images.Decode(ctx, files)
	return imageError(len(files), err)
}

// check compares the inputs with the signature. The input called pixels, if any, holds what was
// decoded here and not what the signature takes.
func (sig *signature) check(in map[string]tensor.Tensor, pixels string) error {
	for name := range in {
		if _, ok := sig.Inputs[name]; !ok {
			return errorf(codes.InvalidArgument, "unexpected input %q; signature %q takes %v", name,
				sig.Key, sig.inputs)
		}
	}
	rows := int64(-1)
	for _, name := range sig.inputs {
		t, ok := in[name]
		if !ok {
			return errorf(codes.InvalidArgument, "missing input %q; signature %q takes %v", name,
				sig.Key, sig.inputs)
		}
		info := sig.Inputs[name]
		if name != pixels {
			if t.DType != info.DType {
				return errorf(codes.InvalidArgument, "input %q: expected %v, got %v", name,
					info.DType, t.DType)
			}
			if err := info.Shape.Accepts(t.Shape); err != nil {
				return errorf(codes.InvalidArgument, "input %q: %w", name, err)
			}
		}
		if err := t.Validate(); err != nil {
			return errorf(codes.InvalidArgument, "input %q: %w", name, err)
		}
		if sig.batcher == nil {
			continue
		}
		if t.Shape[0] < 1 {
			return errorf(codes.InvalidArgument,
				"input %q: expected one or more rows, got shape %v", name, t.Shape)
		}
		if rows >= 0 && t.Shape[0] != rows {
			return errorf(codes.InvalidArgument,
				"input %q: expected %d rows like the inputs before, got %d", name, rows, t.Shape[0])
		}
		rows = t.Shape[0]
	}
	return nil
}
