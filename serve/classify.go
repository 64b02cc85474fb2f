package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"kerasrun/classify"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// answers says what a signature's output means for each image. top bounds the classes of
// probabilities.
func (s *Server) answers(
	ctx context.Context, v *version, sig *signature, images tensor.Tensor, top int,
) ([]classify.Answer, timing, error) {
	output, err := v.answer(sig)
	if err != nil {
		return nil, timing{}, err
	}
	out, took, err := s.run(ctx, v, sig, map[string]tensor.Tensor{v.imageInput: images})
	if err != nil {
		return nil, took, err
	}
	t := out[output.Name]
	if len(t.Shape) == 0 {
		return nil, took, fmt.Errorf("output %q: expected a row for each image, got shape %v",
			output.Name, t.Shape)
	}
	answers := make([]classify.Answer, t.Shape[0])
	for i := range answers {
		row, err := t.Rows(int64(i), int64(i+1))
		if err != nil {
			return nil, took, err
		}
		row.Shape = row.Shape[1:]
		if answers[i], err = classify.AnswerOf(output, v.labels, row, top); err != nil {
			return nil, took, fmt.Errorf("image %d: %w", i, err)
		}
	}
	return answers, took, nil
}

// classification answers POST /classify. Times are in milliseconds.
type classification struct {
	Model       string              `json:"model"`
	Version     string              `json:"version"`
	Predictions []labels.Prediction `json:"predictions"`
	Times       times               `json:"times_ms"`
}

type times struct {
	Preprocess float64 `json:"preprocess"`
	Queue      float64 `json:"queue"`
	Inference  float64 `json:"inference"`
}

// classify answers an image, the body itself or the one file of a form, with its top classes.
// ?model names the model, otherwise the first that is configured; ?top says how many classes,
// otherwise 5.
func (s *Server) classify(w http.ResponseWriter, r *http.Request) error {
	c, top, err := s.classifyQuery(r)
	if err != nil {
		return err
	}
	body, held, err := s.readBody(w, r)
	defer held.free()
	if err != nil {
		return err
	}
	image, err := imageOf(r.Header.Get("Content-Type"), body, held)
	if err != nil {
		return invalid(err)
	}
	return s.withVersion(r.Context(), protocolClassify, c, func(v *version) (timing, error) {
		if v.images == nil {
			return timing{}, errorf(codes.FailedPrecondition, "model %q takes no images", v.name)
		}
		sig, err := v.signature("")
		if err != nil {
			return timing{}, err
		}
		images, err := tensor.New(tensor.Shape{1}, [][]byte{image})
		if err != nil {
			return timing{}, err
		}
		answers, took, err := s.answers(r.Context(), v, sig, images, top)
		if err != nil {
			return took, err
		}
		took.header(w.Header())
		return took, writeJSON(w, classification{
			Model: v.name, Version: strconv.FormatInt(v.number, 10), Predictions: answers[0].Predictions,
			Times: times{milliseconds(took.Preprocess), milliseconds(took.Queue),
				milliseconds(took.Inference)},
		})
	})
}

func (s *Server) classifyQuery(r *http.Request) (c choice, top int, err error) {
	c.model, top = s.config.Models[0].Name, 5
	query := r.URL.Query()
	for name := range query {
		value := query.Get(name)
		switch name {
		case "model":
			c.model = value
		case "top":
			if top, err = strconv.Atoi(value); err != nil || top < 1 {
				return c, 0, errorf(codes.InvalidArgument,
					"top: expected a number from 1, got %.40q", value)
			}
		default:
			return c, 0, errorf(codes.InvalidArgument,
				"expected the parameters model and top, got %.40q", name)
		}
	}
	return c, top, nil
}

// imageOf returns the image in a body: all of it, or the one file of a form.
func imageOf(contentType string, body []byte, held *account) ([]byte, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		if len(body) == 0 {
			return nil, errors.New("expected an image, got an empty body")
		}
		return body, nil
	}
	var image []byte
	files := 0
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the form cannot be read: %w", err)
		}
		if part.FileName() == "" {
			continue
		}
		if files++; files > 1 {
			continue
		}
		// A file takes at most the body's memory once more.
		if err := held.take(int64(len(body))); err != nil {
			return nil, err
		}
		file := bytes.NewBuffer(make([]byte, 0, len(body)))
		if _, err := file.ReadFrom(part); err != nil {
			return nil, fmt.Errorf("the form cannot be read: %w", err)
		}
		image = file.Bytes()
	}
	if files != 1 {
		return nil, fmt.Errorf("expected a form with one file, got %d", files)
	}
	return image, nil
}
