package serve

import (
	"fmt"
	"slices"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

// checkContentType is an error where MLServer's parameter content_type is none of those that are
// known: what the data mean would then be a guess.
func checkContentType(contentType string, known ...string) error {
	if contentType != "" && !slices.Contains(known, contentType) {
		return fmt.Errorf("parameter content_type: expected one of %q, got %.40q", known,
			contentType)
	}
	return nil
}

// decodeContent undoes what the parameter content_type says of an input's elements: "base64" of
// BYTES, such as image files in JSON. "np" and "str" are what the datatype says anyway.
func decodeContent(t tensor.Tensor, contentType string, held *account) (tensor.Tensor, error) {
	if err := checkContentType(contentType, "base64", "np", "str"); err != nil {
		return t, err
	}
	if contentType != "base64" {
		return t, nil
	}
	elements, ok := t.Data.([][]byte)
	if !ok {
		return t, fmt.Errorf("parameter content_type: base64 is of BYTES, got %s",
			datatypes[t.DType])
	}
	for i, element := range elements {
		data, err := jsontensor.DecodeBase64(element, held.take)
		if err != nil {
			return t, fmt.Errorf(
				"element %d: expected base64, as the parameter content_type says: %w", i, err)
		}
		elements[i] = data
	}
	return t, nil
}
