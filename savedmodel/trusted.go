package savedmodel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// property is something of a tensor that an operation trusts, and that a client may choose: where
// it is another, TensorFlow ends the process.
type property uint8

const (
	rank property = iota // how many dimensions there are
	// How large those behind the first are, which is that of a batch; of what says a shape, also
	// what its elements are.
	sides
	sizes   // how large they all are
	numbers // what the elements are; its sizes come from its shape alone
	order   // whether the elements rise, as a client's numbers may not
)

// trustedInputs says which inputs' properties end the process at values that a client may send, and
// what the client must not choose. scripts/fuzzops finds them. Keras writes these operations, so
// that they stay allowed where it is the model that says the property.
var trustedInputs = map[string][]trustedInput{
	"AdjustHue":                         {{1, numbers}}, // it turns by 6 until that is reached
	"CombinedNonMaxSuppression":         {{0, rank}, {1, rank}},
	"Conv2D":                            {{0, rank}, {1, rank}},
	"Conv2DBackpropInput":               {{0, rank}, {0, sizes}, {0, numbers}, {1, rank}, {2, rank}},
	"Conv3D":                            {{0, rank}, {1, rank}},
	"Conv3DBackpropInputV2":             {{0, rank}, {0, sizes}, {0, numbers}, {1, rank}, {2, rank}},
	"DepthwiseConv2dNative":             {{0, rank}, {1, rank}},
	"GatherV2":                          {{2, numbers}},
	"IRFFT":                             {{1, numbers}},
	"IRFFT2D":                           {{1, numbers}},
	"IRFFT3D":                           {{1, numbers}},
	"IRFFTND":                           {{1, numbers}},
	"MaxPool":                           {{0, sides}},
	"MaxPool3D":                         {{0, rank}, {0, sides}},
	"RFFT":                              {{1, numbers}},
	"RFFT2D":                            {{1, numbers}},
	"RFFT3D":                            {{1, numbers}},
	"RFFTND":                            {{1, numbers}},
	"RaggedTensorToTensor":              {{3, rank}, {3, sizes}},
	"ScatterNd":                         {{0, rank}, {1, rank}, {2, rank}},
	"Slice":                             {{1, numbers}, {2, numbers}},
	"SparseBincount":                    {{2, numbers}, {3, numbers}},
	"SparseTensorDenseMatMul":           {{2, numbers}},
	"StatelessRandomGammaV2":            {{0, numbers}},
	"StatelessRandomGammaV3":            {{0, numbers}},
	"TensorArraySplitV3":                {{2, numbers}},
	"TensorArrayV3":                     {{0, numbers}},
	"TensorListConcatV2":                {{2, rank}},
	"TensorListScatter":                 {{1, numbers}},
	"TensorListScatterIntoExistingList": {{2, numbers}},
	"TensorListScatterV2":               {{1, numbers}, {3, numbers}},
	"TensorListSetItem":                 {{1, numbers}},
	"TensorListGetItem":                 {{1, rank}},
	"TensorListReserve":                 {{1, numbers}},
	"TensorListResize":                  {{1, numbers}},
	"TensorScatterUpdate":               {{1, rank}, {2, rank}},
}

// otherwise says what lets an operation pass for which Keras has another way.
var otherwise = map[string]string{"MaxPool": padOrResize, "MaxPool3D": padOrResize}

const padOrResize = `images of a fixed size, a Resizing layer before it, or padding "same" lets ` +
	`it pass; `

type trustedInput struct {
	input int
	what  property
}

// mostOf limits numbers of the operations' own that TensorFlow makes lists and texts of, as long,
// and which end the process where there is no room.
var mostOf = map[string]uint64{"N": 1 << 16, "Ncontext_sparse": 1 << 16,
	"Nfeature_list_dense": 1 << 16, "Nfeature_list_sparse": 1 << 16, "beam_width": 1 << 16,
	"num": 1 << 16, "num_partitions": 1 << 16, "num_sparse": 1 << 16, "num_split": 1 << 16,
	"precision": 1024, "top_paths": 1 << 16, "width": 1024}

