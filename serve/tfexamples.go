package serve

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"kerasrun/contract"
	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// The methods of signatures that take examples.
const (
	methodClassify = "tensorflow/serving/classify"
	methodRegress  = "tensorflow/serving/regress"
)

func (p *predictionService) Classify(ctx context.Context, r *tfserving.ClassificationRequest) (
	answer *tfserving.ClassificationResponse, err error) {
	held := &account{memory: p.server.memory}
	defer held.free()
	err = p.server.withSpec(ctx, protocolClassifyGRPC, r.ModelSpec,
		func(v *version) (timing, error) {
			result, took, err := p.server.classifyExamples(ctx, v, signatureKey(r.ModelSpec),
				r.Input, held)
			answer = &tfserving.ClassificationResponse{Result: result,
				ModelSpec: v.spec(r.ModelSpec.SignatureName)}
			return took, err
		})
	return answer, err
}

func (p *predictionService) Regress(ctx context.Context, r *tfserving.RegressionRequest) (
	answer *tfserving.RegressionResponse, err error) {
	held := &account{memory: p.server.memory}
	defer held.free()
	err = p.server.withSpec(ctx, protocolRegressGRPC, r.ModelSpec,
		func(v *version) (timing, error) {
			result, took, err := p.server.regressExamples(ctx, v, signatureKey(r.ModelSpec), r.Input,
				held)
			answer = &tfserving.RegressionResponse{Result: result,
				ModelSpec: v.spec(r.ModelSpec.SignatureName)}
			return took, err
		})
	return answer, err
}

func (p *predictionService) MultiInference(ctx context.Context,
	r *tfserving.MultiInferenceRequest) (*tfserving.MultiInferenceResponse, error) {
	if len(r.Tasks) == 0 {
		return nil, errorf(codes.InvalidArgument, "MultiInferenceRequest: expected tasks, got none")
	}
	held := &account{memory: p.server.memory}
	defer held.free()
	answer := &tfserving.MultiInferenceResponse{}
	err := p.server.withSpec(ctx, protocolMultiGRPC, r.Tasks[0].ModelSpec,
		func(v *version) (whole timing, err error) {
			if err := checkTasks(r.Tasks); err != nil {
				return whole, err
			}
			for _, task := range r.Tasks {
				result, took, err := p.server.inferTask(ctx, v, task, r.Input, held)
				whole.add(took)
				if err != nil {
					return whole, err
				}
				answer.Results = append(answer.Results, result)
			}
			return whole, nil
		})
	return answer, err
}

// checkTasks holds that tasks are of one model, and each of a signature of its own.
func checkTasks(tasks []*tfserving.InferenceTask) error {
	seen := map[string]bool{}
	for _, task := range tasks {
		name, key := task.GetModelSpec().GetName(), signatureKey(task.GetModelSpec())
		switch {
		case name == "":
			return errorf(codes.InvalidArgument, "Found ModelSpec with an empty model name.")
		case name != tasks[0].GetModelSpec().GetName():
			return errorf(codes.InvalidArgument,
				"All ModelSpecs in a MultiInferenceRequest must access the same model name.")
		case !proto.Equal(task.ModelSpec.GetVersion(), tasks[0].ModelSpec.GetVersion()),
			task.ModelSpec.GetVersionLabel() != tasks[0].ModelSpec.GetVersionLabel():
			return errorf(codes.InvalidArgument,
				"All ModelSpecs in a MultiInferenceRequest must access the same version.")
		case seen[key]:
			return errorf(codes.InvalidArgument, "Duplicate evaluation of signature: %.100s", key)
		}
		seen[key] = true
	}
	return nil
}

func (s *Server) inferTask(ctx context.Context, v *version, task *tfserving.InferenceTask,
	input *tfserving.Input, held *account) (*tfserving.InferenceResult, timing, error) {
	answer := &tfserving.InferenceResult{ModelSpec: v.spec(task.ModelSpec.SignatureName)}
	key := signatureKey(task.ModelSpec)
	switch task.MethodName {
	case methodClassify:
		result, took, err := s.classifyExamples(ctx, v, key, input, held)
		answer.Result = &tfserving.InferenceResult_ClassificationResult{ClassificationResult: result}
		return answer, took, err
	case methodRegress:
		result, took, err := s.regressExamples(ctx, v, key, input, held)
		answer.Result = &tfserving.InferenceResult_RegressionResult{RegressionResult: result}
		return answer, took, err
	}
	return nil, timing{}, errorf(codes.Unimplemented, "Unsupported signature method_name: %.100s",
		task.MethodName)
}

