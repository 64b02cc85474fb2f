package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"
)

// bucket is a bucket of S3 or of Google Cloud Storage, or a container of Azure.
type bucket struct {
	name   string // scheme://bucket
	bucket *blob.Bucket
}

// key is what follows the bucket in an address.
func key(path string) string {
	_, rest, _ := strings.Cut(path, "://")
	_, key, _ := strings.Cut(rest, "/")
	return key
}

// bucketName is the address without the key.
func bucketName(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path, key(path)), "/")
}

// buckets are those that were opened, each once.
var buckets struct {
	sync.Mutex
	opened map[string]func() (*bucket, error)
}

func bucketOf(ctx context.Context, path string) (*bucket, error) {
	name := bucketName(path)
	buckets.Lock()
	open := buckets.opened[name]
	if open == nil {
		open = sync.OnceValues(func() (*bucket, error) { return openBucket(ctx, name) })
		if buckets.opened == nil {
			buckets.opened = map[string]func() (*bucket, error){}
		}
		buckets.opened[name] = open
	}
	buckets.Unlock()
	return open()
}

// openBucket finds the credentials, and asks whether the bucket is there. Whoever may not list it
// is not told, and may still read from it.
func openBucket(ctx context.Context, path string) (*bucket, error) {
	_, name, _ := strings.Cut(path, "://")
	if name == "" {
		return nil, &Error{path, "expected a bucket's name after ://, got none", fs.ErrInvalid}
	}
	b := &bucket{name: path}
	var err error
	kept := context.WithoutCancel(ctx) // the bucket is also for those who ask later
	switch scheme(path) {
	case "s3":
		b.bucket, err = openS3(kept, name)
	case "gs":
		b.bucket, err = openGS(kept, name)
	case "az":
		b.bucket, err = blob.OpenBucket(kept, azureblob.Scheme+"://"+name)
	}
	if err != nil {
		return nil, &StoreError{path, err}
	}
	err = retry(ctx, func() error {
		_, _, err := b.bucket.ListPage(ctx, blob.FirstPageToken, 1, nil)
		return b.fault(path, err)
	})
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return b, nil
}

// openS3 takes AWS's default chain of credentials. An endpoint of one's own is asked by paths, for
// its buckets need not be hosts.
func openS3(ctx context.Context, name string) (*blob.Bucket, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithDefaultRegion("us-east-1"))
	if err != nil {
		return nil, err
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("expected credentials, found none by AWS's default chain: set "+
			"AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w", err)
	}
	own := os.Getenv("AWS_ENDPOINT_URL") != "" || os.Getenv("AWS_ENDPOINT_URL_S3") != "" ||
		c.BaseEndpoint != nil
	c.HTTPClient = boundedClient{c.HTTPClient}
	client := s3.NewFromConfig(c, func(o *s3.Options) {
		o.UsePathStyle = own
		o.DisableLogOutputChecksumValidationSkipped = true // which many stores do not have
	})
	return s3blob.OpenBucket(ctx, client, name, nil)
}

// storageTries is how often the library tries, which without it would go on for ever. It may repeat
// what it writes too: that is always a whole object.
const storageTries = 6

func openGS(ctx context.Context, name string) (*blob.Bucket, error) {
	transport := boundedTransport{gcp.DefaultTransport()}
	client := gcp.NewAnonymousHTTPClient(transport)
	if os.Getenv("STORAGE_EMULATOR_HOST") == "" {
		found, err := google.FindDefaultCredentials(ctx, storage.ScopeReadWrite)
		if err != nil {
			return nil, fmt.Errorf("expected Google's application default credentials, found "+
				"none: `gcloud auth application-default login` makes them: %w", err)
		}
		client, err = gcp.NewHTTPClient(transport, found.TokenSource)
		if err != nil {
			return nil, err
		}
	}
	b, err := gcsblob.OpenBucket(ctx, client, name, nil)
	if err != nil {
		return nil, err
	}
	var library *storage.Client
	if b.As(&library) {
		library.SetRetry(storage.WithMaxAttempts(storageTries),
			storage.WithPolicy(storage.RetryAlways))
	}
	return b, nil
}

