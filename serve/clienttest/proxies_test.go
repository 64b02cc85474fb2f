package clienttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site is the name that the files of deploy/ serve.
const site = "images.example"

// deployed is a file of deploy/ with other words in it, in turns what is there and what is put in
// its place. Each has to be there.
func deployed(t *testing.T, name string, words ...string) string {
	t.Helper()
	data, err := os.ReadFile(inRepository("deploy/" + name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(text, words[i]) {
			t.Fatalf("deploy/%s: expected %q in it", name, words[i])
		}
		text = strings.ReplaceAll(text, words[i], words[i+1])
	}
	return text
}

// write writes files into a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startNginx starts nginx by deploy/nginx.conf, which it has to find in order, with a certificate
// made for it.
func startNginx(t *testing.T, http, grpc string) []string {
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	certificate, key := selfSigned(t)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root; " // for another could not write into the test's directory
	}
	write(t, dir, map[string]string{
		"site.pem": certificate, "site.key": key,
		"site.conf": deployed(t, "nginx.conf", "listen 443", "listen "+address,
			"127.0.0.1:8501", http, "127.0.0.1:8001", grpc, "/etc/nginx/images.example", "site"),
		// What Debian's own file has beside: where it may write.
		"nginx.conf": user + "daemon off; pid nginx.pid; error_log stderr; events {}\n" +
			"http { access_log off; client_body_temp_path body; proxy_temp_path proxy;\n" +
			"fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n" +
			"include site.conf; }\n",
	})
	arguments := []string{"-p", dir, "-c", "nginx.conf", "-e", "stderr"}
	if out, err := exec.Command("nginx", append(arguments, "-t")...).CombinedOutput(); err != nil ||
		strings.Contains(string(out), "[warn]") {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	start(t, address, "nginx", arguments...)
	return []string{address, filepath.Join(dir, "site.pem")}
}

// startEnvoy starts Envoy by deploy/envoy.yaml, which it has to find in order.
func startEnvoy(t *testing.T, http, grpc string) []string {
	dir, port := t.TempDir(), freePort(t)
	portOf := func(address string) string {
		return "port_value: " + address[strings.LastIndex(address, ":")+1:]
	}
	write(t, dir, map[string]string{"envoy.yaml": deployed(t, "envoy.yaml",
		"0.0.0.0, port_value: 8080", fmt.Sprintf("127.0.0.1, port_value: %d", port),
		"port_value: 8501", portOf(http), "port_value: 8001", portOf(grpc))})
	file := filepath.Join(dir, "envoy.yaml")
	if out, err := exec.Command("envoy", "--mode", "validate", "-c", file).
		CombinedOutput(); err != nil {
		t.Fatalf("envoy --mode validate: %v\n%s", err, out)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	start(t, address, "envoy", "-c", file, "--concurrency", "1", "--use-dynamic-base-id")
	return []string{address}
}

// selfSigned makes a certificate for site and its key, PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: site}, DNSNames: []string{site},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey,
		private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return encode("CERTIFICATE", signed), encode("PRIVATE KEY", secret)
}
