package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
)

// memory bounds what all requests together hold, in bytes.
type memory struct{ *semaphore.Weighted }

// reserve takes so many bytes of the limit, or fails at once.
func (m memory) reserve(bytes int64) error {
	if !m.TryAcquire(bytes) {
		return errorf(codes.Unavailable, "too much memory is taken by requests")
	}
	return nil
}

const (
	bodyChunk = 1 << 16 // how much memory is asked for at a time
	// how much of the length that a client declares is believed before it is there
	bodyStart = 1 << 20
)

// readBody returns the whole body, unpacked. free gives its memory back to others, and must be
// called in any case.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body []byte, free func(),
	err error) {
	held, limit := int64(0), s.config.Limits.Body
	free = func() { s.memory.Release(held) }
	unpacked, err := unpack(http.MaxBytesReader(w, r.Body, limit), r.Header.Get("Content-Encoding"))
	if err != nil {
		return nil, free, err
	}
	// Binary tensors after the JSON are used in place where they are aligned for their type.
	text, _ := strconv.Atoi(r.Header.Get(headerLength))
	shift := -text & 7
	var buffer bytes.Buffer
	buffer.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, bodyStart, limit)) + shift)
	buffer.Write(make([]byte, shift))
	for {
		if err := s.memory.reserve(bodyChunk); err != nil {
			return nil, free, err
		}
		held += bodyChunk
		_, err := io.CopyN(&buffer, unpacked, min(bodyChunk, limit+1-int64(buffer.Len()-shift)))
		body = buffer.Bytes()[shift:]
		if int64(len(body)) > limit {
			return nil, free, tooLongError(limit)
		}
		if err == io.EOF {
			return body, free, nil
		}
		if err != nil {
			return nil, free, readError(err)
		}
	}
}

// unpack undoes a body's Content-Encoding.
func unpack(body io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(body)
		if err != nil {
			return nil, readError(err)
		}
		return r, nil
	case "deflate":
		r, err := zlib.NewReader(body)
		if err != nil {
			return nil, readError(err)
		}
		return r, nil
	}
	return nil, &Error{Code: codes.InvalidArgument, HTTP: http.StatusUnsupportedMediaType,
		Err: fmt.Errorf("Content-Encoding: expected gzip, deflate or none, got %.40q", encoding)}
}

// readError is for a body that ended early or cannot be unpacked.
func readError(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Code: codes.DeadlineExceeded, HTTP: http.StatusRequestTimeout,
			Err: errors.New("the request took too long to arrive")}
	}
	return errorf(codes.InvalidArgument, "the body cannot be read: %w", err)
}
