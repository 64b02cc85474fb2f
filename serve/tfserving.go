package serve

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

// TensorFlow Serving's addresses.
var (
	servingPostPath = regexp.MustCompile(
		`^/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)$`)
	servingGetPath = regexp.MustCompile(
		`^/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?$`)
)

// servingPath takes a path apart; verb is what follows the model.
func servingPath(r *http.Request, pattern *regexp.Regexp) (c choice, verb string, err error) {
	match := pattern.FindStringSubmatch(r.URL.EscapedPath())
	if match == nil {
		return c, "", errorf(codes.InvalidArgument, "Malformed request: %s %s", r.Method,
			r.URL.Path)
	}
	c.number = match[2]
	if c.model, err = url.PathUnescape(match[1]); err == nil {
		c.label, err = url.PathUnescape(match[3])
	}
	return c, strings.ToLower(match[4]), invalid(err)
}

func (s *Server) servingPost(w http.ResponseWriter, r *http.Request) error {
	c, verb, err := servingPath(r, servingPostPath)
	if err != nil {
		return err
	}
	c = s.repository.zeroIsNewest(c)
	body, held, err := s.readBody(w, r)
	defer held.free()
	if err != nil {
		return err
	}
	switch verb {
	case "predict":
		return s.withVersion(r.Context(), protocolPredict, c, func(v *version) (timing, error) {
			return s.servingPredict(w, r, v, body, held)
		})
	case "classify":
		return s.withVersion(r.Context(), protocolTFClassify, c, func(v *version) (timing, error) {
			return s.servingClassify(w, r, v, body, held)
		})
	default:
		return s.withVersion(r.Context(), protocolTFRegress, c, func(v *version) (timing, error) {
			return s.servingRegress(w, r, v, body, held)
		})
	}
}

