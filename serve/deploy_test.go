package serve

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
)

// dashboard is what a test reads of Grafana's file.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Query string }
	}
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// Every metric that the files of deploy/ name is there, with each label that they ask for.
func TestDeployedMetrics(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Cache = 1 << 20 })
	for range 2 {
		request(s.Handler(), "POST", "/classify", string(pngImage(t, 1, 2, 3)))
	}
	scraped := request(s.Handler(), "GET", "/metrics", "").Body.String()
	for _, name := range []string{"prometheus-rules.yaml", "grafana-dashboard.json"} {
		text, err := os.ReadFile(filepath.Join("../deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`\b((?:kerasrun|process)_[a-z_]+)(\{[^{}]*\})?`).
			FindAllStringSubmatch(string(text), -1)
		if len(found) < 10 {
			t.Errorf("%s: got %d metrics, want 10 and more", name, len(found))
		}
		for _, metric := range found {
			lines := regexp.MustCompile(`(?m)^`+metric[1]+`(\{.*| .*)$`).FindAllString(scraped, -1)
			if len(lines) == 0 {
				t.Errorf("%s: no metric is called %s", name, metric[1])
				continue
			}
			for _, label := range regexp.MustCompile(`([a-z_]+) ?(?:=~|!=|=)`).
				FindAllStringSubmatch(metric[2], -1) {
				// Prometheus itself adds these two.
				if l := label[1]; l != "job" && l != "instance" &&
					!strings.Contains(lines[0], l+`="`) {
					t.Errorf("%s: %s has no label %s: %s", name, metric[1], l, lines[0])
				}
			}
		}
	}
}

// Prometheus's own tool reads the rules and runs their tests, and reads what the dashboard asks.
func TestDeployedRules(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	for _, panel := range d.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$model", ".*").
				Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q: no variable of the dashboard: %s", panel.Title, target.Expr)
			}
			rules += fmt.Sprintf("      - record: panel%d\n        expr: %q\n",
				strings.Count(rules, "record:"), expr)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil { // where `make programs` puts it
		promtool, err = exec.LookPath("../.venv/bin/promtool")
	}
	if err != nil {
		pythontest.Skip(t, "left out, for it needs promtool, which `make programs` gets")
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "../deploy/prometheus-rules.yaml"}, {"check", "rules", path},
		{"test", "rules", "../deploy/prometheus-rules-test.yaml"},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
