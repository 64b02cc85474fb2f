package serve

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
)

var update = flag.Bool("update", false, "write the table of calls in docs/serving.md anew")

// published are the clients whose calls docs/serving.md lists: their functions in testdata/calls.py,
// the Python package that each needs, and what they are called.
var published = []struct{ function, module, name string }{
	{"tritonclient_http", "tritonclient", "tritonclient.http"},
	{"tritonclient_grpc", "tritonclient", "tritonclient.grpc"},
	{"tensorflow_serving", "tensorflow_serving", "tensorflow-serving-api"},
	{"ovmsclient", "ovmsclient", "ovmsclient"},
	{"kserve", "kserve", "KServe's SDK"},
	{"mlserver", "mlserver", "MLServer's types"},
	{"curl", "json", "curl"},
}

// The table in docs/serving.md is what comes of every call of the published clients. Rows of a
// client that is not installed here stay as they are.
func TestTableOfCalls(t *testing.T) {
	const path = "../docs/serving.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)(\| client \| calls \| result \|\n\|---\|---\|---\|\n)(.*?)\n\n`)
	place := table.FindSubmatchIndex(page)
	if place == nil {
		t.Fatal("docs/serving.md has no table of calls")
	}
	before := string(page[place[4]:place[5]])
	python := pythontest.Python(t)
	http, grpc := listen(t, startServer(t, &fakeModel{}, nil))
	green := filepath.Join(t.TempDir(), "green.png")
	if err := os.WriteFile(green, pngImage(t, 0, 255, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, client := range published {
		installed := exec.Command(python, "-c", "import importlib.util, sys; "+
			"sys.exit(not importlib.util.find_spec('"+client.module+"'))").Run() == nil
		if _, err := exec.LookPath("curl"); client.function == "curl" && err != nil {
			installed = false
		}
		if !installed {
			t.Logf("%s is not installed", client.name)
			for line := range strings.Lines(before + "\n") {
				if strings.HasPrefix(line, "| "+client.name+" |") {
					rows = append(rows, strings.TrimRight(line, "\n"))
				}
			}
			continue
		}
		cmd := exec.Command(python, "testdata/calls.py", client.function, http, grpc, green)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v\n%s%s", client.name, err, out, &said)
			continue
		}
		if strings.Contains(string(out), "WRONG") {
			t.Errorf("%s: a wrong answer:\n%s", client.name, out)
		}
		rows = append(rows, rowsOf(client.name, string(out))...)
	}
	after := strings.Join(rows, "\n")
	if *update && !t.Failed() {
		page = append(page[:place[4]:place[4]], append([]byte(after), page[place[5]:]...)...)
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if before != after {
		t.Errorf("the table of docs/serving.md: got\n%s\nwant\n%s\n"+
			"go test ./serve -run TestTableOfCalls -update writes it anew", before, after)
	}
}

// rowsOf makes a row of all calls of a client with the same result.
func rowsOf(client, out string) (rows []string) {
	var results []string
	calls := map[string][]string{}
	for line := range strings.Lines(out) {
		call, result, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if calls[result] == nil {
			results = append(results, result)
		}
		name, about, _ := strings.Cut(call, " (")
		if about != "" {
			about = " (" + about
		}
		calls[result] = append(calls[result], "`"+name+"`"+about)
	}
	for _, result := range results {
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |", client,
			strings.Join(calls[result], ", "), result))
	}
	return rows
}