// A RaggedTensorToTensor trusts its input 3 to be one number, where it is told that it is, and the
// rows of its values to rise: it writes outside of its answer otherwise.
const (
	partitionTypes = "row_partition_types"
	partitions     = "num_row_partition_tensors"
	firstSize      = "FIRST_DIM_SIZE"
	rowsOfValues   = "VALUE_ROWIDS"
)

// growsAttr is the attribute of a TensorListSetItem that makes the list as long as it has to be: it
// takes an index before the list too then.
const growsAttr = "resize_if_index_out_of_bounds"

// rows are the inputs of a RaggedTensorToTensor that say the rows of values.
func (n *node) rows() (inputs []trustedInput) {
	if n.op != "RaggedTensorToTensor" {
		return nil
	}
	for i, kind := range n.attr(partitionTypes).texts {
		if kind == rowsOfValues {
			inputs = append(inputs, trustedInput{3 + i, order})
		}
	}
	return inputs
}

// rising are the operations whose first output's numbers rise, whatever comes in: the places of
// elements, row by row.
var rising = opSet("StringSplit StringSplitV2 Where")

// rises returns whether a tensor is the first output of such an operation.
func (t *tracing) rises(of tensorOf) bool {
	n := t.node(tensorOf{of.of, producer(of.name), of.what})
	if n == nil || !rising[n.op] {
		return false
	}
	_, output, _ := strings.Cut(of.name, ":")
	return output == "" || output == "0" || output == "indices:0" || output == "index:0"
}

// falls returns whether a tensor is a constant whose numbers may not rise.
func (t *tracing) falls(f *function, input string) bool {
	from := source(t.work, input, t.names(f))
	if from == nil || from.value() == nil {
		return false
	}
	numbers := from.value().integers()
	elements, err := from.value().shape.Elements()
	return err != nil || elements != int64(len(numbers)) || !slices.IsSorted(numbers)
}

// trusts returns whether an operation trusts what the table has of it also with these attributes,
// and with the nodes of these names before it.
func (n *node) trusts(what property, w *work, names map[string]*node) bool {
	switch {
	case n.op == "RaggedTensorToTensor" && what != order:
		return n.attr(partitionTypes).text == firstSize
	case n.op == "TensorListSetItem":
		resize := n.attrs[growsAttr]
		return resize == nil || resize.number != 0
	case n.op == "Slice": // the sum of both of these overflows
		index := n.attrs["Index"]
		return index == nil || index.dtype != tensor.Int32
	case what == sides:
		return n.dividesByZero(w, names)
	}
	return true
}

// dividesByZero returns whether a pool ends the process at some size of what it takes. Without
// padding its output has (size - window + step) / step elements, which TensorFlow cuts to 0 where
// that is a little below 0, while oneDNN's pool then divides by zero: at a size of up to window -
// step. A Pad before it can see to it that none is so small.
func (n *node) dividesByZero(w *work, names map[string]*node) bool {
	if padding := n.attr("padding").text; padding == "SAME" || padding == "EXPLICIT" {
		return false
	}
	windows, steps := n.attr("ksize").numbers, n.attr("strides").numbers
	if len(windows) == 0 || len(windows) != len(steps) {
		return true
	}
	var added []int64
	if _, paddings := padBefore(w, n.inputs[0], names); paddings != nil {
		added = paddings.integers()
	}
	for i := range windows {
		least := int64(0)
		if len(added) == 2*len(windows) {
			least = added[2*i] + added[2*i+1]
		}
		if windows[i]-steps[i] > 0 && least <= windows[i]-steps[i] {
			return true
		}
	}
	return false
}

// ofRank are the operations whose outputs have a number of dimensions of their own, whatever comes
// in.
var ofRank = opSet(`AvgPool AvgPool3D Const Conv2D Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D
	Conv3DBackpropInput Conv3DBackpropInputV2 CropAndResize DepthToSpace DepthwiseConv2dNative
	Dilation2D ExtractImagePatches ExtractVolumePatches ImageProjectiveTransformV2
	ImageProjectiveTransformV3 LRN MatMul MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Range Rank
	ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate Shape ShapeN
	Size SpaceToDepth`)

