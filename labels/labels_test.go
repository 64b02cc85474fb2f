package labels

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/internal/pythontest"
)

func TestReadImageNet(t *testing.T) {
	f, err := os.Open("../tools/src/kerasrun_export/imagenet_class_index.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(l) != 1000 || l[0] != (Class{"n01440764", "tench"}) ||
		l[999] != (Class{"n15075141", "toilet_tissue"}) {
		t.Errorf("%d classes, %v ... %v", len(l), l[0], l[len(l)-1])
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "unexpected end"},
		{`[]`, "cannot unmarshal array"},
		{`{}`, "got none"},
		{`null`, "got none"},
		{`{"0": ["a", "b"], "2": ["c", "d"]}`, "expected each index from 0 to 1, got none for 1"},
		{`{"-1": ["a", "b"]}`, "expected each index from 0 to 0, got none for 0"},
		{`{"0": ["a"]}`, "class 0: expected [id, name], got 1 strings"},
		{`{"0": ["a", "b", "c"]}`, "got 3 strings"},
		{`{"0": ["a", 1]}`, "cannot unmarshal number"},
		{`{"0": ["a", "b"]} {}`, "after top-level value"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.text, err, c.want)
		}
	}
}

func TestTopErrors(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		probs []float32
		k     int
		l     Labels
		want  string
	}{
		{[]float32{1}, 0, nil, "expected at least 1, got 0"},
		{[]float32{1}, -1, nil, "expected at least 1, got -1"},
		{[]float32{1, 2}, 1, Labels{{"a", "a"}}, "expected 1 probabilities, one per label, got 2"},
		{[]float32{1, nan}, 1, nil, "class 1 is NaN"},
		{[]float32{nan, 1}, 1, nil, "class 0 is NaN"},
	} {
		if _, err := Top(c.probs, c.k, c.l); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Top(%v, %d, %v): %v; want %q", c.probs, c.k, c.l, err, c.want)
		}
	}
}

func TestTopNames(t *testing.T) {
	l := Labels{{"n0", "cat"}, {"n1", "dog"}, {"n2", "cup"}}
	want := []Prediction{{1, "n1", "dog", 0.5}, {2, "n2", "cup", 0.25}, {0, "n0", "cat", 0.25}}
	got, err := Top([]float32{0.25, 0.5, 0.25}, 5, l)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestTopAsNumPy holds Top against the expression in Keras's decode_predictions, NumPy's sort being
// told to keep equals in order: by default it is free to swap them.
func TestTopAsNumPy(t *testing.T) {
	type query struct {
		Probs []float32
		K     int
	}
	var queries []query
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		probs := make([]float32, 1+random.IntN(40))
		for i := range probs {
			probs[i] = float32(random.IntN(1 + n)) // few values: ties
		}
		queries = append(queries, query{probs, 1 + random.IntN(12)})
	}
	in, err := json.Marshal(queries)
	if err != nil {
		t.Fatal(err)
	}
	python := exec.Command(pythontest.Python(t), "-c", `import json, sys, numpy as np
def top(probs, k):
    return np.array(probs, "float32").argsort(kind="stable")[-k:][::-1].tolist()
print(json.dumps([top(q["Probs"], q["K"]) for q in json.load(sys.stdin)]))`)
	python.Stdin = strings.NewReader(string(in))
	python.Stderr = os.Stderr
	out, err := python.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]int
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, q := range queries {
		top, err := Top(q.Probs, q.K, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, p := range top {
			got = append(got, p.Index)
		}
		if !slices.Equal(got, want[i]) {
			t.Errorf("Top(%v, %d) = %v, want %v", q.Probs, q.K, got, want[i])
		}
	}
}

func Example() {
	l, err := Read(strings.NewReader(
		`{"0": ["n02123045", "tabby"], "1": ["n03063599", "coffee_mug"], "2": ["n04008634", ` +
			`"projectile"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	top, err := Top([]float32{0.25, 0.125, 0.625}, 2, l)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range top {
		fmt.Printf("%s %-12s %.3f\n", p.ID, p.Name, p.Probability)
	}
	// Output:
	// n04008634 projectile   0.625
	// n02123045 tabby        0.250
}
