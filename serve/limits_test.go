package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

func TestLimitsOfSize(t *testing.T) {
	good := string(pngImage(t, 1, 2, 3))
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for _, c := range []struct {
		name       string
		change     func(*Config)
		path, body string
		code       int
	}{
		{"body", func(c *Config) { c.Limits.Body = 100 }, "/v1/models/fake:predict",
			strings.Repeat(" ", 101), 413},
		{"body just within", func(c *Config) { c.Limits.Body = 100 }, "/v1/models/fake:predict",
			strings.Repeat(" ", 100), 400},
		{"bodies in flight", func(c *Config) { c.Limits.InFlight = 1000 }, "/classify", good, 503},
		{"tensors in flight", func(c *Config) { c.Limits.InFlight = 3 << 16 },
			"/v1/models/fake:predict",
			`{"instances": [` + strings.Repeat(`{"b64": ""}, `, 9000) + `{"b64": ""}]}`, 503},
		{"image", func(c *Config) { c.Limits.Image = int64(len(good)) - 1 }, "/classify", good,
			413},
		{"pixels", func(c *Config) { c.Limits.Pixels = 11 }, "/classify", good, 422},
		{"image just within", func(c *Config) {
			c.Limits.Image, c.Limits.Pixels = int64(len(good)),
				12
		}, "/classify", good, 200},
		{"rows", func(c *Config) { c.Limits.Rows = 3 }, "/v1/models/fake:predict",
			`{"signature_name": "half_plus_two", "instances": [1, 2, 3, 4]}`, 413},
		{"rows just within", func(c *Config) { c.Limits.Rows = 3 }, "/v1/models/fake:predict",
			`{"signature_name": "half_plus_two", "instances": [1, 2, 3]}`, 200},
		{"rows of images", func(c *Config) { c.Limits.Rows = 3 }, "/v1/models/fake:predict",
			`{"inputs": [[{"b64": ""}, {"b64": ""}], [{"b64": ""}, {"b64": ""}]]}`, 413},
		{"depth", nil, "/v1/models/fake:predict", `{"instances": ` + deep + `}`, 400},
		{"depth of what is skipped", nil, "/v1/models/fake:predict", `{"more": ` + deep + `}`, 400},
		{"depth in OIP", nil, "/v2/models/fake/infer", `{"parameters": {"more": ` + deep + `}}`,
			400},
	} {
		w := request(startServer(t, &fakeModel{}, c.change).Handler(), "POST", c.path, c.body)
		if w.Code != c.code {
			t.Errorf("%s: got %d %.200s, want %d", c.name, w.Code, w.Body, c.code)
		}
		if retry := w.Header().Get("Retry-After"); (retry != "") != (c.code == 503) {
			t.Errorf("%s: Retry-After: %q", c.name, retry)
		}
	}
}

// A server whose memory was all taken answers again afterwards: what is taken is given back,
// whatever happened.
func TestMemoryIsGivenBack(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.InFlight = 4 << 16 })
	for _, body := range []string{string(pngImage(t, 1, 2, 3)), "no image",
		strings.Repeat("x", 5<<16), ""} {
		for range 20 {
			request(s.Handler(), "POST", "/classify", body)
			request(s.Handler(), "POST", "/classify", body, "Content-Encoding", "gzip")
		}
	}
	if !s.memory.TryAcquire(4 << 16) {
		t.Error("memory was not given back")
	}
}

const oneHalf = `{"signature_name": "half_plus_two", "instances": [1]}`

func TestFullQueueIs503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeModel{}
		s := startServer(t, m, func(c *Config) {
			c.Batching.MaxBatchSize,
				c.Batching.MaxEnqueuedBatches = 1, 2
		})
		m.gate = make(chan struct{})
		answers := make([]*httptest.ResponseRecorder, 4)
		var clients sync.WaitGroup
		for i := range answers {
			clients.Go(func() {
				answers[i] = request(s.Handler(), "POST", "/v1/models/fake:predict",
					oneHalf)
			})
			synctest.Wait()
		}
		close(m.gate)
		clients.Wait()
		for i, w := range answers {
			want := 200
			if i == 3 { // one runs, two wait
				want = 503
			}
			if w.Code != want {
				t.Errorf("request %d: got %d %s, want %d", i, w.Code, w.Body, want)
			}
		}
		if retry := answers[3].Header().Get("Retry-After"); retry == "" {
			t.Error("got none, want a Retry-After")
		}
		s.Close()
	})
}