// shapeInput is which input of an operation says the whole shape of its output.
var shapeInput = map[string]int{"BroadcastTo": 1, "Fill": 0, "RaggedTensorToTensor": 0,
	"Reshape": 1, "ScatterNd": 2, "SparseToDense": 1, "StatelessRandomNormal": 0,
	"StatelessRandomNormalV2": 0, "StatelessRandomUniform": 0, "StatelessRandomUniformInt": 0,
	"StatelessRandomUniformIntV2": 0, "StatelessRandomUniformV2": 0, "StatelessTruncatedNormal": 0,
	"StatelessTruncatedNormalV2": 0}

// resizes are the operations whose output's sides are what their second input says.
var resizes = opSet(`ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
	ScaleAndTranslate`)

// byLength are the operations whose output has more or fewer dimensions by how many elements their
// second input has.
var byLength = opSet(`All Any EuclideanNorm Max Mean Min Prod StridedSlice Sum`)

// byNumbers are the operations whose output's sizes are numbers of their inputs.
var byNumbers = opSet(`LinSpace ListDiff Pad PadV2 MirrorPad Range Slice StridedSlice Tile Unique
	UniqueV2 UniqueWithCounts UniqueWithCountsV2 Where`)

// checkTrusted reports operations that trust a property which a client may choose.
func (g *MetaGraph) checkTrusted(r *report, allowed map[string]bool) {
	t := g.newTracing(r.work)
	g.eachNode(r.work, func(f *function, n *node, by reacher) {
		if by&bySignature == 0 || allowed[n.op] {
			return
		}
		mayEnd := func(fault string) {
			r.addOp(Error, f, n, fmt.Sprintf("may end the process: %s (%s--allow-op %s takes it)",
				fault, otherwise[n.op], n.op))
		}
		fault := cmp.Or(t.skipFault(f, n), t.typeFault(f, n), t.valuesFault(f, n))
		if fault != "" {
			mayEnd(fault)
		}
		for _, trusted := range slices.Concat(trustedInputs[n.op], n.rows()) {
			if trusted.input >= len(n.inputs) || isControl(n.inputs[trusted.input]) {
				continue
			}
			if !n.trusts(trusted.what, r.work, t.names(f)) {
				continue
			}
			if trusted.what == order && t.falls(f, n.inputs[trusted.input]) {
				mayEnd(fmt.Sprintf("expected numbers that rise of its input %d, got a constant "+
					"that falls, or is longer than is looked at", trusted.input))
			}
			if source := t.find(tensorOf{f, n.inputs[trusted.input], trusted.what}); source != "" {
				mayEnd(fmt.Sprintf("expected %s of its input %d that the model itself says, got one "+
					"that a client may choose, through %s", trusted.what, trusted.input, source))
			}
		}
	})
}

func (p property) String() string {
	return [...]string{"a number of dimensions", "sizes", "sizes", "numbers",
		"numbers that rise"}[p]
}

// tensorOf is a property of a tensor of a function, or with a nil function of the graph. The tensor
// is a node, whichever of its outputs, an argument, any argument or any result.
type tensorOf struct {
	of   *function
	name string
	what property
}

// Names that stand for more than one tensor of a function. No node has such a name.
const (
	anyArgument = "any argument"
	anyResult   = "any result"
)

// caller is a node that calls a function, and the function that the node is in.
type caller struct {
	in *function
	n  *node
	// Of a loop, whose results are its next arguments: the body. nil otherwise.
	body *function
	skip int // inputs that come before the arguments
}

// callers are what calls a function.
type callers struct {
	handing []caller // whose inputs are the arguments, one for one
	others  []caller
	alike   []*function // what calls one of these may call the function too
	last    *node       // that was noted
}

// tracing finds what a property of a tensor comes from. What has been looked at once is not looked
// at again, so that all that it finds takes a time that grows as the graph does.
type tracing struct {
	work      *work
	functions map[string]*function
	nodes     map[*function]map[string]*node
	arguments map[*function]map[string]int
	callers   map[*function]*callers
	fed       map[string]property // of the signatures' inputs: the least that a client chooses
	seen      map[tensorOf]bool
	splits    map[tensorOf]splitOf
}

