package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// imageRows runs a signature on images, and returns each image's row of the output that answers
// one, without the batch dimension.
func (s *Server) imageRows(
	ctx context.Context, v *version, sig *signature, images tensor.Tensor,
) (contract.Output, []tensor.Tensor, timing, error) {
	output, err := v.answer(sig)
	if err != nil {
		return output, nil, timing{}, err
	}
	out, took, err := s.run(ctx, v, sig, map[string]tensor.Tensor{v.imageInput: images})
	if err != nil {
		return output, nil, took, err
	}
	t := out[output.Name]
	if len(t.Shape) == 0 {
		return output, nil, took, fmt.Errorf("output %q: expected a row for each image, got shape %v",
			output.Name, t.Shape)
	}
	rows := make([]tensor.Tensor, t.Shape[0])
	for i := range rows {
		if rows[i], err = t.Rows(int64(i), int64(i+1)); err != nil {
			return output, nil, took, err
		}
		rows[i].Shape = rows[i].Shape[1:]
	}
	return output, rows, took, nil
}

// classified answers POST /classify. Its kind says which of predictions, values and map it has.
// Times are in milliseconds.
type classified struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	Warning string `json:"warning,omitempty"`
	Output  string `json:"output"`
	Kind    string `json:"kind"` // as in the manifest

	Predictions []labels.Prediction `json:"predictions,omitzero"`
	Shape       tensor.Shape        `json:"shape,omitzero"`  // of values
	Values      []classify.Number   `json:"values,omitzero"` // row-major
	Names       []string            `json:"names,omitzero"`  // of values
	Map         *classMap           `json:"map,omitempty"`

	Times times `json:"times_ms"`
}

// classMap is the map of a segmented image.
type classMap struct {
	Height  int        `json:"height"`
	Width   int        `json:"width"`
	Fit     string     `json:"fit"` // of the image whose map it is; "" where the graph resizes it
	Classes []mapClass `json:"classes"`
	PNG     []byte     `json:"png"` // base64, with a palette: one byte a pixel, its class
}

