package serve

import (
	"cmp"
	"context"
	"strconv"

	"kerasrun/classify"
)

// Answer says of an image what POST /classify says, for the program's own routes: the image joins
// the batches of other requests, within the same limits, and counts in the metrics. An empty name
// is the first model of the Config; top bounds the classes of probabilities. Every error is an
// *Error, whose Status says whose fault it was.
func (s *Server) Answer(ctx context.Context, model string, top int, image []byte) (
	answer classify.Answer, err error,
) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(ctx, p)
		}
		if err != nil {
			answer, err = classify.Answer{}, asError(err)
		}
	}()
	if top < 1 {
		return answer, errorTop(strconv.Itoa(top))
	}
	held := &account{memory: s.memory}
	defer held.free()
	if err := held.take(int64(len(image))); err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Deadline)
	defer cancel()
	c := choice{model: cmp.Or(model, s.config.Models[0].Name)}
	err = s.withVersion(ctx, protocolAnswer, c, func(v *version) (took timing, err error) {
		answer, took, err = s.answerImage(ctx, v, top, image)
		return took, err
	})
	return answer, err
}
