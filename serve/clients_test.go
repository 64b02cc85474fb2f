package serve

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"kerasrun/internal/pythontest"
	"kerasrun/serve/internal/oip"
)

// listen answers on loopback until the test ends.
func listen(t testing.TB, s *Server) (http, grpc string) {
	t.Helper()
	return listenWith(t, s, nil)
}

func listenWith(t testing.TB, s *Server, c *tls.Config) (http, grpc string) {
	t.Helper()
	l := Listeners{TLS: c}
	var err error
	if l.HTTP, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if l.GRPC, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	l.DrainTimeout = 10 * time.Second
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.HTTP.Addr().String(), l.GRPC.Addr().String()
}

// The published clients have the last word: testdata/clients.py uses Triton's two, and requests for
// TensorFlow Serving's REST API.
func TestPublishedClients(t *testing.T) {
	http, grpc := listen(t, startServer(t, &fakeModel{}, nil))
	green := filepath.Join(t.TempDir(), "green.png")
	if err := os.WriteFile(green, pngImage(t, 0, 255, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	spoken, err := proto.Marshal(&descriptorpb.FileDescriptorSet{
		File: []*descriptorpb.FileDescriptorProto{
			protodesc.ToFileDescriptorProto(oip.File_inference_proto),
			protodesc.ToFileDescriptorProto(oip.File_model_config_proto),
		}})
	if err != nil {
		t.Fatal(err)
	}
	descriptors := filepath.Join(t.TempDir(), "descriptors")
	if err := os.WriteFile(descriptors, spoken, 0o600); err != nil {
		t.Fatal(err)
	}
	clients := exec.Command(pythontest.Python(t), "testdata/clients.py", http, grpc, green,
		descriptors)
	if out, err := clients.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
