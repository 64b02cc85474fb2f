package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"kerasrun/labels"
)

func b64(data []byte) string { return `{"b64": "` + base64.StdEncoding.EncodeToString(data) + `"}` }

// The requests are those of TensorFlow Serving's own documentation where it has one.
func TestServingPredict(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	red, blue := pngImage(t, 255, 0, 0), pngImage(t, 0, 0, 255)
	nested := `[[[1,0,0],[1,0,0]],[[1,0,0],[1,0,0]]]`
	for _, c := range []struct{ name, path, body, want string }{
		{"row", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "instances": [1.0,2.0,5.0]}`,
			`{"predictions": [2.5, 3.0, 4.5]}`},
		{"column", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "inputs": [1.0,2.0,5.0]}`,
			`{"outputs": [2.5, 3.0, 4.5]}`},
		{"the signature last", "/v1/models/fake",
			`{"instances": [1], "signature_name": "half_plus_two"}`, `{"predictions": [2.5]}`},
		{"named row", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "instances": [{"x": 1}, {"x": 2}]}`,
			`{"predictions": [2.5, 3.0]}`},
		{"named column", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "inputs": {"x": [1, 2]}}`,
			`{"outputs": [2.5, 3.0]}`},
		{"not finite", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "inputs": [NaN, Infinity, -Infinity]}`,
			`{"outputs": [NaN, Infinity, -Infinity]}`},
		{"version", "/v1/models/fake/versions/1",
			`{"signature_name": "half_plus_two", "instances": [1]}`, `{"predictions": [2.5]}`},
		{"label", "/v1/models/fake/labels/stable",
			`{"signature_name": "half_plus_two", "instances": [1]}`, `{"predictions": [2.5]}`},
		{"escaped", "/v1/models/f%61ke", `{"signature_name": "half_plus_two", "instances": [1]}`,
			`{"predictions": [2.5]}`},
		{"unknown keys", "/v1/models/fake",
			`{"signature_name": "half_plus_two", "instances": [1], "more": {"a": [null]}}`,
			`{"predictions": [2.5]}`},
		{"several rows", "/v1/models/fake",
			`{"signature_name": "echo", "instances": [{"tag": "foo", "signal": [1, 2], "on": ` +
				`true}, {"tag": {"b64": "YmFy"}, "on": false, "signal": [3, 4]}]}`,
			`{"predictions": [{"on": true, "signal": [1, 2], "tag": "foo", "tag_bytes": {"b64": ` +
				`"Zm9v"}}, ` +
				`{"on": false, "signal": [3, 4], "tag": "bar", "tag_bytes": {"b64": "YmFy"}}]}`},
		{"several columns", "/v1/models/fake",
			`{"signature_name": "echo", "inputs": {"tag": ["foo", "bar"], "signal": [[1, 2], [3, ` +
				`4]], "on": [true, false]}}`,
			`{"outputs": {"on": [true, false], "signal": [[1, 2], [3, 4]], "tag": ["foo", ` +
				`"bar"], "tag_bytes": [{"b64": "Zm9v"}, {"b64": "YmFy"}]}}`},
		{"no batch", "/v1/models/fake", `{"signature_name": "sum", "inputs": [1, 2, 3.5]}`,
			`{"outputs": 6.5}`},
		{"tensor", "/v1/models/fake", `{"instances": [` + nested + `]}`,
			`{"predictions": [{"logits": [4.0, 0.0, 0.0], "probs": [1.0, 0.0, 0.0]}]}`},
		{"image", "/v1/models/fake", `{"instances": [` + b64(red) + `, {"b64": "` +
			base64.StdEncoding.EncodeToString(blue) + `"}]}`,
			`{"predictions": [{"logits": [1020.0, 0.0, 0.0], "probs": [1.0, 0.0, 0.0]}, ` +
				`{"logits": [0.0, 0.0, 1020.0], "probs": [0.0, 0.0, 1.0]}]}`},
		{"named image", "/v1/models/fake", `{"instances": [{"images": ` + b64(red) + `}]}`,
			`{"predictions": [{"logits": [1020.0, 0.0, 0.0], "probs": [1.0, 0.0, 0.0]}]}`},
		{"column of images", "/v1/models/fake", `{"inputs": {"images": [` + b64(blue) + `]}}`,
			`{"outputs": {"logits": [[0.0, 0.0, 1020.0]], "probs": [[0.0, 0.0, 1.0]]}}`},
		{"one image", "/v1/models/fake", `{"inputs": ` + b64(blue) + `}`,
			`{"outputs": {"logits": [[0.0, 0.0, 1020.0]], "probs": [[0.0, 0.0, 1.0]]}}`},
	} {
		w := request(h, "POST", c.path+":predict", c.body)
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != c.want {
			t.Errorf("%s: got %d %s, want %s", c.name, w.Code, got, c.want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", c.name, got)
		}
	}
}

func TestServingClassify(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	body := `{"examples": [{"images": ` + b64(pngImage(t, 0, 100, 50)) + `}, {"images": [` +
		b64(pngImage(t, 255, 0, 0)) + `]}], "context": {}}`
	w := request(h, "POST", "/v1/models/fake:classify",
		strings.Replace(body, `[`+b64(pngImage(t, 255, 0, 0))+`]`, b64(pngImage(t, 255, 0, 0)), 1))
	want := `{"results": [[["green", 0.6666667], ["blue", 0.33333334], ["red", 0.0]], [["red", ` +
		`1.0], ["blue", 0.0], ["green", 0.0]]]}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
		t.Errorf("got %d %s, want %s", w.Code, got, want)
	}
}

type unnamedModel struct{ *fakeModel }

func (unnamedModel) Labels() labels.Labels { return nil }

// The labels of classes without names are their numbers, for they come by their scores.
func TestServingClassifyWithoutNames(t *testing.T) {
	h := startServer(t, unnamedModel{&fakeModel{}}, nil).Handler()
	w := request(h, "POST", "/v1/models/fake:classify",
		`{"examples": [{"images": `+b64(pngImage(t, 0, 100, 50))+`}]}`)
	want := `{"results": [[["1", 0.6666667], ["2", 0.33333334], ["0", 0.0]]]}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
		t.Errorf("got %d %s, want %s", w.Code, got, want)
	}
}

