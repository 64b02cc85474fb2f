package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/golden"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func TestInspect(t *testing.T) {
	inRepository(t)
	text := well(t, "inspect", model)
	for _, want := range []string{
		"resnext50, optimized graph, float32", "25,097,128", "by pillow, bgr\n",
		"by pillow, nearest, stretched to the size",
		"before softmax, classes in assets.extra/labels.json",
		"answers an image",
		"signature serving_default", "signature features",
		"float32  (-1, 224, 224, 3)  images:0", "53 Conv2D", "saved_model.pb",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	var d description
	unmarshal(t, []byte(well(t, "inspect", "--format", "json", "--model", model)), &d)
	if d.Path != model || d.Contract == nil || d.Contract.Parameters != 25097128 ||
		len(d.Graphs) != 1 || d.Bytes < 4*25_000_000 {
		t.Fatalf("got %+v", d)
	}
	g := d.Graphs[0]
	keys := slices.Sorted(maps.Keys(g.Signatures))
	if !slices.Equal(keys, []string{"features", "serving_default"}) {
		t.Errorf("got the signatures %q", keys)
	}
	s := g.Signatures["serving_default"]
	if in := s.Inputs["images"]; in.DType != "float32" ||
		!slices.Equal(in.Shape, []int64{-1, 224, 224, 3}) {
		t.Errorf("got the input %+v", in)
	}
	if out := s.Outputs["probs"]; out.DType != "float32" ||
		!slices.Equal(out.Shape, []int64{-1, 1000}) {
		t.Errorf("got the output %+v", out)
	}
	if s.Parameters == nil || g.Operations["Conv2D"] != 53 {
		t.Errorf("got the parameters %v, the operations %v", s.Parameters, g.Operations)
	}
}

func TestDigits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 25097128: "25,097,128",
		-123456: "-123,456", -1234: "-1,234",
	} {
		if got := digits(n); got != want {
			t.Errorf("digits(%d): got %q, want %q", n, got, want)
		}
	}
}

