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
	for name, t := range request.Inputs {
		if in[name], err = protoTensor(t); err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
	}
	if err := sig.check(in, ""); err != nil {
		return err
	}
	_, err = v.model.RunSignature(ctx, sig.Key, in)
	return err
}

// protoTensor reads a TensorProto: tensor_content, or values of the type, of which the last stands
// for all that are missing.
func protoTensor(p *servingpb.TensorProto) (tensor.Tensor, error) {
	dtype, shape := tensor.DType(p.GetDtype()), tensor.Shape{}
	if p.GetTensorShape().GetUnknownRank() {
		shape = nil
	}
	for _, dim := range p.GetTensorShape().GetDim() {
		shape = append(shape, dim.GetSize())
	}
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	if n > maxWarmupRecordBytes {
		return tensor.Tensor{}, fmt.Errorf("expected at most %d elements, got shape %v",
			maxWarmupRecordBytes, shape)
	}
	if len(p.GetTensorContent()) > 0 {
		return tensor.FromBytes(dtype, shape, p.GetTensorContent())
	}
	switch dtype {
	case tensor.Float32:
		return filled(shape, n, p.GetFloatVal())
	case tensor.Float64:
		return filled(shape, n, p.GetDoubleVal())
	case tensor.Int64:
		return filled(shape, n, p.GetInt64Val())
	case tensor.Int32:
		return filled(shape, n, p.GetIntVal())
	case tensor.Uint8:
		return filled(shape, n, narrowed[uint8](p.GetIntVal()))
	case tensor.Int8:
		return filled(shape, n, narrowed[int8](p.GetIntVal()))
	case tensor.Int16:
		return filled(shape, n, narrowed[int16](p.GetIntVal()))
	case tensor.Uint16:
		return filled(shape, n, narrowed[uint16](p.GetIntVal()))
	case tensor.Uint32:
		return filled(shape, n, p.GetUint32Val())
	case tensor.Uint64:
		return filled(shape, n, p.GetUint64Val())
	case tensor.Bool:
		return filled(shape, n, p.GetBoolVal())
	case tensor.String:
		return filled(shape, n, p.GetStringVal())
	case tensor.Float16, tensor.Bfloat16:
		t, err := filled(shape, n, narrowed[uint16](p.GetHalfVal()))
		t.DType = dtype
		return t, err
	}
	return tensor.Tensor{}, fmt.Errorf("no tensor of %v can be held", dtype)
}

func narrowed[To int8 | int16 | uint8 | uint16](wide []int32) []To {
	out := make([]To, len(wide))
	for i, v := range wide {
		out[i] = To(v)
	}
	return out
}

// filled makes a tensor of n elements from values, repeating the last, or of zeros where there are
// none.
func filled[T tensor.Element](shape tensor.Shape, n int64, values []T) (tensor.Tensor, error) {
	if int64(len(values)) > n {
		return tensor.Tensor{}, fmt.Errorf("shape %v takes %d elements, got %d", shape, n,
			len(values))
	}
	data := make([]T, n)
	m := copy(data, values)
	for i := m; m > 0 && i < len(data); i++ {
		data[i] = values[m-1]
	}
	return tensor.New(shape, data)
}
