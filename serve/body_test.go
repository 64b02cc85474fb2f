package serve

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestBodyAligned holds that binary tensors lie as numbers of eight bytes want to, however long the
// text before them is: those that do not are copied, which for an image's tensor takes as long as
// all else that the server does with it.
func TestBodyAligned(t *testing.T) {
	s := startServer(t, &instant{}, nil)
	for text := range 9 {
		sent := bytes.Repeat([]byte("text and tensors"), 10_000)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(sent))
		r.Header.Set(headerLength, strconv.Itoa(text))
		body, held, err := s.readBody(httptest.NewRecorder(), r)
		held.free()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body, sent) {
			t.Errorf("%d bytes of text: got %d bytes, other than the %d that were sent", text,
				len(body), len(sent))
		}
		if address := uintptr(unsafe.Pointer(&body[text])); address%8 != 0 {
			t.Errorf("%d bytes of text: the tensors are at %#x", text, address)
		}
	}
}

// A client that sends everything before it looks for an answer reads why it was refused: its
// connection is not reset with the answer on it.
func TestRefusalIsRead(t *testing.T) {
	web, _ := listen(t, startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Body = 16 << 20 }))
	for name, c := range map[string]struct {
		path   string
		size   int
		header string
		status int
	}{
		"too long":          {"/classify", 24 << 20, "Content-Length: 25165824", 413},
		"too long, chunked": {"/classify", 24 << 20, "Transfer-Encoding: chunked", 413},
		"nothing there":     {"/none", 12 << 20, "Content-Length: 12582912", 404},
		"another site's": {"/classify", 12 << 20,
			"Content-Length: 12582912\r\nSec-Fetch-Site: cross-site", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", web)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			body := bytes.Repeat([]byte("a"), c.size)
			if strings.Contains(c.header, "chunked") {
				body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", c.size, body)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", c.path, c.header)
			// In pieces, so that the server answers long before the last is sent.
			for piece := range slices.Chunk(body, 6<<20) {
				if _, err := conn.Write(piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(300 * time.Millisecond)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.status || !bytes.Contains(text, []byte(`"error"`)) {
				t.Errorf("got %d %s %v, want %d and why", answer.StatusCode, text, err, c.status)
			}
		})
	}
}
