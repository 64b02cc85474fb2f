package serve

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"

	"kerasrun/savedmodel"
	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
)

// The priorities of requests, as Triton has them: those of level 1 come first.
const priorityLevels, defaultPriority = 3, 2

// modelConfig is what Triton's clients ask for before they make up requests: the default signature
// of a version, and how its requests are joined.
func (s *Server) modelConfig(c choice) (*oip.ModelConfig, error) {
	v, release, err := s.repository.acquire(c)
	if err != nil {
		return nil, err
	}
	defer release()
	sig, err := v.signature("")
	if err != nil {
		return nil, err
	}
	config := &oip.ModelConfig{
		Name: v.name, Platform: platform, Backend: "tensorflow",
		VersionPolicy: s.repository.models[v.name].config.Policy.proto(),
		InstanceGroup: []*oip.ModelInstanceGroup{{Name: v.name,
			Count: int32(s.config.Batching.NumBatchThreads)}},
		Parameters: map[string]*oip.ModelParameter{
			"TF_SIGNATURE_DEF": {StringValue: sig.Key},
			"TF_GRAPH_TAG":     {StringValue: strings.Join(v.model.Tags(), ",")},
		},
		ModelTransactionPolicy: &oip.ModelTransactionPolicy{},
	}
	if warning := v.warning(); warning != "" {
		config.Parameters["warning"] = &oip.ModelParameter{StringValue: warning}
	}
	for _, name := range sig.inputs {
		config.Input = append(config.Input, v.inputConfig(sig, name))
	}
	for _, name := range sig.outputs {
		info := sig.Outputs[name]
		output := &oip.ModelOutput{Name: name, DataType: configType(info.DType),
			Dims: sig.rowShape(info)}
		if manifest := v.model.SavedModel().Manifest; manifest != nil {
			if o := manifest.Output(sig.Key, name); o != nil && o.Labels != "" {
				output.LabelFilename = path.Base(o.Labels)
			}
		}
		config.Output = append(config.Output, output)
	}
	if s.cache != nil {
		config.ResponseCache = &oip.ModelResponseCache{Enable: true}
	}
	if sig.batcher != nil {
		s.batchingConfig(config)
	}
	return config, nil
}

// batchingConfig says how requests are joined. Requests of more rows than a run are cut, where that
// is on.
func (s *Server) batchingConfig(config *oip.ModelConfig) {
	p := s.config.Batching
	config.MaxBatchSize = int32(p.MaxBatchSize)
	if p.EnableLargeBatchSplitting {
		config.MaxBatchSize = int32(max(p.MaxBatchSize, s.config.Limits.Rows))
	}
	joined := &oip.ModelDynamicBatching{
		MaxQueueDelayMicroseconds: uint64(p.BatchTimeout.Microseconds()),
		PriorityLevels:            priorityLevels, DefaultPriorityLevel: defaultPriority,
		DefaultQueuePolicy: &oip.ModelQueuePolicy{
			DefaultTimeoutMicroseconds: uint64(p.QueueTimeout.Microseconds()),
			AllowTimeoutOverride:       true,
			MaxQueueSize:               uint32(p.MaxEnqueuedBatches * p.MaxBatchSize),
		},
	}
	for _, size := range p.AllowedBatchSizes {
		joined.PreferredBatchSize = append(joined.PreferredBatchSize, int32(size))
	}
	if len(p.AllowedBatchSizes) == 0 {
		joined.PreferredBatchSize = []int32{int32(p.MaxBatchSize)}
	}
	config.SchedulingChoice = &oip.ModelConfig_DynamicBatching{DynamicBatching: joined}
}

// inputConfig describes an input. The layout is that of an image, where one becomes the input.
func (v *version) inputConfig(sig *signature, name string) *oip.ModelInput {
	info := sig.Inputs[name]
	input := &oip.ModelInput{Name: name, DataType: configType(info.DType), Dims: sig.rowShape(info)}
	if manifest := v.model.SavedModel().Manifest; manifest != nil && name == v.imageInput &&
		len(input.Dims) == 3 {
		switch manifest.Image().Layout {
		case "NHWC":
			input.Format = oip.ModelInput_FORMAT_NHWC
		case "NCHW":
			input.Format = oip.ModelInput_FORMAT_NCHW
		}
	}
	return input
}

// rowShape is a tensor's shape without the batch, where the signature has one.
func (sig *signature) rowShape(info savedmodel.TensorInfo) []int64 {
	if sig.batcher != nil {
		return slices.Clone(info.Shape[1:])
	}
	return slices.Clone(info.Shape)
}

// configType is a type as the configuration spells it.
func configType(d tensor.DType) oip.DataType {
	if d == tensor.String {
		return oip.DataType_TYPE_STRING
	}
	return oip.DataType(oip.DataType_value["TYPE_"+datatypes[d]]) // TYPE_INVALID for the others
}

func (p Policy) proto() *oip.ModelVersionPolicy {
	switch {
	case p.All:
		return &oip.ModelVersionPolicy{PolicyChoice: &oip.ModelVersionPolicy_All_{
			All: &oip.ModelVersionPolicy_All{}}}
	case len(p.Specific) > 0:
		return &oip.ModelVersionPolicy{PolicyChoice: &oip.ModelVersionPolicy_Specific_{
			Specific: &oip.ModelVersionPolicy_Specific{Versions: p.Specific}}}
	}
	return &oip.ModelVersionPolicy{PolicyChoice: &oip.ModelVersionPolicy_Latest_{
		Latest: &oip.ModelVersionPolicy_Latest{NumVersions: uint32(max(1, p.Latest))}}}
}

func (g *grpcService) ModelConfig(_ context.Context, r *oip.ModelConfigRequest) (
	*oip.ModelConfigResponse, error) {
	config, err := g.server.modelConfig(choose(r.Name, r.Version))
	if err != nil {
		return nil, err
	}
	return &oip.ModelConfigResponse{Config: config}, nil
}

func (s *Server) writeModelConfig(w http.ResponseWriter, r *http.Request) error {
	config, err := s.modelConfig(pathChoice(r))
	if err != nil {
		return err
	}
	return writeJSON(w, jsonOf(config.ProtoReflect()))
}
