package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const pypi = "https://pypi.org/simple"

// maxIndexPage bounds a project's page; PyPI's for tensorflow is under 1 MB.
const maxIndexPage = 64 << 20

// indexURL is the package index that pip would use: PIP_INDEX_URL, else index-url of pip's
// configuration files, else PyPI.
func indexURL(getenv func(string) string, goos string) (*url.URL, error) {
	address, from := pypi, ""
	for _, file := range pipConfigFiles(getenv, goos) {
		found, err := globalIndexURL(file)
		if err != nil {
			return nil, err
		}
		if found != "" {
			address, from = found, file+": index-url"
		}
	}
	if found := getenv("PIP_INDEX_URL"); found != "" {
		address, from = found, "PIP_INDEX_URL"
	}
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		// The address itself may hold a password.
		return nil, fmt.Errorf("%s: expected an http or https address", from)
	}
	return u, nil
}

// pipConfigFiles lists pip's configuration files, the one that decides last: the machine's, the
// user's, and the one that PIP_CONFIG_FILE names; the null device there switches all of them off.
func pipConfigFiles(getenv func(string) string, goos string) []string {
	named := getenv("PIP_CONFIG_FILE")
	if named == os.DevNull {
		return nil
	}
	var files []string
	home := getenv("HOME")
	if goos == "darwin" {
		files = append(files, "/Library/Application Support/pip/pip.conf")
	} else {
		dirs := getenv("XDG_CONFIG_DIRS")
		if dirs == "" {
			dirs = "/etc/xdg"
		}
		for _, dir := range filepath.SplitList(dirs) {
			files = append(files, filepath.Join(dir, "pip", "pip.conf"))
		}
		files = append(files, "/etc/pip.conf")
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".pip", "pip.conf"))
		config := getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(home, ".config")
		}
		user := filepath.Join(config, "pip")
		if mac := filepath.Join(home, "Library", "Application Support", "pip"); goos == "darwin" {
			if info, err := os.Stat(mac); err == nil && info.IsDir() {
				user = mac
			}
		}
		files = append(files, filepath.Join(user, "pip.conf"))
	}
	if named != "" {
		files = append(files, named)
	}
	return files
}

// globalIndexURL reads index-url of the section [global]; "" where there is no such file or line.
func globalIndexURL(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	section, found := "", ""
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		if section != "global" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if at := strings.IndexAny(line, "=:"); at > 0 {
			key := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(line[:at])), "_", "-")
			if key == "index-url" {
				found = strings.TrimSpace(line[at+1:])
			}
		}
	}
	return found, lines.Err()
}

// An indexFile is a file's entry in a project's page; sha256 is "" where the page does not say.
type indexFile struct {
	url    *url.URL
	sha256 string
}

// findInIndex looks a wheel's file up on its project's page, in either form of the simple
// repository API: JSON (PEP 691) or HTML (PEP 503).
func findInIndex(ctx context.Context, c *client, index *url.URL, w wheel) (indexFile, error) {
	page := index.JoinPath(w.project, "/")
	var files map[string]indexFile
	err := c.retry(ctx, page, func() (bool, error) {
		accept := "application/vnd.pypi.simple.v1+json, " +
			"application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
		response, err := c.get(ctx, page, http.Header{"Accept": {accept}})
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		content, err := io.ReadAll(io.LimitReader(response.Body, maxIndexPage+1))
		if err != nil {
			return false, err
		}
		if len(content) > maxIndexPage {
			return false, final(fmt.Errorf("expected a page of at most %d MB", maxIndexPage>>20))
		}
		files, err = parseIndexPage(response, content)
		return false, err
	})
	if err != nil {
		return indexFile{}, err
	}
	file, ok := files[w.file]
	if !ok {
		return indexFile{}, fmt.Errorf("%s: expected %s there, found %d other files",
			redacted(page), w.file, len(files))
	}
	if file.sha256 != "" && file.sha256 != w.sha256 {
		return indexFile{}, fmt.Errorf("%s: %s: expected SHA-256 %s, found %s",
			redacted(page), w.file, w.sha256, file.sha256)
	}
	if file.url.User == nil && file.url.Scheme == index.Scheme && file.url.Host == index.Host {
		file.url.User = index.User
	}
	return file, nil
}

func parseIndexPage(response *http.Response, content []byte) (map[string]indexFile, error) {
	base := response.Request.URL // after redirects
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		kind = "of no known type"
	}
	switch kind {
	case "application/vnd.pypi.simple.v1+json", "application/json":
		return parseJSONPage(base, content)
	case "application/vnd.pypi.simple.v1+html", "text/html":
		return parseHTMLPage(base, string(content)), nil
	}
	return nil, final(fmt.Errorf("expected a page of a Python package index, found one %s", kind))
}

func parseJSONPage(base *url.URL, content []byte) (map[string]indexFile, error) {
	var page struct {
		Files []struct {
			Filename string            `json:"filename"`
			URL      string            `json:"url"`
			Hashes   map[string]string `json:"hashes"`
		} `json:"files"`
	}
	if err := json.Unmarshal(content, &page); err != nil {
		return nil, final(fmt.Errorf("expected a package index's JSON: %w", err))
	}
	files := map[string]indexFile{}
	for _, file := range page.Files {
		if u, err := base.Parse(file.URL); err == nil {
			files[file.Filename] = indexFile{u, strings.ToLower(file.Hashes["sha256"])}
		}
	}
	return files, nil
}

var (
	anchor = regexp.MustCompile(`(?is)<a\s([^>]*)>(.*?)</a\s*>`)
	href   = regexp.MustCompile(`(?is)(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)')`)
)

func parseHTMLPage(base *url.URL, content string) map[string]indexFile {
	files := map[string]indexFile{}
	for _, a := range anchor.FindAllStringSubmatch(content, -1) {
		link := href.FindStringSubmatch(a[1])
		if link == nil {
			continue
		}
		u, err := base.Parse(html.UnescapeString(link[1] + link[2]))
		if err != nil {
			continue
		}
		digest, _ := strings.CutPrefix(u.Fragment, "sha256=")
		if digest == u.Fragment {
			digest = "" // another algorithm's, or none
		}
		u.Fragment = ""
		files[strings.TrimSpace(html.UnescapeString(a[2]))] = indexFile{u, strings.ToLower(digest)}
	}
	return files
}

// redacted is an address without what may be a secret: credentials, and what a query signs.
func redacted(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
