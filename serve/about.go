package serve

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"kerasrun/contract"
)

// about is what the page tells of a model: its newest version, or why it has none.
type about struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Warning string `json:"warning,omitempty"`
	Kind    string `json:"kind,omitempty"`    // of what it says of an image, as in the manifest
	Classes int    `json:"classes,omitempty"` // 0 where Kind has none
	Height  int    `json:"height,omitempty"`  // of the tensor made of an image
	Width   int    `json:"width,omitempty"`   // 0 where the graph makes it, -1 where it is free
	Error   string `json:"error,omitempty"`   // why it answers no image
}

// aboutModels answers GET /classify with every model that is served, of which the first answers
// where a request names none, and with the names of images to try.
func (s *Server) aboutModels(w http.ResponseWriter, _ *http.Request) error {
	models := []about{}
	for _, c := range s.config.Models {
		v, release, err := s.repository.acquire(choice{model: c.Name})
		if err != nil {
			models = append(models, about{Name: c.Name, Error: err.Error()})
			continue
		}
		models = append(models, v.about())
		release()
	}
	samples := []string{}
	for _, sample := range s.config.Samples {
		samples = append(samples, sample.Name)
	}
	return writeJSON(w, map[string]any{"models": models, "samples": samples})
}

func (v *version) about() about {
	a := about{Name: v.name, Version: strconv.FormatInt(v.number, 10), Warning: v.warning()}
	sig, err := v.signature("")
	if err == nil && v.images == nil {
		err = errorf(codes.FailedPrecondition, "model %q takes no images", v.name)
	}
	var output contract.Output
	if err == nil {
		output, err = v.answer(sig)
	}
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.Kind = output.Kind
	shape := sig.Outputs[output.Name].Shape
	switch output.Kind {
	case contract.Binary:
		a.Classes = 2
	case contract.Probabilities, contract.Logits, contract.Multilabel, contract.Map:
		a.Classes = len(v.labels[outputKey{sig.Key, output.Name}])
		if a.Classes == 0 && len(shape) > 0 {
			a.Classes = max(int(shape[len(shape)-1]), 0)
		}
	}
	if image := v.model.SavedModel().Manifest.Image(); image != nil &&
		image.Kind == contract.KindImage {
		a.Height, a.Width = image.Size()
	}
	return a
}

// A Sample is an image that the page offers to try. Who may ask the server may see it.
type Sample struct {
	Name  string
	Image []byte // the file's bytes
}

const (
	maxSamples     = 12
	maxSampleBytes = 1 << 20
)

// ReadSamples reads the images of a directory, sorted by name: the files with a suffix of the
// formats that are decoded. It is an error where there are none, or more than a page shows.
func ReadSamples(dir string) ([]Sample, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var samples []Sample
	for _, entry := range entries {
		name := entry.Name()
		if !slices.Contains(sampleSuffixes, strings.ToLower(filepath.Ext(name))) {
			continue
		}
		image, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if len(image) > maxSampleBytes {
			return nil, fmt.Errorf("%s: expected a sample of at most %d bytes, got %d: make it smaller",
				filepath.Join(dir, name), maxSampleBytes, len(image))
		}
		samples = append(samples, Sample{name, image})
	}
	if len(samples) == 0 || len(samples) > maxSamples {
		return nil, fmt.Errorf("%s: expected 1 to %d images to try (%s), got %d", dir, maxSamples,
			strings.Join(sampleSuffixes, ", "), len(samples))
	}
	return samples, nil
}

var sampleSuffixes = []string{".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}

// sample answers GET /classify/samples/{name} with the file.
func (s *Server) sample(w http.ResponseWriter, r *http.Request) error {
	for _, sample := range s.config.Samples {
		if sample.Name == r.PathValue("name") {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			write(w, http.StatusOK, http.DetectContentType(sample.Image), sample.Image)
			return nil
		}
	}
	return errorf(codes.NotFound, "there is no sample %.100q", r.PathValue("name"))
}
