package cpuconv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

// shape is a convolution and the images for it.
type shape struct {
	n, h, w           int64
	kernelH, kernelW  int64
	in, out, groups   int64 // in: channels of a group
	strideH, strideW  int64
	top, bottom       int64
	left, right       int64
	add, relu, shared bool // shared: what is added is needed by another operation too
	bf16              bool
	x, added, y       layout // of the image, of what is added, of the output
}

type layout struct{ kind, padding int64 }

func (s shape) String() string {
	return fmt.Sprintf("%dx%dx%d kernel %dx%d of %d by %d to %d stride %d,%d padding %d,%d,%d,%d "+
		"add %v,%v relu %v bf16 %v layouts %v %v %v", s.n, s.h, s.w, s.kernelH, s.kernelW, s.groups,
		s.in,
		s.out, s.strideH, s.strideW, s.top, s.bottom, s.left, s.right, s.add, s.shared, s.relu,
		s.bf16,
		s.x, s.added, s.y)
}

func (s shape) outH() int64 { return (s.h+s.top+s.bottom-s.kernelH)/s.strideH + 1 }
func (s shape) outW() int64 { return (s.w+s.left+s.right-s.kernelW)/s.strideW + 1 }

// bfloat16 rounds to the nearest number of eight bits.
func bfloat16(x float32) float32 {
	fraction, exponent := math.Frexp(float64(x))
	return float32(math.Ldexp(math.RoundToEven(256*fraction), exponent-8))
}

// operands are a convolution's inputs; add has the elements of the output.
type operands struct{ x, kernel, bias, add []float32 }

func (s shape) operands(seed uint64) operands {
	random := rand.New(rand.NewPCG(seed, 1))
	numbers := func(n int64) []float32 {
		list := make([]float32, n)
		for i := range list {
			list[i] = float32(random.NormFloat64())
		}
		return list
	}
	return operands{numbers(s.n * s.h * s.w * s.in * s.groups),
		numbers(s.kernelH * s.kernelW * s.in * s.out), numbers(s.out),
		numbers(s.n * s.outH() * s.outW() * s.out)}
}

// want computes the convolution as it is defined, in float64, and the sum of the products' sizes,
// which the rounding of float32 is in proportion to.
func (s shape) want(of operands) (sums, sizes []float64) {
	rounded := func(x float32) float64 {
		if s.bf16 {
			x = bfloat16(x)
		}
		return float64(x)
	}
	channels, columns := s.in*s.groups, s.out/s.groups
	for p := range s.n * s.outH() * s.outW() {
		image, row, column := p/s.outW()/s.outH(), p/s.outW()%s.outH(), p%s.outW()
		for o := range s.out {
			sum := float64(of.bias[o])
			if s.add {
				sum += float64(of.add[p*s.out+o])
			}
			size := math.Abs(sum)
			for i := range s.kernelH {
				for j := range s.kernelW {
					y, x := row*s.strideH+i-s.top, column*s.strideW+j-s.left
					if y < 0 || y >= s.h || x < 0 || x >= s.w {
						continue
					}
					pixel := of.x[((image*s.h+y)*s.w+x)*channels+o/columns*s.in:]
					for k := range s.in {
						weight := of.kernel[((i*s.kernelW+j)*s.in+k)*s.out+o]
						product := rounded(pixel[k]) * rounded(weight)
						sum, size = sum+product, size+math.Abs(product)
					}
				}
			}
			if s.relu {
				sum = max(0, sum)
			}
			sums, sizes = append(sums, sum), append(sizes, size)
		}
	}
	return sums, sizes
}

// opGraph is the operation in a session.
type opGraph struct {
	session       *tf.Session
	x, kernel     tf.Output
	bias, add     tf.Output
	output, twice tf.Output // twice: what is added, of another operation
}

// builder builds a graph.
type builder struct {
	t     testing.TB
	graph *tf.Graph
}

func newGraph(t testing.TB) builder {
	t.Helper()
	if err := Register(4); err != nil {
		t.Fatal(err)
	}
	return builder{t, tf.NewGraph()}
}