// Signatures that take examples answer over REST what they answer over gRPC, and a feature is of
// the kind that TensorFlow Serving's AddValueToFeature makes of it.
func TestServingExamples(t *testing.T) {
	h := startServer(t, exampleModel{&fakeModel{}}, nil).Handler()
	for _, c := range []struct{ path, body, want string }{
		{"regress", `"context": {"b": 10.0}, "examples": [{"a": 1.0}, {"b": [2.0, 0.25]}]`,
			`{"results": [11.0, 2.25]}`},
		{"classify", `"examples": [{"a": [1.0, 2e0]}]`,
			`{"results": [[["long", 3.0], ["short", -3.0]]]}`},
		// whole numbers, booleans and bytes are no floats
		{"regress", `"examples": [{"a": [1, true], "b": ["x", {"b64": "AA=="}], "c": []}]`,
			`{"results": [0.0]}`},
		{"regress", `"examples": [{"a": [1, 2.0]}]`,
			`{"error":"example 0: feature \"a\": unexpected element type, expecting type: int64"}`},
		{"regress", `"examples": [{"a": [2.0, "x"]}]`,
			`{"error":"example 0: feature \"a\": unexpected element type, expecting type: float"}`},
		{"regress", `"examples": [{"a": ["x", false]}]`,
			`{"error":"example 0: feature \"a\": unexpected element type, expecting type: bytes"}`},
		{"regress", `"examples": [{"a": [[1.0]]}]`,
			`{"error":"example 0: feature \"a\": element with unexpected JSON type: Array"}`},
		{"regress", `"examples": [{"a": 1e40}]`, `{"error":"example 0: feature \"a\": ` +
			`value 1e40 at offset: 49 is out of the range of float32"}`},
		{"regress", `"context": {"a": null}, "examples": [{}]`,
			`{"error":"context: feature \"a\": element with unexpected JSON type: Null"}`},
	} {
		w := request(h, "POST", "/v1/models/fake:"+c.path,
			`{"signature_name": "`+c.path+`", `+c.body+`}`)
		if got := strings.TrimSpace(w.Body.String()); got != c.want {
			t.Errorf("%s %s: got %d %s, want %s", c.path, c.body, w.Code, got, c.want)
		}
	}
}

