package score

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kerasrun/contract"
	"kerasrun/internal/pythontest"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// kinds is a model with one output of every kind, type and number of dimensions. Its numbers come
// from the first pixel's green and blue, the marker in red makes one of them NaN.
type kinds struct {
	fake
	answer string
	free   bool // images of any size; the map is as large as the image
}

var kindOutputs = []contract.Output{
	{Name: "probs", Kind: contract.Probabilities},
	{Name: "logits", Kind: contract.Logits, Activation: "softmax"},
	{Name: "yes", Kind: contract.Binary, Thresholds: []float64{0.5}},
	{Name: "tags", Kind: contract.Multilabel, Thresholds: []float64{0.6}},
	{Name: "age", Kind: contract.Regression},
	{Name: "vector", Kind: contract.Embedding},
	{Name: "map", Kind: contract.Map},
	{Name: "half", Kind: contract.Tensor}, {Name: "double", Kind: contract.Tensor},
	{Name: "byte", Kind: contract.Tensor}, {Name: "long", Kind: contract.Tensor},
	{Name: "flag", Kind: contract.Tensor}, {Name: "one", Kind: contract.Tensor},
	{Name: "big", Kind: contract.Tensor}, {Name: "words", Kind: contract.Tensor},
}

// kindTypes are the type and the shape of an image's row of each.
var kindTypes = map[string]savedmodel.TensorInfo{
	"probs":  {DType: tensor.Float32, Shape: tensor.Shape{3}},
	"logits": {DType: tensor.Float32, Shape: tensor.Shape{3}},
	"yes":    {DType: tensor.Float32, Shape: tensor.Shape{1}},
	"tags":   {DType: tensor.Float32, Shape: tensor.Shape{4}},
	"age":    {DType: tensor.Float32, Shape: tensor.Shape{1}},
	"vector": {DType: tensor.Float32, Shape: tensor.Shape{5}},
	"map":    {DType: tensor.Float32, Shape: tensor.Shape{2, 2, 3}},
	"half":   {DType: tensor.Float16, Shape: tensor.Shape{3}},
	"double": {DType: tensor.Float64, Shape: tensor.Shape{2, 2}},
	"byte":   {DType: tensor.Uint8, Shape: tensor.Shape{2, 1, 2}},
	"long":   {DType: tensor.Int64, Shape: tensor.Shape{2}},
	"flag":   {DType: tensor.Bool, Shape: tensor.Shape{2}},
	"one":    {DType: tensor.Int16, Shape: tensor.Shape{}},
	"big":    {DType: tensor.Uint64, Shape: tensor.Shape{1}},
	"words":  {DType: tensor.String, Shape: tensor.Shape{1}},
}

func kindModel(answer string) Model {
	return Model{Model: kinds{answer: answer}, ID: "kinds", Preprocessing: "2x2 none"}
}

func (k kinds) SavedModel() *savedmodel.Model {
	m := *k.fake.SavedModel().Manifest
	m.Outputs = map[string][]contract.Output{contract.DefaultSignature: kindOutputs}
	m.Answer = k.answer
	if k.free {
		m.Inputs[0].Shape = tensor.Shape{-1, -1, -1, 3}
		m.Inputs[0].Resize.Fit = "none"
	}
	return &savedmodel.Model{Manifest: &m}
}

func (k kinds) Signature(key string) (savedmodel.Signature, error) {
	s := savedmodel.Signature{Key: key, Outputs: map[string]savedmodel.TensorInfo{},
		Inputs: map[string]savedmodel.TensorInfo{
			"images": {DType: tensor.Float32, Shape: tensor.Shape{-1, 2, 2, 3}}}}
	if key != contract.DefaultSignature {
		return s, errors.New("there is none")
	}
	for name, info := range kindTypes {
		shape := info.Shape
		if k.free && name == "map" {
			shape = tensor.Shape{-1, -1, 3}
		}
		s.Outputs[name] = savedmodel.TensorInfo{DType: info.DType,
			Shape: append(tensor.Shape{-1}, shape...)}
	}
	return s, nil
}

func (k kinds) Labels() labels.Labels {
	n := map[string]int64{"yes": 2}[k.answer]
	if n == 0 && len(kindTypes[k.answer].Shape) == 1 {
		n = kindTypes[k.answer].Shape[0]
	}
	return k.fake.Labels()[:n]
}