func (b builder) op(kind, name string, attrs map[string]any, in ...tf.Input) tf.Output {
	b.t.Helper()
	added, err := b.graph.AddOperation(tf.OpSpec{Type: kind, Name: name, Input: in, Attrs: attrs})
	if err != nil {
		b.t.Fatal(err)
	}
	return added.Output(0)
}

func (b builder) fed(name string) tf.Output {
	return b.op("Placeholder", name, map[string]any{"dtype": tf.Float})
}

func (b builder) constant(name string, numbers []float32, dims ...int64) tf.Output {
	return b.op("Const", name, map[string]any{"dtype": tf.Float, "value": feed(b.t, numbers,
		dims...)})
}

// converted brings images into another layout, by a convolution that changes nothing else. They are
// fed and fetched as NHWC.
func (b builder) converted(name string, x tf.Output, from, to layout,
	h, w, channels int64) tf.Output {
	if from == to {
		return x
	}
	one := make([]float32, channels*channels)
	for i := range channels {
		one[i*channels+i] = 1
	}
	s := shape{h: h, w: w, kernelH: 1, kernelW: 1, in: channels, out: channels, groups: 1,
		strideH: 1, strideW: 1, x: from, y: to}
	packed := s.packed(b.t, one)
	return b.op(Op, name, s.attrs(), x, b.constant(name+"_kernel", packed, int64(len(packed))),
		b.constant(name+"_bias", make([]float32, channels), channels), tf.OutputList{})
}