func (g *MetaGraph) newTracing(w *work) *tracing {
	t := &tracing{work: w, functions: g.graph.library(),
		nodes:     map[*function]map[string]*node{nil: g.graph.names},
		arguments: map[*function]map[string]int{}, callers: map[*function]*callers{},
		fed: map[string]property{}, seen: map[tensorOf]bool{},
		splits: map[tensorOf]splitOf{}}
	for _, s := range g.graph.signatures {
		for _, info := range s.inputs {
			w.step()
			least := numbers
			if slices.Contains(info.shape, -1) {
				least = sizes
			}
			if len(info.shape) > 1 && slices.Contains(info.shape[1:], -1) {
				least = sides
			}
			if info.shape == nil {
				least = rank
			}
			name := producer(info.name)
			if known, ok := t.fed[name]; ok {
				least = min(least, known)
			}
			t.fed[name] = least
		}
	}
	for _, f := range g.graph.functions {
		t.callers[f] = &callers{}
	}
	t.call(nil, g.graph.nodes)
	implementations := map[string]*function{}
	for _, f := range g.graph.functions {
		t.call(f, f.nodes)
		for _, callee := range f.byDefault(t.functions) {
			t.work.step()
			t.callers[callee].alike = append(t.callers[callee].alike, f)
		}
		// TensorFlow may call one in place of another.
		if a := f.attrs["api_implements"]; a != nil {
			first := implementations[a.text]
			if first == nil {
				implementations[a.text] = f
				continue
			}
			t.callers[f].alike = append(t.callers[f].alike, first)
			t.callers[first].alike = append(t.callers[first].alike, f)
		}
	}
	return t
}

// call notes what the nodes call.
func (t *tracing) call(in *function, nodes []*node) {
	for _, n := range nodes {
		for _, f := range n.call(t.functions) {
			if !t.work.step() {
				return
			}
			c := t.callers[f]
			if c.last == n { // which may name a function very often
				continue
			}
			c.last = n
			call := caller{in: in, n: n}
			if n.hands(f) || t.branches(&call, f) {
				c.handing = append(c.handing, call)
			} else {
				c.others = append(c.others, call)
			}
		}
	}
}

// branches returns whether the node is a loop or a choice whose inputs are f's arguments, one for
// one. It says which in call.
func (t *tracing) branches(call *caller, f *function) bool {
	n := call.n
	switch n.op {
	case "While", "StatelessWhile":
		if body := n.attr("body").calls; len(body) == 1 {
			call.body = t.functions[body[0]]
		}
		if call.body == nil || len(call.body.results) != len(f.args) {
			return false
		}
	case "If", "StatelessIf", "Case", "StatelessCase":
		call.skip = 1
	default:
		return false
	}
	inputs := len(n.inputs)
	for inputs > 0 && isControl(n.inputs[inputs-1]) { // they come last
		inputs--
	}
	return !f.listArgs && inputs == len(f.args)+call.skip
}

// find returns where a client may choose the property, "" where it may not.
func (t *tracing) find(of tensorOf) string {
	todo := []tensorOf{of}
	for len(todo) > 0 && t.work.step() {
		of, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if isControl(of.name) || of.what == order && t.rises(of) {
			continue
		}
		of.name = producer(of.name)
		if t.seen[of] {
			continue
		}
		t.seen[of] = true
		least, fed := t.fed[of.name]
		n := t.node(of)
		switch {
		case fed && of.of == nil && least <= of.what:
			return "the signature's input " + quote(of.name)
		case n == nil && of.of == nil:
		case n == nil && of.name == anyArgument:
			todo = t.anyArgument(todo, of)
		case n == nil && of.name == anyResult:
			for _, result := range of.of.ret {
				t.work.step()
				todo = append(todo, tensorOf{of.of, result, of.what})
			}
		case n == nil:
			todo = t.argument(todo, of)
		default:
			todo = t.through(todo, of, n)
		}
	}
	return ""
}