// A request that comes after one of thousands of rows waits for a batch of it, not for all of it,
// and finds room in the queue.
func TestSmallRequestAfterHugeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeModel{}
		s := startServer(t, m, nil)
		m.gate = make(chan struct{})
		send := func(rows int) (answer *httptest.ResponseRecorder, done chan struct{}) {
			answer, done = httptest.NewRecorder(), make(chan struct{})
			body := `{"signature_name": "half_plus_two", "instances": [` +
				strings.Repeat("1,", rows-1) + `1]}`
			r := httptest.NewRequest("POST", "/v1/models/fake:predict", strings.NewReader(body))
			go func() {
				defer close(done)
				s.Handler().ServeHTTP(answer, r)
			}()
			synctest.Wait()
			return answer, done
		}
		huge, all := send(5400)
		small, one := send(1)
		for range 3 { // the run that is under way, the next of the huge one, and the small one's
			m.gate <- struct{}{}
			synctest.Wait()
		}
		select {
		case <-one:
		default:
			t.Fatal("the small request waits still, after 3 of 170 runs")
		}
		close(m.gate)
		<-all
		if small.Code != 200 || huge.Code != 200 {
			t.Errorf("got %d %s and %d %.100s, want 200", small.Code, small.Body, huge.Code,
				huge.Body)
		}
		s.Close()
	})
}

func TestDeadlineIs504(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeModel{}
		s := startServer(t, m, nil)
		m.gate = make(chan struct{})
		began := time.Now()
		w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf)
		if took := time.Since(began); w.Code != 504 || took != 30*time.Second {
			t.Errorf("got %d after %v: %s, want 504 after 30 s", w.Code, took, w.Body)
		}
		close(m.gate)
		if w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
			t.Errorf("afterwards: got %d %s, want 200", w.Code, w.Body)
		}
		s.Close()
	})
}

func TestHeaderLimit(t *testing.T) {
	http_, _ := listen(t, startServer(t, &fakeModel{}, nil))
	r, err := http.NewRequest("GET", "http://"+http_+"/v2", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 80<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", answer.StatusCode)
	}
}

// flood is a body that a client sends slowly enough for all of them to be there at a time.
type flood struct {
	io.Reader
	started *sync.WaitGroup
	begun   bool
}

func (f *flood) Read(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.started.Done()
		f.started.Wait()
	}
	return f.Reader.Read(p)
}

// Many large bodies at a time, of every form that takes much memory for its size: the heap stays
// within the total and the half of it that the collector may let lie, what has no room is answered
// 503 with Retry-After, and nothing is a 500.
func TestManyLargeBodies(t *testing.T) {
	const total, size, clients = 48 << 20, 8 << 20, 16
	numbers := `{"signature_name": "half_plus_two", "instances": [` +
		strings.Repeat("1,", size/2) + `1]}`
	for name, c := range map[string]struct{ path, body string }{
		"instances": {"/v1/models/fake:predict", numbers},
		"inputs": {"/v1/models/fake:predict", `{"signature_name": "sum", "inputs": [` +
			strings.Repeat("1,", size/2) + `"x"]}`},
		"texts": {"/v1/models/fake:predict", `{"signature_name": "echo", "inputs": {"tag": [` +
			strings.Repeat(`"",`, size/3) + `""]}}`},
		"images": {"/v1/models/fake:predict", `{"instances": [` +
			strings.Repeat(`{"b64":""},`, size/11) + `{"b64": ""}]}`},
		"escapes": {"/v1/models/fake:predict", `{"instances": ["` +
			strings.Repeat(`\n`, size/2) + `"]}`},
		"keys": {"/v1/models/fake:predict", `{` + manyKeys(size) + `}`},
		"outputs": {"/v2/models/fake/infer", `{"outputs": [` +
			strings.Repeat(`{"name":"a"},`, size/13) + `{"name": "a"}]}`},
		"shape": {"/v2/models/fake/infer", `{"inputs": [{"name": "a", "shape": [` +
			strings.Repeat("1,", size/2) + `1]}]}`},
		"data": {"/v2/models/fake/infer", `{"inputs": [{"name": "images", "datatype": "FP64", ` +
			`"shape": [1, 2, 2, 3], "data": [` + strings.Repeat("1,", size/2) + `1]}]}`},
		"image": {"/classify", strings.Repeat("x", size)},
	} {
		t.Run(name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(50)) // as kerasrun serve has it
			s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.InFlight = total })
			h := s.Handler()
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			peak, stop, stopped := uint64(0), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					var now runtime.MemStats
					runtime.ReadMemStats(&now)
					peak = max(peak, now.HeapAlloc)
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
					}
				}
			}()
			var all, started sync.WaitGroup
			started.Add(clients)
			answers := make([]*httptest.ResponseRecorder, clients)
			for i := range answers {
				all.Go(func() {
					r := httptest.NewRequest("POST", c.path,
						&flood{Reader: strings.NewReader(c.body), started: &started})
					r.ContentLength = -1 // as in chunks
					answers[i] = httptest.NewRecorder()
					h.ServeHTTP(answers[i], r)
				})
			}
			all.Wait()
			close(stop)
			<-stopped
			seen := map[int]int{}
			for _, w := range answers {
				seen[w.Code]++
				if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
					t.Errorf("got %d %.200s, want 503 or what a lone one gets", w.Code, w.Body)
				}
			}
			if seen[http.StatusServiceUnavailable] == 0 {
				t.Errorf("answers %v, want some 503", seen)
			}
			grown := int64(peak) - int64(before.HeapAlloc)
			if bound := int64(total) * 3 / 2; grown > bound {
				t.Errorf("the heap has grown by %d MiB, want at most %d", grown>>20, bound>>20)
			}
			t.Logf("%d MiB of bodies: %v, the heap has grown by %d of %d MiB",
				clients*len(c.body)>>20, seen, grown>>20, total>>20)
			if !s.memory.TryAcquire(total) {
				t.Error("memory was not given back")
			}
		})
	}
}

