package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"kerasrun/serve/internal/oip"
)

// hostile is a request that must be refused.
type hostile struct{ name, path, body, header string }

var hostileShapes = func() map[string][]int64 {
	dims := make([]int64, 255)
	for i := range dims {
		dims[i] = 1
	}
	return map[string][]int64{
		"scalar":                 {},
		"no rows":                {0, 2, 2, 3},
		"zero inside":            {1, 0, 2, 3},
		"minus one":              {-1, 2, 2, 3},
		"minus one inside":       {1, -1, 2, 3},
		"smallest":               {math.MinInt64, 2, 2, 3},
		"largest":                {math.MaxInt64, 2, 2, 3},
		"product overflows":      {1 << 32, 1 << 32, 2, 3},
		"overflows to 0":         {1 << 62, 4, 4, 4},
		"overflows to 12":        {1<<62 + 3, 4, 1, 1},
		"overflow beside a zero": {0, 1 << 40, 1 << 40, 3},
		"bytes overflow":         {1 << 61, 1, 1, 1},
		"255 dimensions":         dims,
		"rank 3":                 {2, 2, 3},
		"rank 5":                 {1, 1, 2, 2, 3},
		"wide":                   {1, 2, 3, 3},
		"transposed":             {1, 3, 2, 2},
		"a terabyte":             {1 << 36, 2, 2, 3},
	}
}()

// hostileTensors are the tensors that the image's input does not take, in each datatype, in JSON
// and in binary.
func hostileTensors() (all []hostile) {
	names := []string{"FP8", ""}
	for _, datatype := range datatypes {
		names = append(names, datatype)
	}
	for _, datatype := range names {
		for what, shape := range hostileShapes {
			dims, _ := json.Marshal(shape)
			for _, data := range []string{`"data": []`, `"data": [1]`, `"data": [` +
				strings.Repeat("1, ", 11) + `1]`, `"data": [[[[1]]]]`} {
				body := fmt.Sprintf(
					`{"inputs": [{"name": "images", "datatype": %q, "shape": %s, %s}]}`, datatype,
					dims, data)
				all = append(all, hostile{datatype + " " + what, "/v2/models/fake/infer", body, ""})
			}
			for _, size := range []int{0, 1, 48} {
				body := fmt.Sprintf(
					`{"inputs": [{"name": "images", "datatype": %q, "shape": %s, "parameters": `+
						`{"binary_data_size": %d}}]}`, datatype, dims, size)
				all = append(all, hostile{datatype + " binary " + what, "/v2/models/fake/infer",
					body + strings.Repeat("\xff", size), strconv.Itoa(len(body))})
			}
		}
	}
	return all
}

// hostileTexts are texts that are no requests: each valid one, cut short at every place and damaged
// in many.
func hostileTexts() (all []hostile) {
	valid := map[string]string{
		// mixed: refused as it is
		"/v1/models/fake:predict": `{"signature_name": "half_plus_two", "instances": [1.5, ` +
			`{"x": -2e3}, NaN]}`,
		"/v1/models/fake:classify": `{"examples": [{"images": {"b64": "AAAA"}}], "context": {}}`,
		"/v2/models/fake/infer": `{"id": "1", "inputs": [{"name": "images", "shape": [1, 2, ` +
			`2, 3], "datatype": "FP32", "data": [1, 2]}]}`,
	}
	const damage = "{}[]\":,0-eE.tfnNI\\\x00\xff "
	random := rand.New(rand.NewPCG(7, 7))
	for path, text := range valid {
		for n := range len(text) {
			all = append(all, hostile{"cut short", path, text[:n], ""})
		}
		for range 200 {
			damaged := []byte(text)
			for range 1 + random.IntN(4) {
				damaged[random.IntN(len(damaged))] = damage[random.IntN(len(damage))]
			}
			all = append(all, hostile{"damaged", path, string(damaged), ""})
		}
		for name, body := range map[string]string{
			"empty": "", "null": "null", "number": "1", "text": `"x"`, "list": "[]", "object": "{}",
			"zeros":    strings.Repeat("\x00", 1000),
			"brackets": strings.Repeat("[", 1<<16), "braces": strings.Repeat(`{"a":`,
				1<<14), "quote": `{"` + strings.Repeat("a", 1<<16),
			"digits": `{"inputs": [` + strings.Repeat("9", 1<<16) +
				`]}`, "exponent": `{"inputs": [1e999999999]}`,
			"nested in instances": `{"instances": ` + strings.Repeat("[", 5000) +
				strings.Repeat("]", 5000) + `}`,
			"no base 64":       `{"instances": [{"b64": "!!!!"}]}`,
			"image of nothing": `{"instances": [{"b64": ""}]}`,
			"many empty images": `{"instances": [` + strings.Repeat(`{"b64": ""},`, 100) +
				`{"b64": ""}]}`,
			"uneven": `{"instances": [[[[1,2,3],[1,2,3]],[[1,2,3],[1,2]]]]}`,
		} {
			all = append(all, hostile{name, path, body, ""})
		}
	}
	return all
}