func (b *bucket) get(
	ctx context.Context, path string, offset, length int64,
) (io.ReadCloser, Info, error) {
	body, info, err := watch(ctx, func(ctx context.Context) (io.ReadCloser, Info, error) {
		r, err := b.bucket.NewRangeReader(ctx, key(path), offset, length, nil)
		if err != nil {
			return nil, Info{}, err
		}
		return r, Info{r.Size(), version(r.As)}, nil
	})
	return body, info, b.fault(path, err)
}

func (b *bucket) stat(ctx context.Context, path string) (Info, error) {
	a, err := b.bucket.Attributes(ctx, key(path))
	if err != nil {
		return Info{}, b.fault(path, err)
	}
	return Info{a.Size, version(a.As)}, nil
}

// statDirectory finds out whether there is any key below the address.
func (b *bucket) statDirectory(ctx context.Context, path string) (fs.FileInfo, error) {
	for _, err := range b.list(ctx, path, "") {
		return fileInfo{path: path, directory: true}, err
	}
	return nil, &Error{path, noObject, fs.ErrNotExist}
}

// Entry is an object below a directory's address, or with ReadDir a directory in it.
type Entry struct {
	Path string
	Info
	Directory bool
}

// List yields the objects below a directory's address in a store, in the order of their keys. The
// address itself begins each entry's. What only stands for a directory is left out.
func List(ctx context.Context, directory string) iter.Seq2[Entry, error] {
	return listed(ctx, directory, "")
}

// ReadDir returns the objects and directories in a directory's address in a store.
func ReadDir(ctx context.Context, directory string) ([]Entry, error) {
	var all []Entry
	for entry, err := range listed(ctx, directory, "/") {
		if err != nil {
			return nil, err
		}
		all = append(all, entry)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func listed(ctx context.Context, directory, delimiter string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		b, err := bucketOf(ctx, directory)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for entry, err := range b.list(ctx, directory, delimiter) {
			if err == nil && !entry.Directory && strings.HasSuffix(entry.Path, "/") {
				continue
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// list yields what is below an address; with a delimiter what is in it.
func (b *bucket) list(
	ctx context.Context, directory, delimiter string,
) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		prefix := key(directory)
		base := bucketName(directory) + "/"
		if prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		first := ""
		for token := blob.FirstPageToken; len(token) > 0; {
			var page []*blob.ListObject
			err := retry(ctx, func() error {
				var next []byte
				var err error
				requests := 0 // the library asks on and on until it has a page
				page, next, err = b.bucket.ListPage(ctx, token, listPage, &blob.ListOptions{
					Prefix: prefix, Delimiter: delimiter,
					BeforeList: func(func(any) bool) error {
						if requests++; requests > maxRequests {
							return errEndlessList
						}
						return nil
					},
				})
				if requests > maxRequests || len(page) > 0 && page[0].Key == first {
					return &StoreError{b.name, errEndlessList}
				}
				if err == nil {
					token = next
				}
				return b.fault(directory, err)
			})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if len(page) > 0 {
				first = page[0].Key
			}
			for _, o := range page {
				entry := Entry{base + o.Key, Info{o.Size, version(o.As)}, o.IsDir}
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
}

const (
	listPage    = 1000 // keys that are asked for at a time
	maxRequests = 2 * listPage
)

var errEndlessList = errors.New("expected a list of objects that ends, got the same page, or " +
	"pages without an object, again and again")

// write writes an object by a stream, which the library sends in parts. It is there when the last
// of them is, or not at all.
func (b *bucket) write(ctx context.Context, path string, write func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.bucket.NewWriter(ctx, key(path), &blob.WriterOptions{ContentType: contentType})
	if err != nil {
		return b.fault(path, err)
	}
	if err := write(w); err != nil {
		cancel() // so that Close does not complete it
		_ = w.Close()
		return err
	}
	return withoutTemporary(b.fault(path, w.Close()))
}

// contentType has the library not guess.
const contentType = "application/octet-stream"

func (b *bucket) create(ctx context.Context, path string, data []byte) error {
	err := retry(ctx, func() error {
		return b.fault(path, b.bucket.WriteAll(ctx, key(path), data,
			&blob.WriterOptions{ContentType: contentType, IfNotExist: true}))
	})
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// It may be ours, of a try whose answer was lost.
	there, readErr := ReadFile(ctx, path)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if string(there) != string(data) {
		return err
	}
	return nil
}