// through adds what the property of a node's output comes from.
func (t *tracing) through(todo []tensorOf, of tensorOf, n *node) []tensorOf {
	add := func(inputs []string, what property) {
		todo = t.inputs(todo, of.of, inputs, what)
	}
	for _, f := range n.call(t.functions) {
		t.work.step()
		todo = append(todo, tensorOf{f, anyResult, of.what})
	}
	shape, shaped := shapeInput[n.op]
	shaped = shaped && shape < len(n.inputs)
	switch {
	case of.what == rank && ofRank[n.op], n.op == "Rank", n.op == "Size":
	case of.what == sides && resizes[n.op]:
		add(n.inputs[min(1, len(n.inputs)):], sides)
		add(n.inputs[min(1, len(n.inputs)):], numbers)
	case of.what == sides && shaped:
		add(n.inputs, sides)
		add(n.inputs[shape:shape+1], numbers)
	case of.what == sides && byNumbers[n.op]:
		add(n.inputs, sides)
		add(n.inputs, numbers)
	case of.what == sides:
		add(n.inputs, sides)
	case n.op == "Shape" || n.op == "ShapeN": // its numbers are a tensor's sizes: what is sent
		if of.what == sizes {
			add(n.inputs, rank)
		}
	case of.what == sizes && n.op == "Pack": // of as many as the model has
		add(n.inputs, sizes)
	case of.what == rank && shaped:
		add(n.inputs[shape:shape+1], sizes)
	case of.what == sizes && shaped:
		add(n.inputs[shape:shape+1], numbers)
	case of.what == rank && n.op == "Squeeze" && n.attr("squeeze_dims").length == 0:
		add(n.inputs, rank) // and less for each size of 1
		add(n.inputs, sizes)
	case of.what == rank && byLength[n.op]:
		add(n.inputs, rank)
		add(n.inputs[min(1, len(n.inputs)):], sizes)
	case of.what == sizes && byNumbers[n.op]:
		add(n.inputs, sizes)
		add(n.inputs, numbers)
	default:
		add(n.inputs, of.what)
	}
	return todo
}

func (t *tracing) inputs(todo []tensorOf, of *function, inputs []string,
	what property) []tensorOf {
	for _, input := range inputs {
		t.work.step()
		todo = append(todo, tensorOf{of, input, what})
	}
	return todo
}

// argument adds what a function's argument comes from, wherever the function is called.
func (t *tracing) argument(todo []tensorOf, of tensorOf) []tensorOf {
	i, ok := t.index(of.of)[of.name]
	if !ok {
		return todo
	}
	c := t.callers[of.of]
	for _, call := range c.handing {
		t.work.step()
		todo = append(todo, tensorOf{call.in, call.n.inputs[i+call.skip], of.what})
		if call.body != nil {
			todo = append(todo, tensorOf{call.body, call.body.ret[call.body.results[i]], of.what})
		}
	}
	if len(c.others) > 0 || len(c.alike) > 0 {
		todo = append(todo, tensorOf{of.of, anyArgument, of.what})
	}
	return todo
}

// anyArgument adds what any of a function's arguments comes from.
func (t *tracing) anyArgument(todo []tensorOf, of tensorOf) []tensorOf {
	c := t.callers[of.of]
	for _, call := range slices.Concat(c.handing, c.others) {
		todo = t.inputs(todo, call.in, call.n.inputs, of.what)
	}
	for _, f := range c.alike {
		t.work.step()
		todo = append(todo, tensorOf{f, anyArgument, of.what})
	}
	return todo
}

// node returns the node of the name, nil where it is an argument or unknown.
func (t *tracing) node(of tensorOf) *node { return t.names(of.of)[of.name] }

// names returns the nodes of a function, or with nil of the graph, by their names.
func (t *tracing) names(f *function) map[string]*node {
	if t.nodes[f] == nil {
		t.nodes[f] = nodeNames(f.nodes)
	}
	return t.nodes[f]
}

// index returns the places of a function's arguments by their names.
func (t *tracing) index(f *function) map[string]int {
	if t.arguments[f] == nil {
		t.arguments[f] = make(map[string]int, len(f.args))
		for i, name := range f.args {
			t.arguments[f][name] = i
		}
	}
	return t.arguments[f]
}