// number is the i-th number of an output for an image whose first pixel is so.
func number(name string, red, green, blue float32, i int) float64 {
	if red == markerNaN && name == "vector" && i == 1 {
		return math.NaN()
	}
	x := math.Mod(float64(green)*7+float64(blue)*3+float64(i*i)*11+float64(len(name)), 64) / 64
	if name == "half" || name == "age" || name == "double" {
		x = x*8 - 4
	}
	return x
}

func pngOf(t testing.TB, width, height int, red uint8) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		img.Set(i%width, i/width, color.NRGBA{R: red&^markerNaN&^markerCrash | 4, G: uint8(i), A: 255})
	}
	var file strings.Builder
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func (k kinds) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	time.Sleep(k.delay)
	pixels, err := in["images"].Float32s()
	if err != nil {
		return nil, err
	}
	shape := in["images"].Shape
	rows := shape[0]
	out := map[string]tensor.Tensor{}
	for name, info := range kindTypes {
		row := info.Shape
		if name == "map" && k.free {
			row = shape[1:]
		}
		n, err := row.Elements()
		if err != nil {
			return nil, err
		}
		var values []float64
		for r := range int(rows) {
			p := pixels[r*len(pixels)/int(rows):]
			for i := range int(n) {
				values = append(values, number(name, p[0], p[1], p[2], i))
			}
		}
		t := tensor.Tensor{DType: info.DType, Shape: append(tensor.Shape{rows}, row...)}
		t.Data = kindData(info.DType, values)
		out[name] = t
	}
	return out, nil
}

func kindData(d tensor.DType, values []float64) any {
	switch d {
	case tensor.Float64:
		return values
	case tensor.Uint8:
		return kindConvert[uint8](values, 255)
	case tensor.Int16:
		return kindConvert[int16](values, -3000)
	case tensor.Int64:
		return kindConvert[int64](values, 1<<60)
	case tensor.Uint64:
		return kindConvert[uint64](values, 1<<63)
	case tensor.Float16: // multiples of 1/8 below 8
		bits := make([]uint16, len(values))
		for i, x := range values {
			bits[i] = float16Bits(x)
		}
		return bits
	case tensor.Bool:
		flags := make([]bool, len(values))
		for i, x := range values {
			flags[i] = x > 0.5
		}
		return flags
	case tensor.String:
		return slices.Repeat([][]byte{[]byte("text")}, len(values))
	}
	return kindConvert[float32](values, 1)
}

func kindConvert[T float32 | uint8 | int16 | int64 | uint64](values []float64, scale float64) []T {
	out := make([]T, len(values))
	for i, x := range values {
		out[i] = T(x * scale)
	}
	return out
}

// float16Bits is for numbers that a float16 has.
func float16Bits(x float64) uint16 {
	bits := math.Float32bits(float32(x))
	if x == 0 {
		return 0
	}
	return uint16(bits>>16&0x8000) | uint16((bits>>23&0xff-112)<<10) | uint16(bits>>13&0x3ff)
}

// kindImages writes images of which one is bad and one makes a number NaN.
func kindImages(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for i, content := range []string{"a", "nan", "b", "bad", "c", "d", "e"} {
		write(t, filepath.Join(dir, fmt.Sprintf("%d.bmp", i)), imageOf(content))
	}
	return dir
}

