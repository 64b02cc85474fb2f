package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kerasrun/contract"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// predictionService is TensorFlow Serving's PredictionService. Codes and the words of errors are
// TensorFlow Serving's where it has them.
type predictionService struct {
	tfserving.UnimplementedPredictionServiceServer
	server *Server
}

// specChoice reads which version of a model is asked for.
func (s *Server) specChoice(spec *tfserving.ModelSpec) (choice, error) {
	if spec == nil {
		return choice{}, errorf(codes.InvalidArgument, "Missing ModelSpec")
	}
	c := choice{model: spec.Name, label: spec.GetVersionLabel()}
	if spec.GetVersion() == nil {
		return c, nil
	}
	c.number = strconv.FormatInt(spec.GetVersion().GetValue(), 10)
	if spec.GetVersion().GetValue() < 0 {
		return c, errorf(codes.NotFound, "Servable not found for request: %v", c)
	}
	return s.repository.zeroIsNewest(c), nil
}

// spec is what an answer says of the version that made it.
func (v *version) spec(signature string) *tfserving.ModelSpec {
	return &tfserving.ModelSpec{Name: v.name, SignatureName: signature,
		VersionChoice: &tfserving.ModelSpec_Version{Version: wrapperspb.Int64(v.number)}}
}

// withSpec finds the version that is asked for and answers with it.
func (s *Server) withSpec(ctx context.Context, p protocol, spec *tfserving.ModelSpec,
	f func(*version) (timing, error)) error {
	c, err := s.specChoice(spec)
	if err != nil {
		return err
	}
	return s.withVersion(ctx, p, c, f)
}

func (p *predictionService) Predict(ctx context.Context, r *tfserving.PredictRequest) (
	answer *tfserving.PredictResponse, err error) {
	held := &account{memory: p.server.memory}
	defer held.free()
	err = p.server.withSpec(ctx, protocolPredictGRPC, r.ModelSpec,
		func(v *version) (timing, error) {
			sig, ok := v.signatures[signatureKey(r.ModelSpec)]
			if !ok {
				return timing{}, errorf(codes.FailedPrecondition,
					"Serving signature key %.100q not found.", signatureKey(r.ModelSpec))
			}
			filter, err := sig.filter(r.OutputFilter)
			if err != nil {
				return timing{}, err
			}
			in, err := sig.readInputs(r.Inputs, held)
			if err != nil {
				return timing{}, err
			}
			out, took, err := p.server.run(ctx, v, sig, in)
			if err != nil {
				return took, err
			}
			answer = &tfserving.PredictResponse{ModelSpec: v.spec(sig.Key),
				Outputs: map[string]*tfserving.TensorProto{}}
			for _, name := range filter {
				if answer.Outputs[name], err = writeTensorProto(out[name]); err != nil {
					return took, fmt.Errorf("output %q: %w", name, err)
				}
			}
			return took, nil
		})
	return answer, err
}

// signatureKey is the signature that is asked for.
func signatureKey(spec *tfserving.ModelSpec) string {
	if key := spec.GetSignatureName(); key != "" {
		return key
	}
	return contract.DefaultSignature
}

// filter returns the outputs that are asked for: all of them where none is named.
func (sig *signature) filter(names []string) ([]string, error) {
	seen := map[string]bool{}
	for _, name := range names {
		if _, ok := sig.Outputs[name]; !ok {
			return nil, errorf(codes.InvalidArgument, "output tensor alias not found in signature: "+
				"%.100s Outputs expected to be in the set {%s}.", name,
				strings.Join(sig.outputs, ","))
		}
		if seen[name] {
			return nil, errorf(codes.InvalidArgument, "duplicate output tensor alias: %s", name)
		}
		seen[name] = true
	}
	if len(names) == 0 {
		return sig.outputs, nil
	}
	return names, nil
}