// classifyExamples answers with a signature for classify, or, where a model takes images, with the
// classes of the image that each example has.
func (s *Server) classifyExamples(ctx context.Context, v *version, key string,
	input *tfserving.Input, held *account) (*tfserving.ClassificationResult, timing, error) {
	sig, images, err := v.exampleSignature(key, methodClassify, "classification")
	if err != nil {
		return nil, timing{}, err
	}
	if !images {
		out, took, err := s.runExamples(ctx, v, sig, input, held)
		if err != nil {
			return nil, took, err
		}
		result, err := classesOf(out, inputExamples(input))
		return result, took, err
	}
	output, err := v.answer(sig)
	if err != nil {
		return nil, timing{}, err
	}
	if !output.HasClasses() {
		return nil, timing{}, errorf(codes.InvalidArgument, "output %q: expected classes, which "+
			"classify is for, got %s: use predict", output.Name, output.Kind)
	}
	values, took, err := s.exampleRows(ctx, v, sig, input, held)
	if err != nil {
		return nil, took, err
	}
	result := &tfserving.ClassificationResult{}
	for i, value := range values {
		classes, err := allClasses(output, v.labels[outputKey{sig.Key, output.Name}], value)
		if err != nil {
			return nil, took, fmt.Errorf("example %d: %w", i, err)
		}
		row := &tfserving.Classifications{}
		for _, p := range classes {
			label := p.Name
			if label == "" {
				label = strconv.Itoa(p.Index) // they are not in the order of their numbers
			}
			row.Classes = append(row.Classes, &tfserving.Class{Label: label, Score: p.Probability})
		}
		result.Classifications = append(result.Classifications, row)
	}
	return result, took, nil
}

// regressExamples answers with a signature for regress, or, where a model takes images, with the
// one number that it gives the image of each example.
func (s *Server) regressExamples(ctx context.Context, v *version, key string,
	input *tfserving.Input, held *account) (*tfserving.RegressionResult, timing, error) {
	sig, images, err := v.exampleSignature(key, methodRegress, "regression")
	if err != nil {
		return nil, timing{}, err
	}
	if !images {
		out, took, err := s.runExamples(ctx, v, sig, input, held)
		if err != nil {
			return nil, took, err
		}
		result, err := regressionsOf(out["outputs"], inputExamples(input))
		return result, took, err
	}
	output, err := v.answer(sig)
	if err != nil {
		return nil, timing{}, err
	}
	if output.Kind != contract.Regression {
		return nil, timing{}, errorf(codes.InvalidArgument, "output %q: expected a regression, "+
			"which regress is for, got %s: use predict", output.Name, output.Kind)
	}
	rows, took, err := s.exampleRows(ctx, v, sig, input, held)
	if err != nil {
		return nil, took, err
	}
	result := &tfserving.RegressionResult{}
	for _, row := range rows {
		values, err := row.ConvertFloat32()
		if err != nil {
			return nil, took, err
		}
		if len(values) != 1 {
			return nil, took, errorf(codes.InvalidArgument, "output %q: expected one number an "+
				"example, got %d: use predict", output.Name, len(values))
		}
		result.Regressions = append(result.Regressions, &tfserving.Regression{Value: values[0]})
	}
	return result, took, nil
}

// exampleSignature returns the signature called key, and whether images answer in the place of
// examples: where it has another method, and the model takes images.
func (v *version) exampleSignature(key, method, what string) (sig *signature, images bool,
	err error) {
	sig, ok := v.signatures[key]
	if !ok {
		return nil, false, errorf(codes.InvalidArgument,
			"No signature was found with the name: %.100s", key)
	}
	if sig.Method != method {
		if v.images == nil {
			return nil, false, errorf(codes.InvalidArgument,
				"Expected %s signature method_name to be %s. Was: %s", what, method, sig.Method)
		}
		return sig, true, nil
	}
	if len(sig.inputs) != 1 || sig.Inputs["inputs"].DType != tensor.String {
		return nil, false, errorf(codes.FailedPrecondition,
			"signature %q: expected one input, the strings \"inputs\", got %v", key, sig.inputs)
	}
	return sig, false, nil
}

// inputExamples are the examples of an input, in the one form or the other.
func inputExamples(input *tfserving.Input) []*tfserving.Example {
	if list := input.GetExampleList(); list != nil {
		return list.Examples
	}
	return input.GetExampleListWithContext().GetExamples()
}

