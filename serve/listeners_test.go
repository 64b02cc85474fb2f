package serve

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kerasrun/serve/internal/oip"
)

// certificate makes a certificate for loopback, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{
			net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// HTTP and gRPC are answered over TLS, and to clients that have the token, and to no other.
func TestTLSAndToken(t *testing.T) {
	cert, pool := certificate(t)
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Token = "secret" })
	web, rpc := listenWith(t, s, &tls.Config{Certificates: []tls.Certificate{cert},
		NextProtos: []string{"h2", "http/1.1"}})
	trusting := &tls.Config{RootCAs: pool}
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting.Clone(),
			ForceAttemptHTTP2: version == "HTTP/2.0"}}
		for token, want := range map[string]int{"": 401, "wrong": 401, "secret": 200} {
			r, err := http.NewRequest("POST", "https://"+web+"/v1/models/fake:predict",
				strings.NewReader(oneHalf))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want || answer.Proto != version {
				t.Errorf("%s, token %q: got %d over %s, want %d", version, token, answer.StatusCode,
					answer.Proto, want)
			}
		}
		client.CloseIdleConnections()
	}
	if answer, err := http.Get("http://" + web + "/v2/health/live"); err == nil {
		answer.Body.Close()
		if answer.StatusCode == 200 {
			t.Error("answers without TLS too")
		}
	}
	infer := func(c credentials.TransportCredentials, token string) codes.Code {
		connection, err := grpc.NewClient(rpc, grpc.WithTransportCredentials(c))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err = oip.NewGRPCInferenceServiceClient(connection).ModelInfer(ctx,
			&oip.ModelInferRequest{
				ModelName: "fake", Inputs: []*grpcInput{
					grpcImages(&oip.InferTensorContents{Fp32Contents: make([]float32, 12)}, 1, 2, 2,
						3)},
			})
		return status.Code(err)
	}
	for _, c := range []struct {
		name        string
		credentials credentials.TransportCredentials
		token       string
		want        codes.Code
	}{
		{"TLS and the token", credentials.NewTLS(trusting), "secret", codes.OK},
		{"no token", credentials.NewTLS(trusting), "", codes.Unauthenticated},
		{"wrong token", credentials.NewTLS(trusting), "secre", codes.Unauthenticated},
		{"no TLS", insecure.NewCredentials(), "secret", codes.Unavailable},
	} {
		if got := infer(c.credentials, c.token); got != c.want {
			t.Errorf("gRPC, %s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A connection is not kept for who does not send, or does not go on sending.
func TestTimeouts(t *testing.T) {
	const short, long = 50 * time.Millisecond, time.Hour
	const head = "POST /v1/models/fake:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
	for _, c := range []struct {
		name   string
		change func(*Limits)
		send   string
		want   string // the first line of the answer, if there is one
	}{
		{"nothing sent", func(l *Limits) { l.ReadHeader = short }, "", ""},
		{"half a header", func(l *Limits) { l.ReadHeader = short }, head, ""},
		{"half a body", func(l *Limits) { l.Read = short }, head + "\r\n{",
			"HTTP/1.1 408 Request Timeout"},
		{"no second request", func(l *Limits) { l.Idle = short },
			"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, &fakeModel{}, func(config *Config) {
				config.Limits.ReadHeader, config.Limits.Read, config.Limits.Idle = long, long, long
				c.change(&config.Limits)
			})
			web, _ := listen(t, s)
			connection, err := net.Dial("tcp", web)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			fmt.Fprint(connection, c.send)
			connection.SetReadDeadline(time.Now().Add(30 * time.Second)) // the test hangs no longer
			answer, err := io.ReadAll(connection)
			if errors.Is(err, net.ErrClosed) || err != nil &&
				strings.Contains(err.Error(), "i/o timeout") {
				t.Fatalf("the connection was kept: %v", err)
			}
			if first, _, _ := strings.Cut(string(answer), "\r\n"); first != c.want {
				t.Errorf("got %q, want %q", first, c.want)
			}
		})
	}
}

// On connections beyond the limit, probes are answered, and others told to come again.
func TestConnectionLimit(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Connections = 2 })
	web, _ := listen(t, s)
	get := func(connection net.Conn, path string) *http.Response {
		t.Helper()
		fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	open := func() net.Conn {
		t.Helper()
		connection, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	var kept []net.Conn
	for range 2 {
		connection := open()
		if answer := get(connection, "/v2"); answer.StatusCode != 200 || answer.Close {
			t.Errorf("within the limit: got %d, closed %v", answer.StatusCode, answer.Close)
		}
		kept = append(kept, connection)
	}
	for path, want := range map[string]int{"/v2": 503, "/v2/health/live": 200,
		"/v2/health/ready": 200} {
		answer := get(open(), path)
		if answer.StatusCode != want || !answer.Close ||
			(answer.Header.Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%s beyond the limit: got %d, closed %v, %v, want %d", path, answer.StatusCode,
				answer.Close, answer.Header, want)
		}
	}
	if answer := get(kept[1], "/v2"); answer.StatusCode != 200 {
		t.Errorf("those within the limit are answered still: got %d", answer.StatusCode)
	}
	kept[0].Close()
	for get(open(), "/v2").StatusCode != 200 { // the server has yet to see it
		time.Sleep(time.Millisecond)
	}
}