func (s *Server) servingPredict(w http.ResponseWriter, r *http.Request, v *version,
	body []byte, held *account) (timing, error) {
	request, err := readServing(body, held, "instances", "inputs")
	if err != nil {
		return timing{}, err
	}
	sig, err := v.signature(request.signature)
	if err == nil {
		err = v.checkAdmission(sig)
	}
	if err != nil {
		return timing{}, err
	}
	rows, columns := request.values["instances"], request.values["inputs"]
	var in map[string]tensor.Tensor
	switch {
	case rows != nil && columns != nil:
		err = errorf(codes.InvalidArgument,
			"Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
	case rows != nil:
		in, err = sig.readRows(v, rows)
	case columns != nil:
		in, err = sig.readColumns(v, columns)
	default:
		err = errorf(codes.InvalidArgument, "Missing 'inputs' or 'instances' key")
	}
	if err != nil {
		return timing{}, invalid(err)
	}
	out, took, err := s.run(r.Context(), v, sig, in)
	if err != nil {
		return took, err
	}
	var answer []byte
	if rows != nil {
		answer, err = sig.writeRows(out)
	} else {
		answer, err = sig.writeColumns(out)
	}
	if err != nil {
		return took, err
	}
	took.header(w.Header())
	write(w, http.StatusOK, "application/json", answer)
	return took, nil
}

// servingRequest is the outermost object of a request.
type servingRequest struct {
	signature string
	values    map[string]*jsontensor.Decoder
}

// readServing reads the outermost object and keeps the values of the keys. Others are skipped, as
// TensorFlow Serving does.
func readServing(body []byte, held *account, keys ...string) (servingRequest, error) {
	request := servingRequest{values: map[string]*jsontensor.Decoder{}}
	d := jsontensor.NewDecoder(body).Reserving(held.take)
	err := d.Object(func(key string) error {
		var err error
		switch {
		case key == "signature_name":
			if request.signature, err = d.String(); err != nil {
				return fmt.Errorf("'signature_name' key must be a string value: %w", err)
			}
			return nil
		case slices.Contains(keys, key):
			request.values[key], err = d.Raw()
			return err
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	return request, invalid(err)
}

// dtype returns the type to read the input called name as: bytes where d has images for it.
func (sig *signature) dtype(v *version, name string, d *jsontensor.Decoder) (tensor.DType, error) {
	info, ok := sig.Inputs[name]
	if !ok {
		return 0, fmt.Errorf("JSON object: does not have named input: %.100s", name)
	}
	if name == v.imageInput && v.images != nil && d.BytesNext() {
		return tensor.String, nil
	}
	return info.DType, nil
}

// readRows reads "instances": values of the only input, or objects with a value for each input.
func (sig *signature) readRows(v *version, d *jsontensor.Decoder) (map[string]tensor.Tensor,
	error) {
	rows := map[string]*jsontensor.Rows{}
	named := false
	count := 0
	err := d.Array(func(i int) error {
		count++
		object := d.Kind() == jsontensor.Object && !d.Base64Next()
		if i == 0 {
			named = object
			if !named && len(sig.inputs) > 1 {
				return fmt.Errorf(
					"instances is a plain list, but expecting list of objects as multiple input " +
						"tensors required as per tensorinfo_map")
			}
		}
		if object != named {
			return fmt.Errorf(
				"item %d of 'instances' list: objects and plain values cannot be mixed", i)
		}
		var err error
		if named {
			err = sig.readNamedRow(v, rows, d)
		} else {
			err = sig.addRow(v, rows, sig.inputs[0], d)
		}
		if known := (*Error)(nil); errors.As(err, &known) {
			return err // not the element's fault
		}
		if err != nil {
			return errorf(codes.InvalidArgument,
				"Failed to process element: %d of 'instances' list. Error: %w", i, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, errorf(codes.InvalidArgument, "No values in 'instances' array")
	}
	in := map[string]tensor.Tensor{}
	for name, r := range rows {
		if in[name], err = r.Tensor(); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// readNamedRow reads an object with a value for each input.
func (sig *signature) readNamedRow(v *version, rows map[string]*jsontensor.Rows,
	d *jsontensor.Decoder) error {
	names := 0
	err := d.Object(func(name string) error {
		names++
		return sig.addRow(v, rows, name, d)
	})
	if err == nil && names != len(sig.inputs) {
		err = fmt.Errorf("keys must be equal to: %s", strings.Join(sig.inputs, ","))
	}
	return err
}

func (sig *signature) addRow(v *version, rows map[string]*jsontensor.Rows, name string,
	d *jsontensor.Decoder) error {
	r, ok := rows[name]
	if !ok {
		dtype, err := sig.dtype(v, name, d)
		if err != nil {
			return err
		}
		if r, err = jsontensor.NewRows(dtype); err != nil {
			return err
		}
		rows[name] = r
	}
	return r.Add(d)
}

// readColumns reads "inputs": the tensor of the only input, or an object with a tensor for each.
func (sig *signature) readColumns(v *version, d *jsontensor.Decoder) (map[string]tensor.Tensor,
	error) {
	in := map[string]tensor.Tensor{}
	read := func(name string) error {
		dtype, err := sig.dtype(v, name, d)
		if err != nil {
			return err
		}
		in[name], err = d.Tensor(dtype)
		return err
	}
	if d.Kind() != jsontensor.Object || d.Base64Next() {
		if len(sig.inputs) > 1 {
			return nil, fmt.Errorf(
				"inputs is a plain value/list, but expecting an object as multiple input tensors " +
					"required as per tensorinfo_map")
		}
		return in, read(sig.inputs[0])
	}
	return in, d.Object(read)
}

// writeRows writes "predictions": values of the only output, or objects with a value for each.
func (sig *signature) writeRows(out map[string]tensor.Tensor) ([]byte, error) {
	writers := make([]*jsontensor.RowWriter, len(sig.outputs))
	rows := int64(-1)
	for i, name := range sig.outputs {
		t := out[name]
		if len(t.Shape) == 0 {
			return nil, errorf(codes.InvalidArgument, "Tensor name: %s has no shape information",
				name)
		}
		if rows >= 0 && t.Shape[0] != rows {
			return nil, errorf(codes.InvalidArgument,
				"Tensor name: %s has inconsistent batch size: %d expecting: %d", name, t.Shape[0],
				rows)
		}
		rows = t.Shape[0]
		var err error
		if writers[i], err = jsontensor.NewRowWriter(t, bytesName(name)); err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	text := []byte(`{"predictions": [`)
	for row := range rows {
		if row > 0 {
			text = append(text, ", "...)
		}
		var err error
		if text, err = sig.writeOutputs(text, func(dst []byte, i int) ([]byte, error) {
			return writers[i].Append(dst)
		}); err != nil {
			return nil, err
		}
	}
	return append(text, "]}\n"...), nil
}

// writeColumns writes "outputs": the tensor of the only output, or an object with a tensor for
// each.
func (sig *signature) writeColumns(out map[string]tensor.Tensor) ([]byte, error) {
	text, err := sig.writeOutputs([]byte(`{"outputs": `), func(dst []byte, i int) ([]byte, error) {
		return jsontensor.Append(dst, out[sig.outputs[i]], bytesName(sig.outputs[i]))
	})
	return append(text, "}\n"...), err
}

// writeOutputs writes the value of the only output, or an object with a value for each.
func (sig *signature) writeOutputs(dst []byte, value func(dst []byte, i int) ([]byte, error)) (
	[]byte, error) {
	if len(sig.outputs) == 1 {
		return value(dst, 0)
	}
	for i, name := range sig.outputs {
		separator := ", "
		if i == 0 {
			separator = "{"
		}
		dst = append(dst, separator...)
		dst = append(jsontensor.AppendString(dst, name), ": "...)
		var err error
		if dst, err = value(dst, i); err != nil {
			return dst, fmt.Errorf("output %q: %w", name, err)
		}
	}
	return append(dst, '}'), nil
}

// bytesName says whether an output's name marks it as bytes, to be written in base 64.
func bytesName(name string) bool { return strings.HasSuffix(name, "_bytes") }
