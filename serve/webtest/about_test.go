package webtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"kerasrun/serve"
)

// The page says what the model is and takes before an image is chosen, and where programs ask it.
func TestPageAbout(t *testing.T) {
	ctx := browser(t, nil)
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("model")))
	got := get(t, ctx, chromedp.Text(chromedp.ID("model")))
	want := "fake, version 1, takes an image and says which of 3 classes it shows. " +
		"It is made 2 x 2 pixels first."
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if get(t, ctx, chromedp.Evaluate[bool](`document.querySelector("#call").hidden`)) != true {
		t.Error("a line for curl, and no image")
	}
	do(t, ctx, chromedp.Click(chromedp.CSS("summary")))
	screenshot(t, ctx, "about")
	// Each address answers a browser that follows it.
	statuses := get(t, ctx, chromedp.Evaluate[[]int](`Promise.all(
		[...document.querySelectorAll("#addresses a")].map(async (a) => (await fetch(a.href)).status))`,
		chromedp.EvalAwaitPromise))
	if len(statuses) != 3 || statuses[0] != 200 || statuses[1] != 200 || statuses[2] != 200 {
		t.Errorf("the addresses: got %v, want three of 200", statuses)
	}
	icon := get(t, ctx, chromedp.Evaluate[int](`new Promise((done) => {
		const image = new Image();
		image.onload = () => done(image.width);
		image.onerror = () => done(0);
		image.src = document.querySelector("link[rel=icon]").href; })`, chromedp.EvalAwaitPromise))
	if icon == 0 {
		t.Error("the icon is no image")
	}
}

// Samples are tried by a click, or from the keyboard.
func TestPageSamples(t *testing.T) {
	ctx := browser(t, func(c *serve.Config) {
		c.Samples = []serve.Sample{{Name: "green.png", Image: pngImage(t, 0, 100, 50)},
			{Name: "red.png", Image: pngImage(t, 255, 0, 0)}}
	})
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("samples")))
	do(t, ctx, chromedp.Click(chromedp.CSS(`#samples img[alt="Try red.png"]`)))
	if got := classes(t, ctx, "sample"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
	if title := get(t, ctx, chromedp.Text(chromedp.ID("title"))); title != "red.png" {
		t.Errorf("title: got %q, want red.png", title)
	}
	focused := get(t, ctx, chromedp.Evaluate[bool](`(() => {
		const button = document.querySelector("#samples button");
		button.focus();
		return document.activeElement === button; })()`))
	if !focused {
		t.Error("a sample cannot be reached from the keyboard")
	}
}

// The line for curl is one that a shell runs, and answers what the page shows.
func TestPageCurl(t *testing.T) {
	ctx := browser(t, nil)
	const name = "it's a red one.png"
	do(t, ctx, upload(t, name, pngImage(t, 255, 0, 0)))
	if got := classes(t, ctx, "curl"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
	line := get(t, ctx, chromedp.Text(chromedp.ID("curl")))
	dir := filepath.Dir(imageFile(t, name, pngImage(t, 255, 0, 0)))
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("KERASRUN_REQUIRE_PYTHON") != "1" {
		t.Skip(err)
	}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), `"name":"red","probability":1}`) {
		t.Errorf("%s: got %v %s", line, err, out)
	}
	opened := get(t, ctx, chromedp.Evaluate[bool](`(() => {
		let opened = false;
		document.getElementById("file").addEventListener("click", (e) => {
			opened = true;
			e.preventDefault();
		});
		document.getElementById("another").click();
		return opened; })()`))
	if !opened {
		t.Error("another image: the file chooser does not open")
	}
}

// Of several models the one that is chosen answers.
func TestPageModels(t *testing.T) {
	ctx := browser(t, func(c *serve.Config) {
		c.Models = append(c.Models, serve.ModelConfig{Name: "other", Path: c.Models[0].Path})
	})
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("choice")))
	do(t, ctx, upload(t, "red.png", pngImage(t, 255, 0, 0)))
	classes(t, ctx, "first")
	get(t, ctx, chromedp.Evaluate[any](`(() => {
		const models = document.getElementById("models");
		models.value = "other";
		models.dispatchEvent(new Event("change"));
		return null; })()`))
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("times")))
	times := get(t, ctx, chromedp.Text(chromedp.ID("times")))
	line := get(t, ctx, chromedp.Text(chromedp.ID("curl")))
	about := get(t, ctx, chromedp.Text(chromedp.ID("model")))
	if !strings.Contains(times, "other, version 1") || !strings.Contains(line, "model=other") ||
		!strings.HasPrefix(about, "other, ") {
		t.Errorf("got %q, %q, %q, want other in each", times, line, about)
	}
}

// A server that has gone is said, with a way on.
func TestPageServerGone(t *testing.T) {
	ctx := browser(t, nil)
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("model")))
	get(t, ctx, chromedp.Evaluate[any](`(window.whole = window.fetch, window.fetch = () =>
		Promise.reject(new TypeError("Failed to fetch")), null)`))
	do(t, ctx, upload(t, "red.png", pngImage(t, 255, 0, 0)),
		chromedp.WaitVisible(chromedp.ID("again")))
	screenshot(t, ctx, "gone")
	if got := get(t, ctx, chromedp.Text(chromedp.ID("problem"))); got !=
		"The server cannot be reached. Is it running?" {
		t.Errorf("got %q", got)
	}
	get(t, ctx, chromedp.Evaluate[any](`(window.fetch = window.whole, null)`))
	do(t, ctx, chromedp.Click(chromedp.ID("again")))
	if got := classes(t, ctx, "back"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
}
