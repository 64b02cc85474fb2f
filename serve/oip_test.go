package serve

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

func floats(values ...float32) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return string(raw)
}

// element is one of BYTES.
func element(text string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) + text
}

const half = `"parameters": {"signature_name": "half_plus_two"}`

func TestOIPInfer(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	red := string(pngImage(t, 255, 0, 0))
	zero := strings.Repeat("0, ", 11) + "0"
	x := func(rest string) string {
		return `{` + half + `, "inputs": [{"name": "x", "datatype": "FP32", ` + rest + `}]`
	}
	for _, c := range []struct{ name, text, tensors, want, wantTensors string }{
		{"flat", `{"id": "7", ` + x(`"shape": [2], "data": [1, 2]`)[1:] + `}`, "",
			`{"id": "7", "model_name": "fake", "model_version": "1", "outputs": [{"name": "y", ` +
				`"datatype": "FP32", "shape": [2], "data": [2.5, 3.0]}]}`, ""},
		{"data before the type", `{` + half +
			`, "inputs": [{"data": [1], "shape": [1], "datatype": "FP32", "name": "x"}]}`, "",
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "y", "datatype": ` +
				`"FP32", "shape": [1], "data": [2.5]}]}`, ""},
		{"binary in", x(`"shape": [2], "parameters": {"binary_data_size": 8}`) + `}`, floats(1, 2),
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "y", "datatype": ` +
				`"FP32", "shape": [2], "data": [2.5, 3.0]}]}`, ""},
		{"binary out", x(`"shape": [2], "data": [1, 2]`) +
			`, "outputs": [{"name": "y", "parameters": {"binary_data": true}}]}`, "",
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "y", "datatype": ` +
				`"FP32", "shape": [2], "parameters": {"binary_data_size": 8}}]}`,
			floats(2.5, 3)},
		{"binary but for one",
			`{"parameters": {"signature_name": "echo", "binary_data_output": true}, "inputs": [` +
				`{"name": "tag", "datatype": "BYTES", "shape": [1], "parameters": ` +
				`{"binary_data_size": 7}}, ` +
				`{"name": "signal", "datatype": "INT32", "shape": [1, 2], "data": [[1, 2]]}, ` +
				`{"name": "on", "datatype": "BOOL", "shape": [1], "parameters": ` +
				`{"binary_data_size": 1}}], ` +
				`"outputs": [{"name": "on", "parameters": {"binary_data": false}}, {"name": ` +
				`"tag"}, {"name": "signal"}]}`, element("foo") + "\x01",
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "on", "datatype": ` +
				`"BOOL", "shape": [1], "data": [true]}, ` +
				`{"name": "tag", "datatype": "BYTES", "shape": [1], "parameters": ` +
				`{"binary_data_size": 7}}, ` +
				`{"name": "signal", "datatype": "INT32", "shape": [1, 2], "parameters": ` +
				`{"binary_data_size": 8}}]}`,
			element("foo") + "\x01\x00\x00\x00\x02\x00\x00\x00"},
		{"flat image tensor", `{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, ` +
			`2, 2, 3], "data": [` + zero + `]}], "outputs": [{"name": "logits"}]}`, "",
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "logits", ` +
				`"datatype": "FP32", "shape": [1, 3], "data": [0.0, 0.0, 0.0]}]}`, ""},
		{"image", fmt.Sprintf(
			`{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [2], "parameters": `+
				`{"binary_data_size": %d}}], `+
				`"outputs": [{"name": "probs", "parameters": {"classification": 2}}]}`,
			2*len(element(red))), element(red) + element(red),
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "probs", ` +
				`"datatype": "BYTES", "shape": [2, 2], ` +
				`"data": ["1.000000:0:red", "0.000000:2:blue", "1.000000:0:red", ` +
				`"0.000000:2:blue"]}]}`, ""},
		{"image in JSON", `{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], ` +
			`"data": [` + b64([]byte(red)) + `]}], "outputs": [{"name": "probs"}]}`, "",
			`{"model_name": "fake", "model_version": "1", "outputs": [{"name": "probs", ` +
				`"datatype": "FP32", "shape": [1, 3], "data": [1.0, 0.0, 0.0]}]}`, ""},
	} {
		for _, path := range []string{"/v2/models/fake/infer", "/v2/models/fake/versions/1/infer"} {
			headers := []string{}
			if c.tensors != "" {
				headers = []string{headerLength, strconv.Itoa(len(c.text))}
			}
			w := request(h, "POST", path, c.text+c.tensors, headers...)
			length := ""
			if c.wantTensors != "" {
				length = strconv.Itoa(len(c.want))
			}
			if w.Code != 200 || w.Body.String() != c.want+c.wantTensors ||
				w.Header().Get(headerLength) != length {
				t.Errorf("%s: got %d %q, %s: %q, want %s %q", c.name, w.Code, w.Body, headerLength,
					w.Header().Get(headerLength), c.want, c.wantTensors)
			}
		}
	}
}

