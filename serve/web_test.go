package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"kerasrun/contract"
	"kerasrun/savedmodel"
	"kerasrun/serve/internal/oip"
)

// Proxies speak HTTP/2 without TLS to servers of which they know that they do.
func TestUnencryptedHTTP2(t *testing.T) {
	web, _ := listen(t, startServer(t, &fakeModel{}, nil))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	answer, err := client.Post("http://"+web+"/v1/models/fake:predict", "application/json",
		strings.NewReader(oneHalf))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || answer.Proto != "HTTP/2.0" {
		t.Errorf("got %d over %s, want 200 over HTTP/2.0", answer.StatusCode, answer.Proto)
	}
	client.CloseIdleConnections()
}

// formWith is a form with an image and fields, name and value in turns.
func formWith(t *testing.T, image []byte, fields ...string) (body, contentType string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "a.png")
	if err == nil {
		_, err = part.Write(image)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), w.FormDataContentType()
}

func TestFormFields(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	for _, c := range []struct {
		query  string
		fields []string
		code   int
		want   int    // classes
		error  string // of another code than 200
	}{
		{"", nil, 200, 3, ""},
		{"", []string{"top", "2"}, 200, 2, ""},
		{"?top=2", nil, 200, 2, ""},
		{"?top=1", []string{"top", "1", "model", "fake", "submit", "Go"}, 200, 1, ""},
		{"?top=1", []string{"top", "2"}, 400, 0, "top: expected it once"},
		{"", []string{"top", "1", "top", "2"}, 400, 0, "comes twice"},
		{"", []string{"top", "x"}, 400, 0, "top: expected a number from 1"},
		{"", []string{"model", "none"}, 404, 0, "Servable not found"},
		{"", []string{"top", strings.Repeat("1", 2000)}, 400, 0, "expected at most 1024 bytes"},
	} {
		body, contentType := formWith(t, pngImage(t, 1, 2, 3), c.fields...)
		w := request(h, "POST", "/classify"+c.query, body, "Content-Type", contentType)
		var answer struct {
			Predictions []any
			Error       string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.code || len(answer.Predictions) != c.want ||
			!strings.Contains(answer.Error, c.error) {
			t.Errorf("%s %v: got %d %s, want %d, %d classes, %q", c.query, c.fields, w.Code,
				w.Body, c.code, c.want, c.error)
		}
	}
}

// What is not finite is written bare over both protocols, as their own servers do: Python's and
// RapidJSON's parsers read it.
func TestNotFinite(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	for path, c := range map[string]struct{ body, want string }{
		"/v1/models/fake:predict": {`{"signature_name": "half_plus_two", "instances": ` +
			`[NaN, -Infinity, 2]}`, `{"predictions": [NaN, -Infinity, 3.0]}`},
		"/v2/models/fake/infer": {`{"parameters": {"signature_name": "half_plus_two"}, "inputs": ` +
			`[{"name": "x", "shape": [3], "datatype": "FP32", "data": [NaN, -Infinity, 2]}]}`,
			`"data": [NaN, -Infinity, 3.0]`},
	} {
		w := request(h, "POST", path, c.body)
		if w.Code != 200 || !strings.Contains(strings.Join(strings.Fields(w.Body.String()), " "),
			c.want) {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, c.want)
		}
	}
}

// A telephone's photograph of 64 megapixels is within the limits, and one of 68 is not.
func TestLargePhotograph(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	for width, want := range map[int]int{9248: 200, 9800: 422} {
		img := image.NewPaletted(image.Rect(0, 0, width, 6936), color.Palette{color.Black,
			color.NRGBA{0, 255, 0, 255}})
		for i := range img.Pix {
			img.Pix[i] = 1
		}
		var out bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		w := request(h, "POST", "/classify", out.String())
		if w.Code != want || (want == 200) != strings.Contains(w.Body.String(), `"name":"green"`) {
			t.Errorf("%d x 6936: got %d %.200s, want %d", width, w.Code, w.Body, want)
		}
	}
}

func TestWithPixelsFor(t *testing.T) {
	for total, want := range map[int64]int{2 << 30: 1 << 26, 1 << 30: 53687091, 1 << 28: 1 << 24} {
		l := DefaultLimits().WithPixelsFor(total)
		if l.Pixels != want {
			t.Errorf("%d bytes: got %d, want %d", total, l.Pixels, want)
		}
		if _, err := l.WithMemory(max(total, l.LeastMemory())); err != nil {
			t.Errorf("%d bytes: %v", total, err)
		}
	}
}

// syntheticModel has weights that were drawn.
type syntheticModel struct{ *fakeModel }

func (m syntheticModel) SavedModel() *savedmodel.Model {
	saved := m.fakeModel.SavedModel()
	saved.Manifest.Weights = contract.Weights{Source: "synthetic:7"}
	return saved
}

// Whoever reads an answer of a model that was never trained is told, by whichever protocol.
func TestSyntheticWeightsWarn(t *testing.T) {
	for _, c := range []struct {
		model Model
		want  string
	}{{&fakeModel{}, ""}, {syntheticModel{&fakeModel{}}, syntheticWarning}} {
		var log bytes.Buffer
		s := startServer(t, c.model, func(config *Config) {
			config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := strings.Contains(log.String(), syntheticWarning); got != (c.want != "") {
			t.Errorf("the log: got %s, want %q", log.String(), c.want)
		}
		for path, body := range map[string]string{
			"/v1/models/fake:predict": oneHalf,
			"/v2/models/fake/infer":   scheduled(`"timeout": 0`),
			"/classify":               string(pngImage(t, 1, 2, 3)),
		} {
			w := request(s.Handler(), "POST", path, body)
			inBody := strings.Contains(w.Body.String(), `"warning"`)
			if got := w.Header().Get(headerWarning); got != c.want ||
				path != "/v1/models/fake:predict" && inBody != (c.want != "") {
				t.Errorf("%s: got %q, in the body: %v, want %q", path, got, inBody, c.want)
			}
		}
		var header metadata.MD
		answer, err := oip.NewGRPCInferenceServiceClient(dial(t, s)).ModelInfer(
			context.Background(), halfRequest(), grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Parameters["warning"].GetStringParam(); got != c.want ||
			strings.Join(header.Get(headerWarning), "") != c.want {
			t.Errorf("gRPC: got %q, %v, want %q", got, header.Get(headerWarning), c.want)
		}
	}
}
