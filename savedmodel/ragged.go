package savedmodel

import "strings"

// rowWise are operations that give a row for each row of an input, by which that is.
var rowWise = map[string]int{"Cast": 0, "Identity": 0, "LookupTableFindV2": 1, "RegexReplace": 0,
	"StaticRegexReplace": 0, "StringLower": 0, "StringStrip": 0, "StringToHashBucketFast": 0,
	"StringToHashBucketStrong": 0, "StringToNumber": 0, "StringUpper": 0}

// elementWise are operations that give as many rows as each of their inputs that is not one number.
var elementWise = opSet("AddV2 Equal NotEqual SelectV2 Sub")

// valuesFault says that a RaggedTensorToTensor may read values that are not there: it takes as many
// as its last partition says. They have to be the parts of the split that the partition is of.
func (t *tracing) valuesFault(f *function, n *node) string {
	kinds := n.attr(partitionTypes).texts
	if n.op != "RaggedTensorToTensor" || len(kinds) == 0 || len(n.inputs) < 3+len(kinds) {
		return "" // which TensorFlow refuses
	}
	values, rows := t.split(f, n.inputs[1]), t.split(f, n.inputs[2+len(kinds)])
	if values.n != nil && values.n == rows.n && kinds[len(kinds)-1] == rowsOfValues &&
		(values.output == "1" || values.output == "values:0") && values.columns == 0 &&
		(rows.output == "" || rows.output == "0" || rows.output == "indices:0") &&
		rows.columns == 1 {
		return ""
	}
	return "expected values and a last partition of one StringSplitV2, which are as many, " +
		"got others"
}

// splitOf is the StringSplitV2 that a tensor's rows are of, one for one, and which of its outputs
// that is; nil where there is none. columns says how often a column is taken, of which there may be
// fewer rows.
type splitOf struct {
	n       *node
	output  string
	columns int
}

// split follows a tensor of a function back, each once.
func (t *tracing) split(f *function, input string) (found splitOf) {
	of := tensorOf{of: f, name: input}
	if known, ok := t.splits[of]; ok || !t.work.step() {
		return known
	}
	t.splits[of] = splitOf{} // for what leads back to itself
	defer func() { t.splits[of] = found }()
	n := t.names(f)[producer(input)]
	if n == nil {
		return splitOf{}
	}
	from, ok := rowWise[n.op]
	switch {
	case n.op == "StringSplitV2":
		_, output, _ := strings.Cut(input, ":")
		return splitOf{n: n, output: output}
	case takesColumn(n) && len(n.inputs) > 0:
		if found = t.split(f, n.inputs[0]); found.n != nil {
			found.columns++
		}
	case ok && from < len(n.inputs):
		return t.split(f, n.inputs[from])
	case elementWise[n.op]:
		for _, input := range n.inputs {
			if shape := t.shape(f, input); isControl(input) || shape != nil && len(shape) == 0 {
				continue
			}
			of := t.split(f, input)
			if of.n == nil || found.n != nil && of != found {
				return splitOf{}
			}
			found = of
		}
	}
	return found
}

// The attributes of a StridedSlice that say what becomes of the dimensions.
const (
	shrinkMask   = "shrink_axis_mask"
	newMask      = "new_axis_mask"
	ellipsisMask = "ellipsis_mask"
)

// takesColumn returns whether an operation is x[:, i], or takes fewer rows.
func takesColumn(n *node) bool {
	return n.op == "StridedSlice" && n.attr(shrinkMask).number == 1<<1 &&
		n.attr(newMask).number == 0 && n.attr(ellipsisMask).number == 0
}
