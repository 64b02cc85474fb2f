package serve

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/savedmodel"
)

// blindModel has no manifest, so that it takes no images.
type blindModel struct{ *fakeModel }

func (m blindModel) SavedModel() *savedmodel.Model {
	saved := m.fakeModel.SavedModel()
	saved.Manifest = nil
	return saved
}

func TestAbout(t *testing.T) {
	for name, c := range map[string]struct {
		model Model
		want  string
	}{
		"a classifier": {&fakeModel{}, `{"models":[{"name":"fake","version":"1",` +
			`"kind":"probabilities","classes":3,"height":2,"width":2}],"samples":["a b.png"]}`},
		"synthetic weights": {syntheticModel{&fakeModel{}}, `{"models":[{"name":"fake",` +
			`"version":"1","warning":"` + syntheticWarning + `","kind":"probabilities","classes":3,` +
			`"height":2,"width":2}],"samples":["a b.png"]}`},
		"no images": {blindModel{&fakeModel{}}, `{"models":[{"name":"fake","version":"1",` +
			`"error":"model \"fake\" takes no images"}],"samples":["a b.png"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			green := pngImage(t, 0, 255, 0)
			h := startServer(t, c.model, func(config *Config) {
				config.Samples = []Sample{{"a b.png", green}}
			}).Handler()
			if w := request(h, "GET", "/classify", ""); w.Code != 200 ||
				strings.TrimSpace(w.Body.String()) != c.want {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, c.want)
			}
			w := request(h, "GET", "/classify/samples/a%20b.png", "")
			if w.Code != 200 || w.Body.String() != string(green) ||
				w.Header().Get("Content-Type") != "image/png" {
				t.Errorf("the sample: got %d %v, %d bytes", w.Code, w.Header(), w.Body.Len())
			}
			w = request(h, "GET", "/classify/samples/..%2fabout.go", "")
			if w.Code != 404 {
				t.Errorf("no sample: got %d %s, want 404", w.Code, w.Body)
			}
		})
	}
}

// Where a token is asked for, what is served is told to those who have it.
func TestAboutToken(t *testing.T) {
	h := startServer(t, &fakeModel{}, func(c *Config) { c.Token = "secret" }).Handler()
	for _, path := range []string{"/classify", "/classify/samples/a.png"} {
		if w := request(h, "GET", path, ""); w.Code != 401 {
			t.Errorf("%s: got %d, want 401", path, w.Code)
		}
	}
	if w := request(h, "GET", "/classify", "", "Authorization", "Bearer secret"); w.Code != 200 ||
		!json.Valid(w.Body.Bytes()) {
		t.Errorf("with the token: got %d %s", w.Code, w.Body)
	}
}

func TestReadSamples(t *testing.T) {
	many := map[string]int{}
	for i := range 13 {
		many[strings.Repeat("a", i+1)+".png"] = 1
	}
	for name, c := range map[string]struct {
		files map[string]int // and their bytes
		want  string         // names, or what the error says
	}{
		"images, and others":  {map[string]int{"b.JPG": 3, "a.webp": 4, "notes.md": 5}, "a.webp b.JPG"},
		"none":                {map[string]int{"notes.md": 5}, "expected 1 to 12 images"},
		"more than are shown": {many, "got 13"},
		"too large":           {map[string]int{"a.png": 1<<20 + 1}, "expected a sample of at most"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, size := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), make([]byte, size), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			samples, err := ReadSamples(dir)
			var names []string
			for _, s := range samples {
				names = append(names, s.Name)
				if len(s.Image) != c.files[s.Name] {
					t.Errorf("%s: got %d bytes, want %d", s.Name, len(s.Image), c.files[s.Name])
				}
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := ReadSamples(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no directory: got no error")
	}
}