// Every output in every format that can hold it, read by pyarrow, NumPy and json, which have to see
// what the model answered.
func TestOutputsInPython(t *testing.T) {
	python := pythontest.Python(t)
	dir, input := t.TempDir(), source(t, kindImages(t))
	flat := []string{Top, "vector", "half", "long", "flag", "one", "big", "yes", "age"}
	all := append(slices.Clone(flat), "map", "double", "byte")
	var files []string
	for format, names := range map[string][]string{
		"csv": flat, "jsonl": all, "parquet": all, "npz": all,
	} {
		for _, separate := range []bool{false, true} {
			c := config(filepath.Join(dir, fmt.Sprintf("%v.%s", separate, format)), input)
			c.Model, c.Columns = kindModel("tags"), Columns{Outputs: names, Separate: separate}
			s := mustRun(t, c)
			if s.Failed != 2 {
				t.Errorf("%s: got %+v, want the bad image and that of NaN to fail", format, s)
			}
			files = append(files, s.Output)
		}
	}
	type expected struct {
		DType string
		Shape tensor.Shape
		Rows  []json.RawMessage // null where the image failed
	}
	want := map[string]expected{}
	_, records, err := ReadOutput(filepath.Join(dir, "false.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range all[1:] {
			e := want[name]
			e.DType, e.Shape = kindTypes[name].DType.String(), kindTypes[name].Shape
			row := json.RawMessage("null")
			if r.Error == "" {
				row = kindRow(t, r.Path, name)
				if got := appendLists(nil, r.Values[i]); string(got) != string(row) {
					t.Errorf("%s: %s: got %s, want %s", r.Path, name, got, row)
				}
			}
			e.Rows = append(e.Rows, row)
			want[name] = e
		}
	}
	spec, err := json.Marshal(map[string]any{"files": files, "outputs": want})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/read_outputs.py")
	cmd.Stdin = strings.NewReader(string(spec))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".csv") {
			continue
		}
		for _, other := range files {
			if !strings.HasSuffix(other, ".csv") {
				if d, err := Diff(file, other, 0, nil); err != nil || !d.OK() || d.SetFlips > 0 {
					t.Errorf("%s, %s: got %+v, %v, want no difference", file, other, d, err)
				}
			}
		}
	}
}

// kindRow is what the model answers to an image, in JSON.
func kindRow(t testing.TB, path, name string) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pixel := data[14+40+8:] // the upper row's first, as blue, green, red
	info := kindTypes[name]
	n, err := info.Shape.Elements()
	if err != nil {
		t.Fatal(err)
	}
	var values []float64
	for i := range int(n) {
		values = append(values,
			number(name, float32(pixel[2]), float32(pixel[1]), float32(pixel[0]), i))
	}
	row := tensor.Tensor{DType: info.DType, Shape: info.Shape, Data: kindData(info.DType, values)}
	if row, err = toWrite(row); err != nil {
		t.Fatal(err)
	}
	return appendLists(nil, row)
}

