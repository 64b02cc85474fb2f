package session

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
)

// sum is a graph of x + y, of float32.
func sum() *graphpb.GraphDef {
	dtype := &attrpb.AttrValue_Type{Type: typespb.DataType_DT_FLOAT}
	float := map[string]*attrpb.AttrValue{"dtype": {Value: dtype}}
	t := map[string]*attrpb.AttrValue{"T": float["dtype"]}
	return &graphpb.GraphDef{Node: []*nodepb.NodeDef{
		{Name: "x", Op: "Placeholder", Attr: float},
		{Name: "y", Op: "Placeholder", Attr: float},
		{Name: "sum", Op: "AddV2", Input: []string{"x", "y"}, Attr: t},
		{Name: "out", Op: "Identity", Input: []string{"sum"}, Attr: t},
	}}
}

func floats(t *testing.T, numbers ...float32) *Tensor {
	t.Helper()
	value, err := tensor.New(tensor.Shape{int64(len(numbers))}, numbers)
	if err != nil {
		t.Fatal(err)
	}
	x, err := NewTensor(value)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func open(t *testing.T) *Session {
	t.Helper()
	s, err := New(sum(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestCall holds that a call takes what it is given and what is bound to it, from many goroutines
// from its first run on.
func TestCall(t *testing.T) {
	s, y := open(t), floats(t, 10, 20)
	defer y.Delete()
	c, err := s.NewCall(Request{Feeds: []Endpoint{{Op: "x"}},
		Bound: []Bound{{Endpoint{Op: "y"}, y}}, Fetches: []Endpoint{{Op: "out"}}})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		x := floats(t, 1, 2)
		group.Go(func() {
			out, err := c.Run([]*Tensor{x})
			if err != nil {
				t.Error(err)
				return
			}
			defer Delete(out)
			value, err := out[0].Value()
			want := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2},
				Data: []float32{11, 22}}
			if diff := cmp.Diff(want, value); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
			if !slices.Equal(out[0].Float32s(), []float32{11, 22}) ||
				out[0].DType() != tensor.Float32 {
				t.Errorf("got %v of %v", out[0].Float32s(), out[0].DType())
			}
		})
	}
	group.Wait()
	if _, err := c.Run(nil); err == nil || err.Error() != "expected 1 tensors, got 0" {
		t.Errorf("no tensors: got %v", err)
	}
}

// TestFirstRun holds that a run waits for another one that is the call's first.
func TestFirstRun(t *testing.T) {
	s := open(t)
	request := Request{Feeds: []Endpoint{{Op: "x"}, {Op: "y"}}, Fetches: []Endpoint{{Op: "out"}}}
	c, err := s.NewCall(request)
	if err != nil {
		t.Fatal(err)
	}
	c.first.Lock() // as the first run does
	in, ended := []*Tensor{floats(t, 1), floats(t, 2)}, make(chan error)
	go func() {
		out, err := c.Run(in)
		Delete(out)
		ended <- err
	}()
	select {
	case <-ended:
		t.Fatal("a run has ended beside the first one")
	case <-time.After(50 * time.Millisecond):
	}
	c.first.Unlock()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCallErrors(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		request Request
		want    string
	}{
		{Request{Feeds: []Endpoint{{Op: "none"}}},
			"expected a tensor none:0 in the graph, found none"},
		{Request{Fetches: []Endpoint{{"out", 1}}},
			"expected a tensor out:1 in the graph, found none"},
		{Request{Targets: []string{"none"}}, "expected an operation none in the graph, found none"},
	} {
		if _, err := s.NewCall(c.request); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	unfed, err := s.NewCall(Request{Fetches: []Endpoint{{Op: "out"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unfed.Run(nil); err == nil || !strings.HasPrefix(err.Error(), "TensorFlow: ") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want TensorFlow's error in one line", err)
	}
	if _, err := New(&graphpb.GraphDef{Node: []*nodepb.NodeDef{{Name: "x", Op: "NoSuchOp"}}},
		nil); err == nil ||
		!strings.HasPrefix(err.Error(), "the graph: TensorFlow: ") {
		t.Errorf("an operation that there is not: got %v", err)
	}
	if _, err := Load(t.TempDir(), []string{"serve"}, nil); err == nil ||
		!strings.HasPrefix(err.Error(), "TensorFlow: ") {
		t.Errorf("what tfgo panics with: got %v, want an error", err)
	}
}

func TestOptimize(t *testing.T) {
	optimized, err := Optimize(sum(), nil, []Endpoint{{Op: "x"}, {Op: "y"}},
		[]*Tensor{floats(t, 1), floats(t, 2)}, []string{"out"})
	if err != nil {
		t.Fatal(err)
	}
	isSum := func(n *nodepb.NodeDef) bool { return n.Name == "sum" }
	if !slices.ContainsFunc(optimized.Node, isSum) {
		t.Errorf("got %v, want the sum in it", optimized)
	}
}

// TestDelete holds that a tensor is freed once, however often it is deleted.
func TestDelete(t *testing.T) {
	x := floats(t, 1)
	x.Delete()
	x.Delete()
	if got := x.Float32s(); got != nil {
		t.Errorf("got %v after Delete, want nil", got)
	}
}

func TestGraph(t *testing.T) {
	g, err := open(t).Graph()
	if err != nil || len(g.Node) != 4 || g.Node[2].Name != "sum" {
		t.Errorf("got %v, %v, want the graph of the session", g, err)
	}
}
