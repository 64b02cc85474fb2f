package serve

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
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