// The columns of classes, and what stands in them, for an answer of each kind.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.bmp"), imageOf("a"))
	input := source(t, dir)
	for _, test := range []struct {
		name, answer string
		columns      Columns
		want         string // the row, less index, path and error; or the error
	}{
		{"probabilities", "probs", Columns{Top: 2, Labels: LabelID},
			`"class":[1,0],"label":["n0001","n0000"],"probability":[P1,P0]`},
		{"probs", "probs", Columns{Top: 1, Labels: LabelID, Outputs: []string{Probs}},
			`"class":[1],"label":["n0001"],"probability":[P1],"probs":[P0,P1,P2]`},
		{"binary", "yes", Columns{Labels: LabelID}, `YES`},
		{"probs of a sigmoid", "yes", Columns{Labels: LabelNone, Outputs: []string{"yes"}}, `"yes":[Y]`},
		{"multilabel", "tags", Columns{Labels: LabelNone}, `TAGS`},
		{"regression", "age", Columns{}, `"age":[A]`},
		{"embedding", "vector", Columns{}, `"vector":[V0,V1,V2,V3,V4]`},
		{"beside", "probs", Columns{Top: 1, Labels: LabelNone, Outputs: []string{"age", Top}},
			`"class":[1],"probability":[P1],"age":[A]`},
		{"map", "map", Columns{}, `"map" is a map, of many numbers an image: expected --outputs`},
		{"none", "", Columns{}, `says of no output that it answers an image`},
		{"top of a map", "map", Columns{Outputs: []string{Top}},
			`expected a model whose answer tells classes, got "map", a map`},
		{"texts", "probs", Columns{Outputs: []string{"words"}}, `"words": expected numbers, got string`},
		{"twice", "probs", Columns{Outputs: []string{"age", "age"}}, `expected names, each once`},
		{"logits", "probs", Columns{Top: 1, Labels: LabelNone, Logits: true}, `"class":[L],"logit":[M]`},
		{"logits of a sigmoid", "yes", Columns{Outputs: []string{"age"}, Logits: true},
			`expected logits with top or probs`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			c := config("-", input)
			c.Stdout, c.Columns, c.Model = &out, test.columns, kindModel(test.answer)
			_, err := Run(t.Context(), c)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				var usage *UsageError
				if !errors.As(err, &usage) && test.name != "twice" {
					t.Errorf("got %T, want a UsageError", err)
				}
				return
			}
			got := strings.TrimSpace(out.String())
			_, got, _ = strings.Cut(got, "a.bmp\",")
			got = strings.TrimSuffix(got, `,"error":null}`)
			if want := kindExpected(t, filepath.Join(dir, "a.bmp"), test.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// kindExpected fills the numbers that the model answers into a row.
func kindExpected(t testing.TB, path, row string) string {
	t.Helper()
	list := func(name string) []float32 {
		var values []float32
		if err := json.Unmarshal(kindRow(t, path, name), &values); err != nil {
			t.Fatal(err)
		}
		return values
	}
	text := func(x float32) string { return string(appendJSON(nil, x)) }
	p, l, y, tags, v := list("probs"), list("logits"), list("yes")[0], list("tags"), list("vector")
	best := 0
	for i, x := range l {
		if x >= l[best] {
			best = i
		}
	}
	binary := []any{0, 1, "n0000", "n0001", text(1 - y), text(y)}
	if y > 0.5 {
		binary = []any{1, 0, "n0001", "n0000", text(y), text(1 - y)}
	}
	var over []int64
	for i, x := range tags {
		if float64(x) > 0.6 {
			over = append(over, int64(i))
		}
	}
	slices.SortStableFunc(over, func(a, b int64) int {
		return int(math.Copysign(1, float64(tags[b]-tags[a])))
	})
	scores := []float32{}
	for _, i := range over {
		scores = append(scores, tags[i])
	}
	return strings.NewReplacer("P0", text(p[0]), "P1", text(p[1]), "P2", text(p[2]),
		"[L]", fmt.Sprintf("[%d]", best), "[M]", "["+text(l[best])+"]",
		"YES", fmt.Sprintf(`"class":[%d,%d],"label":["%s","%s"],"probability":[%s,%s]`, binary...),
		"[Y]", "["+text(y)+"]", "[A]", "["+text(list("age")[0])+"]",
		"TAGS", fmt.Sprintf(`"class":%s,"probability":%s`, appendJSON(nil, notNil(over)),
			appendJSON(nil, scores)),
		"[V0,V1,V2,V3,V4]", string(appendJSON(nil, v))).Replace(row)
}

// What a format cannot hold is refused before anything is read.
func TestOutputsRefused(t *testing.T) {
	input := source(t, kindImages(t))
	for _, test := range []struct {
		name, format string
		free         bool
		want         string
	}{
		{"map", "csv", false,
			`output "map": expected one row of numbers an image, which a .csv can hold`},
		{"map", "npz", true, `output "map": expected a known shape, as an array in .npz has`},
	} {
		c := config(filepath.Join(t.TempDir(), "out."+test.format), input)
		c.Model.Model = kinds{answer: "map", free: test.free}
		c.Columns = Columns{Outputs: []string{test.name}}
		var usage *UsageError
		if _, err := Run(t.Context(), c); !errors.As(err, &usage) ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s in %s: got %v, want %s", test.name, test.format, err, test.want)
		}
	}
}

// Lists that are not an array are refused, and whatever is read is whole.
func TestParseLists(t *testing.T) {
	for _, test := range []struct {
		text string
		rank int
		ok   bool
	}{
		{"[[1,2],[3,4]]", 2, true}, {"[[],[]]", 2, true}, {"[]", 2, true}, {"5", 0, true},
		{"[[1,2],[3]]", 2, false}, {"[1,[2]]", 2, false}, {"[1]", 0, false}, {"null", 0, false},
		{`["a"]`, 1, false}, {"[[[1]]]", 2, false},
	} {
		got, err := parseLists(tensor.Float32, test.rank, []byte(test.text))
		if (err == nil) != test.ok {
			t.Errorf("%s: got %v, %v", test.text, got, err)
		}
		if err == nil && string(appendLists(nil, got)) != test.text {
			t.Errorf("%s: got %s", test.text, appendLists(nil, got))
		}
	}
}
