package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// wallClock are the calls by which a program takes a time for what a clock on the wall says, and is
// misled where somebody sets it. Differences of what time.Now has said are of another clock.
var wallClock = []string{"AddDate", "After", "Before", "ModTime", "Round", "Unix", "UnixMicro",
	"UnixMilli", "UnixNano"}

// mayAskTheWall says of each file with such a call why no clock misleads it.
var mayAskTheWall = map[string]string{
	"cmd/kerasrun-beam/cluster.go": "a job's name; any number does",
	"cmd/kerasrun/progress.go":     "rounds a duration",
	"score/kept.go":                "columns of dates, which are data",
	"score/merge.go":               "which start a merged manifest tells; nothing depends on it",
	"score/report.go":              "rounds a duration",
	"serve/directory.go":           "whether a file has another time, not which is later",
	"serve/statistics.go":          "what time.Now has said, told as a date",
}

// TestWallClock holds that a clock that is set forward or back changes no more than the dates that
// are written down: durations are differences of what time.Now says, which Go measures by a clock
// that nobody sets.
func TestWallClock(t *testing.T) {
	found := map[string][]string{}
	for _, file := range tracked(t) {
		folder, _, _ := strings.Cut(file, "/")
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") ||
			strings.HasSuffix(file, ".pb.go") ||
			slices.Contains([]string{"benchmarks", "examples", "scripts"}, folder) {
			continue
		}
		if calls := wallCalls(t, file); len(calls) > 0 {
			found[file] = calls
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if mayAskTheWall[name] == "" {
			t.Errorf("%s: %q: expected durations of time.Since, or a reason in mayAskTheWall", name,
				found[name])
		}
	}
	for name := range mayAskTheWall {
		if found[name] == nil {
			t.Errorf("%s: has no such call any more; mayAskTheWall says one", name)
		}
	}
}

// wallCalls are the calls in a file, but for those of other packages' functions.
func wallCalls(t *testing.T, name string) (calls []string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, readFile(t, name),
		parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]bool{}
	for _, imported := range file.Imports {
		name := strings.Trim(imported.Path.Value, `"`)
		packages[name[strings.LastIndex(name, "/")+1:]] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(wallClock, method.Sel.Name) {
			return true
		}
		of, ok := method.X.(*ast.Ident)
		if ok && packages[of.Name] && (of.Name != "time" || method.Sel.Name == "After") {
			return true
		}
		calls = append(calls, method.Sel.Name)
		return true
	})
	return calls
}