// readInputs reads the tensors of a request, which must be those of the signature.
func (sig *signature) readInputs(protos map[string]*tfserving.TensorProto, held *account) (
	map[string]tensor.Tensor, error) {
	if len(protos) != len(sig.inputs) {
		given := slices.Sorted(maps.Keys(protos))
		extra := slices.DeleteFunc(slices.Clone(given), func(name string) bool {
			return slices.Contains(sig.inputs, name)
		})
		missing := slices.DeleteFunc(slices.Clone(sig.inputs), func(name string) bool {
			return slices.Contains(given, name)
		})
		return nil, errorf(codes.InvalidArgument, "input size does not match signature: %d!=%d "+
			"len({%.300s}) != len({%s}). Sent extra: {%.300s}. Missing but required: {%s}.",
			len(given), len(sig.inputs), strings.Join(given, ","), strings.Join(sig.inputs, ","),
			strings.Join(extra, ","), strings.Join(missing, ","))
	}
	in := map[string]tensor.Tensor{}
	for name, p := range protos {
		if _, ok := sig.Inputs[name]; !ok {
			return nil, errorf(codes.InvalidArgument, "input tensor alias not found in signature: "+
				"%.100s. Inputs expected to be in the set {%s}.", name,
				strings.Join(sig.inputs, ","))
		}
		t, err := readTensorProto(p, held)
		if err != nil {
			return nil, invalid(fmt.Errorf("tensor parsing error: %s: %w", name, err))
		}
		in[name] = t
	}
	return in, nil
}

func (p *predictionService) GetModelMetadata(_ context.Context,
	r *tfserving.GetModelMetadataRequest) (*tfserving.GetModelMetadataResponse, error) {
	c, err := p.server.specChoice(r.ModelSpec)
	if err != nil {
		return nil, err
	}
	if len(r.MetadataField) == 0 {
		return nil, errorf(codes.InvalidArgument,
			"GetModelMetadataRequest must specify at least one metadata_field")
	}
	for _, field := range r.MetadataField {
		if field != "signature_def" {
			return nil, errorf(codes.InvalidArgument, "Metadata field %.100s is not supported",
				field)
		}
	}
	v, release, err := p.server.repository.acquire(c)
	if err != nil {
		return nil, err
	}
	defer release()
	packed, err := anypb.New(v.signatureDefs())
	if err != nil {
		return nil, err
	}
	return &tfserving.GetModelMetadataResponse{ModelSpec: v.spec(""),
		Metadata: map[string]*anypb.Any{"signature_def": packed}}, nil
}

// signatureDefs describes the signatures as the SavedModel has them.
func (v *version) signatureDefs() *tfserving.SignatureDefMap {
	infos := func(tensors map[string]savedmodel.TensorInfo) map[string]*tfserving.TensorInfo {
		out := map[string]*tfserving.TensorInfo{}
		for key, t := range tensors {
			out[key] = &tfserving.TensorInfo{Name: t.Name(), Dtype: tfserving.DataType(t.DType),
				TensorShape: shapeProto(t.Shape)}
		}
		return out
	}
	all := &tfserving.SignatureDefMap{SignatureDef: map[string]*tfserving.SignatureDef{}}
	for key, s := range v.signatures {
		all.SignatureDef[key] = &tfserving.SignatureDef{Inputs: infos(s.Inputs),
			Outputs: infos(s.Outputs), MethodName: s.Method}
	}
	return all
}

// modelService is TensorFlow Serving's ModelService.
type modelService struct {
	tfserving.UnimplementedModelServiceServer
	server *Server
}

func (m *modelService) GetModelStatus(_ context.Context, r *tfserving.GetModelStatusRequest) (
	*tfserving.GetModelStatusResponse, error) {
	c, err := m.server.specChoice(r.ModelSpec)
	if err != nil {
		return nil, err
	}
	statuses, err := m.server.repository.statuses(c)
	if err != nil {
		return nil, err
	}
	answer := &tfserving.GetModelStatusResponse{}
	for _, s := range statuses {
		state := tfserving.ModelVersionStatus_State_value[string(s.State)]
		status := &tfserving.ModelVersionStatus{Version: s.Version,
			State: tfserving.ModelVersionStatus_State(state), Status: &tfserving.StatusProto{}}
		if s.Err != nil {
			status.Status.ErrorCode = int32(asError(s.Err).Code)
			status.Status.ErrorMessage = s.Err.Error()
		}
		answer.ModelVersionStatus = append(answer.ModelVersionStatus, status)
	}
	return answer, nil
}

func (m *modelService) HandleReloadConfigRequest(context.Context, *tfserving.ReloadConfigRequest) (
	*tfserving.ReloadConfigResponse, error) {
	return nil, errorf(codes.Unimplemented, "HandleReloadConfigRequest: expected no change of what "+
		"is served, got one over the network: start the server again with another "+
		"--model-config-file; new versions of its models are found without a call")
}
