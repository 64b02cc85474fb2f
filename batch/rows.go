package batch

import (
	"fmt"
	"sort"
	"strings"

	"kerasrun/tensor"
)

// rowsOf returns the number of rows that a request's tensors agree on, and a key that is the same
// for requests which can be joined: the same inputs, of the same types and shapes but for the first
// dimension.
func rowsOf(in map[string]tensor.Tensor) (rows int, key string, err error) {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	for i, name := range names {
		t := in[name]
		if err := t.Validate(); err != nil {
			return 0, "", fmt.Errorf("batch: input %q: %w", name, err)
		}
		if len(t.Shape) == 0 || t.Shape[0] < 1 {
			return 0, "", fmt.Errorf(
				"batch: input %q: expected a first dimension of one or more rows, got shape %v",
				name, t.Shape)
		}
		if i > 0 && int(t.Shape[0]) != rows {
			return 0, "", fmt.Errorf("batch: input %q has %d rows, input %q has %d", name,
				t.Shape[0], names[0], rows)
		}
		rows = int(t.Shape[0])
		fmt.Fprintf(&text, "%q %d %v\n", name, t.DType, t.Shape[1:])
	}
	if rows == 0 {
		return 0, "", fmt.Errorf("batch: expected at least one input, got none")
	}
	return rows, text.String(), nil
}
