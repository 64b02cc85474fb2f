package webtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"kerasrun/classify"
	"kerasrun/evaluate"
)

// The page of an evaluation is read from a file, without a network: nothing overflows on a
// telephone, and names do not become markup.
func TestEvaluationPage(t *testing.T) {
	dir := t.TempDir()
	add := func(class, name string, data []byte) {
		if err := os.MkdirAll(filepath.Join(dir, class), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, class, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		level := uint8(4 * i)
		add("red", fmt.Sprintf("r%02d.png", i), pngImage(t, 160-level/2, level, 40))
		add("green", fmt.Sprintf("g%02d.png", i), pngImage(t, 30, 120, level))
		add("blue", fmt.Sprintf("b%02d.png", i), pngImage(t, level, 20, 200))
	}
	photos, err := filepath.Glob("../../testdata/photos/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range photos {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, ".md") {
			add("blue", filepath.Base(path), data)
		}
	}
	hostile := "a<script>document.title='run'</script>" + strings.Repeat("long", 20) + ".png"
	hostile = strings.ReplaceAll(hostile, "/", "∕") // it is a file's name
	add("green", hostile, pngImage(t, 255, 0, 0))
	add("green", "<img src=x>.png", []byte("no image"))

	data, err := evaluate.Folders(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := classify.New(fakeModel{}, classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := evaluate.Run(t.Context(), classifier, fakeModel{}.Labels(), data,
		evaluate.Options{TopK: 2})
	if err != nil {
		t.Fatal(err)
	}
	report.Model = "models/<b>fake</b>"
	least, less := 0.99, 0.2
	checks := report.Checks(evaluate.Thresholds{Top1: &least, MacroRecall: &less})
	path := filepath.Join(t.TempDir(), "report.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WritePage(file, checks); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	ctx := open(t, "file://"+path)
	screenshot(t, ctx, "report")
	if title := get(t, ctx, chromedp.Evaluate[string](`document.title`)); title !=
		report.Model+" on "+dir {
		t.Errorf("title: got %q", title)
	}
	got := get(t, ctx, chromedp.Evaluate[int](
		`[...document.images].filter((i) => i.naturalWidth > 0).length`))
	if got != len(report.Wrong) {
		t.Errorf("thumbnails: got %d, want %d", got, len(report.Wrong))
	}
	got = get(t, ctx, chromedp.Evaluate[int](`performance.getEntriesByType("resource").
		filter((r) => !r.name.startsWith("data:")).length`))
	if got != 0 {
		t.Errorf("requests: got %d, want none", got)
	}
	text := get(t, ctx, chromedp.Evaluate[string](`document.body.innerText`))
	for _, want := range []string{hostile, "<img src=x>.png", "missed: top-1",
		"reached: macro recall", fmt.Sprintf("%.4f", report.Top1)} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	dark := emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, dark); err != nil {
		t.Fatal(err)
	}
	screenshot(t, ctx, "report-dark")
	do(t, ctx, chromedp.EmulateViewport(360, 780))
	screenshot(t, ctx, "report-narrow")
	if width := get(t, ctx, chromedp.Evaluate[int](
		`document.documentElement.scrollWidth`)); width > 360 {
		t.Errorf("on a telephone the page is %d wide", width)
	}
}
