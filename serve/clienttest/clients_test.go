// Package clienttest holds `kerasrun serve` against the clients that others publish: a module of
// its own, for those of them that are Go modules.
package clienttest

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
)

var update = flag.Bool("update", false, "write the table of calls in docs/serving.md anew")

// A client is one that docs/serving.md lists.
type client struct {
	name    string
	command []string // that makes its calls, in testdata; before it the interpreter
	module  string   // that its Python needs
	needs   []string // programs
	// front starts what stands in front of the server, and returns what the command is told
	front func(t *testing.T, http, grpc string) []string
}

const (
	python   = ".venv/bin/python"
	kserve   = ".clients/kserve/bin/python"
	mlserver = ".clients/mlserver/bin/python"
)

// published are the clients in the order of the table.
var published = []client{
	{name: "tritonclient.http", module: "tritonclient",
		command: []string{python, "libraries.py", "tritonclient_http"}},
	{name: "tritonclient.grpc", module: "tritonclient",
		command: []string{python, "libraries.py", "tritonclient_grpc"}},
	{name: "tensorflow-serving-api", module: "tensorflow_serving",
		command: []string{python, "libraries.py", "tensorflow_serving"}},
	{name: "ovmsclient", module: "ovmsclient",
		command: []string{python, "libraries.py", "ovmsclient"}},
	{name: "KServe's SDK", module: "kserve", command: []string{kserve, "libraries.py", "kserve"}},
	{name: "MLServer's types", module: "mlserver",
		command: []string{mlserver, "libraries.py", "mlserver"}},
	{name: "curl", command: []string{python, "programs.py", "curl"}, needs: []string{"curl"}},
	{name: "Node's fetch", command: []string{"node", "fetch.mjs"}},
	{name: "Java's HttpClient", command: []string{"java", "HttpClientCalls.java"}},
	{name: "hey", command: []string{python, "programs.py", "hey"}, needs: []string{"hey", "curl"}},
	{name: "vegeta", command: []string{python, "programs.py", "vegeta"}, needs: []string{"vegeta"}},
	{name: "grpcurl", command: []string{python, "programs.py", "grpcurl"},
		needs: []string{"grpcurl"}},
	{name: "ghz", command: []string{python, "programs.py", "ghz"}, needs: []string{"ghz", "curl"}},
	{name: "perf_analyzer", command: []string{python, "programs.py", "perf_analyzer"},
		needs: []string{"perf_analyzer", "curl"}},
	{name: "nginx in front", command: []string{python, "programs.py", "nginx"},
		needs: []string{"nginx", "curl", "grpcurl"}, front: startNginx},
	{name: "Envoy in front", command: []string{python, "programs.py", "envoy"},
		needs: []string{"envoy", "curl", "grpcurl"}, front: startEnvoy},
}

// strict is set by make test-clients, which installs every client: none may be missing.
var strict = os.Getenv("KERASRUN_STRICT") != ""

// missing returns what of a client is not installed, or "".
func (c client) missing() string {
	for _, program := range append(c.needs, inRepository(c.command[0])) {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	if c.module != "" && exec.Command(inRepository(c.command[0]), "-c", "import importlib.util, "+
		"sys; sys.exit(not importlib.util.find_spec('"+c.module+"'))").Run() != nil {
		return c.module
	}
	return ""
}

// required says whether a client may not be missing: those that `make setup` installs may not where
// Python's tests may not be left out.
func (c client) required() bool {
	return strict || c.command[0] == python && len(c.needs) == 0 &&
		os.Getenv("KERASRUN_REQUIRE_PYTHON") == "1"
}

// The table in docs/serving.md is what comes of every call of the published clients. Rows of a
// client that is not installed here stay as they are.
func TestTableOfCalls(t *testing.T) {
	const path = "../../docs/serving.md"
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
	t.Setenv("PATH", inRepository(".clients/bin")+":"+os.Getenv("PATH"))
	dir := expected(t)
	http, grpc := serve(t)
	var rows []string
	for _, c := range published {
		kept := rowsIn(before, c.name) // unless it is run
		t.Run(c.name, func(t *testing.T) {
			if missing := c.missing(); missing != "" {
				if c.required() {
					t.Fatalf("expected %s, found none: `make test-clients` installs it", missing)
				}
				t.Skipf("%s is not installed", missing)
			}
			arguments := []string{http, grpc}
			if c.front != nil {
				arguments = c.front(t, http, grpc)
			}
			kept = rowsOf(c.name, c.run(t, dir, arguments))
		})
		rows = append(rows, kept...)
	}
	after := strings.Join(rows, "\n")
	if *update && !t.Failed() {
		page = append(page[:place[4]:place[4]], append([]byte(after), page[place[5]:]...)...)
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if before != after && !t.Failed() {
		t.Errorf("the table of docs/serving.md: got\n%s\nwant\n%s\n"+
			"make test-clients UPDATE=-update writes it anew", before, after)
	}
}

// run returns what a client's program says of its calls.
func (c client) run(t *testing.T, dir string, arguments []string) string {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("testdata", c.command[1]))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(inRepository(c.command[0]), append(append([]string{program},
		c.command[2:]...), arguments...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || strings.Contains(string(out), "WRONG") {
		t.Fatalf("a wrong answer, or none: %v\n%s%s", err, out, &said)
	}
	return string(out)
}

// rowsIn returns a client's rows of a table.
func rowsIn(table, client string) (rows []string) {
	for line := range strings.SplitSeq(table, "\n") {
		if strings.HasPrefix(line, "| "+client+" |") {
			rows = append(rows, line)
		}
	}
	return rows
}

// rowsOf makes a row of all calls of a client with the same result, and one of those that are
// refused, with each status.
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
	var refused []string
	for _, result := range results {
		made := strings.Join(calls[result], ", ")
		if status, ok := strings.CutPrefix(result, "refused: "); ok {
			refused = append(refused, status+": "+made)
			continue
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |", client, made, result))
	}
	if refused != nil {
		rows = append(rows, fmt.Sprintf("| %s | %s | refused |", client,
			strings.Join(refused, "; ")))
	}
	return rows
}