func (b builder) session() *tf.Session {
	b.t.Helper()
	s, err := tf.NewSession(b.graph, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return s
}

// attrs returns the attributes of the operation.
func (s shape) attrs() map[string]any {
	added := int64(0)
	if s.add {
		added = 1
	}
	return map[string]any{
		"filter":  []int64{s.kernelH, s.kernelW, s.in, s.out, s.groups},
		"strides": []int64{s.strideH, s.strideW},
		"padding": []int64{s.top, s.bottom, s.left, s.right}, "added": added, "relu": s.relu,
		"bf16": s.bf16, "sizes": []int64{s.h, s.w, s.in * s.groups},
		"layouts": []int64{s.x.kind, s.x.padding, s.added.kind, s.added.padding, s.y.kind,
			s.y.padding},
	}
}

// packed returns the kernel as the operation reads it.
func (s shape) packed(t testing.TB, kernel []float32) []float32 {
	t.Helper()
	op := s.node()
	n, err := PackedLength(op)
	if err != nil {
		t.Fatal(err)
	}
	packed := make([]float32, n)
	if err := Pack(op, []int64{s.kernelH, s.kernelW, s.in, s.out}, kernel, packed); err != nil {
		t.Fatal(err)
	}
	return packed
}

// node returns the operation as far as packing reads it.
func (s shape) node() *nodepb.NodeDef {
	return &nodepb.NodeDef{Attr: map[string]*attrpb.AttrValue{
		"filter":  ints(s.kernelH, s.kernelW, s.in, s.out, s.groups),
		"strides": ints(s.strideH, s.strideW), "padding": ints(s.top, s.bottom, s.left,
			s.right),
		"bf16": {Value: &attrpb.AttrValue_B{B: s.bf16}},
	}}
}

// TestPackRefuses holds that packing reads and writes no more than what is there, and takes no
// kernel for another of as many numbers.
func TestPackRefuses(t *testing.T) {
	s := same(1, 6, 3, 8, 16, 1, 1, 1)
	const numbers = 3 * 3 * 8 * 16
	one := same(1, 1, 1, 16, 8, 1, 1, 0)
	grouped := same(1, 6, 1, 16, 16, 2, 1, 0)
	attr := func(name string, values ...int64) *nodepb.NodeDef {
		op := s.node()
		op.Attr[name] = ints(values...)
		return op
	}
	for name, test := range map[string]struct {
		op             *nodepb.NodeDef
		shape          []int64
		kernel, packed int
		want           string // of the error, "" where there is none
	}{
		"as the operation": {s.node(), []int64{3, 3, 8, 16}, numbers, numbers, ""},
		"a matrix":         {one.node(), []int64{16, 8}, 128, 256, ""},
		"one zero": {s.node(), []int64{1}, 1, numbers,
			"expected a kernel of shape [3 3 8 16], got [1]"},
		"axes exchanged": {s.node(), []int64{3, 3, 16, 8}, numbers, numbers,
			"expected a kernel of shape [3 3 8 16], got [3 3 16 8]"},
		"a matrix, exchanged": {one.node(), []int64{8, 16}, 128, 256,
			"expected a kernel of shape [16 8], got [8 16]"},
		"a matrix for groups": {grouped.node(), []int64{16, 16}, 256, 256,
			"expected a kernel of shape [1 1 16 16], got [16 16]"},
		"a matrix for 3 x 3": {s.node(), []int64{8, 16}, 128, numbers,
			"expected a kernel of shape [3 3 8 16], got [8 16]"},
		"short": {s.node(), []int64{3, 3, 8, 16}, numbers - 1, numbers,
			"expected a kernel of 1152 numbers, got 1151"},
		"short of room": {s.node(), []int64{3, 3, 8, 16}, numbers, numbers - 1,
			"expected room for 1152 packed numbers, got 1151"},
		"no attribute": {&nodepb.NodeDef{}, []int64{3, 3, 8, 16}, numbers, numbers,
			"got filter [], strides [], padding []"},
		"four sizes": {attr("filter", 3, 3, 8, 16), []int64{3, 3, 8, 16}, numbers,
			numbers, "got filter [3 3 8 16]"},
		"one stride": {attr("strides", 1), []int64{3, 3, 8, 16}, numbers, numbers,
			"strides [1]"},
		"no groups": {attr("filter", 3, 3, 8, 16, 0), []int64{3, 3, 8, 16}, numbers,
			numbers, "got filter [3 3 8 16 0]"},
		"four channels a group": {attr("filter", 3, 3, 8, 16, 4), []int64{3, 3, 8, 16}, numbers,
			numbers, "got filter [3 3 8 16 4]"},
		"below 0": {attr("filter", 3, -3, -8, 16, 1), []int64{3, -3, -8, 16}, numbers,
			numbers, "got filter [3 -3 -8 16 1]"},
		"sizes that overflow": {attr("filter", 1<<31, 1<<31, 8, 16, 1),
			[]int64{1 << 31, 1 << 31, 8, 16}, numbers, numbers, "got filter [2147483648"},
	} {
		err := Pack(test.op, test.shape, make([]float32, test.kernel), make([]float32, test.packed))
		if (err == nil) != (test.want == "") ||
			err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func (s shape) graph(t testing.TB) *opGraph {
	t.Helper()
	g := newGraph(t)
	of := &opGraph{x: g.fed("x"), kernel: g.fed("kernel"), bias: g.fed("bias"), add: g.fed("add")}
	// Not what is fed itself: only an operation's output, with nobody else who needs it, becomes
	// another's memory.
	of.twice = g.op("Neg", "neg", nil, g.op("Neg", "negneg", nil, of.add))
	x := of.x
	if s.bf16 && s.x != (layout{}) { // as what a convolution of bfloat16 has put out
		x = g.op("Cast", "float32", map[string]any{"DstT": tf.Float},
			g.op("Cast", "bfloat16", map[string]any{"DstT": tf.Bfloat16}, x))
	}
	list := tf.OutputList{}
	if s.add {
		list = tf.OutputList{g.converted("added", of.twice, layout{}, s.added, s.outH(), s.outW(),
			s.out)}
	}
	of.output = g.op(Op, "conv", s.attrs(), g.converted("x_converted", x, layout{}, s.x, s.h, s.w,
		s.in*s.groups), of.kernel, of.bias, list)
	of.output = g.converted("output", of.output, s.y, layout{}, s.outH(), s.outW(), s.out)
	of.session = g.session()
	return of
}

// feed makes a tensor.
func feed(t testing.TB, numbers []float32, dims ...int64) *tf.Tensor {
	t.Helper()
	one, err := tf.NewTensor(numbers)
	if err == nil {
		err = one.Reshape(dims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func (s shape) feeds(t testing.TB, g *opGraph, of operands) map[tf.Output]*tf.Tensor {
	packed := s.packed(t, of.kernel)
	return map[tf.Output]*tf.Tensor{
		g.x:      feed(t, of.x, s.n, s.h, s.w, s.in*s.groups),
		g.kernel: feed(t, packed, int64(len(packed))), g.bias: feed(t, of.bias, s.out),
		g.add: feed(t, of.add, s.n, s.outH(), s.outW(), s.out),
	}
}

// run computes the convolution and returns the output's elements.
func (s shape) run(g *opGraph, feeds map[tf.Output]*tf.Tensor) ([]float32, error) {
	fetches := []tf.Output{g.output}
	if s.shared {
		fetches = append(fetches, g.twice)
	}
	out, err := g.session.Run(feeds, fetches, nil)
	if err != nil {
		return nil, err
	}
	want := fmt.Sprint([]int64{s.n, s.outH(), s.outW(), s.out})
	if got := fmt.Sprint(out[0].Shape()); got != want {
		return nil, fmt.Errorf("shape: want %s, got %s", want, got)
	}
	flat := make([]float32, 0, s.n*s.outH()*s.outW()*s.out)
	for _, image := range out[0].Value().([][][][]float32) {
		for _, row := range image {
			for _, pixel := range row {
				flat = append(flat, pixel...)
			}
		}
	}
	runtime.KeepAlive(out) // Value's slices are of the tensor's memory
	return flat, nil
}

// check holds the operation against the definition.
func (s shape) check(t *testing.T, seed uint64) {
	t.Helper()
	g, of := s.graph(t), s.operands(seed)
	if s.bf16 { // as what is added is where all convolutions are
		for i, x := range of.add {
			of.add[i] = bfloat16(x)
		}
	}
	got, err := s.run(g, s.feeds(t, g, of))
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	want, sizes := s.want(of)
	for i := range want {
		// Each product and each sum is rounded once, by 2^-24 of what has been summed so far;
		// errors of this size do not all add up.
		tolerance := 1e-6 * sizes[i]
		if s.bf16 {
			tolerance += math.Abs(want[i]) / 256 // half of the last bit
		}
		diff := math.Abs(want[i] - float64(got[i]))
		if !(diff <= tolerance) || s.bf16 && got[i] != bfloat16(got[i]) {
			t.Fatalf("%v: element %d: want %v, got %v", s, i, want[i], got[i])
		}
	}
}

// same is a convolution of one stride with as many zeros on each side.
func same(n, size, kernel, in, out, groups, stride, padding int64) shape {
	return shape{n: n, h: size, w: size, kernelH: kernel, kernelW: kernel, in: in, out: out,
		groups: groups, strideH: stride, strideW: stride,
		top: padding, bottom: padding, left: padding, right: padding}
}

// shapes has the convolutions of the ResNeXts, smaller where that changes nothing, and what none of
// them has.
func shapes() []shape {
	list := []shape{
		same(1, 64, 7, 3, 64, 1, 2, 3), same(2, 56, 1, 64, 128, 1, 1, 0),
		same(1, 56, 3, 8, 128, 16, 1, 1), same(1, 28, 3, 8, 256, 32, 2, 1),
		same(2, 14, 3, 16, 512, 32, 1, 1), same(1, 14, 3, 32, 1024, 32, 2, 1),
		same(3, 7, 3, 32, 1024, 32, 1, 1), same(1, 14, 1, 256, 512, 1, 2, 0),
		same(1, 7, 1, 1024, 256, 1, 1, 0), same(1, 7, 1, 2048, 64, 1, 1, 0),
		same(1, 5, 1, 2047, 24, 1, 1, 0), same(2, 9, 1, 300, 8, 1, 1, 0),
		same(1, 1, 1, 1, 8, 1, 1, 0), same(1, 1, 3, 5, 40, 1, 1, 1),
		same(1, 6, 1, 16, 32, 1, 1, 2),
		same(1, 6, 1, 8, 32, 4, 1, 0), same(2, 13, 3, 512, 24, 1, 1, 1),
		same(1, 17, 5, 7, 48, 2, 3, 2), same(1, 9, 3, 64, 128, 2, 1, 1),
		same(1, 3, 7, 3, 8, 1, 2, 3),
		{n: 2, h: 11, w: 6, kernelH: 5, kernelW: 2, in: 6, out: 72, groups: 3, strideH: 1,
			strideW: 3, top: 4, bottom: 0, left: 0, right: 5},
		{n: 1, h: 8, w: 30, kernelH: 1, kernelW: 3, in: 3, out: 16, groups: 1, strideH: 2,
			strideW: 2, right: 1},
		{n: 1, h: 4, w: 4, kernelH: 2, kernelW: 2, in: 4, out: 16, groups: 2, strideH: 5,
			strideW: 4, left: 3, top: 3},
	}
	var all []shape
	for i, s := range list {
		all = append(all, s)
		s.relu = true
		all = append(all, s)
		s.add = true
		all = append(all, s)
		s.relu, s.shared = false, true
		all = append(all, s)
		all = append(all, s.withLayouts(i))
		s.shared = false
		all = append(all, s.withLayouts(i))
		s = s.withLayouts(i + 1)
		s.added = s.y // so that one may become the other's memory
		all = append(all, s)
	}
	return all
}

// withLayouts returns the convolution with other layouts, as far as it can do with them: by the
// number another one.
func (s shape) withLayouts(i int) shape {
	layouts := []layout{{kind: layoutTiled}, {kind: layoutNCHW8C, padding: 2}, {kind: layoutNCHW8C},
		{}}
	s.x = layout{kind: layoutNCHW8C, padding: max(s.top, s.bottom, s.left, s.right)}
	is1x1 := s.kernelH*s.kernelW == 1 && s.groups == 1 && s.x.padding == 0
	if is1x1 && i%3 < 2 {
		s.x = layout{kind: layoutTiled}
	} else if i%5 == 4 {
		s.x.padding /= 2 // not all that the kernel reads
	}
	if s.in%8 != 0 {
		s.x = layout{}
	}
	s.added, s.y = layouts[i/2%4], layouts[i%4]
	return s
}

func TestConv(t *testing.T) {
	for i, s := range shapes() {
		s.check(t, uint64(i))
		if i%2 == 1 {
			s.bf16 = true
			s.check(t, uint64(i))
		}
	}
}

// TestMatrix holds that a matrix is computed as so many images of one pixel, and that the output is
// one.
func TestMatrix(t *testing.T) {
	for _, s := range []shape{same(1, 1, 1, 2048, 1000, 1, 1, 0), same(7, 1, 1, 30, 8, 1, 1, 0)} {
		g, of := s.graph(t), s.operands(1)
		feeds := s.feeds(t, g, of)
		feeds[g.x] = feed(t, of.x, s.n, s.in)
		out, err := g.session.Run(feeds, []tf.Output{g.output}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := out[0].Value().([][]float32)
		want, sizes := s.want(of)
		for i := range want {
			y := got[int64(i)/s.out][int64(i)%s.out]
			if math.Abs(want[i]-float64(y)) > 1e-6*sizes[i] {
				t.Fatalf("%v: element %d: want %v, got %v", s, i, want[i], y)
			}
		}
		runtime.KeepAlive(out)
	}
}

// TestMemory holds that kernels lie apart, and where TensorFlow takes them as they are.
func TestMemory(t *testing.T) {
	lengths := []int{1, 17, 1 << 20, 16, 3}
	m, err := NewMemory(lengths...)
	if err != nil {
		t.Fatal(err)
	}
	var taken [][]float32
	for i, n := range lengths {
		kernel := m.Take(n)
		if len(kernel) != n || uintptr(unsafe.Pointer(&kernel[0]))%64 != 0 {
			t.Errorf("kernel %d: %d numbers at %p, want %d at a multiple of 64", i, len(kernel),
				kernel, n)
		}
		for j := range kernel {
			kernel[j] = float32(i)
		}
		taken = append(taken, kernel)
	}
	for i, kernel := range taken {
		for j, number := range kernel {
			if number != float32(i) {
				t.Fatalf("kernel %d: number %d is %v", i, j, number)
			}
		}
	}
	if err := m.Free(); err != nil {
		t.Error(err)
	}
}

func FuzzConv(f *testing.F) {
	f.Add(uint64(1), uint16(0x1234), uint16(0x4321), uint16(0x0101), uint8(7))
	f.Add(uint64(2), uint16(0xffff), uint16(0xffff), uint16(0xffff), uint8(3))
	f.Add(uint64(121), uint16(0x5678), uint16(0x0122), uint16(0x1111), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, sizes, kernel, padding uint16, flags uint8) {
		digit := func(of uint16, i int) int64 { return int64(of >> (4 * i) & 15) }
		s := shape{n: 1 + digit(sizes, 0)%3, h: 1 + digit(sizes, 1), w: 1 + digit(sizes, 2),
			in: 1 + digit(sizes, 3), kernelH: 1 + digit(kernel, 0)%5,
			kernelW: 1 + digit(kernel, 1)%5,
			groups:  1 + digit(kernel, 2)%5, strideH: 1 + digit(kernel, 3)%4,
			strideW: 1 + digit(kernel, 3)/4, top: digit(padding, 0), bottom: digit(padding, 1),
			left: digit(padding, 2), right: digit(padding, 3), relu: flags&1 > 0, add: flags&2 > 0,
			shared: flags&4 > 0, bf16: seed/120%2 == 1}
		s.out = s.groups * 8 * (1 + int64(flags>>3)%5)
		if seed%2 == 1 {
			s.in = (s.in + 7) / 8 * 8
		}
		s = s.withLayouts(int(seed / 2 % 60))
		if s.h+s.top+s.bottom < s.kernelH || s.w+s.left+s.right < s.kernelW {
			return
		}
		s.check(t, seed)
	})
}

// TestConvAtOnce holds that calls that share the threads answer as each alone, and that no image's
// answer depends on those beside it.
func TestConvAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i, s := range []shape{
		same(4, 14, 1, 256, 512, 1, 1, 0), same(4, 14, 3, 16, 512, 32, 1, 1),
		same(4, 30, 7, 3, 64, 1, 2, 3),
	} {
		g, of := s.graph(t), s.operands(uint64(i))
		feeds := s.feeds(t, g, of)
		want, err := s.run(g, feeds)
		if err != nil {
			t.Fatal(err)
		}
		first, alone := s, of
		first.n, alone.x, alone.add = 1, of.x[:len(of.x)/4], of.add[:len(of.add)/4]
		one := first.feeds(t, g, alone)
		for range 4 {
			all.Go(func() {
				for range 20 {
					got, err := s.run(g, feeds)
					if err != nil {
						t.Error(err)
						return
					}
					single, err := first.run(g, one)
					if err != nil {
						t.Error(err)
						return
					}
					for j := range want {
						if got[j] != want[j] || j < len(single) && single[j] != want[j] {
							t.Errorf("%v: element %d: want %v, got %v", s, j, want[j], got[j])
							return
						}
					}
				}
			})
		}
	}
	all.Wait()
}

// TestConvNaN holds that what is not a number does not become one.
func TestConvNaN(t *testing.T) {
	s := same(1, 3, 1, 8, 16, 1, 1, 0)
	s.relu = true
	for _, s.bf16 = range []bool{false, true} {
		g, of := s.graph(t), s.operands(1)
		// which rounds to 0 where it is taken for a number
		of.x[8*4] = math.Float32frombits(0x7fffffff)
		got, err := s.run(g, s.feeds(t, g, of))
		if err != nil {
			t.Fatal(err)
		}
		for i, y := range got {
			if nan := i/16 == 4; nan != (y != y) {
				t.Errorf("bf16 %v, pixel %d: %v", s.bf16, i/16, y)
			}
		}
	}
}

// TestConvRefuses holds that tensors that do not fit each other are errors.
func TestConvRefuses(t *testing.T) {
	s := same(1, 6, 3, 4, 16, 2, 1, 1)
	s.add = true
	for what, change := range map[string]func(g *opGraph, feeds map[tf.Output]*tf.Tensor){
		"rank of the image": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.x] = feed(t, make([]float32, 8*36), 6, 6, 8)
		},
		"channels of the image": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.x] = feed(t, make([]float32, 7*36), 1, 6, 6, 7)
		},
		"rank of the kernel": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.kernel] = feed(t, make([]float32, 36*16), 9, 64)
		},
		"size of the kernel": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.kernel] = feed(t, make([]float32, 35*16), 35*16)
		},
		"bias": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.bias] = feed(t, make([]float32, 8), 8)
		},
		"like the output": func(g *opGraph, feeds map[tf.Output]*tf.Tensor) {
			feeds[g.add] = feed(t, make([]float32, 16), 1, 1, 1, 16)
		},
	} {
		g := s.graph(t)
		feeds := s.feeds(t, g, s.operands(1))
		change(g, feeds)
		_, err := s.run(g, feeds)
		if err == nil || !strings.Contains(err.Error(), "expected") &&
			!strings.Contains(err.Error(), "orward") {
			t.Errorf("%s: want an error that says what is wanted, got %v", what, err)
		}
	}
	for what, test := range map[string]struct {
		change func(s *shape)
		want   string
	}{
		"stride below 1":   {func(s *shape) { s.strideH = -1 }, "expected strides"},
		"zeros taken away": {func(s *shape) { s.left = -1 }, "expected strides"},
		"no such layout": {func(s *shape) {
			s.added.kind = layoutNCHW8C + 1
		}, "expected strides"},
		"padding in NHWC": {func(s *shape) { s.y.padding = 2 }, "expected strides"},
		"padding below 0": {func(s *shape) {
			s.x = layout{layoutNCHW8C, -1}
		}, "expected strides"},
		"no group":   {func(s *shape) { s.groups = 0 }, "expected a filter"},
		"4 channels": {func(s *shape) { s.out = 12 }, "expected a filter"},
		"unread tiles": {func(s *shape) {
			s.x.kind = layoutTiled
		}, "expected an image layout"},
		"a filter that overflows": {func(s *shape) {
			s.kernelH, s.kernelW = 1<<30, 1<<30
		}, "expected a filter"},
		"padding that overflows": {func(s *shape) {
			s.top, s.left = math.MaxInt32, math.MaxInt32
			s.strideH, s.strideW = math.MaxInt32, math.MaxInt32
		}, "expected images of 16 channels"},
		"an image that overflows": {func(s *shape) {
			s.x.kind, s.h, s.w = layoutNCHW8C, 1<<30, 1<<30
		},
			"expected images in layout 2"},
		"an output that overflows": {func(s *shape) { s.y = layout{layoutNCHW8C, math.MaxInt32} },
			"expected images of 16 channels"},
	} {
		wrong := same(1, 6, 3, 8, 16, 2, 1, 1)
		fed := wrong
		test.change(&wrong)
		g := newGraph(t)
		of := &opGraph{x: g.fed("x"), kernel: g.fed("kernel"), bias: g.fed("bias"), add: g.fed("add")}
		of.output = g.op(Op, "conv", wrong.attrs(), of.x, of.kernel, of.bias, tf.OutputList{})
		of.session = g.session()
		_, err := fed.run(of, fed.feeds(t, of, fed.operands(1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: want an error that says %q, got %v", what, test.want, err)
		}
	}
}

// BenchmarkConv measures convolutions of each stage of ResNeXt50, of one image.
func BenchmarkConv(b *testing.B) {
	for _, s := range []shape{
		same(1, 224, 7, 3, 64, 1, 2, 3), same(1, 56, 1, 128, 256, 1, 1, 0),
		same(1, 56, 3, 8, 128, 16, 1, 1), same(1, 28, 1, 512, 256, 1, 1, 0),
		same(1, 28, 3, 8, 256, 32, 1, 1),
		same(1, 14, 1, 512, 1024, 1, 1, 0), same(1, 14, 3, 16, 512, 32, 1, 1),
		same(1, 7, 1, 2048, 1024, 1, 1, 0), same(1, 7, 3, 32, 1024, 32, 1, 1),
	} {
		b.Run(fmt.Sprintf("%dx%d,%dx%d,%d-%d,groups=%d", s.h, s.w, s.kernelH, s.kernelW,
			s.in*s.groups, s.out, s.groups), func(b *testing.B) {
			g := s.graph(b)
			feeds := s.feeds(b, g, s.operands(1))
			for b.Loop() {
				if _, err := g.session.Run(feeds, nil, []*tf.Operation{g.output.Op}); err != nil {
					b.Fatal(err)
				}
			}
			flops := 2 * float64(s.outH()*s.outW()*s.kernelH*s.kernelW*s.in*s.out)
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
