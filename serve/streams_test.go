package serve

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"kerasrun/serve/internal/oip"
)

// unread is a connection of HTTP/2 whose client takes headers, and not a byte of an answer's body.
type unread struct {
	net.Conn
	*http2.Framer
	next uint32
}

func dialUnread(t *testing.T, address string) *unread {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(time.Minute)) // the test hangs no longer
	u := &unread{connection, http2.NewFramer(connection, connection), 1}
	u.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(connection, http2.ClientPreface)
	if err == nil {
		err = u.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// get asks for a path, on a stream of its own.
func (u *unread) get(t *testing.T, path string) {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", path},
		{":authority", "localhost"}} {
		header := hpack.HeaderField{Name: field[0], Value: field[1]}
		if err := encoder.WriteField(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.WriteHeaders(http2.HeadersFrameParam{StreamID: u.next, BlockFragment: block.Bytes(),
		EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	u.next += 2
}

// answer returns the status of the next stream that is answered, and "" for one that is refused.
func (u *unread) answer(t *testing.T) string {
	t.Helper()
	for {
		frame, err := u.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return ""
		}
	}
}

// eventually waits until a number is what it should become.
func eventually(t *testing.T, what string, number func() int64, want int64) {
	t.Helper()
	for start := time.Now(); number() != want; time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("%s: got %d, want %d", what, number(), want)
		}
	}
}

// Answers that nobody reads are held on so many streams, whatever the connections; others are
// refused, but for probes and HTTP/1, until they are gone.
func TestUnreadStreams(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Streams = 20 })
	web, _ := listen(t, s)
	for i := range int64(2) {
		u := dialUnread(t, web)
		for range 10 {
			u.get(t, "/v2")
		}
		eventually(t, "streams", s.webStreams.Load, 10*(i+1))
		defer u.Close()
		if got := u.answer(t); got != "200" {
			t.Errorf("within the limit: got the status %q, want 200", got)
		}
	}
	u := dialUnread(t, web)
	for range 10 {
		u.get(t, "/v2")
		if got := u.answer(t); got != "" {
			t.Errorf("beyond the limit: got the status %q, want none", got)
		}
	}
	u.get(t, "/v2/health/live")
	if got := u.answer(t); got != "200" {
		t.Errorf("a probe: got the status %q, want 200", got)
	}
	answer, err := http.Get("http://" + web + "/v2")
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("HTTP/1: got %v, %v, want 200", answer, err)
	}
	answer.Body.Close()
}

// Streams come back when their connection ends.
func TestStreamsComeBack(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Streams = 10 })
	web, _ := listen(t, s)
	first := dialUnread(t, web)
	for range 10 {
		first.get(t, "/v2")
	}
	eventually(t, "streams", s.webStreams.Load, 10)
	first.Close()
	eventually(t, "streams", s.webStreams.Load, 0)
	u := dialUnread(t, web)
	u.get(t, "/v2")
	if got := u.answer(t); got != "200" {
		t.Errorf("got the status %q, want 200", got)
	}
}

// A call that does not send its request ends when its time is over.
func TestCallWithoutRequest(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) {
		c.Limits.Read, c.Limits.Deadline = 10*time.Millisecond, 10*time.Millisecond
	})
	_, rpc := listen(t, s)
	connection, err := grpc.NewClient(rpc,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	stream, err := connection.NewStream(t.Context(), &grpc.StreamDesc{},
		oip.GRPCInferenceService_ModelInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(oip.ModelInferResponse)); status.Code(err) !=
		codes.DeadlineExceeded {
		t.Errorf("got %v, want %v", err, codes.DeadlineExceeded)
	}
	eventually(t, "calls", s.rpcStreams.Load, 0)
}

// Calls that do not send their request count too.
func TestCallsBeyondTheLimit(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Streams = 5 })
	_, rpc := listen(t, s)
	connection, err := grpc.NewClient(rpc,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := oip.NewGRPCInferenceServiceClient(connection)
	other, err := grpc.NewClient(rpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 5 {
		if _, err := other.NewStream(t.Context(), &grpc.StreamDesc{},
			oip.GRPCInferenceService_ModelInfer_FullMethodName); err != nil {
			t.Fatal(err)
		}
	}
	defer connection.Close()
	eventually(t, "calls", s.rpcStreams.Load, 5)
	_, err = client.ServerMetadata(t.Context(), &oip.ServerMetadataRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("beyond the limit: got %v, want %v", err, codes.Unavailable)
	}
	if _, err := client.ServerLive(t.Context(), &oip.ServerLiveRequest{}); err != nil {
		t.Errorf("a probe: got %v, want none", err)
	}
	other.Close()
	eventually(t, "calls", s.rpcStreams.Load, 0)
	if _, err := client.ServerMetadata(t.Context(), &oip.ServerMetadataRequest{}); err != nil {
		t.Errorf("afterwards: got %v, want none", err)
	}
}
