package savedmodel

import (
	"strings"
	"testing"
)

func TestCost(t *testing.T) {
	for _, test := range []struct {
		model, key        string
		flops, parameters int64
	}{
		// 4 x 4 x 6 of 3 x 3 x 2, 2 x 2 x 6 of 3 x 3, 5 of 24.
		{"convolutions", "serving_default", 2 * (16*6*18 + 4*6*9 + 5*24), 3*3*2*6 + 3*3*6 + 24*5},
		// through two functions; the integer and the strings do not count
		{"dense", "serving_default", 2 * 4 * 3, 4*3 + 3},
		{"dense", "logits", 2 * 4 * 3, 4*3 + 3},
		{"half_plus_two", "serving_default", 0, 2},
	} {
		g, err := open(t, test.model).MetaGraph([]string{"serve"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.FLOPs(test.key); err != nil || got != test.flops {
			t.Errorf("%s %s: got %d, %v, want %d FLOPs", test.model, test.key, got, err, test.flops)
		}
		if got, err := g.Parameters(test.key); err != nil || got != test.parameters {
			t.Errorf("%s %s: got %d, %v, want %d parameters", test.model, test.key, got, err,
				test.parameters)
		}
	}
	g, err := open(t, "bad_in_branch").MetaGraph([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.FLOPs("serving_default"); err == nil ||
		!strings.Contains(err.Error(), "If is not counted") {
		t.Errorf("got %v, want an error that names the If", err)
	}
	if _, err := g.Parameters("none"); err == nil ||
		!strings.Contains(err.Error(), `expected a signature "none"`) {
		t.Errorf("got %v, want an error that names the signature", err)
	}
}