func TestServingErrors(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	for _, c := range []struct {
		name, path, body string
		code             int
		want             string
	}{
		{"both", ":predict", `{"instances": [1], "inputs": [1]}`, 400,
			"only one of 'inputs' or 'instances'"},
		{"neither", ":predict", `{}`, 400, "Missing 'inputs' or 'instances' key"},
		{"no rows", ":predict", `{"instances": []}`, 400, "No values in 'instances' array"},
		{"no list", ":predict", `{"instances": 1}`, 400, "not a list"},
		{"empty", ":predict", ``, 400, "the document is empty"},
		{"not an object", ":predict", `[1]`, 400, "not an object"},
		{"more", ":predict", `{"instances": [1]} x`, 400, "should end here"},
		{"signature", ":predict", `{"signature_name": "none", "instances": [1]}`, 400,
			`"none" not found in signature def`},
		{"signature is a number", ":predict", `{"signature_name": 1, "instances": [1]}`, 400,
			"must be a string"},
		{"shape", ":predict", `{"instances": [[1, 2]]}`, 400, "expected (-1, 2, 2, 3), got (1, 2)"},
		{"uneven", ":predict", `{"instances": [[1], [1, 2]]}`, 400,
			"element: 1 of 'instances' list"},
		{"text", ":predict", `{"instances": ["a"]}`, 400, "String"},
		{"mixed", ":predict", `{"signature_name": "half_plus_two", "instances": [1, {"x": 1}]}`,
			400, "cannot be mixed"},
		{"unknown input", ":predict",
			`{"signature_name": "half_plus_two", "instances": [{"y": 1}]}`, 400,
			"does not have named input: y"},
		{"plain list", ":predict", `{"signature_name": "echo", "instances": [1]}`, 400,
			"instances is a plain list"},
		{"plain value", ":predict", `{"signature_name": "echo", "inputs": [1]}`, 400,
			"inputs is a plain value/list"},
		{"missing key", ":predict", `{"signature_name": "echo", "instances": [{"tag": "a"}]}`, 400,
			"keys must be equal to: on,signal,tag"},
		{"missing input", ":predict", `{"signature_name": "echo", "inputs": {"tag": ["a"]}}`, 400,
			`missing input "on"`},
		{"rows differ", ":predict",
			`{"signature_name": "echo", "inputs": {"tag": ["a"], "signal": [[1], [2]], "on": ` +
				`[true]}}`, 400, "rows"},
		{"no image", ":predict", `{"instances": [{"b64": "AAAA"}]}`, 400, ""},
		{"model fails", ":predict", `{"signature_name": "half_plus_two", "instances": [666]}`, 500,
			"the fake failed"},
		{"regress nothing", ":regress", `{}`, 400, "When method is regress, key 'examples' is"},
		{"regress", ":regress", `{"examples": [{"images": {"b64": ""}}]}`, 400,
			"expected a regression, which regress is for, got probabilities"},
		{"unknown verb", ":sing", `{}`, 400, "Malformed request"},
		{"version", "/versions/7:predict", `{"instances": [1]}`, 404,
			"Servable not found for request: Specific(fake, 7)"},
		{"version too large", "/versions/99999999999999999999:predict", `{"instances": [1]}`, 400,
			"to numeric"},
		{"label", "/labels/none:predict", `{"instances": [1]}`, 400,
			"Unrecognized servable version label: none"},
		{"version and label", "/versions/1/labels/stable:predict", `{"instances": [1]}`, 400,
			"Malformed request"},
		{"no examples", ":classify", `{}`, 400, "'examples' is expected"},
		{"empty examples", ":classify", `{"examples": []}`, 400, "empty array"},
		{"feature", ":classify", `{"examples": [{"x": {"b64": ""}}]}`, 400,
			`expected the feature "images"`},
		{"no feature", ":classify", `{"examples": [{}]}`, 400, "got 0 features"},
		{"context", ":classify", `{"examples": [{}], "context": {"a": 1}}`, 400, "context"},
		{"signature without images", ":classify",
			`{"signature_name": "sum", "examples": [{"images": {"b64": ""}}]}`, 400, ""},
	} {
		w := request(h, "POST", "/v1/models/fake"+c.path, c.body)
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), `{"error":"`) ||
			!strings.Contains(w.Body.String(), jsonText(c.want)) {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, w.Code, w.Body, c.code, c.want)
		}
	}
	w := request(h, "POST", "/v1/models/half:predict", `{"instances": [1.0,5.0]}`)
	if want := `{"error":"Servable not found for request: Latest(half)"}` + "\n"; w.Code != 404 ||
		w.Body.String() != want {
		t.Errorf("got %d %s, want 404 %s", w.Code, w.Body, want)
	}
}