// runExamples runs a signature that takes serialized examples. An example's own features replace
// those of the context.
func (s *Server) runExamples(ctx context.Context, v *version, sig *signature,
	input *tfserving.Input, held *account) (map[string]tensor.Tensor, timing, error) {
	examples := inputExamples(input)
	if len(examples) == 0 {
		return nil, timing{}, errorf(codes.InvalidArgument, "Input is empty.")
	}
	common := input.GetExampleListWithContext().GetContext()
	shared := proto.Size(common)
	serialized := make([][]byte, len(examples))
	for i, example := range examples {
		size := shared + proto.Size(example)
		if err := held.take(int64(size)); err != nil {
			return nil, timing{}, err
		}
		text, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 0, size), common)
		if err == nil {
			serialized[i], err = proto.MarshalOptions{}.MarshalAppend(text, example)
		}
		if err != nil {
			return nil, timing{}, fmt.Errorf("example %d: %w", i, err)
		}
	}
	t, err := tensor.New(tensor.Shape{int64(len(serialized))}, serialized)
	if err != nil {
		return nil, timing{}, err
	}
	return s.run(ctx, v, sig, map[string]tensor.Tensor{"inputs": t})
}

// classesOf reads the answer of a signature for classify: "classes", "scores", or both.
func classesOf(out map[string]tensor.Tensor, examples []*tfserving.Example) (
	*tfserving.ClassificationResult, error) {
	classes, hasClasses := out["classes"]
	scores, hasScores := out["scores"]
	var labels [][]byte
	var values []float32
	width := int64(0)
	for _, c := range []struct {
		name  string
		there bool
		tensor.Tensor
		dtype tensor.DType
	}{
		{"classes", hasClasses, classes, tensor.String}, {"scores", hasScores, scores, tensor.Float32},
	} {
		if !c.there {
			continue
		}
		if len(c.Shape) != 2 || c.DType != c.dtype || c.Shape[0] != int64(len(examples)) ||
			width > 0 && c.Shape[1] != width {
			return nil, errorf(codes.InvalidArgument, "output %q: expected %s of a row for each of "+
				"%d examples, got %s %v", c.name, c.dtype.Name(), len(examples), c.DType.Name(),
				c.Shape)
		}
		width = c.Shape[1]
	}
	if !hasClasses && !hasScores {
		return nil, errorf(codes.FailedPrecondition, "Expected classification signature outputs to "+
			"contain at least one of \"classes\" or \"scores\".")
	}
	if hasClasses {
		labels = classes.Data.([][]byte)
	}
	if hasScores {
		values = scores.Data.([]float32)
	}
	result := &tfserving.ClassificationResult{}
	for row := range int64(len(examples)) {
		all := &tfserving.Classifications{}
		for i := row * width; i < (row+1)*width; i++ {
			class := &tfserving.Class{}
			if hasClasses {
				class.Label = string(labels[i])
			}
			if hasScores {
				class.Score = values[i]
			}
			all.Classes = append(all.Classes, class)
		}
		result.Classifications = append(result.Classifications, all)
	}
	return result, nil
}

// regressionsOf reads the answer of a signature for regress: a number for each example.
func regressionsOf(t tensor.Tensor, examples []*tfserving.Example) (*tfserving.RegressionResult,
	error) {
	values, ok := t.Data.([]float32)
	if !ok || len(values) != len(examples) || len(t.Shape) < 1 || len(t.Shape) > 2 {
		return nil, errorf(codes.InvalidArgument, "output \"outputs\": expected DT_FLOAT with a "+
			"number for each of %d examples, got %s %v", len(examples), t.DType.Name(), t.Shape)
	}
	result := &tfserving.RegressionResult{}
	for _, v := range values {
		result.Regressions = append(result.Regressions, &tfserving.Regression{Value: v})
	}
	return result, nil
}

// exampleRows runs the images of examples, and returns the row of the answer of each: an example
// has one feature, the model's input, with the bytes of one image.
func (s *Server) exampleRows(ctx context.Context, v *version, sig *signature,
	input *tfserving.Input, held *account) ([]tensor.Tensor, timing, error) {
	examples := inputExamples(input)
	if len(examples) == 0 {
		return nil, timing{}, errorf(codes.InvalidArgument, "Input is empty.")
	}
	for name := range input.GetExampleListWithContext().GetContext().GetFeatures().GetFeature() {
		return nil, timing{}, errorf(codes.InvalidArgument,
			"context: the examples of a model of images share no feature, got %.100q", name)
	}
	images := make([][]byte, len(examples))
	for i, example := range examples {
		features := example.GetFeatures().GetFeature()
		values := features[v.imageInput].GetBytesList().GetValue()
		if len(features) != 1 || len(values) != 1 {
			return nil, timing{}, errorf(codes.InvalidArgument,
				"example %d: expected the feature %q with the bytes of one image, got %d features "+
					"and %d values", i, v.imageInput, len(features), len(values))
		}
		images[i] = values[0]
	}
	t, err := tensor.New(tensor.Shape{int64(len(images))}, images)
	if err != nil {
		return nil, timing{}, err
	}
	_, rows, took, err := s.imageRows(ctx, v, sig, t)
	return rows, took, err
}
