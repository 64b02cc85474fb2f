package golden

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"kerasrun/contract"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// Verify computes every case of the pack with model and compares it, stage by stage, with the
// reference. The report lists what differs, and the errors of the model and the preprocessing. The
// error is for a pack that cannot be read or does not suit the model ([*ContractError]), and for an
// ended context.
func Verify(ctx context.Context, model Model, pack *Pack) (*Report, error) {
	began := time.Now()
	manifest := model.SavedModel().Manifest
	if manifest == nil {
		return nil, errors.New(
			"verify: expected a model with a manifest, for how images are prepared, got none")
	}
	if err := pack.CheckContract(manifest); err != nil {
		return nil, err
	}
	v := &verification{pack: pack, model: model}
	if in := pack.image(); in != nil {
		var err error
		if v.pipeline, err = in.Pipeline(); err != nil {
			return nil, fmt.Errorf("%s: %w", pack.Dir, err)
		}
	}
	for _, in := range pack.Inputs {
		v.inputs = append(v.inputs, in.Name)
	}
	for _, name := range pack.Outputs {
		v.outputs = append(v.outputs, *manifest.Output(pack.Signature, name))
	}
	v.newStages()
	for cases := pack.Cases; len(cases) > 0; {
		batch, err := v.read(ctx, cases)
		if err == nil {
			err = v.verify(ctx, batch)
		}
		if err != nil {
			return nil, err
		}
		cases = cases[len(batch):]
	}
	if pack.MinTop1 > 0 && !slices.ContainsFunc(v.stages, func(s *stage) bool {
		return s.Agreement != nil
	}) {
		return nil, fmt.Errorf("%s: expected an output of classes, whose top-1 agreement can be "+
			"demanded, got %q", pack.Dir, pack.Outputs)
	}
	report := v.report()
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

type verification struct {
	pack     *Pack
	model    Model
	pipeline *preprocess.Pipeline // of the input of images, nil where there is none
	inputs   []string
	outputs  []contract.Output // as the manifest has those of the pack, in their order
	stages   []*stage          // in the order of the report
}

// stage is a Stage being filled.
type stage struct {
	Stage
	differences
	failed []caseError
}

// caseError is an error of one case.
type caseError struct{ name, reason string }

func (v *verification) newStages() {
	row := func(name, run, tolerance string, relative bool) {
		v.stages = append(v.stages, &stage{Stage: Stage{
			Name: name, Run: run, Tolerance: v.pack.Tolerance[tolerance], Relative: relative,
		}})
	}
	if v.pipeline != nil {
		row("decode", "", "decode", false)
		row("resize", "", "resize", false)
		row("tensor", "", "tensor", false)
		row("pipeline", "", "tensor", false)
	}
	for _, o := range v.outputs {
		for _, run := range []string{alone, batched, padded, across} {
			row(o.Name, run, o.Name, v.pack.relative(o))
		}
	}
}

// relative says whether an output's tolerance is of a case's largest value. Format 2 has found what
// that is for all cases together, so that a case near zero has the same.
func (p *Pack) relative(o contract.Output) bool {
	return p.Format == 1 && !slices.Contains(
		[]string{contract.Probabilities, contract.Binary, contract.Multilabel}, o.Kind)
}

// unit is what a case's differences are divided by.
func (p *Pack) unit(o contract.Output, want tensor.Tensor) (float64, error) {
	if !p.relative(o) {
		return 1, nil
	}
	values, err := numbers(want)
	if err != nil {
		return 0, err
	}
	var largest float64
	for _, v := range values {
		if v = math.Abs(v); !math.IsInf(v, 1) { // relative to which nothing would differ
			largest = max(largest, v)
		}
	}
	// Logits and embeddings are never near zero as a whole; of other numbers nothing is known.
	if largest == 0 || o.Kind != contract.Logits && o.Kind != contract.Embedding {
		largest = max(largest, 1)
	}
	return largest, nil
}

func (v *verification) stage(name, run string) *stage {
	i := slices.IndexFunc(v.stages, func(s *stage) bool { return s.Name == name && s.Run == run })
	return v.stages[i]
}

func (s *stage) fail(name string, err error) {
	s.failed = append(s.failed, caseError{name, err.Error()})
	s.Errors = append(s.Errors, fmt.Sprintf("%s: %v", name, err))
}

// compare counts the differences of one case.
func (s *stage) compare(name string, got, want tensor.Tensor, unit float64) {
	if err := addTensors(&s.differences, name, got, want, unit); err != nil {
		s.fail(name, err)
	}
}

// read reads the first of cases, as many as are taken at a time, and takes them through the stages
// before the model.
func (v *verification) read(ctx context.Context, cases []Case) (batch []*references, err error) {
	held := int64(0)
	for _, c := range cases[:min(len(cases), batchSize)] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := v.pack.read(c)
		if err != nil {
			return nil, err
		}
		if v.pipeline != nil {
			v.preprocessing(r)
		}
		// a batch of these need not stay in memory
		r.image, r.decoded, r.resized, r.tensor = nil, tensor.Tensor{}, tensor.Tensor{},
			tensor.Tensor{}
		batch = append(batch, r)
		if held += r.bytes(); held > batchBytes {
			break
		}
	}
	return batch, nil
}

