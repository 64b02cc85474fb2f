package serve

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/labels"
)

// form makes a multipart body of files.
func form(t testing.TB, files ...[]byte) (contentType, body string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	w.WriteField("comment", "not an image")
	for _, content := range files {
		part, err := w.CreateFormFile("file", "image.png")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(content)
	}
	w.Close()
	return w.FormDataContentType(), out.String()
}

func TestClassify(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	green := pngImage(t, 0, 100, 50)
	contentType, body := form(t, green)
	all := []labels.Prediction{
		{Index: 1, ID: "n1", Name: "green", Probability: 2. / 3},
		{Index: 2, ID: "n2", Name: "blue", Probability: 1. / 3},
		{Index: 0, ID: "n0", Name: "red"},
	}
	for _, c := range []struct {
		name, path, contentType, body string
		want                          []labels.Prediction
	}{
		{"image", "/classify", "image/png", string(green), all},
		{"no type", "/classify", "", string(green), all},
		{"curl's type", "/classify", "application/x-www-form-urlencoded", string(green), all},
		{"form", "/classify", contentType, body, all},
		{"top", "/classify?top=1", "image/png", string(green), all[:1]},
		{"model", "/classify?model=fake&top=2", "image/png", string(green), all[:2]},
	} {
		w := request(h, "POST", c.path, c.body, "Content-Type", c.contentType)
		var got classified
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Errorf("%s: %v, %d %s", c.name, err, w.Code, w.Body)
			continue
		}
		if diff := cmp.Diff(c.want, got.Predictions); diff != "" || got.Model != "fake" ||
			got.Version != "1" {
			t.Errorf("%s: model %q version %q (-want +got):\n%s", c.name, got.Model, got.Version,
				diff)
		}
		if !strings.HasPrefix(w.Header().Get("Server-Timing"), "preprocess;dur=") {
			t.Errorf("%s: Server-Timing %q", c.name, w.Header().Get("Server-Timing"))
		}
	}
}

func TestClassifyErrors(t *testing.T) {
	h := startServer(t, &fakeModel{}, nil).Handler()
	good := string(pngImage(t, 1, 2, 3))
	contentType, two := form(t, []byte(good), []byte(good))
	_, none := form(t)
	for _, c := range []struct {
		name, method, path, contentType, body string
		code                                  int
	}{
		{"nothing", "POST", "/classify", "", "", 400},
		{"text", "POST", "/classify", "", "no image", 400},
		{"cut short", "POST", "/classify", "", good[:40], 400},
		{"another format", "POST", "/classify", "", "\x00\x00\x00\x0cjP  \r\n\x87\n", 415},
		{"no boundary", "POST", "/classify", "multipart/form-data", good, 400},
		{"no form", "POST", "/classify", "multipart/form-data; boundary=x", good, 400},
		{"two files", "POST", "/classify", contentType, two, 400},
		{"no file", "POST", "/classify", contentType, none, 400},
		{"top 0", "POST", "/classify?top=0", "", good, 400},
		{"top twice", "POST", "/classify?top=1&top=2", "", good, 400},
		{"bad escape", "POST", "/classify?%zz", "", good, 400},
		{"semicolon", "POST", "/classify?top=2;x=1", "", good, 400},
		{"top word", "POST", "/classify?top=all", "", good, 400},
		{"model", "POST", "/classify?model=none", "", good, 404},
		{"parameter", "POST", "/classify?url=http://example.com/cat.jpg", "", good, 400},
		{"method", "PUT", "/classify", "", "", 405},
		{"address", "POST", "/classify/", "", good, 404},
	} {
		w := request(h, c.method, c.path, c.body, "Content-Type", c.contentType)
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.code)
		}
	}
}
