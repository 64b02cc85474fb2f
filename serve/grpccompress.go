package serve

import (
	"compress/zlib"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // which gRPC has, for those that import it
)

// gRPC knows compressors by their names, for all servers of the process.
func init() { encoding.RegisterCompressor(deflate{}) }

// deflaters are kept: each takes most of a megabyte.
var deflaters = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

// deflater goes back to the others when it is closed.
type deflater struct{ *zlib.Writer }

func (d deflater) Close() error {
	defer deflaters.Put(d.Writer)
	return d.Writer.Close()
}

// deflate is gRPC's compression of that name, the zlib format, as for HTTP.
type deflate struct{}

func (deflate) Name() string { return "deflate" }

func (deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	z := deflaters.Get().(*zlib.Writer)
	z.Reset(w)
	return deflater{z}, nil
}

func (deflate) Decompress(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
