package savedmodel

import (
	"strings"
	"testing"
)

func TestParameters(t *testing.T) {
	for _, test := range []struct {
		model, key string
		parameters int64
	}{
		{"convolutions", "serving_default", 3*3*2*6 + 3*3*6 + 24*5},
		// through two functions; the integer and the strings do not count
		{"dense", "serving_default", 4*3 + 3},
		{"dense", "logits", 4*3 + 3},
		{"half_plus_two", "serving_default", 2},
	} {
		g, err := open(t, test.model).MetaGraph([]string{"serve"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.Parameters(test.key); err != nil || got != test.parameters {
			t.Errorf("%s %s: want %d parameters, got %d, %v", test.model, test.key, test.parameters,
				got, err)
		}
	}
	g, err := open(t, "half_plus_two").MetaGraph([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Parameters("none"); err == nil ||
		!strings.Contains(err.Error(), `expected a signature "none"`) {
		t.Errorf("want an error that names the signature, got %v", err)
	}
}