// More than a thousand hostile shapes and bodies: each is refused as the client's fault, and the
// server lives.
func TestHostile(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	all := append(hostileTensors(), hostileTexts()...)
	for _, c := range all {
		headers := []string{}
		if c.header != "" {
			headers = []string{headerLength, c.header}
		}
		w := request(h, "POST", c.path, c.body, headers...)
		if w.Code < 400 || w.Code > 499 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s %.200q: got %d %.200s, want 4xx and an error", c.path, c.name, c.body,
				w.Code, w.Body)
		}
	}
	if len(all) < 1000 {
		t.Errorf("got %d, want 1,000 requests", len(all))
	}
	t.Logf("%d hostile requests", len(all))
	if w := request(h, "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
		t.Errorf("afterwards: got %d %s, want 200", w.Code, w.Body)
	}
}

// hostileNumbers are what a client may say in the place of a count.
var hostileNumbers = []int64{math.MinInt64, math.MinInt64 + 1, -1 << 32, -1 << 31, -1, 1 << 31,
	1<<31 - 1, 1 << 32, 1<<32 - 1, 1 << 61, 1 << 62, math.MaxInt64 - 512, math.MaxInt64 - 7,
	math.MaxInt64 - 1, math.MaxInt64}

// No number of a header, an address or a body is added to or multiplied unchecked: each is refused
// as the client's fault.
func TestHostileNumbers(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	h := s.Handler()
	png := string(pngImage(t, 1, 2, 3))
	for _, n := range hostileNumbers {
		number := strconv.FormatInt(n, 10)
		tensor := func(shape, size int64) (body string, length string) {
			body = fmt.Sprintf(`{"inputs": [{"name": "images", "datatype": "FP32", "shape": `+
				`[%d, 2, 2, 3], "parameters": {"binary_data_size": %d}}]}`, shape, size)
			return body + strings.Repeat("x", 48), strconv.Itoa(len(body))
		}
		check := func(what string, r *http.Request) {
			t.Helper()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code < 400 || w.Code > 499 {
				t.Errorf("%s of %s: got %d %.200s, want 4xx", what, number, w.Code, w.Body)
			}
		}
		post := func(path, body string, headers ...string) *http.Request {
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			return r
		}
		for _, path := range []string{"/classify", "/v1/models/fake:predict",
			"/v1/models/fake:classify", "/v2/models/fake/infer"} {
			r := post(path, "{}")
			r.ContentLength = n
			check("Content-Length to "+path, r)
			r = post(path, "{}", headerLength, number)
			r.ContentLength = n
			check("Content-Length and "+headerLength+" to "+path, r)
		}
		body, length := tensor(1, n)
		check("binary_data_size", post("/v2/models/fake/infer", body, headerLength, length))
		check(headerLength, post("/v2/models/fake/infer", body, headerLength, number))
		body, length = tensor(n, 48)
		check("a shape", post("/v2/models/fake/infer", body, headerLength, length))
		check("top", post("/classify?top=-"+strings.TrimPrefix(number, "-"), png))
		check("a version", post("/v1/models/fake/versions/"+number+":predict", oneHalf))
		check("a version of the Open Inference Protocol",
			post("/v2/models/fake/versions/"+number+"/infer", "{}"))
		check("classification", post("/v2/models/fake/infer", fmt.Sprintf(
			`{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, 2, 2, 3], "data": `+
				`[1,1,1,1,1,1,1,1,1,1,1,1]}], "outputs": [{"name": "probs", "parameters": `+
				`{"classification": %d}}]}`, n)))
		_, err := (&grpcService{server: s}).ModelInfer(t.Context(), &oip.ModelInferRequest{
			ModelName: "fake", Inputs: []*oip.ModelInferRequest_InferInputTensor{{
				Name: "images", Datatype: "FP32", Shape: []int64{n, 2, 2, 3},
			}}, RawInputContents: [][]byte{make([]byte, 48)},
		})
		if known := (*Error)(nil); !errors.As(err, &known) ||
			known.Code != codes.InvalidArgument {
			t.Errorf("a shape of %s over gRPC: got %v, want InvalidArgument", number, err)
		}
	}
	if w := request(h, "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
		t.Errorf("afterwards: got %d %s, want 200", w.Code, w.Body)
	}
}

