package golden

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// batchSize is how many cases go into one batch.
const batchSize = 32

// How an output was computed; across is the largest difference between the other three.
const (
	alone   = "alone"
	batched = "batched"
	padded  = "padded"
	across  = "across"
)

// Verify computes every case of the pack with model and compares it, stage by stage, with the
// reference. The report lists what differs, and the errors of the model and the preprocessing. The
// error is for a pack that cannot be read or does not suit the model, and for an ended context.
func Verify(ctx context.Context, model Model, pack *Pack) (*Report, error) {
	pipeline := model.Pipeline()
	if pipeline == nil {
		return nil, errors.New(
			"verify: expected a model with a manifest, for how images are prepared, got none")
	}
	if err := pack.checkPreprocessing(pipeline); err != nil {
		return nil, err
	}
	v := &verification{pack: pack, model: model, pipeline: pipeline, stages: newStages(pack)}
	for cases := range slices.Chunk(pack.Cases, batchSize) {
		if err := v.verify(ctx, cases); err != nil {
			return nil, err
		}
	}
	return v.report(), nil
}

type verification struct {
	pack     *Pack
	model    Model
	pipeline *preprocess.Pipeline
	stages   []*stage // in the order of the report
}

// stage is a Stage being filled.
type stage struct {
	Stage
	differences
}

func newStages(pack *Pack) []*stage {
	var stages []*stage
	row := func(name, run, tolerance string) {
		stages = append(stages, &stage{Stage: Stage{
			Name: name, Run: run, Tolerance: pack.Tolerance[tolerance],
			Relative: name == contract.OutputLogits || name == contract.OutputFeatures,
		}})
	}
	row("decode", "", "decode")
	row("resize", "", "resize")
	row("tensor", "", "tensor")
	row("pipeline", "", "tensor")
	for _, output := range pack.Outputs {
		for _, run := range []string{alone, batched, padded, across} {
			row(output, run, output)
		}
	}
	return stages
}

func (v *verification) stage(name, run string) *stage {
	i := slices.IndexFunc(v.stages, func(s *stage) bool { return s.Name == name && s.Run == run })
	return v.stages[i]
}

func (s *stage) fail(name string, err error) {
	s.Errors = append(s.Errors, fmt.Sprintf("%s: %v", name, err))
}

// verify takes as many cases as go into one batch through every stage.
func (v *verification) verify(ctx context.Context, cases []Case) error {
	batch := make([]*references, len(cases))
	for i, c := range cases {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := v.pack.read(c)
		if err != nil {
			return err
		}
		v.preprocessing(r)
		// a batch of these need not stay in memory
		r.image, r.decoded, r.resized = nil, tensor.Tensor{}, tensor.Tensor{}
		batch[i] = r
	}
	answers := map[string][][][]float32{} // by run, case and output
	for _, run := range []string{alone, batched, padded} {
		var err error
		if answers[run], err = v.run(ctx, run, batch); err != nil {
			return err
		}
	}
	for i, r := range batch {
		for o, name := range v.pack.Outputs {
			v.output(r, o, name, answers[alone][i], answers[batched][i], answers[padded][i])
		}
	}
	return nil
}

// preprocessing compares what the preprocessing makes of one case.
func (v *verification) preprocessing(r *references) {
	shape := func(t tensor.Tensor) (height, width int) { return int(t.Shape[0]), int(t.Shape[1]) }
	compare := func(name string, want tensor.Tensor, run func() (*preprocess.Image, error)) {
		s := v.stage(name, "")
		s.Cases++
		got, err := run()
		if err != nil {
			s.fail(r.name, err)
			return
		}
		if h, w := shape(want); got.Height != h || got.Width != w {
			s.fail(r.name, fmt.Errorf("expected %d x %d (height x width), got %d x %d", h, w,
				got.Height, got.Width))
			return
		}
		add(&s.differences, r.name, want.Shape, got.Pix, want.Data.([]uint8), 1)
	}
	reference := func(t tensor.Tensor) *preprocess.Image {
		h, w := shape(t)
		return &preprocess.Image{Width: w, Height: h, Channels: 3, Pix: t.Data.([]uint8)}
	}
	compare("decode", r.decoded, func() (*preprocess.Image, error) {
		return v.pipeline.DecodeImage(r.image)
	})
	compare("resize", r.resized,
		func() (*preprocess.Image, error) { return v.pipeline.ResizeImage(reference(r.decoded)) })

	want := r.tensor.Data.([]float32)
	s := v.stage("tensor", "")
	s.Cases++
	if got, err := v.pipeline.AppendFloat32(nil, reference(r.resized)); err != nil {
		s.fail(r.name, err)
	} else {
		add(&s.differences, r.name, r.tensor.Shape, got, want, 1)
	}

	s = v.stage("pipeline", "")
	s.Cases++
	image, err := v.pipeline.Image(r.image)
	if err != nil {
		s.fail(r.name, err)
		return
	}
	got, err := v.pipeline.AppendFloat32(nil, image)
	if err != nil {
		s.fail(r.name, err)
		return
	}
	add(&s.differences, r.name, r.tensor.Shape, got, want, 1)
}

