package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

// headerLength is the header that says how many bytes of a body are JSON; the rest are tensors.
const headerLength = "Inference-Header-Content-Length"

// live and ready answer with what KServe's clients read; Triton's read the status.
func live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]bool{"live": true})
}

func ready(w http.ResponseWriter) error {
	return writeJSON(w, map[string]bool{"ready": true})
}

// serverReady is where probes look: it depends on no model's name.
func (s *Server) serverReady(w http.ResponseWriter, _ *http.Request) error {
	if err := s.Ready(); err != nil {
		return errorf(codes.Unavailable, "not ready: %w", err)
	}
	return ready(w)
}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]any{"name": "kerasrun", "version": s.config.Version,
		"extensions": serverExtensions})
}

// pathChoice reads the model and the version of an address.
func pathChoice(r *http.Request) choice {
	return choose(r.PathValue("model"), r.PathValue("version"))
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	metadata, err := s.describe(pathChoice(r))
	if err != nil {
		return err
	}
	return writeJSON(w, metadata)
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) error {
	if err := s.modelIsReady(pathChoice(r)); err != nil {
		return err
	}
	return ready(w)
}

func (s *Server) infer(w http.ResponseWriter, r *http.Request) error {
	body, held, err := s.readBody(w, r)
	defer held.free()
	if err != nil {
		return err
	}
	return s.withVersion(r.Context(), protocolOIP, pathChoice(r), func(v *version) (timing, error) {
		request, err := readOIP(r.Header.Get(headerLength), body, held, v)
		if err != nil {
			return timing{}, invalid(err)
		}
		note(r.Context(), "id", request.id)
		outputs, took, err := s.inferOIP(r.Context(), v, request)
		if err != nil {
			return took, err
		}
		text, tensors, err := writeOIP(v, request.id, outputs)
		if err != nil {
			return took, err
		}
		took.header(w.Header())
		contentType := "application/json"
		if tensors != nil {
			w.Header().Set(headerLength, strconv.Itoa(len(text)))
			contentType = "application/octet-stream"
		}
		write(w, http.StatusOK, contentType, slices.Concat(append([][]byte{text}, tensors...)...))
		return took, nil
	})
}

// writeOIP writes an answer: the JSON, and the tensors that come after it, nil where none does.
func writeOIP(v *version, id string, outputs []oipTensor) (text []byte, tensors [][]byte,
	err error) {
	text = append(text, '{')
	if id != "" {
		text = append(jsontensor.AppendString(append(text, `"id": `...), id), ", "...)
	}
	text = jsontensor.AppendString(append(text, `"model_name": `...), v.name)
	text = fmt.Appendf(text, `, "model_version": "%d", `, v.number)
	if warning := v.warning(); warning != "" {
		text = jsontensor.AppendString(append(text, `"parameters": {"warning": `...), warning)
		text = append(text, "}, "...)
	}
	text = append(text, `"outputs": [`...)
	for i, o := range outputs {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = jsontensor.AppendString(append(text, `{"name": `...), o.name)
		text = fmt.Appendf(text, `, "datatype": %q, "shape": [`, datatypes[o.DType])
		for j, n := range o.Shape {
			if j > 0 {
				text = append(text, ", "...)
			}
			text = strconv.AppendInt(text, n, 10)
		}
		if o.binary {
			raw, err := rawTensor(o.Tensor)
			if err != nil {
				return nil, nil, fmt.Errorf("output %q: %w", o.name, err)
			}
			tensors = append(tensors, raw)
			text = fmt.Appendf(text, `], "parameters": {"binary_data_size": %d}}`, len(raw))
			continue
		}
		text = append(text, `], "data": `...)
		if text, err = jsontensor.AppendFlat(text, o.Tensor); err != nil {
			return nil, nil, fmt.Errorf("output %q: %w", o.name, err)
		}
		text = append(text, '}')
	}
	return append(text, "]}"...), tensors, nil
}

// readOIP reads a request.
func readOIP(header string, body []byte, held *account, v *version) (request oipRequest,
	err error) {
	text, tensors := body, []byte(nil)
	if header != "" {
		length, err := strconv.ParseUint(header, 10, 63)
		if err != nil || length > uint64(len(body)) {
			return request,
				fmt.Errorf("%s: expected at most the %d bytes of the body, got %.40q", headerLength,
					len(body), header)
		}
		if length == 0 {
			return readRaw(body, v)
		}
		text, tensors = body[:length], body[length:]
	}
	parsed, err := parseOIP(text, held)
	if err != nil {
		return request, err
	}
	sig, err := v.signature(parsed.signature)
	if err == nil {
		err = v.checkAdmission(sig)
	}
	if err != nil {
		return request, err
	}
	request = oipRequest{id: parsed.id, signature: parsed.signature, binary: parsed.binary,
		schedule: parsed.schedule,
		inputs:   map[string]tensor.Tensor{}}
	for _, out := range parsed.outputs {
		out.oipOutput.binary = parsed.binary
		if out.binary != nil {
			out.oipOutput.binary = *out.binary
		}
		request.outputs = append(request.outputs, out.oipOutput)
	}
	for _, in := range parsed.inputs {
		if _, ok := request.inputs[in.name]; ok {
			return request, fmt.Errorf("input %.100q comes twice", in.name)
		}
		var t tensor.Tensor
		if t, tensors, err = in.tensor(tensors, held); err != nil {
			return request, fmt.Errorf("input %.100q: %w", in.name, err)
		}
		request.inputs[in.name] = t
	}
	if len(tensors) > 0 {
		return request, fmt.Errorf("the body has %d bytes after its last tensor",
			len(tensors))
	}
	return request, nil
}

// readRaw reads a body that is nothing but the model's one input. Its shape follows from its size.
func readRaw(body []byte, v *version) (request oipRequest, err error) {
	sig, err := v.signature("")
	if err != nil {
		return request, err
	}
	if len(sig.inputs) != 1 {
		return request, fmt.Errorf("a raw body is for models with one input, not %d",
			len(sig.inputs))
	}
	name := sig.inputs[0]
	info := sig.Inputs[name]
	if info.DType == tensor.String {
		t, err := tensor.New(tensor.Shape{1}, [][]byte{body})
		return oipRequest{inputs: map[string]tensor.Tensor{name: t}, binary: true}, err
	}
	known, free := int64(info.DType.Size()), -1
	shape := slices.Clone(info.Shape)
	for i, n := range shape {
		switch {
		case n >= 0:
			known *= n
		case free < 0:
			free = i
		default:
			return request, fmt.Errorf("a raw body is for inputs with one free dimension, not %v",
				info.Shape)
		}
	}
	if free >= 0 && known > 0 {
		shape[free] = int64(len(body)) / known
	}
	t, err := tensor.FromBytes(info.DType, shape, body)
	return oipRequest{inputs: map[string]tensor.Tensor{name: t}, binary: true}, err
}
