package webtest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kerasrun/serve"
)

// browser opens the page of a server of the fake model in Chromium. What the server refuses,
// Chromium mentions on the console too.
func browser(t *testing.T, change func(*serve.Config)) context.Context {
	t.Helper()
	return open(t, "http://"+startServer(t, change)+"/", "Failed to load resource")
}

// open opens an address in Chromium. What the page writes on the console is an error of the test,
// but for messages with one of these texts.
func open(t *testing.T, address string, passed ...string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(chromedp.NoSandbox,
		chromedp.WindowSize(1000, 700)))
	messages := chromedp.Console(ctx)
	var console sync.WaitGroup
	console.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the browser was closed
			}
			in := func(text string) bool { return strings.Contains(m.String(), text) }
			if !slices.ContainsFunc(passed, in) {
				t.Errorf("console: %v", m)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		console.Wait()
	})
	do(t, ctx, chromedp.Navigate(address))
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// get returns what an action finds out.
func get[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func upload(t *testing.T, name string, content []byte) chromedp.Action[chromedp.Void] {
	t.Helper()
	return chromedp.SetUploadFiles(chromedp.ID("file"), []string{imageFile(t, name, content)})
}

// classes returns what the page lists when it has an answer.
func classes(t *testing.T, ctx context.Context, name string) string {
	t.Helper()
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("times")))
	screenshot(t, ctx, name)
	return strings.Join(strings.Fields(get(t, ctx, chromedp.Text(chromedp.ID("classes")))), " ")
}

// screenshot is for people to look at: it is kept in the directory that the environment's
// SCREENSHOTS names.
func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png := get(t, ctx, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	greenClasses = "green 66.7 % blue 33.3 % red 0.0 %"
	redClasses   = "red 100.0 % blue 0.0 % green 0.0 %"
)

func imageFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPageChoose(t *testing.T) {
	ctx := browser(t, nil)
	screenshot(t, ctx, "empty")
	do(t, ctx, upload(t, "green.png", pngImage(t, 0, 100, 50)))
	if got := classes(t, ctx, "chosen"); got != greenClasses {
		t.Errorf("got %s, want %s", got, greenClasses)
	}
	times := get(t, ctx, chromedp.Text(chromedp.ID("times")))
	for _, word := range []string{"fake, version 1", "Preprocess", "Queue", "Inference", "Total",
		"ms"} {
		if !strings.Contains(times, word) {
			t.Errorf("times: want %q in %q", word, times)
		}
	}
	title := get(t, ctx, chromedp.Text(chromedp.ID("title")))
	bar := get(t, ctx, chromedp.AttributeValue(chromedp.CSS("#classes progress"), "aria-label"))
	if title != "green.png" || bar.Value != "green, 66.7 %" {
		t.Errorf("title %q, label of the first bar %q", title, bar.Value)
	}
	dark := emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, dark); err != nil {
		t.Fatal(err)
	}
	screenshot(t, ctx, "dark")
	do(t, ctx, chromedp.EmulateViewport(360, 780))
	screenshot(t, ctx, "narrow")
	if width := get(t, ctx, chromedp.Evaluate[int](
		`document.documentElement.scrollWidth`)); width > 360 {
		t.Errorf("on a telephone the page is %d wide", width)
	}
}

// The file chooser is reached, and opened, from the keyboard.
func TestPageKeyboard(t *testing.T) {
	ctx := browser(t, nil)
	get(t, ctx, chromedp.Evaluate[any](
		`document.getElementById("file").addEventListener("click", () => { window.opened = true `+
			`}); null`))
	do(t, ctx, chromedp.KeyEvent(kb.Tab))
	if focused := get(t, ctx, chromedp.Evaluate[string](
		`document.activeElement.id`)); focused != "file" {
		t.Errorf("the first tab stop: got %q, want file", focused)
	}
	screenshot(t, ctx, "focused")
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
	if !get(t, ctx, chromedp.Evaluate[bool](`window.opened === true`)) {
		t.Error("Enter does not open the file chooser")
	}
}

func TestPageDrop(t *testing.T) {
	ctx := browser(t, nil)
	// Chromium never answers for a drag over a page that it has not drawn yet.
	get(t, ctx, chromedp.FullScreenshot(100))
	data := &input.DragData{Files: []string{imageFile(t, "red.png", pngImage(t, 255, 0, 0))},
		DragOperationsMask: 1}
	for _, kind := range []input.DispatchDragEventType{"dragEnter", "dragOver", "drop"} {
		if _, err := chromedp.Call(ctx, input.DispatchDragEvent,
			input.DispatchDragEventParams{Type: kind, X: 200, Y: 300, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if got := classes(t, ctx, "dropped"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
}

func TestPagePaste(t *testing.T) {
	ctx := browser(t, nil)
	get(t, ctx, chromedp.Evaluate[any](fmt.Sprintf(`(() => {
		const bytes = Uint8Array.from(atob(%q), (c) => c.charCodeAt(0));
		const data = new DataTransfer();
		data.items.add(new File([bytes], "", { type: "image/png" }));
		document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
		return null;
	})()`, base64.StdEncoding.EncodeToString(pngImage(t, 255, 0, 0)))))
	if got := classes(t, ctx, "pasted"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
}

// What is wrong is said, and the next image is answered all the same.
func TestPageErrors(t *testing.T) {
	ctx := browser(t, nil)
	do(t, ctx, upload(t, "text.png", []byte("no image")),
		chromedp.WaitVisible(chromedp.ID("problem")))
	screenshot(t, ctx, "problem")
	if got := get(t, ctx, chromedp.Text(chromedp.ID("problem"))); !strings.HasSuffix(got,
		". Choose a JPEG, PNG, GIF, BMP or WebP.") {
		t.Errorf("got %q, want a reason and a way on", got)
	}
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("another")))
	do(t, ctx, upload(t, "red.png", pngImage(t, 255, 0, 0)))
	if got := classes(t, ctx, "after"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
	do(t, ctx, chromedp.WaitNotVisible(chromedp.ID("problem")))
}

func TestPageToken(t *testing.T) {
	ctx := browser(t, func(c *serve.Config) { c.Token = "secret" })
	do(t, ctx, upload(t, "red.png", pngImage(t, 255, 0, 0)),
		chromedp.WaitVisible(chromedp.ID("access")))
	screenshot(t, ctx, "token")
	do(t, ctx, chromedp.SendKeys(chromedp.ID("token"), "secret"+kb.Enter))
	if got := classes(t, ctx, "allowed"); got != redClasses {
		t.Errorf("got %s, want %s", got, redClasses)
	}
	do(t, ctx, chromedp.WaitVisible(chromedp.ID("model"))) // it was not told before
	if line := get(t, ctx, chromedp.Text(chromedp.ID("curl"))); !strings.Contains(line,
		`"Authorization: Bearer $TOKEN"`) || strings.Contains(line, "secret") {
		t.Errorf("curl's line: got %s, want one that takes the token from the environment", line)
	}
}