// A client that sends all of a large body before it looks gets the 503 too, not a broken
// connection.
func TestRefusedBodyIsRead(t *testing.T) {
	address, _ := listen(t, startServer(t, &fakeModel{}, func(c *Config) {
		c.Limits.InFlight = 1 << 20
	}))
	const size = 32 << 20
	for _, head := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", size),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size)} {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_, err = fmt.Fprintf(connection, "POST /classify HTTP/1.1\r\nHost: x\r\n%s", head)
		if err == nil {
			_, err = connection.Write(make([]byte, size))
		}
		if err == nil {
			_, err = connection.Write([]byte("\r\n0\r\n\r\n"))
		}
		if err != nil {
			t.Error(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Error(err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q, want 503 with one", answer.StatusCode,
				answer.Header.Get("Retry-After"))
		}
	}
}

// manyKeys returns the inside of an object with distinct keys.
func manyKeys(size int) string {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		fmt.Fprintf(&text, `"%x":1,`, i)
	}
	return text.String() + `"":1`
}

// What one body takes at its worst is no more than what was reserved for it.
func TestOneBodyTakesWhatIsReserved(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // TotalAlloc is what was taken in all
	const size = 4 << 20
	for name, c := range map[string]struct {
		text  string
		dtype tensor.DType
	}{
		"float32":  {"[" + strings.Repeat("1,", size/2) + "1]", tensor.Float32},
		"float64":  {"[" + strings.Repeat("1,", size/2) + "1]", tensor.Float64},
		"uint8":    {"[" + strings.Repeat("1,", size/2) + "1]", tensor.Uint8},
		"bool":     {"[" + strings.Repeat("true,", size/5) + "true]", tensor.Bool},
		"text":     {"[" + strings.Repeat(`"",`, size/3) + `""]`, tensor.String},
		"base 64":  {`[{"b64": "` + strings.Repeat("AAAA", size/4) + `"}]`, tensor.String},
		"escapes":  {`["` + strings.Repeat(`\n`, size/2) + `"]`, tensor.String},
		"one text": {`["` + strings.Repeat(`,`, size) + `"]`, tensor.String},
	} {
		var before, after runtime.MemStats
		taken, most, sum := int64(0), int64(0), int64(0)
		runtime.ReadMemStats(&before)
		_, err := jsontensor.NewDecoder([]byte(c.text)).Reserving(func(bytes int64) error {
			taken += bytes
			sum += max(bytes, 0)
			most = max(most, taken)
			return nil
		}).Tensor(c.dtype)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		took := int64(after.TotalAlloc-before.TotalAlloc) - int64(len(c.text)) // []byte(text)
		if took > sum+sum/8+1<<20 {
			t.Errorf("%s: %d bytes were taken, and %d reserved", name, took, sum)
		}
		t.Logf("%s: %d bytes of text take %d, %d reserved at a time, %.1f a byte", name,
			len(c.text), took, most, float64(most)/float64(len(c.text)))
	}
}

func TestLimitsWithMemory(t *testing.T) {
	l := DefaultLimits()
	for _, total := range []int64{300 << 20, 768 << 20, 2 << 30, 64 << 30} {
		got, err := l.WithPixelsFor(total).WithMemory(total)
		if err != nil {
			t.Fatal(err)
		}
		if sum := got.InFlight + PixelBytes*got.PixelsInFlight; sum != total {
			t.Errorf("a total of %d: requests and images come to %d", total, sum)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("a total of %d: %v", total, err)
		}
	}
	for _, total := range []int64{-1, 0, 100 << 20, l.LeastMemory() - 1} {
		if got, err := l.WithMemory(total); err == nil {
			t.Errorf("a total of %d: got %+v, want an error", total, got)
		}
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	var none Limits
	for _, name := range []string{"body", "bytes in flight", "image", "pixels", "pixels in flight",
		"decoders", "rows", "deadline", "read header",
		"read", "idle", "header bytes", "connections"} {
		if err := none.Validate(); err == nil ||
			!strings.Contains(err.Error(), "limit of "+name+":") {
			t.Errorf("got %v, want an error about %s", err, name)
		}
	}
	l := DefaultLimits()
	l.PixelsInFlight = int64(l.Pixels) - 1
	if err := l.Validate(); err == nil {
		t.Error("fewer pixels in flight than in one image are accepted")
	}
}
