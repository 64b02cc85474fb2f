package savedmodel

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// refused says of each bad_* model in testdata which check refuses it, what for, and what runs it.
var refused = map[string]struct {
	check Check
	op    string
	where string
	what  string
}{
	"bad_read_in_function": {CheckOps, "ReadFile", `function "__inference_hidden_`,
		"reads files; run by a signature"},
	"bad_write": {CheckOps, "WriteFile", `function "`,
		"writes files; run by a signature"},
	"bad_matching_files": {CheckOps, "MatchingFiles", `function "`,
		"reads files; run by a signature"},
	"bad_debug_identity": {CheckOps, "DebugIdentityV2", `function "`,
		"writes files; run by a signature"},
	"bad_py_function": {CheckOps, "EagerPyFunc", `function "`,
		"runs Python; run by a signature"},
	"bad_numpy_function": {CheckOps, "PyFunc", `function "`,
		"runs Python; run by a signature"},
	"bad_save_in_signature": {CheckOps, "SaveV2", `function "`,
		"writes files; run by a signature"},
	"bad_restore_in_signature": {CheckOps, "RestoreV2", `function "`,
		"reads files; run by a signature"},
	"bad_in_branch": {CheckOps, "ReadFile", `function "__inference_hidden_`,
		"reads files; run by a signature"},
	"bad_in_loop": {CheckOps, "ReadFile", `function "__inference_hidden_`,
		"reads files; run by a signature"},
	"bad_random": {CheckOps, "RandomUniform", `function "`,
		"or not one of TensorFlow's; run by a signature"},
	"bad_whole_file_reader": {CheckOps, "WholeFileReaderV2", `function "`,
		"reads files; run by a signature"},
	"bad_dataset": {CheckOps, "TextLineDataset", `function "`,
		"which read files; run by a signature"},
	"bad_print_in_init": {CheckOps, "PrintV2", `node "PrintV2"`,
		"prints; run by an initialiser"},
	"bad_table_from_file": {CheckOps, "InitializeTableFromTextFileV2", `function "`,
		"reads files; run by an initialiser"},
	"bad_custom_op": {CheckOps, "MyMul", `node "Mul"`,
		"not one of TensorFlow's; run by a signature"},
	"bad_read_unused": {CheckOps, "ReadFile", `node "look"`,
		"reads files; run by nothing"},
	"bad_restore_prefix": {CheckOps, "RestoreV2", `node "save/RestoreV2"`,
		"another file than the model's variables"},
	"bad_save_on_restore": {CheckOps, "SaveV2", `node "save/SaveV2"`,
		"writes files; run by the restoring of variables"},
	"bad_asset_traversal": {CheckAssets, "", "asset of tensor",
		`of assets, got "../../../etc/hostname"`},
	"bad_asset_absolute": {CheckAssets, "", "asset of tensor",
		`of assets, got "/etc/hostname"`},
	"bad_constant_shape": {CheckConstants, "", "node ",
		"more elements than can be addressed"},
}

func TestScan(t *testing.T) {
	models, err := filepath.Glob("testdata/*/" + GraphPath)
	if err != nil || len(models) < len(refused) {
		t.Fatal(models, err)
	}
	for _, path := range models {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			findings := scanned(t, open(t, name))
			want, bad := refused[name]
			if !bad {
				if err := Join(findings); err != nil || strings.HasPrefix(name, "bad_") {
					t.Errorf("got %v, want a model that passes", err)
				}
				return
			}
			if !slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Severity == Error && f.Check == want.check && f.Op == want.op &&
					f.File == GraphPath &&
					strings.Contains(f.Where, want.where) && strings.Contains(f.Message, want.what)
			}) {
				t.Errorf("got %+v, want %+v", findings, want)
			}
		})
	}
}

func TestScanOptions(t *testing.T) {
	for _, test := range []struct {
		model  string
		option ScanOption
	}{
		{"bad_read_in_function", AllowOps("ReadFile")},
		{"bad_print_in_init", AllowOps("PrintV2")},
		{"bad_custom_op", AllowOps("MyMul", "YourMul")},
		{"bad_restore_prefix", AllowOps("RestoreV2")},
		{"bad_write", Skip(CheckOps)},
		{"bad_asset_absolute", Skip(CheckAssets)},
		{"bad_constant_shape", Skip(CheckConstants)},
		{"bad_asset_traversal", Skip(Checks()...)},
	} {
		if err := Join(scanned(t, open(t, test.model))); err == nil {
			t.Errorf("%s: want it refused", test.model)
		}
		if err := Join(scanned(t, open(t, test.model), test.option)); err != nil {
			t.Errorf("%s: got %v, want it to pass with the option", test.model, err)
		}
	}
}

// TestUnusedSaver holds that the saver of a model's first graph, which is in the second one too, is
// no more than a warning there.
func TestUnusedSaver(t *testing.T) {
	findings := scanned(t, open(t, "partitioned"))
	if len(findings) == 0 {
		t.Error("got none, want warnings")
	}
	for _, f := range findings {
		if f.Check == CheckManifest {
			continue
		}
		if f.Severity != Warning || !isSaver(f.Op) ||
			!strings.HasSuffix(f.Message, "run by nothing") {
			t.Errorf("got %+v, want warnings of the saver's operations alone", f)
		}
	}
}

