package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"kerasrun/internal/tfrecord"
	"kerasrun/serve/internal/servingpb"
	"kerasrun/tensor"
)

// WarmupPath is where TensorFlow Serving looks for requests to warm a model up with: TFRecords of
// PredictionLog.
const WarmupPath = "assets.extra/tf_serving_warmup_requests"

const (
	maxWarmupRecords     = 1000 // TensorFlow Serving's
	maxWarmupRecordBytes = 256 << 20
)

// warm runs a new version so that its first request is as quick as later ones. It runs the model's
// own warm-up requests, or one row of zeros where there are none. Then it runs zeros for each
// allowed batch size, or for the largest where all sizes are allowed.
func (s *Server) warm(ctx context.Context, v *version, dir string) (err error) {
	start := time.Now()
	defer func() { s.metrics.warmed(v, dir, time.Since(start), err) }()
	n, err := v.replay(ctx, filepath.Join(dir, filepath.FromSlash(WarmupPath)))
	if err != nil {
		return err
	}
	sig := v.signatures[v.model.SavedModel().DefaultSignature()]
	if sig == nil || sig.batcher == nil {
		return nil
	}
	sizes := slices.Clone(s.config.Batching.AllowedBatchSizes)
	if len(sizes) == 0 {
		sizes = []int{s.config.Batching.MaxBatchSize}
	}
	if n == 0 {
		sizes = append([]int{1}, sizes...)
	}
	for _, rows := range slices.Compact(sizes) {
		in, err := sig.zeros(int64(rows))
		if in == nil || err != nil {
			return err
		}
		began := time.Now()
		if _, err := v.model.RunSignature(ctx, sig.Key, in); err != nil {
			return fmt.Errorf("warm-up with %d rows: %w", rows, err)
		}
		sig.batcher.ObserveRun(time.Since(began), rows)
	}
	return nil
}

// zeros returns inputs of zeros; nil where the signature does not say their sizes, or takes texts.
func (sig *signature) zeros(rows int64) (map[string]tensor.Tensor, error) {
	for _, info := range sig.Inputs {
		if slices.Contains(info.Shape[1:], -1) || info.DType.Size() == 0 {
			return nil, nil
		}
	}
	return sig.ZeroInputs(rows)
}

// replay runs the requests in a file, if there is one, and returns how many there were.
func (v *version) replay(ctx context.Context, path string) (n int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for ; ; n++ {
		record, err := tfrecord.Read(in, maxWarmupRecordBytes)
		if err == io.EOF {
			return n, nil
		}
		if err == nil && n == maxWarmupRecords {
			err = fmt.Errorf("expected at most %d records", maxWarmupRecords)
		}
		if err == nil {
			err = v.replayRecord(ctx, record)
		}
		if err != nil {
			return n, fmt.Errorf("%s: record %d: %w", path, n, err)
		}
	}
}

func (v *version) replayRecord(ctx context.Context, record []byte) error {
	var log servingpb.PredictionLog
	if err := proto.Unmarshal(record, &log); err != nil {
		return err
	}
	request := log.GetPredictLog().GetRequest()
	if request == nil {
		return errors.New("expected a PredictionLog with a predict_log, got another or none")
	}
	sig, err := v.signature(request.GetModelSpec().GetSignatureName())
	if err != nil {
		return err
	}
	in := map[string]tensor.Tensor{}
	held := &account{memory: newMemory(4 * maxWarmupRecordBytes)}
	for name, t := range request.Inputs {
		if in[name], err = readTensorProto(t, held); err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
	}
	if err := sig.check(in, ""); err != nil {
		return err
	}
	_, err = v.model.RunSignature(ctx, sig.Key, in)
	return err
}
