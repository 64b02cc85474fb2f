package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// server is a server of a store's protocol, which was started for the test. put and get are its own
// way to an object, not ours.
type server struct {
	name, bucket string
	environment  []string
	put          func(key string, data []byte) error
	get          func(key string) ([]byte, error)
	faults       *faults
}

// url is the address of a key.
func (s *server) url(key string) string { return s.bucket + "/" + key }

// faults is in front of a server. refuse returns the status of a request's answer, or 0.
type faults struct {
	sync.Mutex
	refuse func(*http.Request) int
}

func (f *faults) set(refuse func(*http.Request) int) {
	f.Lock()
	defer f.Unlock()
	f.refuse = refuse
}

// before starts a proxy before the server at that address, which keeps the host's name.
func (f *faults) before(t testing.TB, address string) string {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.ErrorLog = nil
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Lock()
		refuse := f.refuse
		f.Unlock()
		if refuse != nil {
			if status := refuse(r); status != 0 {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

const bucketName = "images"

// eachServer runs a test with each server, which is started for it.
func eachServer(t *testing.T, test func(*testing.T, *server)) {
	t.Helper()
	for name, start := range map[string]func(testing.TB) *server{
		"s3": startS3, "gs": startGS, "az": startAzure,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// freePort is a port that nothing listens on.
func freePort(t testing.TB) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// leaveOut skips a test for want of something, which under make test-stores is a failure.
func leaveOut(t testing.TB, why string) {
	if os.Getenv("KERASRUN_STRICT") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// start runs a program until the test ends, and waits until it listens.
func start(t testing.TB, port int, program string, arguments ...string) string {
	if _, err := os.Stat(program); err != nil {
		leaveOut(t, program+": not there: make .stores/installed installs it")
	}
	cmd := exec.Command(program, arguments...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 600 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: does not listen: %s", program, out.String())
	return ""
}

// installed is where scripts/stores.sh puts the servers that are no Go modules.
func installed(t testing.TB, name string) string {
	dir, err := filepath.Abs("../../.stores")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// startS3 starts moto, PyPI's server of Amazon's protocols.
func startS3(t testing.TB) *server {
	port := freePort(t)
	address := start(t, port, installed(t, "venv/bin/moto_server"), "-p", fmt.Sprint(port))
	f := new(faults)
	s := &server{name: "s3", bucket: "s3://" + bucketName, faults: f, environment: []string{
		"AWS_ENDPOINT_URL=http://" + f.before(t, address), "AWS_ACCESS_KEY_ID=x",
		"AWS_SECRET_ACCESS_KEY=y", "AWS_REGION=us-east-1"}}
	request := func(method, key string, data []byte) ([]byte, error) {
		u := url.URL{Scheme: "http", Host: address, Path: "/" + bucketName + key}
		r, err := http.NewRequest(method, u.String(), bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		// moto looks at the region, and at no signature
		r.Header.Set("Authorization",
			"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK {
			err = errors.Join(err, fmt.Errorf("%s: %s: %s", key, answer.Status, body))
		}
		return body, err
	}
	s.put = func(key string, data []byte) error {
		_, err := request(http.MethodPut, "/"+key, data)
		return err
	}
	s.get = func(key string) ([]byte, error) { return request(http.MethodGet, "/"+key, nil) }
	if _, err := request(http.MethodPut, "", nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func startGS(t testing.TB) *server {
	port := freePort(t)
	f := new(faults)
	front := f.before(t, fmt.Sprintf("127.0.0.1:%d", port))
	g, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http",
		Host: "127.0.0.1", Port: uint16(port), PublicHost: front, ExternalURL: "http://" + front})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	g.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucketName})
	return &server{name: "gs", bucket: "gs://" + bucketName, faults: f,
		environment: []string{"STORAGE_EMULATOR_HOST=" + front},
		put: func(key string, data []byte) error {
			g.CreateObject(fakestorage.Object{Content: data,
				ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucketName, Name: key}})
			return nil
		},
		get: func(key string) ([]byte, error) {
			o, err := g.GetObject(bucketName, key)
			return o.Content, err
		}}
}

// The account of Azurite, as Microsoft publishes it.
const (
	account    = "devstoreaccount1"
	accountKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startAzure starts Azurite, Microsoft's own emulator.
func startAzure(t testing.TB) *server {
	port := freePort(t)
	address := start(t, port, installed(t, "node_modules/.bin/azurite-blob"),
		"--inMemoryPersistence", "--blobPort", fmt.Sprint(port), "--skipApiVersionCheck", "--silent")
	f := new(faults)
	client, err := azblob.NewClientFromConnectionString(fmt.Sprintf("DefaultEndpointsProtocol=http;"+
		"AccountName=%s;AccountKey=%s;BlobEndpoint=http://%s/%s;", account, accountKey, address,
		account), nil)
	if err == nil {
		_, err = client.CreateContainer(context.Background(), bucketName,
			&container.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &server{name: "az", bucket: "az://" + bucketName, faults: f,
		environment: []string{"AZURE_STORAGE_IS_LOCAL_EMULATOR=true",
			"AZURE_STORAGE_PROTOCOL=http", "AZURE_STORAGE_DOMAIN=" + f.before(t, address),
			"AZURE_STORAGE_ACCOUNT=" + account, "AZURE_STORAGE_KEY=" + accountKey},
		put: func(key string, data []byte) error {
			_, err := client.UploadBuffer(context.Background(), bucketName, key, data, nil)
			return err
		},
		get: func(key string) ([]byte, error) {
			answer, err := client.DownloadStream(context.Background(), bucketName, key, nil)
			if err != nil {
				return nil, err
			}
			defer answer.Body.Close()
			return io.ReadAll(answer.Body)
		}}
}