func TestServingStatus(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	available := `{"model_version_status":[{"version":"1","state":"AVAILABLE",` +
		`"status":{"error_code":"OK","error_message":""}}]}`
	metadata := `{"metadata":{"signature_def":{"signature_def":{"echo":`
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/v1/models/fake", 200, available},
		{"/v1/models/fake/versions/1", 200, available},
		{"/v1/models/fake/labels/stable", 200, available},
		{"/v1/models/fake/versions/0", 200, available}, // OpenVINO's clients' newest
		{"/v1/models/fake/versions/2", 404,
			`{"error":"Could not find version 2 of model fake"}`},
		{"/v1/models/none", 404, `{"error":"Could not find any versions of model none"}`},
		{"/v1/models/fake/metadata", 200, metadata},
		{"/v1/models/fake/versions/1/metadata", 200, metadata},
		{"/v1/models/fake/labels/stable/metadata", 200, metadata},
		{"/v1/models/fake/versions/2/metadata", 404,
			`{"error":"Servable not found for request: Specific(fake, 2)"}`},
		{"/v1/models/", 400, `{"error":"Malformed request`},
		{"/v1/models/fake/else", 400, `{"error":"Malformed request`},
	} {
		w := request(h, "GET", c.path, "")
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), c.want) {
			t.Errorf("%s: got %d %s, want %d %s", c.path, w.Code, w.Body, c.code, c.want)
		}
	}
	w := request(h, "GET", "/v1/models/fake/metadata", "")
	for _, want := range []string{
		`"model_spec":{"name":"fake","signature_name":"","version":"1"}`,
		`"serving_default":{"inputs":{"images":{"dtype":"DT_FLOAT",` +
			`"tensor_shape":{"dim":[{"size":"-1","name":""},{"size":"2","name":""},` +
			`{"size":"2","name":""},{"size":"3","name":""}],"unknown_rank":false},` +
			`"name":"images:0"}},"outputs":{"logits":{`,
		`"method_name":"tensorflow/serving/predict"}`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metadata: want %s in %s", want, w.Body)
		}
	}
}

func TestCompressedBodies(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Body = 1 << 20 })
	const body = `{"signature_name": "half_plus_two", "instances": [1]}`
	for _, c := range []struct {
		encoding string
		pack     func(io.Writer) io.WriteCloser
	}{
		{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
		{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }},
	} {
		pack := func(body string) string {
			var out bytes.Buffer
			w := c.pack(&out)
			io.WriteString(w, body)
			w.Close()
			return out.String()
		}
		for _, each := range []struct {
			name, body string
			code       int
		}{
			{"good", pack(body), 200},
			{"bomb", pack(body + strings.Repeat(" ", 8<<20)), 413},
			{"cut short", pack(body)[:20], 400},
			{"more behind it", pack(body) + "more", 400},
			{"not packed", body, 400},
		} {
			w := request(s.Handler(), "POST", "/v1/models/fake:predict", each.body,
				"Content-Encoding", c.encoding)
			if w.Code != each.code {
				t.Errorf("%s %s: got %d %s, want %d", c.encoding, each.name, w.Code, w.Body,
					each.code)
			}
		}
	}
	if w := request(s.Handler(), "POST", "/v1/models/fake:predict", body, "Content-Encoding",
		"br"); w.Code != 415 {
		t.Errorf("br: got %d, want 415", w.Code)
	}
}
