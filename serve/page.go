package serve

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

//go:embed page.html
var pageHTML []byte

// pagePolicy lets the page run its own script and style, and talk to this server; nothing else.
var pagePolicy = func() string {
	hash := func(tag string) string {
		match := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindSubmatch(pageHTML)
		sum := sha256.Sum256(match[1])
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; img-src blob: data:; "+
		"connect-src 'self'; base-uri 'none'; "+
		"form-action 'none'; frame-ancestors 'none'", hash("script"), hash("style"))
}()

// page answers browsers, which say that they take HTML, and those who say nothing. To others it is
// what KServe's first protocol asks, whether the server lives.
func page(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Vary", "Accept")
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/html") {
		return writeJSON(w, map[string]string{"status": "alive"})
	}
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	write(w, http.StatusOK, "text/html; charset=utf-8", pageHTML)
	return nil
}
