package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// web is what http:// and https:// are asked of. Every error is that of one address.
type web struct{}

// client follows redirects, and takes proxies from the environment.
var client = &http.Client{Transport: func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}()}

func (web) get(
	ctx context.Context, path string, offset, length int64,
) (io.ReadCloser, Info, error) {
	body, info, err := watch(ctx, func(ctx context.Context) (io.ReadCloser, Info, error) {
		return webGet(ctx, path, offset, length)
	})
	var known *Error
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		reason, again := networkReason(err)
		err = &Error{path, reason, nil}
		if again {
			err = temporary{error: err}
		}
	}
	return body, info, err
}

func webGet(
	ctx context.Context, path string, offset, length int64,
) (io.ReadCloser, Info, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, Info{}, &Error{path, "expected the address of a file", err}
	}
	request.Header.Set("Accept-Encoding", "identity") // the bytes as they are, and their number
	switch {
	case length >= 0:
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, Info{}, err
	}
	body, info, err := webBody(path, response, offset, length)
	if err != nil {
		_ = response.Body.Close() // there is an error already
	}
	return body, info, err
}

// webBody is the part that was asked for, also of a server that sends all.
func webBody(
	path string, response *http.Response, offset, length int64,
) (io.ReadCloser, Info, error) {
	info := Info{response.ContentLength, webVersion(response.Header)}
	switch response.StatusCode {
	case http.StatusOK:
		if offset > maxSkip {
			return nil, info, &Error{path, fmt.Sprintf("expected a server that sends parts (Range), "+
				"got one that sends all, of which %d bytes were to be left out: fetch it first, and "+
				"name the file", offset), nil}
		}
		if _, err := io.CopyN(io.Discard, response.Body, offset); err != nil {
			return nil, info, err
		}
	case http.StatusPartialContent:
		// bytes FIRST-LAST/SIZE
		_, size, _ := strings.Cut(response.Header.Get("Content-Range"), "/")
		n, err := strconv.ParseInt(size, 10, 64)
		want := fmt.Sprintf("bytes %d-", offset)
		if err != nil || !strings.HasPrefix(response.Header.Get("Content-Range"), want) {
			return nil, info, &Error{path, "expected the part that was asked for, got another", nil}
		}
		info.Size = n
	default:
		return nil, info, webStatus(path, response)
	}
	if length >= 0 {
		return limited{io.LimitReader(response.Body, length), response.Body}, info, nil
	}
	return response.Body, info, nil
}

// maxSkip is how much of a file is read and thrown away, where a server sends no parts.
const maxSkip = 16 << 30

type limited struct {
	io.Reader
	io.Closer
}

func webVersion(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" {
		return tag
	}
	return h.Get("Last-Modified")
}

// webStatus is the error of a status.
func webStatus(path string, response *http.Response) error {
	status := response.StatusCode
	e := &Error{path, fmt.Sprintf("the server answers %d %s", status, http.StatusText(status)), nil}
	switch status {
	case http.StatusNotFound, http.StatusGone:
		e.Err = fs.ErrNotExist
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Err = fs.ErrPermission
	}
	if !isTemporaryStatus(status) {
		return e
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 where there is none
	return temporary{e, time.Duration(seconds) * time.Second}
}

func (w web) stat(ctx context.Context, path string) (Info, error) {
	body, info, err := w.get(ctx, path, 0, 1)
	if err != nil {
		return info, err
	}
	return info, body.Close()
}