// mapClass is a class that has pixels.
type mapClass struct {
	Index  int    `json:"index"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Pixels int    `json:"pixels"`
	Color  string `json:"color"` // in the PNG, "#rrggbb"
}

// set writes what the answer says.
func (c *classified) set(a classify.Answer, v *version) (err error) {
	c.Output, c.Kind, c.Predictions = a.Output, a.Kind, a.Predictions
	manifest := v.model.SavedModel().Manifest
	c.Warning = v.warning()
	switch {
	case a.Map != nil:
		if c.Map, err = newClassMap(a.Map); err != nil {
			return err
		}
		if resize := manifest.Image().Resize; resize != nil {
			c.Map.Fit = resize.Fit
		}
	case a.Values.Data != nil:
		c.Shape = a.Values.Shape
		if c.Values, err = classify.Numbers(a.Values); err != nil {
			return err
		}
		for _, class := range a.Labels {
			c.Names = append(c.Names, class.Name)
		}
	}
	return nil
}

func newClassMap(m *classify.Map) (*classMap, error) {
	img, err := m.Image()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := png.Encode(&text, img); err != nil {
		return nil, err
	}
	made := &classMap{Height: m.Height, Width: m.Width, Classes: []mapClass{}, PNG: text.Bytes()}
	for index, pixels := range m.Pixels() {
		if pixels == 0 {
			continue
		}
		color := m.Color(index)
		class := mapClass{Index: index, Pixels: pixels, Color: fmt.Sprintf("#%x", color[:])}
		if index < len(m.Labels) {
			class.ID, class.Name = m.Labels[index].ID, m.Labels[index].Name
		}
		made.Classes = append(made.Classes, class)
	}
	return made, nil
}

type times struct {
	Preprocess float64 `json:"preprocess"`
	Queue      float64 `json:"queue"`
	Inference  float64 `json:"inference"`
}

// classify answers an image, the body itself or the one file of a form, with its top classes, or
// with what else the model says of it.
// ?model, or the form's field of that name, names the model, otherwise the first that is
// configured; ?top says how many classes, otherwise 5.
func (s *Server) classify(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errorf(codes.InvalidArgument, "the address's parameters cannot be read: %w", err)
	}
	if _, _, err := s.classifyQuery(query); err != nil { // before the image is read
		return err
	}
	body, held, err := s.readBody(w, r)
	defer held.free()
	if err != nil {
		return err
	}
	image, fields, err := imageOf(r.Header.Get("Content-Type"), body, held)
	if err != nil {
		return invalid(err)
	}
	for name, value := range fields {
		if query.Has(name) && query.Get(name) != value {
			return errorf(codes.InvalidArgument,
				"%s: expected it once, got %.40q in the address and %.40q in the form", name,
				query.Get(name), value)
		}
		query.Set(name, value)
	}
	c, top, err := s.classifyQuery(query)
	if err != nil {
		return err
	}
	return s.withVersion(r.Context(), protocolClassify, c, func(v *version) (timing, error) {
		answer, took, err := s.answerImage(r.Context(), v, top, image)
		if err != nil {
			return took, err
		}
		c := classified{Model: v.name, Version: strconv.FormatInt(v.number, 10),
			Times: times{milliseconds(took.Preprocess), milliseconds(took.Queue),
				milliseconds(took.Inference)}}
		if err := c.set(answer, v); err != nil {
			return took, err
		}
		took.header(w.Header())
		return took, writeJSON(w, c)
	})
}

// answerImage says what a model answers for an image.
func (s *Server) answerImage(ctx context.Context, v *version, top int, image []byte) (
	classify.Answer, timing, error,
) {
	if v.images == nil {
		return classify.Answer{}, timing{},
			errorf(codes.FailedPrecondition, "model %q takes no images", v.name)
	}
	sig, err := v.signature("")
	if err != nil {
		return classify.Answer{}, timing{}, err
	}
	images, err := tensor.New(tensor.Shape{1}, [][]byte{image})
	if err != nil {
		return classify.Answer{}, timing{}, err
	}
	output, rows, took, err := s.imageRows(ctx, v, sig, images)
	if err != nil {
		return classify.Answer{}, took, err
	}
	names := v.labels[outputKey{sig.Key, output.Name}]
	answer, err := classify.AnswerOf(output, names, rows[0], top)
	return answer, took, err
}

func (s *Server) classifyQuery(query url.Values) (c choice, top int, err error) {
	c.model, top = s.config.Models[0].Name, 5
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return c, 0, errorf(codes.InvalidArgument, "%.40q: expected it once, got %d of it", name,
				len(values))
		}
		switch name {
		case "model":
			c.model = value
		case "top":
			if top, err = strconv.Atoi(value); err != nil || top < 1 {
				return c, 0, errorTop(value)
			}
		default:
			return c, 0, errorf(codes.InvalidArgument,
				"expected the parameters model and top, got %.40q", name)
		}
	}
	return c, top, nil
}

func errorTop(got string) error {
	return errorf(codes.InvalidArgument, "top: expected a number from 1, got %.40q", got)
}

// maxFieldBytes is more than a field of a form has to say.
const maxFieldBytes = 1 << 10

// imageOf returns the image in a body: all of it, or the one file of a form, and the form's fields
// that have a meaning.
func imageOf(contentType string, body []byte, held *account) (image []byte,
	fields map[string]string, err error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		if len(body) == 0 {
			return nil, nil, errors.New("expected an image, got an empty body")
		}
		return body, nil, nil
	}
	fields = map[string]string{}
	files := 0
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the form cannot be read: %w", err)
		}
		if part.FileName() == "" {
			if err := readField(fields, part); err != nil {
				return nil, nil, err
			}
			continue
		}
		if files++; files > 1 {
			continue
		}
		// A file takes at most the body's memory once more.
		if err := held.take(int64(len(body))); err != nil {
			return nil, nil, err
		}
		file := bytes.NewBuffer(make([]byte, 0, len(body)))
		if _, err := file.ReadFrom(part); err != nil {
			return nil, nil, fmt.Errorf("the form cannot be read: %w", err)
		}
		image = file.Bytes()
	}
	if files != 1 {
		return nil, nil, fmt.Errorf("expected a form with one file, got %d", files)
	}
	return image, fields, nil
}

// readField adds a field of a form that has a meaning.
func readField(fields map[string]string, part *multipart.Part) error {
	name := part.FormName()
	if name != "top" && name != "model" {
		return nil
	}
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return fmt.Errorf("the form cannot be read: %w", err)
	}
	if len(value) > maxFieldBytes {
		return fmt.Errorf("the form's field %s: expected at most %d bytes, got more", name,
			maxFieldBytes)
	}
	if _, ok := fields[name]; ok {
		return fmt.Errorf("the form's field %s comes twice", name)
	}
	fields[name] = string(value)
	return nil
}