// verify takes cases that were read through the model.
func (v *verification) verify(ctx context.Context, batch []*references) error {
	for _, group := range groups(batch, v.inputs) {
		computed := make([]answers, 3)
		for i, how := range []string{alone, batched, padded} {
			var err error
			if computed[i], err = v.run(ctx, how, group); err != nil {
				return err
			}
		}
		for i, r := range group {
			for o := range v.outputs {
				v.output(r, o, computed[0][i][o], computed[1][i][o], computed[2][i][o])
			}
		}
	}
	return nil
}

// preprocessing compares what the preprocessing makes of one case.
func (v *verification) preprocessing(r *references) {
	compare := func(name string, want tensor.Tensor, made func() (tensor.Tensor, error)) {
		s := v.stage(name, "")
		s.Cases++
		got, err := made()
		if err != nil {
			s.fail(r.name, err)
			return
		}
		s.compare(r.name, got, want, 1)
	}
	compare("decode", r.decoded, func() (tensor.Tensor, error) {
		return pixels(v.pipeline.DecodeImage(r.image))
	})
	compare("resize", r.resized, func() (tensor.Tensor, error) {
		if v.pipeline.Resize.Fit == preprocess.NoFit {
			return r.decoded, nil
		}
		return pixels(v.pipeline.ResizeImage(imageOf(r.decoded)))
	})
	compare("tensor", r.tensor, func() (tensor.Tensor, error) {
		return v.pipeline.Tensor(imageOf(r.resized))
	})
	compare("pipeline", r.tensor, func() (tensor.Tensor, error) {
		image, err := v.pipeline.Image(r.image)
		if err != nil {
			return tensor.Tensor{}, err
		}
		return v.pipeline.Tensor(image)
	})
}

// pixels returns an image as a tensor of (height, width, channels).
func pixels(m *preprocess.Image, err error) (tensor.Tensor, error) {
	if err != nil {
		return tensor.Tensor{}, err
	}
	shape := tensor.Shape{int64(m.Height), int64(m.Width), int64(m.Channels)}
	if len(m.Values) > 0 {
		return tensor.New(shape, m.Values)
	}
	return tensor.New(shape, m.Pix)
}

// imageOf is the inverse of pixels.
func imageOf(t tensor.Tensor) *preprocess.Image {
	m := &preprocess.Image{Height: int(t.Shape[0]), Width: int(t.Shape[1]),
		Channels: int(t.Shape[2])}
	switch data := t.Data.(type) {
	case []float32:
		m.Values = data
	case []uint8:
		m.Pix = data
	}
	return m
}

// output compares one output of one case, computed alone, batched and padded.
func (v *verification) output(r *references, o int, computed ...tensor.Tensor) {
	output, want := v.outputs[o], r.outputs[o]
	between := v.stage(output.Name, across)
	between.Cases++
	unit, err := v.pack.unit(output, want)
	if err != nil {
		between.fail(r.name, err)
		return
	}
	var first *tensor.Tensor
	for i, run := range []string{alone, batched, padded} {
		got := computed[i]
		if got.Data == nil {
			continue
		}
		s := v.stage(output.Name, run)
		s.compare(r.name, got, want, unit)
		s.agree(output, r.name, got, want, v.pack.Top, unit)
		if first == nil {
			first = &got
			continue
		}
		between.compare(r.name, got, *first, unit)
	}
}

func (v *verification) report() *Report {
	p := v.pack
	report := &Report{Pack: p.Dir, Reference: p.Reference, ReferenceKind: p.ReferenceKind,
		Command: p.Command, Versions: p.Versions, Cases: len(p.Cases), OK: true}
	for _, s := range v.stages {
		s.Max, s.Mean, s.P99 = s.max, s.mean(), s.quantile(0.99)
		if s.count == 0 {
			s.Max = math.NaN() // nothing was compared
		} else {
			s.Worst = &s.worst
		}
		if a := s.Agreement; a != nil && a.share() < p.MinTop1 {
			s.Errors = append(s.Errors, fmt.Sprintf("expected the reference's class for %v of the "+
				"%s or more, got it for %d of %d", p.MinTop1, a.counted(), a.Top1, a.Cases))
		}
		s.OK = s.within() && len(s.Errors) == 0
		report.OK = report.OK && s.OK
		report.Stages = append(report.Stages, s.Stage)
	}
	if !report.OK {
		report.Diagnosis = v.diagnosis()
	}
	faults := v.faults()
	for _, c := range p.Cases {
		report.Images = append(report.Images, CaseReport{c.Name, faults[c.Name]})
	}
	return report
}

// faults are those of each case in all stages, by its name.
func (v *verification) faults() map[string][]string {
	faults := map[string][]string{}
	for _, s := range v.stages {
		for _, c := range s.cases {
			if !(c.max <= s.Tolerance) || math.IsInf(c.max, 1) {
				faults[c.name] = append(faults[c.name], fmt.Sprintf(
					"%s: differs by %.3g, tolerance %s", s.label(), c.max, s.tolerance()))
			}
		}
		for _, e := range s.failed {
			faults[e.name] = append(faults[e.name], s.label()+": "+e.reason)
		}
	}
	return faults
}

// within says whether something was compared, and did not differ by more than the tolerance.
func (s *stage) within() bool {
	return s.count > 0 && s.max <= s.Tolerance && !math.IsInf(s.max, 1)
}
