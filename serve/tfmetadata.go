package serve

import (
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"kerasrun/savedmodel"
)

// servingGet answers GET /v1/models/NAME, the states of a model's versions, and /metadata, its
// signatures.
func (s *Server) servingGet(w http.ResponseWriter, r *http.Request) error {
	c, subresource, err := servingPath(r, servingGetPath)
	if err != nil {
		return err
	}
	c = s.repository.zeroIsNewest(c)
	if subresource == "metadata" {
		v, release, err := s.repository.acquire(c)
		if err != nil {
			return err
		}
		defer release()
		return writeJSON(w, servingMetadata(v))
	}
	statuses, err := s.repository.statuses(c)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"model_version_status": servingStatuses(statuses)})
}

type versionStatus struct {
	Version string      `json:"version"`
	State   State       `json:"state"`
	Status  errorStatus `json:"status"`
}

type errorStatus struct {
	Code    string `json:"error_code"`
	Message string `json:"error_message"`
}

func servingStatuses(statuses []Status) []versionStatus {
	out := make([]versionStatus, len(statuses))
	for i, s := range statuses {
		out[i] = versionStatus{strconv.FormatInt(s.Version, 10), s.State,
			errorStatus{Code: servingCode(codes.OK)}}
		if s.Err != nil {
			out[i].Status = errorStatus{servingCode(asError(s.Err).Code), s.Err.Error()}
		}
	}
	return out
}

// servingMetadata is GetModelMetadataResponse in JSON, where the map of signatures is inside a
// message that has the same name, and fields of their default value are printed.
func servingMetadata(v *version) any {
	type dim struct {
		Size string `json:"size"`
		Name string `json:"name"`
	}
	type shape struct {
		Dim         []dim `json:"dim"`
		UnknownRank bool  `json:"unknown_rank"`
	}
	type tensorInfo struct {
		DType string `json:"dtype"`
		Shape shape  `json:"tensor_shape"`
		Name  string `json:"name"`
	}
	type signatureDef struct {
		Inputs  map[string]tensorInfo `json:"inputs"`
		Outputs map[string]tensorInfo `json:"outputs"`
		Method  string                `json:"method_name"`
	}
	infos := func(tensors map[string]savedmodel.TensorInfo) map[string]tensorInfo {
		out := map[string]tensorInfo{}
		for key, t := range tensors {
			info := tensorInfo{DType: t.DType.Name(), Name: t.Name(),
				Shape: shape{Dim: []dim{}, UnknownRank: t.Shape == nil}}
			for _, n := range t.Shape {
				info.Shape.Dim = append(info.Shape.Dim, dim{Size: strconv.FormatInt(n, 10)})
			}
			out[key] = info
		}
		return out
	}
	signatures := map[string]signatureDef{}
	for key, s := range v.signatures {
		signatures[key] = signatureDef{infos(s.Inputs), infos(s.Outputs), s.Method}
	}
	return map[string]any{
		"model_spec": map[string]string{"name": v.name, "signature_name": "",
			"version": strconv.FormatInt(v.number, 10)},
		"metadata": map[string]any{"signature_def": map[string]any{"signature_def": signatures}},
	}
}