// changedModel copies the model with one file replaced.
func changedModel(t *testing.T, name string, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	err := os.CopyFS(dir, os.DirFS(model))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestScan(t *testing.T) {
	inRepository(t)
	if got := well(t, "scan", model); got != model+": 0 errors, 0 warnings\n" {
		t.Errorf("got %q", got)
	}
	var report scanReport
	unmarshal(t, []byte(well(t, "scan", "--format", "json", model)), &report)
	if !report.OK || report.Path != model || report.Findings == nil || len(report.Findings) != 0 {
		t.Errorf("got %+v", report)
	}

	for _, test := range []struct {
		file, data string
		check      savedmodel.Check
	}{
		{"saved_model.pb", "no graph", "graph"},
		{"assets.extra/labels.json", "{}", savedmodel.CheckFiles},
		{"assets.extra/kerasrun.json", "{}", savedmodel.CheckManifest},
	} {
		dir := changedModel(t, test.file, []byte(test.data))
		status, stdout, stderr := call(t, nil, "scan", dir)
		line := filepath.Join(dir, test.file) + ": "
		if status != exitFailed || stderr != "" || !strings.Contains(stdout, line) ||
			!strings.Contains(stdout, "["+string(test.check)+"]\n") {
			t.Errorf("%s: exit status %d, stdout %q, stderr %q", test.file, status, stdout, stderr)
		}
		status, stdout, _ = call(t, nil, "scan", "--format", "json", dir)
		var report scanReport
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(report.Findings, func(f savedmodel.Finding) bool {
			return f.Check == test.check && f.File == test.file && f.Severity == savedmodel.Error
		})
		if status != exitFailed || report.OK || !found {
			t.Errorf("%s: exit status %d, got %+v", test.file, status, report)
		}

		// The commands that run a model refuse it too, each in clear lines.
		status, stdout, stderr = call(t, nil, "classify", "--model", dir, cat)
		if status != exitFailed || stdout != "" || !strings.Contains(stderr, test.file) {
			t.Errorf("%s: classify: exit status %d, stdout %q, stderr %q", test.file, status, stdout, stderr)
		}
	}

	dir := changedModel(t, "assets.extra/labels.json", []byte("{}"))
	got := well(t, "scan", "--skip-check", "files,labels", dir)
	if !strings.HasSuffix(got, ": 0 errors, 0 warnings\n") {
		t.Errorf("with checks left out: got %q", got)
	}
}

// TestUnverified runs TensorFlow's own example, which has no manifest.
func TestUnverified(t *testing.T) {
	const dir = "../../savedmodel/testdata/half_plus_two"
	x := filepath.Join(t.TempDir(), "x.npy")
	f, err := os.Create(x)
	if err != nil {
		t.Fatal(err)
	}
	input := tensor.Tensor{
		DType: tensor.Float32, Shape: tensor.Shape{2, 1}, Data: []float32{1, 5},
	}
	if err := errors.Join(npy.Write(f, input), f.Close()); err != nil {
		t.Fatal(err)
	}
	y := filepath.Join(filepath.Dir(x), "y.npz")
	status, _, stderr := call(t, nil, "predict", "--model", dir, "--inputs", "x="+x, "-o", y)
	if status != exitFailed || !strings.Contains(stderr, dir) ||
		!strings.Contains(stderr, "--allow-unverified") {
		t.Errorf("exit status %d, %q", status, stderr)
	}
	well(t, "predict", "--model", dir, "--allow-unverified", "--inputs", "x="+x, "-o", y)
	arrays, err := npy.ReadZip(y)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := arrays["y"].Float32s(); err != nil || !slices.Equal(got, []float32{2.5, 4.5}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestVouched takes the model's hash, as inspect prints it, in place of a probe, and refuses another.
func TestVouched(t *testing.T) {
	inRepository(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if text := well(t, "inspect", model); !strings.Contains(text, "\n  not vouched for: ") {
		t.Errorf("before: got\n%s", text)
	}
	var d description
	unmarshal(t, []byte(well(t, "inspect", "--format", "json", model)), &d)
	if len(d.SHA256) != 64 || d.Vouched == nil || len(d.Vouched) != 0 {
		t.Fatalf("got %q, %+v", d.SHA256, d.Vouched)
	}
	other := strings.Repeat("0", 64)
	status, _, stderr := call(t, nil, "classify", "--model-sha256", other, cat)
	if want := model + ": expected a model of the SHA-256 " + other + ", got " + d.SHA256; status !=
		exitFailed || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("another hash: exit status %d, %q, want %q", status, stderr, want)
	}
	status, _, stderr = call(t, nil, "classify", "--model-sha256", "12", cat)
	if status != exitUsage || !strings.Contains(stderr, "expected 64 hexadecimal digits") {
		t.Errorf("no hash: exit status %d, %q", status, stderr)
	}
	for _, c := range []struct {
		name string
		args []string
		want int // of the entries that are remembered then
	}{
		{"its own hash", []string{"--model-sha256", other + "," + d.SHA256}, 0},
		{"a probe", nil, 1}, {"the second start", nil, 1},
	} {
		well(t, append([]string{"classify", cat}, c.args...)...)
		unmarshal(t, []byte(well(t, "inspect", "--format", "json", model)), &d)
		if len(d.Vouched) != c.want {
			t.Errorf("%s: got %+v, want %d entries", c.name, d.Vouched, c.want)
		}
	}
	if text := well(t, "inspect", model); !strings.Contains(text, "\nSHA-256 "+d.SHA256+
		"\n  vouched for by a probe: TensorFlow ") {
		t.Errorf("after: got\n%s", text)
	}
	// Without a place to remember in, a line says so, and the answer is the same.
	t.Setenv("XDG_CACHE_HOME", "/dev/null")
	status, _, stderr = call(t, nil, "classify", cat)
	if status != 0 || strings.Count(stderr, "the probe cannot be remembered") != 1 {
		t.Errorf("no cache: exit status %d, %q", status, stderr)
	}
}

// TestInspectBadManifest shows the rest of a model and says what is wrong with its manifest.
func TestInspectBadManifest(t *testing.T) {
	inRepository(t)
	dir := changedModel(t, "assets.extra/kerasrun.json", []byte(`{"format": 99}`))
	status, stdout, stderr := call(t, nil, "inspect", dir)
	if status != exitFailed || !strings.Contains(stdout, "signature serving_default") ||
		!strings.Contains(stderr, "kerasrun.json: ") {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestVerify(t *testing.T) {
	inRepository(t)
	var report golden.Report
	unmarshal(t, []byte(well(t, "verify", "--format", "json", model)), &report)
	if !report.OK || len(report.Stages) != 12 {
		t.Errorf("got %+v", report)
	}

	// A pack of which one image was changed.
	pack := t.TempDir()
	err := os.CopyFS(pack, os.DirFS(filepath.Join(model, "assets.extra/goldens")))
	other, read := os.ReadFile("testdata/photos/rocket.jpg")
	if err == nil && read == nil {
		err = os.WriteFile(filepath.Join(pack, "cat.jpg"), other, 0o666)
	}
	if err != nil || read != nil {
		t.Fatal(err, read)
	}
	status, stdout, stderr := call(t, nil, "verify", "--goldens", pack, "--format", "junit",
		"--precision", "bf16")
	var suites struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Failures int    `xml:"failures,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(stdout), &suites); err != nil {
		t.Fatal(err)
	}
	// decode and pipeline
	if status != exitFailed || len(suites.Suites) != 2 ||
		!strings.Contains(stderr, "outputs differ from those of") {
		t.Fatalf("exit status %d, got %+v, stderr %q", status, suites, stderr)
	}
	for i, precision := range []string{"fp32", "bf16"} {
		if s := suites.Suites[i]; s.Name != pack+" "+precision || s.Failures != 3 {
			t.Errorf("got %+v, want the failures of two stages and an image of %s", s, precision)
		}
	}
	status, stdout, _ = call(t, nil, "verify", "--format", "junit", t.TempDir())
	var opened struct {
		Errors []struct {
			Message string `xml:"message,attr"`
		} `xml:"testsuite>testcase>error"`
	}
	if err := xml.Unmarshal([]byte(stdout), &opened); err != nil || status != exitFailed ||
		len(opened.Errors) != 1 || !strings.Contains(opened.Errors[0].Message, "saved_model.pb") {
		t.Errorf("no model: got exit status %d, %+v, %v", status, opened, err)
	}
	status, stdout, stderr = call(t, nil, "verify", "--goldens", t.TempDir())
	if status != exitFailed || stdout != "" || !strings.Contains(stderr, "goldens.json") {
		t.Errorf("no pack: exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestDevices(t *testing.T) {
	if text := well(t, "devices"); !strings.HasPrefix(text, "cpu  CPU") {
		t.Errorf("got %q", text)
	}
	var listed struct {
		Devices []struct{ Name, Type string }
		NoGPU   *string `json:"no_gpu"`
	}
	if err := json.Unmarshal([]byte(well(t, "devices", "--format", "json")), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Devices) == 0 || listed.Devices[0].Name != "cpu" || listed.NoGPU == nil ||
		(len(listed.Devices) == 1) != (*listed.NoGPU != "") {
		t.Errorf("got %+v", listed)
	}
}

func TestBench(t *testing.T) {
	inRepository(t)
	var result map[string]any
	printed := well(t, "bench", "--batch", "2", "--seconds", "0.01", "--images", cat,
		"--format", "json")
	unmarshal(t, []byte(printed), &result)
	for _, key := range []string{"images_per_second", "peak_rss_bytes", "load_ms", "first_run_ms"} {
		if v, ok := result[key].(float64); !ok || !(v > 0) {
			t.Errorf("%s: got %v, want a positive number", key, result[key])
		}
	}
	latency, _ := result["latency_ms"].(map[string]any)
	p50, _ := latency["p50"].(float64)
	p95, _ := latency["p95"].(float64)
	p99, _ := latency["p99"].(float64)
	runs, _ := result["runs_ms"].([]any)
	if result["batch"] != 2.0 || !(p50 > 0 && p50 <= p95 && p95 <= p99) || len(runs) < 5 ||
		result["end_to_end"] == nil {
		t.Errorf("got %v", result)
	}
}

func TestBenchText(t *testing.T) {
	var text strings.Builder
	out := benchmarkWriter{w: &text}
	for _, batch := range []int{1, 32} {
		runs := throughput{20, latency{50, 51, 52}, []float64{50, 52}}
		result := benchmarkResult{
			Batch: batch, throughput: runs, EndToEnd: runs, Model: "m", Machine: thisMachine(),
		}
		if err := out.write(result); err != nil {
			t.Fatal(err)
		}
	}
	if lines := strings.Split(text.String(), "\n"); len(lines) != 9 ||
		!strings.HasPrefix(lines[7], "end to end     32     20.00       50.0") ||
		!strings.Contains(lines[1], "CPUs") {
		t.Errorf("got\n%s", text.String())
	}
}

func TestPercentile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]float64{0.5: 5, 0.95: 10, 0.99: 10, 0.1: 1} {
		if got := percentile(sorted, q); got != want {
			t.Errorf("percentile(%v): got %v, want %v", q, got, want)
		}
	}
}
