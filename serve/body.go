package serve

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
)

// memory bounds what all requests together hold, in bytes. What they have given back is garbage,
// and counts until the collector has run: it is run when there is no other room.
type memory struct {
	total int64
	free  *semaphore.Weighted

	mu      sync.Mutex
	garbage int64
}

func newMemory(total int64) *memory {
	return &memory{total: total, free: semaphore.NewWeighted(total)}
}

// reserve takes so many bytes of the limit, or fails at once.
func (m *memory) reserve(bytes int64) error {
	if !m.TryAcquire(bytes) {
		return errorf(codes.Unavailable, "too much memory is taken by requests")
	}
	return nil
}

// TryAcquire takes so many bytes of the limit, if they are free or would be after a collection. For
// little garbage there is none: each takes milliseconds.
func (m *memory) TryAcquire(bytes int64) bool {
	if m.free.TryAcquire(bytes) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.garbage > m.total/16 && bytes <= m.total {
		runtime.GC()
		m.free.Release(m.garbage)
		m.garbage = 0
	}
	return m.free.TryAcquire(bytes)
}

// Release gives bytes back, which nothing uses any more.
func (m *memory) Release(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.garbage += bytes
}

const (
	memoryChunk = 1 << 16 // how much memory is reserved at a time
	// how much of the length that a client declares is believed before it is there
	bodyStart = 1 << 20
)

// account is what one request holds of the memory of all. It is for one goroutine.
type account struct {
	memory     *memory
	held, used int64
}

// take reserves memory before it is used; less than 0 bytes are given back.
func (a *account) take(bytes int64) error {
	a.used += bytes
	chunks := (a.used - a.held + memoryChunk - 1) / memoryChunk
	switch change := chunks * memoryChunk; {
	case a.used > a.held:
		if err := a.memory.reserve(change); err != nil {
			a.used -= bytes
			return err
		}
		a.held += change
	case change < 0:
		a.memory.Release(-change)
		a.held += change
	}
	return nil
}

// free gives all of it back.
func (a *account) free() {
	a.memory.Release(a.held)
	a.held, a.used = 0, 0
}

// cancel gives back what was reserved and then not used.
func (a *account) cancel() {
	a.memory.free.Release(a.held)
	a.held, a.used = 0, 0
}

// readBody returns the whole body, unpacked, and the account that it is on, which must be freed in
// any case. Memory is reserved before it is taken, also while the body moves to more of it. A body
// whose declared length has no room is refused before it is read.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body []byte, held *account,
	err error) {
	sent := http.MaxBytesReader(w, r.Body, s.config.Limits.Body)
	body, held, err = s.keepBody(sent, r)
	if err != nil && asError(err).Code == codes.Unavailable && r.Header.Get("Expect") == "" {
		// Most clients look for an answer when they have sent everything. What they send is dropped;
		// what fails here has its answer in err.
		_, _ = io.Copy(io.Discard, sent)
	}
	return body, held, err
}

// keepBody is readBody, but for what is left of a body that has no room.
func (s *Server) keepBody(sent io.Reader, r *http.Request) (body []byte, held *account, err error) {
	held, limit := &account{memory: s.memory}, min(s.config.Limits.Body, math.MaxInt64-1)
	encoding := r.Header.Get("Content-Encoding")
	// A client's number is compared with the limit before anything is added to it.
	declared := max(r.ContentLength, 0)
	if declared > limit {
		return nil, held, tooLongError(limit)
	}
	if err := held.take(declared); err != nil {
		return nil, held, err
	}
	held.cancel() // it is not held by a promise
	unpacked, err := unpack(sent, encoding)
	if err != nil {
		return nil, held, err
	}
	// Binary tensors after the JSON are used in place where they are aligned for their type.
	text, _ := strconv.Atoi(r.Header.Get(headerLength))
	shift := -text & 7
	// A byte more shows that the end is there.
	most, start := declared+1, int64(bodyStart)
	if r.ContentLength < 0 || encoding != "" {
		most, start = limit+1, memoryChunk
	}
	var buffer []byte
	err = enlarge(held, &buffer, shift+int(min(most, start)))
	for buffer = buffer[:min(shift, cap(buffer))]; err == nil; {
		n, read := unpacked.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		length := int64(len(buffer) - shift)
		switch {
		case length > limit:
			return nil, held, tooLongError(limit)
		case read == io.EOF:
			return buffer[shift:], held, nil
		case read != nil:
			return nil, held, readError(read)
		case length == most:
			return nil, held, errorf(codes.InvalidArgument,
				"the body is longer than its Content-Length, %d", declared)
		case len(buffer) == cap(buffer):
			err = enlarge(held, &buffer, shift+int(min(2*length, most)))
		}
	}
	return nil, held, err
}

// enlarge moves a buffer to memory for size bytes. Until it is there both are reserved.
func enlarge(held *account, buffer *[]byte, size int) error {
	if err := held.take(int64(size)); err != nil {
		return err
	}
	had := cap(*buffer)
	*buffer = append(make([]byte, 0, size), *buffer...)
	return held.take(-int64(had))
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
		buffered := bufio.NewReader(body) // so that no byte behind the stream is taken
		r, err := zlib.NewReader(buffered)
		if err != nil {
			return nil, readError(err)
		}
		return &zlibBody{buffered, r}, nil
	}
	return nil, &Error{Code: codes.InvalidArgument, HTTP: http.StatusUnsupportedMediaType,
		Err: fmt.Errorf("Content-Encoding: expected gzip, deflate or none, got %.40q", encoding)}
}

// zlibBody is a zlib stream that ends its body.
type zlibBody struct {
	body *bufio.Reader
	z    io.Reader
}

func (b *zlibBody) Read(p []byte) (int, error) {
	n, err := b.z.Read(p)
	if err == io.EOF {
		if _, more := b.body.Peek(1); more != io.EOF {
			err = errors.New("expected the end of the body behind its zlib stream, got more")
		}
	}
	return n, err
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