// stateful are the allowed operations that TensorFlow registers as having state, with why they
// pass.
var stateful = map[string]string{
	"GuaranteeConst": "the same value each time",
	"Assert":         "ends the run", "CheckNumerics": "ends the run",
	"CheckNumericsV2": "ends the run",
	"Variable":        "a variable", "VariableV2": "a variable", "VarHandleOp": "a variable",
	"AssignVariableOp":   "a variable",
	"VarIsInitializedOp": "a variable", "ReadVariableOp": "a variable",
	"VariableShape":     "a variable",
	"DisableCopyOnRead": "a variable", "ResourceGather": "a variable",
	"ResourceGatherNd":        "a variable",
	"StatefulPartitionedCall": "as what it calls", "If": "as what it calls",
	"While":    "as what it calls",
	"Case":     "as what it calls",
	"CudnnRNN": "a cache", "CudnnRNNV2": "a cache", "CudnnRNNV3": "a cache",
	"StatelessRandomGetAlg": "the device's algorithm",
	"TensorArrayV3":         "of one run", "TensorArrayCloseV3": "of one run",
	"TensorArrayConcatV3": "of one run",
	"TensorArrayGatherV3": "of one run", "TensorArrayReadV3": "of one run",
	"TensorArrayScatterV3": "of one run",
	"TensorArraySizeV3":    "of one run", "TensorArraySplitV3": "of one run",
	"TensorArrayWriteV3": "of one run",
	"HashTable":          "a table", "HashTableV2": "a table", "InitializeTableV2": "a table",
	"LookupTableFindV2": "a table",
	"LookupTableSizeV2": "a table",
}

// TestAllowedOps holds the allow-list against TensorFlow's registry: each is an operation of
// TensorFlow's, none is known for a danger, and those with state are there for a reason.
func TestAllowedOps(t *testing.T) {
	registered := readExpected(t).Ops
	for _, op := range slices.Sorted(maps.Keys(allowedOps)) {
		hasState, known := registered[op]
		switch {
		case !known:
			t.Errorf("%s is not an operation of TensorFlow's", op)
		case hasState != (stateful[op] != ""):
			t.Errorf("%s: state: want %q, TensorFlow says %v", op, stateful[op], hasState)
		case danger(op) != "":
			t.Errorf("%s is allowed and %s", op, danger(op))
		case trusting[op]:
			t.Errorf("%s is allowed and trusts the shapes of its inputs", op)
		}
	}
	for op := range trusting {
		if _, known := registered[op]; !known {
			t.Errorf("%s is not an operation of TensorFlow's", op)
		}
	}
	for _, d := range dangers {
		for op := range d.ops {
			if _, known := registered[op]; !known {
				t.Errorf("%s is not an operation of TensorFlow's", op)
			}
		}
	}
}

// TestKerasExports holds that what Keras's own export writes of its applications passes.
func TestKerasExports(t *testing.T) {
	exports := readExpected(t).Exports
	if len(exports) < 10 {
		t.Fatalf("got %d, want ten families of models", len(exports))
	}
	for model, ops := range exports {
		for _, op := range ops {
			if !allowedOps[op] && !isSaver(op) {
				t.Errorf("%s: %s is not allowed", model, op)
			}
		}
	}
}

// TestHiddenCalls writes graphs by hand that run a ReadFile by ways that TensorFlow's Python does
// not write.
func TestHiddenCalls(t *testing.T) {
	named := func(key string, value []byte) []byte {
		return slices.Concat(message(1, []byte(key)), message(2, value))
	}
	functionAttr := func(key, name string, inner ...[]byte) []byte {
		return named(key, message(10, append(message(1, []byte(name)), slices.Concat(inner...)...)))
	}
	library := func(attrs ...[]byte) []byte {
		body := message(3, slices.Concat(message(1, []byte("read")),
			message(2, []byte("ReadFile"))))
		for _, a := range attrs {
			body = append(body, message(5, a)...)
		}
		return message(2, message(1, append(message(1, message(1, []byte("hidden"))), body...)))
	}
	signature := message(5, named("serving_default",
		message(2, named("y", message(1, []byte("y:0"))))))
	graph := func(fields ...[]byte) []byte {
		return message(2, append(signature, message(2, slices.Concat(fields...))...))
	}
	harmless := message(2, message(1, slices.Concat(message(1, message(1, []byte("harmless"))),
		message(5, named("api_implements", message(2, []byte("both")))))))
	for name, data := range map[string][]byte{
		"the op is a function's name": graph(nodeOf("y", "hidden"), library()),
		"an attribute of a function": graph(library(),
			nodeOf("y", "PartitionedCall",
				message(5, functionAttr("f", "none", message(2, functionAttr("g", "hidden")))))),
		"a list of functions": graph(library(),
			nodeOf("y", "Case",
				message(5, named("branches",
					message(1, message(9, message(1, []byte("hidden")))))))),
		"another implementation of the same": graph(nodeOf("y", "harmless"), harmless,
			library(named("api_implements", message(2, []byte("both"))))),
		"a control input": graph(nodeOf("y", "NoOp", message(3, []byte("^z"))),
			nodeOf("z", "hidden"), library()),
		"a graph in two parts": message(2, slices.Concat(signature,
			message(2, nodeOf("y", "hidden")), message(2, library()))),
		"a function named twice, the last counts": graph(library(),
			nodeOf("y", "PartitionedCall",
				message(5, functionAttr("f", "none", message(1, []byte("hidden")))))),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: data}})
			if err != nil {
				t.Fatal(err)
			}
			want := `saved_model.pb: function "hidden": node "read": ReadFile reads files; run ` +
				`by a signature`
			if err := Join(scanned(t, m)); err == nil || err.Error() != want {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}