// fuzzServer is a handler, and a check that no body makes it fail.
func fuzzServer(f *testing.F) func(t *testing.T, path, body string, headers ...string) {
	h := startServer(f, &fakeModel{}, nil).Handler()
	return func(t *testing.T, path, body string, headers ...string) {
		w := request(h, "POST", path, body, headers...)
		if w.Code >= 500 && w.Code != 501 && !strings.Contains(w.Body.String(), errFake.Error()) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
}

func FuzzPredictBody(f *testing.F) {
	image := string(b64(pngImage(f, 9, 9, 9)))
	for _, seed := range []string{
		oneHalf, `{"instances": [` + image + `]}`, `{"inputs": {"images": [` + image + `]}}`,
		`{"signature_name": "echo", "instances": [{"tag": "foo", "signal": [1, 2], "on": true}]}`,
		`{"signature_name": "echo", "inputs": {"tag": ["foo"], "signal": [[1, 2]], "on": [true]}}`,
		`{"signature_name": "sum", "inputs": [NaN, -Infinity]}`,
		`{"instances": [[[[1,0,0],[1,0,0]],[[1,0,0],[1,0,0]]]]}`,
	} {
		f.Add(seed)
	}
	check := fuzzServer(f)
	f.Fuzz(func(t *testing.T, body string) { check(t, "/v1/models/fake:predict", body) })
}

func FuzzServingClassifyBody(f *testing.F) {
	f.Add(`{"examples": [{"images": ` + b64(pngImage(f, 9, 9, 9)) + `}], "context": {}}`)
	check := fuzzServer(f)
	f.Fuzz(func(t *testing.T, body string) { check(t, "/v1/models/fake:classify", body) })
}

func FuzzInferBody(f *testing.F) {
	f.Add(`{"inputs": [{"name": "images", "shape": [1, 2, 2, 3], "datatype": "FP32", "data": `+
		`[1,1,1,1,1,1,1,1,1,1,1,1]}], "outputs": [{"name": "probs", `+
		`"parameters": {"classification": 2}}]}`, "", "")
	binary := `{"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "parameters": ` +
		`{"binary_data_size": 4}}], "parameters": {"binary_data_output": true}}`
	f.Add(binary, strconv.Itoa(len(binary)), "\x00\x00\x00\x00")
	f.Add("", "0", strings.Repeat("\x00", 48))
	check := fuzzServer(f)
	f.Fuzz(func(t *testing.T, body, length, tensors string) {
		check(t, "/v2/models/fake/infer", body+tensors, headerLength, length)
	})
}

func FuzzClassifyBody(f *testing.F) {
	green := pngImage(f, 0, 255, 0)
	contentType, body := form(f, green)
	f.Add("image/png", string(green))
	f.Add(contentType, body)
	check := fuzzServer(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		check(t, "/classify", body, "Content-Type", contentType)
	})
}