// run computes the cases' outputs alone, batched or padded. An answer that could not be computed is
// nil and has failed every output of that run. The error is that of an ended context.
func (v *verification) run(ctx context.Context, how string,
	batch []*references) ([][][]float32, error) {
	answers := make([][][]float32, len(batch))
	switch how {
	case alone:
		for i := range batch {
			one := batch[i : i+1]
			if err := v.compute(ctx, how, one, []int{0}, 1, answers[i:i+1]); err != nil {
				return nil, err
			}
		}
		return answers, nil
	case padded:
		rows := make([]int, len(batch))
		for i := range rows {
			// the last case first, a row of zeros before and after each
			rows[i] = 2*(len(batch)-1-i) + 1
		}
		return answers, v.compute(ctx, how, batch, rows, 2*len(batch)+1, answers)
	default:
		rows := make([]int, len(batch))
		for i := range rows {
			rows[i] = i
		}
		return answers, v.compute(ctx, how, batch, rows, len(batch), answers)
	}
}

// compute runs the model once over a batch of size rows, with case i in row rows[i] and zeros
// elsewhere, into answers.
func (v *verification) compute(
	ctx context.Context, how string, batch []*references, rows []int, size int,
	answers [][][]float32,
) error {
	in := v.pack.Input
	height, width := in.Size()
	length := height * width * 3
	data := make([]float32, size*length)
	for i, r := range batch {
		copy(data[rows[i]*length:], r.tensor.Data.([]float32))
	}
	images, err := tensor.New(tensor.Shape{int64(size), int64(height), int64(width), 3}, data)
	if err != nil {
		return err
	}
	out, err := v.model.RunSignature(ctx, v.pack.Signature,
		map[string]tensor.Tensor{in.Name: images})
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	for o, name := range v.pack.Outputs {
		s := v.stage(name, how)
		for i, r := range batch {
			s.Cases++
			if err != nil {
				s.fail(r.name, err)
				continue
			}
			row, wrong := outputRow(out, name, rows[i], size, r.outputs[o].Shape)
			if wrong != nil {
				s.fail(r.name, wrong)
				continue
			}
			if answers[i] == nil {
				answers[i] = make([][]float32, len(v.pack.Outputs))
			}
			answers[i][o] = row
		}
	}
	return nil
}

// outputRow takes one row of the output called name, whose shape must be size rows of the given
// shape.
func outputRow(out map[string]tensor.Tensor, name string, row, size int,
	shape tensor.Shape) ([]float32, error) {
	t, ok := out[name]
	if !ok {
		return nil, fmt.Errorf("expected an output %q, got none", name)
	}
	if want := slices.Concat(tensor.Shape{int64(size)}, shape); !slices.Equal(want, t.Shape) {
		return nil, fmt.Errorf("expected an output of shape %v, got %v", want, t.Shape)
	}
	values, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	length := len(values) / size
	return values[row*length : (row+1)*length], nil
}

// output compares one output of one case, computed alone, batched and padded. Each of these is the
// answers by output, or nil.
func (v *verification) output(r *references, o int, name string, each ...[][]float32) {
	want := r.outputs[o].Data.([]float32)
	shape := r.outputs[o].Shape
	unit := 1.0
	if v.stage(name, alone).Relative {
		unit = largest(want)
	}
	var first []float32
	between := v.stage(name, across)
	between.Cases++
	for i, run := range []string{alone, batched, padded} {
		if each[i] == nil || each[i][o] == nil {
			continue
		}
		got := each[i][o]
		s := v.stage(name, run)
		add(&s.differences, r.name, shape, got, want, unit)
		if len(shape) == 1 {
			s.rank(r.name, got, want, v.pack.Top, unit)
		}
		if first == nil {
			first = got
			continue
		}
		add(&between.differences, r.name, shape, got, first, unit)
	}
}

// rank counts whether the best class and the best k, in their order, are the reference's. Two
// classes may change places where the reference has them within twice the tolerance.
func (s *stage) rank(name string, got, want []float32, k int, unit float64) {
	k = min(k, len(want))
	ranked, err := labels.Top(got, k, nil)
	if err != nil {
		s.fail(name, err)
		return
	}
	wanted, err := labels.Top(want, k, nil)
	if err != nil {
		s.fail(name, fmt.Errorf("reference: %w", err))
		return
	}
	same := 0
	for same < k && ranked[same].Index == wanted[same].Index {
		same++
	}
	if s.Agreement == nil {
		s.Agreement = &Agreement{K: k}
	}
	s.Agreement.Cases++
	if same > 0 {
		s.Agreement.Top1++
	}
	if same == k {
		s.Agreement.TopK++
		return
	}
	for i := same; i < k; i++ {
		g, w := ranked[i].Index, wanted[i].Index
		apart := math.Abs(float64(want[g])-float64(want[w])) / unit
		if g != w && !(apart <= 2*s.Tolerance) {
			s.fail(name, fmt.Errorf("expected class %d in place %d, got class %d", w, i+1, g))
			return
		}
	}
}

// largest is the largest absolute value, or 1 where that is 0.
func largest(values []float32) float64 {
	var largest float64
	for _, v := range values {
		largest = max(largest, math.Abs(float64(v)))
	}
	if largest == 0 {
		return 1
	}
	return largest
}

func (v *verification) report() *Report {
	p := v.pack
	report := &Report{Pack: p.Dir, Reference: p.Reference, Command: p.Command, Versions: p.Versions,
		OK: true}
	report.Cases = len(p.Cases)
	for _, s := range v.stages {
		out := s.Stage
		out.Max, out.Mean, out.P99 = s.max, s.mean(), s.quantile(0.99)
		if s.count == 0 {
			out.Max = math.NaN() // nothing was compared
		} else {
			out.Worst = &s.worst
		}
		out.OK = s.max <= out.Tolerance && !math.IsInf(s.max, 1) && s.count > 0 &&
			len(s.Errors) == 0
		report.OK = report.OK && out.OK
		report.Stages = append(report.Stages, out)
	}
	return report
}