func TestOIPRawBody(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	w := request(h, "POST", "/v2/models/fake/infer", floats(make([]float32, 24)...), headerLength,
		"0")
	want := `{"model_name": "fake", "model_version": "1", "outputs": [{"name": "logits", ` +
		`"datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}, ` +
		`{"name": "probs", "datatype": "FP32", "shape": [2, 3], "parameters": ` +
		`{"binary_data_size": 24}}]}`
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) || w.Body.Len() != len(want)+48 {
		t.Errorf("got %d %q, want %s", w.Code, w.Body, want)
	}
	if w := request(h, "POST", "/v2/models/fake/infer", "12345", headerLength, "0"); w.Code != 400 {
		t.Errorf("5 bytes: got %d %s, want 400", w.Code, w.Body)
	}
}

func TestOIPErrors(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	in := func(rest string) string { return `{"inputs": [{` + rest + `}]}` }
	for _, c := range []struct {
		name, text, length string
		code               int
		want               string
	}{
		{"empty", ``, "", 400, "empty"},
		{"no inputs", `{}`, "", 400, "expected inputs"},
		{"no name", in(`"shape": [1], "datatype": "FP32", "data": [1]`), "", 400,
			"inputs[0]: expected a name"},
		{"no shape", in(`"name": "images", "datatype": "FP32", "data": [1]`), "", 400,
			"expected a shape"},
		{"no data", in(`"name": "images", "datatype": "FP32", "shape": [1]`), "", 400, "neither"},
		{"both", in(`"name": "images", "datatype": "FP32", "shape": [1], "data": [1], ` +
			`"parameters": {"binary_data_size": 4}`), "", 400, "both"},
		{"datatype", in(`"name": "images", "datatype": "FP128", "shape": [1], "data": [1]`), "",
			400, "FP128"},
		{"no datatype", in(`"name": "images", "shape": [1], "data": [1]`), "", 400, "datatype"},
		{"other datatype", in(`"name": "images", "datatype": "INT8", "shape": [1], "data": [1]`),
			"", 400, "expected float32, got int8"},
		{"half in JSON", in(`"name": "images", "datatype": "FP16", "shape": [1], "data": [1]`), "",
			400, "no form in JSON"},
		{"unknown input", in(`"name": "x", "datatype": "FP32", "shape": [1], "data": [1]`), "", 400,
			`unexpected input "x"`},
		{"twice", `{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1], "data": ` +
			`[1]}, {"name": "images", "datatype": "FP32", "shape": [1], "data": [1]}]}`, "", 400,
			"comes twice"},
		{"negative size", in(`"name": "images", "datatype": "FP32", "shape": [1], "parameters": ` +
			`{"binary_data_size": -1}`), "", 400, "expected 0 or more"},
		{"size over the body",
			in(`"name": "images", "datatype": "FP32", "shape": [1], "parameters": ` +
				`{"binary_data_size": 4}`), "", 400, "at most the 0 bytes"},
		{"header over the body", `{}`, "3", 400, "at most the 2 bytes"},
		{"header no number", `{}`, "x", 400, headerLength},
		{"header negative", `{}`, "-1", 400, headerLength},
		{"overflow", in(`"name": "images", "datatype": "FP32", "shape": [4294967296, 4294967296, ` +
			`3], "data": [1]`), "", 400, "more elements"},
		{"negative dimension",
			in(`"name": "images", "datatype": "FP32", "shape": [-1, 2, 2, 3], "data": [1]`), "",
			400, "negative"},
		{"zero rows", in(`"name": "images", "datatype": "FP32", "shape": [0, 2, 2, 3], "data": []`),
			"", 400, "one or more rows"},
		{"255 dimensions", in(`"name": "images", "datatype": "FP32", "shape": [1` +
			strings.Repeat(",1", 254) + `], "data": [1]`), "", 400, "255 dimensions"},
		{"nested otherwise", in(
			`"name": "images", "datatype": "FP32", "shape": [1, 2, 2, 3], "data": ` +
				`[[1,1,1,1,1,1],[1,1,1,1,1,1]]`), "", 400, "expected data of shape"},
		{"short data",
			in(`"name": "images", "datatype": "FP32", "shape": [1, 2, 2, 3], "data": [1]`),
			"", 400, "expected data of shape"},
		{"shared memory", in(`"name": "images", "datatype": "FP32", "shape": [1], "parameters": ` +
			`{"shared_memory_region": "r"}`), "", 501, "shared memory"},
		{"unknown output", `{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1], ` +
			`"data": [1]}], "outputs": [{"name": "z"}]}`, "", 400, "unexpected inference output"},
		{"output twice", `{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1], ` +
			`"data": [1]}], "outputs": [{"name": "probs"}, {"name": "probs"}]}`, "", 400, "twice"},
		{"classes", `{"inputs": [], "outputs": [{"name": "probs", "parameters": ` +
			`{"classification": -1}}]}`, "", 400, "number of classes"},
		{"classification of no classes", `{` + half +
			`, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], ` +
			`"outputs": [{"name": "y", "parameters": {"classification": 1}}]}`, "", 400,
			"classification wants"},
		{"model fails", `{` + half +
			`, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [666]}]}`, "",
			500, "the fake failed"},
	} {
		headers := []string{}
		if c.length != "" {
			headers = []string{headerLength, c.length}
		}
		w := request(h, "POST", "/v2/models/fake/infer", c.text, headers...)
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), `{"error":"`) ||
			!strings.Contains(w.Body.String(), jsonText(c.want)) {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, w.Code, w.Body, c.code, c.want)
		}
	}
	element := `"name": "images", "datatype": "BYTES", "shape": [1], "parameters": ` +
		`{"binary_data_size": 4}`
	w := request(h, "POST", "/v2/models/fake/infer", in(element)+"\xff\xff\xff\xff", headerLength,
		strconv.Itoa(len(in(element))))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "of which 0 are there") {
		t.Errorf("an element longer than the body: got %d %s", w.Code, w.Body)
	}
}

