package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// client makes requests with limits on how long each step may take; a whole download has none.
type client struct {
	http  *http.Client
	stall time.Duration // the longest wait for a next byte
	pause time.Duration // before the second try; it doubles
	log   io.Writer
}

func newClient(log io.Writer) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone() // with HTTPS_PROXY and HTTP/2
	transport.DialContext = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = time.Minute
	return &client{&http.Client{Transport: transport}, time.Minute, time.Second, log}
}

// maxTries is how often in a row a request is made that brings nothing new.
const maxTries = 5

// finalError is one that another try would only repeat.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error { return finalError{err} }

// retry calls once until it succeeds, fails for good, or has failed maxTries times in a row without
// progress, which once reports. Errors name the address without credentials.
func (c *client) retry(ctx context.Context, u *url.URL, once func() (bool, error)) error {
	pause := c.pause
	for try := 1; ; try++ {
		progress, err := once()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: interrupted", redacted(u))
		}
		var disk *os.PathError
		if errors.As(err, &disk) {
			return err
		}
		if progress {
			try, pause = 1, c.pause
		}
		var noMore finalError
		if try == maxTries || errors.As(err, &noMore) {
			return fmt.Errorf("%s: %w", redacted(u), err)
		}
		fmt.Fprintf(c.log, "libtensorflow: %s: %v; trying again\n", redacted(u), err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// get gives a response of status 200 or 206 whose body ends with an error where it stalls.
func (c *client) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, final(errors.New("expected an address that can be requested"))
	}
	request.Header = header
	request.Header.Set("User-Agent", "kerasrun-libtensorflow")
	response, err := c.http.Do(request)
	if err != nil {
		cancel(nil)
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err // the address in it may hold a user's name
		}
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			err = final(err)
		}
		return nil, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent {
		response.Body.Close()
		cancel(nil)
		err := fmt.Errorf("expected status 200, found %s", response.Status)
		switch code := response.StatusCode; {
		case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
			return nil, err
		}
		return nil, final(err)
	}
	stalled := time.AfterFunc(c.stall, func() {
		cancel(fmt.Errorf("expected more within %v, found nothing", c.stall))
	})
	response.Body = &watchedBody{response.Body, ctx, cancel, stalled, c.stall}
	return response, nil
}

// watchedBody cancels its request when no byte comes for a while.
type watchedBody struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stalled *time.Timer
	stall   time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	b.stalled.Reset(b.stall)
	return n, err
}

func (b *watchedBody) Close() error {
	b.stalled.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// download writes a wheel to path and checks its size and SHA-256. A transfer that breaks off goes
// on from where it was, where the server can.
func download(ctx context.Context, c *client, from *url.URL, w wheel, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	digest := sha256.New()
	var have, most int64 // most: of all tries
	validator := ""      // the server's name for this version of the file
	progress := progressLog{c.log, w.file, w.size, 0}
	err = c.retry(ctx, from, func() (bool, error) {
		header := http.Header{"Accept-Encoding": {"identity"}}
		if have > 0 && validator != "" {
			header.Set("Range", fmt.Sprintf("bytes=%d-", have))
			header.Set("If-Range", validator)
		}
		response, err := c.get(ctx, from, header)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusPartialContent {
			want := fmt.Sprintf("bytes %d-%d/%d", have, w.size-1, w.size)
			if found := response.Header.Get("Content-Range"); found != want {
				return false, final(fmt.Errorf("expected %q, found %q", want, found))
			}
		} else if have > 0 {
			have = 0
			digest.Reset()
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return false, err
			}
		}
		if tag := response.Header.Get("ETag"); tag != "" && tag[0] == '"' {
			validator = tag
		} else {
			validator = response.Header.Get("Last-Modified")
		}
		buffer := make([]byte, 1<<20)
		for err == nil {
			var n int
			n, err = response.Body.Read(buffer)
			if have+int64(n) > w.size {
				return false, final(fmt.Errorf("expected %d bytes, found more", w.size))
			}
			if _, err := file.Write(buffer[:n]); err != nil {
				return false, err
			}
			digest.Write(buffer[:n])
			have += int64(n)
			progress.at(have)
		}
		if (err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)) && have < w.size {
			err = fmt.Errorf("expected %d bytes, found %d", w.size, have)
		}
		if err == io.EOF {
			err = nil
		}
		progressed := have >= most+1<<20
		most = max(most, have)
		return progressed, err
	})
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if found := hex.EncodeToString(digest.Sum(nil)); found != w.sha256 {
		return fmt.Errorf("%s: expected SHA-256 %s, found %s", redacted(from), w.sha256, found)
	}
	return nil
}

// progressLog writes a line at each tenth of a download.
type progressLog struct {
	to     io.Writer
	name   string
	size   int64
	tenths int64
}

func (p *progressLog) at(have int64) {
	if tenths := 10 * have / p.size; tenths > p.tenths {
		p.tenths = tenths
		fmt.Fprintf(p.to, "libtensorflow: %s: %d of %d MB\n", p.name, have/1e6, p.size/1e6)
	}
}