func TestOIPMetadata(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	model := `{"name":"fake","versions":["1"],"platform":"tensorflow_savedmodel",` +
		`"inputs":[{"name":"images","datatype":"FP32","shape":[-1,2,2,3]}],` +
		`"outputs":[{"name":"logits","datatype":"FP32","shape":[-1,3]},{"name":"probs",` +
		`"datatype":"FP32","shape":[-1,3]}]}`
	server := `{"extensions":["binary_tensor_data","classification",` +
		`"model_configuration","model_repository","statistics","schedule_policy","trace",` +
		`"logging"],"name":"kerasrun",` +
		`"version":"test"}`
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/v2", 200, server},
		{"/v2/", 200, server},
		{"/v2/health/live", 200, `{"live":true}`},
		{"/v2/health/ready", 200, `{"ready":true}`},
		{"/v2/models/fake", 200, model},
		{"/v2/models/fake/versions/1", 200, model},
		{"/v2/models/fake/ready", 200, `{"ready":true}`},
		{"/v2/models/fake/versions/1/ready", 200, `{"ready":true}`},
		{"/v2/models/fake/versions/2", 404,
			`{"error":"Servable not found for request: Specific(fake, 2)"}`},
		{"/v2/models/fake/versions/2/ready", 404,
			`{"error":"Servable not found for request: Specific(fake, 2)"}`},
		{"/v2/models/none", 404, `{"error":"Servable not found for request: Latest(none)"}`},
		{"/v2/models/none/ready", 404, `{"error":"Servable not found for request: Latest(none)"}`},
	} {
		w := request(s.Handler(), "GET", c.path, "")
		if w.Code != c.code || strings.TrimSpace(w.Body.String()) != c.want {
			t.Errorf("%s: got %d %s, want %d %s", c.path, w.Code, w.Body, c.code, c.want)
		}
	}
	s.Drain()
	for path, code := range map[string]int{
		"/v2/health/live": 200, "/v2/health/ready": 503, "/v2/models/fake/ready": 503,
		"/v2/models/fake": 200,
	} {
		if w := request(s.Handler(), "GET", path, ""); w.Code != code ||
			w.Header().Get("Connection") != "close" {
			t.Errorf("while draining, %s: got %d %v, want %d", path, w.Code, w.Header(), code)
		}
	}
}
